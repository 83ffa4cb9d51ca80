//! Replays a sequence of observations and prints every action, output and count.
//!
//! # Line protocol
//!
//! Lines of words separated by one space; numbers are decimal, bits of `f32` eight hexadecimal digits.
//!
//! | line | when |
//! |---|---|
//! | `consort-replay 2` | first; the protocol's version |
//! | `image <team id> <agent> <observation_len> <output_len>` | the image was accepted |
//! | `calibration <instructions> <ticks>` | that many instructions take that many ticks |
//! | `step <t> <action> <ticks> <bits>…` | once a step: observation `t` to action took that many ticks |
//! | `stack <check> <step> <sampled>` | after the steps: the most bytes of stack that checking the image had in use, any step, and any of the same steps played once more with actions drawn |
//! | `done <steps>` | last, and only after every step: without it a replay was cut short |
//! | `error <message>` | last, instead of `done`: the image or an observation was refused |
//!
//! The bits of a step are those of the logits. Where actions are vectors, they are those of the action, whose word is `-`; where
//! there is an action a group, its word is their numbers with commas between them.

use core::fmt::{self, Display, Write};
use core::hint::black_box;

use consort_runtime::{Image, ImageError, StepError};

use crate::Sequence;
use crate::clock::{CALIBRATION, Spin, calibrate};
use crate::play::{MOST_GROUPS, Played, play, play_sampled};
use crate::stack::Stack;

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
    /// The policy has more groups of actions than a replay follows.
    Groups {
        /// How many there are.
        found: usize,
    },
    /// There are marks of episodes, or masks, but not one for every step.
    Marks {
        /// How many marks, or truth values of masks, there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The policy refused a step.
    Step {
        /// Which step, from 0.
        step: usize,
        /// What was wrong with it.
        error: StepError,
    },
    /// The policy did something else than the golden sequence says.
    Mismatch {
        /// At which step, from 0.
        step: usize,
    },
    /// More stack was used than is watched.
    Stack,
    /// The policy expects a shared seed, and the sequence has no key, or no moment for a step.
    NoSeed {
        /// Which step, from 0.
        step: usize,
    },
    /// The device derives another symbol than the observation ends with.
    Symbol {
        /// Which step, from 0.
        step: usize,
        /// The symbol that the device derives.
        derived: usize,
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
            ReplayError::Marks { found, expected } => {
                write!(f, "{found} marks or truth values, expected {expected}")
            }
            ReplayError::Groups { found } => {
                write!(
                    f,
                    "{found} groups of actions, expected {MOST_GROUPS} or fewer"
                )
            }
            ReplayError::Step { step, error } => write!(f, "step {step}: {error}"),
            ReplayError::Mismatch { step } => {
                write!(f, "step {step}: not what the golden sequence says")
            }
            ReplayError::Stack => f.write_str("stack: all that is watched was used"),
            ReplayError::NoSeed { step } => {
                write!(
                    f,
                    "step {step}: the policy expects a shared seed, the sequence has no key or moment"
                )
            }
            ReplayError::Symbol { step, derived } => write!(
                f,
                "step {step}: the device derives the symbol {derived}, the observation ends with another"
            ),
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

/// Replays `sequence` through `image`, greedily, and prints the line protocol to `out`; then once more with actions drawn, for the
/// stack alone.
///
/// `memory` is what the board lends the policy, at least `memory_len()` values.
///
/// # Errors
///
/// When the image, an observation or the memory is refused, or `out` fails. The protocol's `error` line has been
/// printed then (unless `out` is what failed); the board is left to exit.
pub fn replay<W: Write, C: Spin, S: Stack>(
    out: &mut W,
    clock: &mut C,
    stack: &mut S,
    image: &[u8],
    sequence: Sequence<'_>,
    memory: &mut [f32],
) -> Result<(), ReplayError> {
    writeln!(out, "consort-replay 2")?;
    let replayed = steps(out, clock, stack, image, sequence, memory);
    match &replayed {
        Ok(count) => writeln!(out, "done {count}")?,
        Err(error) => writeln!(out, "error {error}")?,
    }
    replayed.map(|_| ())
}

/// Everything between the first and the last line; the number of steps.
fn steps<W: Write, C: Spin, S: Stack>(
    out: &mut W,
    clock: &mut C,
    stack: &mut S,
    image: &[u8],
    sequence: Sequence<'_>,
    memory: &mut [f32],
) -> Result<usize, ReplayError> {
    let (check_depth, image) = stack.depth(|| Image::new_checked(black_box(image)));
    let image = image.map_err(ReplayError::Image)?;
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
    let played = play(clock, stack, image, sequence, memory, |step| {
        let Played {
            t,
            actions,
            values,
            ticks,
        } = step;
        write!(out, "step {t} ")?;
        match actions.split_first() {
            Some((first, others)) => {
                write!(out, "{first}")?;
                others
                    .iter()
                    .try_for_each(|action| write!(out, ",{action}"))?;
            }
            None => out.write_char('-')?,
        }
        write!(out, " {ticks}")?;
        for value in values {
            write!(out, " {:08x}", value.to_bits())?;
        }
        Ok(writeln!(out)?)
    })?;
    let sampled = play_sampled(stack, image, sequence, memory)?;
    let depths = check_depth.zip(played.stack).zip(sampled);
    let ((check, step), sampled) = depths.ok_or(ReplayError::Stack)?;
    writeln!(out, "stack {check} {step} {sampled}")?;
    Ok(played.steps)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;
    use std::{format, vec};

    use consort_runtime::{Activation, DenseRepr, GruRepr, Head, ImageRepr, LayerRepr, TeamId};

    use super::*;
    use crate::clock::tests::Counter;
    use crate::stack::tests::Growing;

    /// Gives x and 2 − x of an observed x.
    const DENSE: LayerRepr<'_> = LayerRepr::Dense(DenseRepr {
        inputs: 1,
        outputs: 2,
        activation: Activation::Identity,
        weights: &[1.0, -1.0],
        biases: &[0.0, 2.0],
    });

    /// Replays through an image whose logits are x and 2 − x, after `damage`.
    fn replayed(observations: &[f32], memory: usize, damage: impl Fn(&mut [u8])) -> (String, bool) {
        let head = Head::Categorical { actions: 2 };
        replayed_by(head, &[DENSE], Sequence::of(observations), memory, damage)
    }

    fn replayed_by(
        head: Head<'_>,
        layers: &[LayerRepr<'_>],
        sequence: Sequence<'_>,
        memory: usize,
        damage: impl Fn(&mut [u8]),
    ) -> (String, bool) {
        let team = TeamId([0xab; 16]);
        let repr = ImageRepr {
            team,
            agent: 3,
            agents: 4,
            revision: 1,
            period_us: 0,
            seeding: None,
            head,
            layers,
        };
        let mut buffer = consort_runtime::AlignedBytes([0; 512]);
        let len = repr.emit(&mut buffer.0).unwrap();
        damage(&mut buffer.0[..len]);
        let mut out = String::new();
        let mut memory = vec![0.0; memory];
        let done = replay(
            &mut out,
            &mut Counter(0),
            &mut Growing(96, 4),
            &buffer.0[..len],
            sequence,
            &mut memory,
        );
        (out, done.is_ok())
    }

    #[test]
    fn a_whole_replay_is_printed_as_documented() {
        let team = "ab".repeat(16);
        // The counter moves 15 ticks a reading, and nothing else costs on it: net of that, a step is free. Of the
        // stack, the check, step 0 and step 1 use 100, 104 and 108 bytes, and drawn 112 and 116.
        let expected = format!(
            "consort-replay 2\nimage {team} 3 1 2\ncalibration 1000000 3000000\n\
             step 0 1 0 3f000000 3fc00000\nstep 1 0 0 40000000 00000000\n\
             stack 100 108 116\ndone 2\n"
        );
        assert_eq!(replayed(&[0.5, 2.0], 2, |_| ()), (expected, true));
    }

    #[test]
    fn masks_are_obeyed_and_vectors_printed_without_a_number() {
        let head = Head::Categorical { actions: 2 };
        let sequence = Sequence {
            masks: &[true, false, true, true],
            ..Sequence::of(&[0.5, 0.5])
        };
        let (text, _) = replayed_by(head, &[DENSE], sequence, 2, |_| ());
        assert!(
            text.contains("step 0 0 0 3f000000 3fc00000\nstep 1 1 0 3f0"),
            "{text}"
        );

        let head = Head::Deterministic { outputs: 2 };
        let (text, _) = replayed_by(head, &[DENSE], Sequence::of(&[0.5]), 2, |_| ());
        assert!(
            text.contains("step 0 - 0 3f000000 3fc00000\nstack 100 104 108\ndone 1"),
            "{text}"
        );

        // Two groups of one action each: 0 and 0, whatever the logits.
        let head = Head::MultiDiscrete { sizes: &[1, 1] };
        let sequence = Sequence {
            masks: &[true, true],
            ..Sequence::of(&[0.5])
        };
        let (text, _) = replayed_by(head, &[DENSE], sequence, 2, |_| ());
        assert!(text.contains("step 0 0,0 0 3f000000 3fc00000\n"), "{text}");
    }

    #[test]
    fn a_state_is_carried_within_an_episode_only() {
        // Half open gates: h' = tanh(x)/2 + h/2.
        let unit = LayerRepr::Gru(GruRepr {
            inputs: 1,
            hidden: 1,
            input: &[0.0, 0.0, 1.0],
            recurrent: &[0.0; 3],
            input_bias: &[0.0; 3],
            recurrent_bias_n: &[0.0],
        });
        let head = Head::Deterministic { outputs: 1 };
        let sequence = |starts| Sequence {
            starts,
            ..Sequence::of(&[1.0, 0.0, 0.0])
        };
        let words = |starts| {
            let (text, _) = replayed_by(head, &[unit], sequence(starts), 2, |_| ());
            let steps = text.lines().filter(|line| line.starts_with("step"));
            let last = |line: &str| String::from(line.rsplit(' ').next().unwrap_or_default());
            steps.map(last).collect::<vec::Vec<_>>()
        };
        let half = 0.5 * consort_runtime::math::tanh(1.0);
        let hex = |value: f32| format!("{:08x}", value.to_bits());
        let carried = [hex(half), hex(half / 2.0), hex(half / 4.0)];
        assert_eq!(words(&[true, false, false]), carried);
        assert_eq!(words(&[true, false, true])[2], hex(0.0));
        assert_eq!(
            words(&[])[1],
            hex(0.0),
            "without marks every step is an episode"
        );
        let (text, ok) = replayed_by(head, &[unit], sequence(&[true]), 2, |_| ());
        assert!(text.contains("error 1 marks") && !ok, "{text}");
    }

    #[test]
    fn the_device_derives_the_symbols_itself() {
        use consort_runtime::{Moment, Per, Seeding, SharedSeed};

        use crate::SequenceSeed;

        let seeding = Seeding {
            symbols: 2,
            per: Per::Step,
        };
        let unit = LayerRepr::Dense(DenseRepr {
            inputs: 2,
            outputs: 2,
            activation: Activation::Identity,
            weights: &[1.0, 0.0, 0.0, 1.0],
            biases: &[0.0, 0.0],
        });
        let repr = ImageRepr {
            team: TeamId([0xab; 16]),
            agent: 3,
            agents: 4,
            revision: 1,
            period_us: 0,
            seeding: Some(seeding),
            head: Head::Categorical { actions: 2 },
            layers: &[unit],
        };
        let mut buffer = consort_runtime::AlignedBytes([0; 512]);
        let len = repr.emit(&mut buffer.0).unwrap();
        let (key, moments) = ([1; 16], [(7, 0), (7, 1), (u64::MAX, 9)]);
        let mut observations = [0.0; 6];
        for (own, &(episode, tick)) in observations.chunks_exact_mut(2).zip(&moments) {
            let symbol = SharedSeed::new(key).draw(seeding, Moment::new(episode, tick));
            symbol.write(own).unwrap();
        }
        let text = |seed, observations: &[f32]| {
            let sequence = Sequence {
                seed,
                ..Sequence::of(observations)
            };
            let (mut out, mut memory) = (String::new(), [0.0; 2]);
            let image = &buffer.0[..len];
            let (clock, stack) = (&mut Counter(0), &mut Growing(96, 4));
            let _ = replay(&mut out, clock, stack, image, sequence, &mut memory);
            out
        };
        let moments = &moments;
        let seed = SequenceSeed { key, moments };
        assert!(text(Some(seed), &observations).ends_with("done 3\n"));
        assert!(text(None, &observations).contains("error step 0: the policy expects"));
        let short = SequenceSeed {
            key,
            moments: &moments[..2],
        };
        assert!(text(Some(short), &observations).contains("error step 2: the policy expects"));
        observations[2..4].reverse();
        let text = text(Some(seed), &observations);
        assert!(text.contains("error step 1: the device derives"), "{text}");
    }

    #[test]
    fn a_refused_image_ends_with_its_error() {
        let (text, ok) = replayed(&[0.5], 2, |image| image[image.len() / 2] ^= 1);
        let lines: vec::Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], ok), (2, "consort-replay 2", false));
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
