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
use candle_nn::{AdamW, Optimizer};
use serde::{Deserialize, Serialize};

use super::{Algorithm, Metrics, means, product_entropy, product_log_prob, sample_product};
use crate::env::TeamSpec;
use crate::net::{Marginals, NetworkConfig, adam};
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Observations};
use crate::target::Baseline;

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
    agents: usize,
    marginals: Marginals,
    optimiser: AdamW,
    baseline: Baseline,
    streams: Vec<Stream>,
}

impl Factored {
    /// One learner a seed.
    pub fn new(
        config: &FactoredConfig,
        spec: &TeamSpec,
        network: &NetworkConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let streams = |name| super::streams(seeds, name);
        let marginals = Marginals::new(spec, network, &mut streams("marginals"), device)?;
        Ok(Self {
            agents: spec.agents.len(),
            optimiser: adam(marginals.variables(), config.learning_rate)?,
            marginals,
            baseline: Baseline::new(
                spec,
                network,
                config.critic_learning_rate,
                &mut streams("critic"),
                device,
            )?,
            streams: streams("actions"),
            config: config.clone(),
        })
    }
}

impl Algorithm for Factored {
    fn act(&mut self, observations: &Observations) -> Result<Actions> {
        let output = self.marginals.forward(&observations.own)?;
        let (replicas, samples, _) = output.log_probs.dims3()?;
        let mut actions = vec![0; replicas * samples * self.agents];
        let everywhere = vec![true; replicas * samples];
        sample_product(&output, &everywhere, &mut self.streams, &mut actions)?;
        Ok(Actions {
            actions,
            from_joint: vec![false; replicas * samples],
        })
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let tau = self.config.temperature.at(time);
        let targets = self.baseline.advantages(batch)?;
        let output = self.marginals.forward(&batch.observations.own)?;
        let log_prob = product_log_prob(&output, &batch.actions.actions, self.agents)?;
        let entropy = product_entropy(&output)?;
        let gain = ((targets.advantages * log_prob)? + (&entropy * tau)?)?;
        let samples = gain.dim(1)?;
        let loss = (gain.sum_all()? / -(samples as f64))?;
        self.optimiser.backward_step(&loss)?;

        let measured = means(&[&entropy])?;
        Ok((targets.mean_return.iter().zip(&measured[0]))
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

    fn joint_probs(&self, _: &Tensor) -> Option<Result<Tensor>> {
        None
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
