//! Access rules: which clients may send which requests, however they write them.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use nix::sys::signal::Signal;

use crate::given_up::given_up;
use crate::support::certificate::Authority;
use crate::support::client::{Connection, Response, get, request};
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::tls::TlsClient;
use crate::support::until;

/// A server with these lines in its file.
fn setup(lines: &[&str]) -> Setup {
    Setup::of("environ").file("monoceros.yaml", &(lines.join("\n") + "\n"))
}

fn start(lines: &[&str]) -> Server {
    setup(lines).start()
}

/// Connects from another loopback address.
fn from(server: &Server, source: &str) -> Connection {
    Connection::from(source.parse().unwrap(), server.address()).unwrap()
}

fn status_from(server: &Server, source: &str, target: &str) -> u16 {
    from(server, source).get(target).status
}

/// Checks that a connection is closed without a byte, whatever the client sends.
fn assert_closed_at_accept(mut connection: Connection) {
    connection.send_if_taken(get("/")).ok();
    match connection.rest() {
        Ok(rest) => assert_eq!(String::from_utf8_lossy(&rest), ""),
        // The kernel resets a connection that is closed before all of it was read.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// Sends requests over one connection, which is opened again when the server closes it.
struct Client {
    address: SocketAddr,
    connection: Connection,
}

impl Client {
    fn new(server: &Server) -> Self {
        Self { address: server.address(), connection: server.connect() }
    }

    fn ask(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.connection.send(request("GET", target, headers, ""));
        let response = self.connection.response();
        if response.closes() {
            self.connection = Connection::tcp(self.address).unwrap();
        }
        response
    }
}

/// A path with repeated slashes merged and dots resolved, by another program than the server's.
fn canonical(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => (),
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Whether a path is one of these, or beneath it.
fn is_beneath(path: &str, top: &str) -> bool {
    path == top || path.starts_with(&format!("{top}/"))
}

/// The readings of a path that the application got: with and without `SCRIPT_NAME`, as they are
/// and canonical.
fn readings(response: &Response) -> [String; 4] {
    let environ = response.json();
    let text = |name: &str| environ[name].as_str().unwrap().to_owned();
    let (path, whole) = (text("PATH_INFO"), text("SCRIPT_NAME") + &text("PATH_INFO"));
    [canonical(&path), canonical(&whole), path, whole]
}

/// Spellings of paths that mean something beneath `/admin`, to one application or another.
const ADMIN: [&str; 71] = [
    "/admin",
    "/admin/",
    "/admin/users",
    "/admin?a=b",
    "/admin/?a=/../..",
    "/admin/../x",
    "/admin/..",
    "/admin/../../x",
    "/admin/./x",
    "/admin//x",
    "/admin/.//../x",
    "//admin",
    "///admin",
    "////////admin/x",
    "//admin//",
    "//admin/../x",
    "/./admin",
    "/././admin/",
    "/.//admin",
    "//./admin",
    "/../admin",
    "/../../admin",
    "/..//admin",
    "/x/../admin",
    "/x/../admin/y",
    "/x/./../admin",
    "/x//../admin",
    "/x/y/../../admin",
    "/x/../../admin",
    "/administrator/../admin",
    "/admin/../admin",
    "/x/../admin/../y/../admin",
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/%61%64%6D%69%6E/x",
    "/admi%6e",
    "/admin%2f",
    "/admin%2Fx",
    "/admin%2f..%2fx",
    "/%2fadmin",
    "/%2F%2Fadmin",
    "/%2f/admin",
    "/%2e/admin",
    "/%2E%2e/admin",
    "/.%2e/admin",
    "/%2e./admin",
    "/x/%2e%2e/admin",
    "/x/%2e%2e%2fadmin",
    "/x%2f..%2fadmin",
    "/x%2f%2e%2e%2f%61dmin",
    "/x/..%2Fadmin",
    "/x/.%2e/%61dmin/y",
    "/%2e%2f%2e%2e%2fadmin",
    "/x//..//admin",
    "/x/%2f../../admin",
    "http://localhost/admin",
    "http://localhost//admin",
    "http://localhost/%61dmin/x",
    "http://localhost/x/../admin?a",
    "https://localhost:1/admin",
    "/admin/%00",
    "/admin/%",
    "/admin/%zz",
    "/admin/a%20b",
    "/admin/;a=b",
    "/admin/x;/../y",
    "/admin/.well-known",
    "/admin/...",
    "/admin/..;/x",
    "/admin/%2561",
    "/admin/%c0%af",
];

/// Spellings of paths that are not beneath it.
const OTHERS: [&str; 27] = [
    "/",
    "/?/admin",
    "/?a=/../admin",
    "/x",
    "/administrator",
    "/admin.html",
    "/admin-x/y",
    "/admin;x",
    "/admin;/x",
    "/admin%00",
    "/admin%20",
    "/admin%3b/x",
    "/admin%3f",
    "/%2561dmin",
    "/Admin",
    "/ADMIN/x",
    "/x/admin",
    "/x//admin",
    "/.admin",
    "/..admin",
    "/.../admin",
    "/..;/admin",
    "/\\admin",
    "/x\\..\\admin",
    "/%5cadmin",
    "/%c1%a1dmin",
    "http://localhost",
];

#[test]
fn no_spelling_of_a_path_passes_by_a_rule() {
    let server = start(&["access:", "- {deny: all, path: /admin}"]);
    let mut client = Client::new(&server);
    for target in ADMIN {
        let response = client.ask(target, &[]);
        assert_eq!(
            (response.status, response.text().as_str()),
            (403, "403 Forbidden\n"),
            "{target}"
        );
    }
    for target in OTHERS {
        let response = client.ask(target, &[]);
        assert_eq!(response.status, 200, "{target}");
        assert!(readings(&response).iter().all(|path| !is_beneath(path, "/admin")), "{target}");
    }
    let denied = ADMIN.len() as u64;
    until::holds("all of them counted", || given_up(&server, "denied") == denied);
    let lines = server.log().matches("refused 127.0.0.1").count();
    assert_eq!(lines, 10, "lines within a minute");
}

/// Every path of up to four of these pieces.
fn made_paths() -> Vec<String> {
    let pieces = ["/", "/.", "/..", "/admin", "/x", "%2f", "%2e", "admin"];
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..4 {
        last = last.iter().flat_map(|path| pieces.map(|it| path.clone() + it)).collect();
        all.extend_from_slice(&last);
    }
    all.retain(|path| path.starts_with('/'));
    all
}

/// What reaches the application is compared with the rule by the test's own reading of it.
fn check_made_paths(lines: &[&str], headers: &[(&str, &str)], may_pass: impl Fn(&str) -> bool) {
    let server = start(lines);
    let mut client = Client::new(&server);
    let (mut passed, mut refused) = (0, 0);
    for path in made_paths() {
        let response = client.ask(&path, headers);
        match response.status {
            200 => {
                passed += 1;
                assert!(readings(&response).iter().all(|it| may_pass(it)), "{path}");
            }
            403 => refused += 1,
            // Not below the prefix that a proxy has reported.
            400 if !headers.is_empty() => {}
            status => panic!("{path}: {status}"),
        }
    }
    assert!(passed > 10 && refused > 100, "{passed} have passed, {refused} were refused");
}

#[test]
fn no_made_path_passes_by_a_rule_that_denies() {
    check_made_paths(&["access:", "- {deny: all, path: /admin}"], &[], |path| {
        !is_beneath(path, "/admin")
    });
}

#[test]
fn no_made_path_is_let_in_by_a_rule_that_allows() {
    let lines = ["access:", "- {allow: all, path: /x}", "- {deny: all}"];
    // Another client may be allowed, so that this one is not closed at accept.
    check_made_paths(&lines, &[], |path| is_beneath(path, "/x"));
}

#[test]
fn no_made_path_passes_by_a_rule_below_a_prefix() {
    let headers = [("SCRIPT_NAME", "/x")];
    for path in ["/admin", "/x/admin"] {
        let rule = format!("- {{deny: all, path: {path}}}");
        check_made_paths(&["access:", &rule], &headers, |it| !is_beneath(it, path));
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let server = start(&[
        "access:",
        "- {allow: 127.0.0.7}",
        "- {deny: '127.0.0.0/29, 127.0.1.0/24', path: /admin}",
        "- {deny: [127.0.0.9, '::1']}",
        "- {allow: all, path: /open}",
        "- {deny: 127.0.0.10}",
    ]);
    for (source, target, status) in [
        ("127.0.0.7", "/admin", 200),
        ("127.0.0.6", "/admin", 403),
        ("127.0.0.6", "/admin/x", 403),
        ("127.0.0.6", "/", 200),
        ("127.0.1.6", "/admin", 403),
        ("127.0.0.8", "/admin", 200),
        ("127.0.0.10", "/open", 200),
        ("127.0.0.10", "/open/x", 200),
        ("127.0.0.10", "/openly", 403),
        ("127.0.0.10", "/open/../x", 403),
        ("127.0.0.10", "/", 403),
    ] {
        assert_eq!(status_from(&server, source, target), status, "{source} {target}");
    }
    assert_closed_at_accept(from(&server, "127.0.0.9"));
}

#[test]
fn a_rule_may_be_for_some_methods() {
    let server = start(&[
        "access:",
        "- {deny: all, path: /read-only, method: [POST, PUT, DELETE]}",
        "- {deny: all, path: /write-only, method: GET}",
    ]);
    for (method, target, status) in [
        ("POST", "/read-only", 403),
        ("PUT", "/read-only/x", 403),
        ("GET", "/read-only", 200),
        ("HEAD", "/read-only", 200),
        ("GET", "/write-only", 403),
        ("HEAD", "/write-only", 403),
        ("POST", "/write-only", 200),
        ("OPTIONS", "/write-only", 200),
    ] {
        let mut connection = server.connect();
        connection.send(request(method, target, &[], ""));
        let response = connection.try_response(method).unwrap();
        assert_eq!(response.status, status, "{method} {target}");
    }
    let response = server.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(response.status, 200);
}

#[test]
fn the_client_of_a_unix_socket_is_among_all() {
    for (rule, is_closed) in [("deny: all", true), ("deny: 0.0.0.0/0", false)] {
        let lines = format!("bind: unix:socket\naccess:\n- {{{rule}}}\n");
        let server = Setup::bare().apps().flag("environ").file("monoceros.yaml", &lines).start();
        let mut connection = Connection::unix(&server.directory.join("socket")).unwrap();
        if is_closed {
            assert_closed_at_accept(connection);
        } else {
            assert_eq!(connection.get("/").status, 200);
        }
    }
}

#[test]
fn the_rules_of_a_listener_come_before_those_of_the_server() {
    let lines = [
        "bind:",
        "- http://127.0.0.1:0",
        "- {address: 'http://127.0.0.2:0', access: [{allow: 127.0.0.9}, {deny: all, path: /x}]}",
        "access:",
        "- {deny: 127.0.0.9}",
        "- {deny: all, path: /admin}",
    ];
    let setup = Setup::bare().apps().flag("environ");
    let server = setup.file("monoceros.yaml", &(lines.join("\n") + "\n")).start();
    let first = server.address();
    let log = server.ready_line();
    let (_, second) = log.split_once("http://127.0.0.2:").unwrap();
    let digits: String = second.chars().take_while(char::is_ascii_digit).collect();
    let second: SocketAddr = format!("127.0.0.2:{digits}").parse().unwrap();
    let ask = |source: &str, address, target: &str| {
        let source: IpAddr = source.parse().unwrap();
        Connection::from(source, address).unwrap().get(target).status
    };
    for (source, address, target, status) in [
        ("127.0.0.3", first, "/x", 200),
        ("127.0.0.3", first, "/admin", 403),
        ("127.0.0.3", second, "/x", 403),
        ("127.0.0.3", second, "/admin", 403),
        ("127.0.0.3", second, "/", 200),
        ("127.0.0.9", second, "/x", 200),
        ("127.0.0.9", second, "/admin", 200),
    ] {
        assert_eq!(ask(source, address, target), status, "{source} {address} {target}");
    }
    assert_closed_at_accept(Connection::from("127.0.0.9".parse().unwrap(), first).unwrap());
}

#[test]
fn a_client_without_a_chance_is_closed_at_accept() {
    let server = start(&["access:", "- {deny: 127.0.0.8/29, path: /x}", "- {deny: 127.0.0.9}"]);
    for _ in 0..3 {
        assert_closed_at_accept(from(&server, "127.0.0.9"));
    }
    until::holds("each counted", || given_up(&server, "denied") == 3);
    server.wait_for_log("127.0.0.9");
    assert_eq!(status_from(&server, "127.0.0.10", "/x"), 403);
    assert_eq!(status_from(&server, "127.0.0.10", "/"), 200);
}

#[test]
fn an_earlier_rule_for_one_path_keeps_the_connection() {
    let rules = ["access:", "- {allow: 127.0.0.9, path: /health}", "- {deny: 127.0.0.9}"];
    let server = start(&rules);
    let mut connection = from(&server, "127.0.0.9");
    assert_eq!(connection.get("/health").status, 200);
    let response = connection.get("/");
    assert_eq!(response.status, 403);
    until::holds("it is counted", || given_up(&server, "denied") == 1);
}

#[test]
fn a_handshake_of_a_denied_client_is_not_begun() {
    let certificate = Authority::new("tests").server(&["localhost"]).issue();
    let setup = setup(&["access:", "- {deny: 127.0.0.9}"]).certificate(&certificate);
    let server = setup.start();
    let mut connection = from(&server, "127.0.0.9");
    // The beginning of a record with a handshake.
    connection.send_if_taken([0x16, 3, 1]).ok();
    assert_closed_at_accept(connection);
    until::holds("it is counted", || given_up(&server, "denied") == 1);
    assert_eq!(given_up(&server, "handshake"), 0);
    let mut connection = TlsClient::trusting_all().connect(server.address()).unwrap();
    assert_eq!(connection.get("/").status, 200);
}

#[test]
fn rules_are_for_the_client_that_a_proxy_reports() {
    let server =
        start(&["real-ip: x-forwarded-for", "access:", "- {allow: 192.0.2.0/24}", "- {deny: all}"]);
    let ask = |source: &str, client: &str| {
        let mut connection = from(&server, source);
        connection.send(request("GET", "/", &[("X-Forwarded-For", client)], ""));
        connection.response().status
    };
    assert_eq!(ask("127.0.0.1", "192.0.2.1"), 200);
    assert_eq!(ask("127.0.0.1", "192.0.2.1, 198.51.100.1"), 403);
    assert_eq!(ask("127.0.0.1", "198.51.100.1, 192.0.2.1"), 200);
    // The address of the proxy itself: no client is reported.
    assert_eq!(status_from(&server, "127.0.0.1", "/"), 403);
    // No other client can be named by a peer that is not trusted.
    assert_closed_at_accept(from(&server, "127.0.0.9"));
}

#[test]
fn rules_are_for_the_client_that_the_proxy_protocol_names() {
    let server = start(&[
        "proxy-protocol: auto",
        "proxy-allow-ips: 127.0.0.1",
        "access:",
        "- {deny: 192.0.2.1}",
        "- {allow: 192.0.2.0/24}",
        "- {deny: all}",
    ]);
    let ask = |client: &str| {
        let mut connection = server.connect();
        connection.send(format!("PROXY TCP4 {client} 198.51.100.1 4711 80\r\n{}", get("/")));
        connection.response().status
    };
    assert_eq!(ask("192.0.2.2"), 200);
    assert_eq!(ask("192.0.2.1"), 403);
    assert_eq!(ask("198.51.100.7"), 403);
    assert_eq!(server.get("/").status, 403);
    assert_closed_at_accept(from(&server, "127.0.0.9"));
}

#[test]
fn rules_apply_while_the_application_is_stuck() {
    let rules = "access:\n- {deny: 127.0.0.9}\n- {deny: all, path: /admin}\n";
    let server = Setup::of("stream:route").file("monoceros.yaml", rules).start();
    let (mut stuck, pipe) = server.occupy("pipe");
    for _ in 0..3 {
        assert_eq!(server.get("//admin").status, 403);
        assert_closed_at_accept(from(&server, "127.0.0.9"));
    }
    drop(pipe);
    assert_eq!(stuck.response().status, 200);
}

#[test]
fn a_refused_upload_is_answered_before_its_body() {
    let server = start(&["access:", "- {deny: all, path: /upload}"]);
    let mut connection = server.connect();
    let headers = [("Content-Length", "1000000"), ("Expect", "100-continue")];
    connection.send(request("PUT", "/upload", &headers, ""));
    assert_eq!(connection.response().status, 403);
    // A client that sends its body at once can read the response.
    let mut connection = server.connect();
    connection.send(request("PUT", "/upload", &[("Content-Length", "1000000")], ""));
    connection.send_if_taken(vec![b'a'; 1_000_000]).ok();
    assert_eq!(connection.response().status, 403);
}

#[test]
fn a_refused_request_is_in_both_logs() {
    let setup = setup(&["access:", "- {deny: 127.0.0.0/8, path: /admin}"]);
    let format = ["--access-logfile", "access.log", "--access-logformat", "%(h)s %(r)s %(s)s"];
    let server = setup.flags(&format).start();
    assert_eq!(server.get("/%61dmin/x").status, 403);
    let line = "127.0.0.1 GET /%61dmin/x HTTP/1.1 403\n";
    until::holds("the request in the access log", || {
        server.directory.read("access.log").contains(line)
    });
    let refused = server.log();
    let refused = refused.lines().find(|it| it.contains("refused 127.0.0.1")).unwrap().to_owned();
    assert!(refused.contains(": 403 ") && refused.contains("127.0.0.0/8"), "{refused}");
}

#[test]
fn a_reload_replaces_the_rules() {
    let server = start(&["access:", "- {deny: all, path: /old}"]);
    assert_eq!((server.get("/old").status, server.get("/new").status), (403, 200));
    server.directory.write("monoceros.yaml", "access:\n- {deny: all, path: /new}\n");
    let workers = server.workers();
    server.signal(Signal::SIGHUP);
    server.wait_for_replacement(&workers);
    until::holds("the new rules", || server.get("/new").status == 403);
    assert_eq!(server.get("/old").status, 200);
}

#[test]
fn a_malformed_rule_is_one_line_that_names_its_place() {
    for rule in [
        "{deny: 10.0.0.0/33}",
        "{deny: all, path: admin}",
        "{deny: all, paths: /admin}",
        "{allow: all, deny: all}",
        "{path: /admin}",
        "{deny: all, method: 'GE T'}",
    ] {
        let end = setup(&["access:", &format!("- {rule}")]).run();
        let lines: Vec<_> = end.stderr.lines().filter(|line| line.contains("access")).collect();
        assert_eq!((end.code, lines.len()), (Some(1), 1), "{rule}: {}", end.stderr);
        assert!(lines[0].contains("monoceros.yaml line 2"), "{rule}: {}", end.stderr);
    }
}

#[test]
fn rules_below_a_script_name_see_paths_with_and_without_it() {
    let setup = setup(&[
        "access:",
        "- {allow: all, path: /open}",
        "- {deny: all, path: /admin}",
        "- {deny: all, path: /shop/secret}",
        "- {deny: all, path: /open}",
    ]);
    let server = setup.flags(&["--env", "SCRIPT_NAME=/shop"]).start();
    for (target, status) in [
        ("/shop/", 200),
        ("/shop/x", 200),
        ("/shop/admin", 403),
        ("/shop//admin", 403),
        ("/shop/../admin", 403),
        ("/shop/secret/x", 403),
        ("/%73hop/secret", 403),
        // No path is beneath /open both with the prefix and without it.
        ("/shop/open", 403),
        ("/other", 404),
        ("/admin", 403),
    ] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
    let line = "access: allow=all;path=/open allows nothing: SCRIPT_NAME is /shop";
    assert!(server.log().contains(line), "{}", server.log());
}

#[test]
fn static_files_are_behind_the_rules() {
    let setup =
        setup(&["static: {/static/: files}", "access:", "- {deny: all, path: /static/own}"]);
    let files = setup.directory.join("files");
    std::fs::create_dir_all(files.join("own")).unwrap();
    std::fs::write(files.join("a"), "a").unwrap();
    std::fs::write(files.join("own/a"), "own").unwrap();
    let server = setup.start();
    for (target, status) in [
        ("/static/a", 200),
        ("/static/own/a", 403),
        ("/static//own/a", 403),
        ("//static/own/a", 403),
        ("/static/%6fwn/a", 403),
        ("/static/own%2fa", 403),
        ("/static/x/../own/a", 403),
        ("/static/own/../a", 403),
    ] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
}
