//! What the policies are pushed towards: returns in units of the task's range, and advantages
//! over a centralised critic.

use candle_core::{Device, Result, Tensor};
use candle_nn::{AdamW, Optimizer};

use crate::env::TeamSpec;
use crate::net::{Critic, NetworkConfig, adam};
use crate::rng::Stream;
use crate::rollout::Batch;

/// Smallest and largest return seen so far: the unit that makes λ, τ and the critic's targets
/// mean the same in every task, without being told its rewards.
#[derive(Clone, Copy, Debug)]
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

    /// `value` on a scale where the range is [0, 1]; 0 while only one value has been seen.
    pub fn normalise(&self, value: f32) -> f32 {
        let width = self.high - self.low;
        if width > 0.0 {
            (value - self.low) / width
        } else {
            0.0
        }
    }
}

/// Advantages A = u − V(x), with u the return in units of the range seen so far.
pub struct Baseline {
    critic: Critic,
    optimiser: AdamW,
    ranges: Vec<ReturnRange>,
}

/// Per-sample advantages and the mean normalised return of each replica.
pub struct Advantages {
    /// `[R, S]`, constant.
    pub advantages: Tensor,
    /// Mean of u over each replica's samples, `[R]`.
    pub mean_return: Vec<f64>,
}

impl Baseline {
    /// One critic a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        learning_rate: f64,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let critic = Critic::new(spec, network, streams, device)?;
        Ok(Self {
            optimiser: adam(critic.variables(), learning_rate)?,
            ranges: vec![ReturnRange::default(); streams.len()],
            critic,
        })
    }

    /// Advantages of the batch; then moves the critic towards its returns.
    pub fn advantages(&mut self, batch: &Batch) -> Result<Advantages> {
        let samples = batch.returns.len() / self.ranges.len();
        let mut targets = Vec::with_capacity(batch.returns.len());
        let mut mean_return = Vec::with_capacity(self.ranges.len());
        for (range, returns) in self
            .ranges
            .iter_mut()
            .zip(batch.returns.chunks_exact(samples))
        {
            returns.iter().for_each(|&value| range.include(value));
            let start = targets.len();
            targets.extend(returns.iter().map(|&value| range.normalise(value)));
            let sum: f64 = targets[start..].iter().map(|&u| f64::from(u)).sum();
            mean_return.push(sum / samples as f64);
        }
        let joint = &batch.observations.joint;
        let targets = Tensor::from_vec(targets, (self.ranges.len(), samples), joint.device())?;
        let error = (targets - self.critic.forward(joint)?)?;
        let advantages = error.detach();
        // Mean over samples, sum over replicas: no replica's step depends on how many there are.
        let loss = (error.sqr()?.sum_all()? / samples as f64)?;
        self.optimiser.backward_step(&loss)?;
        Ok(Advantages {
            advantages,
            mean_return,
        })
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
}
