//! The critic V: the return to expect. A baseline while training, nothing else.
//!
//! A critic of the state alone would be biased where policies remember (Lyu et al., *A Deeper
//! Understanding of State-Based Critics in Multi-Agent Reinforcement Learning*, AAAI 2022): with
//! memory the critic has memory too, over observations and state together.

use candle_core::{D, Device, Result, Tensor, Var};

use super::fused::Activation;
use super::marginal::{CrewTensors, Marginals, Memory, OUTPUT_GAIN};
use super::trunk::{Dense, Trunk};
use super::{NetworkConfig, Rows};
use crate::env::{AgentSpec, TeamSpec};
use crate::rng::Stream;

/// What a critic sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What the whole team has seen, and the simulator's state where the environment shows one.
    Central,
    /// One critic an agent, which sees what that agent has seen.
    Local,
}

/// The value networks of R replicas.
pub struct Critic {
    eyes: Eyes,
    inputs: usize,
    sees_state: bool,
}

enum Eyes {
    Central {
        trunk: Trunk,
        head: Dense,
    },
    /// Crews as of marginals, with one output each.
    Local(Marginals),
}

impl Critic {
    /// Draws the critics of every replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        view: View,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let inputs = Self::inputs(spec, network);
        let eyes = match view {
            View::Central => {
                let trunk = Trunk::new(inputs, network, streams, device)?;
                let head = Dense::new([trunk.outputs(), 1], [OUTPUT_GAIN, 0.0], streams, device)?;
                Eyes::Central { trunk, head }
            }
            View::Local => {
                let one = |agent: &AgentSpec| AgentSpec::discrete(agent.observation, 1);
                let agents = spec.agents.iter().map(one).collect();
                let even = NetworkConfig {
                    output_spread: 0.0,
                    ..network.clone()
                };
                let spec = TeamSpec::new(agents, spec.horizon);
                Eyes::Local(Marginals::new(&spec, &even, streams, device)?)
            }
        };
        Ok(Self {
            eyes,
            inputs,
            sees_state: network.critic_sees_state && spec.state > 0,
        })
    }

    /// Length of what a central critic sees: the joint observation and, if it may, the state.
    pub fn inputs(spec: &TeamSpec, network: &NetworkConfig) -> usize {
        let state = match network.critic_sees_state {
            true => spec.state,
            false => 0,
        };
        spec.joint_observation() + state
    }

    /// What it sees of a batch. `joint`: `[R, T·B, Σ observation]`; `state`: `[R, T·B, state]`.
    pub fn seen(
        &self,
        joint: &[f32],
        state: &[f32],
        rows: &Rows,
        device: &Device,
    ) -> Result<CrewTensors> {
        match &self.eyes {
            Eyes::Local(marginals) => marginals.pack(joint, rows, device),
            Eyes::Central { .. } => {
                let count = rows.replicas * rows.samples();
                let seen = with_state(joint, if self.sees_state { state } else { &[] }, count);
                let shape = (rows.replicas, rows.samples(), self.inputs);
                Ok(vec![Tensor::from_vec(seen, shape, device)?])
            }
        }
    }

    /// Values of what it [`seen`](Self::seen) and the features they come from: `[R, T·B]` of the
    /// central critic, `[R, T·B, N]` of local ones. `memory`: before the first row.
    pub fn forward(
        &self,
        seen: &[Tensor],
        rows: &Rows,
        memory: &[Tensor],
    ) -> Result<(Tensor, CrewTensors)> {
        match &self.eyes {
            Eyes::Central { trunk, head } => {
                let features = trunk.forward(&seen[0], rows, memory.first())?;
                let values = head.forward(&features, Activation::Identity)?;
                Ok((values.squeeze(D::Minus1)?, vec![features]))
            }
            Eyes::Local(critics) => {
                let features = critics.features(seen, rows, memory)?;
                // One number an agent: `[R, S, N·1]`.
                Ok((critics.scores(&features, rows)?, features))
            }
        }
    }

    /// The values alone.
    pub fn values(&self, seen: &[Tensor], rows: &Rows, memory: &[Tensor]) -> Result<Tensor> {
        match &self.eyes {
            Eyes::Central { trunk, head } => trunk
                .forward_through(&seen[0], rows, memory.first(), head)?
                .squeeze(D::Minus1),
            // One number an agent: `[R, S, N·1]`.
            Eyes::Local(critics) => critics.scores_through(seen, rows, memory),
        }
    }

    /// What it remembers after the last of `rows`, the first of those with `features`.
    pub fn memory(&self, features: &[Tensor], rows: &Rows) -> Result<Memory> {
        match &self.eyes {
            Eyes::Central { trunk, .. } => {
                Ok(trunk.memory(&features[0], rows)?.into_iter().collect())
            }
            Eyes::Local(critics) => critics.memory(features, rows),
        }
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        match &self.eyes {
            Eyes::Central { trunk, head } => {
                let mut variables = trunk.variables();
                variables.extend(head.variables());
                variables
            }
            Eyes::Local(critics) => critics.variables(),
        }
    }
}

/// Rows of joint observations with the state after each, where there is one: `[S, Σ observation]` and
/// `[S, state]`.
pub(crate) fn with_state(joint: &[f32], state: &[f32], rows: usize) -> Vec<f32> {
    if state.is_empty() {
        return joint.to_vec();
    }
    let both = (joint.chunks_exact(joint.len() / rows)).zip(state.chunks_exact(state.len() / rows));
    let mut rows = Vec::with_capacity(joint.len() + state.len());
    for (joint, state) in both {
        rows.extend_from_slice(joint);
        rows.extend_from_slice(state);
    }
    rows
}
