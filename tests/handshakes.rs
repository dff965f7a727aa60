//! Handshakes of TLS: keys of each kind, the choice of the certificate, clients with
//! certificates.

use rcgen::DnType;

use crate::support::cases::at_once;
use crate::support::certificate::{Authority, KeyKind};
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::tls::TlsClient;

/// The settings know no rustls, so they have a list of their own.
#[test]
fn the_settings_name_the_suites_that_the_server_has() {
    let named = monoceros_config::CIPHERS.map(|it| (it.number, it.iana, it.openssl));
    let mut served = monoceros_tls::SUITES.map(|it| (it.number, it.name, it.openssl));
    let mut named = named.to_vec();
    named.sort_unstable();
    served.sort_unstable();
    assert_eq!(named, served);
}

#[test]
fn keys_of_each_kind_serve_both_versions_of_tls() {
    at_once(&[KeyKind::P256, KeyKind::P521, KeyKind::Rsa, KeyKind::Ed25519], |kind| {
        let authority = Authority::new("tests");
        let certificate = authority.server(&["localhost"]).key(kind).issue();
        let server = Setup::of("environ").certificate(&certificate).start();
        let client = TlsClient::new(&authority);
        let mut clients = vec![(client.only_1_3(), true)];
        // With 1.2, the client of these tests takes no key of this curve.
        if !matches!(kind, KeyKind::P521) {
            clients.push((TlsClient::new(&authority).only_1_2(), false));
        }
        for (client, is_1_3) in clients {
            for is_resumed in [false, true] {
                let mut connection = client.connect(server.address()).unwrap();
                let environ = connection.get("/").json();
                assert_eq!(environ["wsgi.url_scheme"], "https", "{kind:?}");
                let tls = connection.tls();
                assert_eq!((tls.is_1_3(), tls.is_resumed()), (is_1_3, is_resumed), "{kind:?}");
            }
        }
    });
}

#[test]
fn a_name_chooses_the_certificate_and_the_first_is_the_default() {
    let authority = Authority::new("tests");
    let first = authority.server(&["localhost"]).issue();
    let wildcard = authority.server(&["*.shop.example"]).issue();
    let old = authority.server(&["old.example"]).without_alternative_names().issue();
    let server = Setup::of("environ").certificate(&first).certificate(&wildcard);
    let server = server.certificate(&old).start();
    let all = TlsClient::trusting_all;
    for (client, expected) in [
        (all().named("www.shop.example"), &wildcard),
        (all().named("old.example"), &old),
        (all().named("OLD.example"), &old),
        (all().named("shop.example"), &first),
        (all().named("a.b.shop.example"), &first),
        (all().named("unknown.example"), &first),
        (all().without_name(), &first),
    ] {
        let mut connection = client.connect(server.address()).unwrap();
        assert_eq!(connection.get("/").status, 200);
        assert!(*connection.tls().certificate() == expected.der);
    }
}

#[test]
fn a_client_cannot_sign_the_certificate_of_another_one() {
    let authority = Authority::new("tests");
    let certificate = authority.server(&["localhost"]).issue();
    let (old, partner) = (Authority::new("old"), Authority::new("partner"));
    let client = partner.client("warehouse").issue();
    let setup = Setup::of("environ").certificate(&certificate);
    // A certificate of a client in place of that of its authority, which is there too.
    let roots = setup.directory.write("roots.pem", &(client.pem.clone() + &old.pem()));
    let setup = setup.flag("--ca-certs").flag(roots).flags(&["--cert-reqs", "required"]);
    let server = setup.start();
    server
        .wait_for_log("the certificate of CN=warehouse is of no authority and verifies no client");
    assert!(is_refused(&TlsClient::new(&authority).certificate(&client), &server));
}

/// Whether the server refuses the certificate of this client.
fn is_refused(client: &TlsClient, server: &Server) -> bool {
    let refused = client.connect(server.address()).and_then(|mut connection| {
        connection.send_if_taken("GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        connection.try_response("GET")
    });
    refused.is_err()
}

#[test]
fn the_name_of_a_client_is_that_of_its_certificate() {
    let partners = Authority::new("partners");
    let authority = Authority::new("tests");
    let certificate = authority.server(&["localhost"]).issue();
    let setup = Setup::of("environ").certificate(&certificate);
    let roots = partners.write(&setup.directory, "partners.pem");
    let setup = setup.flag("--ca-certs").flag(roots).flags(&["--cert-reqs", "optional"]);
    let server = setup.flag("--tls-client-cert-environ").start();
    let own = partners.client("warehouse").subject(DnType::OrganizationName, "Example, Ltd");
    let own = own.issue();
    let client = TlsClient::new(&authority).certificate(&own);
    for _ in 0..2 {
        let environ = client.connect(server.address()).unwrap().get("/").json();
        assert_eq!(environ["SSL_CLIENT_VERIFY"], "SUCCESS");
        // RFC 2253: the last attribute first, and a comma in a value escaped.
        assert_eq!(environ["SSL_CLIENT_S_DN"], "O=Example\\, Ltd,CN=warehouse");
        let pem = environ["SSL_CLIENT_CERT"].as_str().unwrap();
        assert_eq!(pem.trim(), own.pem.replace("\r\n", "\n").trim());
    }
    // A header cannot take the place of a certificate.
    let mut connection = TlsClient::new(&authority).connect(server.address()).unwrap();
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nSSL-Client-Verify: SUCCESS\r\n\r\n");
    let environ = connection.response().json();
    assert_eq!(environ["SSL_CLIENT_VERIFY"], "NONE");
    assert_eq!(environ["HTTP_SSL_CLIENT_VERIFY"], "SUCCESS");
    // A certificate that another authority has issued is refused.
    let stranger = Authority::new("partners").client("warehouse").issue();
    assert!(is_refused(&TlsClient::new(&authority).certificate(&stranger), &server));
}
