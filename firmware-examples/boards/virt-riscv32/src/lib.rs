//! QEMU's `virt`: a RISC-V that counts its own instructions.

#![no_std]

use consort_replay::{Clock, Spin};
use riscv::register::minstret;
pub use riscv_rt::entry;

/// Values of memory lent to a policy: 16 KiB.
pub const MEMORY: usize = 4096;

/// The board's name to a host.
pub const NAME: &str = "virt-riscv32";

/// Bytes of each of the two slots that images are uploaded into: 256 KiB.
pub const SLOT: usize = 256 * 1024;

/// Bytes of the longest frame from or to a host.
pub const FRAME: usize = 4096;

/// The core's counter of retired instructions, its lower half.
pub struct Retired(());

/// The counter.
pub fn counter() -> Option<Retired> {
    Some(Retired(()))
}

impl Clock for Retired {
    const BITS: u32 = 32;

    fn now(&mut self) -> u32 {
        minstret::read() as u32
    }
}

impl Spin for Retired {
    fn spin(&mut self, instructions: u32) {
        // One turn of its loop is an addition and a branch.
        riscv::asm::delay(instructions);
    }
}
