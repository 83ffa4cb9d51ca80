//! The joint policy π_J(a | x) over the whole team's action, given the joint observation.
//!
//! It exists only while training. The method needs five things of it, collected in
//! [`JointEvaluation`]; an autoregressive or Gaussian joint provides the same five.

use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;

use super::marginal::MarginalOutput;
use super::mlp::{GroupedMlp, MlpShape};
use crate::config::NetworkConfig;
use crate::env::TeamSpec;
use crate::rng::Stream;

/// What a joint policy says of a batch, beside the marginals' own opinion. All `[R, S]`.
pub struct JointEvaluation {
    /// log π_J(a | x) of the joint actions taken.
    pub log_prob: Tensor,
    /// H(π_J), in nats.
    pub entropy: Tensor,
    /// TC = KL(π_J ‖ ∏ marg_i π_J), in nats: agents leaning on each other's dice.
    pub total_correlation: Tensor,
    /// IG = Σ_i KL(marg_i π_J ‖ π_i), in nats, with π_i held constant: agents leaning on what
    /// they cannot see. Differentiable in the joint policy only.
    pub information_gap: Tensor,
    /// −Σ_i E_{a_i ∼ marg_i π_J} log π_i(a_i), with π_J held constant: the marginals' side of
    /// KL(π_J ‖ ∏ π_i). Differentiable in the marginals only.
    pub marginal_fit: Tensor,
}

/// A distribution over joint actions.
pub trait JointPolicy: Send {
    /// Evaluates a batch. observations: `[R, S, Σ observation]`; actions: `[R, S, N]`, row-major.
    fn evaluate(
        &self,
        observations: &Tensor,
        marginals: &MarginalOutput,
        actions: &[u32],
    ) -> Result<JointEvaluation>;

    /// Draws one joint action a sample into `actions` (`[R, S, N]`) where `wanted` (`[R, S]`)
    /// says so; `streams`: one a replica.
    fn sample(
        &self,
        observations: &Tensor,
        wanted: &[bool],
        streams: &mut [Stream],
        actions: &mut [u32],
    ) -> Result<()>;

    /// The whole distribution, where it can be enumerated: observations
    /// `[R, S, Σ observation]` → probabilities `[R, S, K]`, agent 0 slowest.
    fn probs(&self, observations: &Tensor) -> Option<Result<Tensor>>;

    /// All parameters, in a fixed order.
    fn variables(&self) -> Vec<Var>;
}

/// One softmax over every joint action: exact, for teams whose joint action set is small.
pub struct EnumeratedJoint {
    mlp: GroupedMlp,
    actions: Vec<usize>,
    /// `[N·A, K]`: 1 where joint action k contains agent i's action a.
    membership: Tensor,
    /// Its transpose, `[K, N·A]`.
    membership_t: Tensor,
}

/// Largest joint action set an [`EnumeratedJoint`] accepts.
pub const LARGEST_ENUMERATION: usize = 4096;

impl EnumeratedJoint {
    /// Draws one joint network a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let actions: Vec<usize> = spec.agents.iter().map(|agent| agent.actions).collect();
        let joint: usize = actions.iter().product();
        let shape = MlpShape {
            inputs: spec.joint_observation(),
            hidden: network.hidden.clone(),
            outputs: joint,
            output_spread: network.output_spread,
        };
        let width = spec.widest_actions();
        let mut membership = vec![0.0_f32; actions.len() * width * joint];
        let mut parts = vec![0_u32; actions.len()];
        for k in 0..joint {
            split(k, &actions, &mut parts);
            for (agent, &a) in parts.iter().enumerate() {
                membership[(agent * width + a as usize) * joint + k] = 1.0;
            }
        }
        let membership =
            Tensor::from_vec(membership, (actions.len() * width, joint), device)?;
        Ok(Self {
            mlp: GroupedMlp::new(&shape, streams, device)?,
            membership_t: membership.t()?.contiguous()?,
            membership,
            actions,
        })
    }

    /// log π_J over all joint actions, `[R, S, K]`.
    fn log_probs(&self, observations: &Tensor) -> Result<Tensor> {
        log_softmax(&self.mlp.forward(observations)?, D::Minus1)
    }
}

impl JointPolicy for EnumeratedJoint {
    fn evaluate(
        &self,
        observations: &Tensor,
        marginals: &MarginalOutput,
        actions: &[u32],
    ) -> Result<JointEvaluation> {
        let log_joint = self.log_probs(observations)?;
        let joint = log_joint.exp()?;
        let (replicas, samples, count) = joint.dims3()?;

        let taken: Vec<u32> = actions
            .chunks_exact(self.actions.len())
            .map(|parts| join(parts, &self.actions))
            .collect();
        let taken = Tensor::from_vec(taken, (replicas, samples, 1), joint.device())?;
        let log_prob = log_joint.gather(&taken, D::Minus1)?.squeeze(D::Minus1)?;
        let entropy = (&joint * &log_joint)?.sum(D::Minus1)?.neg()?;

        // marg_i π_J for every agent at once: sum the joint table over the other agents.
        let marginal_of_joint = joint
            .reshape((replicas * samples, count))?
            .matmul(&self.membership_t)?
            .reshape((replicas, samples, self.membership.dim(0)?))?;
        let log_marginal_of_joint = (&marginal_of_joint + TINY)?.log()?;
        let marginal_negentropy =
            (&marginal_of_joint * &log_marginal_of_joint)?.sum(D::Minus1)?;
        let cross = |of_joint: &Tensor, of_marginals: &Tensor| {
            (of_joint * of_marginals)?.sum(D::Minus1)?.neg()
        };
        let log_marginals = &marginals.log_probs;
        Ok(JointEvaluation {
            total_correlation: (entropy.neg()? - &marginal_negentropy)?,
            information_gap: (&marginal_negentropy
                + cross(&marginal_of_joint, &log_marginals.detach())?)?,
            marginal_fit: cross(&marginal_of_joint.detach(), log_marginals)?,
            log_prob,
            entropy,
        })
    }

    fn sample(
        &self,
        observations: &Tensor,
        wanted: &[bool],
        streams: &mut [Stream],
        actions: &mut [u32],
    ) -> Result<()> {
        if !wanted.contains(&true) {
            return Ok(());
        }
        let probs: Vec<f32> = self
            .log_probs(observations)?
            .exp()?
            .flatten_all()?
            .to_vec1()?;
        let joint: usize = self.actions.iter().product();
        let samples = wanted.len() / streams.len();
        for (index, parts) in actions.chunks_exact_mut(self.actions.len()).enumerate() {
            if wanted[index] {
                let row = &probs[index * joint..(index + 1) * joint];
                let k = streams[index / samples].categorical(row);
                split(k, &self.actions, parts);
            }
        }
        Ok(())
    }

    fn probs(&self, observations: &Tensor) -> Option<Result<Tensor>> {
        Some(self.log_probs(observations).and_then(|log| log.exp()))
    }

    fn variables(&self) -> Vec<Var> {
        self.mlp.variables()
    }
}

/// Keeps log finite where a marginal of the joint is zero; below f32's resolution of 1.
const TINY: f64 = 1e-12;

/// Joint action k (agent 0 slowest) into one action an agent.
fn split(mut k: usize, sizes: &[usize], parts: &mut [u32]) {
    for (part, &size) in parts.iter_mut().zip(sizes).rev() {
        *part = (k % size) as u32;
        k /= size;
    }
}

/// One action an agent into the joint action's number (agent 0 slowest).
fn join(parts: &[u32], sizes: &[usize]) -> u32 {
    parts
        .iter()
        .zip(sizes)
        .fold(0, |k, (&part, &size)| k * size as u32 + part)
}
