//! A server and a client that exchange their messages in memory.

use std::io::{Read, Write};
use std::sync::Arc;

use monoceros_tls::{ClientAuthentication, Material, Session, TicketKey, TlsServer};
use monoceros_tls::{Pair, explain, read_roots};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::authority::{Authority, Issued};

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A material with these certificates, and no conditions for clients.
pub(crate) fn material(pairs: Vec<Pair>) -> Material {
    Material { pairs, ticket_keys: vec![TicketKey::generate(1)], ..Material::default() }
}

/// A material that asks clients for certificates of an authority.
pub(crate) fn asking(how: ClientAuthentication, authority: &Authority) -> Material {
    let pair = authority.issue("localhost", &["localhost"]).pair();
    let client_roots = read_roots(authority.pem().as_bytes()).unwrap().certificates;
    Material { client_authentication: how, client_roots, ..material(vec![pair]) }
}

/// What has come of a handshake.
pub(crate) struct Agreed {
    pub(crate) session: Session,
    pub(crate) is_resumed: bool,
    /// The certificate of the server.
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) alpn: Option<Vec<u8>>,
}

/// The configuration of a client that takes any certificate, and keeps sessions.
pub(crate) fn client(
    version: &'static SupportedProtocolVersion,
    identity: Option<&Issued>,
) -> ClientConfig {
    client_with(default_provider(), version, identity)
}

/// As above, with other suites.
pub(crate) fn client_with(
    provider: CryptoProvider,
    version: &'static SupportedProtocolVersion,
    identity: Option<&Issued>,
) -> ClientConfig {
    let keys = provider.key_provider;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAny));
    let Some(identity) = identity else { return builder.with_no_client_auth() };
    // Not `with_client_auth_cert`, which refuses certificates of version 1.
    let key = keys.load_private_key(identity.key.clone_key()).unwrap();
    let certified = CertifiedKey::new(vec![identity.der.clone()], key);
    builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
}

/// Opens a connection for this name, and sends a byte in each direction. Returns the server's
/// reason if it refuses.
pub(crate) fn open(
    server: &TlsServer,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<Agreed, String> {
    open_at(server, config, name, 0)
}

/// As above, at this time.
pub(crate) fn open_at(
    server: &TlsServer,
    config: &Arc<ClientConfig>,
    name: &str,
    now: i64,
) -> Result<Agreed, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let (mut server, verifier) = server.connection(&[b"http/1.1".to_vec()]);
    for _ in 0..10 {
        transfer(|to| client.write_tls(to), |from| server.read_tls(from));
        if let Err(error) = server.process_new_packets() {
            return Err(explain(&error, server.server_name()));
        }
        transfer(|to| server.write_tls(to), |from| client.read_tls(from));
        client.process_new_packets().map_err(|error| format!("client: {error}"))?;
        if !server.is_handshaking() && !client.is_handshaking() && !client.wants_write() {
            break;
        }
    }
    client.writer().write_all(b"a").unwrap();
    transfer(|to| client.write_tls(to), |from| server.read_tls(from));
    server.process_new_packets().unwrap();
    let mut byte = [0];
    server.reader().read_exact(&mut byte).unwrap();
    server.writer().write_all(&byte).unwrap();
    transfer(|to| server.write_tls(to), |from| client.read_tls(from));
    client.process_new_packets().unwrap();
    client.reader().read_exact(&mut byte).unwrap();
    Ok(Agreed {
        session: Session::new(&server, verifier.as_deref(), now)?,
        is_resumed: server.handshake_kind() == Some(HandshakeKind::Resumed),
        certificate: client.peer_certificates().unwrap()[0].clone().into_owned(),
        alpn: client.alpn_protocol().map(<[u8]>::to_vec),
    })
}

/// Moves what one side has to the other.
fn transfer(
    mut write: impl FnMut(&mut dyn Write) -> std::io::Result<usize>,
    mut read: impl FnMut(&mut dyn Read) -> std::io::Result<usize>,
) {
    let mut bytes = Vec::new();
    while write(&mut bytes).unwrap() > 0 {}
    let mut rest = bytes.as_slice();
    while !rest.is_empty() && read(&mut rest).unwrap() > 0 {}
}

/// Takes any certificate, if its key is used.
#[derive(Debug)]
struct TakesAny;

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // The library reads no certificate of version 1, so their signatures are not checked.
        if certificate.as_ref() == crate::pairs::version_1().chain[0].as_slice() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let known = default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
