//! Facts of an open connection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ProtocolVersion, ServerConnection};

use crate::certificate;
use crate::distinguished_name;
use crate::suites;

/// Bytes of a certificate on a line of PEM: 64 characters.
const LINE: usize = 48;

/// Facts of an open connection. They do not change while it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The version, by OpenSSL's name, such as `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite, by OpenSSL's name.
    pub cipher: &'static str,
    /// The verified certificate of the client.
    pub client: Option<ClientCertificate>,
    /// Clients are asked for a certificate.
    pub asks_clients: bool,
}

/// The certificate of a client, which was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject, as text (RFC 2253).
    pub subject: String,
    /// The subject of the certificate that signs it, as text (RFC 2253).
    pub issuer: String,
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    der: Vec<u8>,
}

impl Session {
    /// The facts of a connection whose handshake is complete.
    pub fn new(connection: &ServerConnection, asks_clients: bool) -> Self {
        let chain = connection.peer_certificates().filter(|_| asks_clients);
        let suite = connection.negotiated_cipher_suite().map(|suite| u16::from(suite.suite()));
        Self {
            protocol: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "",
            },
            cipher: suite.map_or("", suites::openssl_name),
            client: chain.and_then(<[_]>::first).map(|der| ClientCertificate::new(der)),
            asks_clients,
        }
    }
}

impl ClientCertificate {
    /// One that rustls has verified.
    fn new(der: &[u8]) -> Self {
        let parsed = certificate::parse(der).ok();
        let text = |make: fn(&x509_parser::certificate::X509Certificate) -> String| {
            parsed.as_ref().map(make).unwrap_or_default()
        };
        Self {
            subject: text(|it| distinguished_name::text(it.subject())),
            issuer: text(|it| distinguished_name::text(it.issuer())),
            serial: text(certificate::serial),
            der: der.to_vec(),
        }
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
        for line in self.der.chunks(LINE) {
            STANDARD.encode_string(line, &mut text);
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
        text
    }
}
