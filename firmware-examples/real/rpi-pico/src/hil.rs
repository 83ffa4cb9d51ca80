//! An agent on a Raspberry Pi Pico, for a host behind UART0 (`consort hil`): images in the last 256 KiB of flash.

#![no_std]
#![no_main]

use consort_probes::SysTick;
use cortex_m::Peripherals;
use cortex_m::peripheral::SCB;
use cortex_m_rt::entry;
use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart, Config};
use embassy_rp::{bind_interrupts, peripherals::UART0};
use embedded_io::{Read, Write};
use rtt_target::rtt_init_print;

#[path = "../../panic.rs"]
mod panic;
#[path = "../../wire.rs"]
mod wire;

use wire::{BAUD, BUFFER, CYCLES, Line, play, slots};

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

const FLASH: usize = 2 * 1024 * 1024;

#[entry]
fn main() -> ! {
    rtt_init_print!();
    let board = embassy_rp::init(Default::default());
    let core = Peripherals::take().expect("taken once");
    let mut config = Config::default();
    config.baudrate = BAUD;
    let (sent, received) = (&mut [0; BUFFER], &mut [0; BUFFER]);
    let uart = BufferedUart::new(
        board.UART0,
        board.PIN_0,
        board.PIN_1,
        Interrupts,
        sent,
        received,
        config,
    );
    let (mut sender, mut receiver) = uart.split();
    let line = Line {
        read: |place: &mut [u8]| receiver.read(place).unwrap_or(0),
        write: |bytes: &[u8]| {
            let _ = sender.write_all(bytes);
        },
    };
    let flash = Flash::<_, Blocking, FLASH>::new_blocking(board.FLASH);
    // Cycles of the core, 125 MHz.
    play(line, flash, slots(), SysTick::new(core.SYST), CYCLES);
    SCB::sys_reset()
}
