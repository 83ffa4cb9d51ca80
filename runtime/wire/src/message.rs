//! What a host asks, and what a device answers. The order of variants and fields is the format: `docs/wire.md`.

use core::fmt;

use consort_runtime::StepError;
use serde::{Deserialize, Serialize};

/// The most actions that a [mask](Observe::mask) can speak of.
pub const MAX_ACTIONS: usize = 256;

/// What a host asks. Each is answered by one [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request<'a> {
    /// Begins a session: what the device had been told in the last one is forgotten, but for its images.
    Hello,
    /// The key of the team's shared seed; it is kept in memory, until the next [`Hello`](Self::Hello).
    Key {
        /// The key.
        key: Key,
    },
    /// Begins the upload of an image of `length` bytes into the slot that is not in use. Until it is committed or given up (by
    /// any request that is not part of an upload), the device does not act.
    Begin {
        /// Bytes of the image.
        length: u32,
    },
    /// The next part of the image.
    Chunk {
        /// Where in the image it begins.
        offset: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The image is whole: the device checks it, commits it, and acts from it.
    Commit {
        /// [`hash`](fn@crate::hash) of the image.
        hash: u64,
    },
    /// The image in use works: its trial is over.
    Confirm,
    /// An episode begins.
    Reset {
        /// Which.
        episode: u64,
        /// The most steps it can have.
        ticks: u32,
        /// By which seed actions are drawn; none where the most probable one is taken.
        dice: Option<u64>,
    },
    /// The team's next step is this one: for a device whose count was off.
    Resync {
        /// The episode.
        episode: u64,
        /// The step of it.
        tick: u32,
    },
    /// What the agent sees: a step.
    Observe(#[serde(borrow)] Observe<'a>),
    /// Asks for the state's bits.
    State,
    /// Asks the board to start anew, as after a loss of power.
    Restart,
}

/// The key of a team's shared seed, on its way: what is printed of it is its name.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What an agent sees at one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observe<'a> {
    /// The episode.
    pub episode: u64,
    /// The step of it, from 0.
    pub tick: u32,
    /// The symbol of the shared seed to use in the place of the one that the device draws by its key, in a replay; none
    /// otherwise.
    pub symbol: Option<u8>,
    /// Which actions are allowed, a bit each, the lowest first; empty where all are.
    pub mask: &'a [u8],
    /// The observation without a symbol of a shared seed: `f32`, little-endian.
    pub values: &'a [u8],
}

/// What a device answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// To [`Request::Hello`]: what the device is.
    Hello(#[serde(borrow)] HelloReply<'a>),
    /// It is done.
    Done,
    /// To [`Request::Observe`]: what the agent does.
    Act(#[serde(borrow)] Act<'a>),
    /// To [`Request::State`]: the state, `f32`, little-endian.
    State {
        /// Its bytes.
        values: &'a [u8],
    },
    /// It is not done, and nothing has changed.
    Refused(Refused),
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HelloReply<'a> {
    /// The [protocol](crate::PROTOCOL) that it speaks.
    pub protocol: u8,
    /// The board's name.
    pub target: &'a str,
    /// Bytes of the longest frame that it takes, encoded, without the zeros around it.
    pub frame: u32,
    /// Bytes of the longest image that it takes.
    pub room: u32,
    /// Values of memory that it can lend a policy.
    pub memory: u32,
    /// What its ticks are.
    pub rate: Rate,
    /// [`hash`](fn@crate::hash) of the image in use; none where there is none.
    pub image: Option<u64>,
    /// Whether that image is still on trial.
    pub trial: bool,
    /// Its agent.
    pub agent: u16,
    /// How many agents its team has.
    pub agents: u16,
    /// Length of an observation, a symbol included.
    pub observation: u32,
    /// Length of the outputs: actions, or dimensions of the action's vector.
    pub outputs: u32,
    /// Values of state.
    pub state: u32,
}

/// How many of a unit a number of ticks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// What is counted.
    pub unit: Unit,
    /// So many of them …
    pub units: u32,
    /// … are so many ticks.
    pub ticks: u32,
}

impl Rate {
    /// A tick is a nanosecond.
    pub const NANOSECONDS: Self = Self {
        unit: Unit::Nanoseconds,
        units: 1,
        ticks: 1,
    };

    /// What so many ticks are, in the rate's unit, to the nearest.
    pub fn of(self, ticks: u32) -> u64 {
        let (units, of) = (u64::from(self.units), u64::from(self.ticks).max(1));
        u64::from(ticks)
            .saturating_mul(units)
            .saturating_add(of / 2)
            / of
    }
}

/// What a device's counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Unit {
    /// Instructions, of an emulated core.
    Instructions,
    /// Cycles of a core.
    Cycles,
    /// Time in nanoseconds.
    Nanoseconds,
}

/// What an agent does at one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Act<'a> {
    /// The episode.
    pub episode: u64,
    /// The step of it.
    pub tick: u32,
    /// The action: the policy's own, or where there is a fault the [safe](crate::safe) one.
    #[serde(borrow)]
    pub action: Action<'a>,
    /// The symbol of the shared seed that was used.
    pub symbol: Option<u8>,
    /// [`Hash`](crate::Hash) of the outputs' bits and then the state's, after the step; of the state's alone where there is a
    /// fault.
    pub hash: u64,
    /// From observation to action, in the device's ticks.
    pub ticks: u32,
    /// The most bytes of stack in use; none where they are not watched, or may have been more than is watched.
    pub stack: Option<u32>,
    /// Why the action is the safe one.
    pub fault: Option<Fault>,
}

/// An action on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Action<'a> {
    /// A number.
    Discrete(u32),
    /// A vector: `f32`, little-endian.
    Continuous(&'a [u8]),
    /// A number of every group: `u32`, little-endian.
    MultiDiscrete(&'a [u8]),
}

/// Why a step gave no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault {
    /// A value of the observation is infinite or not a number: the first of them.
    Observation {
        /// Its index.
        index: u32,
    },
    /// A value of the state is infinite or not a number: the first of them.
    State {
        /// Its index.
        index: u32,
    },
    /// An output or a state overflowed.
    Overflow,
    /// The mask allows no action.
    Mask,
    /// Anything else that [`StepError`] knows; a device that checks what it is sent gives none of them.
    Other,
}

impl From<StepError> for Fault {
    fn from(error: StepError) -> Self {
        match error {
            StepError::NonFiniteObservation { index } => Fault::Observation {
                index: index as u32,
            },
            StepError::NonFiniteState { index } => Fault::State {
                index: index as u32,
            },
            StepError::NonFiniteOutput { .. } | StepError::StateOverflow { .. } => Fault::Overflow,
            StepError::EmptyMask => Fault::Mask,
            _ => Fault::Other,
        }
    }
}

/// Why a request is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The device knows of no such session: it has started anew.
    #[error("the device knows of no such session: it has started anew")]
    Session,
    /// There is no image to act from.
    #[error("the device has no image to act from")]
    NoImage,
    /// No episode has begun, or the agent's count leads to steps that it has taken already: a reset begins one.
    #[error("no episode has begun, or it was led back in it")]
    NoEpisode,
    /// The agent counts another step as its next; the host is wrong, or it is.
    #[error("the device's next step is ({episode}, {tick})")]
    Moment {
        /// The episode that it believes in.
        episode: u64,
        /// The step of it.
        tick: u32,
    },
    /// The observation, the mask or the symbol are not this policy's.
    #[error("the observation, the mask or the symbol are not this policy's")]
    Shape,
    /// The policy shares a seed, and the device was given neither its key nor a symbol.
    #[error("the policy shares a seed, and the device has no key")]
    NoKey,
    /// No upload is under way.
    #[error("no upload is under way")]
    NoUpload,
    /// The upload goes on elsewhere.
    #[error("the upload goes on at byte {expected}")]
    Offset {
        /// At this byte.
        expected: u32,
    },
    /// The image is longer than a slot.
    #[error("the image is longer than the {room} bytes of a slot")]
    TooLong {
        /// Bytes a slot has for an image.
        room: u32,
    },
    /// What was uploaded is not what was announced.
    #[error("what was uploaded is not what was announced")]
    Upload,
    /// The image is damaged, or none.
    #[error("the image is damaged")]
    Image,
    /// The image is too large for this device's memory or frames.
    #[error("the image asks for more memory than the device has, or for longer frames")]
    Unsuitable,
    /// The image is older than the one in use.
    #[error("the image's revision is below {least}, that of the image in use")]
    Rollback {
        /// The least revision that is taken.
        least: u32,
    },
    /// The image in use is on trial: confirm it first.
    #[error("the image in use is on trial: it must be confirmed first")]
    Unconfirmed,
    /// The flash failed.
    #[error("the device's flash failed")]
    Flash,
    /// The reply is longer than the device's frames.
    #[error("the reply is longer than the device's frames")]
    Reply,
    /// The device speaks another version of the protocol: that of this answer's header. Its number and what is around it stay as
    /// they are in every version.
    #[error("the device speaks another version of the protocol")]
    Version,
    /// The image is not signed, or not by whom it must be.
    #[error("the image is not signed as this device asks")]
    Signature,
    /// The counter of revisions failed. An image that was to be confirmed is, and the next start tries again to count it.
    #[error("the device's counter of revisions failed")]
    Counter,
}
