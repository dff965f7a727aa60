//! The values that the other sources set beyond a configuration file in Python, by gunicorn's
//! names and in words that gunicorn's own validation reads.

use std::time::Duration;

use crate::bind::Bind;
use crate::error::ValueOrigin;
use crate::loaded::Loaded;
use crate::table::{ROWS, Row, Settings};
use crate::tls::CertReqs;
use crate::worker::{WorkerClass, Workers};

/// gunicorn's default for the name of processes.
const DEFAULT_NAME: &str = "default_proc_name";

impl Loaded {
    /// gunicorn's names of the settings that are neither a default nor the Python file's, with the
    /// words of their values. `workers` is missing while it is `auto`: only the master knows that
    /// number.
    #[must_use]
    pub fn gunicorn_overrides(&self) -> Vec<(String, Vec<String>)> {
        let own = |origin: &ValueOrigin| *origin != ValueOrigin::Default && !origin.is_python();
        let rows = ROWS.iter().zip(&self.typed).filter(|(row, _)| own(self.source(row)));
        let rows = rows.filter_map(|(row, typed)| {
            let words = words(row, typed.as_deref(), &self.settings)?;
            Some((name(row, self.source(row))?.to_owned(), words))
        });
        // The file's own default is stronger.
        let rows = rows.filter(|(name, _)| !(self.has_default_name && name == DEFAULT_NAME));
        let foreign = self.foreign.iter().filter(|value| own(&value.origin));
        let foreign = foreign.map(|value| match value.foreign.name {
            // The flag turns it off.
            "sendfile" => ("sendfile".to_owned(), vec!["false".to_owned()]),
            name => (name.to_owned(), value.words.clone()),
        });
        rows.chain(foreign).collect()
    }
}

/// gunicorn's name. The application on a command line is its default for the name of processes.
fn name(row: &Row, origin: &ValueOrigin) -> Option<&'static str> {
    let is_word = row.name == "app" && origin.is_gunicorns();
    if is_word { Some(DEFAULT_NAME) } else { row.gunicorn }
}

fn words(row: &Row, typed: Option<&[String]>, settings: &Settings) -> Option<Vec<String>> {
    let seconds = |length: Duration| Some(vec![length.as_millis().div_ceil(1000).to_string()]);
    let texts = || row.texts(settings);
    match row.name {
        "timeout" => seconds(settings.timeout),
        "graceful_timeout" => seconds(settings.graceful_timeout),
        "keep_alive" => seconds(settings.keep_alive),
        "umask" => Some(vec![settings.umask.0.to_string()]),
        "workers" => match settings.workers {
            Workers::Count(count) => Some(vec![count.to_string()]),
            Workers::Auto => None,
        },
        "worker_class" => match settings.worker_class {
            WorkerClass::Wsgi => Some(vec![class(typed).to_owned()]),
            WorkerClass::Exec => None,
        },
        "cert_reqs" => Some(vec![cert_reqs(settings.cert_reqs).to_owned()]),
        "bind" => Some(addresses(typed, settings)),
        "certfile" | "keyfile" => texts().into_iter().next_back().map(|path| vec![path]),
        "forwarded_allow_ips" | "proxy_allow_ips" => Some(vec![networks(&texts())]),
        "secure_scheme_headers" | "forwarder_headers" => {
            Some(texts().into_iter().filter(|word| word != "none").collect())
        }
        // These are shown as they were typed.
        "log_level" | "access_logformat" | "ciphers" | "statsd_host" | "log_syslog_to" => {
            Some(typed.map_or_else(texts, <[String]>::to_vec))
        }
        _ => Some(typed.and_then(number).map_or_else(texts, |number| vec![number])),
    }
}

/// A number that was typed, which may have been clipped since.
fn number(typed: &[String]) -> Option<String> {
    let digits = typed.last()?.trim();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty();
    let significant = digits.trim_start_matches('0');
    is_number.then(|| if significant.is_empty() { "0" } else { significant }.to_owned())
}

fn class(typed: Option<&[String]>) -> &str {
    match typed.and_then(<[String]>::last).map(|word| word.trim()) {
        None | Some("wsgi") => "sync",
        Some(class) => class,
    }
}

fn cert_reqs(cert_reqs: CertReqs) -> &'static str {
    match cert_reqs {
        CertReqs::None => "0",
        CertReqs::Optional => "1",
        CertReqs::Required => "2",
    }
}

/// gunicorn has no schemes, interfaces and options of an address.
fn addresses(typed: Option<&[String]>, settings: &Settings) -> Vec<String> {
    let is_plain = |word: &String| !word.contains(['?', '%']) && !word.starts_with("http");
    match typed.filter(|words| words.iter().all(is_plain)) {
        Some(words) => words.to_vec(),
        None => settings.bind.iter().map(|bind| address(&bind.address)).collect(),
    }
}

fn address(bind: &Bind) -> String {
    match bind {
        Bind::Tcp { host, port, .. } => {
            Bind::Tcp { host: host.clone(), port: *port, interface: None }.text()
        }
        Bind::Abstract(name) => format!("unix:\0{name}"),
        Bind::Unix(_) | Bind::Fd(_) => bind.text(),
    }
}

/// The networks without the words that only this server has.
fn networks(texts: &[String]) -> String {
    let words = texts.iter().flat_map(|text| text.split(','));
    let words: Vec<_> = words.filter(|word| !["none", "unix", "no-unix"].contains(word)).collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use crate::{Command, load};

    fn overrides(args: &str, env: &[(&str, &str)]) -> Vec<String> {
        let args: Vec<_> = args.split_whitespace().map(OsString::from).collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let Ok(Command::Run(loaded)) = load(&args, &env, Path::new("/nonexistent")) else {
            panic!("{args:?}")
        };
        let pairs = loaded.gunicorn_overrides().into_iter();
        pairs.map(|(name, words)| format!("{name}={}", words.join(" "))).collect()
    }

    #[test]
    fn values_are_written_as_gunicorn_reads_them() {
        for (args, expected) in [
            ("-t 1500ms", "timeout=2"),
            ("-t 30 --keep-alive 0", "timeout=30 keepalive=0"),
            ("-m 022", "umask=18"),
            ("-w 3", "workers=3"),
            ("-w auto", ""),
            ("-k gthread", "worker_class=gthread"),
            ("-k wsgi", "worker_class=sync"),
            ("-b :80 -b [::]", "bind=:80 [::]"),
            ("-b http://h%eth0 -b unix:@a", "bind=h:80 unix:\0a"),
            ("-b unix:/a?scheme=http", "bind=unix:/a"),
            ("--forwarded-allow-ips 10.0.0.0/8,no-unix", "forwarded_allow_ips=10.0.0.0/8"),
            ("--log-level DEBUG", "loglevel=DEBUG"),
            ("--limit-request-line 09000", "limit_request_line=9000"),
            ("--secure-scheme-headers none", "secure_scheme_headers="),
            ("-D shop:app", "default_proc_name=shop:app daemon=true"),
            ("--worker-tmp-dir /dev/shm --no-sendfile", "worker_tmp_dir=/dev/shm sendfile=false"),
            ("--max-rss 1G", ""),
        ] {
            let found = overrides(args, &[]).join(" ");
            let sorted = |text: &str| {
                let mut words: Vec<_> = text.split(' ').map(str::to_owned).collect();
                words.sort();
                words
            };
            assert_eq!(sorted(&found), sorted(expected), "{args}");
        }
    }

    #[test]
    fn variables_of_both_servers_count() {
        let env = [("MONOCEROS_APP", "shop"), ("GUNICORN_CMD_ARGS", "--ciphers HIGH:!aNULL")];
        assert_eq!(overrides("", &env), ["wsgi_app=shop", "ciphers=HIGH:!aNULL"]);
        assert_eq!(overrides("", &[("WEB_CONCURRENCY", "2")]), ["workers=2"]);
    }
}
