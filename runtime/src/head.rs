//! Heads: from a network's outputs to an action.

use rand_core::Rng;

use crate::math;

/// How a network's outputs become an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// One of `actions` actions; the outputs are their logits.
    Categorical {
        /// Actions to choose between.
        actions: usize,
    },
}

impl Head {
    /// Values the head takes from the last layer.
    pub fn inputs(self) -> usize {
        match self {
            Head::Categorical { actions } => actions,
        }
    }
}

/// The action with the largest logit, the lowest of them where several tie. `logits`: `[A]`, finite.
pub fn greedy(logits: &[f32]) -> usize {
    largest(logits).0
}

/// Draws an action with probability `softmax(logits)`. `logits`: `[A]`, finite.
///
/// Takes one `u32` from `rng`. Its upper 23 bits `r` make `u = (2 r + 1) / 2²⁴`, strictly between 0 and 1; the action is the first
/// whose cumulative weight exceeds `u` times their total. The weights are `exp(logit − largest logit)` in the arithmetic of
/// [`math::exp`], summed in order of the actions, so that the same generator gives the same actions on every machine.
pub fn sample(logits: &[f32], rng: &mut impl Rng) -> usize {
    let (_, max) = largest(logits);
    let weight = |logit: f32| math::exp(logit - max);
    let total = logits.iter().fold(0.0, |sum, &logit| sum + weight(logit));
    let threshold = (rng.next_u32() >> 9 << 1 | 1) as f32 * (total * (1.0 / 16_777_216.0));
    let mut cumulative = 0.0;
    let exceeds = |&logit: &f32| {
        cumulative += weight(logit);
        cumulative > threshold
    };
    logits.iter().position(exceeds).unwrap_or(0)
}

/// Writes `softmax(logits)` to `probabilities`. Both `[A]`; `logits` finite. The weights and their total are those of [`sample`].
pub fn probabilities(logits: &[f32], probabilities: &mut [f32]) {
    let (_, max) = largest(logits);
    let mut total = 0.0;
    for (probability, &logit) in probabilities.iter_mut().zip(logits) {
        *probability = math::exp(logit - max);
        total += *probability;
    }
    probabilities
        .iter_mut()
        .for_each(|probability| *probability /= total);
}

fn largest(logits: &[f32]) -> (usize, f32) {
    let larger = |best: (usize, f32), (index, &logit): (usize, &f32)| {
        if logit > best.1 { (index, logit) } else { best }
    };
    logits
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), larger)
}
