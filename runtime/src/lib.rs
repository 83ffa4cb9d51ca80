//! Runs one agent's policy from one image: `no_std`, no allocation, the same bits on every machine.
//!
//! A trained team leaves the workstation as one *image* per agent. This crate owns both sides of
//! that image: the trainer [emits](ImageRepr::emit) it; the agent [checks](Image::new_checked) it
//! once and then [acts](Policy::act_greedy) from it, reading the weights where they lie (flash,
//! usually) and computing in memory the caller lends. The byte layout and the arithmetic are
//! specified in `docs/image.md`. Both are the format: an image gives the same actions, and the same
//! logits to the last bit, on every target with IEEE 754 arithmetic.
//!
//! ```
//! use consort_runtime::{
//!     Activation, AlignedBytes, DenseRepr, Head, Image, ImageRepr, LayerRepr, Policy, TeamId,
//! };
//!
//! // On the workstation: agent 0 of 2, observing two numbers and choosing between two actions.
//! let layers = [LayerRepr::Dense(DenseRepr {
//!     inputs: 2,
//!     outputs: 2,
//!     activation: Activation::Identity,
//!     weights: &[1.0, 0.0, 0.0, 1.0], // [outputs][inputs]
//!     biases: &[0.0, 0.5],            // [outputs]
//! })];
//! let repr = ImageRepr {
//!     team: TeamId([7; 16]),
//!     agent: 0,
//!     agents: 2,
//!     revision: 1,
//!     period_us: 0,
//!     seeding: None,
//!     head: Head::Categorical { actions: 2 },
//!     layers: &layers,
//! };
//! let mut buffer = AlignedBytes([0; 128]);
//! let length = repr.emit(&mut buffer.0)?;
//!
//! // On the device: check once, then act.
//! let image = Image::new_checked(&buffer.0[..length])?;
//! let policy = Policy::new(image);
//! let mut memory = [0.0; 2];
//! assert_eq!(memory.len(), image.memory_len());
//! assert_eq!(policy.act_greedy(&[1.0, 0.0], &mut memory)?, 0); // logits 1.0, 0.5
//! assert_eq!(policy.act_greedy(&[0.0, 0.0], &mut memory)?, 1); // logits 0.0, 0.5
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Faults
//!
//! [`Guarded`] gives the firmware's own safe action where there would be none: the image was refused, an observation is
//! not finite, the memory was damaged. [`Pace`] tells when steps come at another rate than in training.
//! [`Image::new_verified`] accepts signed images only.
//!
//! # Features
//!
//! - `ed25519`: `Ed25519`, a [`Verifier`] in software. Off by default: hardware may do it, and it is more code
//!   than all the rest.
//!
//! # Panics
//!
//! Nothing in this crate panics, whatever bytes, observations or memory it is given.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(not(target_endian = "little"))]
compile_error!("weights are used where they lie: consort-runtime needs a little-endian target");
#[cfg(target_pointer_width = "16")]
compile_error!("an image's lengths have 32 bits: consort-runtime needs 32-bit addresses or wider");

mod align;
mod compute;
#[cfg(feature = "ed25519")]
mod ed25519;
mod emit;
mod error;
mod format;
mod guard;
pub mod head;
mod image;
pub mod integer;
pub mod layer;
pub mod math;
mod network;
mod pace;
mod policy;
mod quantised;
mod repr;
mod seed;
mod seed_clock;
mod verify;

pub use align::AlignedBytes;
#[cfg(feature = "ed25519")]
pub use ed25519::Ed25519;
pub use emit::{ImageRepr, reissue_signed};
pub use error::{EmitError, ImageError, ShapeError, StepError};
pub use format::{FORMAT_VERSION, MAX_LAYERS, SIGNATURE_LEN, TeamId};
pub use guard::{Acted, Fault, Guarded, SafeError};
pub use head::{Action, Head};
pub use image::{Image, LayerInfo, LayerKind};
pub use layer::Activation;
pub use pace::{OffPace, Pace};
pub use policy::Policy;
pub use quantised::{InputScale, IntegerDenseRepr, IntegerGruRepr, QuantiseRepr};
pub use repr::{DenseRepr, GruRepr, LayerRepr};
pub use seed::{Per, Seeding, SharedSeed, Symbol};
pub use seed_clock::{Cadence, Drift, Moment, SeedClock, SeedClockError};
pub use verify::{Verifier, VerifyError};

/// The crate whose [`Rng`](rand_core::Rng) sampled steps draw from: a part of this crate's interface.
pub use rand_core;
