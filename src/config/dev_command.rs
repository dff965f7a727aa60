//! The command `dev`: its word, and the settings that it has in place of those for production.

use std::ffi::OsString;

use crate::error::ValueOrigin;
use crate::flags::Line;
use crate::raw_setting::{RawSetting, RawText};
use crate::row::Arity;
use crate::table::Row;

/// The word that a command line with it starts with.
pub(crate) const NAME: &str = "dev";

/// The settings of `dev`. The command line, `MONOCEROS_*` and a file that is named there are
/// stronger.
const VALUES: [(&str, &str); 18] = [
    ("development", "true"),
    ("reload", "true"),
    ("bind", "127.0.0.1:8000"),
    ("workers", "1"),
    ("threads", "4"),
    ("timeout", "0"),
    ("preload", "false"),
    ("max_requests", "0"),
    ("max_lifetime", "0"),
    ("max_rss", "0"),
    ("shutdown_delay", "0"),
    ("daemon", "false"),
    ("redirect_https", "false"),
    ("access_logfile", "-"),
    ("error_logfile", "-"),
    ("log_format", "text"),
    ("log_syslog", "false"),
    ("capture_output", "false"),
];

/// What a machine in production has and a developer's has not: users, certificates, proxies,
/// files in system directories, figures for others. `dev` leaves these out.
const LEFT_OUT: [&str; 25] = [
    "unix_mode",
    "unix_group",
    "user",
    "group",
    "initgroups",
    "umask",
    "pid",
    "certfile",
    "keyfile",
    "certificates",
    "ca_certs",
    "cert_reqs",
    "acme_webroot",
    "hsts",
    "proxy_protocol",
    "real_ip",
    "allowed_hosts",
    "metrics",
    "metrics_application",
    "statsd_host",
    "access_logformat",
    "access_log_exclude",
    "access_log_sample",
    "slow_logfile",
    "debug_guard",
];

/// The words behind `dev`, if a command line starts with it.
pub(crate) fn read(args: &[OsString]) -> Option<&[OsString]> {
    args.split_first().filter(|(first, _)| *first == NAME).map(|(_, rest)| rest)
}

/// The words of a command line, where an address in place of the application is that of the server,
/// as `runserver` takes it: `8001`, `0.0.0.0:8001`, `[::1]:8001`. No module and no name in one is
/// a number.
pub(crate) fn with_address(mut line: Line) -> Line {
    let app = line.said.iter().position(|it| it.row.positional && it.row.arity == Arity::One);
    let found = app.and_then(|index| Some((index, address(line.said[index].words.first()?)?)));
    let is_bound = line.said.iter().any(|it| it.row.name == "bind");
    if let (Some((index, address)), Some(row), false) = (found, Row::find("bind"), is_bound) {
        let origin = line.said[index].origin.clone();
        line.said[index] = RawSetting::new(row, origin, row.subject(), vec![address]);
    }
    line
}

/// The address of a word, if it is one.
fn address(word: &RawText) -> Option<String> {
    let (host, port) = word.text.rsplit_once(':').unwrap_or(("127.0.0.1", &word.text));
    let is_number = !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit());
    // What `inet_aton(3)` reads as 0.0.0.0.
    let host = if host == "0" { "0.0.0.0" } else { host };
    is_number.then(|| format!("{host}:{port}"))
}

/// The settings of `dev`.
pub(crate) fn values() -> impl Iterator<Item = RawSetting> {
    let rows = VALUES.iter().filter_map(|(name, value)| Some((Row::find(name)?, *value)));
    rows.map(|(row, value)| {
        RawSetting::new(row, ValueOrigin::Development, row.key(), vec![value.to_owned()])
    })
}

/// Whether a setting of a file for production has no effect in `dev`.
pub(crate) fn leaves_out(row: &Row) -> bool {
    LEFT_OUT.contains(&row.name) || VALUES.iter().any(|(name, _)| *name == row.name)
}

/// A default from the environment as `dev` uses it: `PORT` is a port of this machine only.
pub(crate) fn local_default(default: &RawSetting) -> Option<RawSetting> {
    if default.row.name == "bind" {
        let local = |text: String| text.replacen("0.0.0.0:", "127.0.0.1:", 1);
        let texts: Vec<_> = default.texts().into_iter().map(local).collect();
        return Some(default.with_texts(&texts));
    }
    (!leaves_out(default.row)).then(|| default.clone())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::{Command, Loaded, load};

    fn run(words: &str, env: &[(&str, &str)], directory: &Path) -> Loaded {
        let args: Vec<_> = words.split_whitespace().map(OsString::from).collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        match load(&args, &env, directory) {
            Ok(Command::Run(loaded)) => loaded,
            other => panic!("{words}: {other:?}"),
        }
    }

    fn texts(loaded: &Loaded, names: &[&str]) -> Vec<String> {
        let texts = |name: &&str| Row::find(name).unwrap().texts(&loaded.settings).join(" ");
        names.iter().map(texts).collect()
    }

    #[test]
    fn every_name_is_a_setting() {
        for name in VALUES.iter().map(|(name, _)| name).chain(&LEFT_OUT) {
            assert!(Row::find(name).is_some_and(|row| row.name == *name), "{name}");
        }
    }

    #[test]
    fn the_command_line_and_variables_are_stronger() {
        let nowhere = Path::new("/nonexistent");
        let names = ["bind", "workers", "threads", "timeout", "access_logfile", "reload"];
        for (words, env, expected) in [
            ("dev", &[][..], ["127.0.0.1:8000", "1", "4", "0s", "-", "true"]),
            ("dev -w 2 -b :9 shop:app", &[], ["0.0.0.0:9", "2", "4", "0s", "-", "true"]),
            ("dev", &[("MONOCEROS_THREADS", "1")], ["127.0.0.1:8000", "1", "1", "0s", "-", "true"]),
            ("dev", &[("PORT", "5000")], ["127.0.0.1:5000", "1", "4", "0s", "-", "true"]),
            (
                "dev",
                &[("WEB_CONCURRENCY", "9"), ("GUNICORN_CMD_ARGS", "-w 8 -b :80")],
                ["127.0.0.1:8000", "1", "4", "0s", "-", "true"],
            ),
        ] {
            assert_eq!(texts(&run(words, env, nowhere), &names), expected, "{words} {env:?}");
        }
        assert_eq!(run("dev shop:app", &[], nowhere).app.as_deref(), Some("shop:app"));
        assert!(!run("dev:app", &[], nowhere).settings.development);
    }

    #[test]
    fn an_address_is_named_as_for_runserver() {
        let nowhere = Path::new("/nonexistent");
        for (words, bind) in [
            ("dev 8001", "127.0.0.1:8001"),
            ("dev 0.0.0.0:8001 -w 2", "0.0.0.0:8001"),
            ("dev 0:8001", "0.0.0.0:8001"),
            ("dev [::1]:8001", "[::1]:8001"),
            ("dev localhost:8001", "localhost:8001"),
        ] {
            let found = run(words, &[("PORT", "5000")], nowhere);
            assert_eq!((texts(&found, &["bind"]), found.app), (vec![bind.to_owned()], None));
        }
        let found = run("dev shop:app -b :9", &[], nowhere);
        assert_eq!(
            (texts(&found, &["bind"])[0].as_str(), found.app.is_some()),
            ("0.0.0.0:9", true)
        );
    }

    #[test]
    fn a_file_for_production_keeps_what_is_about_the_application() {
        let name = format!("monoceros-dev-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let text = "app: shop:app\nbind: 0.0.0.0:80\nuser: www-data\nworkers: 9\nenv: {A: b}\n\
                    pid: /run/shop.pid\ncertfile: /etc/shop.pem\nkeyfile: /etc/shop.key\n";
        fs::write(directory.join("monoceros.yaml"), text).unwrap();
        let names = ["app", "env", "bind", "user", "workers", "pid", "certfile"];
        let found = run("dev", &[], &directory);
        let expected = ["shop:app", "A=b", "127.0.0.1:8000", "", "1", "", ""];
        assert_eq!(texts(&found, &names), expected);
        assert_eq!(found.source(Row::find("bind").unwrap()).to_string(), "monoceros dev");
        // A file that is named is meant.
        let found = run("dev -c monoceros.yaml", &[], &directory);
        assert_eq!(texts(&found, &["bind", "workers"]), ["0.0.0.0:80", "9"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
