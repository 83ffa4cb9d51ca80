//! Value decomposition: one learner, three mixers.
//!
//! ```text
//! L = E[ (Q_tot(h, a, s) − y)² ]      y = r + γ Q⁻_tot(h', a⁺, s'),   a⁺_i = argmax_a Q_i(h'_i, a)
//!                                     (λ = 0; else the λ-return, `Sample::returns`)
//! Q_tot = mix(Q_1(h_1, a_1) … Q_N(h_N, a_N); s)
//! ```
//!
//! With no mixing every agent has a loss of its own, of the team's reward: independent Q-learning
//! (Tan 1993; Tampuu et al. 2017). With the sum: VDN (Sunehag et al. 2018). With a monotonic
//! network: QMIX (Rashid et al. 2018, equations 6 and 7). Q⁻ are target networks; a⁺ is chosen by
//! the networks that learn and valued by the others (double Q-learning, van Hasselt et al. 2016).
//! Both sum and network let every agent maximise its own value to maximise the team's.

use candle_core::{Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::explore::{Exploration, best, explore, of_actions};
use super::off_policy::{Loss, Making, OffPolicy, OffPolicyConfig, Rule, Shown, weighted};
use super::sample::{Central, Sample};
use super::{Algorithm, JointValues, streams};
use crate::net::{
    Choices, Marginals, Mixer, MixerConfig, Monotonic, NetworkConfig, Rows, TargetConfig,
};
use crate::rng::Stream;

/// Which of the three it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixing {
    /// IQL.
    Independent,
    /// VDN.
    Sum,
    /// QMIX.
    Monotonic,
}

/// Settings of value-based learners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValueConfig {
    /// Whether what is best next is chosen by the networks that learn, not by the target networks.
    pub double: bool,
    /// λ of the returns that values are learned from: 0 bootstraps after every step.
    pub trace: f64,
    /// How agents explore.
    pub exploration: Exploration,
    /// QMIX's mixing network.
    pub mixer: MixerConfig,
    /// Replay, gradient steps, target networks.
    pub off_policy: OffPolicyConfig,
}

impl Default for ValueConfig {
    fn default() -> Self {
        Self {
            double: true,
            trace: 0.0,
            exploration: Exploration::default(),
            mixer: MixerConfig::default(),
            off_policy: OffPolicyConfig::default(),
        }
    }
}

impl ValueConfig {
    /// Settings under a time limit, where rewards are rare and episodes that are cut off are bootstrapped
    /// from: in `lbf-2s-8x8-2p-2f-coop` values learned from single steps climbed to ten times what VDN and
    /// QMIX earned.
    pub(crate) fn time_limit() -> Self {
        Self {
            trace: 0.6,
            off_policy: OffPolicyConfig {
                learning_rate: 3e-4,
                gradient_steps: 2.0,
                target: TargetConfig::soft(),
                ..OffPolicyConfig::default()
            },
            ..Self::default()
        }
    }
}

/// The rule.
struct Value {
    double: bool,
    trace: f64,
    exploration: Exploration,
    mixer: Mixer,
    late_mixer: Mixer,
    late: Marginals,
}

/// A learner for every seed.
pub(super) fn make(
    mixing: Mixing,
    config: &ValueConfig,
    making: &Making<'_>,
) -> Result<Box<dyn Algorithm>> {
    let network = &from_zero(making.network);
    let making = Making { network, ..*making };
    let rule = Value::new(mixing, config, &making)?;
    let marginals = making.marginals("marginals")?;
    let learner = OffPolicy::new(rule, marginals, &config.off_policy, &making)?;
    Ok(Box::new(learner))
}

/// Networks whose first values are near 0: a spread of first policies would be one of values.
pub(super) fn from_zero(network: &NetworkConfig) -> NetworkConfig {
    NetworkConfig {
        output_spread: 0.0,
        ..network.clone()
    }
}

impl Value {
    fn new(mixing: Mixing, config: &ValueConfig, making: &Making<'_>) -> Result<Self> {
        let width = Self::CENTRAL.width(making.spec, making.network);
        let agents = making.spec.agents.len();
        let mixer = || -> Result<Mixer> {
            Ok(match mixing {
                Mixing::Independent => Mixer::None,
                Mixing::Sum => Mixer::Sum,
                Mixing::Monotonic => Mixer::Monotonic(Box::new(Monotonic::new(
                    agents,
                    width,
                    &config.mixer,
                    &mut streams(making.seeds, "mixer"),
                    making.device,
                )?)),
            })
        };
        Ok(Self {
            double: config.double,
            trace: config.trace,
            exploration: config.exploration,
            mixer: mixer()?,
            late_mixer: mixer()?,
            late: making.marginals("marginals")?,
        })
    }
}

impl Rule for Value {
    const CENTRAL: Central = Central::State;

    fn moved(&self, marginals: &Marginals) -> Vec<Vec<Var>> {
        vec![[marginals.variables(), self.mixer.variables()].concat()]
    }

    fn copied(&self, marginals: &Marginals) -> [Vec<Var>; 2] {
        [
            [marginals.variables(), self.mixer.variables()].concat(),
            [self.late.variables(), self.late_mixer.variables()].concat(),
        ]
    }

    fn loss(
        &self,
        _: usize,
        marginals: &Marginals,
        sample: &Sample,
        _: &mut [Stream],
    ) -> Result<Loss> {
        let (rows, agents) = (&sample.rows, marginals.agents());
        let values = marginals.scores_through(&sample.own, rows, &[])?;
        let chosen = of_actions(&sample.before(&values)?, &sample.actions, agents)?;
        let total = self.mixer.mix(&chosen, &sample.before(&sample.central)?)?;

        let late = self.late.scores_through(&sample.own, rows, &[])?;
        let late = sample.after(&late)?.detach();
        let chooses = match self.double {
            true => sample.after(&values)?,
            false => late.clone(),
        };
        let next = best(&chooses, &sample.forbidden_after()?, agents)?;
        let next = of_actions(&late, &next, agents)?;
        let next = (self.late_mixer).mix(&next, &sample.after(&sample.central)?)?;
        let target = sample.returns(&next.detach(), self.trace)?;

        // One column, or one an agent.
        let error = (&total - target)?.sqr()?.mean(2)?;
        Ok(Loss {
            total: weighted(&error, &sample.weights)?,
            measured: Some([error, total.mean(2)?]),
        })
    }

    fn explore(
        &self,
        marginals: &Marginals,
        features: &[Tensor],
        rows: &Rows,
        forbidden: Option<&Tensor>,
        time: f64,
        dice: &mut [Stream],
    ) -> Result<Choices> {
        let epsilon = self.epsilon(time);
        explore(marginals, features, rows, forbidden, epsilon, dice)
    }

    fn worth(
        &self,
        marginals: &Marginals,
        shown: &Shown,
        actions: &Tensor,
    ) -> Result<Option<JointValues>> {
        if matches!(self.mixer, Mixer::None) {
            return Ok(None);
        }
        let Shown { rows, own, central } = shown;
        let values = marginals.scores_through(own, rows, &[])?;
        let chosen = of_actions(&values, actions, marginals.agents())?;
        let team = self.mixer.mix(&chosen, central)?.squeeze(2)?;
        Ok(Some(JointValues {
            apart: team.clone(),
            team,
        }))
    }

    fn epsilon(&self, time: f64) -> f64 {
        self.exploration.at(time)
    }
}

#[cfg(test)]
mod tests;
