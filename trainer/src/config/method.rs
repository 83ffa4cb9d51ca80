//! Methods and the arms they are made of.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Config;
use crate::algo::ArmKind;
use crate::algo::anneal::Variant;
use crate::algo::value::Mixing;
use crate::net::critic::View;

/// How a team learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Learn a joint policy and anneal it into marginals, in a portfolio of arms.
    Annealed,
    /// Policy gradient on the product of marginals: in longer tasks PPO with one ratio for the team.
    Factored,
    /// A joint policy, and marginals fitted to it that never act.
    Joint,
    /// The mixture without the divergence.
    MixtureOnly,
    /// The divergence without the mixture.
    KlOnly,
    /// Clipped policy gradient of every agent over its own critic.
    Ippo,
    /// Clipped policy gradient of every agent over a central critic.
    Mappo,
    /// Counterfactual multi-agent policy gradients.
    Coma,
    /// Multi-agent guided policy optimisation.
    Magpo,
    /// Pairwise common knowledge reinforcement learning.
    Mackrl,
    /// Independent Q-learning.
    Iql,
    /// Value decomposition by a sum.
    Vdn,
    /// Value decomposition by a monotonic network.
    Qmix,
    /// Value decomposition by what is best, without a form for the team's value.
    Qtran,
    /// Deterministic policies under a centralised critic.
    Maddpg,
}

impl Method {
    /// Every method, in the order in which they are listed.
    pub const ALL: [Self; 15] = [
        Self::Annealed,
        Self::Factored,
        Self::Joint,
        Self::MixtureOnly,
        Self::KlOnly,
        Self::Ippo,
        Self::Mappo,
        Self::Coma,
        Self::Magpo,
        Self::Mackrl,
        Self::Iql,
        Self::Vdn,
        Self::Qmix,
        Self::Qtran,
        Self::Maddpg,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Annealed => "annealed",
            Self::Factored => "factored",
            Self::Joint => "joint",
            Self::MixtureOnly => "mixture-only",
            Self::KlOnly => "kl-only",
            Self::Ippo => "ippo",
            Self::Mappo => "mappo",
            Self::Coma => "coma",
            Self::Magpo => "magpo",
            Self::Mackrl => "mackrl",
            Self::Iql => "iql",
            Self::Vdn => "vdn",
            Self::Qmix => "qmix",
            Self::Qtran => "qtran",
            Self::Maddpg => "maddpg",
        }
    }

    /// What it does, in one line.
    pub fn description(self) -> &'static str {
        match self {
            Self::Annealed => {
                "learn a joint policy, anneal it into marginals; on short tasks a portfolio of arms, the best kept"
            }
            Self::Factored => {
                "policy gradient on the product, in long tasks PPO with one ratio for the team; \
                 `--set factored.temperature={…}` adds annealed entropy"
            }
            Self::Joint => "ablation: learn a joint policy, then take its marginals",
            Self::MixtureOnly => "ablation: act with the mixture, no divergence (λ = 0)",
            Self::KlOnly => "ablation: the divergence alone, the joint policy always acts (β = 0)",
            Self::Ippo => "PPO of every agent by itself, over a critic of what it alone sees",
            Self::Mappo => "PPO of every agent by itself, over a central critic",
            Self::Coma => "counterfactual policy gradient over a central critic of actions",
            Self::Mackrl => "pairs commanded by what they know in common, or left to themselves",
            Self::Magpo => {
                "an autoregressive guider acts, within a ratio of agents that imitate it"
            }
            Self::Iql => "independent Q-learning: every agent values its actions by itself",
            Self::Vdn => "value decomposition: the team's value is the sum of the agents'",
            Self::Qmix => {
                "value decomposition: a monotonic network of the agents' values, made by the state"
            }
            Self::Qtran => {
                "value decomposition: any team value, met by the agents' sum at what is best"
            }
            Self::Maddpg => {
                "deterministic policies under a central critic; discrete by Gumbel-softmax"
            }
        }
    }

    /// The method that is called so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The one arm that gets all steps; `None` for the portfolio.
    pub(super) fn arm(self) -> Option<ArmName> {
        match self {
            Self::Annealed => None,
            Self::Factored => Some(ArmName::Factored),
            Self::Joint => Some(ArmName::Joint),
            Self::MixtureOnly => Some(ArmName::MixtureOnly),
            Self::KlOnly => Some(ArmName::KlOnly),
            Self::Ippo => Some(ArmName::Ippo),
            Self::Mappo => Some(ArmName::Mappo),
            Self::Coma => Some(ArmName::Coma),
            Self::Magpo => Some(ArmName::Magpo),
            Self::Mackrl => Some(ArmName::Mackrl),
            Self::Iql => Some(ArmName::Iql),
            Self::Vdn => Some(ArmName::Vdn),
            Self::Qmix => Some(ArmName::Qmix),
            Self::Qtran => Some(ArmName::Qtran),
            Self::Maddpg => Some(ArmName::Maddpg),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An arm by name; the table it is set in follows in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArmName {
    /// The annealed loss, `[annealed]`.
    Annealed,
    /// Factored policy gradient, `[factored]`.
    Factored,
    /// Factored with a strong entropy bonus, `[portfolio.explore-strong]`.
    ExploreStrong,
    /// Factored with a mild entropy bonus, `[portfolio.explore-mild]`.
    ExploreMild,
    /// Annealed without mixture and divergence, `[annealed]`.
    Joint,
    /// Annealed without the divergence, `[annealed]`.
    MixtureOnly,
    /// Annealed without the mixture, `[annealed]`.
    KlOnly,
    /// Every agent by itself over its own critic, `[ippo]`.
    Ippo,
    /// Every agent by itself over a central critic, `[mappo]`.
    Mappo,
    /// Counterfactual policy gradients, `[coma]`.
    Coma,
    /// A guider and the agents that imitate it, `[magpo]`.
    Magpo,
    /// Controllers of pairs over the agents' own policies, `[mackrl]`.
    Mackrl,
    /// Independent Q-learning, `[value]`.
    Iql,
    /// Values added up, `[value]`.
    Vdn,
    /// Values mixed monotonically, `[value]`.
    Qmix,
    /// Values that add up where it counts, `[value]` and `[qtran]`.
    Qtran,
    /// Deterministic policies, `[maddpg]`.
    Maddpg,
}

impl ArmName {
    /// Every arm.
    pub const ALL: [Self; 17] = [
        Self::Annealed,
        Self::Factored,
        Self::ExploreStrong,
        Self::ExploreMild,
        Self::Joint,
        Self::MixtureOnly,
        Self::KlOnly,
        Self::Ippo,
        Self::Mappo,
        Self::Coma,
        Self::Magpo,
        Self::Mackrl,
        Self::Iql,
        Self::Vdn,
        Self::Qmix,
        Self::Qtran,
        Self::Maddpg,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Annealed => "annealed",
            Self::Factored => "factored",
            Self::ExploreStrong => "explore-strong",
            Self::ExploreMild => "explore-mild",
            Self::Joint => "joint",
            Self::MixtureOnly => "mixture-only",
            Self::KlOnly => "kl-only",
            Self::Ippo => "ippo",
            Self::Mappo => "mappo",
            Self::Coma => "coma",
            Self::Magpo => "magpo",
            Self::Mackrl => "mackrl",
            Self::Iql => "iql",
            Self::Vdn => "vdn",
            Self::Qmix => "qmix",
            Self::Qtran => "qtran",
            Self::Maddpg => "maddpg",
        }
    }

    /// Whether the arm learns a joint policy beside the marginals.
    pub fn has_joint(self) -> bool {
        match self {
            Self::Annealed | Self::Joint | Self::MixtureOnly | Self::KlOnly => true,
            Self::Factored | Self::ExploreStrong | Self::ExploreMild => false,
            Self::Ippo | Self::Mappo | Self::Coma => false,
            Self::Magpo | Self::Mackrl => true,
            Self::Iql | Self::Vdn | Self::Qmix | Self::Qtran | Self::Maddpg => false,
        }
    }

    /// Whether its joint policy is annealed into the marginals along a ramp.
    pub fn anneals(self) -> bool {
        matches!(
            self,
            Self::Annealed | Self::Joint | Self::MixtureOnly | Self::KlOnly
        )
    }

    /// Whether it learns discrete actions only.
    pub fn is_discrete_only(self) -> bool {
        matches!(self, Self::Coma | Self::Magpo | Self::Mackrl)
    }

    /// Whether it learns from what it remembers; its policies are made to be followed greedily.
    pub fn is_off_policy(self) -> bool {
        self.has_values() || self == Self::Maddpg
    }

    /// Whether its agents' outputs are values of actions: a team that takes the largest acts by
    /// them, dice would mean nothing.
    pub fn has_values(self) -> bool {
        matches!(self, Self::Iql | Self::Vdn | Self::Qmix | Self::Qtran)
    }

    /// The arm with its settings.
    pub(super) fn kind(self, config: &Config) -> ArmKind {
        let annealed = |variant| ArmKind::Annealed(variant, config.annealed.clone());
        let value = || config.value.clone().unwrap_or_default();
        let mixed = |mixing| ArmKind::Value(mixing, value());
        match self {
            Self::Annealed => annealed(Variant::Annealed),
            Self::Joint => annealed(Variant::Joint),
            Self::MixtureOnly => annealed(Variant::MixtureOnly),
            Self::KlOnly => annealed(Variant::KlOnly),
            Self::Iql => mixed(Mixing::Independent),
            Self::Vdn => mixed(Mixing::Sum),
            Self::Qmix => mixed(Mixing::Monotonic),
            Self::Qtran => ArmKind::Qtran(value(), config.qtran.clone().unwrap_or_default()),
            Self::Maddpg => ArmKind::Maddpg(config.maddpg.clone().unwrap_or_default()),
            Self::Factored => ArmKind::Factored(config.factored.clone()),
            Self::ExploreStrong => ArmKind::Factored(config.portfolio.explore_strong.clone()),
            Self::ExploreMild => ArmKind::Factored(config.portfolio.explore_mild.clone()),
            Self::Ippo => ArmKind::Ppo(View::Local, config.ippo.clone().unwrap_or_default()),
            Self::Mappo => ArmKind::Ppo(View::Central, config.mappo.clone().unwrap_or_default()),
            Self::Coma => ArmKind::Coma(config.coma.clone().unwrap_or_default()),
            Self::Magpo => ArmKind::Magpo(config.magpo.clone().unwrap_or_default()),
            Self::Mackrl => ArmKind::Mackrl(config.mackrl.clone().unwrap_or_default()),
        }
    }
}

impl fmt::Display for ArmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_words_that_files_use() {
        for method in Method::ALL {
            assert_eq!(
                toml::Value::try_from(method).unwrap().as_str(),
                Some(method.name())
            );
        }
        for arm in ArmName::ALL {
            assert_eq!(
                toml::Value::try_from(arm).unwrap().as_str(),
                Some(arm.name())
            );
        }
    }
}
