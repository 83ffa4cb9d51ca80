//! What the policies are pushed towards: advantages over a centralised critic.
//!
//! Generalised advantage estimation (Schulman et al. 2016), with V the critic's value:
//!
//! ```text
//! δ_t = r_t + γ V_{t+1} − V_t         V_{t+1} = 0 where the step terminated the episode
//! A_t = δ_t + γλ A_{t+1}              A_{t+1} = 0 where the episode ended either way
//! ```
//!
//! [`Units`] say in which units the losses meet advantages, so that λ, τ and the critic's targets
//! mean the same in every task of a kind without being told its rewards.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::algo::{SECOND_MOMENT_DECAY, UpdateConfig};
use crate::env::TeamSpec;
use crate::net::critic::with_state;
use crate::net::fused::{Adam, AdamConfig, AdamState};
use crate::net::{Critic, NetworkConfig, Rows};
use crate::rng::Stream;
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

/// What a batch teaches, `[R, T·B]` each.
pub struct Targets {
    /// Advantages in the learner's units; 0 where nobody acted.
    pub advantages: Vec<f32>,
    /// What the critic should have said, in its own units.
    pub values: Vec<f32>,
    /// 1/(rows in which somebody acted), 0 where nobody did.
    pub weights: Vec<f32>,
    /// Mean return of the episodes that ended lately, in units of the range, `[R]`.
    pub mean_return: Vec<f64>,
}

/// The critic of every replica, and what it takes to learn from it.
pub struct Baseline {
    critic: Critic,
    optimiser: Adam,
    learning_rate: f64,
    inputs: usize,
    sees_state: bool,
    state: State,
    device: Device,
}

/// What changes from batch to batch beside the networks.
#[derive(Clone, Serialize, Deserialize)]
struct State {
    ranges: Vec<ReturnRange>,
    scales: Vec<Scale>,
    mean_return: Vec<f64>,
    /// What the critic remembers of the rows before the next batch, `[R, B, H]`.
    memory: Option<(Vec<f32>, (usize, usize, usize))>,
}

/// Everything a [`Baseline`] needs to go on.
#[derive(Serialize, Deserialize)]
pub struct BaselineState {
    variables: Vec<Vec<f32>>,
    adam: AdamState,
    state: State,
}

/// What the critic learns from: rows, cut into parts along the parallel sequences.
pub struct CriticBatch {
    seen: Tensor,
    rows: Rows,
    memory: Option<Tensor>,
}

impl Baseline {
    /// One critic a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        learning_rate: f64,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let replicas = streams.len();
        let critic = Critic::new(spec, network, streams, device)?;
        let config = AdamConfig {
            learning_rate,
            beta_2: SECOND_MOMENT_DECAY,
            max_norm: update.max_norm(),
            ..AdamConfig::default()
        };
        Ok(Self {
            optimiser: Adam::new(critic.variables(), replicas, config)?,
            learning_rate,
            inputs: Critic::inputs(spec, network),
            sees_state: network.critic_sees_state && spec.state > 0,
            critic,
            state: State {
                ranges: vec![ReturnRange::default(); replicas],
                scales: vec![Scale::default(); replicas],
                mean_return: vec![0.0; replicas],
                memory: None,
            },
            device: device.clone(),
        })
    }

    /// What the critic sees of a batch.
    fn seen(&self, batch: &Batch) -> Result<Tensor> {
        let rows = batch.rows.replicas * batch.rows.samples();
        let seen = match self.sees_state {
            true => with_state(&batch.joint, &batch.state, rows),
            false => batch.joint.clone(),
        };
        let shape = (batch.rows.replicas, batch.rows.samples(), self.inputs);
        Tensor::from_vec(seen, shape, &self.device)
    }

    /// Values the batch, and says what it teaches. What is returned beside lets the critic
    /// [`learn`](Self::learn).
    pub fn targets(
        &mut self,
        batch: &Batch,
        update: &UpdateConfig,
        horizon: usize,
    ) -> Result<(Targets, CriticBatch)> {
        let (replicas, parallel) = (batch.rows.replicas, batch.rows.parallel);
        let time = batch.rows.time - 1;
        let samples = time * parallel;
        let seen = self.seen(batch)?;
        let memory = match &self.state.memory {
            Some((memory, shape)) if batch.rows.continues() => {
                Some(Tensor::from_slice(memory, *shape, &self.device)?)
            }
            _ => None,
        };
        // No one asks for the last row's value where every episode ended before it.
        let before_last = |r: usize| r * samples + (time - 1) * parallel..(r + 1) * samples;
        let all_ended = (0..replicas).all(|r| batch.terminated[before_last(r)].iter().all(|&t| t));
        let valued = if all_ended { time } else { time + 1 };
        let acted = batch.rows.until(time);
        let seen_acted = seen.narrow(1, 0, samples)?.contiguous()?;
        let (values, features) = match valued == time {
            true => self.critic.forward(&seen_acted, &acted, memory.as_ref())?,
            false => self.critic.forward(&seen, &batch.rows, memory.as_ref())?,
        };
        self.state.memory = match self.critic.memory(&features, &acted)? {
            Some(memory) => Some((memory.flatten_all()?.to_vec1()?, memory.dims3()?)),
            None => None,
        };
        let mut values: Vec<Vec<f32>> = values.to_vec2()?;

        let mut targets = Targets {
            advantages: Vec::with_capacity(replicas * samples),
            values: Vec::with_capacity(replicas * samples),
            weights: Vec::with_capacity(replicas * samples),
            mean_return: Vec::new(),
        };
        for (replica, values) in values.iter_mut().enumerate() {
            let of = |all: usize| replica * all..(replica + 1) * all;
            values.resize(samples + parallel, 0.0);
            let range = &mut self.state.ranges[replica];
            let returns = &batch.returns[replica];
            returns.iter().for_each(|&value| range.include(value));
            if !returns.is_empty() {
                let sum: f64 = returns.iter().map(|&u| f64::from(range.normalise(u))).sum();
                self.state.mean_return[replica] = sum / returns.len() as f64;
            }
            let mut rewards = batch.rewards[of(samples)].to_vec();
            let scale = &mut self.state.scales[replica];
            match update.units {
                Units::Range => {
                    let (low, width) = (range.low / horizon as f32, range.width());
                    let unit = |r: &mut f32| *r = width.map_or(0.0, |width| (*r - low) / width);
                    rewards.iter_mut().for_each(unit);
                }
                Units::Deviation => {
                    let (mean, deviation) = scale.moments();
                    let unit = |v: &mut f32| *v = *v * deviation + mean;
                    values.iter_mut().for_each(unit);
                }
            }
            let valid = &batch.valid[of(samples + parallel)];
            let terminated = &batch.terminated[of(samples)];
            let mut advantages = advantages(
                &rewards,
                values,
                terminated,
                valid,
                parallel,
                [update.discount as f32, update.trace as f32],
            );
            let valid = &valid[..samples];
            let count = valid.iter().filter(|&&valid| valid).count().max(1) as f32;
            let mut learned: Vec<f32> = std::iter::zip(&advantages, &*values)
                .map(|(advantage, value)| advantage + value)
                .collect();
            if update.units == Units::Deviation {
                let acted = std::iter::zip(&learned, valid).filter(|(_, valid)| **valid);
                scale.include(acted.map(|(&target, _)| target));
                let (mean, deviation) = scale.moments();
                let unit = |v: &mut f32| *v = (*v - mean) / deviation;
                learned.iter_mut().for_each(unit);
                standardise(&mut advantages, valid);
            }
            targets.advantages.extend(advantages);
            targets.values.extend(learned);
            let weight = |&valid: &bool| if valid { 1.0 / count } else { 0.0 };
            targets.weights.extend(valid.iter().map(weight));
        }
        targets.mean_return.clone_from(&self.state.mean_return);
        let batch = CriticBatch {
            seen: seen_acted,
            rows: acted,
            memory,
        };
        Ok((targets, batch))
    }

    /// One step of Adam towards the targets, on the sequences `columns`; `values` and `weights`:
    /// `[R, T·columns]`.
    pub fn learn(
        &mut self,
        batch: &CriticBatch,
        columns: std::ops::Range<usize>,
        values: &Tensor,
        weights: &Tensor,
        rate: f64,
    ) -> Result<()> {
        let rows = batch.rows.columns(columns.clone());
        let seen = crate::algo::columns(&batch.seen, &batch.rows, columns.clone())?;
        let memory = match &batch.memory {
            Some(memory) => Some(
                memory
                    .narrow(1, columns.start, columns.len())?
                    .contiguous()?,
            ),
            None => None,
        };
        let (said, _) = self.critic.forward(&seen, &rows, memory.as_ref())?;
        let error = (values - said)?;
        // Mean over samples, sum over replicas: no replica's step depends on how many there are.
        let loss = (error.sqr()? * weights)?.sum_all()?;
        self.optimiser.set_learning_rate(self.learning_rate * rate);
        self.optimiser.step(&loss.backward()?)?;
        Ok(())
    }

    /// Everything needed to go on from here.
    pub fn save(&self) -> Result<BaselineState> {
        Ok(BaselineState {
            variables: crate::algo::values_of(&self.critic.variables())?,
            adam: self.optimiser.state()?,
            state: self.state.clone(),
        })
    }

    /// Goes on from there.
    pub fn restore(&mut self, saved: BaselineState) -> Result<()> {
        crate::algo::set_values(&self.critic.variables(), &saved.variables)?;
        self.optimiser.restore(&saved.adam)?;
        self.state = saved.state;
        Ok(())
    }
}

/// Generalised advantages of one replica's rows, `[T·B]`; 0 where nobody acted. `values` and
/// `valid`: `[(T+1)·B]`; `[gamma, lambda]`.
fn advantages(
    rewards: &[f32],
    values: &[f32],
    terminated: &[bool],
    valid: &[bool],
    parallel: usize,
    [gamma, lambda]: [f32; 2],
) -> Vec<f32> {
    let mut advantages = vec![0.0_f32; rewards.len()];
    for row in (0..rewards.len()).rev() {
        if !valid[row] {
            continue;
        }
        let next = row + parallel;
        advantages[row] = if terminated[row] {
            rewards[row] - values[row]
        } else {
            let goes_on = next < rewards.len() && valid[next];
            let later = if goes_on { advantages[next] } else { 0.0 };
            rewards[row] + gamma * values[next] - values[row] + gamma * lambda * later
        };
    }
    advantages
}

/// Shifts and scales the valid ones to mean 0 and deviation 1.
fn standardise(advantages: &mut [f32], valid: &[bool]) {
    let of_valid = || std::iter::zip(&*advantages, valid).filter(|(_, valid)| **valid);
    let count = of_valid().count().max(1) as f64;
    let mean = of_valid().map(|(&a, _)| f64::from(a)).sum::<f64>() / count;
    let variance = of_valid()
        .map(|(&a, _)| (f64::from(a) - mean).powi(2))
        .sum::<f64>()
        / count;
    let deviation = variance.sqrt() + LEAST_DEVIATION;
    for (advantage, &valid) in advantages.iter_mut().zip(valid) {
        if valid {
            *advantage = ((f64::from(*advantage) - mean) / deviation) as f32;
        }
    }
}

/// Where all advantages are alike, rounding errors must not become signals.
const LEAST_DEVIATION: f64 = 1e-5;

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
    fn advantages_by_hand_through_both_kinds_of_end() {
        // One sequence, γ = .5, λ = .5. Rows: 0 goes on, 1 terminates, 2 goes on and is truncated
        // after, 3 shows its last observation, 4 goes on beyond the batch; 5 is only valued.
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rewards = [1.0, 1.0, 1.0, 0.0, 1.0];
        let terminated = [false, true, false, false, false];
        let valid = [true, true, true, false, true, true];
        let found = advantages(&rewards, &values, &terminated, &valid, 1, [0.5, 0.5]);
        // A_4 = 1 + .5·6 − 5 = −1. Nobody acts in 3. A_2 = 1 + .5·4 − 3 = 0. A_1 = 1 − 2 = −1.
        // A_0 = 1 + .5·2 − 1 + .25·(−1) = .75.
        assert_eq!(found, [0.75, -1.0, 0.0, 0.0, -1.0]);
    }

    #[test]
    fn parallel_sequences_do_not_mix() {
        // Two sequences of two steps; γ = λ = 1, all values 0: advantages are rewards to come.
        let rewards = [1.0, 10.0, 2.0, 20.0];
        let found = advantages(&rewards, &[0.0; 6], &[false; 4], &[true; 6], 2, [1.0, 1.0]);
        assert_eq!(found, [3.0, 30.0, 2.0, 20.0]);
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
