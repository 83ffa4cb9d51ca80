//! Counts MicroFlow's inference of the network that it ships, 1 → 16 → 16 → 1 in int8, as `../harness.c` counts others.
//!
//! `cargo xtask bench device` copies this folder to `target/`, and `sine.tflite` out of MicroFlow's own package beside it.

#![no_std]
#![no_main]

use core::fmt::Write;
use core::hint::black_box;
use core::panic::PanicInfo;

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{EXIT_FAILURE, exit};
use cortex_m_semihosting::hio::hstdout;
use microflow::model;
use nalgebra::matrix;

#[cfg(not(feature = "nothing"))]
#[model("sine.tflite")]
struct Sine;

const STEPS: usize = 100;
const CALIBRATION: u32 = 1_000_000;

#[entry]
fn main() -> ! {
    exit(run());
    loop {
        cortex_m::asm::wfi();
    }
}

fn run() -> Result<(), ()> {
    let mut timer = Peripherals::take().ok_or(())?.SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(0x00ff_ffff);
    timer.clear_current();
    timer.enable_counter();
    let mut out = hstdout()?;

    let ticks = since(spin(CALIBRATION)) - since(spin(CALIBRATION / 2));
    let line = writeln!(out, "calibration {CALIBRATION} {}", 2 * ticks);
    line.map_err(|_| ())?;
    let overhead = since(now());
    for step in 0..STEPS {
        let x = black_box(step as f32 * (6.283 / STEPS as f32));
        let start = now();
        let y = black_box(predict(x));
        let ticks = since(start) - overhead;
        writeln!(out, "step {} {ticks}", u8::from(y > 0.0)).map_err(|_| ())?;
    }
    writeln!(out, "done").map_err(|_| ())
}

#[cfg(not(feature = "nothing"))]
fn predict(x: f32) -> f32 {
    Sine::predict(matrix![x])[0]
}

#[cfg(feature = "nothing")]
fn predict(x: f32) -> f32 {
    x
}

fn now() -> u32 {
    0x00ff_ffff - SYST::get_current()
}

fn since(start: u32) -> u32 {
    now().wrapping_sub(start) & 0x00ff_ffff
}

/// When a loop of so many instructions began: one turn of it is a subtraction and a branch.
#[inline(never)]
fn spin(instructions: u32) -> u32 {
    let start = now();
    cortex_m::asm::delay(instructions / 2);
    start
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    exit(EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}
