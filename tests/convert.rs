//! `monoceros convert`: a configuration file of gunicorn as YAML.

use crate::support::server::Finished;
use crate::support::setup::{Setup, python};

fn convert(file: &str) -> Finished {
    let setup = Setup::bare().file("gunicorn.conf.py", file);
    let setup = setup.variable("MONOCEROS_PYTHON", python().into_os_string());
    // Other sources of settings do not belong to the file.
    let setup = setup.variable("MONOCEROS_WORKERS", "7").variable("GUNICORN_CMD_ARGS", "-t 9");
    setup.flags(&["convert", "gunicorn.conf.py"]).run()
}

#[test]
fn a_file_of_values_is_converted_and_means_the_same() {
    let end = convert(
        "import os\nprint('loading: yes')\nbind = ['127.0.0.1:8001', 'unix:/tmp/a b.sock']\nworkers = len('abc')\n\
         timeout = 90\nraw_env = ['A=b: c']\nloglevel = 'debug'\nwsgi_app = 'shop:app'\n",
    );
    // What the file prints is not in the YAML.
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), "loading: yes\n"));
    let expected = "\n# gunicorn.conf.py computes it; this is its value here and now:\n\
        # workers = len('abc')\nworkers: 3\n";
    assert!(end.stdout.contains(expected), "{}", end.stdout);
    let print = Setup::bare().file("monoceros.yaml", &end.stdout);
    let print = print.apps().flags(&["--print-config", "environ"]).run();
    for line in ["  - \"127.0.0.1:8001\"", "workers: 3 ", "timeout: 90s", "log-level: debug"] {
        assert!(print.stdout.contains(line), "{line} in {}{}", print.stdout, print.stderr);
    }
}

#[test]
fn what_the_machine_of_the_server_has_need_not_be_here() {
    let end = convert("user = 'no-such-user'\ngroup = 'no-such-group'\nchdir = '/no/such/place'\n");
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
    for line in ["user: no-such-user", "group: no-such-group", "chdir: /no/such/place"] {
        assert!(end.stdout.contains(line), "{line} in {}", end.stdout);
    }
}

#[test]
fn what_has_to_stay_in_python_is_named() {
    let end = convert(
        "workers = 2\ndef post_fork(server, worker):\n    pass\n\nworker_class = 'gevent'\n\
         strip_header_spaces = True\n",
    );
    assert_eq!(end.code, Some(1));
    assert!(end.stdout.contains("\nworkers: 2\n"), "{}", end.stdout);
    for part in [
        "monoceros: gunicorn.conf.py: not converted: post_fork (line 2): a hook is a \
         function in Python\n",
        "not converted: worker_class (line 5): \"gevent\": there are no green threads here",
        "not converted: strip_header_spaces (line 6): ",
        "a server reads one configuration file: keep gunicorn.conf.py, or do without",
    ] {
        assert!(end.stderr.contains(part), "{part} in {}", end.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_refused() {
    for (file, part) in [
        ("workers = 1 / 0\n", "ZeroDivisionError"),
        ("workers = 'many'\n", "Invalid value for workers: many"),
    ] {
        let end = convert(file);
        assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{file}");
        assert!(end.stderr.contains(part), "{part} in {}", end.stderr);
    }
    let end = Setup::bare().file("a.yaml", "").flags(&["convert", "a.yaml"]).run();
    assert!(end.stderr.contains("cannot convert a.yaml: it is YAML already"), "{}", end.stderr);
}
