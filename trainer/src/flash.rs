//! What `consort flash` puts onto a real board: which board it is, and an image as it lies in a slot.

use std::fs;
use std::path::{Path, PathBuf};

use consort_runtime::Image;
use consort_update::{NoCounter, Refusal, Slots, View};
use consort_wire::{Limits, Ram, Unfit};
use serde::Deserialize;

/// Why an agent does not come onto a board.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The team has no such agent.
    #[error("agent {agent}: the team has {agents} agents, counted from 0")]
    Agent {
        /// The agent asked for.
        agent: usize,
        /// How many there are.
        agents: usize,
    },
    /// The firmware's source is not there.
    #[error(
        "{}: no `{board}/board.toml` in it; the boards' firmware is in Consort's repository, --source names its firmware-examples/real",
        path.display()
    )]
    Source {
        /// The folder that was looked into.
        path: PathBuf,
        /// The board's folder.
        board: String,
    },
    /// There is nothing to replay.
    #[error("{}: not there, and `--app replay` plays it; `consort export` writes it beside the image", path.display())]
    Golden {
        /// The golden sequence.
        path: PathBuf,
    },
    /// The board's description cannot be read.
    #[error("{}: {message}", path.display())]
    Board {
        /// The description.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The image is longer than its place.
    #[error(
        "the image has {length} bytes, a slot of {board} {room}: `consort export --precision i8` makes a quarter of it, narrower layers \
         (`network.hidden`) less"
    )]
    Room {
        /// Bytes of the image.
        length: usize,
        /// The board.
        board: String,
        /// Bytes of a slot.
        room: usize,
    },
    /// The image asks for more than the board has.
    #[error("agent {agent} on {board}: {error}")]
    Unfit {
        /// The agent.
        agent: usize,
        /// The board.
        board: String,
        /// What there is too little of.
        error: Unfit,
    },
    /// A program is missing.
    #[error(
        "{program}: not found; install it, probe-rs by `cargo install probe-rs-tools --locked` or as https://probe.rs says"
    )]
    Missing {
        /// The program.
        program: String,
    },
    /// A step failed.
    #[error("{step}: {message}")]
    Step {
        /// The command.
        step: String,
        /// How it ended.
        message: String,
    },
}

impl FlashError {
    /// Whether the caller asked for what there is not.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Step { .. })
    }
}

/// A real board, as its `board.toml` has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Board {
    /// The compiler's target.
    pub target: String,
    /// Its name to probe-rs.
    pub chip: String,
    /// Where its serial line is.
    pub port: String,
    /// Bits a second on it.
    pub baud: u32,
    /// Values of memory that its firmware lends a policy.
    pub memory: usize,
    /// Bytes of the longest frame that it takes.
    pub frame: usize,
    /// Its slots.
    pub flash: Flash,
}

/// Two slots, by the addresses that a debugger writes to.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Flash {
    /// Where images begin.
    pub images: [u32; 2],
    /// Where their records do.
    pub records: [u32; 2],
    /// Bytes of an image.
    pub room: usize,
}

impl Board {
    /// Reads the description of the board in `folder`.
    ///
    /// # Errors
    /// [`FlashError::Board`].
    pub fn read(folder: &Path) -> Result<Self, FlashError> {
        let path = folder.join("board.toml");
        let wrong = |message: String| FlashError::Board {
            path: path.clone(),
            message,
        };
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))
    }

    /// What it has for a policy.
    pub fn limits(&self) -> Limits {
        Limits {
            memory: self.memory,
            // As its firmware has it: what a frame can bring.
            values: self.frame / size_of::<f32>(),
            frame: self.frame,
        }
    }
}

/// Bytes of a slot in which an image is prepared.
const SLOT: usize = 1 << 20;

/// Bytes that the records of a slot are erased by there; their first 224 are all there is of them.
const RECORDS: usize = 256;

/// Bytes of one record.
const RECORD: usize = 32;

/// An image as it lies in a slot of erased flash, confirmed: its bytes and its records', up to the last one that is not erased.
///
/// # Errors
/// What the slot says of an image that it does not take.
pub fn slot(image: &[u8]) -> Result<[Vec<u8>; 2], String> {
    let mut flash = Box::new(Ram::<{ 2 * SLOT }>::new());
    let mut slots = Slots::new(&mut *flash, 0, SLOT as u32, admit, NoCounter)
        .map_err(|error| error.to_string())?;
    let Ok(_) = slots.boot();
    let mut update = slots.begin().map_err(|error| error.to_string())?;
    update.write(image).map_err(|error| error.to_string())?;
    update.commit().map_err(|error| error.to_string())?;
    let Ok(_) = slots.boot();
    slots.confirm().map_err(|error| error.to_string())?;
    let mut part = |offset: usize, len: usize| {
        let part = flash.view(offset as u32, len);
        part.map(<[u8]>::to_vec)
            .map_err(|error| format!("{error:?}"))
    };
    let mut records = part(SLOT - RECORDS, RECORDS)?;
    let written = records.iter().rposition(|&byte| byte != 0xff);
    records.truncate(written.map_or(0, |last| last + 1).next_multiple_of(RECORD));
    Ok([part(0, image.len())?, records])
}

/// Takes any whole image: what the board takes, it looks at itself.
fn admit(bytes: &[u8]) -> Result<u32, Refusal> {
    Ok(Image::new_checked(bytes)?.revision())
}

#[cfg(test)]
mod tests {
    use consort_update::{Slot, State};
    use consort_wire::Ram;
    use embedded_storage::nor_flash::NorFlash;

    use super::*;

    #[test]
    fn what_is_written_by_a_debugger_is_booted_and_settled() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let image = fs::read(models.join("assurance/agent-1.image"));
        let image = image.unwrap_or_else(|error| panic!("{error}"));
        let [bytes, records] = slot(&image).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(bytes, image);
        assert!(records.len() < RECORDS && records.len() % RECORD == 0);
        // Slots of another size than those in which it was prepared, and other erased parts.
        let mut flash = Ram::<4096>::new();
        let written = flash
            .write(0, &bytes)
            .and_then(|()| flash.write(2048 - 256, &records));
        assert_eq!(written, Ok(()));
        let Ok(mut slots) = Slots::new(&mut flash, 0, 2048, admit, NoCounter) else {
            panic!("slots")
        };
        let Ok(Some(boot)) = slots.boot() else {
            panic!("an image")
        };
        assert_eq!((boot.slot, boot.state), (Slot::A, State::Confirmed));
        assert_eq!(slots.bytes(&boot), Ok(&image[..]));
        // The next one that comes, over the wire, goes into the other slot.
        assert!(slots.begin().is_ok());
    }

    #[test]
    fn what_is_no_image_is_no_slot() {
        assert!(slot(&[0; 64]).is_err());
    }

    #[test]
    fn every_board_has_its_slots_apart() {
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware-examples/real");
        for name in ["rpi-pico", "nrf52840-dk", "nucleo-f446re", "esp32-c3"] {
            let board = Board::read(&real.join(name)).unwrap_or_else(|error| panic!("{error}"));
            let Flash {
                images,
                records,
                room,
            } = board.flash;
            // A room is a whole number of records, which nothing else comes near.
            assert!(room % 32 == 0 && room <= SLOT - RECORDS, "{name}");
            let mut parts: Vec<_> = images.map(|start| (start, room as u32)).to_vec();
            parts.extend(records.map(|start| (start, 224)));
            parts.sort_unstable();
            for pair in parts.windows(2) {
                assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{name}: {parts:x?}");
            }
        }
    }
}
