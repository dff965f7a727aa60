//! Session tickets that every process with the same keys can read. The ticketer of rustls
//! takes no key from outside.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest;
use rustls::server::ProducesTickets;

use crate::material::{ClientAuthentication, Material};

/// How long a client may keep a ticket, in seconds.
const LIFETIME: u32 = 12 * 60 * 60;

/// Bytes of a key's name.
const NAME: usize = 16;

/// Encrypts and decrypts session tickets. A ticket is the name of its key, a nonce, and the
/// session encrypted with AES-256-GCM.
pub(crate) struct Ticketer {
    /// The keys by their names. The first one encrypts.
    keys: Vec<([u8; NAME], RandomizedNonceKey)>,
    /// A digest of what a client had to prove. It is authenticated with each ticket: one that
    /// was given under other conditions does not decrypt.
    conditions: Vec<u8>,
}

impl Ticketer {
    pub(crate) fn new(material: &Material) -> Result<Self, String> {
        let mut keys = Vec::new();
        for key in &material.ticket_keys {
            let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key.secret);
            let cipher = cipher.map_err(|_| "a key of session tickets is unusable".to_owned())?;
            keys.push((key.name, cipher));
        }
        Ok(Self { keys, conditions: conditions(material) })
    }

    fn additional_data(&self, name: &[u8; NAME]) -> Aad<Vec<u8>> {
        Aad::from([name.as_slice(), &self.conditions].concat())
    }
}

/// A digest of what a client must prove.
fn conditions(material: &Material) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[match material.client_authentication {
        ClientAuthentication::None => 0,
        ClientAuthentication::Optional => 1,
        ClientAuthentication::Required => 2,
    }]);
    for root in &material.client_roots {
        context.update(&(root.len() as u64).to_be_bytes());
        context.update(root);
    }
    context.finish().as_ref().to_vec()
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        !self.keys.is_empty()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let (name, key) = self.keys.first()?;
        let mut sealed = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(plain);
        let nonce = key.seal_in_place_append_tag(self.additional_data(name), &mut sealed).ok()?;
        Some([name.as_slice(), nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        // The name is no secret: it is compared in variable time.
        let (name, key) = self.keys.iter().find(|(known, _)| known == name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.open_in_place(nonce, self.additional_data(name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "Ticketer with {} keys", self.keys.len())
    }
}
