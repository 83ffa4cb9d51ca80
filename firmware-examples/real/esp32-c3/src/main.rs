//! Verifies the embedded agent on an ESP32-C3: the LED on GPIO 8, lit when low as on most small boards, stays on if every bit
//! is as on the workstation, else it blinks.

#![no_std]
#![no_main]

use consort_probes::Painted;
use consort_replay::report;
use esp_hal::delay::Delay;
use esp_hal::gpio::{Level, Output, OutputConfig};
use esp_hal::main;
use rtt_target::rtt_init_print;

use console::Console;
use micros::Micros;

#[path = "../../console.rs"]
mod console;
mod micros;
#[path = "../../panic.rs"]
mod panic;

esp_bootloader_esp_idf::esp_app_desc!();

#[main]
fn main() -> ! {
    rtt_init_print!();
    let board = esp_hal::init(esp_hal::Config::default());
    let mut led = Output::new(board.GPIO8, Level::Low, OutputConfig::default());
    let mut memory = [0.0; 1024];
    let passed = report(&mut Console, &mut Micros, &mut Painted, &mut memory);
    loop {
        if !passed {
            led.toggle();
        }
        Delay::new().delay_millis(100);
    }
}
