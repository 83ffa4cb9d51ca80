//! Stepping through a sequence: what replaying and verifying share.

use core::hint::black_box;

use consort_runtime::head::{greedy, greedy_masked};
use consort_runtime::{Action, Image, Policy, StepError};

use crate::clock::{Clock, overhead, time};
use crate::stack::{Deepest, Stack};
use crate::{ReplayError, Sequence};

/// One step of a policy.
pub(crate) struct Played<'m> {
    /// Which, from 0.
    pub(crate) t: usize,
    /// None where actions are vectors.
    pub(crate) action: Option<usize>,
    /// The logits, or the action's vector.
    pub(crate) values: &'m [f32],
    /// From observation to action.
    pub(crate) ticks: u32,
}

/// A sequence that was played to its end.
pub(crate) struct Whole {
    pub(crate) steps: usize,
    /// The most bytes of stack of any step; none where it may have been more than is watched.
    pub(crate) stack: Option<usize>,
}

/// Plays `sequence` through `image`, greedily; every step goes to `each`.
pub(crate) fn play<C: Clock, S: Stack>(
    clock: &mut C,
    stack: &mut S,
    image: Image<'_>,
    sequence: Sequence<'_>,
    memory: &mut [f32],
    mut each: impl FnMut(Played<'_>) -> Result<(), ReplayError>,
) -> Result<Whole, ReplayError> {
    let overhead = overhead(clock);
    let (observation_len, actions) = (image.observation_len(), image.output_len());
    let observations = sequence.observations.chunks_exact(observation_len);
    if !observations.remainder().is_empty() {
        return Err(ReplayError::Observations {
            found: sequence.observations.len(),
            observation_len,
        });
    }
    let steps = observations.len();
    for (found, expected) in [
        (sequence.starts.len(), steps),
        (sequence.masks.len(), steps * actions),
    ] {
        if found != 0 && found != expected {
            return Err(ReplayError::Marks { found, expected });
        }
    }
    let policy = Policy::new(image);
    let mut deepest = Deepest::NONE;
    for (t, observation) in observations.enumerate() {
        let refused = |error| ReplayError::Step { step: t, error };
        if sequence.starts(t) {
            policy.reset(memory).map_err(refused)?;
        }
        if let Some(seeding) = policy.image().seeding() {
            let symbol = sequence.symbol(t, seeding);
            let derived = symbol.ok_or(ReplayError::NoSeed { step: t })?.index();
            let own = observation_len.saturating_sub(usize::from(seeding.symbols));
            if observation.get(own + derived) != Some(&1.0) {
                return Err(ReplayError::Symbol { step: t, derived });
            }
        }
        let mask = sequence.mask(t, actions);
        // What is timed is what an agent does each period: from observation to action.
        let (depth, (ticks, acted)) = stack.depth(|| {
            time(clock, |_| {
                step(&policy, black_box(observation), mask, memory)
            })
        });
        deepest.include(depth);
        let (action, values) = acted.map_err(refused)?;
        each(Played {
            t,
            action,
            values,
            ticks: ticks.wrapping_sub(overhead),
        })?;
    }
    Ok(Whole {
        steps,
        stack: deepest.bytes(),
    })
}

/// One step, greedily: the action and the logits, or no number and the action's vector.
///
/// Not inlined: by its symbol `cargo xtask bench device` finds where in a trace a step begins and ends.
#[inline(never)]
fn step<'m>(
    policy: &Policy<'_>,
    observation: &[f32],
    mask: Option<&[bool]>,
    memory: &'m mut [f32],
) -> Result<(Option<usize>, &'m [f32]), StepError> {
    if policy.image().head().is_continuous() {
        return match policy.step(observation, memory)? {
            Action::Continuous(action) => Ok((None, action)),
            Action::Discrete(_) => Err(StepError::Continuous),
        };
    }
    let logits = policy.logits(observation, memory)?;
    let action = match mask {
        None => greedy(logits),
        Some(mask) => greedy_masked(logits, mask).ok_or(StepError::EmptyMask)?,
    };
    Ok((Some(action), logits))
}
