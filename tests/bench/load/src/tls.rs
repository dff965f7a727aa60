//! TLS of the clients: what they offer, and whether they resume sessions.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
    SupportedProtocolVersion,
};

/// The sessions that are kept for the same server: enough for the clients of a measurement. rustls keeps 8 tickets
/// of TLS 1.3 a server name, and so each place has a name of its own.
const SESSIONS: usize = 4096;

/// How the clients connect.
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Clients that offer this version only.
    pub fn new(version: &'static SupportedProtocolVersion, resumes: bool) -> Self {
        let mut config = ClientConfig::builder_with_protocol_versions(&[version])
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer))
            .with_no_client_auth();
        config.resumption =
            if resumes { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
        Self(Arc::new(config))
    }

    /// The session of the client in this place, which resumes only what a client in this place has begun.
    pub fn session(&self, place: usize) -> ClientConnection {
        let name = format!("{place}.localhost");
        let name = ServerName::try_from(name).expect("digits and letters are a name");
        ClientConnection::new(Arc::clone(&self.0), name).expect("the settings fit each other")
    }
}

/// Handshakes that have ended, by kind.
#[derive(Default)]
pub struct Handshakes {
    full: u64,
    resumed: u64,
}

impl Handshakes {
    pub fn add(&mut self, kind: HandshakeKind) {
        match kind {
            HandshakeKind::Resumed => self.resumed += 1,
            _ => self.full += 1,
        }
    }
}

impl fmt::Display for Handshakes {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{{\"full\":{},\"resumed\":{}}}", self.full, self.resumed)
    }
}

/// Takes any certificate: the server is ours, and its cost is what is measured.
struct AnyServer;

impl Debug for AnyServer {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("AnyServer")
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}
