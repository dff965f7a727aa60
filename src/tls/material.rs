//! What a worker needs to serve TLS, as the master sends it.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a worker needs to serve TLS. The master reads the files, because workers have no
/// right to read keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// The certificates with their keys. The first is the default.
    pub pairs: Vec<Pair>,
    /// Whether clients are asked for a certificate.
    pub client_authentication: ClientAuthentication,
    /// The certificates in DER that may have signed those of clients.
    pub client_roots: Vec<Vec<u8>>,
    /// The oldest version of TLS that is accepted.
    pub minimum: TlsVersion,
    /// The cipher suites by their numbers (RFC 8446 appendix B.4), the preferred one first;
    /// empty for the usual ones.
    pub suites: Vec<u16>,
    /// A client that names a server without a certificate is refused.
    pub has_strict_names: bool,
    /// The keys of session tickets. The first one encrypts, the others only decrypt.
    pub ticket_keys: Vec<TicketKey>,
}

/// A certificate with what signs it, and its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The certificates in DER: the server's own first, then each that signs the one before.
    pub chain: Vec<Vec<u8>>,
    /// The private key.
    pub key: KeyBytes,
}

/// A private key in DER, in one of three formats. Its memory is overwritten when it is
/// dropped, and its bytes are in no debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub enum KeyBytes {
    /// PKCS#8 (RFC 5958).
    Pkcs8(Vec<u8>),
    /// PKCS#1, RSA only (RFC 8017).
    Pkcs1(Vec<u8>),
    /// SEC1, elliptic curves only (RFC 5915).
    Sec1(Vec<u8>),
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("KeyBytes")
    }
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientAuthentication {
    /// They are not.
    #[default]
    None,
    /// They may send one. One that cannot be verified ends the handshake.
    Optional,
    /// They must send one.
    Required,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V12,
    /// TLS 1.3 (RFC 8446).
    V13,
}

/// A key of session tickets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct TicketKey {
    /// Its name, which each of its tickets begins with.
    pub name: [u8; 16],
    /// The key of AES-256-GCM.
    pub secret: [u8; 32],
    /// When it was made, in seconds since 1970.
    pub made_at: u64,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "TicketKey of {}", self.made_at)
    }
}

impl Material {
    /// The bytes that [`Material::decode`] reads.
    ///
    /// # Errors
    /// Those of `serde_json`.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads what [`Material::encode`] has written.
    ///
    /// # Errors
    /// The bytes are of another version of the program.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_back_and_shows_no_key() {
        let material = Material {
            pairs: vec![Pair { chain: vec![vec![1, 2]], key: KeyBytes::Sec1(vec![77, 78]) }],
            client_authentication: ClientAuthentication::Optional,
            client_roots: vec![vec![3]],
            minimum: TlsVersion::V13,
            suites: vec![0x1301],
            has_strict_names: true,
            ticket_keys: vec![TicketKey { name: [1; 16], secret: [79; 32], made_at: 5 }],
        };
        let text = format!("{material:?}");
        assert!(!text.contains("77") && !text.contains("79"), "{text}");
        assert_eq!(Material::decode(&material.encode().unwrap()).unwrap(), material);
    }
}
