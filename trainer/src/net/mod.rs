//! Networks: the marginals that will leave the workstation, the joint policy and the critic
//! that will not.
//!
//! Every network here is *grouped*: `G` independent networks of one shape go through each
//! operation as a batch (`G` = replicas, or replicas × agents). Small networks are bound by
//! the cost of launching operations, so a hundred seeds cost little more than one; and since
//! no operation mixes groups, a replica's numbers do not depend on its neighbours.

pub mod action_critic;
pub mod activation;
pub mod autoregressive;
pub mod choices;
pub mod counterfactual;
pub mod critic;
pub mod enumerated;
pub mod fused;
pub mod gaussian;
pub mod joint;
pub mod lagging;
pub mod marginal;
pub mod mixer;
pub mod mlp;
pub mod normaliser;
pub mod output;
pub mod pairs;
pub mod rows;
pub mod size;
pub mod triangular;
pub mod trunk;
pub mod weights;

pub use action_critic::ActionCritic;
pub use choices::{Choices, by_replica};
pub use critic::Critic;
pub use joint::{Features, Joint, JointConfig, JointEvaluation, JointHead};
pub use lagging::{Lagging, TargetConfig};
pub use marginal::{CrewTensors, FORBIDDEN, Marginals, Memory};
pub use mixer::{Mixer, MixerConfig, Monotonic};
pub use mlp::DenseWeights;
pub use normaliser::{Normalisation, Normaliser};
pub use output::MarginalOutput;
pub use rows::Rows;
pub use weights::{GruWeights, HeadWeights, LayerWeights, NetworkWeights};

use serde::{Deserialize, Serialize};

/// Sizes of every network and how it starts; one setting for marginals, joint and critic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Width of the GRU after them; 0: no memory.
    pub memory: usize,
    /// Whether agents of one kind share one network that is told whom it acts for.
    pub share: bool,
    /// Whether the critic sees the simulator's state beside all observations.
    pub critic_sees_state: bool,
    /// Standard deviation of the initial biases of a trunk's dense layers, in units of their weights'
    /// (1/√inputs): how far units' thresholds lie apart. With 0 all are at the mean of what they see, and
    /// numbers far from it look alike.
    pub hidden_spread: f64,
    /// Standard deviation of the first policy's logits: how far from uniform play a run starts.
    pub output_spread: f64,
    /// How the joint policy is put together.
    pub joint: JointConfig,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            hidden: vec![32],
            memory: 0,
            share: false,
            critic_sees_state: true,
            hidden_spread: 0.0,
            output_spread: 1.0,
            joint: JointConfig::default(),
        }
    }
}
