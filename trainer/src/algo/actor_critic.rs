//! Policy gradient on the product of marginals over a critic of values: what the losses that differ
//! in nothing but their [`Loss`] have in common.

use candle_core::{Device, Result};
use serde::{Deserialize, Serialize};

use super::actor::{Actor, ActorState};
use super::common::{Measured, Packed, means};
use super::temperature::Temperature;
use super::{Algorithm, Metrics, UpdateConfig, streams};
use crate::env::TeamSpec;
use crate::net::critic::View;
use crate::net::{Marginals, Memory, NetworkConfig};
use crate::rollout::{Actions, Batch, Seen};
use crate::target::{Baseline, BaselineState};

/// What one policy gradient does otherwise than another.
#[derive(Clone, Copy)]
pub(super) struct Loss {
    /// What the critic sees.
    pub(super) view: View,
    /// Whether each agent's likelihood ratio is clipped, not the product's.
    pub(super) by_agent: bool,
}

/// How fast is learned, and under which bonus.
#[derive(Clone, Copy)]
pub(super) struct Rates {
    pub(super) actor: f64,
    pub(super) critic: f64,
    pub(super) temperature: Temperature,
}

/// The learner.
pub(super) struct ActorCritic {
    loss: Loss,
    rates: Rates,
    update: UpdateConfig,
    horizon: usize,
    actor: Actor,
    baseline: Baseline,
    device: Device,
}

/// Everything an [`ActorCritic`] needs to go on.
#[derive(Serialize, Deserialize)]
struct Saved {
    actor: ActorState,
    baseline: BaselineState,
}

impl ActorCritic {
    /// One learner a seed.
    pub(super) fn new(
        loss: Loss,
        rates: Rates,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        Ok(Self {
            loss,
            rates,
            horizon: spec.horizon,
            actor: Actor::new(spec, network, update, seeds, device)?,
            baseline: Baseline::new(
                spec,
                network,
                loss.view,
                update,
                rates.critic,
                &mut streams(seeds, "critic"),
                device,
            )?,
            update: update.clone(),
            device: device.clone(),
        })
    }

    /// One step of Adam; the entropy before it, `[R]`.
    fn step(&mut self, part: &Packed, tau: f64, rate: f64) -> Result<Vec<f64>> {
        let output = self.actor.output(part)?;
        let (by_agent, dimensions) = (self.loss.by_agent, &self.actor.dimensions);
        let tau = vec![tau as f32; part.rows.replicas];
        let (loss, entropy) = part.surrogate(&output, by_agent, dimensions, &tau, &self.update)?;
        self.actor.step(&loss, rate * self.rates.actor)?;
        Ok(means(&[&entropy], &part.weights)?.remove(0))
    }
}

impl Algorithm for ActorCritic {
    fn act(&mut self, seen: &Seen) -> Result<Actions> {
        self.actor.act(seen, self.loss.by_agent)
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let tau = self.rates.temperature.at(time);
        let update = self.update.clone();
        let (targets, of_critic) = self.baseline.targets(batch, &update, self.horizon)?;
        let memory = [self.actor.turn(), Memory::new()];
        let packed = Packed::new(batch, &targets, &self.actor.marginals, memory, &self.device)?;
        let rate = update.rate(time);
        let mut measured = Measured::default();
        let parts = packed.parts(update.minibatches)?;
        for epoch in 0..update.epochs {
            for (range, part) in &parts {
                let entropy = self.step(part, tau, rate)?;
                measured.add(epoch, range.len(), vec![entropy]);
                let (values, weights) = (&part.values, &part.weights);
                self.baseline
                    .learn(&of_critic, range.clone(), values, weights, rate)?;
            }
        }
        let entropy = measured.means().remove(0);
        Ok(Metrics::of_product(&targets, &entropy, tau))
    }

    fn marginals(&self) -> &Marginals {
        &self.actor.marginals
    }

    fn save(&self) -> Result<Vec<u8>> {
        let saved = Saved {
            actor: self.actor.save()?,
            baseline: self.baseline.save()?,
        };
        postcard::to_stdvec(&saved).map_err(candle_core::Error::wrap)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let saved: Saved = postcard::from_bytes(saved).map_err(candle_core::Error::wrap)?;
        self.actor.restore(saved.actor)?;
        self.baseline.restore(saved.baseline)
    }
}
