//! Replays the embedded agent's golden sequence: text by semihosting, counts by SysTick, exit status by semihosting.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use consort_replay::{Clock, embedded, replay};
use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{EXIT_FAILURE, EXIT_SUCCESS, exit};
use cortex_m_semihosting::hio::hstdout;

/// Values of memory this board lends a policy: 16 KiB of its 4 MiB.
const MEMORY: usize = 4096;

#[entry]
fn main() -> ! {
    let (Some(peripherals), Ok(mut out)) = (Peripherals::take(), hstdout()) else {
        leave(EXIT_FAILURE);
    };
    let mut clock = SysTick::new(peripherals.SYST);
    let mut memory = [0.0; MEMORY];
    match replay(
        &mut out,
        &mut clock,
        embedded::IMAGE,
        embedded::SEQUENCE,
        &mut memory,
    ) {
        Ok(()) => leave(EXIT_SUCCESS),
        // It has been printed.
        Err(_) => leave(EXIT_FAILURE),
    }
}

/// The core's 24-bit timer. QEMU feeds it 25 MHz; with `-icount shift=7` an instruction is 128 ns, so 3.2 ticks.
struct SysTick;

impl SysTick {
    fn new(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(0x00ff_ffff);
        timer.clear_current();
        timer.enable_counter();
        SysTick
    }
}

impl Clock for SysTick {
    const BITS: u32 = 24;

    fn now(&mut self) -> u32 {
        // It counts down.
        0x00ff_ffff - SYST::get_current()
    }

    fn spin(&mut self, instructions: u32) {
        // One turn of its loop is a subtraction and a branch.
        cortex_m::asm::delay(instructions / 2);
    }
}

/// A constant text: formatting the message would need more stack and code at the worst of moments.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    if let Ok(mut out) = hstdout() {
        let _ = out.write_all(b"error panic\n");
    }
    leave(EXIT_FAILURE)
}

fn leave(status: Result<(), ()>) -> ! {
    exit(status);
    // A debugger may decide to continue after the exit.
    loop {
        cortex_m::asm::wfi();
    }
}
