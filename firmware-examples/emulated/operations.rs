//! Measures operations in software floating point on an emulated board: text and exit status by semihosting.

#![no_std]
#![no_main]

use core::fmt;
use core::panic::PanicInfo;

use board::{counter, entry};
use consort_replay::operations;
use semihosting::io::{Stdout, Write, stdout};
use semihosting::process::exit;

#[entry]
fn main() -> ! {
    let (Some(mut clock), Ok(out)) = (counter(), stdout()) else {
        exit(1)
    };
    let done = operations(&mut Console(out), &mut clock);
    exit(if done.is_ok() { 0 } else { 1 })
}

/// The host's console.
struct Console(Stdout);

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    exit(1)
}
