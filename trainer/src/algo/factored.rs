//! Policy gradient on a factored policy, with an optional annealed entropy bonus.
//!
//! ```text
//! L = − E[ A · Σ_i log π_i(a_i | o_i) ] − τ · Σ_i H(π_i)
//! ```
//!
//! Williams 1992 (REINFORCE) on the product of marginals, with a centralised critic as the
//! baseline: the proposal's "vanilla policy gradient". Where a batch is gone through several times, as
//! in all longer tasks, Σ_i log π_i becomes the clipped ratio of ∏ π_i (PPO, Schulman et al. 2017): one
//! ratio for the team, where IPPO and MAPPO have one an agent. It is what the method is held against, what
//! most arms of its portfolio run, and what the method itself becomes at the end of its ramp.

use serde::{Deserialize, Serialize};

use super::actor_critic::{Loss, Rates};
use super::temperature::Temperature;
use crate::net::critic::View;

/// Settings of a factored arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FactoredConfig {
    /// Adam's step size for the marginals.
    pub learning_rate: f64,
    /// Adam's step size for the critic.
    pub critic_learning_rate: f64,
    /// The entropy bonus.
    pub temperature: Temperature,
}

impl Default for FactoredConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.005,
            critic_learning_rate: 0.01,
            temperature: Temperature::None,
        }
    }
}

impl FactoredConfig {
    /// The same rates under another bonus.
    pub(crate) fn under(&self, temperature: Temperature) -> Self {
        Self {
            temperature,
            ..self.clone()
        }
    }

    pub(super) fn rates(&self) -> Rates {
        Rates {
            actor: self.learning_rate,
            critic: self.critic_learning_rate,
            temperature: self.temperature,
        }
    }
}

/// One likelihood ratio for the whole team: what is clipped is the product's.
pub(super) const LOSS: Loss = Loss {
    view: View::Central,
    by_agent: false,
};
