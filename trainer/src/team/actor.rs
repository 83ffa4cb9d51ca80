//! One agent acting from its image.

use consort_runtime::{Action, Policy, StepError, head};

use super::{AlignedImage, Choice};
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
        if self.policy.image().head().is_continuous() {
            return match self.policy.step(observation, &mut self.memory)? {
                Action::Continuous(action) => Ok(Decision::Continuous(action.to_vec())),
                Action::Discrete(_) => Err(StepError::Continuous),
            };
        }
        let logits = self.policy.logits(observation, &mut self.memory)?.to_vec();
        let action = match mask {
            None => head::greedy(&logits),
            Some(mask) => head::greedy_masked(&logits, mask).ok_or(StepError::EmptyMask)?,
        };
        Ok(Decision::Discrete { action, logits })
    }

    /// Length of what it gives: actions, or dimensions of a vector.
    pub(super) fn output_len(&self) -> usize {
        self.policy.image().output_len()
    }

    /// A discrete action: the next step of an episode.
    pub(super) fn act(
        &mut self,
        observation: &[f32],
        mask: Option<&[bool]>,
        choice: Choice,
        dice: &mut Stream,
    ) -> Result<usize, StepError> {
        let Self { policy, memory } = self;
        match (choice, mask) {
            (Choice::Greedy, None) => policy.act_greedy(observation, memory),
            (Choice::Sampled, None) => policy.act_sampled(observation, memory, dice),
            (Choice::Greedy, Some(mask)) => policy.act_greedy_masked(observation, mask, memory),
            (Choice::Sampled, Some(mask)) => {
                policy.act_sampled_masked(observation, mask, memory, dice)
            }
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

    /// The probability of every action at the first observation of an episode, `[A]`.
    pub(super) fn probabilities(
        &mut self,
        observation: &[f32],
        choice: Choice,
    ) -> Result<Vec<f64>, StepError> {
        self.reset();
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
