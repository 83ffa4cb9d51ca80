//! One softmax over every joint action: exact, for teams whose joint action set is small.

use candle_core::{D, Device, Error, Result, Tensor, Var};

use super::NetworkConfig;
use super::choices::{Choices, largest};
use super::fused::{Activation, log_softmax};
use super::joint::{Features, JointEvaluation, JointHead};
use super::marginal::OUTPUT_GAIN;
use super::output::MarginalOutput;
use super::rows::by_replica;
use super::trunk::Dense;
use crate::env::{JointSpace, TeamSpec};
use crate::rng::Stream;

/// A table of joint actions.
pub struct Enumerated {
    output: Dense,
    actions: JointSpace,
    /// `[N·A, K]`: 1 where joint action k contains agent i's action a.
    membership: Tensor,
    /// Its transpose, `[K, N·A]`.
    membership_t: Tensor,
}

/// Largest joint action set that is enumerated.
pub const LARGEST_ENUMERATION: usize = 4096;

/// Keeps log finite where a marginal of the joint is zero; below f32's resolution of 1.
const TINY: f64 = 1e-12;

impl Enumerated {
    /// One head a replica over features of length `width`; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        width: usize,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let sizes: Vec<usize> = (spec.agents.iter())
            .map(|agent| agent.actions.size())
            .collect();
        let agents = sizes.len();
        let actions = JointSpace::new(&sizes, LARGEST_ENUMERATION).ok_or_else(|| {
            Error::msg(format!(
                "the team has more than {LARGEST_ENUMERATION} joint actions: too many for an \
                 enumerated joint policy"
            ))
        })?;
        let joint = actions.count();
        let gains = [OUTPUT_GAIN, network.output_spread];
        let widest = spec.widest_actions();
        let mut membership = vec![0.0_f32; agents * widest * joint];
        for k in 0..joint {
            for (agent, a) in actions.split(k).enumerate() {
                membership[(agent * widest + a) * joint + k] = 1.0;
            }
        }
        let membership = Tensor::from_vec(membership, (agents * widest, joint), device)?;
        Ok(Self {
            output: Dense::new([width, joint], gains, streams, device)?,
            membership_t: membership.t()?.contiguous()?,
            membership,
            actions,
        })
    }

    /// log π_J over all joint actions, `[R, S, K]`.
    fn log_probs(&self, features: &Features, forbidden: Option<&Tensor>) -> Result<Tensor> {
        let Features::Joint(features) = features else {
            return Err(Error::msg(
                "an enumerated joint policy sees the joint history",
            ));
        };
        let mut logits = self.output.forward(features, Activation::Identity)?;
        if let Some(forbidden) = forbidden {
            logits = (logits + by_replica(forbidden, &self.membership)?)?;
        }
        log_softmax(&logits)
    }

    /// log-probabilities `[R, S]` of actions `[R, S, N]`, out of `[R, S, K]`.
    fn of(&self, log_joint: &Tensor, actions: &Tensor) -> Result<Tensor> {
        let (replicas, samples, agents) = actions.dims3()?;
        let parts: Vec<u32> = actions.flatten_all()?.to_vec1()?;
        let taken: Vec<u32> = parts
            .chunks_exact(agents)
            .map(|parts| self.actions.join(parts.iter().map(|&a| a as usize)) as u32)
            .collect();
        let taken = Tensor::from_vec(taken, (replicas, samples, 1), log_joint.device())?;
        log_joint.gather(&taken, D::Minus1)?.squeeze(D::Minus1)
    }

    /// Every quantity of [`JointEvaluation`], from log π_J over all joint actions, `[R, S, K]`.
    fn evaluate_distribution(
        &self,
        log_joint: &Tensor,
        marginals: &MarginalOutput,
        actions: &Tensor,
    ) -> Result<JointEvaluation> {
        let MarginalOutput::Categorical { log_probs, .. } = marginals else {
            return Err(Error::msg(
                "an enumerated joint policy is for discrete actions",
            ));
        };
        let joint = log_joint.exp()?;
        let log_prob = self.of(log_joint, actions)?;
        let entropy = (&joint * log_joint)?.sum(D::Minus1)?.neg()?;

        // marg_i π_J for every agent at once: sum the joint table over the other agents.
        let marginal_of_joint = by_replica(&joint, &self.membership_t)?;
        let log_marginal_of_joint = (&marginal_of_joint + TINY)?.log()?;
        let marginal_negentropy = (&marginal_of_joint * &log_marginal_of_joint)?.sum(D::Minus1)?;
        let cross = |of_joint: &Tensor, of_marginals: &Tensor| {
            (of_joint * of_marginals)?.sum(D::Minus1)?.neg()
        };
        Ok(JointEvaluation {
            total_correlation: (entropy.neg()? - &marginal_negentropy)?,
            information_gap: (&marginal_negentropy
                + cross(&marginal_of_joint, &log_probs.detach())?)?,
            marginal_fit: cross(&marginal_of_joint.detach(), log_probs)?,
            log_prob,
            entropy,
            auxiliary: None,
        })
    }
}

impl JointHead for Enumerated {
    fn evaluate(
        &self,
        features: &Features,
        marginals: &MarginalOutput,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<JointEvaluation> {
        self.evaluate_distribution(&self.log_probs(features, forbidden)?, marginals, actions)
    }

    fn choose(
        &self,
        features: &Features,
        forbidden: Option<&Tensor>,
        streams: &mut [Stream],
        greedy: bool,
    ) -> Result<Choices> {
        let probs = self.log_probs(features, forbidden)?.exp()?;
        let (replicas, samples, count) = probs.dims3()?;
        let probs: Vec<f32> = probs.flatten_all()?.to_vec1()?;
        let agents = self.actions.sizes().len();
        let mut actions = Vec::with_capacity(replicas * samples * agents);
        for (index, row) in probs.chunks_exact(count).enumerate() {
            let k = match greedy {
                true => largest(row),
                false => streams[index / samples].categorical(row),
            };
            actions.extend(self.actions.split(k).map(|a| a as u32));
        }
        Ok(Choices::Discrete(actions))
    }

    fn log_prob(
        &self,
        features: &Features,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
    ) -> Result<Tensor> {
        self.of(&self.log_probs(features, forbidden)?, actions)
    }

    fn probs(&self, features: &Features) -> Option<Result<Tensor>> {
        let log_probs = self.log_probs(features, None);
        Some(log_probs.and_then(|log| log.exp()))
    }

    fn variables(&self) -> Vec<Var> {
        self.output.variables().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::AgentSpec;

    /// Two agents with 2 and 3 actions that see nothing.
    fn joint() -> Enumerated {
        let agent = |actions| AgentSpec::discrete(1, actions);
        let spec = TeamSpec::new(vec![agent(2), agent(3)], 1);
        let mut streams = [Stream::new(0, "test", 0)];
        Enumerated::new(
            &spec,
            1,
            &NetworkConfig::default(),
            &mut streams,
            &Device::Cpu,
        )
        .unwrap()
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
        MarginalOutput::Categorical {
            log_probs: log_probs.as_tensor().clone(),
            agents: 2,
        }
    }

    /// One joint action, `[1, 1, 2]`.
    fn taken(actions: [u32; 2]) -> Tensor {
        Tensor::new(&[[actions]], &Device::Cpu).unwrap()
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
            .evaluate_distribution(&log_joint, &marginals(&own), &taken([1, 2]))
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
            .evaluate_distribution(&logs(&p), &marginals(&own), &taken([0, 0]))
            .unwrap();
        let sum = scalar(&evaluation.total_correlation) + scalar(&evaluation.information_gap);
        assert!((sum - direct).abs() < 1e-5, "{sum} {direct}");
    }

    #[test]
    fn each_side_of_the_divergence_pulls_only_its_own_policy() {
        let log_joint = logs(&[0.1, 0.2, 0.3, 0.2, 0.1, 0.1]);
        let own = logs(&[0.7, 0.3, 0.0, 0.2, 0.3, 0.5]);
        let evaluation = joint()
            .evaluate_distribution(&log_joint, &marginals(&own), &taken([0, 0]))
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
        let result = Enumerated::new(
            &spec,
            1,
            &NetworkConfig::default(),
            &mut streams,
            &Device::Cpu,
        );
        let message = result.err().unwrap().to_string();
        assert!(
            message.contains("more than 4096 joint actions"),
            "{message}"
        );
    }
}
