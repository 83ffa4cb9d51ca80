//! Networks: the marginals that will leave the workstation, the joint policy and the critic
//! that will not.
//!
//! Every network here is *grouped*: `G` independent networks of one shape go through each
//! operation as a batch (`G` = replicas, or replicas × agents). Small networks are bound by
//! the cost of launching operations, so a hundred seeds cost little more than one; and since
//! no operation mixes groups, a replica's numbers do not depend on its neighbours.

pub mod activation;
pub mod critic;
pub mod joint;
pub mod marginal;
pub mod mlp;
pub mod normaliser;
pub mod optimiser;
pub mod weights;

pub use critic::Critic;
pub use joint::{EnumeratedJoint, JointEvaluation, JointPolicy};
pub use marginal::{MarginalOutput, Marginals};
pub use mlp::{DenseWeights, GroupedMlp, MlpShape};
pub use normaliser::{Normalisation, Normaliser};
pub use optimiser::adam;
pub use weights::{GruWeights, HeadWeights, LayerWeights, NetworkWeights};

use serde::{Deserialize, Serialize};

/// Sizes of every network and how it starts; one setting for marginals, joint and critic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Standard deviation of the first policy's logits: how far from uniform play a run starts.
    pub output_spread: f64,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            hidden: vec![32],
            output_spread: 1.0,
        }
    }
}
