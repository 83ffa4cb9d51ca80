//! Everything that decides a run's result, typed; saved with every run.
//!
//! A configuration is *resolved* from layers, each over the one before: the defaults, a TOML
//! file, `--set key=value`s, flags. What comes out has been checked against its task and, written
//! to a file, repeats the run: a game that was read from a file is embedded whole.

mod check;
mod command;
mod device;
mod kinds;
mod layers;
mod method;

use serde::{Deserialize, Serialize};

pub use check::LARGEST_LAYER;
pub use device::{DeviceChoice, DeviceError};
pub use layers::{ConfigError, Layers};
pub use method::{ArmName, Method};

use crate::algo::ArmKind;
use crate::algo::anneal::AnnealConfig;
use crate::algo::factored::{FactoredConfig, Temperature};
use crate::env::decpomdp::file::from_text;
use crate::env::{Game, Task, TaskError};
use crate::net::NetworkConfig;

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
    /// Episodes an update.
    pub batch: usize,
    /// Whether networks see observations shifted and scaled to zero mean and unit variance.
    pub normalise_observations: bool,
    /// Sizes of the networks.
    pub network: NetworkConfig,
    /// Settings of the annealed arms and of its ablations.
    pub annealed: AnnealConfig,
    /// Settings of the factored arm.
    pub factored: FactoredConfig,
    /// Which arms the method `annealed` trains.
    pub portfolio: PortfolioConfig,
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
            normalise_observations: false,
            network: NetworkConfig::default(),
            annealed: AnnealConfig::default(),
            factored: FactoredConfig::default(),
            portfolio: PortfolioConfig::default(),
            game: None,
        }
    }
}

/// The arms of the method `annealed`: trained with equal shares of the steps, best one kept.
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
    /// Factored policy gradient under a strong bonus for entropy that fades geometrically.
    #[serde(rename = "explore-strong")]
    pub explore_strong: FactoredConfig,
    /// The same under a mild bonus that is held, then fades linearly.
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
    /// Updates of each arm, a batch of episodes each.
    pub updates: u64,
    /// Evaluation episodes of every arm in the first round (0: only one arm, nothing to choose).
    pub preliminary: usize,
    /// Arms in the second round.
    pub finalists: usize,
    /// Evaluation episodes of every finalist in the second round.
    pub decisive: usize,
}

impl Config {
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

    /// How the steps are spent.
    pub fn budget(&self) -> Budget {
        let arms = self.arm_names().len().max(1) as u64;
        let batch = self.batch.max(1) as u64;
        if arms == 1 {
            return Budget {
                updates: self.steps / batch,
                preliminary: 0,
                finalists: 0,
                decisive: 0,
            };
        }
        let round = (self.steps as f64 * self.portfolio.selection / 2.0) as u64;
        let finalists = arms.min(self.portfolio.finalists as u64).max(1);
        let (preliminary, decisive) = (round / arms, round / finalists);
        let training = self.steps - preliminary * arms - decisive * finalists;
        Budget {
            updates: training / arms / batch,
            preliminary: preliminary as usize,
            finalists: finalists as usize,
            decisive: decisive as usize,
        }
    }

    /// The task this configuration names or embeds.
    pub fn task(&self) -> Result<Task, TaskError> {
        match (&self.game, &self.model) {
            (Some(game), _) => Task::from_game(game.clone()),
            (None, Some(text)) => embedded(text, &self.task, self.horizon),
            (None, None) => Task::find_with(&self.task, self.horizon),
        }
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
