//! What the tests of calls share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::ffi::c_void;
use std::mem::MaybeUninit;

use consort_c::*;
use consort_runtime::{AlignedBytes, ImageRepr};
use rand_core::TryRng;

/// An image that lives for ever, as in flash.
pub(crate) fn flash(repr: &ImageRepr<'_>) -> &'static [u8] {
    let bytes = Box::leak(Box::new(AlignedBytes([0; 256])));
    let len = repr.emit(&mut bytes.0).unwrap();
    &bytes.0[..len]
}

/// A policy in memory that nothing was written to before.
pub(crate) fn init(image: &[u8]) -> (Box<ConsortPolicy>, Status) {
    let mut policy = Box::new(MaybeUninit::<ConsortPolicy>::uninit());
    // SAFETY: all bytes are valid numbers, and these are none that mean anything.
    let mut policy = unsafe {
        policy
            .as_mut_ptr()
            .cast::<u8>()
            .write_bytes(0xa5, size_of::<ConsortPolicy>());
        policy.assume_init()
    };
    // SAFETY: the policy may be written, and the tests keep their images.
    let status =
        unsafe { consort_policy_init(&raw mut *policy, image.as_ptr().cast(), image.len()) };
    (policy, status)
}

pub(crate) fn policy(repr: &ImageRepr<'_>) -> Box<ConsortPolicy> {
    let (policy, status) = init(flash(repr));
    assert_eq!(status, OK);
    policy
}

/// Counts up in steps: the same numbers for C and for Rust.
pub(crate) unsafe extern "C" fn random(context: *mut c_void) -> u32 {
    // SAFETY: the tests give a counter.
    let counter = unsafe { &mut *context.cast::<u32>() };
    *counter = counter.wrapping_add(0x3210_fedc);
    *counter
}

pub(crate) struct Counter(pub(crate) u32);

impl TryRng for Counter {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.0 = self.0.wrapping_add(0x3210_fedc);
        Ok(self.0)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("policies take numbers of 32 bits")
    }
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
        unreachable!("policies take numbers of 32 bits")
    }
}
