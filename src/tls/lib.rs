//! TLS of a server, without sockets, files and settings: certificates and keys, what the
//! master sends to workers, and the configuration of rustls that a worker makes of it.

mod material;

pub use material::{ClientAuthentication, KeyBytes, Material, Pair, TicketKey, TlsVersion};
