//! What a finished run came to, read from its folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Cell;
use crate::config::ConfigError;
use crate::run_folder::{METRICS, TEAM};
use crate::team::{CONFIG, Choice, Team};

/// Why a comparison's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// What lies where a run should.
    #[error("{}: found {found}, expected the run of this comparison, finished or not", path.display())]
    Run {
        /// The run's folder.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// A run that cannot be made.
    #[error("{task} by {method}: {source}")]
    Cell {
        /// The task.
        task: String,
        /// The method.
        method: String,
        /// Why not.
        source: Box<ConfigError>,
    },
    /// What else lies in its folder.
    #[error("--out {}: found {holds}, expected a new folder, an empty one, or a comparison's", path.display())]
    Taken {
        /// The comparison's folder.
        path: PathBuf,
        /// What is there and is none of a comparison's, in words.
        holds: String,
    },
    /// A setting that the comparison itself decides.
    #[error("--set {key}: found a `{key}` for every run, expected `{by}` to say it")]
    Decided {
        /// The setting's key.
        key: String,
        /// What decides it.
        by: &'static str,
    },
    /// A list that names something twice.
    #[error("{list}: found `{name}` twice, expected every name once")]
    Twice {
        /// `TASK` or `--methods`.
        list: &'static str,
        /// The name.
        name: String,
    },
}

/// What the team was worth at one time of its training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Environment steps of the whole run.
    pub env_steps: f64,
    /// The return, as the team acts.
    pub value: f64,
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its place among the tasks and among the methods.
    #[serde(skip)]
    pub place: [usize; 2],
    /// The task.
    pub task: String,
    /// The method.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// Environment steps given.
    pub steps: u64,
    /// Environment steps taken: every arm's and every evaluation's.
    pub env_steps: u64,
    /// What the exported images earn, as the team acts.
    pub value: f64,
    /// What the joint policy (or guider, or hierarchy) was worth at the end, where there is one.
    pub joint: Option<f64>,
    /// The best value of agents that act apart, where it is known.
    pub optimum: Option<f64>,
    /// How the kept arm got there; empty where the steps did not suffice to measure it.
    pub curve: Vec<Point>,
}

/// What a line of metrics.jsonl says, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    arm: usize,
    env_steps: u64,
    product: Option<f64>,
    greedy: Option<f64>,
}

impl Run {
    /// The run of `cell`; none where it is not finished.
    ///
    /// # Errors
    /// When another run lies there, or a file of it does not say what it should.
    pub fn read(cell: &Cell) -> Result<Option<Self>, CompareError> {
        let team = cell.folder.join(TEAM);
        if !team.exists() {
            return Ok(None);
        }
        let wrong = |found: String| CompareError::Run {
            path: cell.folder.clone(),
            found,
        };
        let text = |path: &Path| {
            let read = fs::read_to_string(path);
            read.map_err(|error| wrong(format!("{} ({error})", path.display())))
        };
        if text(&cell.folder.join(CONFIG))? != cell.config.to_toml() {
            return Err(wrong("a run with another configuration".to_owned()));
        }
        // The images too: what counts as finished can be played.
        let team = Team::load(&team).map_err(|error| wrong(error.to_string()))?;
        let manifest = team.manifest;
        let commit = option_env!("CONSORT_COMMIT");
        if manifest.commit.as_deref() != commit {
            let of = |commit: Option<&str>| commit.unwrap_or("an unknown commit").to_owned();
            return Err(wrong(format!(
                "a run that another build made ({}, this is {}); numbers of two builds do not compare",
                of(manifest.commit.as_deref()),
                of(commit)
            )));
        }
        let mut lines = Vec::new();
        for (number, line) in text(&cell.folder.join(METRICS))?.lines().enumerate() {
            let line: Line = serde_json::from_str(line)
                .map_err(|error| wrong(format!("{METRICS}, line {}: {error}", number + 1)))?;
            lines.push(line);
        }
        // Every arm leaves records, its end at least.
        let kept = manifest.arm_index;
        if lines.iter().all(|line: &Line| line.arm != kept) {
            let of_others = lines.len();
            return Err(wrong(format!(
                "a {METRICS} of {of_others} lines without one of the arm that was kept, {kept}"
            )));
        }
        Ok(Some(Self {
            place: cell.place,
            task: cell.task.name().to_owned(),
            method: cell.config.method.name().to_owned(),
            seed: cell.config.seed,
            steps: cell.config.steps,
            env_steps: manifest.env_steps,
            value: manifest.returns.exported,
            joint: manifest.returns.joint,
            optimum: manifest.optimum,
            curve: curve(&lines, kept, manifest.env_steps, cell.config.act),
        }))
    }

    /// The value at `env_steps`: the last measured by then, the first one before any was.
    pub fn at(&self, env_steps: f64) -> Option<f64> {
        let measured = self
            .curve
            .iter()
            .take_while(|point| point.env_steps <= env_steps);
        let point = measured.last().or(self.curve.first());
        point.map(|point| point.value)
    }
}

/// The curve of the arm that was kept, by the run's steps. Arms are trained side by side as far as each
/// goes, which in a race is not equally far; the choice between them, and what they were judged by, is
/// spread over the whole.
fn curve(lines: &[Line], kept: usize, env_steps: u64, act: Choice) -> Vec<Point> {
    let own = || lines.iter().filter(|line| line.arm == kept);
    let mut others: BTreeMap<usize, u64> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.arm != kept) {
        let last = others.entry(line.arm).or_default();
        *last = line.env_steps.max(*last);
    }
    let of_all = |steps: u64| steps + others.values().map(|&last| steps.min(last)).sum::<u64>();
    let last = own().map(|line| line.env_steps).max().unwrap_or(1).max(1);
    let scale = env_steps as f64 / of_all(last) as f64;
    let point = |line: &Line| {
        let value = match act {
            Choice::Greedy => line.greedy,
            Choice::Sampled => line.product,
        };
        Some(Point {
            env_steps: of_all(line.env_steps) as f64 * scale,
            value: value?,
        })
    };
    own().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two arms of 100 steps each in a run of 250 (50 went to the choice between them): half of an
    /// arm's steps are half of the run's.
    #[test]
    fn a_portfolios_curve_is_the_kept_arms_on_the_runs_steps() {
        let line = |arm, env_steps, greedy| Line {
            arm,
            env_steps,
            product: Some(0.0),
            greedy,
        };
        let lines = [
            line(0, 50, Some(7.0)),
            line(0, 100, Some(6.0)),
            line(1, 50, Some(1.0)),
            line(1, 75, None),
            line(1, 100, Some(2.0)),
        ];
        let found = curve(&lines, 1, 250, Choice::Greedy);
        let point = |env_steps, value| Point { env_steps, value };
        assert_eq!(found, [point(125.0, 1.0), point(250.0, 2.0)]);
        let run = Run {
            place: [0, 0],
            task: String::new(),
            method: String::new(),
            seed: 0,
            steps: 250,
            env_steps: 250,
            value: 2.0,
            joint: None,
            optimum: None,
            curve: found,
        };
        let at = [0.0, 130.0, 249.0, 250.0].map(|steps| run.at(steps));
        assert_eq!(at, [1.0, 1.0, 1.0, 2.0].map(Some));
    }

    /// Two arms race for 50 steps each, and the winner goes on to 150 of its own: 200 in all, and 220
    /// with what they were judged by.
    #[test]
    fn a_winners_curve_has_the_losers_steps_before_the_races_end_only() {
        let line = |arm, env_steps| Line {
            arm,
            env_steps,
            product: Some(1.0),
            greedy: None,
        };
        let lines = [
            line(0, 50),
            line(1, 25),
            line(1, 50),
            line(1, 100),
            line(1, 150),
        ];
        let found = curve(&lines, 1, 220, Choice::Sampled);
        let steps: Vec<f64> = found.iter().map(|point| point.env_steps.round()).collect();
        assert_eq!(steps, [55.0, 110.0, 165.0, 220.0]);
    }
}
