//! What can be wrong with a step.

use thiserror::Error;

/// Why a step gives no action. It has changed no state: the next step goes on from where this one
/// began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StepError {
    /// The observation has the wrong length.
    #[error("the observation has {found} values: the policy takes {expected}")]
    ObservationLength {
        /// Values the policy takes.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value of the observation is infinite or not a number.
    #[error("the observation's value {index} is not finite")]
    NonFiniteObservation {
        /// Its index.
        index: usize,
    },
    /// The policy expects a shared seed, and the observation does not end with a
    /// [symbol](crate::Symbol) of it.
    #[error(
        "the policy expects a shared seed: the observation's last {symbols} values must be a symbol's \
         one-hot vector"
    )]
    NoSymbol {
        /// Symbols of the seed.
        symbols: usize,
    },
    /// The memory is shorter than [`Image::memory_len`](crate::Image::memory_len).
    #[error("the memory lent has {found} values: the policy needs {expected}")]
    Memory {
        /// `f32` values the policy needs.
        expected: usize,
        /// `f32` values lent.
        found: usize,
    },
    /// A logit (or another output of the last layer) is infinite or not a number, as sums of
    /// products overflowed.
    #[error("output {index} overflowed: the observation is out of all proportion")]
    NonFiniteOutput {
        /// The first such output.
        index: usize,
    },
    /// The state in the memory lent is infinite or not a number: it is not what the last step left,
    /// or was never [reset](crate::Policy::reset).
    #[error("the state's value {index} is not finite: the memory was not reset, or was changed")]
    NonFiniteState {
        /// Its index in the memory.
        index: usize,
    },
    /// The next state is not a number, as sums of products overflowed.
    #[error("the next state's value {index} overflowed: the observation is out of all proportion")]
    StateOverflow {
        /// Its index in the memory.
        index: usize,
    },
    /// The mask has the wrong length.
    #[error("the mask has {found} values: the policy has {expected} actions")]
    MaskLength {
        /// The policy's actions, of all groups.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The mask allows no action, or none of a group.
    #[error("the mask allows no action: at least one must be true, in every group")]
    EmptyMask,
    /// The policy's actions are of another kind than what was asked for: vectors, or several numbers at
    /// once, where one number was, or vectors where logits or a mask were.
    #[error(
        "this policy's actions are of another kind: vectors of real numbers, or one number a group, come by `step`"
    )]
    Kind,
}
