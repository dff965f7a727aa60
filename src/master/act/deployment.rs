//! What a deployment must not have, as far as settings and files show it: `monoceros check
//! --deploy`. What the application shows is found by the worker that loads it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use monoceros_config::{
    AddressSet, BindSetting, CertificateSource, Loaded, ProxyMode, Row, Settings, ValueOrigin,
    WorkerClass,
};
use monoceros_sys::clock::wall_seconds;
use monoceros_sys::user::is_root;

use crate::master::act::certificates::Certificates;
use crate::master::act::worker_spec::WorkerSpec;

/// The mode bit by which every user may read a file.
const OTHERS_READ: u32 = 0o004;
/// The mode bit by which every user may look up names in a directory.
const OTHERS_SEARCH: u32 = 0o001;
/// The key in a directory that certbot has made.
const CERTBOT_KEY: &str = "privkey.pem";
/// What names of variables with a secret contain.
const SECRET_NAMES: [&str; 6] = ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL", "_KEY"];

/// The configured addresses that other machines can reach, as URLs. No name is looked up: a
/// name other than `localhost` counts as one that other machines can reach.
pub(crate) fn public_addresses(settings: &Settings) -> Vec<String> {
    let public = settings.bind.iter().filter(|bind| bind.address.is_public());
    public.map(|bind| url(settings, bind)).collect()
}

fn url(settings: &Settings, bind: &BindSetting) -> String {
    let scheme = if settings.is_tls(bind) { "https" } else { "http" };
    format!("{scheme}://{}", bind.address)
}

/// One text for each thing that a deployment must not have.
pub(crate) fn find_concerns(loaded: &Loaded, spec: &WorkerSpec) -> Vec<String> {
    let settings = &spec.settings;
    let owner = spec.owner.as_ref();
    let mut found = Vec::new();
    if is_root() && owner.is_none_or(|owner| owner.uid == 0) {
        found.push("user: the application runs as root; set user to an ordinary one".to_owned());
    }
    if settings.worker_class == WorkerClass::Wsgi {
        found.extend(open_listeners(settings));
        found.extend(missing_limits(settings));
    }
    found.extend(readable_secrets(loaded, spec));
    found.extend(invalid_certificates(spec));
    found
}

/// The certificates that clients refuse, or that verify no client, at this time.
fn invalid_certificates(spec: &WorkerSpec) -> Vec<String> {
    let now = wall_seconds();
    let all = spec.certificates.iter().flat_map(Certificates::expiries);
    all.filter(|it| it.not_after < now).map(|it| it.describe(now)).collect()
}

/// The listeners on which clients of other machines are served without TLS: no listener has
/// it, and no proxy in front does.
fn open_listeners(settings: &Settings) -> Vec<String> {
    let redirects = settings.redirect_https;
    let is_open = |bind: &&BindSetting| {
        let is_plain = !settings.is_tls(bind) && !redirects;
        let has_proxy = settings.proxy_mode(bind) != ProxyMode::Off
            || has_other_machine(&settings.forwarded_allow_ips);
        bind.address.is_public() && is_plain && !has_proxy
    };
    let open = settings.bind.iter().filter(is_open);
    open.map(|bind| {
        format!(
            "bind: {} serves other machines without TLS, and no proxy is trusted: set certfile, \
             or forwarded-allow-ips to the address of the proxy in front",
            url(settings, bind)
        )
    })
    .collect()
}

fn has_other_machine(addresses: &AddressSet) -> bool {
    addresses.all || addresses.networks.iter().any(|network| !network.addr().is_loopback())
}

/// The limits that are turned off.
fn missing_limits(settings: &Settings) -> Vec<String> {
    [
        (settings.timeout.is_zero(), "timeout", "a request may take a thread without an end"),
        (settings.header_timeout.is_zero(), "header-timeout", "a client may send its head slowly"),
        (settings.body_timeout.is_zero(), "body-timeout", "a client may send its body slowly"),
        (settings.write_timeout.is_zero(), "write-timeout", "a client may read slowly"),
        (settings.limit_request_line == 0, "limit-request-line", "a line may have any length"),
        (
            settings.limit_request_field_size == 0,
            "limit-request-field-size",
            "a header may fill 1 MiB",
        ),
        (settings.limit_request_body.0 == 0, "limit-request-body", "a body may fill the disk"),
    ]
    .into_iter()
    .filter(|(is_off, ..)| *is_off)
    .map(|(_, name, effect)| format!("{name}: 0 turns this limit off: {effect}"))
    .collect()
}

/// The files with secrets that every user of the machine can read.
fn readable_secrets(loaded: &Loaded, spec: &WorkerSpec) -> Vec<String> {
    let keys = key_files(&spec.settings, &spec.directory);
    let keys = keys.into_iter().map(|path| (path, "a private key".to_owned()));
    let variables = secret_variables(loaded);
    let config = spec.config_file.clone().filter(|_| !variables.is_empty());
    let config = config.map(|path| (path, format!("env with {}", variables.join(", "))));
    let dotenv = (spec.directory.join(".env"), "variables of the application".to_owned());
    keys.chain(config)
        .chain([dotenv])
        .filter_map(|(path, content)| {
            let mode = mode_for_others(&path)?;
            let path = path.display();
            Some(format!(
                "{path}: every user of this machine can read it (mode {mode:04o}), and it has \
                 {content}: chmod o-r {path}"
            ))
        })
        .collect()
}

/// The files with private keys.
fn key_files(settings: &Settings, directory: &Path) -> Vec<PathBuf> {
    let files = settings.certificate_sources().into_iter().flat_map(|source| match source {
        CertificateSource::Pair { certfile, keyfile } => {
            vec![directory.join(keyfile.unwrap_or(certfile))]
        }
        CertificateSource::Directory(path) => {
            let entries = fs::read_dir(directory.join(path)).into_iter().flatten().flatten();
            entries.map(|entry| entry.path().join(CERTBOT_KEY)).collect()
        }
    });
    files.collect()
}

/// The variables in the configuration file that have a secret by their name, or a password in
/// a URL.
fn secret_variables(loaded: &Loaded) -> Vec<String> {
    let origin = Row::find("env").map(|row| loaded.source(row));
    if !matches!(origin, Some(ValueOrigin::File { .. })) {
        return Vec::new();
    }
    let is_secret = |name: &str, value: &str| {
        let name = name.to_uppercase();
        SECRET_NAMES.iter().any(|part| name.contains(part)) || has_password(value)
    };
    let variables = loaded.settings.env.iter().filter(|it| is_secret(&it.name, &it.value));
    variables.map(|it| it.name.clone()).collect()
}

/// Whether a URL has a password: `postgres://shop:secret@db/shop`.
fn has_password(value: &str) -> bool {
    let authority = value.split_once("://").map(|(_, rest)| rest);
    let authority = authority.and_then(|rest| rest.split(['/', '?', '#']).next());
    let user = authority.and_then(|it| it.rsplit_once('@')).map(|(user, _)| user);
    user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
}

/// The mode of a file that every user can read, also by the directories on its way; `None` for
/// another file, and for one that is missing.
fn mode_for_others(path: &Path) -> Option<u32> {
    let path = path.canonicalize().ok()?;
    let mode = |path: &Path| Some(path.metadata().ok()?.permissions().mode());
    let found = path.metadata().ok().filter(fs::Metadata::is_file)?.permissions().mode();
    let mut directories = path.ancestors().skip(1);
    let is_reachable = directories.all(|it| mode(it).is_none_or(|mode| mode & OTHERS_SEARCH != 0));
    (found & OTHERS_READ != 0 && is_reachable).then_some(found & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(words: &str) -> Settings {
        let args: Vec<_> = words.split_whitespace().map(Into::into).collect();
        let nowhere = Path::new("/nowhere");
        match monoceros_config::load(&args, &[], nowhere) {
            Ok(monoceros_config::Command::Run(loaded)) => loaded.settings,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn addresses_of_this_machine_are_not_public() {
        for (words, public) in [
            ("", &[][..]),
            ("-b localhost:80 -b [::1]:80 -b unix:/a -b unix:@a -b 127.3.0.1:1", &[]),
            ("-b :80", &["http://0.0.0.0:80"]),
            ("-b [::]:80 -b 127.0.0.1:1", &["http://[::]:80"]),
            ("-b shop.example.org:80", &["http://shop.example.org:80"]),
        ] {
            assert_eq!(public_addresses(&settings(words)), public, "{words}");
        }
    }

    #[test]
    fn a_proxy_or_tls_protects_what_other_machines_send() {
        for (words, count) in [
            ("", 0),
            ("-b :80 -b :81", 2),
            ("-b :80 --forwarded-allow-ips 10.0.0.1", 0),
            ("-b :80 --forwarded-allow-ips *", 0),
            ("-b :80 --forwarded-allow-ips 127.0.0.1", 1),
            ("-b :80 --proxy-protocol", 0),
            ("-b https://:443 -b http://:80 --certfile a", 1),
            ("-b https://:443 -b http://:80 --certfile a --redirect-https", 0),
        ] {
            assert_eq!(open_listeners(&settings(words)).len(), count, "{words}");
        }
    }

    #[test]
    fn a_limit_that_is_off_is_found() {
        assert!(missing_limits(&settings("")).is_empty());
        let found = missing_limits(&settings("-t 0 --header-timeout 0 --limit-request-body 0"));
        let names = found.iter().map(|text| text.split(':').next().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["timeout", "header-timeout", "limit-request-body"]);
    }

    #[test]
    fn a_url_with_a_password_has_a_secret() {
        for (value, expected) in [
            ("postgres://shop:secret@db/shop", true),
            ("redis://:secret@db", true),
            ("postgres://shop@db/shop", false),
            ("postgres://shop:@db/shop", false),
            ("https://example.org/a:b@c", false),
            ("a:b@c", false),
        ] {
            assert_eq!(has_password(value), expected, "{value}");
        }
    }
}
