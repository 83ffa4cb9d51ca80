//! The units in which returns, rewards and values are measured.

use serde::{Deserialize, Serialize};

use crate::rollout::Batch;

/// What one unit of advantage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Units {
    /// The range of returns seen so far. For one-shot games, where every advantage is a difference
    /// of returns.
    Range,
    /// The standard deviation of the batch's advantages; the critic learns values in deviations of
    /// the returns it was taught lately (Yu et al. 2022, "value normalisation").
    Deviation,
}

/// Smallest and largest return seen so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReturnRange {
    low: f32,
    high: f32,
}

impl Default for ReturnRange {
    fn default() -> Self {
        Self {
            low: f32::INFINITY,
            high: f32::NEG_INFINITY,
        }
    }
}

impl ReturnRange {
    /// Widens the range to include `value`.
    pub fn include(&mut self, value: f32) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    /// high − low, where that is more than nothing.
    fn width(&self) -> Option<f32> {
        let width = self.high - self.low;
        (width > 0.0).then_some(width)
    }

    /// `value` on a scale where the range is [0, 1]; 0 while only one value has been seen.
    pub fn normalise(&self, value: f32) -> f32 {
        self.width().map_or(0.0, |width| (value - self.low) / width)
    }
}

/// Running mean and deviation of the critic's targets: averages over updates with the start's bias
/// divided out.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Scale {
    mean: f64,
    square: f64,
    weight: f64,
}

impl Scale {
    const DECAY: f64 = 0.99;

    fn include(&mut self, targets: impl Iterator<Item = f32> + Clone) {
        let count = targets.clone().count().max(1) as f64;
        let mean = targets.clone().map(f64::from).sum::<f64>() / count;
        let square = targets.map(|x| f64::from(x).powi(2)).sum::<f64>() / count;
        self.mean = Self::DECAY * self.mean + (1.0 - Self::DECAY) * mean;
        self.square = Self::DECAY * self.square + (1.0 - Self::DECAY) * square;
        self.weight = Self::DECAY * self.weight + (1.0 - Self::DECAY);
    }

    /// (μ, σ); (0, 1) before anything was included.
    fn moments(&self) -> (f32, f32) {
        if self.weight == 0.0 {
            return (0.0, 1.0);
        }
        let mean = self.mean / self.weight;
        let variance = (self.square / self.weight - mean * mean).max(1e-8);
        (mean as f32, variance.sqrt() as f32)
    }
}

/// What the episodes that ended lately earned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Earned {
    /// Whether they ended in the last batch; else they are those of an earlier one, or there are none yet.
    pub fresh: bool,
    /// Their mean return.
    pub mean: f64,
    /// The same on a scale where the range of returns seen by then is [0, 1].
    pub in_range: f64,
    /// How wide that range was; 0 while only one return has been seen.
    pub range: f64,
}

impl Earned {
    /// By episodes with these returns, of which there are some, when the range was that.
    fn of(returns: &[f32], range: &ReturnRange) -> Self {
        let mean = |values: &mut dyn Iterator<Item = f32>| {
            values.map(f64::from).sum::<f64>() / returns.len() as f64
        };
        Self {
            fresh: true,
            mean: mean(&mut returns.iter().copied()),
            in_range: mean(&mut returns.iter().map(|&value| range.normalise(value))),
            range: range.width().map_or(0.0, f64::from),
        }
    }
}

/// What every replica's returns have come to, and so the units that its losses meet.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ledger {
    units: Units,
    ranges: Vec<ReturnRange>,
    scales: Vec<Scale>,
    earned: Vec<Earned>,
}

impl Ledger {
    /// Nothing seen yet.
    pub fn new(units: Units, replicas: usize) -> Self {
        Self {
            units,
            ranges: vec![ReturnRange::default(); replicas],
            scales: vec![Scale::default(); replicas],
            earned: vec![Earned::default(); replicas],
        }
    }

    /// Takes in the returns of a replica's episodes that ended, and gives its rewards, `[T·B]`, in
    /// these units. `horizon`: steps of an episode.
    pub fn rewards(&mut self, batch: &Batch, replica: usize, horizon: usize) -> Vec<f32> {
        let range = &mut self.ranges[replica];
        let returns = &batch.returns[replica];
        returns.iter().for_each(|&value| range.include(value));
        match returns.is_empty() {
            false => self.earned[replica] = Earned::of(returns, range),
            true => self.earned[replica].fresh = false,
        }
        let samples = (batch.rows.time - 1) * batch.rows.parallel;
        let mut rewards = batch.rewards[replica * samples..][..samples].to_vec();
        if self.units == Units::Range {
            let (low, width) = (range.low / horizon as f32, range.width());
            let unit = |r: &mut f32| *r = width.map_or(0.0, |width| (*r - low) / width);
            rewards.iter_mut().for_each(unit);
        }
        rewards
    }

    /// What a critic says, in the units of [`rewards`](Self::rewards).
    pub fn values(&self, replica: usize, values: &mut [f32]) {
        if self.units == Units::Deviation {
            let (mean, deviation) = self.scales[replica].moments();
            let unit = |v: &mut f32| *v = *v * deviation + mean;
            values.iter_mut().for_each(unit);
        }
    }

    /// Targets in the units of rewards, made what a critic should say. `counted`: which were
    /// acted upon.
    pub fn targets(&mut self, replica: usize, targets: &mut [f32], counted: &[bool]) {
        if self.units == Units::Deviation {
            let scale = &mut self.scales[replica];
            let acted = std::iter::zip(&*targets, counted).filter(|(_, counted)| **counted);
            scale.include(acted.map(|(&target, _)| target));
            let (mean, deviation) = scale.moments();
            let unit = |v: &mut f32| *v = (*v - mean) / deviation;
            targets.iter_mut().for_each(unit);
        }
    }

    /// Which units these are.
    pub fn units(&self) -> Units {
        self.units
    }

    /// What the episodes that ended lately earned, `[R]`.
    pub fn earned(&self) -> &[Earned] {
        &self.earned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_are_measured_in_units_of_the_range_seen() {
        let mut range = ReturnRange::default();
        range.include(3.0);
        // One value makes no range yet.
        assert_eq!(range.normalise(3.0), 0.0);
        range.include(-5.0);
        range.include(1.0);
        assert_eq!((range.normalise(-5.0), range.normalise(3.0)), (0.0, 1.0));
        assert_eq!(range.normalise(-1.0), 0.5);
    }

    #[test]
    fn what_was_earned_is_told_plainly_and_in_the_range() {
        let mut range = ReturnRange::default();
        range.include(-5.0);
        let alone = Earned {
            fresh: true,
            mean: -5.0,
            in_range: 0.0,
            range: 0.0,
        };
        assert_eq!(Earned::of(&[-5.0, -5.0], &range), alone);
        range.include(3.0);
        // (−5 + 1) / 2 of [−5, 3], of which it is 3/8.
        let expected = Earned {
            fresh: true,
            mean: -2.0,
            in_range: 0.375,
            range: 8.0,
        };
        assert_eq!(Earned::of(&[-5.0, 1.0], &range), expected);
    }

    #[test]
    fn the_scale_forgets_its_empty_start() {
        let mut scale = Scale::default();
        assert_eq!(scale.moments(), (0.0, 1.0));
        scale.include([2.0, 4.0].into_iter());
        let (mean, deviation) = scale.moments();
        assert!((mean - 3.0).abs() < 1e-6 && (deviation - 1.0).abs() < 1e-5);
    }
}
