//! Tests of the precedence of sources, and of the errors for wrong ones.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::table::{Row, Settings};
use crate::{PythonSource, Workers};

/// A directory of its own for a test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("monoceros-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(name: &str, text: &str) -> Self {
        let directory = Self::new();
        fs::write(directory.0.join(name), text).unwrap();
        directory
    }

    fn load(&self, args: &str, env: &[(&str, &str)]) -> Result<Command, Errors> {
        let args: Vec<_> = args.split_whitespace().map(OsString::from).collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        load(&args, &env, &self.0)
    }

    fn run(&self, args: &str, env: &[(&str, &str)]) -> Loaded {
        match self.load(args, env) {
            Ok(Command::Run(loaded)) => loaded,
            other => panic!("{other:?}"),
        }
    }

    fn errors(&self, args: &str, env: &[(&str, &str)]) -> Errors {
        self.load(args, env).unwrap_err()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn source(loaded: &Loaded, key: &str) -> String {
    loaded.source(Row::find(key).unwrap()).to_string()
}

#[test]
fn without_sources_all_values_are_defaults() {
    let loaded = Directory::new().run("", &[]);
    assert_eq!(loaded.settings, Settings::default());
    assert_eq!((loaded.app.as_deref(), loaded.config_file.as_ref()), (None, None));
    assert_eq!(source(&loaded, "workers"), "default");
}

#[test]
fn each_source_is_stronger_than_the_one_before() {
    let directory = Directory::with("monoceros.yaml", "workers: 3\n");
    let empty = Directory::new();
    let mut env = vec![("WEB_CONCURRENCY", "2")];
    let mut seen = vec![empty.run("", &[]), empty.run("", &env), directory.run("", &env)];
    env.push(("GUNICORN_CMD_ARGS", "--workers 4"));
    seen.push(directory.run("", &env));
    // The order of the variables in the environment does not matter.
    env.insert(0, ("MONOCEROS_WORKERS", "5"));
    seen.push(directory.run("", &env));
    seen.push(directory.run("-w 6", &env));

    let seen: Vec<_> = seen.iter().map(|l| (l.settings.workers, source(l, "workers"))).collect();
    let expected = [
        (1, "default"),
        (2, "WEB_CONCURRENCY"),
        (3, "monoceros.yaml line 1"),
        (4, "GUNICORN_CMD_ARGS"),
        (5, "MONOCEROS_WORKERS"),
        (6, "command line"),
    ];
    assert_eq!(seen, expected.map(|(count, at)| (Workers::Count(count), at.to_owned())));
}

#[test]
fn a_list_is_replaced_not_extended() {
    let directory = Directory::with("monoceros.yaml", "bind: [':1', ':2']\n");
    let loaded = directory.run("-b :3", &[("PORT", "4")]);
    assert_eq!(loaded.settings.bind, ["0.0.0.0:3".parse().unwrap()]);
}

#[test]
fn port_moves_the_default_address() {
    let directory = Directory::new();
    let loaded = directory.run("", &[("PORT", "5000")]);
    assert_eq!(loaded.settings.bind[0].to_string(), "0.0.0.0:5000");
    assert_eq!(directory.run("", &[("PORT", "")]).settings.bind[0].to_string(), "127.0.0.1:8000");
    // A variable that other programs use too is checked only when its value counts.
    assert_eq!(directory.errors("", &[("PORT", "x")]).to_string(), "PORT: \"x\" is not a port");
    directory.run("-b :1", &[("PORT", "x")]);
}

#[test]
fn the_application_can_stand_anywhere() {
    let directory = Directory::with("monoceros.yaml", "wsgi_app: a:a\n");
    assert_eq!(directory.run("", &[]).app.as_deref(), Some("a:a"));
    assert_eq!(directory.run("", &[("MONOCEROS_APP", "b:b")]).app.as_deref(), Some("b:b"));
    let loaded = directory.run("c:c", &[]);
    assert_eq!(
        (loaded.app.as_deref(), source(&loaded, "app")),
        (Some("c:c"), "command line".to_owned())
    );
}

#[test]
fn the_file_can_be_named_in_three_ways() {
    let directory = Directory::with("shop.yaml", "timeout: 5\n");
    fs::write(directory.0.join("monoceros.yaml"), "timeout: 6\n").unwrap();
    let shop = directory.0.join("shop.yaml");
    for (args, env) in [
        ("-c shop.yaml", vec![]),
        ("", vec![("MONOCEROS_CONFIG", "shop.yaml")]),
        ("", vec![("GUNICORN_CMD_ARGS", "-c shop.yaml")]),
        ("-c file:shop.yaml", vec![("MONOCEROS_CONFIG", "nowhere.yaml")]),
    ] {
        let loaded = directory.run(args, &env);
        assert_eq!(loaded.settings.timeout, Duration::from_secs(5));
        assert_eq!(loaded.config_file.as_ref(), Some(&shop));
        assert_eq!(source(&loaded, "timeout"), "shop.yaml line 1");
    }
    assert_eq!(directory.run("", &[]).settings.timeout, Duration::from_secs(6));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let directory = Directory::with("gunicorn.conf.py", "workers = 2\n");
    let errors = directory.errors("-c shop.yaml", &[]);
    assert_eq!(errors.to_string(), "shop.yaml: cannot read it: no such file");
    assert_eq!(errors.exit_code(), 1);
    fs::create_dir(directory.0.join("a.yaml")).unwrap();
    let errors = directory.errors("-c a.yaml", &[]);
    assert_eq!(errors.to_string(), "a.yaml: cannot read it: it is a directory");
    std::os::unix::fs::symlink("nowhere", directory.0.join("monoceros.yaml")).unwrap();
    let errors = directory.errors("", &[]);
    assert_eq!(errors.to_string(), "monoceros.yaml: cannot read it: no such file");
}

#[test]
fn a_byte_order_mark_is_no_fault() {
    let directory = Directory::with("monoceros.yaml", "\u{feff}workers: 2\r\nthreads: x\r\n");
    let errors = directory.errors("", &[]);
    assert_eq!(
        errors.to_string(),
        "monoceros.yaml line 2: threads: cannot read \"x\" as a whole number"
    );
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = "# shop\nworkers: 0\ntimout: 3\nbind:\n  - :80\n  - x:y\ntimeout: 30x\n";
    let directory = Directory::with("monoceros.yaml", text);
    let errors = directory.errors(
        "--threads no --bogus --response-memory x --timeout 3",
        &[("MONOCEROS_TIMEOUT", "soon"), ("GUNICORN_CMD_ARGS", "--backlog x --spew -k gevent")],
    );
    assert_eq!(
        errors.to_string().lines().collect::<Vec<_>>(),
        [
            "--bogus: unknown flag",
            "monoceros.yaml line 3: timout: unknown setting; did you mean timeout?",
            "monoceros.yaml line 2: workers: 0 is not between 1 and 1024, or auto",
            "monoceros.yaml line 6: bind: \"y\" is not a port",
            "monoceros.yaml line 7: timeout: cannot read \"30x\" as seconds; \
             examples: 30, 30s, 500ms, 2m",
            "GUNICORN_CMD_ARGS: --backlog: cannot read \"x\" as a whole number",
            "GUNICORN_CMD_ARGS: --worker-class: \"gevent\": there are no green threads here; use \
             gthread with more threads, such as --threads 64: connections that are idle or slow \
             occupy none",
            "MONOCEROS_TIMEOUT: cannot read \"soon\" as seconds; examples: 30, 30s, 500ms, 2m",
            "--threads: cannot read \"no\" as a whole number",
            "--response-memory: cannot read \"x\" as an amount of memory; examples: 512M, \
             2G, 1048576",
            "GUNICORN_CMD_ARGS: --spew: gunicorn's spew does not exist here: use python -m trace",
        ]
    );
    assert_eq!(errors.exit_code(), 2);
}

#[test]
fn an_error_about_tls_or_proxies_names_its_line() {
    for (text, error) in [
        ("bind: https://:https", "1: bind: \"https\" is not a port"),
        ("bind:\n- :80\n- ':443?proxy-protocol=v3'", "3: bind: proxy-protocol: \"v3\" is not one"),
        ("bind:\n- address: ':1'\n  scheme: ftp", "3: bind: scheme: \"ftp\" is not one of auto,"),
        ("certfile: [a, '']", "1: certfile: must not be empty"),
        ("certificates:\n- keyfile: k", "2: certificates: certfile is missing"),
        ("cert_reqs: 3", "1: cert_reqs: \"3\" is not one of none, optional, required"),
        ("tls-minimum-version: 1.1", "1: tls-minimum-version: \"1.1\" is not one of 1.2, 1.3"),
        ("ciphers: TLSv1", "1: ciphers: \"TLSv1\" is not one of TLS_AES_256_GCM_SHA384, "),
        ("tls-strict-sni: x", "1: tls-strict-sni: cannot read \"x\" as true or false"),
        ("hsts: 1y", "1: hsts: cannot read \"1y\" as a whole number"),
        ("forwarded-allow-ips:\n  - ::1\n  - x", "3: forwarded-allow-ips: \"x\" is not an address"),
        ("secure_scheme_headers:\n  A: b\n  C D: e", "3: secure_scheme_headers: cannot read"),
        ("secure_scheme_headers: {}", "1: secure_scheme_headers: the list is empty"),
        ("forwarder_headers: a b", "1: forwarder_headers: \"a b\" is not the name of a header"),
        ("header-map: keep", "1: header-map: \"keep\" is not one of drop, refuse, dangerous"),
        ("proxy_protocol: v3", "1: proxy_protocol: \"v3\" is not one of off, auto, v1, v2"),
        ("proxy_allow_ips: 10.0.0.1/8", "1: proxy_allow_ips: 10.0.0.1/8 has bits behind its"),
        ("real-ip: x-real-ip", "1: real-ip: \"x-real-ip\" is not one of off, x-forwarded-for,"),
        ("workers: 2\nkeyfile: k", "2: keyfile: needs a certificate: set certfile"),
        ("workers: 2\nredirect-https: true", "2: redirect-https: needs an https listener"),
    ] {
        let errors = Directory::with("monoceros.yaml", text).errors("", &[]);
        let (found, expected) = (errors.to_string(), format!("monoceros.yaml line {error}"));
        assert!(found.starts_with(&expected) && found.lines().count() == 1, "{text}: {found}");
        assert_eq!(errors.exit_code(), 1);
    }
}

#[test]
fn gunicorns_spellings_of_tls_and_proxies_are_read() {
    let text = "certfile: a.pem\nkeyfile: b.pem\nca_certs: c.pem\ncert_reqs: 2\n\
                ssl_version: TLSv1_2\ndo_handshake_on_connect: false\n\
                suppress_ragged_eofs: true\nproxy_protocol: true\nproxy_allow_ips: '*'\n\
                forwarded_allow_ips: 10.0.0.1,10.0.0.2\nheader_map: drop\n\
                secure_scheme_headers:\n  X-FORWARDED-PROTO: https\n\
                forwarder_headers: SCRIPT_NAME,PATH_INFO\n";
    let loaded = Directory::with("monoceros.yaml", text).run("", &[]);
    let settings = &loaded.settings;
    assert_eq!(settings.certfile, [PathBuf::from("a.pem")]);
    assert_eq!(settings.cert_reqs, crate::CertReqs::Required);
    assert_eq!(settings.proxy_protocol, crate::ProxyMode::Auto);
    assert!(settings.proxy_allow_ips.all && settings.forwarded_allow_ips.networks.len() == 2);
    assert_eq!(settings.secure_scheme_headers.0.len(), 1);
    let warned: Vec<_> =
        loaded.warnings.iter().filter_map(|text| text.split(": has no effect").next()).collect();
    assert_eq!(
        warned,
        [
            "monoceros.yaml line 5: ssl-version",
            "monoceros.yaml line 6: do-handshake-on-connect",
            "monoceros.yaml line 7: suppress-ragged-eofs"
        ]
    );
}

#[test]
fn a_wrong_file_or_environment_is_no_usage_error() {
    let directory = Directory::with("monoceros.yaml", "workers: x\n");
    assert_eq!(directory.errors("", &[]).exit_code(), 1);
    assert_eq!(Directory::new().errors("", &[("MONOCEROS_UMASK", "x")]).exit_code(), 1);
    assert_eq!(Directory::new().errors("--umask x", &[]).exit_code(), 2);
}

#[test]
fn what_is_asked_for_is_found() {
    let directory = Directory::new();
    assert!(matches!(directory.load("--check-config", &[]), Ok(Command::CheckConfig(_))));
    assert!(matches!(directory.load("--print-config", &[]), Ok(Command::PrintConfig(_))));
    let Ok(Command::Version(text)) = directory.load("-V", &[]) else { panic!() };
    assert_eq!(text, concat!("monoceros ", env!("CARGO_PKG_VERSION"), "\n"));
    // Help is printed also if the command line has errors.
    let Ok(Command::Help(text)) = directory.load("--bogus -h", &[("MONOCEROS_X", "1")]) else {
        panic!()
    };
    assert!(text.contains("--keep-alive SECONDS"), "{text}");
}

#[test]
fn what_is_printed_can_be_loaded_again() {
    let directory = Directory::new();
    let env = [
        ("MONOCEROS_NAME", "007"),
        ("MONOCEROS_ENV", "'A=two words: \"x\"' B=#"),
        ("MONOCEROS_ACCESS_LOGFILE", "-"),
        ("MONOCEROS_PYTHONPATH", "/a,/b"),
        ("MONOCEROS_BIND", "[::1]:80 unix:@a https://:443?proxy-protocol=v2 unix:/b?scheme=http"),
        ("MONOCEROS_CERTIFICATES", "certfile=/a%2Cb,keyfile=/c /etc/live"),
        ("MONOCEROS_CIPHERS", "ECDHE-RSA-AES128-GCM-SHA256:TLS13_AES_128_GCM_SHA256"),
        ("MONOCEROS_SECURE_SCHEME_HEADERS", "Front-End-Https=on"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.0/8, ::1, no-unix"),
        ("MONOCEROS_PROXY_ALLOW_IPS", "none"),
    ];
    let words = "--certfile a --keyfile b --ca-certs c --cert-reqs 2 --tls-minimum-version 1.3 \
                 --forwarder-headers none --header-map refuse --real-ip forwarded --hsts 31536000 \
                 --proxy-protocol --proxy-allow-from * -w auto -t 1500ms -m 022 shop:app";
    let first = directory.run(words, &env);
    fs::write(directory.0.join("monoceros.yaml"), first.print()).unwrap();
    let second = directory.run("", &[]);
    assert_eq!(second.settings, first.settings);
    let line = first.print().lines().position(|line| line.starts_with("name:")).unwrap() + 1;
    assert_eq!(source(&second, "name"), format!("monoceros.yaml line {line}"));
    assert!(first.print().contains("# MONOCEROS_NAME\n"), "{}", first.print());
}

/// The values of a Python file.
fn python(values: &[(&str, &[&str])], unknown: &[&str]) -> PythonValues {
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let values = values.iter().map(|(name, words)| ((*name).to_owned(), texts(words)));
    PythonValues { values: values.collect(), unknown: texts(unknown) }
}

impl Directory {
    fn load_with(
        &self,
        args: &str,
        env: &[(&str, &str)],
        python: Option<&PythonValues>,
    ) -> Result<Loaded, Errors> {
        let args: Vec<_> = args.split_whitespace().map(OsString::from).collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        match load_with(&args, &env, &self.0, python)? {
            Command::Run(loaded) | Command::CheckConfig(loaded) => Ok(loaded),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_file_in_python_is_named_until_its_values_are_known() {
    let directory = Directory::with("gunicorn.conf.py", "");
    let loaded = directory.load_with("--keyfile k -w 2", &[], None).unwrap();
    let path = directory.0.join("gunicorn.conf.py");
    let source = PythonSource::File { path, name: "gunicorn.conf.py".to_owned() };
    assert_eq!(loaded.python_source, Some(source));
    assert!(loaded.is_partial() && loaded.has_gunicorn_source() && loaded.warnings.is_empty());
    let values = python(&[("certfile", &["c"])], &[]);
    let loaded = directory.load_with("--keyfile k -w 2", &[], Some(&values)).unwrap();
    assert!(!loaded.is_partial() && loaded.python_source.is_some());
    let errors = directory.load_with("--keyfile k", &[], Some(&python(&[], &[]))).unwrap_err();
    assert_eq!(errors.to_string(), "--keyfile: needs a certificate: set certfile");

    fs::write(directory.0.join("monoceros.yaml"), "workers: 3\n").unwrap();
    let loaded = directory.load_with("", &[], None).unwrap();
    assert!(loaded.python_source.is_none() && !loaded.has_gunicorn_source());
    assert_eq!(loaded.warnings, ["gunicorn.conf.py is not read, because there is monoceros.yaml"]);
    let loaded = directory.load_with("-c python:shop.conf", &[], None).unwrap();
    assert_eq!(loaded.python_source, Some(PythonSource::Module("shop.conf".to_owned())));
}

#[test]
fn a_file_in_python_is_stronger_than_variables_that_replace_defaults() {
    let directory = Directory::with("gunicorn.conf.py", "");
    let values = python(&[("workers", &["3"]), ("bind", &[":1", ":2"])], &[]);
    let mut env = vec![("WEB_CONCURRENCY", "2"), ("PORT", "x")];
    let mut seen = vec![directory.load_with("", &env, Some(&values)).unwrap()];
    env.push(("GUNICORN_CMD_ARGS", "--workers 4"));
    seen.push(directory.load_with("", &env, Some(&values)).unwrap());
    env.push(("MONOCEROS_WORKERS", "5"));
    seen.push(directory.load_with("", &env, Some(&values)).unwrap());
    seen.push(directory.load_with("-w 6", &env, Some(&values)).unwrap());
    let seen: Vec<_> = seen.iter().map(|l| (l.settings.workers, source(l, "workers"))).collect();
    let expected = [
        (3, "gunicorn.conf.py"),
        (4, "GUNICORN_CMD_ARGS"),
        (5, "MONOCEROS_WORKERS"),
        (6, "command line"),
    ];
    assert_eq!(seen, expected.map(|(count, at)| (Workers::Count(count), at.to_owned())));
}

#[test]
fn what_a_file_in_python_sets_is_read_as_gunicorn_reads_it() {
    let directory = Directory::with("gunicorn.conf.py", "");
    let values = python(
        &[
            ("wsgi_app", &["shop:app\n"]),
            ("workers", &["0"]),
            ("timeout", &["0"]),
            ("loglevel", &["LOUD"]),
            ("umask", &["7"]),
            ("raw_env", &["A=1"]),
            ("reload", &["true"]),
            ("reload_extra_files", &[]),
            ("spew", &["true"]),
            ("worker_tmp_dir", &["/dev/shm"]),
            ("default_proc_name", &["shop"]),
            ("config", &["x"]),
            ("secure_scheme_headers", &["X-A=on"]),
        ],
        &["access_logfile", "cores"],
    );
    let loaded = directory.load_with("", &[], Some(&values)).unwrap();
    let settings = &loaded.settings;
    assert_eq!(loaded.app.as_deref(), Some("shop:app"));
    assert_eq!((settings.workers, settings.umask.0), (Workers::Count(1), 7));
    assert_eq!((settings.timeout, settings.log_level), (Duration::ZERO, crate::LogLevel::Info));
    assert_eq!(settings.name.as_deref(), Some("shop"));
    assert_eq!(settings.config, None);
    assert!(settings.reload && settings.reload_extra_file.is_empty());
    assert_eq!(
        loaded.warnings,
        [
            "gunicorn.conf.py: spew: is not supported: use python -m trace",
            "gunicorn.conf.py: workers: 0 is not between 1 and 1024; 1 is used",
            "gunicorn.conf.py: loglevel: \"LOUD\" is not one of debug, info, warning, error, \
             critical; info is used",
        ]
    );
    assert_eq!(
        loaded.notes,
        ["gunicorn.conf.py: worker_tmp_dir: has no effect: heartbeats are kept in memory"]
    );
    assert!(loaded.gunicorn_overrides().is_empty());
    let named = directory.load_with("shop:other", &[], Some(&values)).unwrap();
    assert!(named.gunicorn_overrides().is_empty(), "the file's default is stronger");
    let checked = directory.load_with("--check-config -n a", &[], Some(&values)).unwrap();
    let slip = "gunicorn.conf.py: access_logfile: is not a setting; did you mean accesslog?";
    assert!(checked.warnings.iter().any(|it| it == slip), "{:?}", checked.warnings);
    assert_eq!(checked.settings.name.as_deref(), Some("a"));
}

#[test]
fn an_error_in_a_file_in_python_names_file_and_setting() {
    let directory = Directory::with("gunicorn.conf.py", "");
    for (name, word, error) in [
        ("bind", ":None", "\"None\" is not a port"),
        ("worker_class", "gevent", "\"gevent\": there are no green threads here"),
        ("keyfile", "k", "needs a certificate: set certfile"),
        ("casefold_http_method", "true", "gunicorn's casefold_http_method does not exist"),
    ] {
        let values = python(&[(name, &[word])], &[]);
        let errors = directory.load_with("", &[], Some(&values)).unwrap_err();
        let expected = format!("gunicorn.conf.py: {name}: {error}");
        assert!(errors.to_string().starts_with(&expected), "{errors}");
        assert_eq!(errors.exit_code(), 1);
    }
}

#[test]
fn certificates_of_clients_are_asked_for_where_there_is_a_certificate() {
    let directory = Directory::with("gunicorn.conf.py", "");
    let values = python(&[("cert_reqs", &["2"])], &[]);
    let loaded = directory.load_with("", &[], Some(&values)).unwrap();
    let warning = "gunicorn.conf.py: cert_reqs: has no effect without a certificate: set certfile";
    assert_eq!(loaded.warnings, [warning]);
    let values = python(&[("cert_reqs", &["2"]), ("certfile", &["c"])], &[]);
    let errors = directory.load_with("", &[], Some(&values)).unwrap_err();
    assert!(errors.to_string().contains("cert_reqs: needs ca-certs"), "{errors}");
}

#[test]
fn values_from_gunicorns_sources_are_clipped() {
    let directory = Directory::new();
    let env = [("GUNICORN_CMD_ARGS", "--backlog 0 --log-level=loud"), ("WEB_CONCURRENCY", "0")];
    let loaded = directory.run("--access-logformat %(h)-15s%(z)s --limit-request-line 9000", &env);
    assert_eq!(loaded.settings.backlog, 1);
    assert_eq!(loaded.settings.limit_request_line, 8190);
    assert_eq!(
        loaded.warnings,
        [
            "WEB_CONCURRENCY: 0 is not between 1 and 1024; 1 is used",
            "GUNICORN_CMD_ARGS: --backlog: 0 is not between 1 and 1000000; 1 is used",
            "GUNICORN_CMD_ARGS: --log-level: \"loud\" is not one of debug, info, warning, error, \
             critical; info is used",
            "--limit-request-line: 9000 is not between 0 and 8190; 8190 is used",
            "--access-logformat: has no value for %(z)s; \"%(h)-15s%(l)s\" is used",
        ]
    );
    // A logger in Python has values of its own.
    let loaded = directory.run("--access-logformat %(z)s --logger-class shop.Logger", &[]);
    assert_eq!(loaded.warnings, [""; 0]);
    // Other sources have no need for that.
    assert_eq!(directory.errors("", &[("MONOCEROS_BACKLOG", "0")]).exit_code(), 1);
    let yaml = Directory::with("monoceros.yaml", "limit_request_line: 9000\n");
    assert_eq!(yaml.errors("", &[]).exit_code(), 1);
}

#[test]
fn an_empty_text_of_a_script_leaves_a_setting_unset() {
    let directory = Directory::with("monoceros.yaml", "name: a\npid: b\n");
    let words = ["--name", "", "--config=", "--pid="].map(OsString::from);
    let Ok(Command::Run(loaded)) = load(&words, &[], &directory.0) else { panic!("refused") };
    assert_eq!((loaded.settings.name, loaded.settings.pid), (None, None));
}

#[test]
fn a_file_of_pastedeploy_is_the_application() {
    let directory = Directory::new();
    for flag in ["--paste", "--paster"] {
        let loaded = directory.run(&format!("{flag} shop.ini#admin --chdir a ignored:app"), &[]);
        let file = directory.0.join("shop.ini#admin");
        assert_eq!(loaded.app, Some(format!("config:{}", file.display())));
    }
    let errors = directory.errors("-k exec --paste a.ini -- run", &[]);
    assert!(errors.to_string().starts_with("--paste: worker class exec serves no"), "{errors}");
}
