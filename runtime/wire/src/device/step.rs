//! One step: from an observation on the wire to an action on the wire.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::SeedableRng as _;
use consort_runtime::head::{greedy, greedy_masked, sample, sample_masked};
use consort_runtime::{Head, Moment, Policy, SharedSeed, StepError};

use super::Meter;
use crate::hash::Hash;
use crate::message::{Act, Action, Fault, MAX_ACTIONS, Observe, Refused};

/// The generator of an episode's draws: ChaCha8 with `seed`, little-endian, and zeros as its key.
pub fn dice(seed: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key.iter_mut()
        .zip(seed.to_le_bytes())
        .for_each(|(place, byte)| *place = byte);
    ChaCha8Rng::from_seed(key)
}

/// The safe action of an agent with numbered actions: the lowest that `mask` allows, or 0 where it allows none or there is no
/// mask. (Of an agent whose actions are vectors it is the vector of zeros.)
pub fn safe(mask: Option<&[bool]>) -> usize {
    let first = mask.and_then(|mask| mask.iter().position(|&allowed| allowed));
    first.unwrap_or(0)
}

/// A mask, bit by bit.
type Allowed = heapless::Vec<bool, MAX_ACTIONS>;

/// What is needed for a step, checked. The observation lies in the values that were lent.
pub(super) struct Step {
    observation_len: usize,
    mask: Option<Allowed>,
    symbol: Option<u8>,
}

/// What a policy gave: the number of its action, if it has one, and the bits of its outputs.
type Outcome<'m> = Result<(Option<usize>, &'m [f32]), StepError>;

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
        own.iter_mut()
            .zip(words)
            .for_each(|(value, &word)| *value = f32::from_le_bytes(word));
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

    /// Takes the step. The action's vector, if it is one, lies in `values` afterwards.
    pub(super) fn act<'v, M: Meter>(
        &self,
        policy: &Policy<'_>,
        moment: Moment,
        dice: Option<&mut ChaCha8Rng>,
        memory: &mut [f32],
        values: &'v mut [f32],
        meter: &mut M,
    ) -> Act<'v> {
        let mut hash = Hash::new();
        let mask = self.mask.as_deref();
        let observation = values.get(..self.observation_len).unwrap_or_default();
        let (cost, outcome) = meter.measure(|| step(policy, observation, mask, dice, memory));
        let continuous = policy.image().head().is_continuous();
        let vector_len = if continuous {
            policy.image().output_len()
        } else {
            0
        };
        let vector = values.get_mut(..vector_len).unwrap_or_default();
        let (number, fault) = match outcome {
            Ok((number, outputs)) => {
                hash.values(outputs);
                if continuous {
                    vector
                        .iter_mut()
                        .zip(outputs)
                        .for_each(|(value, &output)| *value = output);
                }
                (number.unwrap_or(0), None)
            }
            Err(error) => {
                vector.fill(0.0);
                (safe(mask), Some(Fault::from(error)))
            }
        };
        hash.values(memory.get(..policy.image().state_len()).unwrap_or_default());
        Act {
            episode: moment.episode,
            tick: moment.tick,
            action: match continuous {
                true => Action::Continuous(bytemuck::cast_slice(vector)),
                false => Action::Discrete(number as u32),
            },
            symbol: self.symbol,
            hash: hash.finish(),
            ticks: cost.ticks,
            stack: cost.stack,
            fault,
        }
    }
}

/// The step itself. Not inlined: what it has on the stack is what is measured.
#[inline(never)]
fn step<'m>(
    policy: &Policy<'_>,
    observation: &[f32],
    mask: Option<&[bool]>,
    dice: Option<&mut ChaCha8Rng>,
    memory: &'m mut [f32],
) -> Outcome<'m> {
    if mask.is_some_and(|mask| !mask.contains(&true)) {
        return Err(StepError::EmptyMask);
    }
    match policy.image().head() {
        Head::Categorical { .. } => {
            let logits = policy.logits(observation, memory)?;
            let action = match (dice, mask) {
                (None, None) => Some(greedy(logits)),
                (None, Some(mask)) => greedy_masked(logits, mask),
                (Some(dice), None) => Some(sample(logits, dice)),
                (Some(dice), Some(mask)) => sample_masked(logits, mask, dice),
            };
            Ok((Some(action.ok_or(StepError::EmptyMask)?), logits))
        }
        head => {
            let outputs = policy.outputs(observation, memory)?;
            let action = match dice {
                None => head.act_greedy(outputs),
                Some(dice) => head.act_sampled(outputs, dice),
            };
            match action {
                consort_runtime::Action::Continuous(vector) => Ok((None, vector)),
                _ => Err(StepError::Kind),
            }
        }
    }
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
