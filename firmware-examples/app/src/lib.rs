//! A board-independent app: replays an agent's golden sequence.
//!
//! On an emulated board [`replay()`] prints, in a line protocol, what the agent did. On a real board [`report()`] compares it
//! there and says in a sentence what came of it. A board brings a sink for text and a counter; see `boards/mps2-an386` for how
//! little that is.
//! The [line protocol](mod@replay#line-protocol) is read back by `cargo xtask qemu`, which compares every bit with the host.
//!
//! A board that is to play episodes with a host (`consort hil`) hands its stream of bytes to [`consort_wire::serve`], and its
//! counter and its stack to [`Metered`].

#![no_std]

pub mod clock;
mod dice;
pub mod embedded;
pub mod meter;
mod operations;
mod play;
pub mod replay;
pub mod safety;
pub mod sequence;
pub mod stack;
pub mod verify;

pub use clock::{Clock, Spin};
pub use dice::Dice;
pub use meter::Metered;
pub use operations::operations;
pub use replay::{ReplayError, replay};
pub use sequence::{Expected, Sequence, SequenceSeed};
pub use stack::Stack;
pub use verify::{report, verify};

// The manual's programs, which are whole: tests. Nothing else may document these two: images are looked for beside the first text.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/firmware.md")]
struct Manual;
#[cfg(doctest)]
#[doc = include_str!("../../../runtime/README.md")]
struct Readme;
