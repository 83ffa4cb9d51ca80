//! Deterministic policies under a centralised critic of joint actions.
//!
//! ```text
//! L_Q = E[ (Q(x, a) − y)² ]                              y = r + γ Q⁻(x', μ⁻_1(h'_1) … μ⁻_N(h'_N))
//! L_μ = − 1/N Σ_i E[ Q(x, a_1 … μ_i(h_i) … a_N) ] + ρ E[ u² ]
//! ```
//!
//! Lowe et al. 2017, equations 5 and 6 (with their regulariser of the policies' outputs u before
//! they become actions). The other agents' actions come from the replay: agent i is told what to
//! do beside what the others *did*. All agents earn one reward, so their critics would learn the
//! same value: there is one.
//!
//! Vectors are tanh(u), and explored by normal noise on u; the images have a deterministic head. Of discrete actions u are logits, and
//! actions the straight-through Gumbel-softmax (Jang, Gu & Poole 2017, as in Papoudakis et al.
//! 2021): exactly one action forward, the softmax's slope backward.

use candle_core::{D, Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::explore::best;
use super::off_policy::{Loss, Making, OffPolicy, OffPolicyConfig, Rule, Shown, weighted};
use super::replay::ReplayConfig;
use super::sample::{Central, Sample};
use super::{Algorithm, JointValues, streams};
use crate::env::TeamSpec;
use crate::net::activation::tanh;
use crate::net::choices::one_hot;
use crate::net::fused::log_softmax;
use crate::net::{ActionCritic, Choices, MarginalOutput, Marginals, Rows, TargetConfig};
use crate::rng::Stream;

/// Settings of MADDPG.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaddpgConfig {
    /// Temperature of the Gumbel-softmax of discrete actions.
    pub temperature: f64,
    /// Deviation of the noise that explores vectors, before they are squashed.
    pub noise: f64,
    /// ρ: weight of the outputs' mean square.
    pub regularisation: f64,
    /// Replay, gradient steps, target networks.
    pub off_policy: OffPolicyConfig,
}

impl Default for MaddpgConfig {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            noise: 0.5,
            regularisation: 1e-3,
            off_policy: OffPolicyConfig {
                target: TargetConfig::soft(),
                replay: ReplayConfig {
                    steps: 1_000_000,
                    ..ReplayConfig::default()
                },
                ..OffPolicyConfig::default()
            },
        }
    }
}

/// The rule.
struct Maddpg {
    config: MaddpgConfig,
    /// For every agent, 1 where a joint action's numbers are its own: `[N][1, 1, numbers]`.
    own: Vec<Tensor>,
    continuous: bool,
    /// A: the widest set of actions.
    actions: usize,
    critic: ActionCritic,
    late_critic: ActionCritic,
    late: Marginals,
}

/// A learner for every seed.
pub(super) fn make(config: &MaddpgConfig, making: &Making<'_>) -> Result<Box<dyn Algorithm>> {
    Ok(Box::new(learner(config, making)?))
}

fn learner(config: &MaddpgConfig, making: &Making<'_>) -> Result<OffPolicy<Maddpg>> {
    let marginals = making.marginals("marginals")?.deterministic();
    marginals.set_log_std(config.noise.ln())?;
    let rule = Maddpg::new(config, making)?;
    OffPolicy::new(rule, marginals, &config.off_policy, making)
}

impl Maddpg {
    fn new(config: &MaddpgConfig, making: &Making<'_>) -> Result<Self> {
        let Making { spec, network, .. } = *making;
        let own = own_numbers(spec, making.device)?;
        let numbers = own[0].dim(2)?;
        let critic = || {
            let mut streams = streams(making.seeds, "critic");
            ActionCritic::new(spec, network, numbers, &mut streams, making.device)
        };
        Ok(Self {
            config: config.clone(),
            own,
            continuous: spec.is_continuous(),
            actions: spec.widest_actions(),
            critic: critic()?,
            late_critic: critic()?,
            late: making.marginals("marginals")?,
        })
    }

    /// What `policy` outputs for every row, u: means before squashing, or logits with those of
    /// forbidden actions far below the rest. `[R, S, numbers]`.
    fn outputs(&self, policy: &Marginals, sample: &Sample) -> Result<Tensor> {
        let rows = &sample.rows;
        if !self.continuous {
            return policy.scores_through(&sample.own, rows, &[]);
        }
        match policy.output_through(&sample.own, rows, &[], None)? {
            MarginalOutput::Gaussian { mean, .. } => Ok(mean),
            MarginalOutput::Categorical { .. } => candle_core::bail!("found logits of vectors"),
        }
    }

    /// Actions as the critic sees them: vectors squashed, or ones among zeros.
    fn as_numbers(&self, actions: &Tensor) -> Result<Tensor> {
        match self.continuous {
            true => tanh(actions),
            false => one_hot(actions, self.actions),
        }
    }

    fn critic_loss(&self, sample: &Sample) -> Result<Loss> {
        let late = sample.after(&self.outputs(&self.late, sample)?)?.detach();
        let next = match self.continuous {
            true => tanh(&late)?,
            false => {
                let forbidden = sample.forbidden_after()?;
                one_hot(&best(&late, &forbidden, self.own.len())?, self.actions)?
            }
        };
        let rows = &sample.rows;
        let features = self.late_critic.features(&sample.central, rows)?;
        let next = (self.late_critic).values(&sample.after(&features)?, &next)?;
        let target = (&sample.rewards + (&sample.discounts * next.detach())?)?;

        let features = self.critic.features(&sample.central, rows)?;
        let taken = self.as_numbers(&sample.actions)?;
        let value = (self.critic).values(&sample.before(&features)?, &taken)?;
        let error = (&value - target)?.sqr()?;
        Ok(Loss {
            total: weighted(&error, &sample.weights)?,
            measured: Some([error, value]),
        })
    }

    fn actor_loss(
        &self,
        marginals: &Marginals,
        sample: &Sample,
        dice: &mut [Stream],
    ) -> Result<Loss> {
        let outputs = sample.before(&self.outputs(marginals, sample)?)?;
        let own = match self.continuous {
            true => tanh(&outputs)?,
            false => {
                let forbidden = match sample.forbidden.dim(1)? {
                    1 => sample.forbidden.clone(),
                    _ => sample.before(&sample.forbidden)?,
                };
                let logits = outputs.broadcast_add(&forbidden)?;
                let noise = gumbel(logits.dims3()?, dice, logits.device())?;
                straight_through(&(logits + noise)?, self.own.len(), self.config.temperature)?
            }
        };
        // Every agent's own action beside what the others did: N times the rows.
        let taken = self.as_numbers(&sample.actions)?;
        let beside = |mask: &Tensor| (&own - &taken)?.broadcast_mul(mask)? + &taken;
        let joint: Vec<Tensor> = self.own.iter().map(beside).collect::<Result<_>>()?;
        let features = self.critic.features(&sample.central, &sample.rows)?;
        let features = sample.before(&features)?.detach();
        let repeated = vec![&features; joint.len()];
        let (replicas, samples, _) = features.dims3()?;
        let values = self
            .critic
            .values(&Tensor::cat(&repeated, 1)?, &Tensor::cat(&joint, 1)?)?
            .reshape((replicas, joint.len(), samples))?
            .mean(1)?;
        let size = (outputs.sqr()?.mean(D::Minus1)? * self.config.regularisation)?;
        Ok(Loss {
            total: weighted(&(size - values)?, &sample.weights)?,
            measured: None,
        })
    }
}

/// For every agent, 1 where a joint action's numbers are its own, else 0: `[N][1, 1, numbers]`.
fn own_numbers(spec: &TeamSpec, device: &Device) -> Result<Vec<Tensor>> {
    let width = |agent: usize| match spec.is_continuous() {
        true => spec.agents[agent].actions.size(),
        false => spec.widest_actions(),
    };
    let agents = 0..spec.agents.len();
    let owner: Vec<usize> = agents.clone().flat_map(|a| vec![a; width(a)]).collect();
    let mask = |agent| {
        let own = owner
            .iter()
            .map(|&owner| f32::from(u8::from(owner == agent)));
        Tensor::from_vec(own.collect::<Vec<f32>>(), (1, 1, owner.len()), device)
    };
    agents.map(mask).collect()
}

/// Standard Gumbel numbers, −ln(−ln u); `dice`: one a replica.
fn gumbel(
    (replicas, samples, width): (usize, usize, usize),
    dice: &mut [Stream],
    device: &Device,
) -> Result<Tensor> {
    let draw = |stream: &mut Stream| {
        let u = stream.uniform().max(f64::MIN_POSITIVE);
        -(-u.ln()).ln() as f32
    };
    let numbers: Vec<f32> = (dice.iter_mut())
        .flat_map(|stream| (0..samples * width).map(move |_| draw(stream)))
        .collect();
    Tensor::from_vec(numbers, (replicas, samples, width), device)
}

/// One action an agent, the largest of `[R, S, N·A]`, as ones among zeros, with the gradient of
/// the softmax at `temperature`.
fn straight_through(perturbed: &Tensor, agents: usize, temperature: f64) -> Result<Tensor> {
    let (replicas, samples, flat) = perturbed.dims3()?;
    let width = flat / agents;
    let shape = (replicas, samples, agents, width);
    let soft = log_softmax(&(perturbed.reshape(shape)? / temperature)?)?;
    let soft = soft.exp()?.reshape((replicas, samples, flat))?;
    let largest = perturbed.detach().reshape(shape)?.argmax(3)?;
    let hard = one_hot(&largest, width)?;
    (hard - soft.detach())? + soft
}

impl Rule for Maddpg {
    const CENTRAL: Central = Central::Everything;

    fn moved(&self, marginals: &Marginals) -> Vec<Vec<Var>> {
        vec![self.critic.variables(), marginals.variables()]
    }

    fn copied(&self, marginals: &Marginals) -> [Vec<Var>; 2] {
        [
            [self.critic.variables(), marginals.variables()].concat(),
            [self.late_critic.variables(), self.late.variables()].concat(),
        ]
    }

    fn loss(
        &self,
        index: usize,
        marginals: &Marginals,
        sample: &Sample,
        dice: &mut [Stream],
    ) -> Result<Loss> {
        match index {
            0 => self.critic_loss(sample),
            _ => self.actor_loss(marginals, sample, dice),
        }
    }

    /// A draw from the softmax, which is where the largest logit under Gumbel noise is; or noise.
    fn explore(
        &self,
        marginals: &Marginals,
        features: &[Tensor],
        rows: &Rows,
        forbidden: Option<&Tensor>,
        _: f64,
        dice: &mut [Stream],
    ) -> Result<Choices> {
        let output = marginals.output(features, rows, forbidden)?;
        output.choose(dice, false)
    }

    fn worth(&self, _: &Marginals, shown: &Shown, actions: &Tensor) -> Result<Option<JointValues>> {
        let features = self.critic.features(&shown.central, &shown.rows)?;
        let team = (self.critic).values(&features, &self.as_numbers(actions)?)?;
        Ok(Some(JointValues {
            apart: team.clone(),
            team,
        }))
    }

    fn epsilon(&self, _: f64) -> f64 {
        0.0
    }
}

#[cfg(test)]
mod tests;
