//! What must hold whatever bytes come.
//!
//! A [`Target`] is a function of bytes that panics where something does not hold, and a mutator that knows their
//! structure: it repairs checksums, for behind a wrong one nothing is ever reached. Two things drive them:
//!
//! - `cargo xtask fuzz --seconds N`: libFuzzer, guided by coverage (`fuzz/coverage`, a workspace of its own);
//! - the test of this crate: a short sweep from a seeded stream, the same every time.
//!
//! Both start from `fuzz/corpus/<target>` and from [`Target::seed`]. A new format is a module here with
//! its line in [`TARGETS`], and a file of one line in `fuzz/coverage/src/bin`.

pub mod frames;
pub mod image;
mod policies;
pub mod step;
pub mod update;

use chacha20::ChaCha8Rng;
use rand_core::Rng;

/// Something that takes bytes.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes bytes, and panics where something does not hold.
    pub run: fn(&[u8]),
    /// Makes bytes that were not there before: valid ones, usually.
    pub seed: fn(&mut ChaCha8Rng) -> Vec<u8>,
    /// Changes bytes so that much of what they mean stays.
    pub mutate: fn(&mut Vec<u8>, &mut ChaCha8Rng),
}

/// Every target.
pub const TARGETS: [Target; 4] = [image::TARGET, step::TARGET, update::TARGET, frames::TARGET];

/// A number below `bound`, which is not 0.
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound as u64) as usize
}

/// One of some values.
pub(crate) fn one_of<T: Copy>(rng: &mut ChaCha8Rng, values: &[T]) -> T {
    values[below(rng, values.len())]
}

/// Changes a few bytes or their number, without regard to what they mean.
pub(crate) fn scramble(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.push(rng.next_u32() as u8);
    }
    let place = below(rng, bytes.len());
    match below(rng, 6) {
        0 => bytes[place] ^= 1 << below(rng, 8),
        1 => bytes[place] = rng.next_u32() as u8,
        2 => bytes[place] = one_of(rng, &[0, 1, 2, 3, 0x7f, 0x80, 0xff]),
        3 => bytes.truncate(place),
        4 => bytes.insert(place, rng.next_u32() as u8),
        _ => {
            let end = (place + 1 + below(rng, 8)).min(bytes.len());
            let from = below(rng, bytes.len());
            for index in place..end {
                bytes[index] = bytes[(from + index - place) % bytes.len()];
            }
        }
    }
}

/// Numbers that arithmetic goes wrong at.
pub(crate) fn awkward(rng: &mut ChaCha8Rng) -> f32 {
    match below(rng, 4) {
        0 => one_of(
            rng,
            &[
                0.0,
                -0.0,
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::MAX,
                f32::MIN,
                f32::MIN_POSITIVE,
                1e-45,
                88.0,
                -87.0,
                1e19,
            ],
        ),
        1 => f32::from_bits(rng.next_u32()),
        _ => tame(rng),
    }
}

/// A number from −4 to 4.
pub(crate) fn tame(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() as i32) as f32 * (4.0 / 2_147_483_648.0)
}
