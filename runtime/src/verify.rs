//! Signed images: who checks a signature, and what may be wrong.

use thiserror::Error;

use crate::error::ImageError;
use crate::format::SIGNATURE_LEN;

/// Checks signatures, in software or by asking hardware: the algorithm and the key are its own.
///
/// A closure will do: `|message: &[u8], signature: &[u8; 64]| accelerator.verify(message, signature)`.
pub trait Verifier {
    /// Whether `signature` is the key holder's of exactly `message`. A check that cannot be made, as
    /// the hardware fails, is `false`.
    fn verify(&mut self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool;
}

impl<F: FnMut(&[u8], &[u8; SIGNATURE_LEN]) -> bool> Verifier for F {
    fn verify(&mut self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        self(message, signature)
    }
}

/// Why [`Image::new_verified`](crate::Image::new_verified) refuses some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// They are no image, or a damaged one.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image has no signature.
    #[error("the image is not signed: only signed ones are accepted here")]
    Unsigned,
    /// The signature is not the key holder's of this image.
    #[error("the signature does not fit: another key signed, or the image was changed")]
    Signature,
}
