//! Vanilla policy gradient on a factored policy, with an optional annealed entropy bonus.
//!
//! ```text
//! L = − E[ A · Σ_i log π_i(a_i | o_i) ] − τ · Σ_i H(π_i)
//! ```
//!
//! Williams 1992 (REINFORCE) on the product of marginals, with a centralised critic as the
//! baseline; the proposal's "vanilla policy gradient". It is what the method is held against, what
//! most arms of its portfolio run, and what the method itself becomes at the end of its ramp.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::common::{Packed, clipped_gain, loaded_memory, means, saved_memory};
use super::{
    Algorithm, Metrics, PlayMemory, SECOND_MOMENT_DECAY, UpdateConfig, set_values, streams,
    values_of,
};
use crate::env::TeamSpec;
use crate::net::fused::{Adam, AdamConfig, AdamState};
use crate::net::{Choices, Marginals, Memory, NetworkConfig, Rows};
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Seen};
use crate::target::{Baseline, BaselineState};

/// How the entropy bonus fades. Times are fractions of the arm's updates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Temperature {
    /// No bonus: plain policy gradient.
    None,
    /// From `start` geometrically to `end` at time `until`, then none.
    Geometric {
        /// τ at time 0.
        start: f64,
        /// τ at `until`.
        end: f64,
        /// When the bonus ends.
        until: f64,
    },
    /// `start` until `hold`, then linearly to none at `until`.
    Linear {
        /// τ at time 0.
        start: f64,
        /// How long τ stays there.
        hold: f64,
        /// When the bonus ends.
        until: f64,
    },
}

impl Temperature {
    /// τ at `time`.
    pub fn at(&self, time: f64) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::Geometric { start, end, until } if time < until => {
                start * (end / start).powf(time / until)
            }
            Self::Linear { start, hold, until } if time < until => {
                start * ((until - time) / (until - hold)).min(1.0)
            }
            Self::Geometric { .. } | Self::Linear { .. } => 0.0,
        }
    }
}

/// Settings of a factored arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FactoredConfig {
    /// Adam's step size for the marginals.
    pub learning_rate: f64,
    /// Adam's step size for the critic.
    pub critic_learning_rate: f64,
    /// The entropy bonus.
    pub temperature: Temperature,
}

impl Default for FactoredConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.005,
            critic_learning_rate: 0.01,
            temperature: Temperature::None,
        }
    }
}

/// The learner.
pub struct Factored {
    config: FactoredConfig,
    update: UpdateConfig,
    horizon: usize,
    marginals: Marginals,
    optimiser: Adam,
    baseline: Baseline,
    streams: Vec<Stream>,
    /// What the marginals remember now, and did when the batch began.
    memory: Memory,
    start: Memory,
    device: Device,
}

/// Everything a [`Factored`] needs to go on.
#[derive(Serialize, Deserialize)]
struct Saved {
    marginals: Vec<Vec<f32>>,
    adam: AdamState,
    baseline: BaselineState,
    streams: Vec<Stream>,
    memory: Vec<(Vec<f32>, Vec<usize>)>,
}

impl Factored {
    /// One learner a seed.
    pub fn new(
        config: &FactoredConfig,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let named = |name| streams(seeds, name);
        let marginals = Marginals::new(spec, network, &mut named("marginals"), device)?;
        let adam = AdamConfig {
            learning_rate: config.learning_rate,
            beta_2: SECOND_MOMENT_DECAY,
            max_norm: update.max_norm(),
            ..AdamConfig::default()
        };
        Ok(Self {
            horizon: spec.horizon,
            optimiser: Adam::new(marginals.variables(), seeds.len(), adam)?,
            marginals,
            baseline: Baseline::new(
                spec,
                network,
                update,
                config.critic_learning_rate,
                &mut named("critic"),
                device,
            )?,
            streams: named("actions"),
            memory: Memory::new(),
            start: Memory::new(),
            config: config.clone(),
            update: update.clone(),
            device: device.clone(),
        })
    }

    /// One step of Adam; the entropy before it, `[R]`.
    fn step(&mut self, part: &Packed, tau: f64) -> Result<Vec<f64>> {
        let features = self
            .marginals
            .features(&part.own, &part.rows, &part.memory[0])?;
        let forbidden = part.forbidden.as_ref();
        let output = self.marginals.output(&features, &part.rows, forbidden)?;
        let log_prob = output.log_prob(&part.actions)?;
        let entropy = output.entropy()?;
        let gain = clipped_gain(&log_prob, &part.log_prob, &part.advantages, &self.update)?;
        let gain = (gain + (&entropy * tau)?)?;
        // Mean over samples, sum over replicas: no replica's step depends on how many there are.
        let loss = (gain * &part.weights)?.sum_all()?.neg()?;
        self.optimiser.step(&loss.backward()?)?;
        Ok(means(&[&entropy], &part.weights)?.remove(0))
    }
}

impl Algorithm for Factored {
    fn act(&mut self, seen: &Seen<'_>) -> Result<Actions> {
        let rows = &seen.rows;
        let (replicas, samples) = (rows.replicas, rows.samples());
        let own = self.marginals.pack(&seen.joint, rows, &self.device)?;
        let features = self.marginals.features(&own, rows, &self.memory)?;
        self.memory = self.marginals.memory(&features, rows)?;
        let shaped = |values: &[f32]| {
            let shape = (replicas, samples, values.len() / (replicas * samples));
            Tensor::from_slice(values, shape, &self.device)
        };
        let forbidden = seen.forbidden.as_deref().map(shaped).transpose()?;
        let output = self.marginals.output(&features, rows, forbidden.as_ref())?;
        let taken = output.choose(&mut self.streams, false)?;
        let actions = taken.tensor(replicas, samples, &self.device)?;
        Ok(Actions {
            log_prob: output.log_prob(&actions)?.flatten_all()?.to_vec1()?,
            taken,
            drawn: None,
        })
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let tau = self.config.temperature.at(time);
        let update = self.update.clone();
        let (targets, of_critic) = self.baseline.targets(batch, &update, self.horizon)?;
        let memory = [std::mem::take(&mut self.start), Memory::new()];
        let packed = Packed::new(batch, &targets, &self.marginals, memory, &self.device)?;
        let rate = update.rate(time);
        self.optimiser
            .set_learning_rate(self.config.learning_rate * rate);
        let mut entropy = None;
        let parts = packed.parts(update.minibatches)?;
        for _ in 0..update.epochs {
            for (range, part) in &parts {
                let measured = self.step(part, tau)?;
                entropy.get_or_insert(measured);
                let (values, weights) = (&part.values, &part.weights);
                self.baseline
                    .learn(&of_critic, range.clone(), values, weights, rate)?;
            }
        }
        self.start.clone_from(&self.memory);
        let entropy = entropy.expect("at least one step");
        Ok((targets.mean_return.iter().zip(&entropy))
            .map(|(&batch_return, &product_entropy)| Metrics {
                beta: 1.0,
                tau,
                product_entropy,
                batch_return,
                ..Metrics::default()
            })
            .collect())
    }

    fn marginals(&self) -> &Marginals {
        &self.marginals
    }

    fn play_joint(&self, _: &Seen<'_>, _: &mut PlayMemory, _: bool) -> Option<Result<Choices>> {
        None
    }

    fn joint_probs(&self, _: &Tensor, _: &Rows) -> Option<Result<Tensor>> {
        None
    }

    fn save(&self) -> Result<Vec<u8>> {
        let saved = Saved {
            marginals: values_of(&self.marginals.variables())?,
            adam: self.optimiser.state()?,
            baseline: self.baseline.save()?,
            streams: self.streams.clone(),
            memory: saved_memory(&self.memory)?,
        };
        postcard::to_stdvec(&saved).map_err(candle_core::Error::wrap)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let saved: Saved = postcard::from_bytes(saved).map_err(candle_core::Error::wrap)?;
        set_values(&self.marginals.variables(), &saved.marginals)?;
        self.optimiser.restore(&saved.adam)?;
        self.baseline.restore(saved.baseline)?;
        self.streams = saved.streams;
        self.memory = loaded_memory(saved.memory, &self.device)?;
        self.start.clone_from(&self.memory);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_have_the_shapes_they_are_called_after() {
        let geometric = Temperature::Geometric {
            start: 0.5,
            end: 0.005,
            until: 0.8,
        };
        // Half way to `until`, half way in the exponent: √(.5 · .005) = .05.
        assert!((geometric.at(0.4) - 0.05).abs() < 1e-12);
        assert_eq!((geometric.at(0.0), geometric.at(0.8)), (0.5, 0.0));
        let linear = Temperature::Linear {
            start: 0.1,
            hold: 0.2,
            until: 0.8,
        };
        assert_eq!(
            (linear.at(0.1), linear.at(0.2), linear.at(0.9)),
            (0.1, 0.1, 0.0)
        );
        assert!((linear.at(0.5) - 0.05).abs() < 1e-12);
        assert_eq!(Temperature::None.at(0.0), 0.0);
    }
}
