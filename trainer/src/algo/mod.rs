//! Learning rules: one file a loss. An algorithm sees batches and returns metrics; only the
//! train loop reads or writes anything outside.

mod actor;
mod actor_critic;
pub mod anneal;
pub mod coma;
mod common;
mod duo;
pub mod explore;
pub mod factored;
pub mod fit;
mod mackrl;
pub mod maddpg;
pub mod magpo;
pub mod off_policy;
mod ppo;
pub mod qtran;
pub mod replay;
mod reward_scale;
mod sample;
pub mod temperature;
#[cfg(test)]
mod testing;
pub mod value;

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use actor_critic::{ActorCritic, Loss};
use anneal::{AnnealConfig, Annealed, Variant};
use coma::{Coma, ComaConfig};
use factored::FactoredConfig;
use mackrl::Mackrl;
use maddpg::MaddpgConfig;
use magpo::{Magpo, MagpoConfig};
use off_policy::Making;
use qtran::QtranConfig;
use value::{Mixing, ValueConfig};

use crate::env::TeamSpec;
use crate::net::critic::View;
use crate::net::{Choices, Marginals, NetworkConfig};
use crate::returns::Units;
use crate::rollout::{Actions, Batch, Seen};
use crate::target::Targets;

pub(crate) use common::{
    HostTensor, columns, loaded_memory, part_of_memory, saved_memory, set_values, streams,
    values_of,
};

/// A learner of R replicas side by side.
pub trait Algorithm: Send {
    /// Draws joint actions from the exploring policy, which remembers what it has seen.
    fn act(&mut self, seen: &Seen) -> Result<Actions>;

    /// Learns from a batch. `time` is the fraction of the updates already done, in [0, 1), or 1
    /// where an arm goes on after them. Returns one entry a replica.
    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>>;

    /// The marginal policies as they stand: what would leave the workstation now.
    fn marginals(&self) -> &Marginals;

    /// A joint policy to play episodes with, where there is one that acts otherwise than the
    /// product: fresh memory, no learning.
    fn play_joint(
        &self,
        seen: &Seen,
        memory: &mut PlayMemory,
        greedy: bool,
    ) -> Option<Result<Choices>> {
        let _ = (seen, memory, greedy);
        None
    }

    /// The joint policy over an enumerable joint action set, where there is one: what is seen
    /// without a past → probabilities `[R, S, K]`.
    fn joint_probs(&self, seen: &Seen) -> Option<Result<Tensor>> {
        let _ = seen;
        None
    }

    /// What joint actions are worth as it has learned it, in a task of one step that has no state of
    /// its own: what is seen → values of every joint action there. None of a learner that learns no
    /// such thing. A diagnostic for reports: nothing learns from it.
    fn joint_values(&self, seen: &Seen) -> Option<Result<JointValues>> {
        let _ = seen;
        None
    }

    /// Whether it must be told what is common knowledge.
    fn asks_common_knowledge(&self) -> bool {
        false
    }

    /// Everything needed to go on from here, bit for bit.
    fn save(&self) -> Result<Vec<u8>>;

    /// Goes on from there.
    ///
    /// # Errors
    /// When another kind of learner saved it.
    fn restore(&mut self, saved: &[u8]) -> Result<()>;
}

/// What a learner thinks that joint actions are worth, in units of rewards. `[R, S·K]`: the K joint
/// actions in every row one after the other, the last agent's number changing fastest.
pub struct JointValues {
    /// The team's value, as it is learned from what was paid.
    pub team: Tensor,
    /// What it is taken for by agents that maximise their own values: the same, but for QTRAN the sum
    /// of theirs and what that misses, Q' + V.
    pub apart: Tensor,
}

/// Adam's β₂: it forgets gradients of more than some 100 updates ago, because the losses here
/// change while they are being followed.
pub(crate) const SECOND_MOMENT_DECAY: f64 = 0.99;

/// What policies remember while they are played.
#[derive(Default)]
pub struct PlayMemory {
    /// Of the marginals and of the joint policy.
    pub(crate) parts: [Vec<Tensor>; 2],
    /// Dice for the joint policy, one a replica.
    pub(crate) streams: Vec<crate::rng::Stream>,
}

impl PlayMemory {
    /// Nothing remembered; dice from `streams`, one a replica.
    pub fn new(streams: Vec<crate::rng::Stream>) -> Self {
        Self {
            parts: Default::default(),
            streams,
        }
    }
}

/// How every learner turns a batch into steps of Adam (Schulman et al. 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateConfig {
    /// Passes over a batch.
    pub epochs: usize,
    /// Parts of a batch, cut along parallel episodes: a step of Adam each.
    pub minibatches: usize,
    /// How far the likelihood ratio may leave 1 before it stops counting.
    pub clip: f64,
    /// γ, a step.
    pub discount: f64,
    /// λ of generalised advantage estimation.
    pub trace: f64,
    /// What one unit of advantage is.
    pub units: Units,
    /// Largest norm of one replica's gradient; 0: no limit.
    pub max_gradient_norm: f64,
    /// Share of the learning rates that is left at the end; they fall linearly.
    pub final_rate: f64,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            epochs: 1,
            minibatches: 1,
            clip: 0.2,
            discount: 1.0,
            trace: 1.0,
            units: Units::Range,
            max_gradient_norm: 0.0,
            final_rate: 1.0,
        }
    }
}

impl UpdateConfig {
    /// Several passes over a batch of many steps, under a clipped ratio.
    pub(crate) fn clipped() -> Self {
        Self {
            epochs: 4,
            trace: 0.95,
            units: Units::Deviation,
            max_gradient_norm: 1.0,
            final_rate: 0.1,
            ..Self::default()
        }
    }

    /// The limit, if there is one.
    pub(crate) fn max_norm(&self) -> Option<f64> {
        (self.max_gradient_norm > 0.0).then_some(self.max_gradient_norm)
    }

    /// Share of the learning rates at `time`.
    pub(crate) fn rate(&self, time: f64) -> f64 {
        1.0 - (1.0 - self.final_rate) * time
    }
}

/// What one update measured on one replica. Divergences and entropies are in nats, averaged
/// over the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Share β of the product in the acting mixture.
    pub beta: f64,
    /// Weight λ of the divergence.
    pub lambda: f64,
    /// Entropy temperature τ.
    pub tau: f64,
    /// Total correlation of the joint policy.
    pub total_correlation: f64,
    /// Information gap between the joint policy and the marginals.
    pub information_gap: f64,
    /// By how much better the joint policy's actions were than the product's, in units of the advantage,
    /// where the fit can follow it and both act.
    pub lead: f64,
    /// Entropy of the joint policy.
    pub joint_entropy: f64,
    /// Entropy of the product of marginals.
    pub product_entropy: f64,
    /// ε: chance that an agent's action has nothing to do with its values.
    pub epsilon: f64,
    /// 1 − Var(A) / Var(A + V): how much of the λ-returns' variance the critics explained; 0 of learners without such critics.
    pub explained_variance: f64,
    /// Mean squared error of the value that an off-policy learner has learned.
    pub value_error: f64,
    /// Mean value of what was done, as it has learned it.
    pub value: f64,
    /// Mean return of the episodes that ended, in units of the return range.
    pub batch_return: f64,
}

impl Metrics {
    /// Of a learner that has no joint policy: an entry a replica.
    fn of_product(targets: &Targets, entropies: &[f64], tau: f64) -> Vec<Self> {
        let of = |(replica, &product_entropy): (usize, &f64)| Self {
            beta: 1.0,
            tau,
            product_entropy,
            explained_variance: targets.explained_variance[replica],
            batch_return: targets.earned[replica].in_range,
            ..Self::default()
        };
        entropies.iter().enumerate().map(of).collect()
    }
}

/// An arm with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum ArmKind {
    /// The annealed loss or an ablation of it.
    Annealed(Variant, AnnealConfig),
    /// Factored policy gradient.
    Factored(FactoredConfig),
    /// Proximal policy optimisation of every agent by itself, over a critic with this view.
    Ppo(View, FactoredConfig),
    /// Counterfactual multi-agent policy gradients.
    Coma(ComaConfig),
    /// Multi-agent guided policy optimisation.
    Magpo(MagpoConfig),
    /// Pairwise common knowledge reinforcement learning.
    Mackrl(FactoredConfig),
    /// Values of agents, mixed into the team's: IQL, VDN, QMIX.
    Value(Mixing, ValueConfig),
    /// Values that add up to the team's where it counts.
    Qtran(ValueConfig, QtranConfig),
    /// Deterministic policies under a critic of joint actions.
    Maddpg(MaddpgConfig),
}

impl ArmKind {
    /// A learner of this kind for every seed.
    pub fn make(
        &self,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Box<dyn Algorithm>> {
        let gradient = |loss: Loss, config: &FactoredConfig| -> Result<Box<dyn Algorithm>> {
            let rates = config.rates();
            let learner = ActorCritic::new(loss, rates, spec, network, update, seeds, device)?;
            Ok(Box::new(learner))
        };
        let making = Making {
            spec,
            network,
            update,
            seeds,
            device,
        };
        Ok(match self {
            Self::Annealed(variant, config) => Box::new(Annealed::new(
                config, *variant, spec, network, update, seeds, device,
            )?),
            Self::Factored(config) => gradient(factored::LOSS, config)?,
            Self::Ppo(view, config) => gradient(ppo::loss(*view), config)?,
            Self::Coma(config) => {
                Box::new(Coma::new(config, spec, network, update, seeds, device)?)
            }
            Self::Magpo(config) => {
                Box::new(Magpo::new(config, spec, network, update, seeds, device)?)
            }
            Self::Mackrl(config) => {
                Box::new(Mackrl::new(config, spec, network, update, seeds, device)?)
            }
            Self::Value(mixing, config) => value::make(*mixing, config, &making)?,
            Self::Qtran(value, config) => qtran::make(value, config, &making)?,
            Self::Maddpg(config) => maddpg::make(config, &making)?,
        })
    }
}

#[cfg(test)]
mod tests;
