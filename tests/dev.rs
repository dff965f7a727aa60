//! `monoceros dev`: the application that it finds, and the terminal of a developer.

use crate::support::client::Connection;
use crate::support::console::Console;
use crate::support::directory::Directory;
use crate::support::setup::{Setup, own_ip, program, python};
use crate::support::until;

const ADDRESS: &str = "--bind 127.0.0.1:0";

/// An application that waits for a debugger at `/debug`, and never responds at `/slow`.
const APPLICATION: &str = r#"
import os, threading

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        open("slow", "w").close()
        threading.Event().wait()
    secret = "one"
    if path == "/debug":
        breakpoint()
    status = "404 Not Found" if path == "/missing" else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [secret.encode()]
"#;

fn project() -> Directory {
    let directory = Directory::new();
    directory.write("app.py", APPLICATION);
    directory
}

#[test]
fn dev_finds_the_application_and_shows_requests_in_colours() {
    let project = project();
    let mut console = Console::run(project.path(), &format!("dev {ADDRESS}"), &[]);
    let mut client = console.connect();
    assert_eq!(client.get("/?page=2").text(), "one");
    assert_eq!(client.get("/missing").status, 404);
    let screen = console.wait_for("GET /missing 404 ");
    for part in ["serving app:application at ", "\x1b[32mGET /?page=2 200 ", " ms\x1b[0m\r\n"] {
        assert!(screen.contains(part), "{part:?} in {screen}");
    }
    assert!(screen.contains("\x1b[33mGET /missing 404 "), "{screen}");
    console.press("\x03");
    assert_eq!(console.wait_for_exit(), 0);
}

#[test]
fn dev_finds_a_project_of_django_below_the_directory() {
    let project = Directory::new();
    let manage = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
    let settings = "SECRET_KEY = 'only for tests'\nDEBUG = True\n\
        INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.sessions']\n\
        DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db'}}\n\
        SESSION_COOKIE_AGE, LANGUAGE_CODE = 1, '?'\nROOT_URLCONF = 'shop.urls'\nWSGI_APPLICATION = 'shop.wsgi.application'\n";
    let wsgi = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n\
        from django.core.wsgi import get_wsgi_application\n\
        application = get_wsgi_application()\n";
    let urls = "from django.http import HttpResponse\nfrom django.urls import path\n\
        urlpatterns = [path('', lambda request: HttpResponse('of django'))]\n";
    for (name, text) in [
        ("web/manage.py", manage),
        ("web/shop/settings.py", settings),
        ("web/shop/wsgi.py", wsgi),
        ("web/shop/urls.py", urls),
    ] {
        project.write(name, text);
    }
    let words = format!("dev {ADDRESS} --chdir web");
    let console = Console::run(project.path(), &words, &[]);
    console.wait_for("serving shop.wsgi:application at ");
    assert_eq!(console.connect().get("/").text(), "of django");
    console.wait_for("of contenttypes, sessions; run manage.py migrate");
    assert!(console.screen().contains("django: (translation.E004)"), "{}", console.screen());
    drop(console);
    let mut lost = Console::run(project.path(), "dev", &[]);
    assert_eq!(lost.wait_for_exit(), 1);
    lost.wait_for("there is web/manage.py: add --chdir web");
}

#[test]
fn an_edit_is_served_and_a_mistake_is_shown_to_a_browser_only() {
    let project = project();
    let console = Console::run(project.path(), &format!("dev {ADDRESS}"), &[]);
    let address = console.address();
    let ask = |accept: &str| {
        let mut client = Connection::tcp(address).unwrap();
        client.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"));
        client.response()
    };
    assert_eq!(ask("text/html").text(), "one");
    project.write("app.py", &APPLICATION.replace("one", "two"));
    until::holds("the edit", || ask("*/*").text() == "two");
    project.write("app.py", "def application(:\n");
    until::holds("the page", || ask("text/html").status == 500);
    assert!(ask("text/html").text().contains("SyntaxError"));
    assert_eq!(ask("*/*").text(), "two");
    project.write("app.py", APPLICATION);
    until::holds("the correction", || ask("text/html").text() == "one");
}

/// Raises in a view. Without debug mode Flask itself responds to that.
const FAILING: &str = "
from flask import Flask
shop = Flask(__name__)

@shop.route('/', methods=['GET', 'POST'])
def basket():
    raise ValueError('no <basket>')

@shop.route('/name')
def name():
    return 'of Flask'

def make(name=None):
    return shop
";

#[test]
fn an_exception_is_shown_to_a_browser_only() {
    let project = Directory::new();
    project.write("app.py", FAILING);
    let ask = |console: &Console, method: &str, head: &str| {
        let mut client = console.connect();
        client.send(format!("{method} / HTTP/1.1\r\nContent-Length: 0\r\n{head}\r\n\r\n"));
        client.response()
    };
    let console = Console::run(project.path(), &format!("dev {ADDRESS}"), &[]);
    for method in ["GET", "POST"] {
        let page = ask(&console, method, "Host: localhost\r\nAccept: text/html");
        assert_eq!((page.status, page.header("cache-control")), (500, Some("no-store")));
        let text = page.text();
        assert!(text.contains("app.py, line 7</h1>"), "{text}");
        assert!(text.contains("ValueError: no &lt;basket&gt;"), "{text}");
    }
    for head in ["Host: localhost\r\nAccept: */*", "Host: example.com\r\nAccept: text/html"] {
        assert_eq!(ask(&console, "GET", head).text(), "500 Internal Server Error\n");
    }
    console.wait_for("ValueError: no <basket>");
    drop(console);
    let console = Console::run(project.path(), &format!("dev {ADDRESS}"), &[("FLASK_DEBUG", "0")]);
    let page = ask(&console, "GET", "Host: localhost\r\nAccept: text/html");
    assert!(page.status == 500 && !page.text().contains("ValueError"), "{}", page.text());
}

#[test]
fn the_application_and_the_address_are_named_as_for_flask_and_runserver() {
    let project = Directory::new();
    project.write("hello.py", FAILING);
    project.write("app.py", APPLICATION);
    project.write(".flaskenv", "FLASK_APP=hello.py:make\n");
    for (variables, served) in
        [(&[][..], "hello:make()"), (&[("FLASK_APP", "hello")][..], "hello:shop")]
    {
        let console = Console::run(project.path(), "dev 127.0.0.1:0", variables);
        console.wait_for(&format!("serving {served} at http://127.0.0.1:"));
        assert_eq!(console.connect().get("/name").text(), "of Flask");
    }
}

#[test]
fn ctrl_c_ends_a_server_with_requests_at_once() {
    let project = project();
    // No drain: it would last as long as the request does.
    let words = format!("dev {ADDRESS} --graceful-timeout 1h");
    let mut console = Console::run(project.path(), &words, &[]);
    let mut client = console.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    until::holds("the request", || project.join("slow").exists());
    console.press("\x03");
    assert_eq!(console.wait_for_exit(), 0);
    let screen = console.screen();
    assert!(!screen.contains("Traceback") && !screen.contains("ERROR"), "{screen}");
}

#[test]
fn a_debugger_reads_the_terminal() {
    let project = project();
    for threads in ["1", "4"] {
        let words = format!("dev {ADDRESS} --threads {threads}");
        let mut console = Console::run(project.path(), &words, &[]);
        let mut client = console.connect();
        client.send("GET /debug HTTP/1.1\r\nHost: x\r\n\r\n");
        console.wait_for("(Pdb)");
        console.press("secret = 'two'\n");
        console.press("continue\n");
        assert_eq!(client.response().text(), "two");
        console.wait_for("GET /debug 200 ");
    }
}

#[test]
fn ctrl_c_in_a_debugger_ends_the_server_and_restores_the_terminal() {
    let project = project();
    let stty = r"stty -a | tr -s ' ;' '\n' | grep -x -e '-\?echo' -e '-\?icanon' | tr '\n' ' '";
    // The shell does not end at Ctrl-C.
    let line = format!(
        "trap : INT; {} dev {ADDRESS} --threads 1; echo code=$?; {stty}",
        program().display()
    );
    let mut console = Console::shell(project.path(), &line, &[]);
    let mut client = console.connect();
    client.send("GET /debug HTTP/1.1\r\nHost: x\r\n\r\n");
    console.wait_for("(Pdb)");
    console.press("\x03");
    let screen = console.wait_for("echo ");
    assert!(screen.contains("code=0\r\nicanon echo "), "{screen}");
}

#[test]
fn there_are_no_colours_when_they_are_not_wanted() {
    let project = project();
    for variables in [&[("NO_COLOR", "1")][..], &[("TERM", "dumb")]] {
        let console = Console::run(project.path(), &format!("dev {ADDRESS}"), variables);
        console.connect().get("/");
        let screen = console.wait_for("GET / 200 ");
        assert!(!screen.contains('\x1b'), "{screen}");
    }
}

#[test]
fn the_server_ends_with_its_terminal() {
    let project = project();
    // Of no other test, also afterwards.
    let console = Console::run(project.path(), &format!("dev --bind {}:0", own_ip()), &[]);
    let address = console.address();
    // Waits until no process of it is left.
    drop(console);
    assert!(Connection::tcp(address).is_err());
}

#[test]
fn without_a_terminal_lines_go_to_standard_output_without_colours() {
    let setup = Setup::bare().file("wsgi.py", APPLICATION).flags(&["dev", "--bind", "127.0.0.1:0"]);
    let server = setup.flag("--python").flag(python()).start();
    server.get("/a");
    until::holds("the line", || server.directory.read("stdout").starts_with("GET /a 200 "));
    assert!(server.log().contains(&format!("open http://{}/ in a browser", server.address())));
}
