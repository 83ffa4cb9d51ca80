//! What a device has for a policy.

use consort_runtime::{Head, Image};
use thiserror::Error;

use crate::message::MAX_ACTIONS;

/// What a device has for a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Values that a policy can be lent.
    pub memory: usize,
    /// Values of the longest observation, and of the longest action.
    pub values: usize,
    /// Bytes of the longest frame, with its zeros.
    pub frame: usize,
}

/// Why an image does not fit a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It has more actions than a mask can speak of.
    #[error("the image has {actions} actions, a mask at most {MAX_ACTIONS}")]
    Actions {
        /// Its actions.
        actions: usize,
    },
    /// It computes in more memory than there is.
    #[error("the image computes in {asked} values of memory, the board has {memory}")]
    Memory {
        /// Values that it asks for.
        asked: usize,
        /// Values that there are.
        memory: usize,
    },
    /// Its observation, state or action is longer than there is room for.
    #[error("the image's longest vector has {longest} values, the board has room for {values}")]
    Values {
        /// Values of the longest of them.
        longest: usize,
        /// Values that there is room for.
        values: usize,
    },
    /// Its observation, state or action does not go into a frame.
    #[error(
        "the image's longest vector takes a frame of {bytes} bytes, the board's have at most {frame}"
    )]
    Frame {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes that a frame may have.
        frame: usize,
    },
}

impl Limits {
    /// Whether an image fits.
    ///
    /// # Errors
    ///
    /// [`Unfit`]: the first thing that there is too little of.
    pub fn check(self, image: &Image<'_>) -> Result<(), Unfit> {
        // Around the values of an observation or an action: the rest of the message and a mask, generously.
        const AROUND: usize = 96;
        let Limits {
            memory,
            values,
            frame,
        } = self;
        let (observation, outputs) = (image.observation_len(), image.output_len());
        let mut longest = observation.max(image.state_len());
        match image.head() {
            Head::Deterministic { .. } | Head::Gaussian { .. } => longest = longest.max(outputs),
            _ if outputs > MAX_ACTIONS => return Err(Unfit::Actions { actions: outputs }),
            Head::MultiDiscrete { sizes } => longest = longest.max(sizes.len()),
            Head::Categorical { .. } => {}
        }
        let asked = image.memory_len();
        if asked > memory {
            return Err(Unfit::Memory { asked, memory });
        }
        if longest > values {
            return Err(Unfit::Values { longest, values });
        }
        // COBS adds a byte in 254.
        let bytes = longest.saturating_mul(size_of::<f32>());
        let bytes = bytes.saturating_add(bytes / 254).saturating_add(AROUND);
        match bytes <= frame {
            true => Ok(()),
            false => Err(Unfit::Frame { bytes, frame }),
        }
    }
}
