//! Checks an image and acts greedily from it: what this has more than `nothing` is Consort's share of the firmware.
//!
//! Which image it is makes no difference: any that the build knows can lie in flash.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use consort_runtime::{Image, Policy, TeamId};
use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    static mut MEMORY: [f32; 128] = [0.0; 128];
    static mut OBSERVATION: [f32; 13] = [0.0; 13];
    loop {
        act(black_box(&[]), black_box(OBSERVATION), black_box(MEMORY));
    }
}

/// The team whose images the device takes.
const TEAM: TeamId = TeamId(*b"a team's own tag");

/// The black boxes keep everything a firmware could ask: any image, any observation, what the header says, the error's
/// detail.
#[inline(never)]
fn act(image: &[u8], observation: &[f32], memory: &mut [f32]) {
    match Image::new_checked(image) {
        Ok(image) => {
            black_box(image.team() == TEAM);
            black_box([image.agent(), image.agents()]);
            black_box([image.revision(), image.period_us(), image.crc()]);
            let policy = Policy::new(image);
            black_box(policy.reset(memory).is_ok());
            black_box(&policy.step(observation, memory).ok());
        }
        Err(error) => {
            black_box(&error);
        }
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
