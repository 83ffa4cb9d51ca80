//! Plays episodes with a host: images, observations and actions as frames, over the emulator's console (`consort hil`).

#![no_std]
#![no_main]

use core::convert::Infallible;
use core::ffi::CStr;
use core::panic::PanicInfo;

use board::{FRAME, MEMORY, NAME, SLOT, counter, entry};
use consort_probes::Painted;
use consort_replay::Metered;
use consort_wire::{Board, Ram, serve};
use embedded_io::{ErrorType, Read, Write};
use semihosting::process::exit;
use semihosting::sys::arm_compat::{sys_readc, sys_write0, sys_writec};

const FAILURE: i32 = 1;

#[entry]
fn main() -> ! {
    let Some(clock) = counter() else {
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
    match serve::<_, _, _, FRAME>(&mut Console, board, &mut meter) {
        Ok(_) => exit(0),
        Err(_) => exit(FAILURE),
    }
}

/// The emulator's console, byte by byte: what versions of QEMU connect to the files of semihosting differs, but this does not.
struct Console;

impl ErrorType for Console {
    type Error = Infallible;
}

impl Read for Console {
    fn read(&mut self, place: &mut [u8]) -> Result<usize, Infallible> {
        // Waits, and while it does the emulator sleeps.
        Ok(place.first_mut().map_or(0, |byte| {
            *byte = sys_readc();
            1
        }))
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        // A frame is a string between two zeros, which is written at once.
        for piece in bytes.split_inclusive(|&byte| byte == 0) {
            match CStr::from_bytes_with_nul(piece) {
                Ok(text) => {
                    sys_write0(text);
                    sys_writec(0);
                }
                Err(_) => piece.iter().for_each(|&byte| sys_writec(byte)),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Says nothing: the host sees that the emulator is gone.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    exit(FAILURE)
}
