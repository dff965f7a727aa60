//! Certificates and keys of every kind, from PEM.

use std::sync::Arc;

use monoceros_tls::{KeyBytes, Pair, PairError, TlsServer, read_roots};
use rustls::version::TLS13;

use crate::authority::Authority;
use crate::serving::{client, material, open};

const RSA: &str = include_str!("fixtures/rsa.crt");
const RSA_PKCS1: &str = include_str!("fixtures/rsa-pkcs1.key");
const RSA_PKCS1_ENCRYPTED: &str = include_str!("fixtures/rsa-pkcs1-encrypted.key");
const RSA_PKCS8: &str = include_str!("fixtures/rsa-pkcs8.key");
const P256: &str = include_str!("fixtures/p256.crt");
/// With the part EC PARAMETERS before the key, as OpenSSL writes it.
const P256_SEC1: &str = include_str!("fixtures/p256-sec1.key");
const P256_PKCS8_ENCRYPTED: &str = include_str!("fixtures/p256-pkcs8-encrypted.key");
const P256_VERSION_1: &str = include_str!("fixtures/p256-version1.crt");
const P521: &str = include_str!("fixtures/p521.crt");
const P521_KEY: &str = include_str!("fixtures/p521.key");
const ED25519: &str = include_str!("fixtures/ed25519.crt");
const ED25519_KEY: &str = include_str!("fixtures/ed25519.key");
const ODD_SUBJECT: &str = include_str!("fixtures/odd-subject.crt");

fn read(certificate: &str, key: &str) -> Result<Pair, PairError> {
    Pair::from_pem(certificate.as_bytes(), Some(key.as_bytes()))
}

/// A pair with a certificate of version 1.
pub(crate) fn version_1() -> Pair {
    read(P256_VERSION_1, P256_SEC1).unwrap()
}

#[test]
fn every_kind_of_key_and_certificate_serves() {
    for (certificate, key, name) in [
        (RSA, RSA_PKCS1, "rsa.test"),
        (RSA, RSA_PKCS8, "rsa.test"),
        (P256, P256_SEC1, "p256.test"),
        (P256_VERSION_1, P256_SEC1, "version1.test"),
        (P521, P521_KEY, "p521.test"),
        (ED25519, ED25519_KEY, "ed25519.test"),
    ] {
        let pair = read(certificate, key).unwrap();
        let facts = pair.facts();
        assert_eq!(facts.names, [name]);
        assert_eq!(facts.subject, format!("CN={name}"));
        assert!(facts.not_after - facts.not_before == 36_500 * 86_400);
        let der = pair.chain[0].clone();
        let server = TlsServer::new(material(vec![pair])).unwrap();
        let opened = open(&server, &Arc::new(client(&TLS13, None)), name).unwrap();
        assert_eq!(opened.certificate.as_ref(), der);
    }
}

#[test]
fn the_key_may_stand_in_the_file_of_the_certificate() {
    let authority = Authority::new();
    let server = authority.issue("a", &["a.test"]);
    for text in [
        format!("{}{}{}", server.pem, authority.pem(), server.key_pem),
        format!("{}\n# A comment.\n{}{}", server.key_pem, server.pem, authority.pem()),
        format!("{}{}{}", server.pem, authority.pem(), server.key_pem).replace('\n', "\r\n"),
    ] {
        let pair = Pair::from_pem(text.as_bytes(), None).unwrap();
        assert_eq!(pair.chain, [server.der.to_vec(), authority.der().to_vec()]);
        assert!(matches!(pair.key, KeyBytes::Pkcs8(_)));
    }
}

#[test]
fn what_cannot_be_used_has_one_clear_reason() {
    let authority = Authority::new();
    let server = authority.issue("a", &["a.test"]);
    let misplaced = format!("{}{}", authority.pem(), server.pem);
    let damaged = server.pem.replace("MII", "M!I");
    let cut = &server.pem[..server.pem.len() / 2];
    let short_der = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let bits_1024 = "is damaged, or not of a supported kind (RSA from 2048 to 8192 bits, ECDSA \
                     with P-256, P-384 or P-521, Ed25519)";
    for (certificate, key, expected) in [
        ("", &*server.key_pem, "has no certificate in PEM format".to_owned()),
        ("\u{0}\u{1}", &server.key_pem, "has no certificate in PEM format".to_owned()),
        (&server.pem, &server.pem, "has no private key in PEM format".to_owned()),
        (&server.pem, "", "has no private key in PEM format".to_owned()),
        (&server.pem, no_key, format!("the private key cannot be used: it {bits_1024}")),
        (P256, P521_KEY, "the private key does not belong to the certificate".to_owned()),
        (RSA, P256_SEC1, "the private key does not belong to the certificate".to_owned()),
        (P256, &server.key_pem, "the private key does not belong to the certificate".to_owned()),
        (
            &misplaced,
            &server.key_pem,
            "the private key belongs to certificate 2 of the file: the server's own must be the \
             first, those that sign it follow"
                .to_owned(),
        ),
        (&damaged, &server.key_pem, "is no valid PEM: a part is no base64".to_owned()),
        (cut, &server.key_pem, "is no valid PEM: its end is missing".to_owned()),
        (short_der, &server.key_pem, "certificate 1 cannot be read: ".to_owned()),
    ] {
        let error = read(certificate, key).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{error:?}, not {expected:?}");
        assert!(!error.contains('\n'));
    }
    for (certificate, key) in [(P256, P256_PKCS8_ENCRYPTED), (RSA, RSA_PKCS1_ENCRYPTED)] {
        assert_eq!(read(certificate, key), Err(PairError::EncryptedKey));
        let both = format!("{certificate}{key}");
        assert_eq!(Pair::from_pem(both.as_bytes(), None), Err(PairError::EncryptedKey));
        let both = format!("{key}{certificate}");
        assert_eq!(Pair::from_pem(both.as_bytes(), None), Err(PairError::EncryptedKey));
    }
}

#[test]
fn a_subject_reads_as_openssl_writes_it() {
    let pair = read(ODD_SUBJECT, P256_SEC1).unwrap();
    // `openssl x509 -noout -subject -nameopt RFC2253`.
    assert_eq!(pair.facts().subject, include_str!("fixtures/odd-subject.txt").trim_end());
}

#[test]
fn names_of_a_server_are_those_of_the_extension_else_the_common_one() {
    let authority = Authority::new();
    let names = |names: &[&str]| authority.issue("Common.Test", names).pair().facts().names;
    assert_eq!(
        names(&["A.test", "*.b.test", "127.0.0.1", "::1"]),
        ["a.test", "*.b.test", "127.0.0.1", "::1"]
    );
    assert_eq!(names(&[]), ["common.test"]);
}

#[test]
fn authorities_are_read_and_tried() {
    let (one, two) = (Authority::new(), Authority::new());
    let both = format!("{}# Another one.\n{}", one.pem(), two.pem());
    let read = read_roots(both.as_bytes()).unwrap();
    assert_eq!(read.certificates, [one.der().to_vec(), two.der().to_vec()]);
    assert_eq!(read.facts[1].subject, "CN=authority");
    // A certificate that neither signs others nor itself is of no use.
    let leaf = one.issue("leaf", &[]);
    let read = read_roots(format!("{}{}", leaf.pem, one.pem()).as_bytes()).unwrap();
    assert_eq!(read.certificates, [one.der().to_vec()]);
    assert_eq!(read.unused, ["CN=leaf"]);
    let error = read_roots(leaf.pem.as_bytes()).unwrap_err();
    assert_eq!(error, "has no certificate of an authority");
    assert_eq!(read_roots(b"").unwrap_err(), "has no certificate in PEM format");
    let bad =
        format!("{}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", one.pem());
    let error = read_roots(bad.as_bytes()).unwrap_err();
    assert!(error.starts_with("certificate 2 cannot be used: "), "{error}");
}
