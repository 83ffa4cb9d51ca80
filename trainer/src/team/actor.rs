//! One agent acting from its image.

use consort_runtime::{Action, Head, Policy, StepError, head};

use super::{AlignedImage, Choice};
use crate::env::ActionSpace;
use crate::rng::Stream;

/// What an agent does at an observation, without chance.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// A number.
    Discrete {
        /// The most probable action, of those that are allowed.
        action: usize,
        /// What it was chosen by, `[A]`.
        logits: Vec<f32>,
    },
    /// A choice of every factor of an action that is a product.
    Groups {
        /// The most probable ones, `[K]`.
        choices: Vec<u32>,
        /// What they were chosen by, one group's after another's.
        logits: Vec<f32>,
    },
    /// A vector, `[D]`.
    Continuous(Vec<f32>),
}

/// One agent, ready to act, at the start of an episode.
#[derive(Clone)]
pub struct Actor<'a> {
    policy: Policy<'a>,
    memory: Vec<f32>,
}

impl<'a> Actor<'a> {
    pub(super) fn new(image: &'a AlignedImage) -> Self {
        let policy = Policy::new(image.view());
        Self {
            memory: vec![0.0; policy.image().memory_len()],
            policy,
        }
    }

    /// Begins an episode: what it remembers is gone.
    pub fn reset(&mut self) {
        let reset = self.policy.reset(&mut self.memory);
        reset.expect("memory as long as the image asks for");
    }

    /// What it does at an observation, `[O]`, where `mask`, `[A]`, says what is allowed: the next
    /// step of an episode.
    pub fn decide(
        &mut self,
        observation: &[f32],
        mask: Option<&[bool]>,
    ) -> Result<Decision, StepError> {
        let head = self.policy.image().head();
        let outputs = self.policy.outputs(observation, &mut self.memory)?;
        let logits = outputs.to_vec();
        let action = match mask {
            None => head.act_greedy(outputs),
            Some(mask) => (head.act_greedy_masked(outputs, mask)).ok_or(StepError::EmptyMask)?,
        };
        Ok(match action {
            Action::Discrete(action) => Decision::Discrete { action, logits },
            Action::MultiDiscrete(choices) => Decision::Groups {
                choices: choices.to_vec(),
                logits,
            },
            Action::Continuous(action) => Decision::Continuous(action.to_vec()),
        })
    }

    /// Length of what it gives: actions, or dimensions of a vector.
    pub(super) fn output_len(&self) -> usize {
        self.policy.image().output_len()
    }

    /// The number of an action of `space`, a discrete one: the next step of an episode.
    pub(super) fn act(
        &mut self,
        space: ActionSpace,
        observation: &[f32],
        mask: Option<&[bool]>,
        choice: Choice,
        dice: &mut Stream,
    ) -> Result<u32, StepError> {
        let Self { policy, memory } = self;
        let action = match (choice, mask) {
            (Choice::Greedy, None) => policy.step(observation, memory),
            (Choice::Sampled, None) => policy.step_sampled(observation, memory, dice),
            (Choice::Greedy, Some(mask)) => policy.step_masked(observation, mask, memory),
            (Choice::Sampled, Some(mask)) => {
                policy.step_sampled_masked(observation, mask, memory, dice)
            }
        };
        match (action?, space) {
            (Action::Discrete(action), _) => Ok(action as u32),
            (Action::MultiDiscrete(choices), ActionSpace::Product(factors)) => {
                Ok(factors.action(choices))
            }
            _ => Err(StepError::Kind),
        }
    }

    /// An action that is a vector, written to `vector`, `[D]`: the next step of an episode.
    pub(super) fn act_vector(
        &mut self,
        observation: &[f32],
        choice: Choice,
        dice: &mut Stream,
        vector: &mut [f32],
    ) -> Result<(), StepError> {
        let Self { policy, memory } = self;
        let action = match choice {
            Choice::Greedy => policy.step(observation, memory)?,
            Choice::Sampled => policy.step_sampled(observation, memory, dice)?,
        };
        if let Action::Continuous(action) = action {
            vector.copy_from_slice(action);
        }
        Ok(())
    }

    /// The probability of every action at the first observation of an episode, `[A]`, of an agent that
    /// chooses one number.
    pub(super) fn probabilities(
        &mut self,
        observation: &[f32],
        choice: Choice,
    ) -> Result<Vec<f64>, StepError> {
        self.reset();
        let Head::Categorical { .. } = self.policy.image().head() else {
            return Err(StepError::Kind);
        };
        let logits = self.policy.logits(observation, &mut self.memory)?;
        let mut probabilities = vec![0.0_f32; logits.len()];
        match choice {
            Choice::Greedy => probabilities[head::greedy(logits)] = 1.0,
            Choice::Sampled => head::probabilities(logits, &mut probabilities),
        }
        // In f32 they sum to one only roughly, and a team would seem to beat the optimum.
        let total: f64 = probabilities.iter().copied().map(f64::from).sum();
        Ok(probabilities
            .into_iter()
            .map(|p| f64::from(p) / total)
            .collect())
    }
}
