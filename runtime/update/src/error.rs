//! What can be wrong with slots, images and updates.

use core::fmt::Debug;

use consort_runtime::{ImageError, VerifyError};
use thiserror::Error;

/// Why an image may not act on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is none, is damaged, or is not signed as it must be.
    #[error(transparent)]
    Image(#[from] VerifyError),
    /// It is another device's, by the firmware's own judgement: another agent's, or too large for its memory.
    #[error("the image is another device's")]
    Unsuitable,
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        Refusal::Image(error.into())
    }
}

/// Why two slots cannot lie where they are to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Slots begin and end with what can be erased by itself.
    #[error(
        "slots of {slot_len} bytes from {base} on: both must be multiples of {erase_size}, which is erased at once"
    )]
    Unaligned {
        /// Where the first slot begins, in bytes.
        base: u32,
        /// A slot's length, in bytes.
        slot_len: u32,
        /// What is erased at once, in bytes.
        erase_size: usize,
    },
    /// A slot needs a part for the image and one for its records, each erased by itself.
    #[error("a slot of {slot_len} bytes: must be at least {least}")]
    Small {
        /// A slot's length, in bytes.
        slot_len: u32,
        /// The least there can be, in bytes.
        least: u64,
    },
    /// The slots end behind the flash.
    #[error(
        "two slots of {slot_len} bytes from {base} on do not fit the {capacity} bytes of flash"
    )]
    Capacity {
        /// Where the first slot begins, in bytes.
        base: u32,
        /// A slot's length, in bytes.
        slot_len: u32,
        /// The flash's length, in bytes.
        capacity: usize,
    },
    /// Records have 32 bytes, which must be whole units of reading and writing.
    #[error(
        "flash that is read by {read_size} and written by {write_size} bytes: both must divide 32"
    )]
    Unit {
        /// What is read at once, in bytes.
        read_size: usize,
        /// What is written at once, in bytes.
        write_size: usize,
    },
    /// A slot's records do not fit what is erased at once, or that is no multiple of what the flash can erase.
    #[error(
        "flash that is erased by {found} bytes: must be at least {least}, and a multiple of {unit}"
    )]
    Erase {
        /// What is erased at once, in bytes.
        found: usize,
        /// The records' length, in bytes.
        least: u32,
        /// What the flash can erase, in bytes.
        unit: usize,
    },
}

/// Why an image was not taken into a slot. What was in use is untouched, and the update can be begun again.
///
/// Where flash fails while an image is committed ([`Flash`](Self::Flash), [`ReadBack`](Self::ReadBack)), its record may be there all
/// the same: the next boot tries the image if it finds the record whole, and uses the old one if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpdateError<F: Debug, C: Debug> {
    /// The image in use is on trial: the other slot is what remains if it fails.
    #[error(
        "the image in use is not confirmed: confirm it, or reset until the other one is used again"
    )]
    Unconfirmed,
    /// [`boot`](crate::Slots::boot) was not called: no one knows which slot is in use.
    #[error("boot first: it is not known which slot is in use")]
    NotBooted,
    /// The flash failed.
    #[error("flash: {0:?}")]
    Flash(F),
    /// The counter failed.
    #[error("revision counter: {0:?}")]
    Counter(C),
    /// The image does not fit the slot.
    #[error("the image is longer than the {room} bytes of a slot")]
    TooLong {
        /// Bytes a slot has for an image.
        room: u32,
    },
    /// The image may not act here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The image is older than one that was confirmed.
    #[error("revision {found}: must be at least {least}, as that was confirmed already")]
    Rollback {
        /// The image's revision.
        found: u32,
        /// The least that is accepted.
        least: u32,
    },
    /// What was written is not what is read.
    #[error("the record at offset {offset} cannot be read back: the flash is worn out")]
    ReadBack {
        /// Where it was written, in bytes.
        offset: u32,
    },
}

/// Why an image is not confirmed. It goes on being on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfirmError<C: Debug> {
    /// No image is in use.
    #[error("nothing was booted: there is nothing to confirm")]
    NotBooted,
    /// No place for the record took it.
    #[error("the confirmation cannot be written: the flash is worn out, or the power fails")]
    ReadBack,
    /// The image is confirmed, but the counter is behind; the next boot tries to advance it.
    #[error("confirmed, but the revision counter is behind: {0:?}")]
    Counter(C),
}
