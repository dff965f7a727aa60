//! A TLS client for tests: its connections are used like plain ones.

use std::fmt::{self, Debug, Formatter};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ProtocolVersion,
    RootCertStore, SignatureScheme, SupportedProtocolVersion, version,
};

use super::certificate::{Authority, Certificate};
use super::client::{Connection, Stream};

/// A TLS client. Its connections resume the sessions of earlier ones.
pub(crate) struct TlsClient {
    /// `None`: any certificate is taken.
    roots: Option<RootCertStore>,
    name: String,
    is_name_sent: bool,
    certificate: Option<Certificate>,
    alpn: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    resumes: bool,
    /// The same for all connections: rustls resumes only sessions of the same configuration.
    config: OnceLock<Arc<ClientConfig>>,
}

impl TlsClient {
    /// A client that trusts this authority, and connects to `localhost`.
    pub(crate) fn new(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        Self { roots: Some(roots), ..Self::trusting_all() }
    }

    /// A client that takes any certificate, for any name.
    pub(crate) fn trusting_all() -> Self {
        Self {
            roots: None,
            name: "localhost".to_owned(),
            is_name_sent: true,
            certificate: None,
            alpn: Vec::new(),
            versions: vec![&version::TLS13, &version::TLS12],
            resumes: true,
            config: OnceLock::new(),
        }
    }

    /// Sends this server name, and expects a certificate for it.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sends no server name.
    pub(crate) fn without_name(mut self) -> Self {
        self.is_name_sent = false;
        self
    }

    /// Offers this certificate if the server asks for one.
    pub(crate) fn certificate(mut self, certificate: &Certificate) -> Self {
        self.certificate = Some(certificate.clone());
        self
    }

    /// Offers these protocols in this order.
    pub(crate) fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Offers TLS 1.2 only.
    pub(crate) fn only_1_2(mut self) -> Self {
        self.versions = vec![&version::TLS12];
        self
    }

    /// Offers TLS 1.3 only.
    pub(crate) fn only_1_3(mut self) -> Self {
        self.versions = vec![&version::TLS13];
        self
    }

    /// Makes a full handshake for each connection.
    pub(crate) fn without_resumption(mut self) -> Self {
        self.resumes = false;
        self
    }

    /// Connects, and does the handshake. With TLS 1.3 the server checks the client's
    /// certificate after that: its refusal is the error of the first read.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<Connection> {
        self.over(Connection::tcp(address)?)
    }

    /// Does the handshake over a connection on which nothing was received yet.
    pub(crate) fn over(&self, connection: Connection) -> io::Result<Connection> {
        let config = self.config.get_or_init(|| Arc::new(self.make()));
        let name = ServerName::try_from(self.name.clone()).expect("a host name");
        let session = ClientConnection::new(Arc::clone(config), name).expect("a valid client");
        let mut stream = TlsStream { session, socket: connection.stream };
        while stream.session.is_handshaking() {
            stream.session.complete_io(&mut stream.socket)?;
        }
        Ok(Connection::of(Stream::Tls(Box::new(stream))))
    }

    fn make(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_protocol_versions(&self.versions);
        let builder = match &self.roots {
            Some(roots) => builder.with_root_certificates(roots.clone()),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer)),
        };
        let mut config = match &self.certificate {
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key_der.clone()).unwrap();
                builder.with_client_auth_cert(vec![own.der.clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_sni = self.is_name_sent;
        if !self.resumes {
            config.resumption = Resumption::disabled();
        }
        config
    }
}

/// The client's side of a TLS connection.
pub(crate) struct TlsStream {
    session: ClientConnection,
    socket: Stream,
}

impl TlsStream {
    /// The socket below: what is written to it is not encrypted.
    pub(crate) fn socket(&mut self) -> &mut Stream {
        &mut self.socket
    }

    pub(crate) fn is_1_3(&self) -> bool {
        self.session.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// The protocol that the server has chosen.
    pub(crate) fn alpn(&self) -> Option<&str> {
        self.session.alpn_protocol().map(|name| str::from_utf8(name).unwrap())
    }

    /// Whether the server has resumed an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The server's own certificate.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.session.peer_certificates().expect("the server has a certificate")[0]
    }

    /// Sends close_notify; the socket stays open.
    pub(crate) fn finish_sending(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.send_records()
    }

    /// Whether the server has sent no close_notify, and has not closed the socket, as far as
    /// the client can see. Takes from the socket only what is not data, such as tickets.
    pub(crate) fn is_open(&mut self) -> bool {
        self.socket.set_nonblocking(true);
        let is_open = loop {
            match self.session.read_tls(&mut self.socket) {
                Ok(0) => break false,
                Ok(_) => {
                    let state = self.session.process_new_packets().expect("valid records");
                    if state.peer_has_closed() {
                        break false;
                    }
                }
                Err(error) => break error.kind() == ErrorKind::WouldBlock,
            }
        };
        self.socket.set_nonblocking(false);
        is_open
    }

    fn send_records(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

impl Read for TlsStream {
    /// Returns 0 after close_notify only. If the socket ends without it, the error is
    /// `ConnectionAborted`.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    let problem = "the socket has ended without close_notify";
                    return Err(io::Error::new(ErrorKind::ConnectionAborted, problem));
                }
                result => return result,
            }
            self.session.read_tls(&mut self.socket)?;
            let processed = self.session.process_new_packets();
            // Sends the server an alert if the client has found an error.
            let sent = self.send_records();
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            sent?;
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(bytes)?;
        self.send_records()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_records()
    }
}

/// Takes any certificate: for tests of the one that the server chooses, and of kinds that
/// rustls refuses to verify.
struct AnyServer;

impl Debug for AnyServer {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        formatter.write_str("AnyServer")
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}
