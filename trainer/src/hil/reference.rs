//! What an agent should do: its policy on the host, by `consort-runtime` alone.

use consort_runtime::{Action, Head, Image, Policy, StepError};
use consort_wire::{Dice, Fault, Hash, safe, safe_groups};
use serde::{Deserialize, Serialize};

use super::device::Sight;

/// What an agent does at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Acted {
    /// A number.
    Number(u32),
    /// A vector.
    Vector(Vec<f32>),
    /// A number of every group.
    Numbers(Vec<u32>),
}

impl Acted {
    /// Whether the other is the same to the last bit.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => one == two,
            (Self::Numbers(one), Self::Numbers(two)) => one == two,
            (Self::Vector(one), Self::Vector(two)) => {
                one.len() == two.len()
                    && one.iter().zip(two).all(|(a, b)| a.to_bits() == b.to_bits())
            }
            _ => false,
        }
    }
}

/// An action, and by what it is told whether it came about in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The action.
    pub action: Acted,
    /// [`Hash`](struct@Hash) of outputs and state.
    pub hash: u64,
    /// Why the action is the safe one.
    pub fault: Option<Fault>,
}

impl Outcome {
    /// Whether the other is the same to the last bit.
    pub fn same(&self, other: &Self) -> bool {
        self.action.same(&other.action) && (self.hash, self.fault) == (other.hash, other.fault)
    }
}

/// One agent on the host.
pub(super) struct Reference<'a> {
    policy: Policy<'a>,
    memory: Vec<f32>,
    dice: Option<Dice>,
}

impl<'a> Reference<'a> {
    pub(super) fn new(image: Image<'a>) -> Self {
        Self {
            memory: vec![0.0; image.memory_len()],
            policy: Policy::new(image),
            dice: None,
        }
    }

    /// Begins an episode.
    pub(super) fn reset(&mut self, seed: Option<u64>) {
        let reset = self.policy.reset(&mut self.memory);
        reset.expect("memory as long as the image asks for");
        self.dice = seed.map(Dice::new);
    }

    /// Its state.
    pub(super) fn state(&self) -> &[f32] {
        &self.memory[..self.policy.image().state_len()]
    }

    /// The next step.
    pub(super) fn step(&mut self, observation: &[f32], mask: Option<&[bool]>) -> Outcome {
        let mut hash = Hash::new();
        let acted = self.act(observation, mask, &mut hash);
        hash.values(self.state());
        let hash = hash.finish();
        let (action, fault) = match acted {
            Ok(action) => (action, None),
            Err(error) => (self.safe(mask), Some(Fault::from(error))),
        };
        Outcome {
            action,
            hash,
            fault,
        }
    }

    /// The next step, of what went over the wire and the symbol with it.
    pub(super) fn step_seen(&mut self, sight: &Sight) -> Outcome {
        let image = self.policy.image();
        let symbols = (image.seeding()).map_or(0, |seeding| usize::from(seeding.symbols));
        let mut observation = sight.values.clone();
        observation.extend((0..symbols).map(|index| {
            let drawn = sight.symbol.map(usize::from) == Some(index);
            f32::from(u8::from(drawn))
        }));
        let mask: Vec<bool> = (0..image.output_len())
            .filter_map(|action| Some(sight.mask.get(action / 8)? >> (action % 8) & 1 == 1))
            .collect();
        self.step(&observation, (!mask.is_empty()).then_some(&mask))
    }

    /// What it does when it cannot act.
    pub(super) fn safe(&self, mask: Option<&[bool]>) -> Acted {
        let image = self.policy.image();
        match image.head() {
            Head::Categorical { .. } => Acted::Number(safe(mask) as u32),
            Head::MultiDiscrete { sizes } => Acted::Numbers(safe_groups(sizes, mask).collect()),
            Head::Deterministic { .. } | Head::Gaussian { .. } => {
                Acted::Vector(vec![0.0; image.output_len()])
            }
        }
    }

    fn act(
        &mut self,
        observation: &[f32],
        mask: Option<&[bool]>,
        hash: &mut Hash,
    ) -> Result<Acted, StepError> {
        let Self {
            policy,
            memory,
            dice,
        } = self;
        let head = policy.image().head();
        if mask.is_some_and(|mask| !mask.contains(&true)) {
            return Err(StepError::EmptyMask);
        }
        let outputs = policy.outputs(observation, memory)?;
        if !head.is_continuous() {
            // Of a vector the action is hashed; logits make room for what is chosen by them.
            hash.values(outputs);
        }
        let action = match (dice, mask) {
            (None, None) => Some(head.act_greedy(outputs)),
            (None, Some(mask)) => head.act_greedy_masked(outputs, mask),
            (Some(dice), None) => Some(head.act_sampled(outputs, dice)),
            (Some(dice), Some(mask)) => head.act_sampled_masked(outputs, mask, dice),
        };
        Ok(match action.ok_or(StepError::EmptyMask)? {
            Action::Discrete(number) => Acted::Number(number as u32),
            Action::MultiDiscrete(numbers) => Acted::Numbers(numbers.to_vec()),
            Action::Continuous(vector) => {
                hash.values(vector);
                Acted::Vector(vector.to_vec())
            }
        })
    }
}
