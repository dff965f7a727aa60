//! Complete applications: a Django shop and a Flask application.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::client::{Connection, Response, request};
use crate::support::directory::Directory;
use crate::support::environment;
use crate::support::load::Load;
use crate::support::server::Server;
use crate::support::setup::{Setup, apps, python};

/// A visitor with a browser: keeps cookies, and the connection.
struct Visitor {
    connection: Connection,
    cookies: BTreeMap<String, String>,
    origin: String,
}

impl Visitor {
    fn new(server: &Server) -> Self {
        let origin = format!("http://{}", server.address());
        Self { connection: server.connect(), cookies: BTreeMap::new(), origin }
    }

    fn get(&mut self, path: &str) -> Response {
        self.ask("GET", path, "", "")
    }

    /// Sends a form with the token that Django wants to see again.
    fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let token = self.cookies.get("csrftoken").cloned().unwrap_or_default();
        let hidden = ("csrfmiddlewaretoken", token.as_str());
        let all = fields.iter().chain([&hidden]);
        let body: Vec<_> = all.map(|(name, value)| format!("{name}={value}")).collect();
        self.ask("POST", path, "application/x-www-form-urlencoded", &body.join("&"))
    }

    /// Sends a form with a file.
    fn upload(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        file: (&str, &str, &str),
    ) -> Response {
        let token = self.cookies.get("csrftoken").cloned().unwrap_or_default();
        let mut body = String::new();
        let hidden = ("csrfmiddlewaretoken", token.as_str());
        for (name, value) in fields.iter().chain([&hidden]) {
            body += &format!(
                "--part\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        let (name, filename, content) = file;
        let disposition = format!("form-data; name=\"{name}\"; filename=\"{filename}\"");
        body += &format!("--part\r\nContent-Disposition: {disposition}\r\n");
        body += &format!("Content-Type: text/plain\r\n\r\n{content}\r\n--part--\r\n");
        self.ask("POST", path, "multipart/form-data; boundary=part", &body)
    }

    fn ask(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Response {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let host = self.origin.trim_start_matches("http://");
        let origin = format!("{}/", self.origin);
        let mut headers = vec![("Cookie", cookies.as_str()), ("Referer", &origin)];
        if !kind.is_empty() {
            headers.push(("Content-Type", kind));
        }
        let text = request(method, path, &headers, body);
        self.connection.send(text.replace("Host: localhost", &format!("Host: {host}")));
        let response = self.connection.response();
        for cookie in response.all("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }
}

/// A shop with its shelf filled, and the password of its admin.
fn open(setup: Setup) -> (Server, String) {
    let setup = setup.flag("--chdir").flag(apps("shop")).flag("config.wsgi:application");
    let data = setup.directory.join("data");
    let collect = &["collectstatic", "--no-input", "--verbosity=0"][..];
    for command in [&["migrate", "--verbosity=0"][..], &["demo"], collect] {
        let manage = apps("shop").join("manage.py");
        let mut command_line = Command::new(python());
        environment::clear(&mut command_line).env("SHOP_DATA", &data);
        let output = command_line.arg(manage).args(command).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let server = setup.variable("SHOP_DATA", data).start();
    let password = server.directory.read("data/admin-password");
    (server, password)
}

fn shop() -> (Server, String) {
    let python = Setup::bare().flag("--python").flag(python());
    let flags = ["--bind", "127.0.0.1:0", "--workers", "2", "--static", "auto"];
    open(python.flags(&flags).patient())
}

fn login(visitor: &mut Visitor, password: &str) {
    assert_eq!(visitor.get("/admin/login/").status, 200);
    let fields = [("username", "admin"), ("password", password), ("next", "/admin/")];
    let response = visitor.post("/admin/login/?next=/admin/", &fields);
    assert_eq!((response.status, response.header("location")), (302, Some("/admin/")));
    assert!(visitor.get("/admin/").text().contains("Narwhal"));
}

#[test]
fn the_shop_shows_its_shelf_as_a_page_and_as_json() {
    let (server, _) = shop();
    let mut visitor = Visitor::new(&server);
    assert!(visitor.get("/").text().contains("Pocket notebook"));
    let products = visitor.get("/products.json").json();
    assert_eq!(products["products"].as_array().unwrap().len(), 7);
    assert_eq!(visitor.get("/nothing/here/").status, 404);
}

#[test]
fn the_admin_of_the_shop_has_its_style_sheets_and_scripts() {
    let (server, password) = shop();
    let mut visitor = Visitor::new(&server);
    login(&mut visitor, &password);
    let page = visitor.get("/admin/store/product/add/").text();
    let links = page.split('"').filter(|link| link.starts_with("/static/"));
    let mut links: Vec<_> = links.map(str::to_owned).collect();
    assert!(links.contains(&"/static/admin/css/base.css".to_owned()), "{page}");
    links.sort();
    links.dedup();
    for link in links {
        let file = visitor.get(&link);
        let kind = file.header("content-type").unwrap_or_default().to_owned();
        let expected = if link.ends_with(".css") { "text/css" } else { "" };
        assert!(file.status == 200 && kind.starts_with(expected), "{link}: {kind}");
    }
    assert_eq!(visitor.get("/static/admin/css/missing.css").status, 404);
}

#[test]
fn the_shop_sells_with_a_session_a_form_and_an_upload() {
    let (server, _) = shop();
    let mut visitor = Visitor::new(&server);
    visitor.get("/products/logbook/");
    assert_eq!(visitor.post("/products/logbook/put/", &[("quantity", "3")]).status, 302);
    assert!(visitor.get("/basket/").text().contains("Basket (3)"));
    let artwork = "x".repeat(200_000);
    let fields = [("name", "Ada"), ("email", "ada@example.org")];
    let response = visitor.upload("/basket/", &fields, ("artwork", "cover.txt", &artwork));
    assert_eq!((response.status, response.header("location")), (302, Some("/thanks/")));
    let page = visitor.get("/thanks/").text();
    assert!(page.contains("Thank you, Ada") && page.contains("54.00"), "{page}");
    assert_eq!(server.directory.read("data/uploads/artwork/cover.txt"), artwork);
    assert_eq!(Visitor::new(&server).get("/thanks/").status, 404, "another session");
}

#[test]
fn the_shop_refuses_a_form_without_its_token() {
    let (server, _) = shop();
    let mut visitor = Visitor::new(&server);
    visitor.get("/products/logbook/");
    visitor.cookies.clear();
    assert_eq!(visitor.post("/products/logbook/put/", &[("quantity", "3")]).status, 403);
}

#[test]
fn the_shop_is_run_from_behind_the_counter() {
    let (server, password) = shop();
    let mut visitor = Visitor::new(&server);
    assert_eq!(visitor.get("/orders.csv").status, 302, "only for staff");
    login(&mut visitor, &password);
    let fields = [
        ("name", "Blotting paper"),
        ("slug", "blotting-paper"),
        ("description", "Drinks ink."),
        ("price", "2.50"),
        ("stock", "30"),
    ];
    let sheet = "weight: 250 g\n".repeat(10_000);
    let response =
        visitor.upload("/admin/store/product/add/", &fields, ("sheet", "sheet.txt", &sheet));
    assert_eq!(
        (response.status, response.header("location")),
        (302, Some("/admin/store/product/"))
    );
    assert!(visitor.get("/products/blotting-paper/").text().contains("Drinks ink."));
    let file = visitor.get("/products/blotting-paper/sheet/");
    assert!(file.text() == sheet && file.header("content-length") == Some("140000"));
}

#[test]
fn the_shop_streams_its_orders() {
    let (server, password) = shop();
    let mut visitor = Visitor::new(&server);
    for _ in 0..3 {
        visitor.get("/products/logbook/");
        visitor.post("/products/logbook/put/", &[("quantity", "1")]);
        visitor.post("/basket/", &[("name", "Ada"), ("email", "ada%40example.org")]);
    }
    login(&mut visitor, &password);
    let response = visitor.get("/orders.csv");
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.text().lines().count(), 4, "{}", response.text());
    assert!(response.text().contains("logbook,1,18.00"));
}

#[test]
fn the_shop_stays_open_while_it_is_reloaded() {
    let (server, _) = shop();
    let load = Load::start(server.address(), 4);
    load.proceed(20);
    for _ in 0..2 {
        let old = server.workers();
        server.signal(nix::sys::signal::Signal::SIGHUP);
        server.wait_for_new_workers(&old, 2);
        load.proceed(20);
    }
    load.finish();
}

fn flask(threads: usize) -> Server {
    let setup = Setup::bare().flag("--python").flag(python()).threads(threads);
    let setup = setup.flags(&["--bind", "127.0.0.1:0", "--workers", "2", "--chdir"]);
    setup.flag(apps("flaskapp")).flag("app:app").start()
}

#[test]
fn flask_answers_with_json_forms_and_sessions() {
    let server = flask(2);
    let mut visitor = Visitor::new(&server);
    assert_eq!(visitor.get("/").text(), "Hello, stranger\n");
    let response = visitor.post("/name", &[("name", "Grace")]);
    assert_eq!((response.status, response.header("location")), (303, Some("/")));
    assert_eq!(visitor.get("/").text(), "Hello, Grace\n");
    let sum = visitor.ask("POST", "/sum", "application/json", "{\"numbers\": [1, 2, 3]}");
    assert_eq!(sum.json()["sum"], 6);
    assert_eq!(visitor.ask("POST", "/sum", "application/json", "{").status, 400);
}

#[test]
fn flask_takes_uploads_and_streams() {
    let server = flask(1);
    let mut visitor = Visitor::new(&server);
    let content = "0123456789".repeat(100_000);
    let answer = visitor.upload("/upload", &[], ("file", "numbers.txt", &content)).json();
    assert_eq!((&answer["name"], &answer["size"]), (&"numbers.txt".into(), &1_000_000.into()));
    let rows = visitor.get("/rows/2000");
    assert_eq!(rows.header("transfer-encoding"), Some("chunked"));
    assert_eq!(rows.text().lines().last(), Some("row 1999"));
    let source = std::fs::read_to_string(apps("flaskapp").join("app.py")).unwrap();
    assert_eq!(visitor.get("/source").text(), source);
    let too_large = "x".repeat(9 * 1024 * 1024);
    assert_eq!(visitor.upload("/upload", &[], ("file", "large", &too_large)).status, 413);
}

#[test]
fn flask_answers_errors_in_its_own_way() {
    let server = flask(1);
    server.allow("ERROR in app");
    server.allow("Traceback");
    let mut visitor = Visitor::new(&server);
    assert_eq!(visitor.get("/teapot").status, 418);
    assert_eq!(visitor.get("/broken").status, 500);
    assert_eq!(visitor.get("/nowhere").status, 404);
    server.wait_for_log("broken on purpose");
}

#[test]
fn a_shop_without_a_database_responds_with_an_error_that_discloses_nothing() {
    let data = Directory::new();
    let setup = Setup::bare().flag("--python").flag(python()).flags(&["--bind", "127.0.0.1:0"]);
    let setup = setup.flag("--chdir").flag(apps("shop")).variable("SHOP_DATA", data.path());
    let server = setup.flag("config.wsgi").start();
    for text in ["ERROR", "Traceback"] {
        server.allow(text);
    }
    let response = server.get("/");
    assert_eq!(response.status, 500);
    assert!(!response.text().contains("store_product"), "{}", response.text());
    server.wait_for_log("no such table");
}
