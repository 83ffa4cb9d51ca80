//! Two slots of flash for policy images: an update that survives a power cut at any byte.
//!
//! A new image is written into the slot that is not in use, checked where it lies, and then *committed* by one small
//! record. The next boot gives it a *trial*; the firmware *confirms* it once it has shown that it works, and only then is it
//! settled. A boot without a confirmation counts as a failed trial: after [`TRIALS`] of them the other slot is used again.
//! Whatever moment the power fails at, the next boot finds the old image or the new one, whole; and an update can
//! always be tried again. `docs/update.md` says how, and what is assumed of the flash.
//!
//! ```
//! # use consort_update::{NoCounter, Refusal, Slots, View};
//! # use consort_runtime::{Image, Verifier};
//! # fn firmware<F: View>(flash: F, mut verifier: impl Verifier, received: &[u8]) -> Result<(), Box<dyn std::error::Error>>
//! # where F::Error: std::error::Error + 'static {
//! // Who may act here: signed images of agent 3.
//! let admit = |bytes: &[u8]| {
//!     let image = Image::new_verified(bytes, &mut verifier)?;
//!     match image.agent() {
//!         3 => Ok(image.revision()),
//!         _ => Err(Refusal::Unsuitable),
//!     }
//! };
//! let mut slots = Slots::new(flash, 0, 64 * 1024, admit, NoCounter)?;
//!
//! // At boot.
//! if let Some(boot) = slots.boot()? {
//!     let image = Image::new_checked(slots.bytes(&boot)?)?; // admitted a moment ago
//!     // … act for a while; if all is well:
//!     slots.confirm()?;
//! }
//!
//! // When an update has come.
//! let mut update = slots.begin()?;
//! for chunk in received.chunks(256) {
//!     update.write(chunk)?;
//! }
//! update.commit()?; // and reset
//! # Ok(()) }
//! ```
//!
//! # Panics
//!
//! Nothing in this crate panics, whatever the flash holds and does.
#![no_std]
#![forbid(unsafe_code)]

mod error;
mod geometry;
mod slots;
mod trailer;
mod update;

use core::convert::Infallible;

use embedded_storage::nor_flash::NorFlash;

pub use error::{ConfirmError, LayoutError, Refusal, UpdateError};
pub use slots::{Boot, Slot, Slots, State};
pub use trailer::TRIALS;
pub use update::Update;

/// Flash whose bytes can be looked at as they lie.
///
/// Flash that is mapped into memory gives a slice of itself; a driver of any other reads into memory of its own and gives
/// that. To act from flash, slices must lie at a multiple of 4, better 16, where `offset` does.
pub trait View: NorFlash {
    /// The `len` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`read`](embedded_storage::nor_flash::ReadNorFlash::read) has them.
    fn view(&mut self, offset: u32, len: usize) -> Result<&[u8], Self::Error>;
}

impl<F: View> View for &mut F {
    fn view(&mut self, offset: u32, len: usize) -> Result<&[u8], Self::Error> {
        (**self).view(offset, len)
    }
}

/// Who may act on this device. Every function of an image's bytes is one.
pub trait Admit {
    /// Looks at an image's bytes, where they lie, and gives its revision.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] where it may not act here.
    fn admit(&mut self, image: &[u8]) -> Result<u32, Refusal>;
}

impl<F: FnMut(&[u8]) -> Result<u32, Refusal>> Admit for F {
    fn admit(&mut self, image: &[u8]) -> Result<u32, Refusal> {
        self(image)
    }
}

/// A number that never goes down: the least revision that may act on this device.
///
/// Fuses, a secure element, or anything that whoever can write to the slots cannot turn back. It is advanced to an image's
/// revision when the image is confirmed.
pub trait RevisionCounter {
    /// Why the counter does not answer.
    type Error: core::fmt::Debug;

    /// The counter.
    ///
    /// # Errors
    ///
    /// When it cannot be read: nothing boots then.
    fn least(&mut self) -> Result<u32, Self::Error>;

    /// Makes it `revision`, which is above [`least`](Self::least).
    ///
    /// # Errors
    ///
    /// When it cannot be written. It is tried again at the next boot.
    fn advance(&mut self, revision: u32) -> Result<(), Self::Error>;
}

impl<C: RevisionCounter> RevisionCounter for &mut C {
    type Error = C::Error;

    fn least(&mut self) -> Result<u32, C::Error> {
        (**self).least()
    }

    fn advance(&mut self, revision: u32) -> Result<(), C::Error> {
        (**self).advance(revision)
    }
}

/// No counter: an update may not have a lower revision than the image in use all the same, but whoever can write to the
/// slots can go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoCounter;

impl RevisionCounter for NoCounter {
    type Error = Infallible;

    fn least(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn advance(&mut self, _: u32) -> Result<(), Infallible> {
        Ok(())
    }
}
