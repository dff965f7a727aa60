//! Programs of others against the server: openssl, curl, Python's ssl, sslscan, wrk.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::certificate::{Authority, Certificate};
use crate::support::directory::Directory;
use crate::support::server::Server;
use crate::support::setup::{Setup, python};
use crate::support::tls::TlsClient;
use crate::support::{environment, need, process, until};

/// A server with a certificate for `localhost`, and what its clients need.
struct Site {
    server: Server,
    authority: Authority,
    /// The file of the authority.
    roots: PathBuf,
    directory: Directory,
}

impl Site {
    fn of(application: &str) -> Self {
        Self::with(application, |setup| setup)
    }

    fn with(application: &str, configure: impl Fn(Setup) -> Setup) -> Self {
        let authority = Authority::new("tests");
        let directory = Directory::new();
        let roots = authority.write(&directory, "roots.pem");
        let setup = Setup::of(application).certificate(&certificate(&authority));
        Self { server: configure(setup).start(), authority, roots, directory }
    }

    /// `localhost:PORT`.
    fn host(&self) -> String {
        format!("localhost:{}", self.server.address().port())
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host())
    }
}

fn certificate(authority: &Authority) -> Certificate {
    authority.server(&["localhost", "127.0.0.1"]).issue()
}

/// Whether a program of the system is there; if not, the test is named as skipped.
fn has(program: &str, package: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&paths).any(|path| path.join(program).exists());
    need::met(is_there, &format!("{program}: apt install {package}"))
}

/// Runs a program to its end, with nothing on standard input.
fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Output {
    let mut command = Command::new(program.as_ref());
    command.args(arguments).stdin(Stdio::null());
    environment::clear(&mut command).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs curl with the authority of the site; returns what it prints.
fn curl(site: &Site, arguments: &[&str]) -> String {
    let roots = site.roots.display().to_string();
    let mut words = vec!["--silent", "--show-error", "--max-time", "30", "--cacert", &roots];
    words.extend(arguments);
    let output = run("curl", &words);
    assert!(output.status.success(), "curl {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn curl_is_served_by_both_versions_of_tls_and_of_http() {
    if !has("curl", "curl") {
        return;
    }
    let site = Site::of("environ");
    for (flags, protocol, version) in [
        (&["--tlsv1.3"][..], "TLSv1.3", "HTTP/1.1"),
        (&["--tls-max", "1.2"], "TLSv1.2", "HTTP/1.1"),
        (&["--http1.0"], "TLSv1.3", "HTTP/1.0"),
    ] {
        let url = site.url("/a?b");
        let printed = curl(&site, &[flags, &[&url]].concat());
        let environ: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(environ["SSL_PROTOCOL"], protocol, "{environ:#}");
        assert_eq!(environ["SERVER_PROTOCOL"], version);
        assert_eq!(environ["wsgi.url_scheme"], "https");
        assert_eq!(environ["HTTPS"], "on");
    }
}

#[test]
fn curl_uploads_and_downloads() {
    if !has("curl", "curl") {
        return;
    }
    let site = Site::of("environ:echo");
    let body: String = (0..200_000).map(|number| format!("{number:06}\n")).collect();
    let file = site.directory.write("body", &body).display().to_string();
    let received = curl(&site, &["--data-binary", &format!("@{file}"), &site.url("/")]);
    assert!(received == body, "{} of {} bytes", received.len(), body.len());
}

#[test]
fn curl_reaches_an_application_with_its_certificate() {
    if !has("curl", "curl") {
        return;
    }
    let authority = Authority::new("partners");
    let directory = Directory::new();
    let roots = authority.write(&directory, "partners.pem");
    let site = Site::with("environ", |setup| {
        setup.flag("--ca-certs").flag(&roots).flags(&["--cert-reqs", "required"])
    });
    let files = authority.client("warehouse").issue().write(&directory, "warehouse");
    let (certfile, keyfile) = (files.certfile.display(), files.keyfile.display());
    let printed = curl(
        &site,
        &["--cert", &certfile.to_string(), "--key", &keyfile.to_string(), &site.url("/")],
    );
    let environ: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(environ["SSL_CLIENT_VERIFY"], "SUCCESS");
    assert_eq!(environ["SSL_CLIENT_S_DN"], "CN=warehouse");
    assert_eq!(environ["SSL_CLIENT_I_DN"], "CN=partners");
    let roots = site.roots.display().to_string();
    let refused = run("curl", &["--silent", "--cacert", &roots, &site.url("/")]);
    assert!(!refused.status.success(), "a client without a certificate is refused");
}

/// What `openssl s_client` prints; it sends `request`, and waits for the end.
fn s_client(site: &Site, arguments: &[&str], request: &str) -> String {
    let (host, roots) = (site.host(), site.roots.display().to_string());
    let file = site.directory.write("request", request);
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &host, "-CAfile", &roots, "-verify_return_error"]);
    command.args(["-ign_eof"]).args(arguments).stdin(std::fs::File::open(file).unwrap());
    let output = environment::clear(&mut command).output().unwrap();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn openssl_verifies_the_chain_and_agrees_on_a_protocol() {
    if !has("openssl", "openssl") {
        return;
    }
    let site = Site::of("environ");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let arguments = ["-servername", "localhost", "-alpn", "h2,http/1.1"];
    for version in ["-tls1_2", "-tls1_3"] {
        let printed = s_client(&site, &[&arguments[..], &[version]].concat(), request);
        assert!(printed.contains("Verify return code: 0 (ok)"), "{printed}");
        assert!(printed.contains("ALPN protocol: http/1.1"), "{printed}");
        assert!(printed.contains("HTTP/1.1 200 OK"), "{printed}");
    }
    for old in ["-tls1_1", "-tls1"] {
        let printed = s_client(&site, &[old, "-cipher", "ALL:@SECLEVEL=0"], request);
        assert!(!printed.contains("HTTP/1.1 200"), "{old}: {printed}");
    }
}

#[test]
fn openssl_resumes_a_session_in_another_worker_and_after_a_reload() {
    if !has("openssl", "openssl") {
        return;
    }
    let site = Site::with("environ", |setup| setup.workers(2));
    let ticket = site.directory.join("session").display().to_string();
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for version in ["-tls1_2", "-tls1_3"] {
        let printed = s_client(&site, &[version, "-sess_out", &ticket], request);
        assert!(printed.contains("New, "), "{printed}");
        for _ in 0..2 {
            for _ in 0..4 {
                let printed = s_client(&site, &[version, "-sess_in", &ticket], request);
                assert!(printed.contains("Reused, "), "{printed}");
                assert!(printed.contains("HTTP/1.1 200 OK"), "{printed}");
            }
            let old = site.server.workers();
            site.server.signal(Signal::SIGHUP);
            site.server.wait_for_new_workers(&old, 2);
        }
    }
}

/// Talks to the server with Python's ssl, and prints what it has found.
const PYTHON: &str = r#"
import hashlib, http.client, socket, ssl, sys

port, roots = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=roots)
context.set_alpn_protocols(["http/1.1"])

# http.client, as requests and urllib3 use it: a connection that is kept.
connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
for length in (0, 1, 16384, 16385, 1_000_000):
    body = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    connection.request("POST", "/", body=body)
    response = connection.getresponse()
    assert response.status == 200 and response.read() == body, length
connection.close()

# close_notify behind the request: it is still answered, and close_notify comes back.
plain = socket.create_connection(("127.0.0.1", port), timeout=30)
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

def until(step):
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            pass
        finally:
            if outgoing.pending:
                plain.sendall(outgoing.read())
        piece = plain.recv(65536)
        incoming.write(piece) if piece else incoming.write_eof()

until(session.do_handshake)
assert session.selected_alpn_protocol() == "http/1.1"
session.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
try:
    session.unwrap()
except ssl.SSLWantReadError:
    pass
plain.sendall(outgoing.read())
received = b""
while True:
    try:
        piece = until(lambda: session.read(65536))
    except ssl.SSLZeroReturnError:
        break
    if not piece:
        break
    received += piece
assert received.startswith(b"HTTP/1.1 200 OK\r\n"), received
print("served")
"#;

#[test]
fn python_is_served_and_closes_in_both_directions() {
    let site = Site::of("environ:echo");
    let script = site.directory.write("client.py", PYTHON).display().to_string();
    let port = site.server.address().port().to_string();
    let roots = site.roots.display().to_string();
    let output = run(python(), &[&script, &port, &roots]);
    assert_eq!(text(&output.stdout), "served\n", "{}", text(&output.stderr));
}

#[test]
fn sslscan_finds_no_weakness() {
    if !has("sslscan", "sslscan") {
        return;
    }
    let site = Site::of("environ");
    let host = format!("127.0.0.1:{}", site.server.address().port());
    let output = run("sslscan", &["--no-colour", "--sni-name=localhost", &host]);
    let found = text(&output.stdout);
    assert!(output.status.success(), "{found}");
    // There is no version below 1.2 to fall back to, so no signal of a fallback (RFC 7507).
    for expected in [
        "SSLv2     disabled",
        "SSLv3     disabled",
        "TLSv1.0   disabled",
        "TLSv1.1   disabled",
        "TLSv1.2   enabled",
        "TLSv1.3   enabled",
        "Session renegotiation not supported",
        "TLSv1.3 not vulnerable to heartbleed",
        "TLSv1.2 not vulnerable to heartbleed",
    ] {
        assert!(found.contains(expected), "{expected:?} is missing in:\n{found}");
    }
    let suites = ["AES_128_GCM", "AES_256_GCM", "CHACHA20", "-GCM-", "-CHACHA20-"];
    let accepted = found.lines().filter(|line| {
        ["Accepted  TLS", "Preferred TLS"].iter().any(|word| line.starts_with(word))
    });
    let (mut count, mut weak) = (0, Vec::new());
    for line in accepted {
        count += 1;
        if !suites.iter().any(|suite| line.contains(suite)) || line.contains(" DHE-") {
            weak.push(line);
        }
    }
    assert!(count >= 6 && weak.is_empty(), "{count} suites, weak ones {weak:#?}");
}

/// For how long wrk makes load at least: `WRK_SECONDS`, or 10.
fn load_time() -> Duration {
    let given = std::env::var("WRK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(10))
}

#[test]
fn wrk_sees_no_error_while_all_is_replaced() {
    if !has("wrk", "wrk") {
        return;
    }
    let site = Site::with("environ", |setup| setup.workers(2).patient());
    let mut command = Command::new("wrk");
    // Until it is interrupted.
    command.args(["-t1", "-c8", "--timeout", "1m", "-d1h", &site.url("/")]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut wrk = environment::clear(&mut command).spawn().unwrap();
    let mut rounds = 0;
    while begun.elapsed() < load_time() || rounds < 5 {
        let renewed = certificate(&site.authority);
        renewed.write(&site.server.directory, "certificate-0");
        // At least a renewal each second, beside reloads and upgrades.
        match rounds % 8 {
            2 | 6 => {
                let old = site.server.workers();
                site.server.signal(Signal::SIGHUP);
                site.server.wait_for_new_workers(&old, 2);
            }
            4 => site.server.upgrade(),
            _ => (),
        }
        until::holds("the renewed certificate", || {
            let client = TlsClient::new(&site.authority).without_resumption();
            let mut connection = client.connect(site.server.address()).unwrap();
            *connection.tls().certificate() == renewed.der
        });
        rounds += 1;
    }
    process::signal(wrk.id().cast_signed(), Signal::SIGINT);
    let ended = until::within(until::DEADLINE, || wrk.try_wait().unwrap());
    if ended.is_none() {
        wrk.kill().unwrap();
    }
    let output = wrk.wait_with_output().unwrap();
    let printed = text(&output.stdout);
    assert!(output.status.success() && printed.contains("requests in"), "{printed}");
    for word in ["Socket errors", "Non-2xx"] {
        assert!(!printed.contains(word), "{printed}");
    }
}
