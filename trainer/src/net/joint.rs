//! The joint policy π_J(a | x) over the whole team's action, given the joint observation.
//!
//! It exists only while training. The method needs five things of it, collected in
//! [`JointEvaluation`]; an autoregressive joint provides the same five, and so does a Gaussian
//! once actions and [`MarginalOutput`] can be continuous.

use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;

use super::NetworkConfig;
use super::marginal::MarginalOutput;
use super::mlp::{GroupedMlp, MlpShape};
use crate::env::{JointSpace, TeamSpec};
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
    actions: JointSpace,
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
        let sizes: Vec<usize> = spec
            .agents
            .iter()
            .map(|agent| agent.actions.size())
            .collect();
        let agents = sizes.len();
        let actions = JointSpace::new(&sizes, LARGEST_ENUMERATION).ok_or_else(|| {
            candle_core::Error::msg(format!(
                "the team has more than {LARGEST_ENUMERATION} joint actions: too many for an \
                 enumerated joint policy"
            ))
        })?;
        let joint = actions.count();
        let shape = MlpShape {
            inputs: spec.joint_observation(),
            hidden: network.hidden.clone(),
            outputs: joint,
            output_spread: network.output_spread,
        };
        let width = spec.widest_actions();
        let mut membership = vec![0.0_f32; agents * width * joint];
        for k in 0..joint {
            for (agent, a) in actions.split(k).enumerate() {
                membership[(agent * width + a) * joint + k] = 1.0;
            }
        }
        let membership = Tensor::from_vec(membership, (agents * width, joint), device)?;
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

impl EnumeratedJoint {
    /// Every quantity of [`JointEvaluation`], from log π_J over all joint actions, `[R, S, K]`.
    fn evaluate_distribution(
        &self,
        log_joint: &Tensor,
        marginals: &MarginalOutput,
        actions: &[u32],
    ) -> Result<JointEvaluation> {
        let joint = log_joint.exp()?;
        let (replicas, samples, count) = joint.dims3()?;

        let taken: Vec<u32> = actions
            .chunks_exact(self.actions.sizes().len())
            .map(|parts| self.actions.join(parts.iter().map(|&a| a as usize)) as u32)
            .collect();
        let taken = Tensor::from_vec(taken, (replicas, samples, 1), joint.device())?;
        let log_prob = log_joint.gather(&taken, D::Minus1)?.squeeze(D::Minus1)?;
        let entropy = (&joint * log_joint)?.sum(D::Minus1)?.neg()?;

        // marg_i π_J for every agent at once: sum the joint table over the other agents.
        let marginal_of_joint = joint
            .reshape((replicas * samples, count))?
            .matmul(&self.membership_t)?
            .reshape((replicas, samples, self.membership.dim(0)?))?;
        let log_marginal_of_joint = (&marginal_of_joint + TINY)?.log()?;
        let marginal_negentropy = (&marginal_of_joint * &log_marginal_of_joint)?.sum(D::Minus1)?;
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
}

impl JointPolicy for EnumeratedJoint {
    fn evaluate(
        &self,
        observations: &Tensor,
        marginals: &MarginalOutput,
        actions: &[u32],
    ) -> Result<JointEvaluation> {
        self.evaluate_distribution(&self.log_probs(observations)?, marginals, actions)
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
        let joint = self.actions.count();
        let samples = wanted.len() / streams.len();
        let agents = self.actions.sizes().len();
        for (index, parts) in actions.chunks_exact_mut(agents).enumerate() {
            if wanted[index] {
                let row = &probs[index * joint..(index + 1) * joint];
                let k = streams[index / samples].categorical(row);
                for (part, a) in parts.iter_mut().zip(self.actions.split(k)) {
                    *part = a as u32;
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::AgentSpec;

    /// Two agents with 2 and 3 actions that see nothing.
    fn joint() -> EnumeratedJoint {
        let agent = |actions| AgentSpec::discrete(1, actions);
        let spec = TeamSpec::new(vec![agent(2), agent(3)], 1);
        let mut streams = [Stream::new(0, "test", 0)];
        EnumeratedJoint::new(&spec, &NetworkConfig::default(), &mut streams, &Device::Cpu).unwrap()
    }

    fn scalar(tensor: &Tensor) -> f64 {
        f64::from(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0])
    }

    /// Log-probabilities `[1, 1, len]`; zeros become e^−50, which is zero in every sum here.
    fn logs(probs: &[f64]) -> Var {
        let logs = probs.iter().map(|p| p.ln().max(-50.0) as f32).collect();
        Var::from_vec(logs, (1, 1, probs.len()), &Device::Cpu).unwrap()
    }

    fn marginals(log_probs: &Var) -> MarginalOutput {
        MarginalOutput {
            log_probs: log_probs.as_tensor().clone(),
        }
    }

    #[test]
    fn divergence_splits_into_correlation_and_gap() {
        // π_J puts ½ on (0, 0) and ½ on (1, 2): its marginals are (½, ½) and (½, 0, ½), so
        // TC = KL = ln 2. Against π_0 = (.8, .2), π_1 = (.25, .5, .25):
        // IG = ½ ln(.5/.8) + ½ ln(.5/.2) + ½ ln(.5/.25) + ½ ln(.5/.25) = .223144 + .693147;
        // the fit is −½ ln .8 − ½ ln .2 − ln .25 = ln 10.
        let log_joint = logs(&[0.5, 0.0, 0.0, 0.0, 0.0, 0.5]);
        // Agent 0 has a padded third action.
        let own = logs(&[0.8, 0.2, 0.0, 0.25, 0.5, 0.25]);
        let evaluation = joint()
            .evaluate_distribution(&log_joint, &marginals(&own), &[1, 2])
            .unwrap();
        let close = |tensor: &Tensor, expected: f64| {
            assert!(
                (scalar(tensor) - expected).abs() < 1e-5,
                "{} {expected}",
                scalar(tensor)
            );
        };
        close(&evaluation.total_correlation, 2.0_f64.ln());
        close(&evaluation.information_gap, 0.916_291);
        close(&evaluation.marginal_fit, 10.0_f64.ln());
        close(&evaluation.entropy, 2.0_f64.ln());
        close(&evaluation.log_prob, 0.5_f64.ln());
    }

    #[test]
    fn correlation_and_gap_sum_to_the_divergence_from_the_product() {
        let mut stream = Stream::new(1, "test", 0);
        let mut simplex = |len: usize| -> Vec<f64> {
            let raw: Vec<f64> = (0..len).map(|_| 0.05 + stream.uniform()).collect();
            let sum: f64 = raw.iter().sum();
            raw.iter().map(|x| x / sum).collect()
        };
        let (p, a, b) = (simplex(6), simplex(2), simplex(3));
        let direct: f64 = (0..6)
            .map(|k| p[k] * (p[k] / (a[k / 3] * b[k % 3])).ln())
            .sum();
        let own = logs(&[a[0], a[1], 0.0, b[0], b[1], b[2]]);
        let evaluation = joint()
            .evaluate_distribution(&logs(&p), &marginals(&own), &[0, 0])
            .unwrap();
        let sum = scalar(&evaluation.total_correlation) + scalar(&evaluation.information_gap);
        assert!((sum - direct).abs() < 1e-5, "{sum} {direct}");
    }

    #[test]
    fn each_side_of_the_divergence_pulls_only_its_own_policy() {
        let log_joint = logs(&[0.1, 0.2, 0.3, 0.2, 0.1, 0.1]);
        let own = logs(&[0.7, 0.3, 0.0, 0.2, 0.3, 0.5]);
        let evaluation = joint()
            .evaluate_distribution(&log_joint, &marginals(&own), &[0, 0])
            .unwrap();
        for (loss, joint_moves, marginals_move) in [
            (&evaluation.information_gap, true, false),
            (&evaluation.total_correlation, true, false),
            (&evaluation.marginal_fit, false, true),
        ] {
            let gradients = loss.sum_all().unwrap().backward().unwrap();
            assert_eq!(gradients.get(&log_joint).is_some(), joint_moves);
            assert_eq!(gradients.get(&own).is_some(), marginals_move);
        }
    }

    #[test]
    fn too_many_joint_actions_are_refused() {
        let agent = AgentSpec::discrete(1, 65);
        let spec = TeamSpec::new(vec![agent; 2], 1);
        let mut streams = [Stream::new(0, "test", 0)];
        let result =
            EnumeratedJoint::new(&spec, &NetworkConfig::default(), &mut streams, &Device::Cpu);
        let message = result.err().unwrap().to_string();
        assert!(
            message.contains("more than 4096 joint actions"),
            "{message}"
        );
    }
}
