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

/// The action with the largest logit, the lowest of them where several tie.
///
/// `logits`: `[A]`, finite, A ≥ 1.
pub fn greedy(logits: &[f32]) -> usize {
    largest(logits).0
}

/// Draws an action with probabilities softmax(`logits`). `logits`: `[A]`, finite, A ≥ 1.
///
/// Takes one `u32` from `rng`, whose upper 23 bits `r` make `u = (2r + 1) / 2²⁴`, strictly between
/// 0 and 1. The action is the first whose cumulative weight exceeds `u` times the total weight. An
/// action's weight is `exp(logit − largest logit)` by [`math::exp`], and sums run upwards: the same
/// generator draws the same actions on every machine.
pub fn sample(logits: &[f32], rng: &mut impl Rng) -> usize {
    let (_, max) = largest(logits);
    let weight = |logit: f32| math::exp(logit - max);
    let total = logits.iter().fold(0.0, |sum, &logit| sum + weight(logit));
    let odd = (rng.next_u32() >> 9) * 2 + 1;
    let threshold = odd as f32 * (total * (1.0 / 16_777_216.0));
    let mut cumulative = 0.0;
    let chosen = logits.iter().position(|&logit| {
        cumulative += weight(logit);
        cumulative > threshold
    });
    // u is at most 1 − 2⁻²⁴, so even rounded the threshold stays below the total: one was chosen.
    chosen.unwrap_or(0)
}

/// Writes softmax(`logits`) to `probabilities`, with the weights and the total of [`sample`].
///
/// Both `[A]`; `logits` finite.
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

/// The first largest logit: its index and value.
fn largest(logits: &[f32]) -> (usize, f32) {
    logits
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (index, &logit)| {
            if logit > best.1 { (index, logit) } else { best }
        })
}

#[cfg(test)]
mod tests {
    use chacha20::{ChaCha8Rng, rand_core::SeedableRng};
    use core::convert::Infallible;
    use rand_core::TryRng;

    use super::*;

    /// Gives the same number for ever.
    struct Fixed(u32);

    impl TryRng for Fixed {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(self.0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(u64::from(self.0))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(self.0 as u8);
            Ok(())
        }
    }

    #[test]
    fn greedy_takes_the_lowest_of_equals() {
        assert_eq!(greedy(&[-3.0, -1.0, -1.0]), 1);
        assert_eq!(greedy(&[0.0, -0.0]), 0);
        assert_eq!(greedy(&[f32::MIN]), 0);
    }

    #[test]
    fn equal_logits_cut_the_generators_range_into_equal_parts() {
        // Weights are exactly 1 and their total 4, so u = (2r + 1) / 2²⁴ passes 1/4 from r = 2²¹ − 1
        // to 2²¹: at the number 2³⁰.
        let draw = |number| sample(&[5.0; 4], &mut Fixed(number));
        let edges = [
            0,
            (1 << 30) - 1,
            1 << 30,
            (1 << 31) - 1,
            1 << 31,
            (3 << 30) - 1,
            3 << 30,
            u32::MAX,
        ];
        assert_eq!(edges.map(draw), [0, 0, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn an_action_that_weighs_nothing_is_never_drawn() {
        for number in [0, u32::MAX] {
            assert_eq!(sample(&[-1e30, 0.0, -1e30], &mut Fixed(number)), 1);
            assert_eq!(
                sample(&[f32::MIN, f32::MAX, f32::MIN], &mut Fixed(number)),
                1
            );
        }
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let logits = [0.0, 2.0, -1.0, 0.5];
        let mut expected = [0.0; 4];
        probabilities(&logits, &mut expected);
        let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws = 200_000;
        let mut counts = [0u32; 4];
        (0..draws).for_each(|_| counts[sample(&logits, &mut rng)] += 1);
        for ((&logit, &probability), &count) in logits.iter().zip(&expected).zip(&counts) {
            let exact = f64::from(logit).exp() / total;
            assert!((f64::from(probability) - exact).abs() < 1e-7);
            // Five standard deviations.
            let bound = 5.0 * (exact * (1.0 - exact) / f64::from(draws)).sqrt();
            assert!((f64::from(count) / f64::from(draws) - exact).abs() < bound);
        }
    }
}
