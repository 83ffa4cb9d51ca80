//! What `policy` is without Consort: start-up, the image's bytes, the lent memory. Subtracted from it to give text size.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use board::{MEMORY, entry};
use consort_replay::embedded;

#[entry]
fn main() -> ! {
    let mut memory = [0.0; MEMORY];
    loop {
        black_box(embedded::IMAGE);
        black_box(embedded::SEQUENCE);
        black_box(&mut memory);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
