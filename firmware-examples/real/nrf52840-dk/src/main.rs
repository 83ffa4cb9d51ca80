//! Verifies the embedded agent on the nRF52840-DK: LED 1 stays on if every bit is as on the workstation, else it blinks.

#![no_std]
#![no_main]

use consort_probes::{Painted, SysTick};
use consort_replay::report;
use cortex_m::Peripherals;
use embassy_executor::Spawner;
use embassy_nrf::gpio::{Level, Output, OutputDrive};
use embassy_time::Timer;
use rtt_target::rtt_init_print;

use console::Console;

#[path = "../../console.rs"]
mod console;
#[path = "../../panic.rs"]
mod panic;

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    rtt_init_print!();
    let board = embassy_nrf::init(Default::default());
    let core = Peripherals::take().expect("taken once");
    // The LED hangs on the supply: low is on.
    let mut led = Output::new(board.P0_13, Level::Low, OutputDrive::Standard);
    let mut memory = [0.0; 1024];
    // Ticks are cycles of the core, 64 MHz.
    let clock = &mut SysTick::new(core.SYST);
    if !report(&mut Console, clock, &mut Painted, &mut memory) {
        loop {
            led.toggle();
            Timer::after_millis(100).await;
        }
    }
}
