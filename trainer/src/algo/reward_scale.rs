//! Rewards in deviations from their mean (as in EPyMARL, Papoudakis et al. 2021).

use serde::{Deserialize, Serialize};

/// Running mean and deviation of one replica's rewards (Welford 1962).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct RewardScale {
    count: f64,
    mean: f64,
    scatter: f64,
}

/// Rewards that vary less than this are only shifted.
const LEAST_DEVIATION: f64 = 1e-4;

impl RewardScale {
    /// Takes a reward in.
    pub(super) fn include(&mut self, reward: f32) {
        self.count += 1.0;
        let before = f64::from(reward) - self.mean;
        self.mean += before / self.count;
        self.scatter += before * (f64::from(reward) - self.mean);
    }

    /// `reward` in deviations from the mean of all so far.
    pub(super) fn standardise(&self, reward: f32) -> f32 {
        ((f64::from(reward) - self.mean) / self.unit()) as f32
    }

    /// The mean, and the reward that counts 1 more.
    pub(super) fn line(&self) -> [f64; 2] {
        [self.mean, self.unit()]
    }

    fn unit(&self) -> f64 {
        let deviation = (self.scatter / self.count.max(1.0)).sqrt();
        match deviation < LEAST_DEVIATION {
            true => 1.0,
            false => deviation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewards 1, 2, 6: mean 3, population variance (4 + 1 + 9)/3 = 14/3.
    #[test]
    fn rewards_are_measured_in_deviations_from_their_mean() {
        let mut scale = RewardScale::default();
        scale.include(2.0);
        // One reward has no deviation.
        assert_eq!(scale.standardise(5.0), 3.0);
        scale.include(1.0);
        scale.include(6.0);
        let expected = 3.0 / (14.0_f32 / 3.0).sqrt();
        assert!((scale.standardise(6.0) - expected).abs() < 1e-6);
        assert!(scale.standardise(3.0).abs() < 1e-6);
        let [mean, unit] = scale.line();
        assert!((mean - 3.0).abs() < 1e-12 && (unit - (14.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
