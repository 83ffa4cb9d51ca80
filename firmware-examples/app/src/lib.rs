//! A board-independent app: replays an agent's golden sequence and prints, in a line protocol, what the agent did.
//!
//! A board brings a sink for text, a counter and a way to exit; see `boards/mps2-an386` for how little that is.
//! The [line protocol](mod@replay#line-protocol) is read back by `cargo xtask qemu`, which compares every bit with the host.

#![no_std]

pub mod clock;
pub mod embedded;
pub mod replay;
pub mod sequence;

pub use clock::Clock;
pub use replay::{ReplayError, replay};
pub use sequence::{Sequence, SequenceSeed};
