//! What a sample says of what it was drawn from. Every interval has 95 % confidence.

use crate::rng::Stream;
use serde::Serialize;

/// The 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A range that holds the true value with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Successes among independent trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Trials that succeeded.
    pub successes: usize,
    /// Trials in all, at least one.
    pub trials: usize,
}

impl Count {
    /// Counts the trials that succeeded.
    pub fn of(trials: impl IntoIterator<Item = bool>) -> Self {
        let mut count = Self {
            successes: 0,
            trials: 0,
        };
        for success in trials {
            count.successes += usize::from(success);
            count.trials += 1;
        }
        count
    }

    /// The fraction that succeeded.
    pub fn fraction(self) -> f64 {
        self.successes as f64 / self.trials as f64
    }

    /// The score interval of the probability of success. Wilson, *Probable Inference, the Law of
    /// Succession, and Statistical Inference*, JASA 1927.
    pub fn interval(self) -> Interval {
        let (n, p) = (self.trials as f64, self.fraction());
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Interval {
            low: ((centre - half) / scale).max(0.0),
            high: ((centre + half) / scale).min(1.0),
        }
    }

    /// The interval of the difference of two probabilities, this one's minus `other`'s. Newcombe,
    /// *Interval Estimation for the Difference between Independent Proportions*, Statistics in
    /// Medicine 1998, method 10.
    pub fn difference(self, other: Self) -> Interval {
        let (p, q) = (self.fraction(), other.fraction());
        let (a, b) = (self.interval(), other.interval());
        Interval {
            low: p - q - (p - a.low).hypot(b.high - q),
            high: p - q + (a.high - p).hypot(q - b.low),
        }
    }
}

/// The mean of the middle half: a quarter of the values, rounded down, is cut from either end.
/// Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical Precipice*, 2021.
/// `values`: at least one.
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    let middle = &sorted[cut..sorted.len() - cut];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// The percentile bootstrap interval of a statistic of `values` (Efron 1979): the middle 95 % of
/// the statistic over 2,000 resamples.
pub fn bootstrap(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    stream: &mut Stream,
) -> Interval {
    const RESAMPLES: usize = 2_000;
    let count = values.len();
    let mut resample = vec![0.0; count];
    let mut statistics: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            resample.fill_with(|| values[(stream.uniform() * count as f64) as usize]);
            statistic(&resample)
        })
        .collect();
    statistics.sort_by(f64::total_cmp);
    let cut = RESAMPLES / 40;
    Interval {
        low: statistics[cut],
        high: statistics[RESAMPLES - 1 - cut],
    }
}

/// Φ(x), the standard normal distribution function, by the series of Marsaglia, *Evaluating the
/// Normal Distribution*, Journal of Statistical Software 2004:
///
/// ```text
/// Φ(x) = ½ + φ(x) (x + x³/3 + x⁵/(3·5) + x⁷/(3·5·7) + …)
/// ```
pub fn normal_cdf(x: f64) -> f64 {
    // Beyond, Φ is within 10⁻¹⁵ of 0 or 1.
    let x = x.clamp(-8.0, 8.0);
    let (mut sum, mut term, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(successes: usize, trials: usize) -> Count {
        Count { successes, trials }
    }

    fn assert_near(found: Interval, low: f64, high: f64) {
        // The published figures have four decimals.
        assert!(
            (found.low - low).abs() < 6e-5 && (found.high - high).abs() < 6e-5,
            "{found:?}, expected {low} to {high}"
        );
    }

    #[test]
    fn wilson_intervals_are_the_published_ones() {
        // Newcombe, Two-Sided Confidence Intervals for the Single Proportion, 1998, table I.
        assert_near(count(81, 263).interval(), 0.2553, 0.3662);
        assert_near(count(15, 148).interval(), 0.0624, 0.1605);
        assert_near(count(0, 20).interval(), 0.0, 0.1611);
        assert_near(count(1, 29).interval(), 0.0061, 0.1718);
        // By symmetry.
        assert_near(count(20, 20).interval(), 1.0 - 0.1611, 1.0);
    }

    #[test]
    fn differences_are_the_published_ones() {
        // Newcombe, Interval Estimation for the Difference …, 1998, table II, method 10.
        assert_near(count(56, 70).difference(count(48, 80)), 0.0524, 0.3339);
        assert_near(count(9, 10).difference(count(3, 10)), 0.1705, 0.8090);
        assert_near(count(5, 56).difference(count(0, 29)), -0.0381, 0.1926);
        assert_near(count(10, 10).difference(count(0, 10)), 0.6075, 1.0);
    }

    #[test]
    fn trials_are_counted() {
        assert_eq!(Count::of([true, false, true]), count(2, 3));
    }

    #[test]
    fn the_middle_half_is_averaged_whatever_the_order() {
        // Eight values: two are cut from either end, and (3 + 4 + 5 + 6)/4 = 4.5 is left.
        let values = [1e6, 5.0, 3.0, 2.0, -1e6, 6.0, 4.0, 7.0];
        assert_eq!(interquartile_mean(&values), 4.5);
        // Seven: one from either end.
        assert_eq!(interquartile_mean(&values[1..]), 4.0);
        assert_eq!(interquartile_mean(&[3.0]), 3.0);
    }

    #[test]
    fn bootstrap_repeats_by_seed_and_has_the_right_width() {
        let mut draws = Stream::new(1, "test", 0);
        let values: Vec<f64> = (0..400).map(|_| draws.normal()).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let interval = |seed| bootstrap(&values, mean, &mut Stream::new(seed, "bootstrap", 0));
        let found = interval(0);
        assert_eq!(found, interval(0));
        assert_ne!(found, interval(1));
        // Of the mean of 400 standard normal numbers: 2·1.96/√400 = .196. The sample's deviation
        // and the 2,000 resamples each move that by some 4 %.
        assert!((found.high - found.low - 0.196).abs() < 0.03, "{found:?}");
        assert!(found.low < mean(&values) && mean(&values) < found.high);
    }

    #[test]
    fn normal_probabilities_are_the_tabulated_ones() {
        let table = [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (-1.0, 0.158_655_253_931_457),
            (Z, 0.975),
            (3.0, 0.998_650_101_968_370),
        ];
        for (x, expected) in table {
            assert!((normal_cdf(x) - expected).abs() < 1e-14, "{x}");
        }
        assert!(normal_cdf(-50.0).abs() < 1e-14 && (normal_cdf(50.0) - 1.0).abs() < 1e-14);
    }
}
