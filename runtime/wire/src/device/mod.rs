//! The device's side: one agent, from a stream of bytes to its actions.

mod link;
mod meter;
mod session;
mod step;
mod upload;

use core::convert::Infallible;
use core::fmt::Debug;

use consort_runtime::{Head, Image, Policy};
use consort_update::{LayoutError, NoCounter, Refusal, Slots, State, View};
use embedded_io::{Read, Write};
use thiserror::Error;

pub use meter::{Cost, Meter, Unmetered};
pub use step::{dice, safe, safe_groups};

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
pub enum Ended {
    /// The stream of bytes ended.
    Closed,
    /// The host asked for a [`Restart`](crate::Request::Restart): what the caller does is reset the chip.
    Restart,
}

/// Why a device cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ServeError<E: Debug> {
    /// The stream failed.
    #[error("stream: {0:?}")]
    Stream(E),
    /// The slots do not fit the flash.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Serves a host: takes images, plays episodes. Frames may have `N` bytes, encoded, with their zeros.
///
/// It forgets the session, the seed and the episode when it ends, so calling it again is what a restart of the chip is, if the
/// flash remembers. Ends when the stream does.
///
/// # Errors
///
/// The stream's, or a [`LayoutError`].
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
    let admit = |bytes: &[u8]| {
        let image = Image::new_checked(bytes)?;
        match limits.fits(&image) {
            true => Ok(image.revision()),
            false => Err(Refusal::Unsuitable),
        }
    };
    let mut slots = Slots::new(flash, base, slot_len, admit, NoCounter)?;
    let room = slot_len.saturating_sub(F::ERASE_SIZE as u32);
    let mut link: Link<'_, S, N> = Link::new(stream);
    let mut session = Session::new(target, room, meter.rate(), memory, values);
    loop {
        let mut booted = slots
            .boot()
            .unwrap_or_else(|never: Infallible| match never {});
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
                    let reply = match (slots.confirm().is_ok(), &mut booted) {
                        (true, Some(boot)) => {
                            boot.state = State::Confirmed;
                            Reply::Done
                        }
                        (_, None) => Reply::Refused(Refused::NoImage),
                        (false, _) => Reply::Refused(Refused::Flash),
                    };
                    link.reply(&reply).map_err(ServeError::Stream)?;
                }
                Exit::Upload(length) => {
                    upload::receive(&mut link, &mut slots, length, room)
                        .map_err(ServeError::Stream)?;
                    break;
                }
            }
        }
    }
}

/// What a device has for a policy.
#[derive(Clone, Copy)]
struct Limits {
    memory: usize,
    values: usize,
    frame: usize,
}

impl Limits {
    fn fits(self, image: &Image<'_>) -> bool {
        // Around the values of an observation or an action: the rest of the message and a mask, generously.
        const AROUND: usize = 96;
        let (observation, outputs) = (image.observation_len(), image.output_len());
        let mut longest = observation.max(image.state_len());
        match image.head() {
            Head::Deterministic { .. } | Head::Gaussian { .. } => longest = longest.max(outputs),
            _ if outputs > crate::MAX_ACTIONS => return false,
            Head::MultiDiscrete { sizes } => longest = longest.max(sizes.len()),
            Head::Categorical { .. } => {}
        }
        let bytes = longest.saturating_mul(size_of::<f32>());
        image.memory_len() <= self.memory
            && longest <= self.values
            // COBS adds a byte in 254.
            && bytes.saturating_add(bytes / 254).saturating_add(AROUND) <= self.frame
    }
}
