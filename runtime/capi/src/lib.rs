//! [`consort_runtime`] for C: what `include/consort.h` declares, which documents it for its callers.
//!
//! The one crate of the runtime that needs `unsafe`: a C caller's pointers cannot be checked, only trusted. What can be
//! checked is: null pointers, alignment, lengths, overlapping regions, handles that were never initialised, truth values that
//! are neither 0 nor 1. `raw` holds every conversion; everything behind it is safe Rust.
//!
//! # Panics
//!
//! Nothing here panics. A microcontroller's build has a panic handler as every program must; `cargo xtask qemu` shows
//! that a linked firmware holds no way to it.
#![no_std]

#[cfg(not(target_os = "none"))]
extern crate std;

mod act;
mod choose;
mod pace;
mod policy;
mod raw;
mod seed;
mod slots;
mod status;
mod step;
mod storage;
mod verify;

pub use act::*;
pub use choose::*;
pub use pace::*;
pub use policy::*;
pub use seed::*;
pub use slots::*;
pub use status::*;
pub use step::Random;
pub use storage::*;
pub use verify::*;

/// Never called: see the [crate].
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
