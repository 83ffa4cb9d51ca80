//! Plays episodes with a host: images, observations and actions as frames, over the emulator's console (`consort hil`).

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use board::{FRAME, MEMORY, NAME, SLOT, counter, entry};
use consort_probes::Painted;
use consort_replay::Metered;
use consort_wire::{Board, Ended, Ram, serve};
use embedded_io::{ErrorKind, ErrorType, Read, Write};
use semihosting::io::{Read as _, Stdin, Stdout, Write as _, stdin, stdout};
use semihosting::process::exit;

const FAILURE: i32 = 1;

#[entry]
fn main() -> ! {
    let (Some(clock), Ok(input), Ok(output)) = (counter(), stdin(), stdout()) else {
        exit(FAILURE)
    };
    let board = Board {
        target: NAME,
        // What the emulator loads is lost when it ends, and so are images.
        flash: &mut Ram::<{ 2 * SLOT }>::new(),
        base: 0,
        slot_len: SLOT as u32,
        memory: &mut [0.0; MEMORY],
        values: &mut [0.0; FRAME / 4],
    };
    let mut meter = Metered::instructions(clock, Painted);
    match serve::<_, _, _, FRAME>(&mut Console(input, output), board, &mut meter) {
        Ok(Ended::Closed | Ended::Restart) => exit(0),
        Err(_) => exit(FAILURE),
    }
}

/// The emulator's console.
struct Console(Stdin, Stdout);

impl ErrorType for Console {
    type Error = ErrorKind;
}

impl Read for Console {
    fn read(&mut self, place: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(place).map_err(|_| ErrorKind::Other)
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.1.write(bytes).map_err(|_| ErrorKind::Other)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// Says nothing: the host sees that the emulator is gone.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    exit(FAILURE)
}
