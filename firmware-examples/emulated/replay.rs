//! Replays the embedded agent's golden sequence on an emulated board: text and exit status by semihosting.

#![no_std]
#![no_main]

use core::fmt;
use core::panic::PanicInfo;

use board::{MEMORY, counter, entry};
use consort_probes::Painted;
use consort_replay::{embedded, replay};
use semihosting::io::{Stdout, Write, stdout};
use semihosting::process::exit;

const FAILURE: i32 = 1;

#[entry]
fn main() -> ! {
    let (Some(mut clock), Ok(out)) = (counter(), stdout()) else {
        exit(FAILURE)
    };
    let mut memory = [0.0; MEMORY];
    let replayed = replay(
        &mut Console(out),
        &mut clock,
        &mut Painted,
        embedded::IMAGE,
        embedded::SEQUENCE,
        &mut memory,
    );
    // An error has been printed.
    exit(if replayed.is_ok() { 0 } else { FAILURE })
}

/// The host's console.
struct Console(Stdout);

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// A constant text: formatting the message would need more stack and code at the worst of moments.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    if let Ok(mut out) = stdout() {
        let _ = out.write_all(b"error panic\n");
    }
    exit(FAILURE)
}
