//! From an observation to an action.

use rand_core::Rng;

use crate::error::StepError;
use crate::head;
use crate::image::Image;
use crate::layer::dense;

/// A policy ready to act.
///
/// Every step takes an observation (`[O]`, finite, O = [`Image::observation_len`]) and lent memory
/// (at least [`Image::memory_len`] values, whatever they hold).
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    image: Image<'a>,
}

impl<'a> Policy<'a> {
    /// The policy of a checked image.
    pub fn new(image: Image<'a>) -> Self {
        Policy { image }
    }

    /// The image the policy acts from.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// The action with the largest logit, the lowest of them where several tie.
    ///
    /// # Errors
    ///
    /// As [`logits`](Self::logits).
    pub fn act_greedy(&self, observation: &[f32], memory: &mut [f32]) -> Result<usize, StepError> {
        self.logits(observation, memory)
            .map(|logits| head::greedy(logits))
    }

    /// An action drawn with the policy's probabilities by [`head::sample`]: one `u32` from `rng`.
    ///
    /// # Errors
    ///
    /// As [`logits`](Self::logits); nothing is then drawn.
    pub fn act_sampled(
        &self,
        observation: &[f32],
        memory: &mut [f32],
        rng: &mut impl Rng,
    ) -> Result<usize, StepError> {
        self.logits(observation, memory)
            .map(|logits| head::sample(logits, rng))
    }

    /// The logits, `[A]`, all finite; they lie in `memory`.
    ///
    /// # Errors
    ///
    /// A [`StepError`] when the observation has the wrong length or a value that is not finite, when
    /// `memory` is too short, or when a logit overflows: a bad number never becomes an action.
    pub fn logits<'m>(
        &self,
        observation: &[f32],
        memory: &'m mut [f32],
    ) -> Result<&'m mut [f32], StepError> {
        let expected = self.image.observation_len();
        if observation.len() != expected {
            return Err(StepError::ObservationLength {
                expected,
                found: observation.len(),
            });
        }
        if let Some(index) = observation.iter().position(|value| !value.is_finite()) {
            return Err(StepError::NonFiniteObservation { index });
        }
        let short = StepError::Memory {
            expected: self.image.memory_len(),
            found: memory.len(),
        };
        let [even, odd] = self.image.regions();
        // Layers write to the two regions in turn, each reading what the one before it wrote.
        let (mut target, source) = memory.split_at_mut_checked(even).ok_or(short)?;
        let mut source = source.get_mut(..odd).ok_or(short)?;
        let mut len = 0;
        for (index, layer) in self.image.dense_layers().iter().enumerate() {
            let output = target.get_mut(..layer.outputs).ok_or(short)?;
            let input = if index == 0 {
                observation
            } else {
                source.get(..layer.inputs).ok_or(short)?
            };
            dense(layer.parameters, input, output);
            layer.activation.apply(output);
            len = layer.outputs;
            (target, source) = (source, target);
        }
        let logits = source.get_mut(..len).ok_or(short)?;
        match logits.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(StepError::NonFiniteLogit { index }),
            None => Ok(logits),
        }
    }
}
