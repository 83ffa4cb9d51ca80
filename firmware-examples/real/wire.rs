//! What the real boards share: an agent for the host at the other end of a serial line (`consort hil`).

use core::convert::Infallible;

use consort_probes::Painted;
use consort_replay::{Clock, Metered};
use consort_runtime::AlignedBytes;
use consort_wire::{Board, Copied, Rate, Unit, serve};
use embedded_io::{ErrorType, Read, Write};
use embedded_storage::nor_flash::NorFlash;

pub(crate) use board::BAUD;
use board::{FRAME, MEMORY};
#[allow(unused_imports, reason = "most boards need not know")]
pub(crate) use board::{IMAGES, RECORDS, ROOM};

/// What board.toml says, made constants by the build script: addresses count from the flash's first byte.
mod board {
    include!(concat!(env!("OUT_DIR"), "/board.rs"));
}

/// Bytes that a serial line's driver holds in each direction.
#[allow(dead_code, reason = "of one board, the hardware holds as many")]
pub(crate) const BUFFER: usize = 256;

/// Of a Cortex-M's own timer.
#[cfg(target_arch = "arm")]
pub(crate) const CYCLES: Rate = Rate {
    unit: Unit::Cycles,
    units: 1,
    ticks: 1,
};

/// Of a clock that counts microseconds.
#[cfg(target_arch = "riscv32")]
pub(crate) const MICROSECONDS: Rate = Rate {
    unit: Unit::Nanoseconds,
    units: 1_000,
    ticks: 1,
};

/// Where the first slot begins and how long both are, where each is one piece: its records lie right behind its image.
#[allow(dead_code, reason = "of one board's they do not")]
pub(crate) const fn slots() -> (u32, u32) {
    assert!(RECORDS[0] == IMAGES[0] + ROOM as u32 && RECORDS[1] == IMAGES[1] + ROOM as u32);
    (IMAGES[0], IMAGES[1] - IMAGES[0])
}

/// Serves a host until it asks for a restart.
///
/// `slots` are where the first one begins and how long both are, as `flash` counts; `rate` says what `clock` does.
pub(crate) fn play<R, W, F, C>(
    mut line: Line<R, W>,
    flash: F,
    (base, slot_len): (u32, u32),
    clock: C,
    rate: Rate,
) where
    R: FnMut(&mut [u8]) -> usize,
    W: FnMut(&[u8]),
    F: NorFlash,
    C: Clock,
{
    let copy = &mut AlignedBytes([0; ROOM]);
    let board = Board {
        target: env!("CARGO_PKG_NAME"),
        flash: &mut Copied::new(flash, copy),
        base,
        slot_len,
        memory: &mut [0.0; MEMORY],
        values: &mut [0.0; FRAME / 4],
    };
    // A line does not end. Where the slots do not fit the flash, a restart mends nothing, but the host sees that nobody answers.
    let _ = serve::<_, _, _, FRAME>(&mut line, board, &mut Metered::new(clock, Painted, rate));
}

/// A serial line by two functions, as drivers differ: what goes wrong on it costs bytes, and those the protocol gets over.
pub(crate) struct Line<R, W> {
    /// Waits for bytes and says how many came, none where the line failed.
    pub(crate) read: R,
    /// Writes all bytes.
    pub(crate) write: W,
}

impl<R, W> ErrorType for Line<R, W> {
    type Error = Infallible;
}

impl<R: FnMut(&mut [u8]) -> usize, W> Read for Line<R, W> {
    fn read(&mut self, place: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            match (self.read)(place) {
                0 => {}
                len => return Ok(len),
            }
        }
    }
}

impl<R, W: FnMut(&[u8])> Write for Line<R, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        (self.write)(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
