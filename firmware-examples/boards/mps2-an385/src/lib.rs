//! QEMU's `mps2-an385`: a Cortex-M3 at 25 MHz.

#![no_std]

use consort_probes::SysTick;
use cortex_m::Peripherals;
pub use cortex_m_rt::entry;

/// Values of memory lent to a policy: 16 KiB.
pub const MEMORY: usize = 4096;

/// The counter, once.
pub fn counter() -> Option<SysTick> {
    Some(SysTick::new(Peripherals::take()?.SYST))
}
