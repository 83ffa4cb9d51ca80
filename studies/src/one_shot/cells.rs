//! One method on one row: the runs of a table's cell, trained once and kept.
//!
//! A finished cell lies in `target/studies/one-shot`, so a study that was killed goes on where it
//! was. Its file's name holds a hash of everything that decides its runs (the sources, the
//! configuration, tasks and seeds): a cell is never reused for anything else.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use consort_trainer::atomic;
use consort_trainer::config::{ArmName, Config};
use consort_trainer::env::Task;
use consort_trainer::export::actors;
use consort_trainer::team::Choice;
use consort_trainer::train::{Outcome, train};
use serde::{Deserialize, Serialize};

use super::design::{ASSURANCE, Column, Row, Seeds};
use crate::kept::{self, SOURCES};

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) task: String,
    pub(crate) seed: u64,
    /// The arm that was kept.
    pub(crate) arm: ArmName,
    /// Environment steps of the whole run.
    pub(crate) env_steps: u64,
    /// What play uniformly at random earns.
    pub(crate) uniform: f64,
    /// The best value of agents that act apart.
    pub(crate) optimum: f64,
    /// Exact value of the exported images, every agent taking its most probable action.
    pub(crate) return_exported: f64,
    /// The same, every agent drawing its action.
    pub(crate) return_product: f64,
}

impl Run {
    /// A return on the scale on which uniform play is 0 and the optimum is 1.
    pub(crate) fn normalise(&self, value: f64) -> f64 {
        (value - self.uniform) / (self.optimum - self.uniform)
    }

    /// Whether the exported team is within 1 % of the optimum on that scale.
    pub(crate) fn succeeded(&self) -> bool {
        self.normalise(self.return_exported) >= 0.99
    }
}

/// The runs of one method on one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) facts: Facts,
    pub(crate) runs: Vec<Run>,
}

/// What is known of a cell as a whole: the first line of its file. The runs follow, one a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) row: String,
    pub(crate) column: String,
    /// Hash of the sources that trained it.
    pub(crate) sources: String,
    pub(crate) runs: usize,
    /// Wall-clock time of all its runs together.
    pub(crate) seconds: f64,
    /// Threads that they shared.
    pub(crate) threads: usize,
}

/// Makes cells, or finds them made.
pub(crate) struct Cells {
    /// Where finished cells lie.
    pub(crate) folder: PathBuf,
    /// Runs a row, at least.
    pub(crate) seeds: usize,
    /// The same where fewer will do.
    pub(crate) few_seeds: usize,
    /// Environment steps of every run.
    pub(crate) steps: u64,
    pub(crate) threads: usize,
}

impl Cells {
    /// Environment steps of a cell.
    pub(crate) fn env_steps(&self, row: &Row, column: &Column) -> Result<u64> {
        Ok(self.runs(row, column)?.0.len() as u64 * self.steps)
    }

    /// The tasks and seeds of a cell.
    fn runs(&self, row: &Row, column: &Column) -> Result<(Vec<Task>, Vec<u64>)> {
        let full = match column.seeds {
            Seeds::Full => true,
            Seeds::FullOnAssurance => row.name == ASSURANCE,
            Seeds::Few => false,
        };
        row.runs(match full {
            true => self.seeds,
            // Every game once at least: a row is the same set of games for every method.
            false => self.few_seeds.max(row.games()).min(self.seeds),
        })
    }

    /// The cell, if it is there already.
    pub(crate) fn find(&self, row: &Row, column: &Column) -> Result<Option<Cell>> {
        let path = self.path(row, column)?;
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path);
        let cell = text.map_err(Into::into).and_then(|text| parse(&text));
        cell.map(Some)
            .with_context(|| format!("{}: not a study's cell; delete it", path.display()))
    }

    /// Trains the cell and keeps it. `progress` is told, from any thread, of environment steps
    /// taken.
    pub(crate) fn make(
        &self,
        row: &Row,
        column: &Column,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Cell> {
        let (tasks, seeds) = self.runs(row, column)?;
        let config = column.config(self.steps);
        let device = config.device.open()?;
        let start = Instant::now();
        let outcomes = train(&config, &tasks, &seeds, &device, self.threads, progress)
            .with_context(|| format!("{} by {}", row.name, column.name))?;
        let runs: Vec<Run> = std::iter::zip(&tasks, &seeds)
            .zip(&outcomes)
            .map(|((task, &seed), outcome)| {
                judge(&config, task, seed, outcome)
                    .with_context(|| format!("`{}` by {}, seed {seed}", task.name(), column.name))
            })
            .collect::<Result<_>>()?;
        let facts = Facts {
            row: row.name.to_owned(),
            column: column.name.to_owned(),
            sources: SOURCES.to_owned(),
            runs: runs.len(),
            seconds: start.elapsed().as_secs_f64(),
            threads: self.threads,
        };
        let text = write(&Cell { facts, runs })?;
        fs::create_dir_all(&self.folder)?;
        atomic::write(&self.path(row, column)?, text.as_bytes())?;
        // Read back, so that a study in one go and one that was resumed work on the same bits.
        parse(&text)
    }

    /// Removes the cell, if it is there.
    pub(crate) fn forget(&self, row: &Row, column: &Column) -> Result<()> {
        kept::forget(&self.path(row, column)?)
    }

    fn path(&self, row: &Row, column: &Column) -> Result<PathBuf> {
        let (tasks, seeds) = self.runs(row, column)?;
        let mut hasher = DefaultHasher::new();
        hasher.write(SOURCES.as_bytes());
        hasher.write(column.config(self.steps).to_toml().as_bytes());
        for (task, seed) in tasks.iter().zip(seeds) {
            hasher.write(task.name().as_bytes());
            hasher.write_u64(seed);
        }
        let name = format!(
            "{}.{}.{:016x}.jsonl",
            row.name,
            column.name,
            hasher.finish()
        );
        Ok(self.folder.join(name))
    }
}

/// What a run's team earns, by the images it exports.
fn judge(config: &Config, task: &Task, seed: u64, outcome: &Outcome) -> Result<Run> {
    let game = task.game().context("only a game can be enumerated")?;
    let team = actors(&outcome.best().marginals)?;
    Ok(Run {
        task: task.name().to_owned(),
        seed,
        arm: config.arm_names()[outcome.selection.chosen],
        env_steps: outcome.env_steps(),
        uniform: game.uniform_value(),
        optimum: task.optimum().context("the optimum is unknown")?,
        return_exported: team.exact(game, Choice::Greedy)?,
        return_product: team.exact(game, Choice::Sampled)?,
    })
}

fn write(cell: &Cell) -> Result<String> {
    let mut text = serde_json::to_string(&cell.facts)? + "\n";
    for run in &cell.runs {
        text += &serde_json::to_string(run)?;
        text.push('\n');
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Cell> {
    let mut lines = text.lines();
    let facts: Facts = serde_json::from_str(lines.next().context("the file is empty")?)?;
    let runs: Vec<Run> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(
        runs.len() == facts.runs,
        "found {} runs, expected {}",
        runs.len(),
        facts.runs
    );
    Ok(Cell { facts, runs })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::one_shot::design::{ANNEALED, FACTORED};

    fn cells(folder: &Path, threads: usize) -> Cells {
        Cells {
            folder: folder.to_owned(),
            seeds: 3,
            few_seeds: 2,
            steps: 4_000,
            threads,
        }
    }

    #[test]
    fn a_cell_is_found_again_as_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let row = Row::named("random-three-agents").unwrap();
        let one = cells(folder.path(), 1);
        assert_eq!(one.find(row, &FACTORED).unwrap(), None);
        let made = one.make(row, &FACTORED, &|_| {}).unwrap();
        assert_eq!(one.find(row, &FACTORED).unwrap(), Some(made.clone()));
        // Threads do not decide a result, so they are no part of the name.
        assert_eq!(
            cells(folder.path(), 2).find(row, &FACTORED).unwrap(),
            Some(made)
        );
        assert_eq!(one.find(row, &ANNEALED).unwrap(), None);
        let others = [
            Cells {
                steps: 4_001,
                ..cells(folder.path(), 1)
            },
            Cells { seeds: 4, ..one },
        ];
        for other in others {
            assert_eq!(other.find(row, &FACTORED).unwrap(), None);
        }
    }

    #[test]
    fn the_portfolio_spends_what_it_was_given_and_names_the_arm_it_kept() {
        let folder = tempfile::tempdir().unwrap();
        let row = Row::named("assurance").unwrap();
        let cells = cells(folder.path(), 2);
        let cell = cells.make(row, &ANNEALED, &|_| {}).unwrap();
        let arms = ANNEALED.config(cells.steps).arm_names();
        for run in &cell.runs {
            assert!(
                run.env_steps <= cells.steps && arms.contains(&run.arm),
                "{run:?}"
            );
            assert_eq!((run.uniform, run.optimum), (0.0, 10.0));
        }
    }

    #[test]
    fn a_damaged_cell_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let row = Row::named("assurance").unwrap();
        let cells = cells(folder.path(), 1);
        cells.make(row, &FACTORED, &|_| {}).unwrap();
        let path = cells.path(row, &FACTORED).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let shorter: String = text
            .lines()
            .take(3)
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(&path, shorter).unwrap();
        let message = format!("{:#}", cells.find(row, &FACTORED).unwrap_err());
        assert!(message.contains("found 2 runs, expected 3"), "{message}");
    }

    #[test]
    fn success_is_within_a_hundredth_of_the_gap() {
        let run = |return_exported| Run {
            task: "assurance".to_owned(),
            seed: 0,
            arm: ArmName::Factored,
            env_steps: 0,
            uniform: -10.0,
            optimum: 10.0,
            return_exported,
            return_product: 0.0,
        };
        // The gap is 20, a hundredth of it .2.
        assert!(run(9.81).succeeded() && !run(9.79).succeeded());
        assert_eq!(run(0.0).normalise(5.0), 0.75);
    }
}
