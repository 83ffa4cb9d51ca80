//! `team.toml`: what a team is, what it earned, and by which images it acts.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Choice, TeamError, read};
use crate::config::{ArmName, Method, SharedSeedConfig, SymbolPer, embedded};
use crate::env::{Game, Task, TaskError};
use crate::export::FineTuned;
use crate::quantise::Comparison;

/// The version of `team.toml`'s keys that this crate writes and reads.
pub const FORMAT: u32 = 1;

/// A team's manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The team's identifier, as in its images: 32 hexadecimal digits.
    pub team: String,
    /// What it was trained on.
    pub task: String,
    /// How.
    pub method: Method,
    /// From which seed.
    pub seed: u64,
    /// Environment steps of the whole run.
    pub env_steps: u64,
    /// The arm that the team comes from.
    pub arm: ArmName,
    /// That arm's place in the portfolio, from 0.
    pub arm_index: usize,
    /// The command that repeats the run.
    pub command: String,
    /// How its agents turn outputs into actions (in the oldest teams: greedily).
    #[serde(default)]
    pub act: Choice,
    /// The best value that agents who act apart can reach, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimum: Option<f64>,
    /// Steps of an episode, where the task is a Dec-POMDP read from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub horizon: Option<usize>,
    /// The text of that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The commit of the trainer, where it was built from a repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What the team earned.
    pub returns: Returns,
    /// What rounding the networks to whole numbers changed, where the images are integer ones; in others
    /// they are `f32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<Comparison>,
    /// What fine-tuning under quantisation came to, where it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fine_tuned: Option<FineTuned>,
    /// Versions of what made it.
    pub versions: Versions,
    /// The seed that its agents share, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_seed: Option<SharedSeedEntry>,
    /// One entry an agent, in agent order.
    pub agents: Vec<AgentEntry>,
    /// The game, where the task was read from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub game: Option<Game>,
}

/// Expected returns at the end of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returns {
    /// Of the joint policy, where the arm has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint: Option<f64>,
    /// Of the product of marginals, every agent drawing its own action.
    pub product: f64,
    /// Of the product when every agent takes its most probable action.
    pub greedy: f64,
    /// Of the exported images, run by `consort-runtime` as the team acts.
    pub exported: f64,
    /// Half the width of its 95 % interval, where it is a mean over episodes and not exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported_interval: Option<f64>,
}

/// Versions of what made a team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Versions {
    /// Of this crate, and of `consort-runtime`, which shares it.
    pub consort: String,
    /// Of the image format.
    pub image_format: u16,
}

/// The seed that a team shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedSeedEntry {
    /// Symbols that there are, 2 to 255.
    pub symbols: u16,
    /// How often one is drawn.
    pub per: SymbolPer,
    /// The first 8 hexadecimal digits of the SHA-256 of the key in `shared-seed.key`.
    pub fingerprint: String,
}

/// One agent's line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentEntry {
    /// Its image's file name.
    pub image: String,
    /// That image's checksum: 8 hexadecimal digits.
    pub crc: String,
    /// Length of its observation.
    pub observation: usize,
    /// Number of its actions, or dimensions of their vector.
    pub actions: usize,
    /// Where an action is a choice of each of several factors: their sizes. The image gives the choices,
    /// and the action's number is c₁ + A₁ (c₂ + A₂ (c₃ + …)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<usize>,
    /// `f32` values of memory that a device lends it (not in the oldest teams).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<usize>,
    /// Whether it remembers: a device keeps that memory and resets it when an episode begins.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recurrent: bool,
    /// Whether its actions are vectors in [−1, 1].
    #[serde(default, skip_serializing_if = "is_false")]
    pub continuous: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Manifest {
    /// Reads and checks the manifest at `path`.
    pub fn read(path: &Path) -> Result<Self, TeamError> {
        let wrong = |message: String| TeamError::Manifest {
            path: path.to_owned(),
            message,
        };
        let text = String::from_utf8(read(path)?)
            .map_err(|_| wrong("found bytes that are not UTF-8, expected TOML".to_owned()))?;
        if text.trim().is_empty() {
            return Err(wrong("found nothing, expected a manifest".to_owned()));
        }
        let one_line = |error: toml::de::Error| {
            let line = error.span().map_or_else(String::new, |span| {
                let before = &text[..span.start.min(text.len())];
                format!("line {}: ", 1 + before.matches('\n').count())
            });
            wrong(line + &error.message().replace('\n', " "))
        };
        // The version first: another one may have other keys.
        let table: toml::Table = text.parse().map_err(one_line)?;
        let found = table.get("format").and_then(toml::Value::as_integer);
        if found != Some(i64::from(FORMAT)) {
            let found = found.map_or("nothing".to_owned(), |found| found.to_string());
            return Err(wrong(format!("format: found {found}, expected {FORMAT}")));
        }
        let manifest: Self = toml::from_str(&text).map_err(one_line)?;
        let plain = |name: &str| Path::new(name).file_name().is_some_and(|last| last == name);
        match manifest.agents.iter().find(|entry| !plain(&entry.image)) {
            Some(entry) => Err(wrong(format!(
                "image: found `{}`, expected the name of a file beside it",
                entry.image
            ))),
            None => Ok(manifest),
        }
    }

    /// The task it names or embeds.
    pub fn task(&self) -> Result<Task, TaskError> {
        let task = match (&self.game, &self.model) {
            (Some(game), _) => Task::from_game(game.clone()),
            (None, Some(text)) => embedded(text, &self.task, self.horizon),
            (None, None) => Task::find(&self.task),
        }?;
        let seeding = self.shared_seed.as_ref().and_then(|entry| {
            let (symbols, per) = (entry.symbols, entry.per);
            SharedSeedConfig { symbols, per }.seeding()
        });
        Ok(match seeding {
            Some(seeding) => task.with_shared_seed(seeding),
            None => task,
        })
    }

    /// The text of `team.toml`.
    ///
    /// # Panics
    ///
    /// Where a number exceeds TOML's signed 64 bits, which no checked configuration gives.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a team's numbers fit TOML")
    }
}
