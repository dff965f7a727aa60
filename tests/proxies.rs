//! nginx and HAProxy in front of the server, with the files of docs/proxies.md.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;

use crate::support::certificate::Authority;
use crate::support::client::{Connection, get, request};
use crate::support::directory::Directory;
use crate::support::load::Load;
use crate::support::proxy::{Proxy, example, free_address, replace};
use crate::support::server::Server;
use crate::support::setup::{Setup, own_ip};
use crate::support::tls::TlsClient;

/// An address from which a client sends what only a proxy may.
const LIAR: &str = "198.51.100.66";

/// How a client reaches the server through the proxy.
type Connect = Arc<dyn Fn() -> io::Result<Connection> + Send + Sync>;

/// A server with this configuration file.
fn serve(configuration: &str) -> Server {
    let setup = Setup::bare().apps().patient().file("monoceros.yaml", configuration);
    setup.flags(&["--config", "monoceros.yaml", "--workers", "2"]).start()
}

/// Bytes that show where a piece is missing or doubled; the application makes the same.
fn pattern(length: usize) -> String {
    let mut numbers: String = (0..=length / 8).map(|number| format!("{number:07}\n")).collect();
    numbers.truncate(length);
    numbers
}

/// Connects from another address than the proxies have, which the server does not believe.
fn plain(address: SocketAddr) -> (IpAddr, Connect) {
    let source = own_ip().into();
    (source, Arc::new(move || Connection::from(source, address)))
}

/// The same with TLS.
fn encrypted(client: TlsClient, address: SocketAddr) -> (IpAddr, Connect) {
    let (source, connect) = plain(address);
    (source, Arc::new(move || client.over(connect()?)))
}

/// Uploads, large responses, and reloads under load with nothing lost.
fn assert_nothing_is_lost(server: &Server, connect: &Connect) {
    assert_bodies_are_whole(connect, 8 << 20);
    let connect_load = Arc::clone(connect);
    let load = Load::through(6, move || connect_load());
    let bodies = BodiesUnderLoad::start(connect);
    for _ in 0..2 {
        let old = server.workers();
        load.proceed(100);
        server.signal(Signal::SIGHUP);
        server.wait_for_new_workers(&old, 2);
    }
    load.proceed(100);
    let pids: BTreeSet<String> = load.finish();
    bodies.finish();
    assert!(pids.len() > 2, "workers of several generations have answered: {pids:?}");
}

fn assert_bodies_are_whole(connect: &Connect, length: usize) {
    let body = pattern(length);
    let mut connection = connect().unwrap();
    connection.send(request("POST", "/upload", &[], &body));
    let digest = connection.response().text();
    let mut connection = connect().unwrap();
    let response = connection.get(&format!("/large?{length}"));
    assert!(response.text() == body, "{} of {length} bytes, or others", response.body.len());
    // The response is right, so it stands for what the server has received.
    let mut connection = if response.closes() { connect().unwrap() } else { connection };
    connection.send(request("POST", "/upload", &[], &response.text()));
    assert_eq!(connection.response().text(), digest);
    assert!(digest.starts_with(&format!("{length} ")), "{digest}");
}

/// A client that sends and receives bodies until it is stopped.
struct BodiesUnderLoad {
    stop: Arc<AtomicBool>,
    client: JoinHandle<usize>,
}

impl BodiesUnderLoad {
    fn start(connect: &Connect) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, connect) = (Arc::clone(&stop), Arc::clone(connect));
        let client = thread::spawn(move || {
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) || count == 0 {
                assert_bodies_are_whole(&connect, 300_000);
                count += 1;
            }
            count
        });
        Self { stop, client }
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert!(self.client.join().expect("each body is whole") > 0);
    }
}

/// Asks for the environ, with the fields of a client that names another address.
fn environ(connect: &Connect) -> serde_json::Value {
    let mut connection = connect().unwrap();
    let forged = [("X-Forwarded-For", LIAR), ("X-Forwarded-Proto", "ftp"), ("Forwarded", "for=1")];
    connection.send(request("GET", "/environ", &forged, ""));
    connection.response().json()
}

fn assert_client_is_seen(connect: &Connect, source: IpAddr, scheme: &str) {
    let environ = environ(connect);
    assert_eq!(environ["REMOTE_ADDR"], source.to_string(), "{environ:#}");
    assert_eq!(environ["wsgi.url_scheme"], scheme, "{environ:#}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn nginx_at_a_unix_socket_loses_nothing_and_names_the_client() {
    let sockets = Directory::new();
    let socket = text(&sockets.join("http.sock"));
    let yaml = example("nginx on the same machine", "yaml");
    let server =
        serve(&replace(&yaml, &[("shop.wsgi", "proxied"), ("/run/shop/http.sock", &socket)]));
    let authority = Authority::new("tests");
    let files = authority.server(&["shop.example"]).issue().write(&sockets, "shop");
    let (http, https) = (free_address(), free_address());
    let configuration = replace(
        &example("nginx on the same machine", "nginx"),
        &[
            ("listen 80;", &format!("listen {http};")),
            ("listen 443 ssl;", &format!("listen {https} ssl;")),
            ("/run/shop/http.sock", &socket),
            ("/etc/letsencrypt/live/shop.example/fullchain.pem", &text(&files.certfile)),
            ("/etc/letsencrypt/live/shop.example/privkey.pem", &text(&files.keyfile)),
        ],
    );
    let Some(_proxy) = Proxy::nginx(&configuration, https) else { return };
    let (source, connect) = encrypted(TlsClient::new(&authority).named("shop.example"), https);
    assert_client_is_seen(&connect, source, "https");
    assert_nothing_is_lost(&server, &connect);
    let redirected = plain(http).1().unwrap().get("/basket");
    assert_eq!(redirected.header("location"), Some("https://localhost/basket"));
}

#[test]
fn nginx_without_buffering_loses_nothing_and_names_the_client() {
    let heading = "nginx on another machine";
    let server = serve_at_an_address(heading, "forwarded-allow-ips: 10.0.0.4");
    let http = free_address();
    let configuration = replace(
        &example(heading, "nginx"),
        &[
            ("listen 80;", &format!("listen {http};")),
            ("10.0.0.5:8000", &server.address().to_string()),
        ],
    );
    let Some(_proxy) = Proxy::nginx(&configuration, http) else { return };
    let (source, connect) = plain(http);
    assert_client_is_seen(&connect, source, "http");
    assert_nothing_is_lost(&server, &connect);
}

/// A server with the file below this heading, where the proxy is 127.0.0.1.
fn serve_at_an_address(heading: &str, allowed: &str) -> Server {
    let believed = allowed.replace("10.0.0.4", "127.0.0.1");
    let address = free_address().to_string();
    serve(&replace(
        &example(heading, "yaml"),
        &[("shop.wsgi", "proxied"), ("10.0.0.5:8000", &address), (allowed, &believed)],
    ))
}

#[test]
fn haproxy_with_shared_connections_loses_nothing_and_names_the_client() {
    let heading = "HAProxy that terminates TLS";
    let server = serve_at_an_address(heading, "forwarded-allow-ips: 10.0.0.4");
    let directory = Directory::new();
    let authority = Authority::new("tests");
    let pair = authority.server(&["shop.example"]).issue();
    let together = text(&pair.write_together(&directory, "shop.pem"));
    let (http, https) = (free_address(), free_address());
    let configuration = replace(
        &example(heading, "haproxy"),
        &[
            ("bind :80\n", &format!("bind {http}\n")),
            ("bind :443 ", &format!("bind {https} ")),
            ("/etc/haproxy/shop.example.pem", &together),
            ("10.0.0.5:8000", &server.address().to_string()),
        ],
    );
    let Some(proxy) = Proxy::haproxy(&configuration, https) else { return };
    let (source, connect) = encrypted(TlsClient::new(&authority).named("shop.example"), https);
    assert_client_is_seen(&connect, source, "https");
    assert_nothing_is_lost(&server, &connect);
    let redirected = plain(http).1().unwrap().get("/basket");
    assert_eq!(redirected.header("location"), Some("https://localhost/basket"));
    assert_server_was_never_down(&proxy);
}

/// HAProxy logs each failed check, and each server that it takes out.
fn assert_server_was_never_down(proxy: &Proxy) {
    let log = proxy.log();
    assert!(!log.contains("DOWN") && !log.contains("Health check"), "{log}");
}

#[test]
fn haproxy_with_the_proxy_protocol_loses_nothing_and_names_the_client() {
    let heading = "HAProxy that passes TLS through";
    let directory = Directory::new();
    let authority = Authority::new("tests");
    let roots = text(&authority.write(&directory, "roots.pem"));
    let files = authority.server(&["shop.example"]).issue().write(&directory, "shop");
    let (inside, outside) = (free_address(), free_address());
    let server = serve(&replace(
        &example(heading, "yaml"),
        &[
            ("shop.wsgi", "proxied"),
            ("https://10.0.0.5:8443", &format!("https://{inside}")),
            ("proxy-allow-ips: 10.0.0.4", "proxy-allow-ips: 127.0.0.1"),
            ("/etc/letsencrypt/live/shop.example/fullchain.pem", &text(&files.certfile)),
            ("/etc/letsencrypt/live/shop.example/privkey.pem", &text(&files.keyfile)),
        ],
    ));
    let configuration = replace(
        &example(heading, "haproxy"),
        &[
            ("bind :443\n", &format!("bind {outside}\n")),
            ("10.0.0.5:8443", &inside.to_string()),
            ("/etc/ssl/certs/ca-certificates.crt", &roots),
        ],
    );
    let Some(proxy) = Proxy::haproxy(&configuration, outside) else { return };
    let (source, connect) = encrypted(TlsClient::new(&authority).named("shop.example"), outside);
    assert_client_is_seen(&connect, source, "https");
    let environ = environ(&connect);
    let reached = outside.ip().to_string();
    assert_eq!(environ["PROXY_ADDR"], reached, "where the client connected to: {environ:#}");
    assert_nothing_is_lost(&server, &connect);
    assert_server_was_never_down(&proxy);
    // Without the header nothing is served, and the log has the reason.
    let mut connection = Connection::from(source, inside).unwrap();
    connection.send(get("/"));
    assert_eq!(connection.until_reset(), b"");
    server.wait_for_log("PROXY");
}
