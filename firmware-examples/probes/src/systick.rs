//! The timer that every Cortex-M but some of the smallest has in its core.

use consort_replay::{Clock, Spin};
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// Counts the core's clock, in 24 bits: cycles on a real board, what `-icount` makes of instructions on an emulated one.
pub struct SysTick(());

const RELOAD: u32 = 0x00ff_ffff;

impl SysTick {
    /// Starts the timer, without its interrupt.
    pub fn new(mut timer: SYST) -> Self {
        timer.disable_interrupt();
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        SysTick(())
    }
}

impl Clock for SysTick {
    const BITS: u32 = 24;

    fn now(&mut self) -> u32 {
        // It counts down.
        RELOAD - SYST::get_current()
    }
}

impl Spin for SysTick {
    fn spin(&mut self, instructions: u32) {
        // One turn of its loop is a subtraction and a branch.
        cortex_m::asm::delay(instructions / 2);
    }
}
