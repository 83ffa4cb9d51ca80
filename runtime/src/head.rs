//! Heads: from a network's outputs to an action.

mod groups;

use core::hint::black_box;

use rand_core::Rng;

use crate::math;

pub use groups::parts;

/// How a network's outputs become an action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Head<'a> {
    /// One of `actions` actions; the outputs are their logits.
    Categorical {
        /// Actions to choose between.
        actions: usize,
    },
    /// A vector: the outputs as they are, whether greedy or sampled.
    Deterministic {
        /// Its dimensions.
        outputs: usize,
    },
    /// A vector in [−1, 1]: the hyperbolic tangent of normal numbers, each with the output as its
    /// mean and a standard deviation that does not depend on the observation (the squashed Gaussian
    /// of Haarnoja et al. 2018, with the standard deviations of Schulman et al. 2015).
    Gaussian {
        /// The logarithm of every dimension's standard deviation, `[D]`.
        log_std: &'a [f32],
    },
    /// One action of every group; the outputs are the groups' logits, one group after another.
    MultiDiscrete {
        /// Actions of each group, `[K]`.
        sizes: &'a [u32],
    },
}

/// What an agent does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action<'m> {
    /// This one of a categorical head's actions, counted from 0.
    Discrete(usize),
    /// This vector, `[D]`.
    Continuous(&'m [f32]),
    /// One of every group's actions, `[K]`, each counted from 0.
    MultiDiscrete(&'m [u32]),
}

impl Head<'_> {
    /// Values the head takes from the last layer.
    pub fn inputs(self) -> usize {
        match self {
            Head::Categorical { actions } => actions,
            Head::Deterministic { outputs } => outputs,
            Head::Gaussian { log_std } => log_std.len(),
            Head::MultiDiscrete { sizes } => {
                (sizes.iter()).fold(0, |sum: usize, &size| sum.saturating_add(size as usize))
            }
        }
    }

    /// Whether actions are vectors of real numbers.
    pub fn is_continuous(self) -> bool {
        matches!(self, Head::Deterministic { .. } | Head::Gaussian { .. })
    }

    /// The action without chance: of the largest logit by [`greedy`], in every group where there are
    /// several, the outputs themselves, or tanh(mean).
    ///
    /// `outputs`: as many as [`inputs`](Self::inputs) says, finite; a vector, or the groups' actions,
    /// take their place.
    pub fn act_greedy(self, outputs: &mut [f32]) -> Action<'_> {
        match self {
            Head::Categorical { .. } => return Action::Discrete(greedy(outputs)),
            Head::MultiDiscrete { sizes } if cfg!(feature = "multi-discrete") => {
                let chosen = groups::choose(sizes, outputs, |_, logits| Some(greedy(logits)));
                return Action::MultiDiscrete(chosen.unwrap_or_default());
            }
            Head::Deterministic { .. } => {}
            Head::Gaussian { .. } if cfg!(feature = "gaussian") => outputs
                .iter_mut()
                .for_each(|value| *value = math::tanh(*value)),
            // No checked image has one in a build that leaves them out.
            Head::Gaussian { .. } | Head::MultiDiscrete { .. } => {}
        }
        Action::Continuous(outputs)
    }

    /// The action drawn: by [`sample`], in every group in turn where there are several, the outputs
    /// themselves, or tanh(mean + exp(log σ) ε) with ε by [`normal`], dimension after dimension.
    ///
    /// `outputs`: as many as [`inputs`](Self::inputs) says, finite; a vector, or the groups' actions,
    /// take their place.
    pub fn act_sampled<'m>(self, outputs: &'m mut [f32], rng: &mut impl Rng) -> Action<'m> {
        match self {
            Head::Categorical { .. } => return Action::Discrete(sample(outputs, rng)),
            Head::MultiDiscrete { sizes } => {
                let chosen = groups::choose(sizes, outputs, |_, logits| Some(sample(logits, rng)));
                return Action::MultiDiscrete(chosen.unwrap_or_default());
            }
            Head::Deterministic { .. } => {}
            Head::Gaussian { log_std } => {
                for (value, &log_std) in outputs.iter_mut().zip(log_std) {
                    // Where the product overflows, tanh holds it: finite mean, so never NaN.
                    *value = math::tanh(*value + math::exp(log_std) * normal(rng));
                }
            }
        }
        Action::Continuous(outputs)
    }

    /// Like [`act_greedy`](Self::act_greedy), of the actions whose `mask` is true, by
    /// [`greedy_masked`]; none where a group has no such action, or where the head does not choose.
    ///
    /// `mask`: as many as `outputs`.
    pub fn act_greedy_masked<'m>(
        self,
        outputs: &'m mut [f32],
        mask: &[bool],
    ) -> Option<Action<'m>> {
        self.choose_masked(outputs, mask, greedy_masked)
    }

    /// Like [`act_sampled`](Self::act_sampled), of the actions whose `mask` is true, by
    /// [`sample_masked`]; none where a group has no such action, or where the head does not choose.
    ///
    /// `mask`: as many as `outputs`.
    pub fn act_sampled_masked<'m>(
        self,
        outputs: &'m mut [f32],
        mask: &[bool],
        rng: &mut impl Rng,
    ) -> Option<Action<'m>> {
        self.choose_masked(outputs, mask, |logits, mask| {
            sample_masked(logits, mask, rng)
        })
    }

    fn choose_masked<'m>(
        self,
        outputs: &'m mut [f32],
        mask: &[bool],
        mut choose: impl FnMut(&[f32], &[bool]) -> Option<usize>,
    ) -> Option<Action<'m>> {
        match self {
            Head::Categorical { .. } => choose(outputs, mask).map(Action::Discrete),
            Head::MultiDiscrete { sizes } => {
                let chosen = groups::choose(sizes, outputs, |group, logits| {
                    choose(logits, mask.get(group)?)
                });
                chosen.map(|chosen| Action::MultiDiscrete(chosen))
            }
            Head::Deterministic { .. } | Head::Gaussian { .. } => None,
        }
    }

    /// Whether `mask`, of as many values as the head takes, allows an action, in every group where
    /// there are several.
    pub(crate) fn is_open(self, mask: &[bool]) -> bool {
        match self {
            Head::MultiDiscrete { sizes } => {
                groups::parts(sizes, mask).all(|group| group.contains(&true))
            }
            _ => mask.contains(&true),
        }
    }
}

/// The action with the largest logit, the lowest of them where several tie.
///
/// `logits`: `[A]`, finite, A ≥ 1.
pub fn greedy(logits: &[f32]) -> usize {
    largest(all(logits)).map_or(0, |(action, _)| action)
}

/// Like [`greedy`], among the actions whose `mask` is true; none where there is no such action.
///
/// Both `[A]`; `logits` finite.
pub fn greedy_masked(logits: &[f32], mask: &[bool]) -> Option<usize> {
    // A forbidden action counts as one below all logits, by a mask of bits and not a choice, so that the
    // work does not depend on it.
    let held = all(logits).zip(mask).map(|((action, logit), &allowed)| {
        let open = black_box(u32::from(allowed).wrapping_neg());
        let bits = (logit.to_bits() & open) | (f32::NEG_INFINITY.to_bits() & !open);
        (action, f32::from_bits(bits))
    });
    let (action, logit) = largest(held)?;
    (logit.to_bits() != f32::NEG_INFINITY.to_bits()).then_some(action)
}

/// Draws an action with probabilities softmax(`logits`). `logits`: `[A]`, finite, A ≥ 1.
///
/// Takes one `u32` from `rng`, whose upper 23 bits `r` make `u = (2r + 1) / 2²⁴`, strictly between
/// 0 and 1. The action is the first whose cumulative weight exceeds `u` times the total weight. An
/// action's weight is `exp(logit − largest logit)` by [`math::exp`], and sums run upwards: the same
/// generator draws the same actions on every machine.
pub fn sample(logits: &[f32], rng: &mut impl Rng) -> usize {
    draw(all(logits), rng).unwrap_or(0)
}

/// Like [`sample`], from the softmax of the logits whose `mask` is true; none, and nothing taken
/// from `rng`, where there is no such action.
///
/// Both `[A]`; `logits` finite.
pub fn sample_masked(logits: &[f32], mask: &[bool], rng: &mut impl Rng) -> Option<usize> {
    draw(allowed(logits, mask), rng)
}

fn all(logits: &[f32]) -> impl Iterator<Item = (usize, f32)> + Clone {
    logits.iter().copied().enumerate()
}

fn allowed(logits: &[f32], mask: &[bool]) -> impl Iterator<Item = (usize, f32)> + Clone {
    all(logits)
        .zip(mask)
        .filter_map(|(candidate, &allowed)| allowed.then_some(candidate))
}

/// The first largest of the candidates, which are actions and their logits.
fn largest(candidates: impl Iterator<Item = (usize, f32)>) -> Option<(usize, f32)> {
    candidates.reduce(|best, next| {
        // A mask, not a choice: as many instructions whichever is larger, and on a core without a
        // floating-point unit no call to compare. A compiler that saw what the difference or the mask is
        // would compare, and branch.
        let difference = black_box(i64::from(key(best.1)) - i64::from(key(next.1)));
        let above = black_box((difference >> 63) as usize);
        let pick = |best: usize, next: usize| best ^ ((best ^ next) & above);
        let logit = pick(best.1.to_bits() as usize, next.1.to_bits() as usize);
        (pick(best.0, next.0), f32::from_bits(logit as u32))
    })
}

/// A number's place among all others: the greater, the greater; 0 and −0 have the same. Not of NaN.
fn key(value: f32) -> i32 {
    let bits = value.to_bits() as i32;
    let sign = bits >> 31;
    ((bits & i32::MAX) ^ sign) - sign
}

fn draw(
    candidates: impl Iterator<Item = (usize, f32)> + Clone,
    rng: &mut impl Rng,
) -> Option<usize> {
    let (first, max) = largest(candidates.clone())?;
    let weight = |logit: f32| math::exp(logit - max);
    let total = candidates
        .clone()
        .fold(0.0, |sum, (_, logit)| sum + weight(logit));
    let odd = (rng.next_u32() >> 9) * 2 + 1;
    let threshold = odd as f32 * (total * (1.0 / 16_777_216.0));
    let mut cumulative = 0.0;
    for (action, logit) in candidates {
        cumulative += weight(logit);
        if cumulative > threshold {
            return Some(action);
        }
    }
    // u is at most 1 − 2⁻²⁴, so even rounded the threshold stays below the total: one was chosen.
    Some(first)
}

/// Writes softmax(`logits`) to `probabilities`, with the weights and the total of [`sample`].
///
/// Both `[A]`; `logits` finite.
pub fn probabilities(logits: &[f32], probabilities: &mut [f32]) {
    let max = largest(all(logits)).map_or(0.0, |(_, max)| max);
    let mut total = 0.0;
    for (probability, &logit) in probabilities.iter_mut().zip(logits) {
        *probability = math::exp(logit - max);
        total += *probability;
    }
    probabilities
        .iter_mut()
        .for_each(|probability| *probability /= total);
}

/// Teichroew's polynomial, lowest power first.
const NORMAL: [f32; 5] = [
    3.949_846,
    0.252_408_77,
    0.076_542_914,
    0.008_355_968,
    0.029_899_776,
];

/// Draws a standard normal number: the sum of twelve uniform ones, its tails stretched by
/// Teichroew's polynomial (Abramowitz and Stegun 1964, 26.8.6 a(2)). At most 8.7 from 0.
///
/// Its distribution function is within 1.1·10⁻⁵ of the normal one; beyond 3.8 it is 3 % too often,
/// beyond 4.9 17 % (`docs/derivations/normal.py`).
///
/// Takes six `u32` from `rng`, each for two whole numbers of 16 bits. They add up exactly, so only
/// the polynomial rounds: the same generator draws the same numbers on every machine.
pub fn normal(rng: &mut impl Rng) -> f32 {
    let mut sum = 0;
    for _ in 0..6 {
        let number = rng.next_u32();
        sum += (number >> 16) + (number & 0xffff);
    }
    // The mean of a number of 16 bits, k + 1/2 in steps of 2⁻¹⁶, is 1/2; a quarter of the sum's
    // distance from 6 is what the polynomial takes.
    let r = (sum as i32 + 6 - 6 * 65_536) as f32 * (1.0 / 262_144.0);
    let [c1, c3, c5, c7, c9] = NORMAL;
    let s = r * r;
    ((((c9 * s + c7) * s + c5) * s + c3) * s + c1) * r
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

    #[test]
    fn normal_numbers_have_the_documented_bits() {
        let bits = NORMAL.map(f32::to_bits);
        let documented = [
            0x407c_ca47,
            0x3e81_3bb9,
            0x3d9c_c288,
            0x3c08_e778,
            0x3cf4_f060,
        ];
        assert_eq!(bits, documented);
        for number in [0x0000_0001, 0x1234_5678, 0x8000_8000, 0xfedc_ba98] {
            let halves = u64::from(number & 0xffff) + u64::from(number >> 16);
            let r = (6 * halves + 6) as f64 / 262_144.0 - 1.5;
            let powers = [1, 3, 5, 7, 9].map(|power| r.powi(power));
            let exact: f64 = core::iter::zip(NORMAL, powers)
                .map(|(c, power)| f64::from(c) * power)
                .sum();
            let found = f64::from(normal(&mut Fixed(number)));
            assert!((found - exact).abs() <= 1e-6 * exact.abs(), "{number:x}");
        }
    }
}
