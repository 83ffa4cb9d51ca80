//! One step: from an observation on the wire to an action on the wire.

use core::convert::Infallible;

use chacha20::ChaCha8Rng;
use consort_runtime::head::{greedy, greedy_masked, parts, sample, sample_masked};
use consort_runtime::{Head, Moment, Policy, SharedSeed, StepError};
use rand_core::{SeedableRng as _, TryRng};

use super::Meter;
use crate::hash::Hash;
use crate::message::{Act, Action, Fault, MAX_ACTIONS, Observe, Refused};

/// The generator of an episode's draws: ChaCha8 with the episode's seed, little-endian, and zeros as its key.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Of a [seed](crate::Request::Reset).
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        put(&mut key, seed.to_le_bytes());
        Dice(ChaCha8Rng::from_seed(key))
    }
}

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

/// The safe action of an agent with numbered actions: the lowest that `mask` allows, or 0 where it allows none or there is no
/// mask. (Of an agent whose actions are vectors it is the vector of zeros.)
pub fn safe(mask: Option<&[bool]>) -> usize {
    let first = mask.and_then(|mask| mask.iter().position(|&allowed| allowed));
    first.unwrap_or(0)
}

/// The safe action of an agent that chooses a number of every group, of these `sizes`: each group's lowest that `mask` allows.
pub fn safe_groups<'a>(
    sizes: &'a [u32],
    mask: Option<&'a [bool]>,
) -> impl Iterator<Item = u32> + 'a {
    let mut masks = mask.map(|mask| parts(sizes, mask));
    sizes
        .iter()
        .map(move |_| safe(masks.as_mut().and_then(Iterator::next)) as u32)
}

/// A mask, bit by bit.
type Allowed = heapless::Vec<bool, MAX_ACTIONS>;

/// What is needed for a step, checked. The observation lies in the values that were lent.
pub(super) struct Step {
    observation_len: usize,
    mask: Option<Allowed>,
    symbol: Option<u8>,
}

/// What a policy gave: the number of its action, if it is one, and the bits of its outputs.
type Outcome<'m> = Result<(usize, &'m [f32]), StepError>;

impl Step {
    pub(super) fn new(
        policy: &Policy<'_>,
        observe: &Observe<'_>,
        moment: Moment,
        key: Option<&SharedSeed>,
        values: &mut [f32],
    ) -> Result<Self, Refused> {
        let image = policy.image();
        let observation_len = image.observation_len();
        let place = values.get_mut(..observation_len).ok_or(Refused::Shape)?;
        let symbols = image
            .seeding()
            .map_or(0, |seeding| usize::from(seeding.symbols));
        let (own, tail) = place
            .split_at_mut_checked(observation_len.saturating_sub(symbols))
            .ok_or(Refused::Shape)?;
        let (words, rest) = observe.values.as_chunks::<4>();
        if words.len() != own.len() || !rest.is_empty() {
            return Err(Refused::Shape);
        }
        let symbol = match (image.seeding(), observe.symbol) {
            (None, None) => None,
            (None, Some(_)) => return Err(Refused::Shape),
            (Some(seeding), Some(symbol)) if symbol < seeding.symbols => Some(symbol),
            (Some(_), Some(_)) => return Err(Refused::Shape),
            (Some(seeding), None) => {
                let key = key.ok_or(Refused::NoKey)?;
                Some(key.draw(seeding, moment).index() as u8)
            }
        };
        let mask = unpack(policy, observe.mask)?;
        put(own, words.iter().map(|&word| f32::from_le_bytes(word)));
        for (index, value) in tail.iter_mut().enumerate() {
            *value = if symbol.map(usize::from) == Some(index) {
                1.0
            } else {
                0.0
            };
        }
        Ok(Step {
            observation_len,
            mask,
            symbol,
        })
    }

    /// Takes the step. The action's vector or its groups' numbers, if it has any, lie in `values` afterwards.
    pub(super) fn act<'v, M: Meter>(
        &self,
        policy: &Policy<'_>,
        moment: Moment,
        dice: Option<&mut Dice>,
        memory: &mut [f32],
        values: &'v mut [f32],
        meter: &mut M,
    ) -> Act<'v> {
        let mut hash = Hash::new();
        let mask = self.mask.as_deref();
        let seen = self.observation_len;
        let (cost, outcome) = meter.measure(|| step(policy, seen, mask, dice, memory, values));
        let head = policy.image().head();
        let several = match head {
            Head::Categorical { .. } => 0,
            Head::MultiDiscrete { sizes } => sizes.len(),
            Head::Deterministic { .. } | Head::Gaussian { .. } => policy.image().output_len(),
        };
        let action = values.get_mut(..several).unwrap_or_default();
        let (number, fault) = match outcome {
            Ok((number, outputs)) => {
                hash.values(outputs);
                if head.is_continuous() {
                    put(action, outputs.iter().copied());
                }
                (number, None)
            }
            Err(error) => {
                match head {
                    Head::MultiDiscrete { sizes } => {
                        put(bytemuck::cast_slice_mut(action), safe_groups(sizes, mask))
                    }
                    _ => action.fill(0.0),
                }
                (safe(mask), Some(Fault::from(error)))
            }
        };
        hash.values(memory.get(..policy.image().state_len()).unwrap_or_default());
        let bytes = bytemuck::cast_slice(action);
        Act {
            episode: moment.episode,
            tick: moment.tick,
            action: match head {
                Head::Categorical { .. } => Action::Discrete(number as u32),
                Head::MultiDiscrete { .. } => Action::MultiDiscrete(bytes),
                Head::Deterministic { .. } | Head::Gaussian { .. } => Action::Continuous(bytes),
            },
            symbol: self.symbol,
            hash: hash.finish(),
            ticks: cost.ticks,
            stack: cost.stack,
            fault,
        }
    }
}

/// The step itself, at the first `seen` of `values`. Groups' numbers take their place; a vector is left among the outputs. Not
/// inlined: what it has on the stack is what is measured.
#[inline(never)]
fn step<'m>(
    policy: &Policy<'_>,
    seen: usize,
    mask: Option<&[bool]>,
    dice: Option<&mut Dice>,
    memory: &'m mut [f32],
    values: &mut [f32],
) -> Outcome<'m> {
    let head = policy.image().head();
    if mask.is_some_and(|mask| !is_open(head, mask)) {
        return Err(StepError::EmptyMask);
    }
    let observation = values.get(..seen).unwrap_or_default();
    let outputs = policy.outputs(observation, memory)?;
    match head {
        Head::Categorical { .. } => {
            let action = choose(outputs, mask, dice).ok_or(StepError::EmptyMask)?;
            Ok((action, outputs))
        }
        Head::MultiDiscrete { sizes } => {
            let mut dice = dice;
            // The numbers of the first groups are chosen first, and logits stay as they are: they are to be hashed.
            let mut masks = mask.map(|mask| parts(sizes, mask));
            let numbers: &mut [u32] = bytemuck::cast_slice_mut(values);
            for (number, logits) in numbers.iter_mut().zip(parts(sizes, outputs)) {
                let mask = masks.as_mut().and_then(Iterator::next);
                let action = choose(logits, mask, dice.as_deref_mut());
                *number = action.ok_or(StepError::EmptyMask)? as u32;
            }
            Ok((0, outputs))
        }
        Head::Deterministic { .. } | Head::Gaussian { .. } => {
            let action = match dice {
                None => head.act_greedy(outputs),
                Some(dice) => head.act_sampled(outputs, dice),
            };
            match action {
                consort_runtime::Action::Continuous(vector) => Ok((0, vector)),
                _ => Err(StepError::Kind),
            }
        }
    }
}

/// One of the actions that are allowed, by its logits; none where none is.
fn choose(logits: &[f32], mask: Option<&[bool]>, dice: Option<&mut Dice>) -> Option<usize> {
    match (dice, mask) {
        (None, None) => Some(greedy(logits)),
        (None, Some(mask)) => greedy_masked(logits, mask),
        (Some(dice), None) => Some(sample(logits, dice)),
        (Some(dice), Some(mask)) => sample_masked(logits, mask, dice),
    }
}

/// Whether a mask allows an action, of every group where there are several.
fn is_open(head: Head<'_>, mask: &[bool]) -> bool {
    match head {
        Head::MultiDiscrete { sizes } => parts(sizes, mask).all(|mask| mask.contains(&true)),
        _ => mask.contains(&true),
    }
}

fn put<T>(places: &mut [T], values: impl IntoIterator<Item = T>) {
    places
        .iter_mut()
        .zip(values)
        .for_each(|(place, value)| *place = value);
}

/// The mask's bits, as many as the policy has actions; none of an empty mask.
fn unpack(policy: &Policy<'_>, bits: &[u8]) -> Result<Option<Allowed>, Refused> {
    if bits.is_empty() {
        return Ok(None);
    }
    let actions = policy.image().output_len();
    if policy.image().head().is_continuous() || bits.len() != actions.div_ceil(8) {
        return Err(Refused::Shape);
    }
    let mut mask = Allowed::new();
    for action in 0..actions {
        let allowed = bits
            .get(action / 8)
            .is_some_and(|byte| byte >> (action % 8) & 1 == 1);
        mask.push(allowed).map_err(|_| Refused::Shape)?;
    }
    Ok(Some(mask))
}
