//! QEMU's `mps2-an385`: a Cortex-M3 at 25 MHz.

#![no_std]

use consort_probes::SysTick;
use cortex_m::Peripherals;
pub use cortex_m_rt::entry;

/// Values of memory lent to a policy: 16 KiB.
pub const MEMORY: usize = 4096;

/// The board's name to a host.
pub const NAME: &str = "mps2-an385";

/// Bytes of each of the two slots that images are uploaded into: 256 KiB.
pub const SLOT: usize = 256 * 1024;

/// Bytes of the longest frame from or to a host.
pub const FRAME: usize = 4096;

/// The counter, once.
pub fn counter() -> Option<SysTick> {
    Some(SysTick::new(Peripherals::take()?.SYST))
}
