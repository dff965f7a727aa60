//! Memory, disk and descriptors for the bodies of requests: announced bodies, full disks, no
//! disk, and more uploads than descriptors.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::given_up::given_up;
use crate::support::cases::at_once;
use crate::support::certificate::Authority;
use crate::support::client::Connection;
use crate::support::directory::Directory;
use crate::support::need;
use crate::support::process;
use crate::support::proxy::{Proxy, example, free_address, replace};
use crate::support::server::Server;
use crate::support::setup::{Setup, own_ip};
use crate::support::tls::TlsClient;
use crate::support::until;

/// Answers with the length of the body.
const LENGTH: &str = "
def application(environ, start_response):
    length = 0
    while piece := environ['wsgi.input'].read(65536):
        length += len(piece)
    body = str(length).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

fn setup() -> Setup {
    Setup::of("length:application").file("length.py", LENGTH).flag("--pythonpath=.")
}

fn head(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

/// Connections with a begun body: this length is announced, and a part is sent.
fn begin(server: &Server, count: usize, announced: usize, sent: usize) -> Vec<Connection> {
    let begun = (0..count).map(|_| {
        let mut connection = server.connect();
        connection.send(head(announced).into_bytes());
        connection.send(vec![b'x'; sent]);
        connection
    });
    begun.collect()
}

/// Anonymous memory of a process and what it maps of files in memory, in bytes.
fn memory(pid: i32) -> usize {
    let kib = |name| process::status(pid, name)[0].parse::<usize>().unwrap();
    (kib("RssAnon") + kib("RssShmem")) << 10
}

/// Files without a name that a process has.
fn unnamed(pid: i32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_unnamed = |path: &PathBuf| {
        let target = fs::read_link(path).unwrap_or_default();
        let target = target.to_string_lossy();
        target.ends_with("(deleted)") && (!target.contains("memfd") || target.contains("body"))
    };
    paths.filter(is_unnamed).collect()
}

/// What they take on their disks, in bytes.
fn on_disk(pid: i32) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let sizes = unnamed(pid).into_iter().filter_map(|path| fs::metadata(path).ok());
    sizes.map(|data| data.blocks() * 512).sum()
}

#[test]
fn an_announced_body_takes_no_memory() {
    let server = setup().start();
    let worker = server.workers()[0];
    assert_eq!(server.ask(head(2) + "xx").text(), "2");
    let before = memory(worker);
    let count = 300;
    let held = begin(&server, count, 1_000_000, 10_000);
    until::holds("all of them", || process::descriptors(worker).unwrap().len() > count);
    assert_eq!(server.ask(head(2) + "xx").text(), "2");
    assert_eq!(unnamed(worker).len(), 0, "a file for what has not come");
    let grown = memory(worker).saturating_sub(before);
    // What was sent, and as much again for the rest of each connection.
    assert!(grown < 2 * count * 10_000, "{grown} bytes for {count} announced bodies");
    drop(held);
}

#[test]
fn a_received_body_takes_about_its_size() {
    let server = setup().start();
    let worker = server.workers()[0];
    let (count, sent) = (50, 200_000);
    let mut held = begin(&server, count, 5_000_000, sent);
    until::holds("a file for each", || unnamed(worker).len() == count);
    let least = (count * sent) as u64;
    until::holds("all of it", || on_disk(worker) >= least);
    let taken = on_disk(worker);
    assert!(taken <= 2 * least + (count << 14) as u64, "{taken} bytes for {least}");
    for connection in &mut held {
        connection.send(vec![b'x'; 5_000_000 - sent]);
        assert_eq!(connection.response().text(), "5000000");
    }
    until::holds("files that are not needed to go", || unnamed(worker).is_empty());
}

/// A small file system; it goes with this.
struct Small(Directory);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let at = Directory::new();
        let mut mount = Command::new("mount");
        let size = format!("size={size}");
        mount.args(["-t", "tmpfs", "-o", &size, "small"]).arg(at.path());
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).output().unwrap();
    }
}

#[test]
fn a_small_disk_has_room_for_many_uploads() {
    let Some(small) = Small::mount("16M") else {
        need::met(false, "root, to mount a small file system");
        return;
    };
    let setup = setup().variable("TMPDIR", small.0.path()).flags(&["--limit-request-spool", "16M"]);
    let server = setup.threads(4).start();
    for _ in 0..3 {
        let mut held = begin(&server, 40, 100_000, 99_999);
        for connection in &mut held {
            connection.send("x");
            assert_eq!(connection.response().text(), "100000");
        }
    }
    server.stop();
}

#[test]
fn uploads_arrive_where_no_temporary_file_can_be_made() {
    let setup = setup().shim("disk").file("fault", "none");
    let server = setup.start();
    server.wait_for_log("bodies above 64 KiB are kept in memory");
    assert!(server.log().contains("/var/tmp (read-only file system)"), "{}", server.log());
    for size in [1_000, 65_537, 3_000_000] {
        assert_eq!(
            server.ask([head(size).into_bytes(), vec![b'x'; size]].concat()).text(),
            size.to_string()
        );
    }
    // Of 64 MiB there is not enough left for one more.
    server.allow("cannot keep a request's body");
    let held = begin(&server, 5, 13_000_000, 12_000_000);
    until::holds("all of it", || on_disk(server.workers()[0]) >= 60_000_000);
    let mut connection = server.connect();
    let _refused =
        connection.send_if_taken([head(8_000_000).into_bytes(), vec![b'x'; 8_000_000]].concat());
    assert_eq!(connection.response().status, 503);
    server.wait_for_log("the 64 MiB of memory for bodies are in use");
    drop(held);
    until::holds("memory to be free again", || unnamed(server.workers()[0]).is_empty());
    assert_eq!(
        server.ask([head(8_000_000).into_bytes(), vec![b'x'; 8_000_000]].concat()).text(),
        "8000000"
    );
}

#[test]
fn another_directory_is_used_where_the_named_one_cannot_be() {
    let server = setup().variable("TMPDIR", "/proc").start();
    server.wait_for_log("no temporary files in /proc (");
    let size = 200_000;
    let body = vec![b'x'; size];
    assert_eq!(server.ask([head(size).into_bytes(), body].concat()).text(), "200000");
    assert!(server.log().contains("; they go to /"), "{}", server.log());
}

#[test]
fn a_full_disk_is_a_503_and_a_line_in_the_log() {
    let server = setup().shim("disk").start();
    server.allow("cannot keep a request's body: no space left on device");
    let mut connection = server.connect();
    connection.send(head(300_000));
    connection.send(vec![b'x'; 20_000]);
    until::holds("the first file", || !unnamed(server.workers()[0]).is_empty());
    fs::write(server.directory.join("fault"), "full").unwrap();
    let _refused = connection.send_if_taken(vec![b'x'; 280_000]);
    let response = connection.response();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    server.wait_for_log("cannot keep a request's body: no space left on device");
    fs::remove_file(server.directory.join("fault")).unwrap();
    assert_eq!(
        server.ask([head(300_000).into_bytes(), vec![b'x'; 300_000]].concat()).text(),
        "300000"
    );
}

/// The head of a request whose body comes in chunks.
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A chunk of 64 KiB.
fn chunk() -> Vec<u8> {
    [&b"10000\r\n"[..], &[b'x'; 1 << 16], b"\r\n"].concat()
}

/// The head of a request whose client waits for 100 before it sends the body.
fn expecting(length: u64) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    )
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_sent() {
    let server = setup().start();
    let response = server.ask(head((1 << 30) + 1));
    assert_eq!(response.status, 413);
    assert!(response.closes());
    assert_eq!(server.ask(expecting(1 << 40)).status, 413);
    until::holds("both counted", || given_up(&server, "too-large") == 2);
    server.wait_for_log(": 413 the body is larger than --limit-request-body");
    let limited = setup().flags(&["--limit-request-body", "100K"]).start();
    let whole = |length| limited.ask([head(length).into_bytes(), vec![b'x'; length]].concat());
    assert_eq!(whole(100 << 10).text(), "102400");
    assert_eq!(limited.ask(expecting((100 << 10) + 1)).status, 413);
    let unlimited = setup().flags(&["--limit-request-body", "0"]);
    let unlimited = unlimited.flags(&["--limit-request-spool", "1024G"]).start();
    let mut connection = unlimited.connect();
    connection.send(expecting((1 << 30) + 1));
    assert_eq!(connection.head().status, 100);
}

#[test]
fn a_chunked_body_is_refused_as_soon_as_it_is_larger_than_the_limit() {
    let server = setup().flags(&["--limit-request-body", "200K"]).start();
    let mut connection = server.connect();
    connection.send(CHUNKED);
    (0..3).for_each(|_| connection.send(chunk()));
    let worker = server.workers()[0];
    until::holds("what is allowed to be kept", || on_disk(worker) >= 3 << 16);
    connection.send(chunk());
    assert_eq!(connection.response().status, 413);
    until::holds("nothing to be kept", || unnamed(worker).is_empty());
    connection.send(b"0\r\n\r\n");
    connection.finish_sending();
    connection.assert_closed();
    until::holds("it to be counted", || given_up(&server, "too-large") == 1);
}

/// A request with a body of 60 MB, much more than sockets hold, in pieces: with an announced
/// length, and without.
fn too_much() -> [Vec<Vec<u8>>; 2] {
    let announced = [vec![head(60_000_000).into_bytes()], vec![vec![b'x'; 1_000_000]; 60]];
    let chunked = [vec![CHUNKED.into()], vec![chunk(); 900], vec![b"0\r\n\r\n".to_vec()]];
    [announced.concat(), chunked.concat()]
}

#[test]
fn a_client_that_keeps_sending_can_read_that_its_body_is_too_large() {
    let server = setup().flags(&["--limit-request-body", "1M"]).start();
    for pieces in too_much() {
        let mut connection = server.connect();
        // Before it reads the response; the server resets nothing.
        pieces.iter().for_each(|piece| connection.send(piece));
        assert_eq!(connection.response().status, 413);
        connection.finish_sending();
        connection.assert_closed();
    }
    until::holds("both counted", || given_up(&server, "too-large") == 2);
    until::holds("nothing to be kept", || unnamed(server.workers()[0]).is_empty());
}

#[test]
fn over_tls_too_a_client_that_keeps_sending_can_read_that_its_body_is_too_large() {
    let authority = Authority::new("tests");
    let setup = setup().certificate(&authority.server(&["localhost"]).issue());
    let server = setup.flags(&["--limit-request-body", "1M"]).start();
    let client = TlsClient::new(&authority);
    for pieces in too_much() {
        let mut connection = client.connect(server.address()).unwrap();
        pieces.iter().for_each(|piece| connection.send(piece));
        assert_eq!(connection.response().status, 413);
        connection.finish_sending();
        connection.assert_closed();
    }
}

#[test]
fn a_client_of_an_nginx_that_does_not_buffer_can_read_that_its_body_is_too_large() {
    let server = setup().flags(&["--limit-request-body", "1M"]).start();
    let http = free_address();
    let configuration = replace(
        &example("nginx on another machine", "nginx"),
        &[
            ("listen 80;", &format!("listen {http};")),
            ("10.0.0.5:8000", &server.address().to_string()),
        ],
    );
    let Some(proxy) = Proxy::nginx(&configuration, http) else { return };
    let connect = || Connection::from(own_ip().into(), http).unwrap();
    for pieces in [too_much(), too_much()].concat() {
        let mut connection = connect();
        // nginx may close its side as soon as it has passed the response on.
        let _all = pieces.iter().all(|piece| connection.send_if_taken(piece).is_ok());
        assert_eq!(connection.response().status, 413);
    }
    assert_eq!(connect().get("/").text(), "0");
    let log = proxy.log();
    assert!(!log.contains("reset by peer") && !log.contains("prematurely"), "{log}");
    until::holds("each counted once", || given_up(&server, "too-large") == 4);
}

#[test]
fn uploads_beyond_the_total_get_503_and_everything_else_continues() {
    let setup = setup().workers(2).flags(&["--limit-request-spool", "10M"]);
    let server = setup.start();
    server.allow("cannot keep a request's body");
    let size = 3_000_000;
    // With what is counted ahead, three mebibytes each.
    let mut held = begin(&server, 3, size, size - 1);
    let workers = server.workers();
    let stored = || workers.iter().map(|pid| on_disk(*pid)).sum::<u64>();
    until::holds("all of them on disk", || stored() >= 3 * (size as u64 - 1));
    let mut refused = server.connect();
    refused.send(expecting(size as u64));
    let response = refused.response();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    server.wait_for_log("would take more than the 10485760 bytes of --limit-request-spool");
    // Without an announced length it is refused when it does not fit any more.
    let mut chunked = server.connect();
    chunked.send(CHUNKED);
    (0..40).for_each(|_| chunked.send(chunk()));
    assert_eq!(chunked.response().status, 503);
    until::holds("both counted", || given_up(&server, "unkept") == 2);
    for _ in 0..10 {
        assert_eq!(server.ask(head(60_000) + &"x".repeat(60_000)).text(), "60000");
    }
    for connection in &mut held {
        connection.send("x");
        assert_eq!(connection.response().text(), size.to_string());
    }
    // Files that were used are kept for a while, and make room at once.
    let length = 9 << 20;
    let body = [head(length).into_bytes(), vec![b'x'; length]].concat();
    until::holds("room again", || {
        let mut connection = server.connect();
        let _refused = connection.send_if_taken(&body);
        connection.response().text() == length.to_string()
    });
}

#[test]
fn an_idle_connection_holds_little_after_a_large_head() {
    let server = setup().flags(&["--access-logfile", "access"]).start();
    let worker = server.workers()[0];
    let field = format!("X-Large: {}\r\n", "x".repeat(8_000));
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", field.repeat(90));
    assert_eq!(server.ask(&head).status, 200);
    let mut kept: Vec<_> = (0..200).map(|_| server.connect()).collect();
    kept.iter_mut().for_each(|connection| assert_eq!(connection.get("/").status, 200));
    let before = memory(worker);
    for connection in &mut kept {
        connection.send(&head);
        assert_eq!(connection.response().status, 200);
    }
    // A few large ones may be kept for the next, whatever the number of clients.
    until::holds("memory to be given back", || {
        memory(worker).saturating_sub(before) < kept.len() * 8_000 + (4 << 20)
    });
}

#[test]
fn the_uploads_of_a_killed_worker_do_not_count_any_more() {
    let cases: [&[&str]; 2] = [&[], &["--preload"]];
    at_once(&cases, |flags| {
        let server = setup().flags(&["--limit-request-spool", "10M"]).flags(flags).start();
        server.allow("SIGKILL");
        server.allow("cannot keep a request's body");
        let is_worker = |pid: &i32| process::title(*pid).starts_with("monoceros: worker ");
        let worker = server.workers().into_iter().find(is_worker).unwrap();
        let size = 3_000_000;
        let held = begin(&server, 3, size, size - 1);
        until::holds("all of them on disk", || on_disk(worker) >= 3 * (size as u64 - 1));
        assert_eq!(server.ask(expecting(size as u64)).status, 503);
        process::signal(worker, Signal::SIGKILL);
        let body = [head(3 * size).into_bytes(), vec![b'x'; 3 * size]].concat();
        assert_eq!(server.ask(&body).text(), (3 * size).to_string());
        drop(held);
    });
}
