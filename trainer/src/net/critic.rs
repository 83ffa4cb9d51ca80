//! The centralised critic V(x): the expected return given the joint observation, used only
//! as a baseline while training.

use candle_core::{D, Device, Result, Tensor, Var};

use super::NetworkConfig;
use super::mlp::{GroupedMlp, MlpShape};
use crate::env::TeamSpec;
use crate::rng::Stream;

/// One value network a replica.
pub struct Critic {
    mlp: GroupedMlp,
}

impl Critic {
    /// Draws one critic a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let shape = MlpShape {
            inputs: spec.joint_observation(),
            hidden: network.hidden.clone(),
            outputs: 1,
            output_spread: 0.0,
        };
        Ok(Self {
            mlp: GroupedMlp::new(&shape, streams, device)?,
        })
    }

    /// observations `[R, S, Σ observation]` → values `[R, S]`.
    pub fn forward(&self, observations: &Tensor) -> Result<Tensor> {
        self.mlp.forward(observations)?.squeeze(D::Minus1)
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        self.mlp.variables()
    }
}
