//! An agent on the NUCLEO-F446RE, for a host behind the debugger's serial port (`consort hil`): images in flash.

#![no_std]
#![no_main]

use consort_probes::SysTick;
use cortex_m::Peripherals;
use cortex_m::peripheral::SCB;
use cortex_m_rt::entry;
use embassy_stm32::flash::Flash;
use embassy_stm32::usart::{BufferedInterruptHandler, BufferedUart, Config};
use embassy_stm32::{bind_interrupts, peripherals::USART2};
use embedded_io::{Read, Write};
use rtt_target::rtt_init_print;

#[path = "../../panic.rs"]
mod panic;
mod sectors;
#[path = "../../wire.rs"]
mod wire;

use sectors::{SLOT, Sectors};
use wire::{BAUD, BUFFER, CYCLES, Line, play};

bind_interrupts!(struct Interrupts {
    USART2 => BufferedInterruptHandler<USART2>;
});

#[entry]
fn main() -> ! {
    rtt_init_print!();
    let board = embassy_stm32::init(Default::default());
    let core = Peripherals::take().expect("taken once");
    let mut config = Config::default();
    config.baudrate = BAUD;
    let (sent, received) = (&mut [0; BUFFER], &mut [0; BUFFER]);
    let uart = BufferedUart::new(
        board.USART2,
        board.PA3,
        board.PA2,
        sent,
        received,
        Interrupts,
        config,
    );
    let (mut sender, mut receiver) = uart.expect("a rate that the clock divides to").split();
    let line = Line {
        read: |place: &mut [u8]| receiver.read(place).unwrap_or(0),
        write: |bytes: &[u8]| {
            let _ = sender.write_all(bytes);
        },
    };
    let flash = Sectors(Flash::new_blocking(board.FLASH));
    // Cycles of the core, 16 MHz from its internal oscillator.
    play(line, flash, (0, SLOT), SysTick::new(core.SYST), CYCLES);
    SCB::sys_reset()
}
