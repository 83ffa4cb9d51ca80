//! An agent on the nRF52840-DK, for a host behind the debugger's serial port (`consort hil`): images in the last 256 KiB of flash.

#![no_std]
#![no_main]

use consort_probes::SysTick;
use cortex_m::Peripherals;
use cortex_m::peripheral::SCB;
use cortex_m_rt::entry;
use embassy_futures::block_on;
use embassy_nrf::buffered_uarte::{BufferedUarte, InterruptHandler};
use embassy_nrf::nvmc::Nvmc;
use embassy_nrf::uarte::{Baudrate, Config};
use embassy_nrf::{bind_interrupts, peripherals::UARTE0};
use embedded_io_async::Write;
use rtt_target::rtt_init_print;

#[path = "../../panic.rs"]
mod panic;
#[path = "../../wire.rs"]
mod wire;

use wire::{BAUD, BUFFER, CYCLES, Line, play, slots};

bind_interrupts!(struct Interrupts {
    UARTE0 => InterruptHandler<UARTE0>;
});

#[entry]
fn main() -> ! {
    rtt_init_print!();
    let board = embassy_nrf::init(Default::default());
    let core = Peripherals::take().expect("taken once");
    let mut config = Config::default();
    const { assert!(BAUD == 115_200) };
    config.baudrate = Baudrate::Baud115200;
    let (sent, received) = (&mut [0; BUFFER], &mut [0; BUFFER]);
    let mut uart = BufferedUarte::new(
        board.UARTE0,
        board.TIMER1,
        board.PPI_CH0,
        board.PPI_CH1,
        board.PPI_GROUP0,
        board.P0_08,
        board.P0_06,
        Interrupts,
        config,
        received,
        sent,
    );
    let (receiver, sender) = uart.split_by_ref();
    let line = Line {
        read: |place: &mut [u8]| block_on(receiver.read(place)).unwrap_or(0),
        write: |bytes: &[u8]| {
            let _ = block_on(sender.write_all(bytes));
        },
    };
    let flash = Nvmc::new(board.NVMC);
    // Cycles of the core, 64 MHz.
    play(line, flash, slots(), SysTick::new(core.SYST), CYCLES);
    SCB::sys_reset()
}
