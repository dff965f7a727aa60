//! Hooks for requests of a configuration file of gunicorn, and workers that hooks steer.

use crate::support::client::request;
use crate::support::load::Load;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// An application that shows what it gets.
const SHOW: &str = r#"
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise RuntimeError("the application is ill")
    start_response("201 Created", [("X-A", "1"), ("Connection", "close"), ("X-A", " 2 ")])
    if path == "/fails-late":
        raise RuntimeError("the application is ill")
    return [";".join(str(environ.get(key)) for key in
        ("REQUEST_METHOD", "RAW_URI", "PATH_INFO", "QUERY_STRING", "HTTP_X_ADDED", "HTTP_X_GONE")).encode()]
"#;

/// A server with this configuration file.
fn with(hooks: &str) -> Setup {
    let setup = Setup::of("shown:application").file("shown.py", SHOW);
    setup.file("gunicorn.conf.py", hooks).patient()
}

/// The same with an application that clients can load.
fn loaded(hooks: &str) -> Setup {
    Setup::of("stream:route").file("gunicorn.conf.py", hooks).patient()
}

/// What the hooks have printed.
fn printed(server: &Server) -> Vec<String> {
    server.directory.read("stdout").lines().map(str::to_owned).collect()
}

fn wait_for_printed(server: &Server, count: usize) -> Vec<String> {
    until::some("what the hooks print", || Some(printed(server)).filter(|it| it.len() >= count))
}

const CHANGES: &str = r#"
def pre_request(worker, req):
    req.headers.append(("X-ADDED", "one"))
    req.headers.append(("X-ADDED", "two"))
    req.headers[:] = [it for it in req.headers if it[0] != "X-GONE"]
    if req.path == "/old":
        req.path, req.query, req.method, req.uri = "/n%C3%A9w", "a=b", "PUT", "/new"
"#;

#[test]
fn what_a_hook_changes_of_a_request_reaches_the_application() {
    let server = with(CHANGES).start();
    let ask = |target| server.ask(request("GET", target, &[("X-Gone", "1")], "")).text();
    assert_eq!(ask("/a%20b?q"), "GET;/a%20b?q;/a b;q;one,two;None");
    assert_eq!(ask("/old?q"), "PUT;/new;/n\u{c3}\u{a9}w;a=b;one,two;None");
}

const RAISES: &str = r#"
def pre_request(worker, req):
    if req.path == "/refused":
        raise LookupError("pre_request is ill")
    if req.path == "/left":
        raise SystemExit(3)

def post_request(worker, req, environ, resp):
    status = resp and (resp.status, resp.headers, resp.sent, resp.headers_sent)
    print(req.path, len(environ) > 0, status, worker.nr, flush=True)
    if req.path == "/ill":
        raise LookupError("post_request is ill")
"#;

#[test]
fn a_hook_that_raises_concerns_one_request() {
    let server = with(RAISES).start();
    for text in ["[ERROR]", "Traceback"] {
        server.allow(text);
    }
    let status = |target| server.get(target).status;
    let targets = ["/refused", "/left", "/ill", "/fails", "/fails-late", "/"];
    assert_eq!(targets.map(status), [500, 500, 201, 500, 500, 201]);
    let headers = "[('X-A', '1'), ('X-A', '2')]";
    let expected = [
        "/refused False None 0".to_owned(),
        "/left False None 0".to_owned(),
        format!("/ill True ('201 Created', {headers}, 24, True) 1"),
        "/fails True (None, [], 0, False) 2".to_owned(),
        format!("/fails-late True ('201 Created', {headers}, 0, False) 3"),
        format!("/ True ('201 Created', {headers}, 18, True) 4"),
    ];
    assert_eq!(wait_for_printed(&server, 6), expected);
    let log = server.log();
    assert!(log.contains("GET /refused") && log.contains("pre_request failed"), "{log}");
    assert!(log.contains("GET /ill") && log.contains("post_request failed"), "{log}");
    assert!(log.contains("LookupError: post_request is ill"), "{log}");
}

const SAME: &str = r#"
def pre_request(worker, req):
    req.mark = worker

def post_request(worker, req):
    print(req.mark is worker, req.path, flush=True)
"#;

#[test]
fn every_thread_runs_the_hooks_of_its_requests() {
    let server = loaded(SAME).threads(4).start();
    let load = Load::start(server.address(), 4);
    load.proceed(40);
    load.finish();
    assert!(wait_for_printed(&server, 40).iter().all(|line| line.starts_with("True /")));
}

/// A worker retires by itself after its third request.
const RETIRES: &str = r#"
def post_request(worker, req, environ, resp):
    if worker.nr == 3:
        worker.alive = False
        print(worker.alive, flush=True)
"#;

#[test]
fn a_worker_whose_hook_ends_it_is_replaced_and_no_client_sees_it() {
    for flags in [&[][..], &["--preload"]] {
        let server = loaded(RETIRES).flags(flags).start();
        let load = Load::start(server.address(), 2);
        server.wait_for_log_times("is due: a hook has set worker.alive to False", 2);
        load.finish();
        assert_eq!(wait_for_printed(&server, 2)[..2], ["False", "False"]);
    }
}

const FEWER: &str = r#"
max_requests = 1000000

def post_worker_init(worker):
    worker.max_requests = 5

def post_request(worker, req):
    if worker.nr == 5 and not hasattr(worker, "longer"):
        worker.longer = True
        worker.max_requests += 5
"#;

#[test]
fn a_worker_is_replaced_after_as_many_requests_as_a_hook_sets() {
    let server = loaded(FEWER).start();
    let load = Load::start(server.address(), 1);
    server.wait_for_log(" requests");
    load.finish();
    let log = server.log();
    let line = log.lines().find(|line| line.contains("is due: ")).unwrap();
    let count = line.split("is due: ").nth(1).and_then(|it| it.split(' ').next()).unwrap();
    assert!(count.parse::<u64>().unwrap() >= 5, "{line}");
}
