//! Debuggers that were left on (`debug-guard`), on listeners that other machines can reach.

use nix::sys::signal::Signal;

use crate::support::process;
use crate::support::setup::{Setup, python};

/// A Django project of one file; `SETTINGS` stands for some of its settings.
const DJANGO: &str = "
from django.conf import settings
settings.configure(ALLOWED_HOSTS=['*'], ROOT_URLCONF='project', SETTINGS)
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path('', lambda request: HttpResponse('hello'))]
application = get_wsgi_application()
";

/// A part of the first line of the warning.
const WARNING: &str = "DEBUG IS ON";

fn django(settings: &str) -> String {
    DJANGO.replace("SETTINGS", settings)
}

/// A server for the application in this code, which listens at this address.
fn setup(code: &str, bind: &str) -> Setup {
    let setup = Setup::bare().flag("--python").flag(python()).file("project.py", code);
    setup.flags(&["--bind", bind, "--pythonpath=.", "project"])
}

#[test]
fn debugging_on_a_public_listener_is_logged_once_for_a_generation() {
    for flags in [&["--workers=3"][..], &["--workers=3", "--preload"]] {
        let server = setup(&django("DEBUG=True"), "0.0.0.0:0").flags(flags).start();
        server.allow(WARNING);
        server.allow("died");
        let log = server.log();
        assert_eq!(log.matches(WARNING).count(), 1, "{log}");
        assert!(log.contains("Django's DEBUG is True"), "{log}");
        assert!(log.contains("other machines can reach http://0.0.0.0:"), "{log}");
        let served = server.get("/").text();
        assert_eq!(served, "hello");
        // A worker that replaces another one has the same code.
        let (old, ready) = (server.workers(), server.log().matches(" ready").count());
        process::signal(*old.last().unwrap(), Signal::SIGKILL);
        server.wait_for_log_times(" ready", ready + 1);
        assert_eq!(server.log().matches(WARNING).count(), 1, "{}", server.log());
        server.signal(Signal::SIGHUP);
        server.wait_for_log("reloaded");
        assert_eq!(server.log().matches(WARNING).count(), 2, "{}", server.log());
    }
}

#[test]
fn the_warning_is_logged_at_every_log_level() {
    let server = setup(&django("DEBUG=True"), "0.0.0.0:0").flags(&["--log-level=error"]).spawn();
    server.allow(WARNING);
    server.wait_for_log(WARNING);
}

#[test]
fn debugging_on_this_machine_alone_is_no_concern() {
    for bind in ["127.0.0.1:0", "[::1]:0", "unix:debug.sock"] {
        let setup = setup(&django("DEBUG=True"), bind).flags(&["--debug-guard=refuse"]);
        let server = setup.start();
        assert!(!server.log().contains(WARNING), "{bind}: {}", server.log());
    }
    for (code, flag) in
        [("DEBUG=False", "--debug-guard=refuse"), ("DEBUG=True", "--debug-guard=off")]
    {
        let server = setup(&django(code), "0.0.0.0:0").flags(&[flag]).start();
        assert!(!server.log().contains("debug"), "{code} {flag}: {}", server.log());
    }
}

#[test]
fn a_debugger_is_found_where_it_can_be_seen() {
    let flask = "from flask import Flask\napp = Flask('shop')\n";
    let debugged = format!("{flask}app.debug = True\n");
    let tools = "from werkzeug.debug import DebuggedApplication\n\
                 from werkzeug.middleware.dispatcher import DispatcherMiddleware\n\
                 from werkzeug.middleware.proxy_fix import ProxyFix\n";
    let closure = "def wrap(inner):\n    def outer(environ, start_response):\n        \
                   return inner(environ, start_response)\n    return outer\n";
    let (is_flask, is_werkzeug) = ("Flask's debug is True", "werkzeug's debugger");
    for (code, found) in [
        (django("DEBUG=True"), "Django's DEBUG is True"),
        (
            django("DEBUG=False, MIDDLEWARE=['debug_toolbar.middleware.DebugToolbarMiddleware']")
                .replace("get_wsgi_application()\n", "id\n"),
            "the Django Debug Toolbar is installed",
        ),
        (format!("{debugged}application = app\n"), is_flask),
        (format!("{debugged}{tools}application = ProxyFix(ProxyFix(app))\n"), is_flask),
        (format!("{debugged}{closure}application = wrap(wrap(app))\n"), is_flask),
        (
            format!(
                "{debugged}def application(environ, start_response):\n    \
                 return app(environ, start_response)\n"
            ),
            is_flask,
        ),
        (
            format!(
                "import functools\n{debugged}def call(app, environ, start_response):\n    \
                 return app(environ, start_response)\n\
                 application = functools.partial(call, app)\n"
            ),
            is_flask,
        ),
        (
            format!(
                "{flask}{tools}app.wsgi_app = DebuggedApplication(app.wsgi_app)\napplication = app\n"
            ),
            is_werkzeug,
        ),
        (
            format!(
                "{flask}{tools}application = DispatcherMiddleware(app, \
                 {{'/admin': DebuggedApplication(app, evalex=True)}})\n"
            ),
            is_werkzeug,
        ),
        (
            format!(
                "{flask}{tools}class Slotted:\n    __slots__ = 'inner',\n    \
                 def __init__(self, inner):\n        self.inner = inner\n    \
                 def __call__(self, environ, start_response):\n        \
                 return self.inner(environ, start_response)\n\
                 application = Slotted(DebuggedApplication(app))\n"
            ),
            is_werkzeug,
        ),
    ] {
        let end = setup(&code, "0.0.0.0:0").flags(&["--debug-guard=refuse"]).run();
        assert_eq!(end.code, Some(3), "{code}\n{}", end.stderr);
        let reason = format!("cannot boot: debug-guard: refuse: {found}");
        assert!(end.stderr.contains(&reason), "{code}\n{}", end.stderr);
        assert!(end.stderr.contains("other machines can reach http://0.0.0.0:"), "{}", end.stderr);
    }
}

#[test]
fn a_reload_with_debugging_left_on_keeps_the_old_workers() {
    for flags in [&["--debug-guard=refuse"][..], &["--debug-guard=refuse", "--preload"]] {
        let server = setup(&django("DEBUG=False"), "0.0.0.0:0").flags(flags).start();
        server.allow("debug-guard: refuse");
        let old = server.workers();
        server.directory.write("project.py", &django("DEBUG=True"));
        server.signal(Signal::SIGHUP);
        server.wait_for_log("reload failed");
        assert_eq!(server.get("/").text(), "hello");
        assert!(old.iter().all(|pid| server.workers().contains(pid)), "{}", server.log());
    }
}
