//! Teams that are trained or taught, and what came of them: cells, each made once and kept.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use consort_trainer::config::{Config, Layers, Method};
use consort_trainer::env::Task;
use consort_trainer::export::actors;
use consort_trainer::team::Choice;
use consort_trainer::train::{Outcome, train};
use serde::{Deserialize, Serialize};

use super::taught::{self, Lesson, Pupil};
use crate::kept::{self, SOURCES};
use crate::one_shot::basin;

/// Runs of one method on one task, as `consort train` would make them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trained {
    pub(crate) task: &'static str,
    pub(crate) method: Method,
    /// `key=value`, over the defaults.
    pub(crate) settings: Vec<String>,
    /// Environment steps of each.
    pub(crate) steps: u64,
    pub(crate) first_seed: u64,
    pub(crate) seeds: usize,
    /// Whether the first policies are looked at, on assurance.
    pub(crate) starts: bool,
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) env_steps: u64,
    /// Share of the product in the acting mixture at the end.
    pub(crate) beta: f64,
    /// The joint policy's exact return, where there is one and it can be enumerated.
    pub(crate) joint: Option<f64>,
    /// The product's exact return by the networks as they were trained, in games.
    pub(crate) product: Option<f64>,
    /// What the exported images earn as the team acts: exactly in games, else by [`EPISODES`].
    pub(crate) value: f64,
    /// The same where every agent draws, in games.
    pub(crate) drawn: Option<f64>,
    /// Both agents' logits of action 0 minus those of action 1 before anything was learned.
    pub(crate) start: Option<[f64; 2]>,
}

/// Fresh episodes that value a team in anything but a game.
pub(crate) const EPISODES: usize = 2_000;

/// A cell that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    Trained(Trained),
    Taught(Lesson),
}

/// Where cells are made and kept.
pub(crate) struct Cells {
    pub(crate) folder: PathBuf,
}

impl Trained {
    /// The configuration and the task, as the command would resolve them.
    pub(crate) fn config(&self) -> Result<(Config, Task)> {
        resolve(self.task, self.method, &self.settings, Some(self.steps))
    }

    /// Environment steps of all its runs.
    pub(crate) fn env_steps(&self) -> u64 {
        self.steps * self.seeds as u64
    }

    fn make(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Vec<Run>> {
        let (config, task) = self.config()?;
        let seeds: Vec<u64> = (self.first_seed..).take(self.seeds).collect();
        let tasks = vec![task; seeds.len()];
        let device = config.device.open()?;
        let outcomes = train(&config, &tasks, &seeds, &device, 1, progress)
            .with_context(|| format!("{} by {}", self.task, config.method))?;
        let starts = match self.starts {
            true => Some(basin::starts(&config, &tasks, &seeds, 1)?),
            false => None,
        };
        let judged = std::iter::zip(&seeds, &outcomes).enumerate();
        judged
            .map(|(index, (&seed, outcome))| {
                let start = starts.as_ref().map(|starts| starts[index]);
                judge(&config, &tasks[index], seed, outcome, start)
            })
            .collect()
    }
}

fn judge(
    config: &Config,
    task: &Task,
    seed: u64,
    outcome: &Outcome,
    start: Option<[f64; 2]>,
) -> Result<Run> {
    let best = outcome.best();
    let team = actors(&best.marginals)?;
    let values = best.values;
    let (value, drawn) = match task.game() {
        Some(game) => (
            team.exact(game, config.act)?,
            Some(team.exact(game, Choice::Sampled)?),
        ),
        // Nothing else draws from a stream of this seed: the episodes are fresh ones.
        None => (
            team.play(task, EPISODES, seed + (1 << 40), config.act)?
                .mean,
            None,
        ),
    };
    let last = best.records.last();
    Ok(Run {
        seed,
        env_steps: outcome.env_steps(),
        beta: last.map_or(f64::NAN, |record| record.metrics.beta),
        joint: values.and_then(|values| values.joint),
        product: task.game().and(values).map(|values| values.product),
        value,
        drawn,
        start,
    })
}

/// The defaults of a method on a task, with `settings` over them.
pub(crate) fn resolve(
    task: &str,
    method: Method,
    settings: &[String],
    steps: Option<u64>,
) -> Result<(Config, Task)> {
    let mut layers = Layers::new();
    for setting in settings {
        layers.assignment(setting)?;
    }
    layers.task(task)?;
    layers.value("method", method.name())?;
    if let Some(steps) = steps {
        layers.value("steps", i64::try_from(steps)?)?;
    }
    let resolved = layers.resolve();
    resolved.with_context(|| format!("{task} by {method}"))
}

impl Wanted {
    /// What it is called on stderr.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Trained(cell) => format!("{} by {}, {} runs", cell.task, cell.method, cell.seeds),
            Self::Taught(lesson) => format!(
                "{} taught to {}, action 0 in {} of 1, {} learners",
                lesson.task, lesson.method, lesson.first, lesson.seeds
            ),
        }
    }

    /// Environment steps.
    pub(crate) fn env_steps(&self) -> u64 {
        match self {
            Self::Trained(cell) => cell.env_steps(),
            Self::Taught(lesson) => lesson.env_steps(),
        }
    }
}

impl Cells {
    /// Whether a cell is there.
    pub(crate) fn has(&self, wanted: &Wanted) -> Result<bool> {
        Ok(self.path(wanted)?.exists())
    }

    /// Makes a cell and keeps it; how many seconds that took.
    pub(crate) fn make(&self, wanted: &Wanted, progress: &(dyn Fn(u64) + Sync)) -> Result<f64> {
        let start = Instant::now();
        let path = self.path(wanted)?;
        match wanted {
            Wanted::Trained(cell) => drop(kept::keep(&path, &cell.make(progress)?)?),
            Wanted::Taught(lesson) => {
                drop(kept::keep(&path, &taught::teach(lesson)?)?);
                progress(lesson.env_steps());
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Removes a cell, if it is there.
    pub(crate) fn forget(&self, wanted: &Wanted) -> Result<()> {
        kept::forget(&self.path(wanted)?)
    }

    /// The runs of a cell that was made.
    pub(crate) fn runs(&self, cell: &Trained) -> Result<Vec<Run>> {
        self.find(&Wanted::Trained(cell.clone()))
    }

    /// The learners of a lesson that was given.
    pub(crate) fn pupils(&self, lesson: &Lesson) -> Result<Vec<Pupil>> {
        self.find(&Wanted::Taught(lesson.clone()))
    }

    fn find<T: serde::de::DeserializeOwned>(&self, wanted: &Wanted) -> Result<T> {
        let found = kept::find(&self.path(wanted)?)?;
        found.with_context(|| format!("{}: not made yet", wanted.title()))
    }

    /// A name with a hash of everything that decides the cell: it is never reused for anything else.
    fn path(&self, wanted: &Wanted) -> Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        hasher.write(SOURCES.as_bytes());
        let (task, method) = match wanted {
            Wanted::Trained(cell) => {
                hasher.write(cell.config()?.0.to_toml().as_bytes());
                hasher.write_u64(cell.first_seed);
                hasher.write_usize(cell.seeds);
                hasher.write_u8(u8::from(cell.starts));
                (cell.task, cell.method)
            }
            Wanted::Taught(lesson) => {
                hasher.write(lesson.config()?.0.to_toml().as_bytes());
                hasher.write_u64(lesson.first.to_bits());
                hasher.write_usize(lesson.batches);
                hasher.write_usize(lesson.seeds);
                ("lesson", lesson.method)
            }
        };
        let name = format!("{task}.{method}.{:016x}.json", hasher.finish());
        Ok(Path::new(&self.folder).join(name))
    }
}
