//! Checks an image and acts greedily from it: what this has more than `nothing` is Consort's share of the firmware.
//!
//! Which image it is makes no difference: any that the build knows can lie in flash.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use consort_runtime::{Image, Policy};
use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    let (mut memory, observation) = ([0.0; 128], [0.0; 13]);
    loop {
        act(
            black_box(&[]),
            black_box(&observation),
            black_box(&mut memory),
        );
    }
}

/// The black boxes keep everything a firmware could ask: any image, any observation, and the error's detail.
#[inline(never)]
fn act(image: &[u8], observation: &[f32], memory: &mut [f32]) {
    let image = Image::new_checked(image);
    if let Ok(image) = black_box(&image) {
        let policy = Policy::new(*image);
        black_box(policy.reset(memory).is_ok());
        black_box(&policy.step(observation, memory).ok());
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
