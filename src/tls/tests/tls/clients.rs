//! Clients that are asked for certificates, and what they may use.

use std::sync::Arc;

use monoceros_tls::{ClientAuthentication, Material, SUITES, TlsServer, TlsVersion};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::authority::{Authority, Issued};
use crate::serving::{VERSIONS, asking, client, material, open};

const REFUSED: &str = "the client's certificate is refused";

/// The name of the verified client, if it has sent a certificate.
fn name(
    server: &TlsServer,
    version: &'static SupportedProtocolVersion,
    identity: Option<&Issued>,
) -> Result<Option<String>, String> {
    let opened = open(server, &Arc::new(client(version, identity)), "localhost")?;
    assert!(opened.session.asks_clients);
    Ok(opened.session.client.map(|it| it.subject))
}

#[test]
fn a_certificate_that_cannot_be_verified_is_refused_also_where_it_is_optional() {
    let authority = Authority::new();
    let alice = authority.issue("alice", &[]);
    // Another authority with the same name.
    let stranger = Authority::new().issue("alice", &[]);
    for version in VERSIONS {
        for how in [ClientAuthentication::Optional, ClientAuthentication::Required] {
            let server = TlsServer::new(asking(how, &authority)).unwrap();
            assert_eq!(name(&server, version, Some(&alice)), Ok(Some("CN=alice".to_owned())));
            let error = name(&server, version, Some(&stranger)).unwrap_err();
            assert_eq!(
                error,
                format!("{REFUSED}: no key of an authority that the server trusts fits it")
            );
            let without = name(&server, version, None);
            if how == ClientAuthentication::Optional {
                assert_eq!(without, Ok(None));
            } else {
                assert_eq!(without, Err("the client has sent no certificate".to_owned()));
            }
        }
    }
}

#[test]
fn a_certificate_that_is_none_of_a_client_has_a_clear_reason() {
    let authority = Authority::new();
    let server = TlsServer::new(asking(ClientAuthentication::Required, &authority)).unwrap();
    let version_1 = Issued::read(
        include_str!("fixtures/p256-version1.crt"),
        include_str!("fixtures/p256-sec1.key"),
    );
    for (identity, why) in [
        (version_1, "it is of version 1, and only version 3 can be verified"),
        (
            authority.issue_with("a", |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "it is the certificate of an authority, not of a client",
        ),
        (
            authority.issue_with("a", |it| {
                it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
            "it is not one for clients (extendedKeyUsage)",
        ),
        (
            authority.issue_with("a", |it| it.not_after = date_time_ymd(2000, 1, 1)),
            "it has expired",
        ),
        (
            authority.issue_with("a", |it| it.not_before = date_time_ymd(3000, 1, 1)),
            "it is not valid yet",
        ),
    ] {
        let error = name(&server, &TLS13, Some(&identity)).unwrap_err();
        assert_eq!(error, format!("{REFUSED}: {why}"));
    }
}

#[test]
fn a_certificate_that_is_signed_by_its_own_key_verifies_itself_and_no_other() {
    let clients: [CertificateChange; 3] = [
        |it| it.is_ca = IsCa::ExplicitNoCa,
        |it| it.is_ca = IsCa::NoCa,
        |it| it.key_usages = vec![KeyUsagePurpose::DigitalSignature],
    ];
    for version in VERSIONS {
        for client in clients {
            let partner = Authority::with(client);
            let forged = partner.issue("admin", &[]);
            let server = TlsServer::new(asking(ClientAuthentication::Optional, &partner)).unwrap();
            let own = name(&server, version, Some(&partner.identity()));
            assert_eq!(own, Ok(Some("CN=authority".to_owned())));
            let error = name(&server, version, Some(&forged)).unwrap_err();
            let why = "no authority that the server trusts has issued it";
            assert_eq!(error, format!("{REFUSED}: {why}"));
        }
        // `openssl req -x509` makes a client's own certificate one of an authority.
        let authority = Authority::new();
        let server = TlsServer::new(asking(ClientAuthentication::Required, &authority)).unwrap();
        let own = name(&server, version, Some(&authority.identity()));
        assert_eq!(own, Ok(Some("CN=authority".to_owned())));
        for (change, why) in OWN {
            let partner = Authority::with(*change);
            let server = TlsServer::new(asking(ClientAuthentication::Required, &partner)).unwrap();
            let error = name(&server, version, Some(&partner.identity())).unwrap_err();
            assert_eq!(error, format!("{REFUSED}: {why}"));
        }
    }
}

type CertificateChange = fn(&mut CertificateParams);

/// What a certificate must not have that verifies itself.
const OWN: &[(CertificateChange, &str)] = &[
    (|it| it.not_after = date_time_ymd(2000, 1, 1), "it has expired"),
    (|it| it.not_before = date_time_ymd(3000, 1, 1), "it is not valid yet"),
    (
        |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        "it is not one for clients (extendedKeyUsage)",
    ),
];

#[test]
fn an_authority_verifies_clients_while_it_is_valid() {
    for version in VERSIONS {
        let changes: [CertificateChange; 2] = [
            |it| it.not_after = date_time_ymd(2000, 1, 1),
            |it| it.not_before = date_time_ymd(3000, 1, 1),
        ];
        for change in changes {
            let authority = Authority::with(change);
            let alice = authority.issue("alice", &[]);
            let server =
                TlsServer::new(asking(ClientAuthentication::Optional, &authority)).unwrap();
            let error = name(&server, version, Some(&alice)).unwrap_err();
            let why = "the authority that has issued it has expired, or is not valid yet";
            assert_eq!(error, format!("{REFUSED}: {why}"));
            assert_eq!(name(&server, version, None), Ok(None));
            // Another one, with the same name.
            let valid = Authority::new();
            let mut material = asking(ClientAuthentication::Required, &authority);
            material.client_roots.push(valid.der().to_vec());
            server.replace(material).unwrap();
            let bob = valid.issue("bob", &[]);
            assert_eq!(name(&server, version, Some(&bob)), Ok(Some("CN=bob".to_owned())));
        }
    }
}

#[test]
fn a_client_is_described_by_its_certificate() {
    let authority = Authority::new();
    let alice = authority.issue("alice", &[]);
    let server = TlsServer::new(asking(ClientAuthentication::Required, &authority)).unwrap();
    let opened = open(&server, &Arc::new(client(&TLS13, Some(&alice))), "localhost").unwrap();
    let certificate = opened.session.client.unwrap();
    assert_eq!(certificate.issuer, "CN=authority");
    assert_eq!(certificate.pem(), alice.pem.replace("\r\n", "\n"));
    assert!(certificate.serial.len() > 8);
    assert!(certificate.serial.bytes().all(|it| b"0123456789ABCDEF".contains(&it)));
}

#[test]
fn clients_are_not_asked_unless_it_is_set() {
    let authority = Authority::new();
    let alice = authority.issue("alice", &[]);
    let server = TlsServer::new(material(vec![authority.issue("a", &["a"]).pair()])).unwrap();
    let opened = open(&server, &Arc::new(client(&TLS13, Some(&alice))), "localhost").unwrap();
    assert!(opened.session.client.is_none() && !opened.session.asks_clients);
}

#[test]
fn an_old_version_is_refused() {
    let pair = Authority::new().issue("localhost", &["localhost"]).pair();
    let newest = Material { minimum: TlsVersion::V13, ..material(vec![pair]) };
    let server = TlsServer::new(newest).unwrap();
    let error = open(&server, &Arc::new(client(&TLS12, None)), "localhost").err().unwrap();
    assert_eq!(error, "the client offers no version of TLS that the server accepts");
    let opened = open(&server, &Arc::new(client(&TLS13, None)), "localhost").unwrap();
    assert_eq!(opened.session.protocol, "TLSv1.3");
}

#[test]
fn the_named_suites_are_used_in_their_order() {
    let pair = Authority::new().issue("localhost", &["localhost"]).pair();
    let number = |openssl: &str| SUITES.iter().find(|it| it.openssl == openssl).unwrap().number;
    let named = ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    let suites = named.map(number).to_vec();
    let server = TlsServer::new(Material { suites, ..material(vec![pair.clone()]) }).unwrap();
    let cipher = |server: &TlsServer, version| {
        let opened = open(server, &Arc::new(client(version, None)), "localhost");
        opened.map(|it| it.session.cipher)
    };
    assert_eq!(cipher(&server, &TLS12), Ok(named[0]));
    assert_eq!(cipher(&server, &TLS13), Ok("TLS_AES_256_GCM_SHA384"));
    // Only suites of TLS 1.3: 1.2 is off.
    let suites = vec![number("TLS_CHACHA20_POLY1305_SHA256")];
    let server = TlsServer::new(Material { suites, ..material(vec![pair.clone()]) }).unwrap();
    assert_eq!(cipher(&server, &TLS13), Ok("TLS_CHACHA20_POLY1305_SHA256"));
    assert!(cipher(&server, &TLS12).is_err());
    // Suites of TLS 1.2 with 1.3 as the oldest version: those of 1.3 stay.
    let suites = vec![number(named[0])];
    let minimum = TlsVersion::V13;
    let server = TlsServer::new(Material { suites, minimum, ..material(vec![pair]) }).unwrap();
    assert_eq!(cipher(&server, &TLS13), Ok("TLS_AES_256_GCM_SHA384"));
}
