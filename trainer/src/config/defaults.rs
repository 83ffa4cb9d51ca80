//! What a run has where nothing is said: one default for all tasks of a kind, and what some methods ask for beside it.
//! (That of one-shot games is [`Config`]'s own `Default`.)

use super::{ArmName, Config, Method, PortfolioConfig};
use crate::algo::UpdateConfig;
use crate::algo::anneal::AnnealConfig;
use crate::algo::coma::ComaConfig;
use crate::algo::factored::FactoredConfig;
use crate::algo::maddpg::MaddpgConfig;
use crate::algo::magpo::MagpoConfig;
use crate::algo::qtran::QtranConfig;
use crate::algo::temperature::Temperature;
use crate::algo::value::ValueConfig;
use crate::env::TaskKind;
use crate::net::joint::Sees;
use crate::net::{JointConfig, NetworkConfig};
use crate::schedule::AnnealSchedule;
use crate::team::Choice;

/// The entropy bonus of Yu et al. 2022, in the same units: deviations of the advantage.
pub(super) const PUBLISHED_BONUS: Temperature = Temperature::Constant { value: 0.01 };

impl Config {
    /// The defaults for tasks of a kind: one setting for all of them.
    pub fn for_kind(kind: TaskKind) -> Self {
        match kind {
            TaskKind::OneShot => Self::default(),
            TaskKind::FiniteHorizon => Self::finite_horizon(),
            TaskKind::TimeLimit => Self::time_limit(),
        }
    }

    /// What a run of `method` has where nothing else is said, with the settings of every arm there is.
    pub(super) fn resolved(kind: TaskKind, method: Method) -> Self {
        let config = Self::for_kind(kind).for_method(method, kind);
        config.with_every_arm(kind)
    }

    /// The same for a method, where it asks for others: teams that follow values or deterministic
    /// policies do so greedily. Without memory they would take one action for ever wherever they see
    /// the same, so that agents with values remember on every task, as in their papers.
    fn for_method(mut self, method: Method, kind: TaskKind) -> Self {
        let Some(arm) = method.arm().filter(|arm| arm.is_off_policy()) else {
            return self;
        };
        self.act = Choice::Greedy;
        // What a replay remembers was normalised by moments that are gone.
        self.normalise_observations = false;
        if kind == TaskKind::TimeLimit {
            // MADDPG's are those of its paper (Lowe et al. 2017).
            (self.network.hidden, self.network.memory) = match arm.has_values() {
                true => (vec![64], 64),
                false => (vec![64, 64], 0),
            };
        }
        self
    }

    /// The same with the settings of every arm.
    fn with_every_arm(self, kind: TaskKind) -> Self {
        Self {
            value: Some(match kind {
                TaskKind::TimeLimit => ValueConfig::time_limit(),
                _ => ValueConfig::default(),
            }),
            qtran: Some(QtranConfig::default()),
            maddpg: Some(MaddpgConfig::default()),
            ..self
        }
    }

    /// Short episodes of a fixed length, whose observations must be remembered. Batches are large
    /// because what decides such a task may happen once in a hundred steps; τ starts high and falls
    /// for long.
    fn finite_horizon() -> Self {
        let factored = FactoredArms::with_learning_rates(0.003, 0.003);
        Self {
            steps: 2_000_000,
            batch: 0,
            network: NetworkConfig {
                hidden: vec![32],
                memory: 32,
                output_spread: 0.0,
                ..NetworkConfig::default()
            },
            update: UpdateConfig {
                minibatches: 8,
                ..UpdateConfig::clipped()
            },
            annealed: AnnealConfig {
                learning_rate: 0.003,
                critic_learning_rate: 0.003,
                schedule: AnnealSchedule {
                    // The higher, the sooner the joint policy must choose among what can be executed, while τ
                    // still lets it: `recycling-h4` is solved by 0 of 10 seeds with 1, by 5 with 10, 9 with 100
                    // and 10 with 1,000, with which `broadcast-h20` is not.
                    lambda_end: 100.0,
                    temperature_start: 0.3,
                    temperature_floor: 0.1,
                    temperature_per_gap: 0.1,
                    temperature_limit: 0.3,
                    ..AnnealSchedule::default()
                },
            },
            portfolio: PortfolioConfig {
                arms: vec![ArmName::Annealed, ArmName::ExploreStrong],
                selection: 0.1,
                finalists: 2,
                race: 0.0,
                explore_strong: factored.strong(),
                explore_mild: factored.mild(),
            },
            ..factored.rivals()
        }
    }

    /// Episodes that end when they are over, of agents alike: one network for all of a kind, and a joint
    /// policy with a trunk of its own: on theirs it learns faster, but what fits them to it moves the
    /// trunk as well, and once it has settled that is all that does. Product and joint policy act by turns
    /// from the start, and the product follows the joint policy only where that does better: where agents
    /// see what they need, it would wait for a teacher that knows nothing. They have no memory, as elsewhere in the field, so agents that are
    /// in each other's way must be free to draw lots.
    fn time_limit() -> Self {
        // .0005 is among MAPPO's own (Yu et al. 2022); with .001, and layers of 64, one of two factored runs of
        // `lbf-15x15-3p-5f` never left chance.
        let factored = FactoredArms::with_learning_rates(0.0005, 0.001);
        Self {
            steps: 5_000_000,
            batch: 32,
            act: Choice::Sampled,
            // Rows, columns and levels, targets up to 99: as they come, they saturate a layer of tanh.
            normalise_observations: true,
            network: NetworkConfig {
                // Better than 64 in the warehouse and the particle environments, and slower.
                hidden: vec![128, 128],
                memory: 0,
                share: true,
                // As soon learned as a product, where a joint policy that sees all is not: it leads in the
                // warehouse, and what it teaches can be executed.
                joint: JointConfig {
                    sees: Sees::Auto,
                    ..JointConfig::default()
                },
                output_spread: 0.0,
                ..NetworkConfig::default()
            },
            update: UpdateConfig {
                minibatches: 4,
                discount: 0.99,
                ..UpdateConfig::clipped()
            },
            annealed: AnnealConfig {
                learning_rate: factored.learning_rate,
                critic_learning_rate: factored.critic_learning_rate,
                schedule: AnnealSchedule {
                    lambda_end: 1.0,
                    total_correlation: 1.0,
                    // As soon as the team gets no better, or the joint policy does not lead.
                    warmup: 0.05,
                    // A joint policy that leads is let go slowly, one that does not is a brake. τ is gone
                    // in the last part of a slow ramp: what λ has chosen by then stays.
                    ramp: 0.6,
                    unled_ramp: 0.02,
                    beta_start: 0.5,
                    full_lead: 0.1,
                    lead_errors: 2.0,
                    temperature_start: 0.0,
                    temperature_floor: 0.01,
                    temperature_per_gap: 0.0,
                    // Who has a tenth of its entropy left while there is time, as in the warehouse, or must agree
                    // on something, as in CoordSum, looks around for longer; foraging is worse with .03 throughout.
                    least_entropy: 0.2,
                    temperature_per_entropy: 0.2,
                    temperature_limit: 0.03,
                    temperature_led: 0.03,
                    temperature_until: 0.8,
                    ..AnnealSchedule::default()
                },
            },
            portfolio: PortfolioConfig {
                // All steps for one: a race takes a sixth of the winner's, and in most of these tasks it must
                // be over before either arm has learned anything.
                arms: vec![ArmName::Annealed],
                selection: 0.05,
                finalists: 1,
                race: 0.3,
                // A bonus of .3 keeps agents of so many choices near chance; the goods of `rware` are found with
                // .03 and hardly with .01, `lbf-15x15` is learnt with .01.
                explore_strong: factored.fading(0.03),
                explore_mild: factored.fading(0.01),
            },
            ..factored.rivals()
        }
    }
}

/// The factored arms of tasks of many steps.
struct FactoredArms {
    learning_rate: f64,
    critic_learning_rate: f64,
}

impl FactoredArms {
    fn with_learning_rates(learning_rate: f64, critic_learning_rate: f64) -> Self {
        Self {
            learning_rate,
            critic_learning_rate,
        }
    }

    /// The methods that the annealed one is held against, by these rates; nothing else is set.
    fn rivals(&self) -> Config {
        Config {
            factored: self.arm(Temperature::None),
            ippo: Some(self.arm(PUBLISHED_BONUS)),
            mappo: Some(self.arm(PUBLISHED_BONUS)),
            coma: Some(self.coma()),
            magpo: Some(self.magpo()),
            mackrl: Some(self.arm(PUBLISHED_BONUS)),
            ..Config::default()
        }
    }

    fn arm(&self, temperature: Temperature) -> FactoredConfig {
        FactoredConfig {
            learning_rate: self.learning_rate,
            critic_learning_rate: self.critic_learning_rate,
            temperature,
        }
    }

    fn coma(&self) -> ComaConfig {
        ComaConfig {
            learning_rate: self.learning_rate,
            critic_learning_rate: self.critic_learning_rate,
            ..ComaConfig::default()
        }
    }

    fn magpo(&self) -> MagpoConfig {
        MagpoConfig {
            learning_rate: self.learning_rate,
            critic_learning_rate: self.critic_learning_rate,
            ..MagpoConfig::default()
        }
    }

    fn strong(&self) -> FactoredConfig {
        self.fading(0.3)
    }

    fn mild(&self) -> FactoredConfig {
        self.fading(0.03)
    }

    fn fading(&self, start: f64) -> FactoredConfig {
        self.arm(Temperature::Linear {
            start,
            hold: 0.1,
            until: 0.95,
        })
    }
}
