//! Multi-agent guided policy optimisation: an autoregressive *guider* acts and learns; every agent's
//! own policy, the *learner*, imitates it, and holds it to what can be imitated.
//!
//! ```text
//! μ(a | x) = ∏ μ_i(a_i | x, a_<i) acts;   ρ_i = μ_i / μ_i when acting;   r_i = μ_i / stop(π_i)
//! guider:  L = − E[ Σ_i min(ρ_i A, clip(clip(r_i, 1/δ, δ) · ρ_i / r_i, 1 ± ε) A) ]
//!              + E[ Σ_i m_i KL(μ_i ‖ stop(π_i)) ] − τ Σ_i H(μ_i),      m_i = 1 where r_i ∉ [1/δ, δ]
//! learner: L = E[ Σ_i KL(stop(μ_i) ‖ π_i) ] − α E[ Σ_i min(σ_i A, clip(σ_i, 1 ± ε) A) ],
//!              σ_i = π_i / μ_i when acting
//! ```
//!
//! Li, Xie & Lu, *Multi-Agent Guided Policy Optimization*, arXiv 2507.18059, by its published
//! program (github.com/liyheng/MAGPO): within the ratio δ the guider is free, at its bounds the
//! clipped gain no longer pulls and the divergence brings it back. Divergences are those of each
//! agent's conditional along the joint action taken.

use candle_core::{DType, Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::common::{Measured, Packed, clipped_gain, means};
use super::duo::{Considered, Duo, DuoState};
use super::temperature::Temperature;
use super::{Algorithm, Metrics, PlayMemory, UpdateConfig, streams};
use crate::env::{JointSpace, TeamSpec};
use crate::net::critic::View;
use crate::net::joint::{AUTO_ENUMERATION, HeadChoice, Sees, TrunkChoice};
use crate::net::{Choices, Features, JointConfig, MarginalOutput, Marginals, NetworkConfig};
use crate::returns::Earned;
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Seen};
use crate::target::{Baseline, BaselineState};

/// Settings of a MAGPO arm; δ and α are those of the published program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MagpoConfig {
    /// Adam's step size for guider and learner.
    pub learning_rate: f64,
    /// Adam's step size for the critic.
    pub critic_learning_rate: f64,
    /// δ: how far the guider's likelihood of an action may be from the learner's, as a ratio.
    pub ratio: f64,
    /// α: weight of the learner's own policy gradient.
    pub auxiliary: f64,
    /// The guider's entropy bonus.
    pub temperature: Temperature,
}

impl Default for MagpoConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.005,
            critic_learning_rate: 0.01,
            ratio: 1.5,
            auxiliary: 1.0,
            temperature: Temperature::Constant { value: 0.01 },
        }
    }
}

/// The learner.
pub(super) struct Magpo {
    config: MagpoConfig,
    update: UpdateConfig,
    horizon: usize,
    /// Of the agents' action sets, `[N]`.
    sizes: Vec<usize>,
    duo: Duo,
    baseline: Baseline,
    streams: Vec<Stream>,
    device: Device,
}

/// Everything a [`Magpo`] needs to go on.
#[derive(Serialize, Deserialize)]
struct Saved {
    duo: DuoState,
    baseline: BaselineState,
    streams: Vec<Stream>,
}

/// Log-probabilities of the actions taken, `[R, S, N]`.
struct Taken {
    guider: Tensor,
    learner: Tensor,
    /// The guider's when acting.
    acted: Tensor,
}

/// The networks of a guider and its learners: its guider asks one agent after the other, by a trunk of its own, and
/// is told of all histories unless it is asked to be told less.
pub(crate) fn networks(network: &NetworkConfig) -> NetworkConfig {
    NetworkConfig {
        joint: JointConfig {
            head: HeadChoice::Autoregressive,
            trunk: TrunkChoice::Separate,
            sees: match network.joint.sees {
                Sees::Auto => Sees::JointHistory,
                sees => sees,
            },
            ..network.joint.clone()
        },
        ..network.clone()
    }
}

impl Magpo {
    /// One learner a seed.
    pub(super) fn new(
        config: &MagpoConfig,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let network = &networks(network);
        Ok(Self {
            horizon: spec.horizon,
            sizes: (spec.agents.iter())
                .map(|agent| agent.actions.size())
                .collect(),
            duo: Duo::new(spec, network, update, seeds, device)?,
            baseline: Baseline::new(
                spec,
                network,
                View::Central,
                update,
                config.critic_learning_rate,
                &mut streams(seeds, "critic"),
                device,
            )?,
            streams: streams(seeds, "joint-actions"),
            config: config.clone(),
            update: update.clone(),
            device: device.clone(),
        })
    }

    /// The guider's log-probabilities of all that each agent could do, `[R, S, N, A]`.
    fn guided(
        &self,
        features: &Features,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
    ) -> Result<Tensor> {
        let (replicas, samples, agents) = actions.dims3()?;
        let head = self.duo.joint.head();
        let conditionals = head.log_conditionals(features, forbidden, actions);
        conditionals
            .expect("a guider asks one agent after the other")?
            .reshape((replicas, samples, agents, ()))
    }

    /// One step of Adam of both; H(μ), H(∏ π_i) and KL(μ ‖ ∏ π_i) before it, `[3][R]`.
    fn step(&mut self, part: &Packed, tau: f64, rate: f64) -> Result<Vec<Vec<f64>>> {
        let (of_marginals, output) = self.duo.output(part)?;
        let features = self.duo.features(part, &of_marginals)?;
        let guider = self.guided(&features, part.forbidden.as_ref(), &part.actions)?;
        let learner = by_agent(&output, guider.dims())?;
        let taken = Taken {
            guider: of_actions(&guider, &part.actions)?,
            learner: of_actions(&learner, &part.actions)?,
            acted: part.log_prob.reshape(part.actions.shape())?,
        };
        let advantages = part
            .advantages
            .unsqueeze(2)?
            .broadcast_as(part.actions.shape())?;

        let gain = taken
            .guided_gain(&advantages, self.config.ratio, &self.update)?
            .sum(2)?;
        let mask = taken.outside(self.config.ratio)?;
        let held = (divergence(&guider, &learner.detach())? * mask)?.sum(2)?;
        let entropy = (guider.exp()? * &guider)?.sum(3)?.sum(2)?.neg()?;
        let of_guider = ((held - gain)? - (&entropy * tau)?)?;

        let imitation = divergence(&guider.detach(), &learner)?.sum(2)?;
        let own = clipped_gain(&taken.learner, &taken.acted, &advantages, &self.update)?.sum(2)?;
        let of_learner = (&imitation - (own * self.config.auxiliary)?)?;

        let loss = ((of_guider + of_learner)? * &part.weights)?.sum_all()?;
        let gradients = loss.backward()?;
        let learning_rate = rate * self.config.learning_rate;
        let optimisers = &mut self.duo.optimisers;
        for optimiser in [&mut optimisers.joint, &mut optimisers.marginals] {
            optimiser.set_learning_rate(learning_rate);
            optimiser.step(&gradients)?;
        }
        let product_entropy = output.entropy()?;
        means(&[&entropy, &product_entropy, &imitation], &part.weights)
    }
}

impl Taken {
    /// min(ρ A, clip(clip(r, 1/δ, δ) · ρ / r, 1 ± ε) A), `[R, S, N]`: ρ to when acting, r to the
    /// learner, which is held constant.
    fn guided_gain(
        &self,
        advantages: &Tensor,
        delta: f64,
        update: &UpdateConfig,
    ) -> Result<Tensor> {
        let learner = self.learner.detach();
        let free = ((&self.guider - &self.acted)?.exp()? * advantages)?;
        let near = (&self.guider - &learner)?.clamp(-delta.ln(), delta.ln())?;
        let ratio = ((near + learner)? - &self.acted)?.exp()?;
        let held = (ratio.clamp(1.0 - update.clip, 1.0 + update.clip)? * advantages)?;
        free.minimum(&held)
    }

    /// m: 1 where the guider's likelihood is outside [1/δ, δ] times the learner's, `[R, S, N]`.
    fn outside(&self, delta: f64) -> Result<Tensor> {
        let apart = (self.guider.detach() - self.learner.detach())?.abs()?;
        apart.gt(delta.ln())?.to_dtype(DType::F32)
    }
}

/// Σ_a p(a) (log p(a) − log q(a)) of every agent, `[R, S, N]`; both `[R, S, N, A]`, logarithms.
fn divergence(p: &Tensor, q: &Tensor) -> Result<Tensor> {
    (p.exp()? * (p - q)?)?.sum(3)
}

/// Log-probabilities `[R, S, N]` of actions `[R, S, N]`, out of `[R, S, N, A]`.
fn of_actions(log_probs: &Tensor, actions: &Tensor) -> Result<Tensor> {
    let actions = actions.unsqueeze(3)?.contiguous()?;
    log_probs.gather(&actions, 3)?.squeeze(3)
}

/// The learner's log-probabilities in the guider's shape, `[R, S, N, A]`.
fn by_agent(output: &MarginalOutput, shape: &[usize]) -> Result<Tensor> {
    match output {
        MarginalOutput::Categorical { log_probs, .. } => log_probs.reshape(shape),
        MarginalOutput::Gaussian { .. } => {
            Err(candle_core::Error::msg("MAGPO is for discrete actions"))
        }
    }
}

impl Algorithm for Magpo {
    fn act(&mut self, seen: &Seen) -> Result<Actions> {
        let Considered {
            features,
            forbidden,
            ..
        } = self.duo.consider(seen, true)?;
        let features = features.expect("the guider was asked");
        let head = self.duo.joint.head();
        let taken = head.choose(&features, forbidden.as_ref(), &mut self.streams, false)?;
        let actions = taken.tensor(seen.rows.replicas, seen.rows.samples(), &self.device)?;
        let guided = self.guided(&features, forbidden.as_ref(), &actions)?;
        Ok(Actions {
            log_prob: of_actions(&guided, &actions)?.flatten_all()?.to_vec1()?,
            taken,
            drawn: None,
        })
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let tau = self.config.temperature.at(time);
        let (update, rate) = (self.update.clone(), self.update.rate(time));
        let (targets, of_critic) = self.baseline.targets(batch, &update, self.horizon)?;
        let (marginals, start) = (&self.duo.marginals, self.duo.start());
        let packed = Packed::new(batch, &targets, marginals, start, &self.device)?;
        let parts = packed.parts(update.minibatches)?;
        let mut measured = Measured::default();
        for epoch in 0..update.epochs {
            for (range, part) in &parts {
                let metrics = self.step(part, tau, rate)?;
                measured.add(epoch, range.len(), metrics);
                let (values, weights) = (&part.values, &part.weights);
                self.baseline
                    .learn(&of_critic, range.clone(), values, weights, rate)?;
            }
        }
        self.duo.turn();
        let measured = measured.means();
        let of = |(replica, earned): (usize, &Earned)| Metrics {
            tau,
            joint_entropy: measured[0][replica],
            product_entropy: measured[1][replica],
            information_gap: measured[2][replica],
            explained_variance: targets.explained_variance[replica],
            batch_return: earned.in_range,
            ..Metrics::default()
        };
        Ok(targets.earned.iter().enumerate().map(of).collect())
    }

    fn marginals(&self) -> &Marginals {
        &self.duo.marginals
    }

    fn play_joint(
        &self,
        seen: &Seen,
        memory: &mut PlayMemory,
        greedy: bool,
    ) -> Option<Result<Choices>> {
        Some(self.duo.play(seen, memory, greedy))
    }

    /// All joint actions at once: what is seen stands as often as there are.
    fn joint_probs(&self, seen: &Seen) -> Option<Result<Tensor>> {
        let space = JointSpace::new(&self.sizes, AUTO_ENUMERATION)?;
        let (replicas, samples) = (seen.rows.replicas, seen.rows.samples());
        let (count, agents) = (space.count(), self.sizes.len());
        let probs = || -> Result<Tensor> {
            let considered = self.duo.anew(seen)?;
            let features = match considered.features.expect("the guider was asked") {
                Features::Joint(features) => Features::Joint(features.repeat((1, count, 1))?),
                Features::Own(features) => Features::Own(features.repeat((1, count, 1, 1))?),
            };
            let all = (0..count).flat_map(|k| space.split(k).map(|a| a as u32).collect::<Vec<_>>());
            let actions = Tensor::from_vec(
                all.collect::<Vec<u32>>(),
                (1, count, 1, agents),
                &self.device,
            )?
            .repeat((replicas, 1, samples, 1))?
            .reshape((replicas, count * samples, agents))?;
            let log_prob = self.duo.joint.head().log_prob(&features, None, &actions)?;
            let by_action = log_prob.reshape((replicas, count, samples))?;
            by_action.transpose(1, 2)?.contiguous()?.exp()
        };
        Some(probs())
    }

    fn save(&self) -> Result<Vec<u8>> {
        let saved = Saved {
            duo: self.duo.save()?,
            baseline: self.baseline.save()?,
            streams: self.streams.clone(),
        };
        postcard::to_stdvec(&saved).map_err(candle_core::Error::wrap)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let saved: Saved = postcard::from_bytes(saved).map_err(candle_core::Error::wrap)?;
        self.duo.restore(saved.duo)?;
        self.baseline.restore(saved.baseline)?;
        self.streams = saved.streams;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
