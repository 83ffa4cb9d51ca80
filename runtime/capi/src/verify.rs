//! Signed images, checked by a function of the caller's or in software.

use core::ffi::c_void;

use consort_runtime::{Image, SIGNATURE_LEN};

use crate::policy::{ConsortPolicy, init};
use crate::status::{self, ERR_NULL, Status};

/// `consort_verify_t`: whether a signature of 64 bytes is the key holder's of a message.
pub type Verify = unsafe extern "C" fn(
    context: *mut c_void,
    message: *const u8,
    message_len: usize,
    signature: *const u8,
) -> bool;

/// Like [`consort_policy_init`](crate::consort_policy_init), for images that `verify` must accept.
///
/// # Safety
///
/// As `consort_policy_init`; `verify` is null or may be called with `context`, and reads no more than it is given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_policy_init_verified(
    policy: *mut ConsortPolicy,
    image: *const c_void,
    image_len: usize,
    verify: Option<Verify>,
    context: *mut c_void,
) -> Status {
    // SAFETY: the caller's promise, which is ours.
    unsafe {
        init(policy, image, image_len, |bytes| {
            // Not before: without a way to verify, the policy is to be refused all the same.
            let verify = verify.ok_or(ERR_NULL)?;
            Image::new_verified(bytes, &mut asking(verify, context)).map_err(status::of_verified)
        })
    }
}

/// A verifier that asks the caller's function.
///
/// # Safety
///
/// `verify` may be called with `context` for as long as the verifier is used, and reads no more than it is given.
pub(crate) unsafe fn asking(
    verify: Verify,
    context: *mut c_void,
) -> impl FnMut(&[u8], &[u8; SIGNATURE_LEN]) -> bool {
    move |message: &[u8], signature: &[u8; SIGNATURE_LEN]| {
        // SAFETY: the caller's promise; both pointers are valid for the lengths that the header documents.
        unsafe { verify(context, message.as_ptr(), message.len(), signature.as_ptr()) }
    }
}

/// A `consort_verify_t` for Ed25519 in software; `public_key` is the context, 32 bytes.
///
/// # Safety
///
/// `public_key` is null or points to 32 bytes, `message` to `message_len`, `signature` to 64.
#[cfg(feature = "ed25519")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_verify_ed25519(
    public_key: *mut c_void,
    message: *const u8,
    message_len: usize,
    signature: *const u8,
) -> bool {
    use consort_runtime::{Ed25519, Verifier};

    use crate::raw;

    // SAFETY: the caller's promise.
    let key = unsafe { raw::value(public_key.cast_const().cast::<[u8; 32]>()) };
    // SAFETY: the caller's promise.
    let message = unsafe { raw::values(message, message_len) };
    // SAFETY: the caller's promise.
    let signature = unsafe { raw::value(signature.cast::<[u8; SIGNATURE_LEN]>()) };
    match (key, message, signature) {
        (Ok(key), Ok(message), Ok(signature)) => Ed25519::new(*key).verify(message, signature),
        _ => false,
    }
}
