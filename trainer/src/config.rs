//! Everything that decides a run's result, typed; saved with every run.
//!
//! A configuration is *resolved* from layers, each over the one before: the defaults, a TOML
//! file, `--set key=value`s, flags. What comes out has been checked against its task and, written
//! to a file, repeats the run: a game that was read from a file is embedded whole.

mod check;
mod command;
mod defaults;
mod device;
mod kinds;
mod layers;
mod method;
mod shared_seed;

use serde::{Deserialize, Serialize};

use defaults::PUBLISHED_BONUS;

pub use check::LARGEST_LAYER;
pub use device::{DeviceChoice, DeviceError};
pub use layers::{ConfigError, Layers};
pub use method::{ArmName, Method};
pub use shared_seed::{SharedSeedConfig, SymbolPer};

use crate::algo::anneal::AnnealConfig;
use crate::algo::coma::ComaConfig;
use crate::algo::factored::FactoredConfig;
use crate::algo::maddpg::MaddpgConfig;
use crate::algo::magpo::MagpoConfig;
use crate::algo::qtran::QtranConfig;
use crate::algo::temperature::Temperature;
use crate::algo::value::ValueConfig;
use crate::algo::{ArmKind, UpdateConfig};
use crate::env::decpomdp::file::from_text;
use crate::env::{Game, Task, TaskError, TeamSpec};
use crate::net::{NetworkConfig, Normalisation};
use crate::team::Choice;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the task.
    pub task: String,
    /// Steps of an episode, where `task` is a Dec-POMDP read from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub horizon: Option<usize>,
    /// The text of that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How the team learns.
    pub method: Method,
    /// Seed of every stream of random numbers, at most 2⁶³ − 1 (TOML's integers are signed).
    pub seed: u64,
    /// Environment steps of the whole run: every arm and every evaluation.
    pub steps: u64,
    /// Where the tensors live.
    pub device: DeviceChoice,
    /// Environments that an arm plays in side by side; 0: as many as make some [`ROWS`] steps an
    /// update, from 16 to 512.
    pub batch: usize,
    /// Steps in each of them before an update; 0: an episode's, at most [`LONGEST_ROLLOUT`].
    pub rollout: usize,
    /// How the exported team acts, and so how arms are judged: a memoryless team may depend on dice.
    pub act: Choice,
    /// Whether networks see observations shifted and scaled to zero mean and unit variance.
    pub normalise_observations: bool,
    /// The seed that the team shares.
    pub shared_seed: SharedSeedConfig,
    /// Sizes of the networks.
    pub network: NetworkConfig,
    /// How a batch becomes steps of the optimiser.
    pub update: UpdateConfig,
    /// Settings of the annealed arms and of its ablations.
    pub annealed: AnnealConfig,
    /// Settings of the factored arm.
    pub factored: FactoredConfig,
    /// Settings of the method `ippo`; none where it is not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ippo: Option<FactoredConfig>,
    /// Settings of the method `mappo`; none where it is not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mappo: Option<FactoredConfig>,
    /// Settings of the method `coma`; none where it is not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coma: Option<ComaConfig>,
    /// Settings of the method `magpo`; none where it is not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub magpo: Option<MagpoConfig>,
    /// Settings of the method `mackrl`; none where it is not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mackrl: Option<FactoredConfig>,
    /// Which arms the method `annealed` trains.
    pub portfolio: PortfolioConfig,
    /// Settings of value-based arms; where none is trained, none are said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueConfig>,
    /// Settings of QTRAN's arms beside those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qtran: Option<QtranConfig>,
    /// Settings of MADDPG's arms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maddpg: Option<MaddpgConfig>,
    /// The game, where `task` was read from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub game: Option<Game>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            task: String::new(),
            horizon: None,
            model: None,
            method: Method::Annealed,
            seed: 0,
            steps: 400_000,
            device: DeviceChoice::Cpu,
            batch: 16,
            rollout: 0,
            act: Choice::Greedy,
            normalise_observations: false,
            shared_seed: SharedSeedConfig::default(),
            network: NetworkConfig::default(),
            update: UpdateConfig::default(),
            annealed: AnnealConfig::default(),
            factored: FactoredConfig::default(),
            ippo: Some(FactoredConfig::default().under(PUBLISHED_BONUS)),
            mappo: Some(FactoredConfig::default().under(PUBLISHED_BONUS)),
            coma: Some(ComaConfig::default()),
            magpo: Some(MagpoConfig::default()),
            mackrl: Some(FactoredConfig::default().under(PUBLISHED_BONUS)),
            portfolio: PortfolioConfig::default(),
            value: None,
            qtran: None,
            maddpg: None,
            game: None,
        }
    }
}

/// Steps of an update where the configuration does not say how many environments there are.
pub const ROWS: usize = 2048;

/// Most of a run's steps that its curve may cost.
const CURVE_SHARE: f64 = 0.08;
/// How often the policies of an arm are played beside its training.
pub const CURVE_POINTS: u64 = 25;
/// Rounds of episodes that takes: joint, product, greedy product.
const CURVE_ROUNDS: u64 = CURVE_POINTS * CURVE_POLICIES;
/// The joint policy, the product, and the product at its most probable.
const CURVE_POLICIES: u64 = 3;
/// Episodes beyond which a curve does not become clearer.
const MOST_CURVE_EPISODES: u64 = 64;

/// Steps of a rollout where the configuration does not say, at most.
pub const LONGEST_ROLLOUT: usize = 128;

/// The arms of the method `annealed`, of which the best is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PortfolioConfig {
    /// Their names, in order; a name may come again and then starts from other weights.
    pub arms: Vec<ArmName>,
    /// Share of the run's steps spent on evaluation episodes that choose between the arms: half
    /// of it on all of them alike, half on the finalists.
    pub selection: f64,
    /// How many arms are evaluated a second time.
    pub finalists: usize,
    /// Share of the training steps that the arms have in equal parts before the one whose product
    /// earns most goes on with all the rest, alone; 0: every arm has its share to the end.
    pub race: f64,
    /// Factored policy gradient under a strong bonus for entropy that fades: geometrically in one-shot games,
    /// linearly elsewhere.
    #[serde(rename = "explore-strong")]
    pub explore_strong: FactoredConfig,
    /// The same under a mild bonus, which is held first and fades linearly.
    #[serde(rename = "explore-mild")]
    pub explore_mild: FactoredConfig,
}

impl Default for PortfolioConfig {
    fn default() -> Self {
        let with = |temperature| FactoredConfig {
            temperature,
            ..FactoredConfig::default()
        };
        Self {
            // Annealed arms find what must be agreed upon; factored ones under a bonus what must
            // be left to chance; plain ones are cheap tickets where many local optima compete.
            arms: [
                vec![ArmName::Annealed; 4],
                vec![ArmName::ExploreStrong; 2],
                vec![ArmName::ExploreMild; 2],
                vec![ArmName::Factored; 12],
            ]
            .concat(),
            selection: 0.1,
            finalists: 4,
            race: 0.0,
            explore_strong: with(Temperature::Geometric {
                start: 0.5,
                end: 0.01,
                until: 0.9,
            }),
            explore_mild: with(Temperature::Linear {
                start: 0.1,
                hold: 0.2,
                until: 0.8,
            }),
        }
    }
}

/// What a run's environment steps are spent on. The parts never exceed the whole; what does
/// not divide evenly is left unspent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Updates of each arm that learns to the end, a batch of rollouts each: its schedules' length.
    pub updates: u64,
    /// Updates of each arm before all but one stop; `None`: all learn to the end.
    pub race: Option<u64>,
    /// Episodes in which each of an arm's policies is judged whenever a record is taken.
    pub curve_episodes: usize,
    /// Evaluation episodes of every arm in the first round, or of each policy of every arm that
    /// races (0: only one arm, nothing to choose).
    pub preliminary: usize,
    /// Arms in the second round.
    pub finalists: usize,
    /// Evaluation episodes of every finalist in the second round.
    pub decisive: usize,
}

impl Config {
    /// Forgets the settings of methods that are not trained: a run's file says what decides it.
    fn forget_other_arms(&mut self) {
        let arms = self.arm_names();
        let trains = |arm| arms.contains(&arm);
        self.ippo = self.ippo.take().filter(|_| trains(ArmName::Ippo));
        self.mappo = self.mappo.take().filter(|_| trains(ArmName::Mappo));
        self.coma = self.coma.take().filter(|_| trains(ArmName::Coma));
        self.magpo = self.magpo.take().filter(|_| trains(ArmName::Magpo));
        self.mackrl = self.mackrl.take().filter(|_| trains(ArmName::Mackrl));
        self.value = self
            .value
            .take()
            .filter(|_| arms.iter().any(|arm| arm.has_values()));
        self.qtran = self.qtran.take().filter(|_| trains(ArmName::Qtran));
        self.maddpg = self.maddpg.take().filter(|_| trains(ArmName::Maddpg));
    }

    /// The names of the arms this run trains, in order.
    pub fn arm_names(&self) -> Vec<ArmName> {
        match self.method.arm() {
            Some(arm) => vec![arm],
            None => self.portfolio.arms.clone(),
        }
    }

    /// The same arms with their settings.
    pub fn arms(&self) -> Vec<ArmKind> {
        let arms = self.arm_names();
        arms.iter().map(|arm| arm.kind(self)).collect()
    }

    /// T: steps of a rollout of a team with this spec.
    pub fn rollout_length(&self, spec: &TeamSpec) -> usize {
        match self.rollout {
            0 => spec.horizon.clamp(1, LONGEST_ROLLOUT),
            length => length,
        }
    }

    /// B: environments that an arm plays in side by side, for a team with this spec.
    pub fn parallel(&self, spec: &TeamSpec) -> usize {
        match self.batch {
            0 => (ROWS / self.rollout_length(spec)).clamp(16, 512),
            batch => batch,
        }
    }

    /// How what so many replicas see of a task with this spec is normalised, at the start of training.
    pub fn normalisation(&self, spec: &TeamSpec, replicas: usize) -> Normalisation {
        match self.normalise_observations {
            true => Normalisation::measured(spec, replicas),
            false => Normalisation::default(),
        }
    }

    /// How the steps are spent on a task with this spec.
    pub fn budget(&self, spec: &TeamSpec) -> Budget {
        let arms = self.arm_names().len().max(1) as u64;
        let horizon = spec.horizon.max(1) as u64;
        let an_update = (self.parallel(spec) * self.rollout_length(spec)) as u64;
        let portfolio = &self.portfolio;
        let (alone, races) = (arms == 1, arms > 1 && portfolio.race > 0.0);
        let share = |share: f64| (self.steps as f64 * share) as u64;
        let finalists = match alone || races {
            true => 1,
            false => arms.min(portfolio.finalists as u64).max(1),
        };
        // A game's values are summed up, not played out.
        let curve = if horizon == 1 { 0 } else { share(CURVE_SHARE) };
        let curves = if alone { 1 } else { arms + finalists };
        let curve_episodes = curve / curves / CURVE_ROUNDS / horizon;
        let curve_episodes = curve_episodes.min(MOST_CURVE_EPISODES);
        let judged = curve_episodes * CURVE_ROUNDS * horizon;
        let round = if alone {
            0
        } else {
            share(portfolio.selection / 2.0)
        };
        // An arm may stand twice: as it is, and as it was at its best.
        let entrants = if horizon == 1 { 1 } else { 2 };
        // A race is judged by each policy of every arm, and ends with one arm and those it left behind.
        let (first, last) = match races {
            true => (arms * CURVE_POLICIES, entrants + arms - 1),
            false => (arms * entrants, finalists),
        };
        let preliminary = (round / first / horizon).max(u64::from(races));
        let decisive = round / last / horizon;
        let evaluated = preliminary * first + decisive * last;
        let training = self.steps - (evaluated * horizon).min(self.steps);
        let (updates, race) = match races {
            true => {
                let training = training.saturating_sub((arms + 1) * judged) / an_update;
                let race = (training as f64 * portfolio.race) as u64 / arms;
                (training - (arms - 1) * race, Some(race))
            }
            false => ((training / arms).saturating_sub(judged) / an_update, None),
        };
        Budget {
            updates,
            race,
            curve_episodes: curve_episodes as usize,
            preliminary: preliminary as usize,
            finalists: finalists as usize,
            decisive: decisive as usize,
        }
    }

    /// The task this configuration names or embeds.
    pub fn task(&self) -> Result<Task, TaskError> {
        let task = match (&self.game, &self.model) {
            (Some(game), _) => Task::from_game(game.clone()),
            (None, Some(text)) => embedded(text, &self.task, self.horizon),
            (None, None) => Task::find_with(&self.task, self.horizon),
        }?;
        Ok(match self.shared_seed.seeding() {
            Some(seeding) => task.with_shared_seed(seeding),
            None => task,
        })
    }

    /// The configuration as TOML: the text of a run's `config.toml`.
    ///
    /// # Panics
    ///
    /// Where a number exceeds TOML's signed 64 bits, which no resolved configuration does.
    pub fn to_toml(&self) -> String {
        let settings = toml::to_string(self).expect("a checked configuration fits TOML");
        format!(
            "# Everything that decides this run; `consort train --config config.toml` repeats it.\n\n\
             {settings}"
        )
    }
}

/// The task of acting in an embedded Dec-POMDP.
pub(crate) fn embedded(text: &str, name: &str, horizon: Option<usize>) -> Result<Task, TaskError> {
    Task::from_problem(from_text("model", name, text.to_owned(), horizon)?)
}
