//! An agent on an ESP32-C3, for a host behind UART0 (`consort hil`): images at the end of the first 4 MiB of flash.

#![no_std]
#![no_main]

use embedded_io::{Read, Write};
use esp_hal::main;
use esp_hal::system::software_reset;
use esp_hal::uart::{Config, Uart};
use esp_storage::FlashStorage;
use rtt_target::rtt_init_print;

mod micros;
#[path = "../../panic.rs"]
mod panic;
#[path = "../../wire.rs"]
mod wire;

use micros::Micros;
use wire::{BAUD, Line, MICROSECONDS, play, slots};

esp_bootloader_esp_idf::esp_app_desc!();

#[main]
fn main() -> ! {
    rtt_init_print!();
    let board = esp_hal::init(esp_hal::Config::default());
    let uart = Uart::new(board.UART0, Config::default().with_baudrate(BAUD));
    let uart = uart.expect("a rate that the clock divides to");
    let (mut receiver, mut sender) = uart.with_tx(board.GPIO21).with_rx(board.GPIO20).split();
    let line = Line {
        read: |place: &mut [u8]| Read::read(&mut receiver, place).unwrap_or(0),
        write: |bytes: &[u8]| {
            let _ = Write::write_all(&mut sender, bytes);
        },
    };
    let flash = FlashStorage::new(board.FLASH);
    play(line, flash, slots(), Micros, MICROSECONDS);
    software_reset()
}
