//! What a worker serves TLS with, and its replacement while connections are open.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};

use crate::client_verifier::ClientVerifier;
use crate::material::{ClientAuthentication, Material, TlsVersion};
use crate::names::Names;
use crate::suites;
use crate::ticketer::Ticketer;

/// Tickets of a connection with TLS 1.3. A client uses each once (RFC 8446 appendix C.4), and
/// gets a new one with each connection, also with a resumed one. A second one would cost five
/// per cent of a handshake.
const TICKETS: usize = 1;

/// What a worker serves TLS with. All copies are the same server.
#[derive(Clone, Debug)]
pub struct TlsServer(Arc<RwLock<Current>>);

/// The configuration of new connections.
#[derive(Debug)]
struct Current {
    /// Without ALPN.
    base: Arc<ServerConfig>,
    /// The same for each list of protocols that was asked for (ALPN).
    by_protocols: Vec<(Vec<Vec<u8>>, Arc<ServerConfig>)>,
    /// Verifies clients; `None` if they are not asked for a certificate.
    verifier: Option<Arc<ClientVerifier>>,
}

impl TlsServer {
    /// One that serves with this material.
    ///
    /// # Errors
    /// Why the material cannot be used, in one line.
    pub fn new(material: Material) -> Result<Self, String> {
        // Before its first random number in a process aws-lc collects entropy from the jitter
        // of the processor, for 100 ms and more. No handshake has to wait for that.
        rand::fill(&mut [0]).map_err(|_| "the system has no random numbers".to_owned())?;
        Ok(Self(Arc::new(RwLock::new(Current::new(&material)?))))
    }

    /// Serves new connections with this material. Open ones keep theirs.
    ///
    /// # Errors
    /// Why the material cannot be used, in one line; then nothing has changed.
    pub fn replace(&self, material: Material) -> Result<(), String> {
        let mut new = Current::new(&material)?;
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (protocols, _) in &current.by_protocols {
            new.configure(protocols);
        }
        *current = new;
        Ok(())
    }

    /// The configuration of a connection that offers these protocols (ALPN).
    pub fn config(&self, alpn: &[Vec<u8>]) -> Arc<ServerConfig> {
        self.find(alpn).0
    }

    /// A new connection that offers these protocols (ALPN), and what verifies its client; `None`
    /// if that is not asked for a certificate.
    ///
    /// # Panics
    /// rustls does not accept a configuration that it accepted before.
    pub fn connection(&self, alpn: &[Vec<u8>]) -> (ServerConnection, Option<Arc<ClientVerifier>>) {
        let (config, verifier) = self.find(alpn);
        let connection = ServerConnection::new(config);
        (connection.expect("the configuration was tried when it was made"), verifier)
    }

    fn find(&self, alpn: &[Vec<u8>]) -> (Arc<ServerConfig>, Option<Arc<ClientVerifier>>) {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = current.by_protocols.iter().find(|(protocols, _)| protocols == alpn);
        if let Some((_, config)) = found {
            return (Arc::clone(config), current.verifier.clone());
        }
        drop(current);
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        (current.configure(alpn), current.verifier.clone())
    }
}

impl Current {
    fn new(material: &Material) -> Result<Self, String> {
        let (config, verifier) = configuration(material)?;
        let base = Arc::new(config);
        ServerConnection::new(Arc::clone(&base)).map_err(|error| error.to_string())?;
        Ok(Self { base, by_protocols: Vec::new(), verifier })
    }

    fn configure(&mut self, alpn: &[Vec<u8>]) -> Arc<ServerConfig> {
        // Another thread may have made it meanwhile.
        if let Some((_, config)) = self.by_protocols.iter().find(|it| it.0 == alpn) {
            return Arc::clone(config);
        }
        let mut config = ServerConfig::clone(&self.base);
        config.alpn_protocols = alpn.to_vec();
        let config = Arc::new(config);
        self.by_protocols.push((alpn.to_vec(), Arc::clone(&config)));
        config
    }
}

/// The configuration of rustls, and what verifies clients in it.
fn configuration(
    material: &Material,
) -> Result<(ServerConfig, Option<Arc<ClientVerifier>>), String> {
    let cipher_suites = suites::supported(&material.suites)?;
    let provider = Arc::new(CryptoProvider { cipher_suites, ..default_provider() });
    let versions: &[_] = match material.minimum {
        TlsVersion::V12 => &[&TLS13, &TLS12],
        TlsVersion::V13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| format!("cannot serve TLS with these versions and suites: {error}"))?;
    let verifier = client_verifier(material, provider)?;
    let builder = match verifier.clone() {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Names::new(material)?));
    // The order of the setting counts, otherwise the client's: a telephone without
    // instructions for AES prefers ChaCha20.
    config.ignore_client_order = !material.suites.is_empty();
    // Sessions are in tickets only, which every worker can read.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(Ticketer::new(material)?);
    config.send_tls13_tickets = TICKETS;
    // A request in early data can be sent again by an attacker (RFC 8446 section 8).
    config.max_early_data_size = 0;
    Ok((config, verifier))
}

fn client_verifier(
    material: &Material,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<ClientVerifier>>, String> {
    let is_mandatory = match material.client_authentication {
        ClientAuthentication::None => return Ok(None),
        ClientAuthentication::Optional => false,
        ClientAuthentication::Required => true,
    };
    let verifier = ClientVerifier::new(&material.client_roots, provider, is_mandatory)?;
    Ok(Some(Arc::new(verifier)))
}
