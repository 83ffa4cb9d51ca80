//! The joint policy π_J(a | x) over the whole team's action, given the joint history x.
//!
//! It exists only while training. A *trunk* turns what the team has seen into features; a *head*
//! turns features into a distribution over joint actions:
//!
//! | head | for | size |
//! |---|---|---|
//! | [`Enumerated`] | small products of action sets | ∏ Aᵢ outputs |
//! | [`Autoregressive`] | any number of agents and actions | linear in N |
//! | [`JointGaussian`] | continuous actions | full covariance across agents |
//!
//! The method needs five quantities of it ([`JointEvaluation`]), whatever the head.

use candle_core::{Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::autoregressive::Autoregressive;
use super::choices::Choices;
use super::enumerated::{Enumerated, LARGEST_ENUMERATION};
use super::gaussian::JointGaussian;
use super::marginal::{CrewTensors, Marginals, Memory};
use super::output::MarginalOutput;
use super::trunk::Trunk;
use super::{NetworkConfig, Rows};
use crate::env::TeamSpec;
use crate::rng::Stream;

/// What a joint policy says of a batch, beside the marginals' own opinion. All `[R, S]`.
///
/// Where a quantity is estimated rather than summed (autoregressive heads), its value is an
/// unbiased estimate and its gradient that of the expectation, as long as the policy itself drew the
/// actions: in the first gradient step on a batch.
pub struct JointEvaluation {
    /// log π_J(a | x) of the joint actions taken.
    pub log_prob: Tensor,
    /// H(π_J), in nats; of a normal distribution as far as breadth earns a bonus.
    pub entropy: Tensor,
    /// TC = KL(π_J ‖ ∏ marg_i π_J), in nats: agents leaning on each other's dice.
    pub total_correlation: Tensor,
    /// IG = Σ_i KL(marg_i π_J ‖ π_i), in nats, with π_i held constant: agents leaning on what
    /// they cannot see. Differentiable in the joint policy only.
    pub information_gap: Tensor,
    /// −Σ_i E_{a_i ∼ marg_i π_J} log π_i(a_i), with π_J held constant: the marginals' side of
    /// KL(π_J ‖ ∏ π_i). Differentiable in the marginals only.
    pub marginal_fit: Tensor,
    /// What the head minimises beside the method's loss, where it keeps parameters of its own
    /// for estimates.
    pub auxiliary: Option<Tensor>,
}

/// How a joint policy is put together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JointConfig {
    /// The distribution over joint actions.
    pub head: HeadChoice,
    /// What it sees.
    pub sees: Sees,
    /// Whether it has a trunk of its own: one over the joint observation or, where agents speak alike or their own
    /// histories are all it sees, the marginals' kind of trunk over each agent's.
    pub trunk: TrunkChoice,
    /// In which order agents are asked, where one is asked after the other.
    pub order: Order,
}

impl Default for JointConfig {
    fn default() -> Self {
        Self {
            head: HeadChoice::Auto,
            sees: Sees::JointHistory,
            trunk: TrunkChoice::Separate,
            order: Order::Fixed,
        }
    }
}

impl JointConfig {
    /// Whether a joint policy that asks agents one after another has one set of weights for all: where
    /// all are of one kind and share their marginals' too.
    pub fn speaks_alike(&self, network: &NetworkConfig, spec: &TeamSpec) -> bool {
        let (first, others) = spec.agents.split_first().expect("a team has agents");
        let one_kind = !others.is_empty() && others.iter().all(|agent| agent == first);
        network.share && one_kind && !spec.is_continuous() && !self.enumerates(spec)
    }

    /// Whether what it does for an agent depends on that agent's own history and the actions before alone.
    pub fn sees_own(&self, spec: &TeamSpec) -> bool {
        match self.sees {
            Sees::Auto => !spec.is_continuous() && self.head != HeadChoice::Enumerated,
            Sees::JointHistory => false,
            Sees::OwnHistory => true,
        }
    }

    /// Whether a team's joint actions are enumerated.
    pub fn enumerates(&self, spec: &TeamSpec) -> bool {
        let sizes = spec.agents.iter().map(|agent| agent.actions.size() as f64);
        let most = match spec.horizon {
            1 => LARGEST_ENUMERATION,
            _ => AUTO_ENUMERATION,
        };
        let few = sizes.product::<f64>() <= most as f64;
        match self.head {
            _ if spec.is_continuous() => false,
            HeadChoice::Auto => !self.sees_own(spec) && few,
            HeadChoice::Enumerated => true,
            HeadChoice::Autoregressive => false,
        }
    }
}

/// The kind of head. Continuous teams have a Gaussian, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadChoice {
    /// Enumerated where all histories are seen and joint actions are few: up to [`AUTO_ENUMERATION`], in one-shot games
    /// [`LARGEST_ENUMERATION`]. Else autoregressive.
    Auto,
    /// One softmax over all joint actions.
    Enumerated,
    /// One agent after another.
    Autoregressive,
}

/// What the joint policy sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sees {
    /// `OwnHistory` where agents are asked one after the other, which those with discrete actions then are;
    /// `JointHistory` where one distribution is over all of them: of vectors, or if `head` asks for it.
    Auto,
    /// The histories of all agents.
    JointHistory,
    /// For agent i's action: its own history and the actions of the agents asked before.
    OwnHistory,
}

/// Whose trunk the joint policy's head stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrunkChoice {
    /// Its own.
    Separate,
    /// The marginals': the proposal's "most parameters shared".
    Shared,
}

/// The order in which an autoregressive head asks the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Agent order.
    Fixed,
    /// A new one every update.
    Shuffled,
}

/// Joint actions up to which [`HeadChoice::Auto`] enumerates in tasks of many steps where all histories are seen. In
/// one-shot games it does so up to [`LARGEST_ENUMERATION`]: there a softmax over them all is what escapes the local
/// optima of a product, and agents asked in turn do not.
pub const AUTO_ENUMERATION: usize = 128;

/// What a head reads.
pub enum Features {
    /// Of the joint history, `[R, S, F]`.
    Joint(Tensor),
    /// Of each agent's own history, `[R, S, N, F]`; where agents speak alike and see the joint history,
    /// beside the mean over the team.
    Own(Tensor),
}

/// A distribution over joint actions, given features.
pub trait JointHead: Send {
    /// Evaluates a batch. `actions`: those taken (`[R, S, N]` or `[R, S, Σ dimensions]`);
    /// `drawn`: those this policy itself drew in the same places, where it was not they.
    fn evaluate(
        &self,
        features: &Features,
        marginals: &MarginalOutput,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
        drawn: Option<&Tensor>,
    ) -> Result<JointEvaluation>;

    /// Draws one joint action a row (or takes the most probable). `streams`: one a replica.
    fn choose(
        &self,
        features: &Features,
        forbidden: Option<&Tensor>,
        streams: &mut [Stream],
        greedy: bool,
    ) -> Result<Choices>;

    /// log π_J of joint actions, `[R, S]`.
    fn log_prob(
        &self,
        features: &Features,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
    ) -> Result<Tensor>;

    /// log π(a | x, a_<i) of everything that each agent could do after what those asked before it
    /// did, where they are asked one after the other: `[R, S, N·A]`. actions: `[R, S, N]`.
    fn log_conditionals(
        &self,
        _: &Features,
        _: Option<&Tensor>,
        _: &Tensor,
    ) -> Option<Result<Tensor>> {
        None
    }

    /// The whole distribution, where it is enumerated: `[R, S, K]`, agent 0 slowest.
    fn probs(&self, _: &Features) -> Option<Result<Tensor>> {
        None
    }

    /// Sets the order in which agents are asked.
    fn set_order(&mut self, _: &[u32]) {}

    /// All parameters, in a fixed order.
    fn variables(&self) -> Vec<Var>;
}

/// The joint policies of R replicas.
pub struct Joint {
    trunk: JointTrunk,
    head: Box<dyn JointHead>,
    arrangement: Arrangement,
}

/// What becomes of the features of each agent's history before a head reads them.
#[derive(Clone, Copy)]
enum Arrangement {
    /// Each agent's by themselves.
    Own,
    /// Each agent's beside the mean over the team.
    BesideMean,
    /// All in one.
    SideBySide,
}

enum JointTrunk {
    /// Over the joint observation.
    Joint(Trunk),
    /// Over each agent's own observation, shared as the marginals' are.
    Own(Marginals),
    /// The marginals'.
    Shared,
}

impl Joint {
    /// Draws one joint policy a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        marginals: &Marginals,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let config = &network.joint;
        let agents = spec.agents.len();
        let arrangement = if config.sees_own(spec) {
            Arrangement::Own
        } else if config.speaks_alike(network, spec) {
            Arrangement::BesideMean
        } else {
            Arrangement::SideBySide
        };
        let width = |by_agent: usize| match arrangement {
            Arrangement::Own => by_agent,
            Arrangement::BesideMean => 2 * by_agent,
            Arrangement::SideBySide => agents * by_agent,
        };
        let (trunk, width) = match (config.trunk, arrangement) {
            (TrunkChoice::Shared, _) => (JointTrunk::Shared, width(marginals.feature_width())),
            (TrunkChoice::Separate, Arrangement::SideBySide) => {
                let trunk = Trunk::new(spec.joint_observation(), network, streams, device)?;
                let width = trunk.outputs();
                (JointTrunk::Joint(trunk), width)
            }
            (TrunkChoice::Separate, _) => {
                let trunks = Marginals::new(spec, network, streams, device)?;
                let width = width(trunks.feature_width());
                (JointTrunk::Own(trunks), width)
            }
        };
        let head: Box<dyn JointHead> = if spec.is_continuous() {
            Box::new(JointGaussian::new(spec, width, network, streams, device)?)
        } else if config.enumerates(spec) {
            Box::new(Enumerated::new(spec, width, network, streams, device)?)
        } else {
            Box::new(Autoregressive::new(spec, width, network, streams, device)?)
        };
        Ok(Self {
            trunk,
            head,
            arrangement,
        })
    }

    /// Features of a batch. `joint`: `[R, T·B, Σ observation]`; `own`: what the crews see;
    /// `of_marginals`: the marginals' features. Also what the trunk remembers after it.
    pub fn features(
        &self,
        joint: &Tensor,
        own: &[Tensor],
        marginals: &Marginals,
        of_marginals: &CrewTensors,
        rows: &Rows,
        memory: &[Tensor],
    ) -> Result<(Features, Memory)> {
        let (by_agent, memory) = match &self.trunk {
            JointTrunk::Joint(trunk) => {
                let features = trunk.forward(joint, rows, memory.first())?;
                let memory = trunk.memory(&features, rows)?;
                return Ok((Features::Joint(features), memory.into_iter().collect()));
            }
            JointTrunk::Own(trunks) => {
                let features = trunks.features(own, rows, memory)?;
                let memory = trunks.memory(&features, rows)?;
                (trunks.features_by_agent(&features, rows)?, memory)
            }
            JointTrunk::Shared => (marginals.features_by_agent(of_marginals, rows)?, Vec::new()),
        };
        let (replicas, samples, agents, width) = by_agent.dims4()?;
        let features = match self.arrangement {
            Arrangement::Own => Features::Own(by_agent),
            Arrangement::BesideMean => {
                let team = by_agent.mean_keepdim(2)?.broadcast_as(by_agent.shape())?;
                Features::Own(Tensor::cat(&[&by_agent, &team], 3)?)
            }
            Arrangement::SideBySide => {
                Features::Joint(by_agent.reshape((replicas, samples, agents * width))?)
            }
        };
        Ok((features, memory))
    }

    /// The distribution over joint actions.
    pub fn head(&self) -> &dyn JointHead {
        self.head.as_ref()
    }

    /// The same, to change its order.
    pub fn head_mut(&mut self) -> &mut dyn JointHead {
        self.head.as_mut()
    }

    /// All parameters that the joint policy does not share, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        let mut variables = match &self.trunk {
            JointTrunk::Joint(trunk) => trunk.variables(),
            JointTrunk::Own(trunks) => trunks.trunk_variables(),
            JointTrunk::Shared => Vec::new(),
        };
        variables.extend(self.head.variables());
        variables
    }
}

#[cfg(test)]
mod tests;
