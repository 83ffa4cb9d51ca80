//! A value of joint actions, Q(x, a): what QTRAN and MADDPG learn about the team as a whole.
//!
//! ```text
//! f = trunk(x);   Q = w · relu(W [f, a] + b) + c
//! ```
//!
//! x is what the whole team has seen and the simulator's state where the environment shows one,
//! as for the [`Critic`]; actions enter after the trunk (as in Lillicrap et al.
//! 2016), so that a network with memory can be asked about other actions than those that were
//! taken, and several times about one history.

use candle_core::{D, Device, Result, Tensor, Var};

use super::fused::Activation;
use super::marginal::OUTPUT_GAIN;
use super::trunk::{Dense, Trunk};
use super::{Critic, NetworkConfig, Rows};
use crate::env::TeamSpec;
use crate::rng::Stream;

/// One such network a replica.
pub struct ActionCritic {
    trunk: Trunk,
    hidden: Dense,
    head: Dense,
}

impl ActionCritic {
    /// Draws one a replica, whose actions are `actions` numbers; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        actions: usize,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let inputs = Critic::inputs(spec, network);
        let trunk = Trunk::new(inputs, network, streams, device)?;
        let width = trunk.outputs();
        let hidden = Dense::new([width + actions, width], [1.0, 0.0], streams, device)?;
        let head = Dense::new([width, 1], [OUTPUT_GAIN, 0.0], streams, device)?;
        Ok(Self {
            trunk,
            hidden,
            head,
        })
    }

    /// What the trunk makes of x, `[R, T·B, inputs]` → `[R, T·B, F]`, from an episode's beginning.
    pub fn features(&self, seen: &Tensor, rows: &Rows) -> Result<Tensor> {
        self.trunk.forward(seen, rows, None)
    }

    /// Features `[R, S, F]` and actions `[R, S, actions]` → values `[R, S]`.
    pub fn values(&self, features: &Tensor, actions: &Tensor) -> Result<Tensor> {
        let both = Tensor::cat(&[features, actions], D::Minus1)?;
        let hidden = self.hidden.forward(&both, Activation::Relu)?;
        let values = self.head.forward(&hidden, Activation::Identity)?;
        values.squeeze(D::Minus1)
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        let mut variables = self.trunk.variables();
        variables.extend(self.hidden.variables());
        variables.extend(self.head.variables());
        variables
    }
}
