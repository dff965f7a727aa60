//! What the application and the access log get of a connection with TLS, and what a client
//! cannot forge.

use serde_json::Value;

use crate::support::certificate::Authority;
use crate::support::client::{Connection, request};
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::tls::TlsClient;

/// Variables of a request without a certificate of its client.
const CLIENTS: [&str; 5] = [
    "SSL_CLIENT_VERIFY",
    "SSL_CLIENT_S_DN",
    "SSL_CLIENT_I_DN",
    "SSL_CLIENT_M_SERIAL",
    "SSL_CLIENT_CERT",
];

/// An https server that asks clients for certificates of this authority, if there is one.
fn start(clients: Option<&Authority>, flags: &[&str]) -> Server {
    let setup = Setup::of("environ").flags(flags);
    let files = Authority::new("tests").server(&["localhost"]).issue().write(&setup.directory, "a");
    let roots = clients.map(|it| it.write(&setup.directory, "roots.pem"));
    let mut setup = setup.flag("--certfile").flag(files.certfile);
    setup = setup.flag("--keyfile").flag(files.keyfile);
    if let Some(roots) = roots {
        setup = setup.flag("--ca-certs").flag(roots).flags(&["--cert-reqs", "optional"]);
    }
    setup.start()
}

fn environ(mut connection: Connection) -> Value {
    // A client cannot forge the variables by its headers.
    let forged = [
        ("SSL_CLIENT_VERIFY", "SUCCESS"),
        ("SSL_CLIENT_S_DN", "CN=root"),
        ("Ssl-Client-S-Dn", "CN=root"),
        ("HTTPS", "off"),
    ];
    connection.send(request("GET", "/", &forged, ""));
    connection.response().json()
}

#[test]
fn the_environ_has_the_protocol_and_the_cipher() {
    let server = start(None, &[]);
    let tls12 = TlsClient::trusting_all().only_1_2();
    for (client, protocol) in [(TlsClient::trusting_all(), "TLSv1.3"), (tls12, "TLSv1.2")] {
        for _ in 0..2 {
            let environ = environ(client.connect(server.address()).unwrap());
            assert_eq!(environ["wsgi.url_scheme"], "https");
            assert_eq!(environ["HTTPS"], "on");
            assert_eq!(environ["SSL_PROTOCOL"], protocol);
            let cipher = environ["SSL_CIPHER"].as_str().unwrap();
            // OpenSSL's names of the suites of TLS 1.3 are those of the standard.
            assert_eq!(cipher.starts_with("TLS_"), protocol == "TLSv1.3", "{cipher}");
            CLIENTS.iter().for_each(|it| assert_eq!(environ.get(it), None, "{it}"));
        }
    }
}

#[test]
fn the_environ_has_the_verified_client() {
    let clients = Authority::new("clients");
    for with_certificate in [false, true] {
        let flags: &[&str] = if with_certificate { &["--tls-client-cert-environ"] } else { &[] };
        let server = start(Some(&clients), flags);
        let environ_of = |client: &TlsClient| environ(client.connect(server.address()).unwrap());
        let found = environ_of(&TlsClient::trusting_all());
        assert_eq!(found["SSL_CLIENT_VERIFY"], "NONE");
        CLIENTS[1..].iter().for_each(|it| assert_eq!(found.get(it), None, "{it}"));
        let own = clients.client("ann").issue();
        let client = TlsClient::trusting_all().certificate(&own);
        // A resumed session has the same client.
        for _ in 0..3 {
            let found = environ_of(&client);
            assert_eq!(found["SSL_CLIENT_VERIFY"], "SUCCESS");
            assert_eq!(found["SSL_CLIENT_S_DN"], "CN=ann");
            assert_eq!(found["SSL_CLIENT_I_DN"], "CN=clients");
            let serial = found["SSL_CLIENT_M_SERIAL"].as_str().unwrap();
            assert!(!serial.is_empty() && serial.bytes().all(|it| it.is_ascii_hexdigit()));
            let pem = found.get("SSL_CLIENT_CERT").map(|it| it.as_str().unwrap());
            let expected = own.pem.replace("\r\n", "\n");
            assert_eq!(pem, with_certificate.then_some(expected.as_str()));
        }
    }
}

#[test]
fn another_connection_does_not_have_the_client_of_the_one_before() {
    let clients = Authority::new("clients");
    let server = start(Some(&clients), &[]);
    let own = clients.client("ann").issue();
    let mut first = TlsClient::trusting_all().certificate(&own).connect(server.address()).unwrap();
    let mut second = TlsClient::trusting_all().connect(server.address()).unwrap();
    for _ in 0..2 {
        assert_eq!(first.get("/").json()["SSL_CLIENT_S_DN"], "CN=ann");
        let found = second.get("/").json();
        assert_eq!(found["SSL_CLIENT_VERIFY"], "NONE");
        assert_eq!(found.get("SSL_CLIENT_S_DN"), None);
    }
}

#[test]
fn the_access_log_has_the_client_also_of_the_servers_own_responses() {
    let clients = Authority::new("clients");
    let format = "%(s)s %({ssl_client_s_dn}e)s %({SSL_PROTOCOL}e)s %({https}e)s";
    let flags = ["--access-logfile", "access.log", "--access-logformat", format];
    let server = start(Some(&clients), &flags);
    let own = clients.client("ann").issue();
    let client = TlsClient::trusting_all().certificate(&own);
    let mut connection = client.connect(server.address()).unwrap();
    assert_eq!(connection.get("/").status, 200);
    connection.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(connection.response().status, 400);
    let lines = server.access_lines(2);
    assert_eq!(lines, ["200 CN=ann TLSv1.3 on", "400 CN=ann TLSv1.3 on"]);
}
