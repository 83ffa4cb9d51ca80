//! The device's side: one agent, from a stream of bytes to its actions.

mod admission;
mod limits;
mod link;
mod meter;
mod session;
mod step;
mod upload;

use core::fmt::Debug;

use consort_runtime::{Image, Policy};
use consort_update::{
    Admit, ConfirmError, LayoutError, Refusal, RevisionCounter, Slots, State, View,
};
use embedded_io::{Read, Write};
use thiserror::Error;

pub use admission::{Admission, Anyone, Signed};
pub use limits::{Limits, Unfit};
pub use meter::{Cost, Meter, Unmetered};
pub use step::{Dice, safe, safe_groups};

use crate::hash::hash;
use crate::message::{Refused, Reply};
use link::Link;
use session::{Exit, Session};

/// What a board lends its agent.
#[derive(Debug)]
pub struct Board<'a, F> {
    /// The board's name.
    pub target: &'a str,
    /// Where images are kept.
    pub flash: F,
    /// Where in the flash the first slot begins, in bytes.
    pub base: u32,
    /// The length of each of the two slots, in bytes.
    pub slot_len: u32,
    /// What the policy computes in.
    pub memory: &'a mut [f32],
    /// For the longest observation, and the longest action.
    pub values: &'a mut [f32],
}

/// Why a device serves no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The stream of bytes ended.
    Closed,
    /// The host asked for a [`Restart`](crate::Request::Restart): what the caller does is reset the chip.
    Restart,
}

/// Why a device cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServeError<E: Debug> {
    /// The stream failed.
    #[error("stream: {0:?}")]
    Stream(E),
    /// The slots do not fit the flash.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Serves a host: takes images, plays episodes. Frames may have `N` bytes, encoded, with their zeros. Every image that is whole
/// and fits may act; [`serve_admitting`] is for devices that ask for more.
///
/// It forgets the session, the seed and the episode when it ends, so calling it again is what a restart of the chip is, if the
/// flash remembers. Ends when the stream does: when reading gives no byte, or an error says that nobody is at the other end. Other
/// errors are a line's (an overrun, a parity that was wrong); they cost bytes, and those the protocol gets over.
///
/// # Errors
///
/// The stream's, where it says that nobody is there, or a [`LayoutError`].
pub fn serve<S, F, M, const N: usize>(
    stream: &mut S,
    board: Board<'_, F>,
    meter: &mut M,
) -> Result<Ended, ServeError<S::Error>>
where
    S: Read + Write,
    F: View,
    M: Meter,
{
    serve_admitting::<_, _, _, _, _, N>(stream, board, Admission::ANYONE, meter)
}

/// Like [`serve`], for a device on which not every image may act. Where the counter of revisions cannot be read, none does.
///
/// # Errors
///
/// As [`serve`].
pub fn serve_admitting<S, F, A, C, M, const N: usize>(
    stream: &mut S,
    board: Board<'_, F>,
    admission: Admission<A, C>,
    meter: &mut M,
) -> Result<Ended, ServeError<S::Error>>
where
    S: Read + Write,
    F: View,
    A: Admit,
    C: RevisionCounter,
    M: Meter,
{
    let Board {
        target,
        flash,
        base,
        slot_len,
        memory,
        values,
    } = board;
    let limits = Limits {
        memory: memory.len(),
        values: values.len(),
        frame: N,
    };
    let (mut who, counter, erase_size) = admission.into_parts();
    let admit = |bytes: &[u8]| {
        let revision = who.admit(bytes)?;
        let image = Image::new_checked(bytes)?;
        match limits.check(&image) {
            Ok(()) => Ok(revision),
            Err(_) => Err(Refusal::Unsuitable),
        }
    };
    let erase_size = erase_size.unwrap_or(F::ERASE_SIZE);
    let mut slots = Slots::erased_by(erase_size, flash, base, slot_len, admit, counter)?;
    let room = slots.room();
    let mut link: Link<'_, S, N> = Link::new(stream);
    let mut session = Session::new(target, room, meter.rate(), memory, values);
    loop {
        // Without its counter a device does not know what may act, and nothing does.
        let mut booted = slots.boot().unwrap_or(None);
        loop {
            let exit = {
                // Admitted a moment ago; flash that fails now is a slot without an image.
                let image = (booted.as_ref())
                    .and_then(|boot| slots.bytes(boot).ok())
                    .and_then(|bytes| Image::new_checked(bytes).ok());
                let image_hash = image.map(|image| hash(image.as_bytes()));
                session.image = image_hash;
                session.trial = booted.is_some_and(|boot| boot.state != State::Confirmed);
                session.live(&mut link, image.map(Policy::new), meter)
            };
            match exit.map_err(ServeError::Stream)? {
                Exit::Closed => return Ok(Ended::Closed),
                Exit::Restart => {
                    link.reply(&Reply::Done).map_err(ServeError::Stream)?;
                    return Ok(Ended::Restart);
                }
                Exit::Confirm => {
                    let (settled, reply) = match slots.confirm() {
                        Ok(()) => (true, Reply::Done),
                        Err(ConfirmError::Counter(_)) => (true, Reply::Refused(Refused::Counter)),
                        Err(ConfirmError::NotBooted) => (false, Reply::Refused(Refused::NoImage)),
                        Err(_) => (false, Reply::Refused(Refused::Flash)),
                    };
                    if let Some(boot) = booted.as_mut().filter(|_| settled) {
                        boot.state = State::Confirmed;
                    }
                    link.reply(&reply).map_err(ServeError::Stream)?;
                }
                Exit::Upload(length) => {
                    let begun = upload::receive(&mut link, &mut slots, length, room)
                        .map_err(ServeError::Stream)?;
                    // What was refused before it began changed nothing; and a boot would count as one of a trial's.
                    if begun {
                        session.end_episode();
                        break;
                    }
                }
            }
        }
    }
}
