//! The code of the application with `--reload`: what is served while it cannot be loaded, and that
//! the newest code is the one that is loaded.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use crate::support::client::{Response, request};
use crate::support::server::Server;
use crate::support::setup::{Setup, python};
use crate::support::until;

const PROJECT: &str = "
SECRET_KEY = 'only for tests'
ROOT_URLCONF = 'urls'
ALLOWED_HOSTS = ['*']
DEBUG = True
";
const WSGI: &str = "
import os
os.environ['DJANGO_SETTINGS_MODULE'] = 'project'
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
";
const URLS: &str = "
from django.urls import path
import views
urlpatterns = [path('', views.index)]
";
const VIEWS: &str = "
from django.http import HttpResponse
def index(request):
    return HttpResponse('VERSION')
";
const MISTAKE: &str = "
def index(request:
    return <b>
";
/// The fields of a browser's request for a page.
const BROWSER: [(&str, &str); 2] =
    [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Sec-Fetch-Mode", "navigate")];

fn views(version: &str) -> String {
    VIEWS.replace("VERSION", version)
}

/// A server with `--reload` for a Django project with these views.
fn django(views: &str) -> Setup {
    let setup = Setup::listening().flag("--python").flag(python());
    setup
        .file("project.py", PROJECT)
        .file("wsgi.py", WSGI)
        .file("urls.py", URLS)
        .file("views.py", views)
        .flags(&["--reload", "--pythonpath=.", "wsgi"])
}

/// Lines of the log that a mistake in the code makes.
fn allow_mistakes(server: &Server) {
    for text in ["[ERROR]", "Traceback", "Error: ", "  "] {
        server.allow(text);
    }
}

fn ask(server: &Server, method: &str, fields: &[(&str, &str)]) -> Response {
    let mut connection = server.connect();
    connection.send(request(method, "/", fields, ""));
    connection.try_response(method).unwrap()
}

/// Writes the views, and waits until they are served.
fn serve(server: &Server, version: &str) {
    server.directory.write("views.py", &views(version));
    until::holds(version, || server.get("/").text() == version);
}

#[test]
fn a_start_with_a_mistake_waits_for_the_fix_and_shows_the_mistake() {
    for flags in [&["--workers=2"][..], &["--preload"], &["--config=empty.conf.py"]] {
        let setup = django(MISTAKE).flags(flags).file("empty.conf.py", "");
        let server = setup.start();
        allow_mistakes(&server);
        let page = ask(&server, "GET", &BROWSER);
        assert_eq!((page.status, page.header("cache-control")), (500, Some("no-store")));
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let text = page.text();
        let place = format!("<h1>{}, line 2</h1>", server.directory.join("views.py").display());
        assert!(text.contains(&place) && text.contains("SyntaxError"), "{text}");
        assert!(text.contains("was never closed") || text.contains("invalid syntax"), "{text}");
        assert!(!text.contains("://"), "it has no foreign parts: {text}");
        let other = ask(&server, "POST", &[]);
        assert_eq!((other.status, other.text().contains("SyntaxError")), (500, true));
        assert_eq!(other.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(server.log().matches("waiting for a change of its files").count(), 1);
        serve(&server, "fixed");
        server.wait_for_log("reloaded: gen=2 serves");
        // A worker of the old generation may still answer until it drains.
        until::holds("the corrected page", || ask(&server, "GET", &BROWSER).text() == "fixed");
    }
}

#[test]
fn without_debug_mode_no_client_gets_the_traceback() {
    let setup = django(MISTAKE).file("project.py", &PROJECT.replace("True", "False"));
    let server = setup.start();
    allow_mistakes(&server);
    for fields in [&BROWSER[..], &[]] {
        let response = ask(&server, "GET", fields);
        assert_eq!(response.status, 500);
        let expected = "the application cannot be loaded; the error log has the reason\n";
        assert_eq!(response.text(), expected);
    }
    assert!(server.log().contains("SyntaxError"), "{}", server.log());
}

#[test]
fn a_mistake_in_the_views_of_django_is_found_by_the_reload_and_shown() {
    let server = django(&views("one")).start();
    allow_mistakes(&server);
    server.directory.write("views.py", MISTAKE);
    server.wait_for_log("reload failed: gen=2 cannot serve: SyntaxError");
    until::holds("the page", || ask(&server, "GET", &BROWSER).status == 500);
    assert!(ask(&server, "GET", &BROWSER).text().contains("views.py, line 2</h1>"));
    for fields in [&[][..], &[("Accept", "application/json")]] {
        assert_eq!(ask(&server, "GET", fields).text(), "one");
    }
    let foreign = "GET / HTTP/1.1\r\nHost: shop.example.com\r\nAccept: text/html\r\n\r\n";
    assert_eq!(server.ask(foreign).text(), "one");
    serve(&server, "two");
    until::holds("no page", || ask(&server, "GET", &BROWSER).text() == "two");
}

const PARTS: &str = "
from django.http import HttpResponse
from django.template.loader import render_to_string
import importlib
try:
    from local_settings import NAME
except ImportError:
    NAME = 'no name'
def index(request):
    late = importlib.import_module('late')
    return HttpResponse('%s %s %s' % (NAME, late.NAME, render_to_string('a.txt').strip()))
";
const TEMPLATES: &str = "
TEMPLATES = [{'BACKEND': 'django.template.backends.django.DjangoTemplates',
              'DIRS': ['templates'], 'APP_DIRS': True}]
";

#[test]
fn files_that_were_missing_or_are_read_later_and_templates_are_watched() {
    for flags in [&[][..], &["--preload"]] {
        let setup = django(PARTS).file("project.py", &format!("{PROJECT}{TEMPLATES}"));
        let setup = setup.file("late.py", "NAME = 'late'").file("templates/a.txt", "text");
        let server = setup.flags(flags).start();
        let served = |text: &str| until::holds(text, || server.get("/").text() == text);
        served("no name late text");
        server.directory.write("local_settings.py", "NAME = 'a name'");
        served("a name late text");
        server.directory.write("templates/a.txt", "other text");
        served("a name late other text");
        server.directory.write("late.py", "NAME = 'later'");
        served("a name later other text");
    }
}

#[test]
fn translations_tags_and_variables_are_watched_also_if_there_are_none_yet() {
    const APPS: &str = "INSTALLED_APPS = ['store']\nLOCALE_PATHS = ['translations']";
    let setup = django(&views("one")).file("project.py", &format!("{PROJECT}{APPS}"));
    let server = setup.file("store/__init__.py", "").start();
    assert_eq!(server.get("/").text(), "one");
    for (number, name) in [
        ".env",
        "store/templatetags/prices.py",
        "store/locale/de/LC_MESSAGES/django.mo",
        "translations/de/LC_MESSAGES/django.mo",
    ]
    .into_iter()
    .enumerate()
    {
        server.directory.write(name, "");
        server.wait_for_log(&format!("reloading: {name} has changed"));
        server.wait_for_log(&format!("reloaded: gen={} serves", number + 2));
    }
}

const APPLICATION: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    return [b'VERSION']
";

/// Writes a version of the application, with a modification time that is the same for each.
fn write_version(server: &Server, version: &str) {
    let path = server.directory.write("changing.py", &APPLICATION.replace("VERSION", version));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn bytecode_of_an_earlier_version_is_not_used() {
    for (flags, expected) in [(&["--reload"][..], "two"), (&[], "one")] {
        let setup = Setup::listening().flag("--python").flag(python());
        let setup = setup.variable("PYTHONDONTWRITEBYTECODE", "");
        let server = setup
            .file("changing.py", &APPLICATION.replace("VERSION", "old"))
            .flags(&["--pythonpath=.", "changing"])
            .flags(flags)
            .start();
        write_version(&server, "one");
        // Python has the bytecode of this version, whose source has the time and size of the next.
        let mut compile = Command::new(python());
        compile.args(["-m", "compileall", "-q", "changing.py"]);
        assert!(compile.current_dir(server.directory.path()).status().unwrap().success());
        write_version(&server, "two");
        let old = server.workers();
        server.signal(Signal::SIGHUP);
        server.wait_for_new_workers(&old, 1);
        until::holds(expected, || server.get("/").text() == expected);
    }
}

#[test]
fn static_files_of_apps_are_served_in_development_without_collectstatic() {
    const APPS: &str = "INSTALLED_APPS = ['django.contrib.staticfiles', 'store']
STATIC_URL = 'static/'";
    for (debug, expected) in [("True", (200, "a {}")), ("False", (404, ""))] {
        let project = format!("{}{APPS}", PROJECT.replace("True", debug));
        let setup = django(&views("one")).file("project.py", &project).flag("--development");
        let setup = setup.file("store/__init__.py", "").file("store/static/store/a.css", "a {}");
        let server = setup.start();
        let found = server.get("/static/store/a.css");
        assert_eq!(found.status, expected.0);
        assert!(found.text().contains(expected.1), "{}", found.text());
        assert_eq!(server.get("/").text(), "one");
    }
}
