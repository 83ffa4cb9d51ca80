//! The marginals π_i(a_i | o_i): one network an agent, the only thing that leaves the
//! workstation.
//!
//! All agents of all replicas go through the operations together (G = R × N). Agents may
//! differ in their spaces: observations are padded with zeros to the longest (D), actions to
//! the largest set (A), and padded actions get probability zero.

use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;

use super::NetworkConfig;
use super::mlp::{DenseWeights, GroupedMlp, MlpShape};
use crate::env::TeamSpec;
use crate::rng::Stream;

/// Added to the logits of padded actions; e^−1e9 is zero in f32.
const PADDING: f32 = -1e9;

/// One marginal network an agent and replica.
pub struct Marginals {
    mlp: GroupedMlp,
    /// `[1, N, 1, A]`: 0 for actions an agent has, [`PADDING`] for the rest.
    mask: Tensor,
    spec: TeamSpec,
}

/// What the marginals say of a batch of S samples.
pub struct MarginalOutput {
    /// log π_i(a | o_i), `[R, S, N·A]`; padded actions hold about −1e9, whose exponential is 0.
    pub log_probs: Tensor,
}

impl Marginals {
    /// Draws the marginals of every replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let agents = spec.agents.len();
        let width = spec.widest_actions();
        // One network a replica and agent, each from a stream of its own.
        let mut per_agent: Vec<Stream> = streams
            .iter_mut()
            .flat_map(|stream| (0..agents).map(|agent| stream.fork(agent as u64)))
            .collect();
        let shape = MlpShape {
            inputs: spec.widest_observation(),
            hidden: network.hidden.clone(),
            outputs: width,
            output_spread: network.output_spread,
        };
        let mask: Vec<f32> = spec
            .agents
            .iter()
            .flat_map(|agent| {
                (0..width).map(|a| {
                    if a < agent.actions.size() {
                        0.0
                    } else {
                        PADDING
                    }
                })
            })
            .collect();
        Ok(Self {
            mlp: GroupedMlp::new(&shape, &mut per_agent, device)?,
            mask: Tensor::from_vec(mask, (1, agents, 1, width), device)?,
            spec: spec.clone(),
        })
    }

    /// observations `[R·N, S, D]` → log-probabilities `[R, S, N·A]`.
    pub fn forward(&self, observations: &Tensor) -> Result<MarginalOutput> {
        let agents = self.spec.agents.len();
        let logits = self.mlp.forward(observations)?;
        let (groups, samples, width) = logits.dims3()?;
        let logits = logits.reshape((groups / agents, agents, samples, width))?;
        let log_probs = log_softmax(&logits.broadcast_add(&self.mask)?, D::Minus1)?
            .transpose(1, 2)?
            .contiguous()?
            .reshape((groups / agents, samples, agents * width))?;
        Ok(MarginalOutput { log_probs })
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        self.mlp.variables()
    }

    /// Host copy of one agent's network with the padding cut away: its first layer reads the
    /// agent's own observation, its last has one output an action.
    pub fn weights(&self, replica: usize, agent: usize) -> Result<Vec<DenseWeights>> {
        let spec = self.spec.agents[agent];
        let mut layers = self.mlp.weights(replica * self.spec.agents.len() + agent)?;
        if let Some(first) = layers.first_mut() {
            first.keep_inputs(spec.observation);
        }
        if let Some(last) = layers.last_mut() {
            last.keep_outputs(spec.actions.size());
        }
        Ok(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::AgentSpec;

    #[test]
    fn agents_of_different_spaces_share_a_batch_without_touching() {
        let agent = AgentSpec::discrete;
        let spec = TeamSpec::new(vec![agent(1, 2), agent(3, 4)], 1);
        let mut streams = [Stream::new(0, "a", 0), Stream::new(1, "a", 0)];
        let network = NetworkConfig::default();
        let marginals = Marginals::new(&spec, &network, &mut streams, &Device::Cpu).unwrap();
        // [R·N, S, D] = [4, 1, 3].
        let seen = [1.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0].repeat(2);
        let seen = Tensor::from_vec(seen, (4, 1, 3), &Device::Cpu).unwrap();
        let probs: Vec<Vec<Vec<f32>>> = marginals
            .forward(&seen)
            .unwrap()
            .log_probs
            .exp()
            .unwrap()
            .to_vec3()
            .unwrap();
        for row in probs.iter().map(|replica| &replica[0]) {
            assert_eq!(row[2..4], [0.0, 0.0], "agent 0 has two actions only");
            assert!((row[..2].iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!((row[4..].iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert_ne!(probs[0], probs[1], "each replica starts from its own seed");
        let sizes = |agent: usize| {
            let layers = marginals.weights(0, agent).unwrap();
            (layers[0].inputs, layers[1].outputs, layers[1].biases.len())
        };
        assert_eq!((sizes(0), sizes(1)), ((1, 2, 2), (3, 4, 4)));
    }
}
