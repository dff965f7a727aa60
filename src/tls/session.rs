//! Facts of an open connection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};

use crate::certificate;
use crate::client_verifier::ClientVerifier;
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
    /// It has resumed an earlier session.
    pub is_resumed: bool,
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
    /// The facts of a connection whose handshake is complete; `now` is in seconds since
    /// 1970.
    ///
    /// # Errors
    /// Why the client must not use the connection. rustls verifies its certificates in a full
    /// handshake only; those of a resumed session may have expired since, and each connection
    /// gets a new ticket.
    pub fn new(
        connection: &ServerConnection,
        verifier: Option<&ClientVerifier>,
        now: i64,
    ) -> Result<Self, String> {
        let chain = connection.peer_certificates().filter(|_| verifier.is_some());
        let chain = chain.unwrap_or_default();
        let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        if let Some(verifier) = verifier.filter(|_| is_resumed && !chain.is_empty()) {
            verifier.check_again(chain, now)?;
        }
        let suite = connection.negotiated_cipher_suite().map(|suite| u16::from(suite.suite()));
        Ok(Self {
            protocol: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "",
            },
            cipher: suite.map_or("", suites::openssl_name),
            client: chain.first().map(|der| ClientCertificate::new(der)).transpose()?,
            asks_clients: verifier.is_some(),
            is_resumed,
        })
    }
}

impl ClientCertificate {
    /// One that rustls has verified.
    fn new(der: &[u8]) -> Result<Self, String> {
        let parsed = certificate::parse(der)
            .map_err(|why| format!("the client's certificate cannot be read: {why}"))?;
        Ok(Self {
            subject: distinguished_name::text(parsed.subject()),
            issuer: distinguished_name::text(parsed.issuer()),
            serial: certificate::serial(&parsed),
            der: der.to_vec(),
        })
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
