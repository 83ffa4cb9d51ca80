//! What `dense` is without Consort: start-up and the lent memory.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    static mut MEMORY: [f32; 128] = [0.0; 128];
    static mut OBSERVATION: [f32; 13] = [0.0; 13];
    loop {
        act(black_box(&[]), black_box(OBSERVATION), black_box(MEMORY));
    }
}

#[inline(never)]
fn act(image: &[u8], observation: &[f32], memory: &mut [f32]) {
    black_box((image, observation, memory));
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
