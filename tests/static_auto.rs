//! `static: auto`: the static files of the loaded Django project.

use nix::sys::signal::Signal;

use crate::support::server::Server;
use crate::support::setup::{Setup, python};
use crate::support::until;

/// The settings of a Django project; `SETTINGS` stands for some of them.
const PROJECT: &str = "
from pathlib import Path
BASE = Path(__file__).resolve().parent
SECRET_KEY = 'only for tests'
ROOT_URLCONF = 'urls'
ALLOWED_HOSTS = ['*']
INSTALLED_APPS = ['django.contrib.staticfiles', 'store']
SETTINGS
";
const WSGI: &str = "
import os
os.environ['DJANGO_SETTINGS_MODULE'] = 'project'
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
";
/// Shows which settings Django has stored, and then the URL of a static file.
const URLS: &str = "
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.templatetags.static import static
from django.urls import path

def stored(request):
    names = sorted(vars(settings))
    return JsonResponse({'stored': names, 'static': static('a.css')})

urlpatterns = [path('', lambda request: HttpResponse('hello')), path('stored', stored)]
";

/// A server for a Django project with these settings.
fn project(settings: &str) -> Setup {
    let setup = Setup::bare().flag("--python").flag(python());
    let setup = setup
        .file("project.py", &PROJECT.replace("SETTINGS", settings))
        .file("wsgi.py", WSGI)
        .file("urls.py", URLS)
        .file("store/__init__.py", "");
    setup.flags(&["--bind", "127.0.0.1:0", "--pythonpath=.", "wsgi"])
}

fn with_static(settings: &str) -> Setup {
    project(settings).flags(&["--static", "auto"])
}

/// The status and the body of a response.
fn fetch(server: &Server, target: &str) -> (u16, String) {
    let response = server.get(target);
    (response.status, response.text())
}

#[test]
fn static_files_are_served_from_static_root_below_the_path_of_static_url() {
    for (url, prefix) in [
        ("static/", "/static/"),
        ("/assets/", "/assets/"),
        ("/a/b/", "/a/b/"),
        ("https://cdn.example.org/static/", "/static/"),
        ("//cdn.example.org/c/", "/c/"),
        ("/st%C3%A4tic/", "/st%c3%a4tic/"),
    ] {
        let settings = format!("STATIC_URL = '{url}'\nSTATIC_ROOT = BASE / 'collected'");
        let setup = with_static(&settings).file("collected/a.css", "a {}").flag("--preload");
        let server = setup.start();
        assert_eq!(fetch(&server, &format!("{prefix}a.css")), (200, "a {}".to_owned()), "{url}");
        assert_eq!(fetch(&server, &format!("{prefix}b.css")).0, 404, "{url}");
        assert_eq!(fetch(&server, "/"), (200, "hello".to_owned()), "{url}");
        assert!(!server.log().contains("[WARNING]"), "{url}: {}", server.log());
    }
}

#[test]
fn a_script_name_is_in_front_of_a_relative_url_alone() {
    for (settings, variable, prefixes) in [
        ("STATIC_URL = 'static/'", "/shop", &["/shop/static/"][..]),
        ("STATIC_URL = '/shop/static/'", "/shop", &["/shop/static/"]),
        ("STATIC_URL = '/static/'", "/shop", &["/static/"]),
        // A proxy removes the script name, or does not.
        (
            "STATIC_URL = 'static/'; FORCE_SCRIPT_NAME = '/shop/'",
            "",
            &["/shop/static/", "/static/"],
        ),
    ] {
        let settings = format!("{settings}\nSTATIC_ROOT = BASE / 'collected'");
        let setup = with_static(&settings).file("collected/a.css", "a {}");
        let server = setup.variable("SCRIPT_NAME", variable).start();
        for prefix in prefixes {
            let found = fetch(&server, &format!("{prefix}a.css"));
            assert_eq!(found, (200, "a {}".to_owned()), "{settings}: {prefix}");
        }
    }
}

#[test]
fn the_project_does_not_notice_that_it_was_asked() {
    for debug in ["True", "False"] {
        let settings =
            format!("STATIC_URL = 'static/'; DEBUG = {debug}\nSTATIC_ROOT = BASE / 'collected'");
        let stored = |setup: Setup| {
            let setup = setup.file("collected/a.css", "a {}").variable("SCRIPT_NAME", "/shop");
            setup.start().get("/shop/stored").json()
        };
        let asked = stored(with_static(&settings).flags(&["--allowed-hosts", "auto"]));
        assert_eq!(asked, stored(project(&settings)), "DEBUG = {debug}");
        assert_eq!(asked["static"], "/shop/static/a.css");
    }
}

#[test]
fn with_debug_the_finders_name_the_directories() {
    let settings = "DEBUG = True; STATIC_URL = 'static/'\n\
                    STATICFILES_DIRS = [BASE / 'own', ('images', BASE / 'pictures')]";
    let server = with_static(settings)
        .file("own/a.css", "own")
        .file("own/images/b.png", "not in pictures")
        .file("pictures/a.png", "picture")
        .file("store/static/a.css", "hidden by own")
        .file("store/static/store/c.css", "of an app")
        .start();
    for (path, content) in [
        ("a.css", "own"),
        ("images/a.png", "picture"),
        ("images/b.png", "not in pictures"),
        ("store/c.css", "of an app"),
    ] {
        let found = fetch(&server, &format!("/static/{path}"));
        assert_eq!(found, (200, content.to_owned()), "{path}");
    }
    assert_eq!(fetch(&server, "/static/pictures/a.png").0, 404);
    assert!(!server.log().contains("[WARNING]"), "{}", server.log());
}

#[test]
fn a_finder_that_is_not_django_s_is_named() {
    let settings = "DEBUG = True; STATIC_URL = 'static/'\n\
                    STATICFILES_DIRS = [BASE / 'own']\n\
                    STATICFILES_FINDERS = ['store.finder.Finder', \
                    'django.contrib.staticfiles.finders.FileSystemFinder', 'store.missing.Finder']";
    let finder = "from django.contrib.staticfiles.finders import BaseFinder\n\
                  class Finder(BaseFinder):\n    def find(self, path, **kwargs):\n        \
                  return []\n    def list(self, ignore_patterns):\n        return []\n";
    let setup = with_static(settings).file("store/finder.py", finder).file("own/a.css", "own");
    let server = setup.start();
    assert_eq!(fetch(&server, "/static/a.css"), (200, "own".to_owned()));
    let log = server.log();
    assert!(log.contains("the finder store.finder.Finder are not served"), "{log}");
    assert!(log.contains("the finder store.missing.Finder failed: No module named"), "{log}");
}

#[test]
fn what_is_missing_is_a_warning_with_advice_once_for_a_generation() {
    let collected = "STATIC_URL = 'static/'; STATIC_ROOT = BASE / 'collected'";
    for (settings, text) in [
        ("STATIC_URL = 'static/'", "STATIC_ROOT of the Django project is not set"),
        (collected, "collected, does not exist: run manage.py collectstatic"),
        ("STATIC_ROOT = BASE", "STATIC_URL is not set"),
        ("STATIC_ROOT = BASE; STATIC_URL = 'https://cdn.example.org/'", "has no path of its own"),
    ] {
        let server = with_static(settings).flags(&["--workers", "2"]).start();
        let warnings = || server.log().matches("[WARNING]").count();
        assert!(server.log().contains(text) && warnings() == 1, "{text}: {}", server.log());
        assert_eq!(fetch(&server, "/"), (200, "hello".to_owned()), "{text}");
        server.signal(Signal::SIGHUP);
        server.wait_for_log("reloaded");
        assert_eq!(warnings(), 2, "{}", server.log());
    }
    let setup = Setup::of("environ").flags(&["--static", "auto"]);
    let server = setup.start();
    let log = server.log();
    assert!(log.contains("static: auto serves nothing: no Django project is loaded"), "{log}");
    assert_eq!(log.matches("[WARNING]").count(), 1, "{log}");
}

#[test]
fn files_that_are_collected_later_are_served() {
    let settings = "STATIC_URL = 'static/'; STATIC_ROOT = BASE / 'collected'";
    let server = with_static(settings).start();
    assert_eq!(fetch(&server, "/static/a.css").0, 404);
    server.directory.write("collected/a.css", "late");
    until::holds("the collected file", || fetch(&server, "/static/a.css").0 == 200);
}
