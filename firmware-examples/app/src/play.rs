//! Stepping through a sequence: what replaying and verifying share.

use core::hint::black_box;

use consort_runtime::head::{greedy, greedy_masked, parts};
use consort_runtime::{Action, Head, Image, Policy, StepError};

use crate::clock::{Clock, overhead, time};
use crate::stack::{Deepest, Stack};
use crate::{Dice, ReplayError, Sequence};

/// The most groups of actions that a replay follows.
pub(crate) const MOST_GROUPS: usize = 8;

/// One step of a policy.
pub(crate) struct Played<'m> {
    /// Which, from 0.
    pub(crate) t: usize,
    /// The action, or one a group; none where actions are vectors.
    pub(crate) actions: &'m [u32],
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
    if let Head::MultiDiscrete { sizes } = image.head()
        && sizes.len() > MOST_GROUPS
    {
        return Err(ReplayError::Groups { found: sizes.len() });
    }
    let policy = Policy::new(image);
    let mut chosen = [0; MOST_GROUPS];
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
                step(&policy, black_box(observation), mask, memory, &mut chosen)
            })
        });
        deepest.include(depth);
        let (count, values) = acted.map_err(refused)?;
        each(Played {
            t,
            actions: chosen.get(..count).unwrap_or_default(),
            values,
            ticks: ticks.wrapping_sub(overhead),
        })?;
    }
    Ok(Whole {
        steps,
        stack: deepest.bytes(),
    })
}

/// Plays a sequence that [`play`] has played once more, and draws every action: the most bytes of stack of any step; none where it may
/// have been more than is watched.
pub(crate) fn play_sampled<S: Stack>(
    stack: &mut S,
    image: Image<'_>,
    sequence: Sequence<'_>,
    memory: &mut [f32],
) -> Result<Option<usize>, ReplayError> {
    let actions = image.output_len();
    let observations = (sequence.observations).chunks_exact(image.observation_len());
    let policy = Policy::new(image);
    let mut dice = Dice(1);
    let mut deepest = Deepest::NONE;
    for (t, observation) in observations.enumerate() {
        let refused = |error| ReplayError::Step { step: t, error };
        if sequence.starts(t) {
            policy.reset(memory).map_err(refused)?;
        }
        let mask = sequence.mask(t, actions);
        let (depth, drawn) = stack.depth(|| {
            draw(&policy, black_box(observation), mask, memory, &mut dice).map(|action| {
                black_box(action);
            })
        });
        deepest.include(depth);
        drawn.map_err(refused)?;
    }
    Ok(deepest.bytes())
}

/// One step whose action is drawn. Not inlined, as the greedy one is not.
#[inline(never)]
fn draw<'m>(
    policy: &Policy<'_>,
    observation: &[f32],
    mask: Option<&[bool]>,
    memory: &'m mut [f32],
    dice: &mut Dice,
) -> Result<Action<'m>, StepError> {
    match mask {
        Some(mask) => policy.step_sampled_masked(observation, mask, memory, dice),
        None => policy.step_sampled(observation, memory, dice),
    }
}

/// One step, greedily: how many numbers were `chosen` and the logits, or none and the action's vector.
///
/// Not inlined: by its symbol `cargo xtask bench device` finds where in a trace a step begins and ends.
#[inline(never)]
fn step<'m>(
    policy: &Policy<'_>,
    observation: &[f32],
    mask: Option<&[bool]>,
    memory: &'m mut [f32],
    chosen: &mut [u32; MOST_GROUPS],
) -> Result<(usize, &'m [f32]), StepError> {
    let head = policy.image().head();
    if head.is_continuous() {
        return match policy.step(observation, memory)? {
            Action::Continuous(action) => Ok((0, action)),
            Action::Discrete(_) | Action::MultiDiscrete(_) => Err(StepError::Kind),
        };
    }
    let logits = policy.logits(observation, memory)?;
    let Head::MultiDiscrete { sizes } = head else {
        let [chosen, ..] = chosen;
        *chosen = choose(logits, mask).ok_or(StepError::EmptyMask)?;
        return Ok((1, logits));
    };
    // Not by `step`, which would leave the choices in the logits' place.
    let mut masks = mask.map(|mask| parts(sizes, mask));
    for (chosen, logits) in chosen.iter_mut().zip(parts(sizes, logits)) {
        let mask = masks.as_mut().and_then(Iterator::next);
        *chosen = choose(logits, mask).ok_or(StepError::EmptyMask)?;
    }
    Ok((sizes.len(), logits))
}

fn choose(logits: &[f32], mask: Option<&[bool]>) -> Option<u32> {
    let action = match mask {
        None => Some(greedy(logits)),
        Some(mask) => greedy_masked(logits, mask),
    };
    action.map(|action| action as u32)
}
