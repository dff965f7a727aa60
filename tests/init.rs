//! `monoceros init`: a configuration file for the project of the directory.

use std::os::unix::fs::symlink;

use crate::support::server::Finished;
use crate::support::setup::{Setup, python};

const MANAGE: &str = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
const WSGI: &str =
    "def application(environ, start):\n    start('204 No Content', [])\n    return []\n";

fn init(setup: Setup) -> (Finished, String) {
    let end = setup.flag("init").run();
    let text = end.directory.read("monoceros.yaml");
    (end, text)
}

#[test]
fn the_file_names_the_application_and_passes_the_check() {
    for (files, app) in [
        (
            &[("app.py", "from flask import Flask\napp = Flask(__name__)\n")][..],
            "app: \"app:app\"\n",
        ),
        (&[("main.py", &WSGI.replace("application", "app"))], "app: \"main:app\"\n"),
        (&[("manage.py", MANAGE), ("shop/wsgi.py", WSGI)], "app: \"shop.wsgi\"\n"),
        (&[("shop/wsgi.py", WSGI)], "app: \"shop.wsgi:application\"\n"),
        (
            &[
                ("app.py", WSGI),
                ("web.py", WSGI),
                ("Procfile", "web: gunicorn -w 2 web -b :$PORT\n"),
            ],
            "app: \"web\"\n",
        ),
    ] {
        let setup = |directory: Setup| {
            files.iter().fold(directory, |setup, (name, text)| setup.file(name, text))
        };
        let (end, text) = init(setup(Setup::bare()));
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
        assert!(text.contains(app), "{text}");
        let check = setup(Setup::bare()).file("monoceros.yaml", &text);
        let check = check.flag("--check-config").flag("--python").flag(python()).run();
        assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""), "{text}");
    }
}

#[test]
fn an_existing_file_stays() {
    let (end, text) =
        init(Setup::bare().file("app.py", WSGI).file("monoceros.yaml", "threads: 2\n"));
    assert_eq!((end.code, text.as_str()), (Some(1), "threads: 2\n"));
    assert!(end.stderr.contains("cannot write monoceros.yaml: file exists"), "{}", end.stderr);
    let setup = Setup::bare().file("app.py", WSGI);
    symlink("elsewhere", setup.directory.join("monoceros.yaml")).unwrap();
    let (end, text) = init(setup);
    assert_eq!((end.code, text.as_str()), (Some(1), ""));
}

#[test]
fn a_file_of_gunicorn_is_not_hidden() {
    let (end, text) = init(Setup::bare().file("app.py", WSGI).file("gunicorn.conf.py", ""));
    assert_eq!((end.code, text.as_str()), (Some(1), ""));
    assert!(end.stderr.contains("monoceros convert gunicorn.conf.py"), "{}", end.stderr);
}

#[test]
fn without_an_application_there_is_no_file() {
    for (setup, part) in [
        (Setup::bare(), "there is no manage.py, app.py, wsgi.py or main.py in /"),
        (Setup::bare().file("web/manage.py", MANAGE), "there is web/manage.py: add --chdir web"),
        (Setup::bare().file("app.py", "x = 1\n"), "the module app in /"),
    ] {
        let (end, text) = init(setup);
        assert_eq!((end.code, text.as_str()), (Some(1), ""));
        assert!(end.stderr.contains(part), "{}", end.stderr);
    }
}
