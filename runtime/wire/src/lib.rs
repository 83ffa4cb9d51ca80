//! Frames between a host and the device of one agent, and the device's side of them: `no_std`, no allocation.
//!
//! A team's decentralised execution is tried on its own devices: each has one link to the host, which plays the task's
//! environment, and none to another. The host sends [requests](Request), an agent's own observation among them; the device
//! [replies](Reply), with its action and a hash of its state among them. `docs/wire.md` is the specification: the bytes, what
//! each message means, and how both sides get over frames that are lost, damaged, doubled or late.
//!
//! - [`encode`] and [`Receiver`]: frames over any stream of bytes, by `postcard`, CRC-32 and COBS.
//! - [`serve`]: a device in one call, over `embedded-io`: [images](Request::Begin) into two slots, episodes, steps.
//!   [`serve_admitting`]: one that asks for [signed images](Admission), or counts revisions.
//! - [`Ram`]: memory that stands in for flash; [`Copied`]: flash of which images are copied into memory.
//!
//! # Panics
//!
//! Nothing in this crate panics, whatever bytes come.
#![no_std]
#![forbid(unsafe_code)]

mod cobs;
mod copied;
mod device;
mod frame;
mod hash;
mod message;
mod ram;

pub use copied::{Copied, CopiedError};
pub use device::{
    Admission, Anyone, Board, Cost, Dice, Ended, Limits, Meter, ServeError, Signed, Unfit,
    Unmetered, safe, safe_groups, serve, serve_admitting,
};
pub use frame::{
    EncodeError, Frame, FrameError, Header, PROTOCOL, Receiver, decode, encode, header,
};
pub use hash::{Hash, hash};
pub use message::{
    Act, Action, Fault, HelloReply, Key, MAX_ACTIONS, Observe, Rate, Refused, Reply, Request, Unit,
};
pub use ram::Ram;
