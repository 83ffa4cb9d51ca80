//! Counterfactual multi-agent policy gradients: each agent's action is judged against what the
//! agent would have got by its own policy while the others did the same.
//!
//! ```text
//! A_i = Q(x, a) − Σ_b π_i(b | h_i) Q(x, (a_−i, b))
//! L   = − E[ Σ_i A_i · log π_i(a_i | h_i) ] − τ · Σ_i H(π_i)
//! L_Q = E[ Σ_i (y − Q(x, a))² ],   y_t = r_t + γ ((1−λ) Q̄(x_{t+1}, a_{t+1}) + λ y_{t+1})
//! ```
//!
//! Foerster et al., *Counterfactual Multi-Agent Policy Gradients*, AAAI 2018, equation 4 and
//! algorithm 1; Q̄ is a target network, a copy of Q that is made anew every so many of Q's steps. The
//! critic learns from a batch first, the policies then. A batch that is used more than once is so
//! under each agent's clipped likelihood ratio, as in `ppo.rs`; in the first step of a
//! batch that ratio is 1 and the gradient is the paper's.
//!
//! The baseline does not depend on a_i, so it changes no expected gradient: COMA climbs where plain
//! policy gradient climbs, with less noise.

mod critic;

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::actor::{Actor, ActorState};
use super::common::{Measured, Packed, means, streams};
use super::temperature::Temperature;
use super::{Algorithm, Metrics, UpdateConfig};
use crate::env::TeamSpec;
use crate::net::{Choices, Marginals, Memory, NetworkConfig};
use crate::returns::Ledger;
use crate::returns::estimates::{advantages, by_column, explained_variance, weights};
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Seen};
use crate::target::Targets;

use critic::{Critic, CriticState, Shown};

/// Settings of a COMA arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComaConfig {
    /// Adam's step size for the marginals.
    pub learning_rate: f64,
    /// Adam's step size for the critic.
    pub critic_learning_rate: f64,
    /// Passes of the critic over a batch, before the policies' own. The paper takes a step of the
    /// critic for every time step of an episode, some sixty a batch.
    pub critic_epochs: usize,
    /// λ of TD(λ).
    pub trace: f64,
    /// Steps of the critic's optimiser between two copies to the target network.
    pub target_interval: u64,
    /// The entropy bonus.
    pub temperature: Temperature,
}

impl Default for ComaConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.005,
            critic_learning_rate: 0.01,
            critic_epochs: 8,
            trace: 0.8,
            target_interval: 150,
            temperature: Temperature::Constant { value: 0.01 },
        }
    }
}

/// The learner.
pub(super) struct Coma {
    config: ComaConfig,
    update: UpdateConfig,
    horizon: usize,
    actor: Actor,
    critic: Critic,
    ledger: Ledger,
    /// Dice for the actions after a batch's last.
    beyond: Vec<Stream>,
    device: Device,
}

/// Everything a [`Coma`] needs to go on.
#[derive(Serialize, Deserialize)]
struct Saved {
    actor: ActorState,
    critic: CriticState,
    ledger: Ledger,
    beyond: Vec<Stream>,
}

impl Coma {
    /// One learner a seed.
    pub(super) fn new(
        config: &ComaConfig,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        Ok(Self {
            horizon: spec.horizon,
            actor: Actor::new(spec, network, update, seeds, device)?,
            critic: Critic::new(config, spec, network, update, seeds, device)?,
            ledger: Ledger::new(update.units, seeds.len()),
            beyond: streams(seeds, "beyond"),
            config: config.clone(),
            update: update.clone(),
            device: device.clone(),
        })
    }

    /// What is done in a batch, its last row included: that is drawn now.
    fn actions(&mut self, batch: &Batch) -> Result<Choices> {
        let beyond = self.actor.beyond(batch)?;
        let beyond = beyond.choose(&mut self.beyond, false)?;
        Ok(Choices::append(
            &batch.actions,
            &beyond,
            batch.rows.replicas,
        ))
    }

    /// TD(λ) targets over the target network, as [`Targets::values`]; `actions`:
    /// `[R, (T+1)·B, N]`.
    fn targets(&mut self, batch: &Batch, shown: &Shown, actions: &Tensor) -> Result<Targets> {
        let taken = self.critic.bootstraps(batch, shown, actions)?;
        let parallel = batch.rows.parallel;
        let samples = shown.rows.samples();
        let agents = self.actor.dimensions.len();
        let factors = [self.update.discount as f32, self.config.trace as f32];
        let mut targets = Targets {
            advantages: Vec::new(),
            values: Vec::new(),
            weights: Vec::new(),
            earned: Vec::new(),
            explained_variance: Vec::new(),
        };
        for (replica, mut values) in taken.into_iter().enumerate() {
            let of = |all: usize| replica * all..(replica + 1) * all;
            let rewards = self.ledger.rewards(batch, replica, self.horizon);
            self.ledger.values(replica, &mut values);
            let valid = &batch.valid[of(samples + parallel)];
            let terminated = &batch.terminated[of(samples)];
            let gains = by_column(&values, agents, |own| {
                advantages(&rewards, &own, terminated, valid, parallel, factors)
            });
            let sums = std::iter::zip(&gains, &values).map(|(gain, value)| gain + value);
            let mut learned: Vec<f32> = sums.collect();
            let valid = &valid[..samples];
            let each = |valid: &bool| std::iter::repeat_n(*valid, agents);
            let counted: Vec<bool> = valid.iter().flat_map(each).collect();
            let explained = explained_variance(&gains, &learned, &counted);
            targets.explained_variance.push(explained);
            self.ledger.targets(replica, &mut learned, &counted);
            targets.values.extend(learned);
            targets.weights.extend(weights(valid));
        }
        // Those are taken once the critic has learned.
        targets.advantages = vec![0.0; targets.values.len()];
        targets.earned = self.ledger.earned().to_vec();
        Ok(targets)
    }

    /// One step of Adam of the policies; the entropy before it, `[R]`.
    fn step(&mut self, part: &Packed, tau: f64, rate: f64) -> Result<Vec<f64>> {
        let output = self.actor.output(part)?;
        let (tau, sizes) = (vec![tau as f32; part.rows.replicas], &self.actor.dimensions);
        let (loss, entropy) = part.surrogate(&output, true, sizes, &tau, &self.update)?;
        self.actor.step(&loss, rate * self.config.learning_rate)?;
        Ok(means(&[&entropy], &part.weights)?.remove(0))
    }
}

impl Algorithm for Coma {
    fn act(&mut self, seen: &Seen) -> Result<Actions> {
        self.actor.act(seen, true)
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let tau = self.config.temperature.at(time);
        let (update, rate) = (self.update.clone(), self.update.rate(time));
        let done = self.actions(batch)?;
        let shown = self.critic.show(batch, &done)?;
        let (replicas, samples) = (batch.rows.replicas, batch.rows.samples());
        let done = done.tensor(replicas, samples, &self.device)?;
        let targets = self.targets(batch, &shown, &done)?;
        let memory = [self.actor.turn(), Memory::new()];
        let mut packed = Packed::new(batch, &targets, &self.actor.marginals, memory, &self.device)?;
        let parts = packed.parts(update.minibatches)?;
        for _ in 0..self.config.critic_epochs {
            for (range, part) in &parts {
                self.critic.learn(&shown, range.clone(), part, rate)?;
            }
        }
        let output = self.actor.output(&packed)?;
        // In the critic's units, as they are: standardised over the batch, the noise of a critic that has seen
        // no reward yet would be as loud as what is learned from rewards, and policies settle on it.
        packed.advantages = self.critic.advantages(&shown, &output, &packed.actions)?;
        let parts = packed.parts(update.minibatches)?;
        let mut measured = Measured::default();
        for epoch in 0..update.epochs {
            for (range, part) in &parts {
                let entropy = self.step(part, tau, rate)?;
                measured.add(epoch, range.len(), vec![entropy]);
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
            critic: self.critic.save()?,
            ledger: self.ledger.clone(),
            beyond: self.beyond.clone(),
        };
        postcard::to_stdvec(&saved).map_err(candle_core::Error::wrap)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let saved: Saved = postcard::from_bytes(saved).map_err(candle_core::Error::wrap)?;
        self.actor.restore(saved.actor)?;
        self.critic.restore(saved.critic)?;
        self.ledger = saved.ledger;
        self.beyond = saved.beyond;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
