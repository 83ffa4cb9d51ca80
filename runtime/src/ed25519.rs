//! Ed25519 in software.

use ed25519_compact::{PublicKey, Signature};

use crate::format::SIGNATURE_LEN;
use crate::verify::Verifier;

/// Checks Ed25519 signatures (RFC 8032, not prehashed) in software, by the crate `ed25519-compact`.
///
/// Refuses keys and signatures that are not canonical, and keys of small order. Its arithmetic
/// indexes arrays where the compiler cannot always see that the index is in range: a firmware with
/// it may link `core::panicking`, though nothing reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ed25519 {
    key: PublicKey,
}

impl Ed25519 {
    /// Accepts what the holder of `public_key` signed; `consort keygen` writes it.
    pub fn new(public_key: [u8; 32]) -> Self {
        Ed25519 {
            key: PublicKey::new(public_key),
        }
    }
}

impl Verifier for Ed25519 {
    fn verify(&mut self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        self.key
            .verify(message, &Signature::new(*signature))
            .is_ok()
    }
}
