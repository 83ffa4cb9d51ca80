//! The centralised critic V: the expected return given what the whole team has seen, and the
//! simulator's state where the environment shows one. A baseline while training, nothing else.
//!
//! A critic of the state alone would be biased where policies remember (Lyu et al., *A Deeper
//! Understanding of State-Based Critics in Multi-Agent Reinforcement Learning*, AAAI 2022): with
//! memory the critic has memory too, over observations and state together.

use candle_core::{D, Device, Result, Tensor, Var};

use super::fused::Activation;
use super::marginal::OUTPUT_GAIN;
use super::trunk::{Dense, Trunk};
use super::{NetworkConfig, Rows};
use crate::env::TeamSpec;
use crate::rng::Stream;

/// Rows of joint observations with the state after each: `[S, Σ observation]` and `[S, state]`.
pub(crate) fn with_state(joint: &[f32], state: &[f32], rows: usize) -> Vec<f32> {
    let joint = joint.chunks_exact(joint.len() / rows);
    let state = state.chunks_exact(state.len() / rows);
    (joint.zip(state))
        .flat_map(|(a, b)| [a, b].concat())
        .collect()
}

/// One value network a replica.
pub struct Critic {
    trunk: Trunk,
    head: Dense,
}

impl Critic {
    /// Draws one critic a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let inputs = Self::inputs(spec, network);
        let trunk = Trunk::new(inputs, &network.hidden, network.memory, streams, device)?;
        let head = Dense::new([trunk.outputs(), 1], [OUTPUT_GAIN, 0.0], streams, device)?;
        Ok(Self { trunk, head })
    }

    /// Length of what it sees: the joint observation and, if it may, the state.
    pub fn inputs(spec: &TeamSpec, network: &NetworkConfig) -> usize {
        spec.joint_observation()
            + if network.critic_sees_state {
                spec.state
            } else {
                0
            }
    }

    /// What it sees, `[R, T·B, inputs]`, → values `[R, T·B]` and the features they come from.
    /// `memory`: before the first row.
    pub fn forward(
        &self,
        seen: &Tensor,
        rows: &Rows,
        memory: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let features = self.trunk.forward(seen, rows, memory)?;
        let values = self.head.forward(&features, Activation::Identity)?;
        Ok((values.squeeze(D::Minus1)?, features))
    }

    /// What it remembers after the last of `rows`, the first of those with `features`.
    pub fn memory(&self, features: &Tensor, rows: &Rows) -> Result<Option<Tensor>> {
        self.trunk.memory(features, rows)
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        let mut variables = self.trunk.variables();
        variables.extend(self.head.variables());
        variables
    }
}
