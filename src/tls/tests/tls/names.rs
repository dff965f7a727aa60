//! The certificate for the name that a client asks for.

use std::sync::Arc;

use monoceros_tls::{Material, Pair, TlsServer};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::TLS13;

use crate::authority::{Authority, Issued};
use crate::serving::{VERSIONS, client, client_with, material, open};

struct ThreeCertificates {
    first: Issued,
    wildcard: Issued,
    exact: Issued,
}

impl ThreeCertificates {
    fn new() -> Self {
        let authority = Authority::new();
        Self {
            first: authority.issue("first", &["first.test"]),
            wildcard: authority.issue("wildcard", &["*.Example.test"]),
            exact: authority.issue("exact", &["www.example.test"]),
        }
    }

    fn material(&self) -> Material {
        material([&self.first, &self.wildcard, &self.exact].map(Issued::pair).into())
    }
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let served = ThreeCertificates::new();
    let server = TlsServer::new(served.material()).unwrap();
    for version in VERSIONS {
        let config = Arc::new(client(version, None));
        for (name, expected) in [
            ("first.test", &served.first),
            ("FIRST.test", &served.first),
            ("www.example.test", &served.exact),
            ("other.EXAMPLE.test", &served.wildcard),
            ("under_score.example.test", &served.wildcard),
            // A wildcard stands for one label.
            ("a.b.example.test", &served.first),
            ("example.test", &served.first),
            ("unknown.test", &served.first),
            ("localhost", &served.first),
            // Clients send no name for an address.
            ("127.0.0.1", &served.first),
            ("::1", &served.first),
        ] {
            let opened = open(&server, &config, name).unwrap();
            assert!(opened.certificate == expected.der, "{name}");
            assert_eq!(opened.alpn.as_deref(), None);
        }
    }
}

#[test]
fn an_unknown_name_is_refused_with_strict_names() {
    let served = ThreeCertificates::new();
    let strict = Material { has_strict_names: true, ..served.material() };
    let server = TlsServer::new(strict).unwrap();
    let config = Arc::new(client(&TLS13, None));
    for name in ["first.test", "a.example.test", "127.0.0.1"] {
        open(&server, &config, name).unwrap();
    }
    for name in ["unknown.test", "a.b.example.test"] {
        let error = open(&server, &config, name).err().unwrap();
        assert_eq!(error, format!("no certificate is valid for {name}"));
    }
}

#[test]
fn a_name_may_have_certificates_with_keys_of_different_kinds() {
    let read = |certificate: &str, key: &str| {
        Pair::from_pem(certificate.as_bytes(), Some(key.as_bytes())).unwrap()
    };
    let rsa = read(include_str!("fixtures/rsa.crt"), include_str!("fixtures/rsa-pkcs8.key"));
    let authority = Authority::new();
    let ecdsa = authority.issue("rsa.test", &["rsa.test"]);
    let rsa_der = rsa.chain[0].clone();
    let server = TlsServer::new(material(vec![rsa, ecdsa.pair()])).unwrap();
    for (suites, expected) in [("ECDSA", ecdsa.der.to_vec()), ("_RSA_", rsa_der)] {
        // With TLS 1.2 the suites name the kind of key.
        let mut provider = default_provider();
        provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains(suites));
        let config = Arc::new(client_with(provider, VERSIONS[0], None));
        for name in ["rsa.test", "unknown.test"] {
            let opened = open(&server, &config, name).unwrap();
            assert!(opened.certificate.as_ref() == expected, "{suites} {name}");
        }
    }
}

#[test]
fn a_protocol_is_agreed_or_the_client_is_refused() {
    let server = TlsServer::new(ThreeCertificates::new().material()).unwrap();
    for (offered, expected) in [
        (vec!["h2", "http/1.1"], Ok(Some(b"http/1.1".to_vec()))),
        (vec![], Ok(None)),
        (vec!["h2"], Err("the client offers no protocol that the server has (ALPN)".to_owned())),
    ] {
        let mut config = client(&TLS13, None);
        config.alpn_protocols = offered.into_iter().map(Into::into).collect();
        let opened = open(&server, &Arc::new(config), "first.test");
        assert_eq!(opened.map(|it| it.alpn), expected);
    }
}

#[test]
fn new_connections_get_the_replaced_certificate_and_a_bad_one_changes_nothing() {
    let served = ThreeCertificates::new();
    let server = TlsServer::new(served.material()).unwrap();
    let config = Arc::new(client(&TLS13, None));
    let first = |server: &TlsServer| open(server, &config, "first.test").unwrap().certificate;
    assert!(first(&server) == served.first.der);
    let new = ThreeCertificates::new();
    let copy = server.clone();
    server.replace(new.material()).unwrap();
    assert!(first(&server) == new.first.der && first(&copy) == new.first.der);
    let bad = Material { pairs: Vec::new(), ..served.material() };
    assert_eq!(server.replace(bad).unwrap_err(), "there is no certificate");
    assert!(first(&server) == new.first.der);
}
