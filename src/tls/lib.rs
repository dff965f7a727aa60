//! TLS of a server, without sockets, files and settings: certificates and keys, what the
//! master sends to workers, and the configuration of rustls that a worker makes of it.

mod certificate;
mod client_verifier;
mod distinguished_name;
mod failure;
mod material;
mod names;
mod pair;
mod roots;
mod server;
mod session;
mod suites;
mod ticket_key;
mod ticketer;

pub use certificate::CertificateFacts;
pub use client_verifier::ClientVerifier;
pub use failure::explain;
pub use material::{ClientAuthentication, KeyBytes, Material, Pair, TicketKey, TlsVersion};
pub use pair::PairError;
pub use roots::{ClientRoots, read_roots};
pub use server::TlsServer;
pub use session::{ClientCertificate, Session};
pub use suites::{SUITES, Suite};
pub use ticket_key::rotate;
