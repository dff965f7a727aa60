//! The sources of settings, and the errors for wrong ones.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

use crate::support::client::Connection;
use crate::support::server::Finished;
use crate::support::setup::{Setup, apps, program};

fn print(setup: Setup) -> Finished {
    let end = setup.flags(&["--print-config"]).run();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    end
}

fn refuse(setup: Setup, code: i32, parts: &[&str]) {
    let end = setup.run();
    assert_eq!(end.code, Some(code), "{}", end.stderr);
    for part in parts {
        assert!(end.stderr.contains(part), "{part:?} in {}", end.stderr);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    for flag in ["-h", "--help"] {
        let end = Setup::bare().flag(flag).run();
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
        assert!(end.stdout.contains("--graceful-timeout"), "{}", end.stdout);
    }
    for flag in ["-V", "--version"] {
        let end = Setup::bare().flag(flag).run();
        assert_eq!(end.code, Some(0));
        assert!(end.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", end.stdout);
    }
}

#[test]
fn the_exit_code_is_right_without_standard_error() {
    for (words, code) in [
        (&["--no-such-flag"][..], 2),
        (&["--chdir", "/no/such/directory", "environ"], 1),
        (&["status", "--pid", "/no/such/file"], 1),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let status = Command::new(program()).args(words).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(code), "{words:?}");
    }
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let setup = || {
        let setup =
            Setup::bare().apps().flag("environ").file("monoceros.yaml", "timeout: 7\nworkers: 3\n");
        setup.variable("MONOCEROS_TIMEOUT", "8")
    };
    let line = |end: &Finished, name: &str| {
        let found = end.stdout.lines().find(|line| line.starts_with(name));
        found.unwrap_or_else(|| panic!("{name} in {}", end.stdout)).to_owned()
    };
    let end = print(setup());
    assert!(line(&end, "timeout").contains('8'), "{}", end.stdout);
    assert!(line(&end, "timeout").contains("MONOCEROS_TIMEOUT"), "the source is named");
    assert!(line(&end, "workers").contains('3'));
    assert!(line(&end, "workers").contains("monoceros.yaml line 2"), "the source is named");
    let end = print(setup().flags(&["--timeout", "9"]));
    assert!(line(&end, "timeout").contains('9'), "{}", end.stdout);
}

#[test]
fn printing_the_settings_checks_the_application_as_well() {
    let end = Setup::bare().apps().flags(&["--print-config", "no_such_module"]).run();
    assert_eq!(end.code, Some(1));
    assert!(end.stdout.contains("app: no_such_module"), "{}", end.stdout);
    assert!(end.stderr.contains("No module named 'no_such_module'"), "{}", end.stderr);
}

#[test]
fn a_file_of_another_name_is_read_and_must_exist() {
    let setup = Setup::bare().apps().flag("environ").file("other.yaml", "workers: 5\n");
    let end = print(setup.flags(&["-c", "other.yaml"]));
    assert!(end.stdout.contains("other.yaml line 1"), "{}", end.stdout);
    refuse(Setup::bare().flags(&["-c", "missing.yaml", "environ"]), 1, &["missing.yaml"]);
}

#[test]
fn the_file_configures_a_server() {
    let yaml = "bind: fd://3\nworkers: 2\nthreads: 2\nname: from the file\n";
    let server = Setup::of("environ").file("monoceros.yaml", yaml).start();
    assert_eq!(server.workers().len(), 2);
    let environ = server.get("/").json();
    assert_eq!(
        (&environ["wsgi.multiprocess"], &environ["wsgi.multithread"]),
        (&true.into(), &true.into())
    );
    assert!(crate::support::process::title(server.pid()).contains("[from the file]"));
}

#[test]
fn web_concurrency_and_gunicorns_arguments_are_understood() {
    let server = Setup::of("environ").variable("WEB_CONCURRENCY", "2").start();
    assert_eq!(server.workers().len(), 2);
    let setup = Setup::of("environ").variable("GUNICORN_CMD_ARGS", "--workers=2 -n 'two words'");
    let server = setup.start();
    assert_eq!(server.workers().len(), 2);
    assert!(crate::support::process::title(server.pid()).contains("[two words]"));
}

#[test]
fn gunicorns_worker_classes_are_understood() {
    for class in ["wsgi", "sync", "gthread"] {
        let server = Setup::of("environ").flags(&["--worker-class", class]).start();
        assert_eq!(server.get("/").status, 200, "{class}");
    }
}

#[test]
fn other_worker_classes_are_one_line_with_what_to_do() {
    for (class, part) in [
        ("uvicorn.workers.UvicornWorker", "--worker-class exec -- uvicorn --fd 3 APP"),
        ("gevent", "--threads 64"),
        ("shop.workers.ShopWorker", "gthread"),
    ] {
        let end = Setup::bare().flags(&["--worker-class", class, "environ"]).run();
        assert_eq!((end.code, end.stderr.lines().count()), (Some(2), 1), "{}", end.stderr);
        assert!(end.stderr.contains(class) && end.stderr.contains(part), "{}", end.stderr);
    }
}

#[test]
fn what_has_nothing_to_do_here_does_not_stop_a_start() {
    let flags = ["--worker-tmp-dir", "/dev/shm", "--no-sendfile", "-R", "--log-level", "debug"];
    let setup = Setup::of("environ").flags(&flags);
    let server = setup.variable("GUNICORN_CMD_ARGS", "--reuse-port --http-parser=fast").start();
    assert_eq!(server.get("/").status, 200);
    for note in [
        "--worker-tmp-dir: has no effect: heartbeats are kept in memory",
        "--no-sendfile: has no effect",
        "--enable-stdio-inheritance: has no effect",
        "GUNICORN_CMD_ARGS: --reuse-port: has no effect",
        "GUNICORN_CMD_ARGS: --http-parser: has no effect",
    ] {
        assert_eq!(server.log().matches(note).count(), 1, "{note} in {}", server.log());
    }
}

#[test]
fn what_would_weaken_the_parser_is_refused() {
    let setup = Setup::bare().flags(&["--casefold-http-method", "environ"]);
    refuse(setup, 2, &["--casefold-http-method: gunicorn's casefold_http_method does not exist"]);
    let setup = Setup::bare().flag("environ");
    let setup = setup.variable("GUNICORN_CMD_ARGS", "--strip-header-spaces");
    refuse(setup, 1, &["GUNICORN_CMD_ARGS: --strip-header-spaces: gunicorn's"]);
}

#[test]
fn values_of_gunicorn_are_clipped_with_a_warning() {
    let arguments = "--backlog 0 --log-level LOUD --limit-request-fields 99999 --thr 0";
    let server = Setup::of("environ").variable("GUNICORN_CMD_ARGS", arguments).start();
    assert_eq!(server.get("/").status, 200);
    for warning in [
        "GUNICORN_CMD_ARGS: --backlog: 0 is not between 1 and 1000000; 1 is used",
        "GUNICORN_CMD_ARGS: --log-level: \"LOUD\" is not one of",
        "GUNICORN_CMD_ARGS: --limit-request-fields: 99999 is not between 1 and 32768; 32768 is",
        "GUNICORN_CMD_ARGS: --threads: 0 is not between 1 and 1024; 1 is used",
    ] {
        assert!(server.log().contains(warning), "{warning} in {}", server.log());
    }
}

#[test]
fn zero_is_no_limit_but_that_of_the_head() {
    let flags = ["--limit-request-line", "0", "--limit-request-field_size", "0"];
    let server = Setup::of("environ").flags(&flags).start();
    let request = |line: usize, field: usize| {
        let (line, field) = ("a".repeat(line), "b".repeat(field));
        server.ask(format!("GET /{line} HTTP/1.1\r\nHost: a\r\nX-A: {field}\r\n\r\n"))
    };
    assert_eq!(request(200_000, 200_000).status, 200);
    assert_eq!(request(1, 1 << 20).status, 431);
    assert_eq!(request(1 << 20, 1).status, 414);
}

#[test]
fn an_address_with_options_reads_back_as_it_is_printed() {
    let yaml = "bind:\n- address: 127.0.0.1:0\n  proxy-protocol: v2\n- unix:a?scheme=http\n\
                secure-scheme-headers: {Front-End-Https: 'on'}\nreal-ip: x-forwarded-for\n";
    let setup = || Setup::bare().apps().flag("environ");
    let setup_of = |yaml: &str| setup().file("monoceros.yaml", yaml);
    let variable = ("FORWARDED_ALLOW_IPS", "10.0.0.0/8, ::ffff:192.0.2.1");
    let first = print(setup_of(yaml).variable(variable.0, variable.1));
    for line in [
        "bind:                                     # monoceros.yaml line 1",
        "  - \"127.0.0.1:0?proxy-protocol=v2\"",
        "  - \"unix:a?scheme=http\"",
        "forwarded-allow-ips:                      # FORWARDED_ALLOW_IPS",
        "  - \"10.0.0.0/8,192.0.2.1\"",
        "  - \"Front-End-Https=on\"",
        "real-ip: x-forwarded-for                  # monoceros.yaml line 6",
    ] {
        assert!(first.stdout.lines().any(|it| it == line), "{line:?} in {}", first.stdout);
    }
    let values = |end: &Finished| {
        let lines = end.stdout.lines().map(|line| line.split("  # ").next().unwrap_or(line));
        lines.map(str::trim_end).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(values(&print(setup_of(&first.stdout))), values(&first));
}

#[test]
fn an_error_in_an_item_names_its_line() {
    let yaml = "bind:\n- ':1'\n- address: ':2'\n  proxy-protocol: v2\n  backlog: 5\n";
    let error = "monoceros.yaml line 5: bind: backlog: unknown option; known are address, scheme, \
                 proxy-protocol, access";
    refuse(Setup::bare().file("monoceros.yaml", yaml), 1, &[error]);
    let yaml = "name: x\nkeyfile: key.pem\n";
    let error = "monoceros.yaml line 2: keyfile: needs a certificate: set certfile";
    refuse(Setup::bare().file("monoceros.yaml", yaml), 1, &[error]);
}

#[test]
fn all_errors_are_reported_together_with_their_sources() {
    let yaml = "bind: 127.0.0.1:0\n\ntimeout: 30x\nworkerz: 3\n";
    let setup = Setup::bare().flags(&["--threads", "many", "environ"]).file("monoceros.yaml", yaml);
    let setup = setup.variable("MONOCEROS_BACKLOG", "-1");
    // A wrong command line is what exits with 2, as gunicorn's does.
    refuse(
        setup,
        2,
        &[
            "monoceros.yaml line 3: timeout: cannot read \"30x\" as seconds",
            "monoceros.yaml line 4: ",
            "workers?",
            "--threads",
            "\"many\"",
            "MONOCEROS_BACKLOG",
        ],
    );
}

#[test]
fn an_unknown_flag_exits_with_2_and_a_suggestion() {
    refuse(Setup::bare().flags(&["--worker", "2", "environ"]), 2, &["--worker", "--workers"]);
    refuse(
        Setup::bare().flags(&["--no-such-thing-at-all", "environ"]),
        2,
        &["--no-such-thing-at-all"],
    );
}

#[test]
fn a_file_that_is_no_yaml_is_refused_with_its_line() {
    let setup = Setup::bare().flag("environ").file("monoceros.yaml", "workers: 2\n  timeout: [\n");
    refuse(setup, 1, &["monoceros.yaml line"]);
}

/// The file that a package puts in place for people to copy: each line in it that can
/// be taken out of its comment is a setting.
#[test]
fn the_example_of_the_package_has_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/debian/example.yaml");
    let example = fs::read_to_string(path).unwrap();
    let example = example.replace("/srv/NAME\n", "/\n");
    let is_setting =
        |line: &str| line.strip_prefix('#').is_some_and(|it| it.starts_with(char::is_alphabetic));
    let mut texts = vec![example.clone()];
    for (index, line) in example.lines().enumerate().filter(|(_, line)| is_setting(line)) {
        let below = example.lines().skip(index + 1).take_while(|it| it.starts_with("#  "));
        let lines: Vec<_> = std::iter::once(line).chain(below).map(|it| &it[1..]).collect();
        texts.push(lines.join("\n"));
    }
    assert!(texts.len() > 8, "{texts:?}");
    for text in texts {
        let key = text.lines().find(|it| !it.starts_with('#') && !it.is_empty()).unwrap();
        let (key, _) = key.split_once(':').unwrap();
        let setup = Setup::bare().flag("--print-config").file("monoceros.yaml", &text);
        // There is no such application: the settings are printed, and its check fails.
        let end = if key == "app" { setup } else { setup.flag("absent") }.run();
        let shown = end.stdout.lines().find(|it| it.starts_with(&format!("{key}:")));
        let is_from_file = shown.is_some_and(|it| it.contains("monoceros.yaml"));
        assert!(is_from_file, "{text}: {shown:?}, {}", end.stderr);
    }
}

#[test]
fn check_config_loads_the_application() {
    let check = |application: &str| Setup::of(application).flags(&["--check-config"]).run();
    let end = check("environ");
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert_ne!(check("raising").code, Some(0));
    assert_ne!(check("missing").code, Some(0));
    let end =
        Setup::of("environ").flags(&["--check-config"]).file("monoceros.yaml", "timeout: x\n");
    assert_eq!(end.run().code, Some(1));
}

#[test]
fn a_django_project_needs_no_argument() {
    let setup = Setup::bare().flag("--python").flag(crate::support::setup::python());
    let setup = setup.flags(&["--bind", "127.0.0.1:0"]).flag("--chdir").flag(apps("shop"));
    let data = setup.directory.join("data");
    let server = setup.variable("SHOP_DATA", data).start();
    assert!(server.log().contains("config.wsgi"), "the log says what was found");
    // The administration sends a client that is not signed in to its form.
    assert_eq!(server.get("/admin/").status, 302);
}

#[test]
fn a_program_that_is_no_python_is_one_clear_line() {
    let directory = crate::support::directory::Directory::new();
    let missing = directory.join("no-such-python");
    for program in ["/bin/true", "/bin/false", "/bin/cat", "/etc/passwd", missing.to_str().unwrap()]
    {
        let end =
            Setup::bare().flags(&["--bind", "127.0.0.1:0", "--python", program, "environ"]).run();
        assert_eq!(end.code, Some(1), "{program}: {}", end.stderr);
        assert!(end.stderr.contains(program), "{}", end.stderr);
        assert!(end.stderr.lines().count() <= 3, "{program}: {}", end.stderr);
    }
}

/// Names of files may have any bytes, in each setting, and keep them to the
/// worker and through an upgrade.
#[test]
fn a_path_keeps_bytes_that_are_not_text() {
    let strange = OsString::from_vec(b"caf\xe9".to_vec());
    let in_yaml = b"chdir: caf\xe9\npid: server.pid\nbind: unix:web.sock\nenv: {PLACE: caf\xe9}\n";
    for how in ["flags", "variables", "file"] {
        let mut setup = Setup::bare().apps();
        let directory = setup.directory.join("").join(&strange);
        fs::create_dir(&directory).unwrap();
        if how == "file" {
            fs::write(setup.directory.join("monoceros.yaml"), in_yaml).unwrap();
        } else {
            setup = setup.flags(&["--pid", "server.pid", "--bind", "unix:web.sock"]);
            let place = [OsStr::new("PLACE="), &strange].map(OsStr::as_bytes).concat();
            let place = OsString::from_vec(place);
            setup = if how == "flags" {
                setup.flag("--chdir").flag(&strange).flag("--env").flag(place)
            } else {
                setup.variable("MONOCEROS_CHDIR", &strange).variable("MONOCEROS_ENV", place)
            };
        }
        let server = setup.flag("environ:variables").start();
        for upgraded in [false, true] {
            if upgraded {
                server.upgrade();
            }
            let worker = server.workers()[0];
            assert_eq!(fs::read_link(format!("/proc/{worker}/cwd")).unwrap(), directory, "{how}");
            let environment = fs::read(format!("/proc/{worker}/environ")).unwrap();
            let mut variables = environment.split(|byte| *byte == 0);
            assert!(variables.any(|it| it == b"PLACE=caf\xe9"), "{how}");
            let pid = fs::read_to_string(directory.join("server.pid")).unwrap();
            assert_eq!(pid.trim(), server.pid().to_string());
            assert_eq!(Connection::unix(&directory.join("web.sock")).unwrap().get("/").status, 200);
        }
    }
}
