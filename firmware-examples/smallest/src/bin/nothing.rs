//! What `dense` is without Consort: start-up and the lent memory.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

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

#[inline(never)]
fn act(image: &[u8], observation: &[f32], memory: &mut [f32]) {
    black_box((image, observation, memory));
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
