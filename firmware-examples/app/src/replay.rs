//! Replays a sequence of observations and prints every action, logit and count.
//!
//! # Line protocol
//!
//! Lines of words separated by one space; numbers are decimal, bits of `f32` eight hexadecimal digits.
//!
//! | line | when |
//! |---|---|
//! | `consort-replay 1` | first; the protocol's version |
//! | `image <team id> <agent> <observation_len> <output_len>` | the image was accepted |
//! | `calibration <instructions> <ticks>` | that many instructions take that many ticks |
//! | `step <t> <action> <ticks> <logit bits>…` | once a step: observation `t` to action took that many ticks |
//! | `done <steps>` | last, and only after every step: without it a replay was cut short |
//! | `error <message>` | last, instead of `done`: the image or an observation was refused |

use core::fmt::{self, Display, Write};
use core::hint::black_box;

use consort_runtime::head::greedy;
use consort_runtime::{Image, ImageError, Policy, StepError};

use crate::clock::{Clock, calibrate, overhead, time};

/// Length of the calibration loop, in instructions. Twice as many must not wrap the counter: 24 bits at 3.2 ticks do not.
const CALIBRATION: u32 = 1_000_000;

/// Why a replay ended before its last step.
#[derive(Debug)]
pub enum ReplayError {
    /// The image was refused.
    Image(ImageError),
    /// The observations are not whole steps of what the image observes.
    Observations {
        /// How many values there are in all.
        found: usize,
        /// Values of one step.
        observation_len: usize,
    },
    /// The policy refused a step.
    Step {
        /// Which step, from 0.
        step: usize,
        /// What was wrong with it.
        error: StepError,
    },
    /// The sink took no more text.
    Sink,
}

impl Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Image(error) => write!(f, "image: {error}"),
            ReplayError::Observations {
                found,
                observation_len,
            } => {
                write!(
                    f,
                    "observations: {found} values, expected a multiple of {observation_len}"
                )
            }
            ReplayError::Step { step, error } => write!(f, "step {step}: {error}"),
            ReplayError::Sink => f.write_str("the sink took no more text"),
        }
    }
}

impl core::error::Error for ReplayError {}

impl From<fmt::Error> for ReplayError {
    fn from(_: fmt::Error) -> Self {
        ReplayError::Sink
    }
}

/// Replays `observations`, `[T][observation_len]`, through `image` and prints the line protocol to `out`.
///
/// `memory` is what the board lends the policy, at least `memory_len()` values.
///
/// # Errors
///
/// When the image, an observation or the memory is refused, or `out` fails. The protocol's `error` line has been
/// printed then (unless `out` is what failed); the board is left to exit.
pub fn replay<W: Write, C: Clock>(
    out: &mut W,
    clock: &mut C,
    image: &[u8],
    observations: &[f32],
    memory: &mut [f32],
) -> Result<(), ReplayError> {
    writeln!(out, "consort-replay 1")?;
    let replayed = steps(out, clock, image, observations, memory);
    match &replayed {
        Ok(count) => writeln!(out, "done {count}")?,
        Err(error) => writeln!(out, "error {error}")?,
    }
    replayed.map(|_| ())
}

/// Everything between the first and the last line; the number of steps.
fn steps<W: Write, C: Clock>(
    out: &mut W,
    clock: &mut C,
    image: &[u8],
    observations: &[f32],
    memory: &mut [f32],
) -> Result<usize, ReplayError> {
    let image = Image::new_checked(image).map_err(ReplayError::Image)?;
    let observation_len = image.observation_len();
    writeln!(
        out,
        "image {} {} {observation_len} {}",
        image.team(),
        image.agent(),
        image.output_len()
    )?;
    writeln!(
        out,
        "calibration {CALIBRATION} {}",
        calibrate(clock, CALIBRATION)
    )?;
    let overhead = overhead(clock);

    let (sequence, rest) = (
        observations.chunks_exact(observation_len),
        observations.len() % observation_len,
    );
    if rest != 0 {
        return Err(ReplayError::Observations {
            found: observations.len(),
            observation_len,
        });
    }
    let policy = Policy::new(image);
    let count = sequence.len();
    for (t, observation) in sequence.enumerate() {
        // What is timed is what an agent does each period: from observation to action.
        let (ticks, acted) = time(clock, |_| {
            let logits = policy.logits(black_box(observation), memory)?;
            Ok((greedy(logits), logits))
        });
        let (action, logits) = acted.map_err(|error| ReplayError::Step { step: t, error })?;
        write!(out, "step {t} {action} {}", ticks.wrapping_sub(overhead))?;
        for logit in logits {
            write!(out, " {:08x}", logit.to_bits())?;
        }
        writeln!(out)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;
    use std::{format, vec};

    use consort_runtime::{Activation, DenseRepr, Head, ImageRepr, TeamId};

    use super::*;
    use crate::clock::tests::Counter;

    /// Replays through an image that observes x and gives the logits x and 2 − x, after `damage`.
    fn replayed(observations: &[f32], memory: usize, damage: impl Fn(&mut [u8])) -> (String, bool) {
        let layers = [DenseRepr {
            inputs: 1,
            outputs: 2,
            activation: Activation::Identity,
            weights: &[1.0, -1.0],
            biases: &[0.0, 2.0],
        }];
        let (team, head) = (TeamId([0xab; 16]), Head::Categorical { actions: 2 });
        let repr = ImageRepr {
            team,
            agent: 3,
            agents: 4,
            revision: 1,
            period_us: 0,
            head,
            layers: &layers,
        };
        let mut buffer = consort_runtime::AlignedBytes([0; 512]);
        let len = repr.emit(&mut buffer.0).unwrap();
        damage(&mut buffer.0[..len]);
        let mut out = String::new();
        let mut memory = vec![0.0; memory];
        let done = replay(
            &mut out,
            &mut Counter(0),
            &buffer.0[..len],
            observations,
            &mut memory,
        );
        (out, done.is_ok())
    }

    #[test]
    fn a_whole_replay_is_printed_as_documented() {
        let team = "ab".repeat(16);
        // The counter moves 15 ticks a reading, and nothing else costs on it: net of that, a step is free.
        let expected = format!(
            "consort-replay 1\nimage {team} 3 1 2\ncalibration 1000000 3000000\n\
             step 0 1 0 3f000000 3fc00000\nstep 1 0 0 40000000 00000000\ndone 2\n"
        );
        assert_eq!(replayed(&[0.5, 2.0], 2, |_| ()), (expected, true));
    }

    #[test]
    fn a_refused_image_ends_with_its_error() {
        let (text, ok) = replayed(&[0.5], 2, |image| image[image.len() / 2] ^= 1);
        let lines: vec::Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], ok), (2, "consort-replay 1", false));
        assert!(lines[1].starts_with("error image: "), "{text}");
    }

    #[test]
    fn a_refused_step_is_named_and_there_is_no_done() {
        for (observations, memory, step) in [(&[0.5, f32::NAN], 2, 1), (&[0.5, 0.5], 1, 0)] {
            let (text, ok) = replayed(observations, memory, |_| ());
            let last = text.lines().last().unwrap();
            assert!(
                last.starts_with(&format!("error step {step}: ")) && !ok,
                "{text}"
            );
            assert!(!text.contains("done"), "{text}");
        }
    }
}
