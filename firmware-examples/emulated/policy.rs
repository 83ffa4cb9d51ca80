//! Parses the image and acts, and nothing else: what this has more than `empty` is Consort's share of a firmware.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use board::{MEMORY, entry};
use consort_replay::embedded;
use consort_runtime::{Image, Policy};

#[entry]
fn main() -> ! {
    let mut memory = [0.0; MEMORY];
    loop {
        // The black boxes keep everything a firmware could ask: any image, any observation, and the error's detail.
        let image = Image::new_checked(black_box(embedded::IMAGE));
        if let Ok(image) = black_box(&image) {
            let policy = Policy::new(*image);
            let _ = black_box(policy.reset(black_box(&mut memory)));
            let observation = black_box(embedded::SEQUENCE).observations;
            black_box(&policy.step(observation, black_box(&mut memory)).ok());
        }
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
