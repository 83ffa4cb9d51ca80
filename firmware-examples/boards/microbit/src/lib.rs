//! The first BBC micro:bit, emulated by QEMU: an nRF51822, whose Cortex-M0 has no timer of its own.

#![no_std]

use consort_replay::{Clock, Spin};
pub use cortex_m_rt::entry;
use nrf_pac::TIMER0;
use nrf_pac::timer::vals::Bitmode;

/// Values of memory lent to a policy: 4 KiB of its 16.
pub const MEMORY: usize = 1024;

/// The board's name to a host.
pub const NAME: &str = "microbit";

/// Bytes of each of the two slots that images are uploaded into: 2 KiB.
pub const SLOT: usize = 2048;

/// Bytes of the longest frame from or to a host.
pub const FRAME: usize = 512;

/// The chip's first timer, at 16 MHz.
pub struct Timer(());

/// The counter.
pub fn counter() -> Option<Timer> {
    TIMER0
        .bitmode()
        .write(|mode| mode.set_bitmode(Bitmode::_32bit));
    TIMER0
        .prescaler()
        .write(|prescaler| prescaler.set_prescaler(0));
    TIMER0.tasks_clear().write_value(1);
    TIMER0.tasks_start().write_value(1);
    Some(Timer(()))
}

impl Clock for Timer {
    const BITS: u32 = 32;

    fn now(&mut self) -> u32 {
        TIMER0.tasks_capture(0).write_value(1);
        TIMER0.cc(0).read()
    }
}

impl Spin for Timer {
    fn spin(&mut self, instructions: u32) {
        // One turn of its loop is a subtraction and a branch.
        cortex_m::asm::delay(instructions / 2);
    }
}
