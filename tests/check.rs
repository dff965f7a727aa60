//! `monoceros check`: what the operator should correct, as lines and as an exit code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use nix::unistd::geteuid;

use crate::support::certificate::Authority;
use crate::support::server::Finished;
use crate::support::setup::{Setup, python};

/// A Django project; `SETTINGS` stands for some of its settings.
const SETTINGS: &str = "
SECRET_KEY = 'only for tests' + 'x' * 50
ROOT_URLCONF = 'urls'
ALLOWED_HOSTS = ['shop.example.org']
SETTINGS
";
const WSGI: &str = "
import os
os.environ['DJANGO_SETTINGS_MODULE'] = 'project'
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
";

/// The settings by which Django's own check has no message.
const SAFE: &str = "
MIDDLEWARE = [
    'django.middleware.security.SecurityMiddleware',
    'django.middleware.csrf.CsrfViewMiddleware',
    'django.middleware.clickjacking.XFrameOptionsMiddleware',
]
SECURE_HSTS_SECONDS = 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_SSL_REDIRECT = True
CSRF_COOKIE_SECURE = True
";

/// A check with these words behind the command.
fn check(words: &[&str]) -> Setup {
    Setup::bare().flag("check").flags(words).flag("--python").flag(python())
}

fn django(words: &[&str], settings: &str) -> Finished {
    let project = SETTINGS.replace("SETTINGS", settings);
    let setup = check(words).file("project.py", &project).file("wsgi.py", WSGI);
    setup.file("urls.py", "urlpatterns = []\n").flags(&["--pythonpath=.", "wsgi"]).run()
}

/// The lines of a check. Root is advised to run the application as another user.
fn lines(end: &Finished) -> Vec<&str> {
    let is_advice = |line: &&str| geteuid().is_root() && line.starts_with("user: ");
    end.stdout.lines().filter(|line| !is_advice(line)).collect()
}

#[test]
fn an_application_without_a_concern_is_checked_in_silence() {
    let setup = Setup::bare().flag("check").apps().flag("environ");
    let end = setup.run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), ""), "{}", end.stderr);
    let end = django(&["--deploy"], SAFE);
    assert!(lines(&end).is_empty(), "{}{}", end.stdout, end.stderr);
    let is_root = geteuid().is_root();
    assert_eq!(end.code, Some(i32::from(is_root)), "{}", end.stderr);
    assert_eq!(end.stdout.contains("runs as root"), is_root);
}

#[test]
fn an_application_that_cannot_be_loaded_fails_its_check() {
    for application in ["raising", "missing", "nowhere:application"] {
        for words in [&["check"][..], &["check", "--deploy"]] {
            let end = Setup::bare().flags(words).apps().flag(application).run();
            assert_eq!(end.code, Some(1), "{application}: {}", end.stderr);
            assert!(end.stderr.contains("[ERROR]"), "{application}: {}", end.stderr);
        }
    }
}

#[test]
fn settings_that_are_wrong_fail_a_check_with_a_line_each() {
    let end = check(&["--deploy", "--timeout", "soon", "shop"]).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(2), ""), "{}", end.stderr);
    assert!(end.stderr.contains("--timeout: "), "{}", end.stderr);
    let end = check(&["--deplooy", "shop"]).run();
    assert_eq!(end.code, Some(2), "{}", end.stderr);
    assert!(end.stderr.contains("--deplooy: unknown flag"), "{}", end.stderr);
}

#[test]
fn a_check_before_a_deployment_has_django_s_messages_too() {
    let end = django(&["--deploy"], "DEBUG = True");
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    let lines = lines(&end);
    assert!(lines.iter().any(|it| it.starts_with("debug: Django's DEBUG is True")), "{lines:?}");
    for code in ["security.W018", "security.W003", "security.W001"] {
        let message = format!("django: ({code}) ");
        assert!(lines.iter().any(|it| it.starts_with(&message)), "{code}: {lines:?}");
    }
    assert!(lines.iter().all(|it| it.starts_with("django: ") || it.starts_with("debug: ")));
    let end = django(&["--deploy"], "SILENCED_SYSTEM_CHECKS = ['security.W003']");
    assert!(!end.stdout.contains("security.W003"), "{}", end.stdout);
    assert!(end.stdout.contains("security.W001"), "{}", end.stdout);
}

#[test]
fn debugging_is_a_concern_of_every_deployment_and_of_public_addresses() {
    let debug = "DEBUG = True";
    let end = django(&["--bind", "0.0.0.0:80"], debug);
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    let line = "debug: Django's DEBUG is True";
    assert!(end.stdout.starts_with(line) && end.stdout.lines().count() == 1, "{}", end.stdout);
    assert!(end.stdout.contains("other machines can reach http://0.0.0.0:80"), "{}", end.stdout);
    for words in [&["--bind", "127.0.0.1:80"][..], &["--bind", "0.0.0.0:80", "--debug-guard=off"]] {
        let end = django(words, debug);
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), ""), "{words:?}: {}", end.stderr);
    }
    let end = django(&["--bind", "0.0.0.0:80", "--debug-guard=refuse"], debug);
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""));
    assert!(end.stderr.contains("cannot boot: debug-guard: refuse: Django"), "{}", end.stderr);
    let end = django(&["--deploy", "--debug-guard=refuse"], debug);
    assert!(end.stdout.contains(line), "{}{}", end.stdout, end.stderr);
}

#[test]
fn a_check_before_a_deployment_finds_what_the_settings_lack() {
    let words = ["--deploy", "--bind=:80", "--timeout=0", "--limit-request-body=0"];
    let end = Setup::bare().flag("check").apps().flags(&words).flag("environ").run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    let begins: Vec<_> = lines(&end).iter().map(|it| it.split(':').next().unwrap()).collect();
    assert_eq!(begins, ["bind", "timeout", "limit-request-body"], "{}", end.stdout);
    let words = ["--deploy", "--bind=:80", "--forwarded-allow-ips=10.0.0.0/8"];
    let end = Setup::bare().flag("check").apps().flags(&words).flag("environ").run();
    assert!(lines(&end).is_empty(), "{}", end.stdout);
    let end = django(&["--static", "auto", "--static", "/a/=missing"], "STATIC_URL = 'static/'");
    let texts = ["static: auto serves nothing: STATIC_ROOT", "static: cannot find "];
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(texts.iter().all(|text| end.stdout.contains(text)), "{}", end.stdout);
    assert_eq!(end.stdout.lines().count(), 2, "{}", end.stdout);
    // A warning about a setting is a concern as well.
    let words = ["--suppress-ragged-eofs=false", "environ"];
    let end = Setup::bare().flag("check").apps().flags(&words).run();
    assert!(end.code == Some(1) && end.stdout.contains("suppress-ragged-eofs"), "{}", end.stdout);
}

#[test]
fn files_with_secrets_that_every_user_can_read_are_found() {
    let found = |mode: u32, directory: u32| {
        let certificate = Authority::new("test").server(&["localhost"]).issue();
        let setup = Setup::bare().flags(&["check", "--deploy"]).certificate(&certificate).apps();
        let setup = setup
            .file("monoceros.yaml", "env: {SHOP_SECRET_KEY: abc, LANG: C}\n")
            .file(".env", "PASSWORD=abc\n")
            .flag("environ");
        for name in ["certificate-0.key", "monoceros.yaml", ".env"] {
            let path = setup.directory.join(name);
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let path = setup.directory.path().to_owned();
        fs::set_permissions(path, Permissions::from_mode(directory)).unwrap();
        setup.run()
    };
    let end = found(0o644, 0o755);
    let lines = lines(&end);
    assert_eq!(lines.len(), 3, "{lines:?}{}", end.stderr);
    for (line, parts) in lines.iter().zip([
        ["certificate-0.key: ", "a private key"],
        ["monoceros.yaml: ", "env with SHOP_SECRET_KEY:"],
        [".env: ", "(mode 0644)"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    for (mode, directory) in [(0o600, 0o755), (0o640, 0o755), (0o644, 0o750)] {
        let end = found(mode, directory);
        assert!(self::lines(&end).is_empty(), "{mode:o} {directory:o}: {}", end.stdout);
    }
}

#[test]
fn a_program_is_not_run_by_its_check() {
    let words =
        ["check", "--deploy", "--worker-class=exec", "--bind=:80", "--", "sh", "-c", "exit 9"];
    let end = Setup::bare().flags(&words).run();
    assert!(lines(&end).is_empty(), "{}{}", end.stdout, end.stderr);
    assert_eq!(end.code, Some(i32::from(geteuid().is_root())), "{}", end.stderr);
}
