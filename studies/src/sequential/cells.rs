//! One run of one method on one task: a cell, trained once and kept.
//!
//! A finished cell lies in `target/studies/sequential`, a JSON file each, so a study that was
//! killed goes on where it was. Its name holds a hash of everything that decides it (the sources,
//! the configuration, how it is valued): a cell is never reused for anything else.

use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use consort_trainer::config::{ArmName, Config};
use consort_trainer::env::Task;
use consort_trainer::export::actors;
use consort_trainer::team::Choice;
use consort_trainer::train::{ArmOutcome, Outcome, train};
use serde::{Deserialize, Serialize};

use super::design::{Group, METHODS, Method, ROWS, Row};
use crate::kept::{self, SOURCES};

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) task: String,
    pub(crate) method: String,
    pub(crate) seed: u64,
    /// The arm that was kept.
    pub(crate) arm: ArmName,
    /// Environment steps given.
    pub(crate) steps: u64,
    /// Environment steps taken: every arm and every evaluation.
    pub(crate) env_steps: u64,
    /// Wall-clock time of the training, one thread.
    pub(crate) seconds: f64,
    /// The best value of agents that act apart, where it is known.
    pub(crate) optimum: Option<f64>,
    /// What the exported images earn, acting as the team does.
    pub(crate) value: f64,
    /// How that is known.
    pub(crate) valued: Valued,
    /// Learning curves, in the configuration's order.
    pub(crate) arms: Vec<Arm>,
}

/// How a value is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Valued {
    /// On the model.
    Exactly,
    /// By so many fresh episodes; `half`: half the width of the mean's 95 % interval.
    ByEpisodes { episodes: u64, half: f64 },
}

/// One arm's learning curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arm {
    pub(crate) name: ArmName,
    pub(crate) kept: bool,
    /// Mean return in the evaluation that chose between arms.
    pub(crate) evaluation: Option<f64>,
    pub(crate) points: Vec<Point>,
}

/// What the policies of an arm were worth at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Environment steps that the arm had taken.
    pub(crate) env_steps: u64,
    pub(crate) joint: Option<f64>,
    pub(crate) product: f64,
    pub(crate) greedy: f64,
}

impl Run {
    /// Whether it is the cell that is wanted.
    pub(crate) fn is_of(&self, wanted: Wanted) -> bool {
        (self.task.as_str(), self.method.as_str(), self.seed)
            == (wanted.row.task, wanted.method.name, wanted.seed)
    }

    /// Whether it reached its task's goal, where there is one.
    pub(crate) fn succeeded(&self, row: &Row) -> Option<bool> {
        row.reached(self.value, self.optimum)
    }

    /// The joint policy's return at the end of training and at its highest, of the arm with one
    /// that was kept or, if none was, evaluated best.
    pub(crate) fn joint(&self) -> Option<[f64; 2]> {
        let arms = self.arms.iter().filter(|arm| arm.name.has_joint());
        let rank = |arm: &Arm| (arm.kept, arm.evaluation.unwrap_or(f64::NEG_INFINITY));
        let best = arms.max_by(|a, b| {
            let ((a_kept, a), (b_kept, b)) = (rank(a), rank(b));
            a_kept.cmp(&b_kept).then(a.total_cmp(&b))
        })?;
        let returns: Vec<f64> = best.points.iter().filter_map(|point| point.joint).collect();
        let highest = returns.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some([*returns.last()?, highest])
    }
}

impl Run {
    /// What the images earn less what the trainer's networks earned at the end of the curve, whose points are
    /// of so many episodes, in standard errors; none where the two need not be the same networks (of more than
    /// one arm any point of the curve may have been kept), or where the images' return is no mean of episodes
    /// that differ.
    pub(crate) fn gap(&self, act: Choice, curve_episodes: usize) -> Option<f64> {
        let ([arm], Valued::ByEpisodes { episodes, half }) = (&self.arms[..], self.valued) else {
            return None;
        };
        let last = arm.points.last().filter(|_| curve_episodes > 0)?;
        let trained = match act {
            Choice::Greedy => last.greedy,
            Choice::Sampled => last.product,
        };
        let shares = 1.0 + episodes as f64 / curve_episodes as f64;
        let error = half / HALF_WIDTH * shares.sqrt();
        (error > 0.0).then_some((self.value - trained) / error)
    }
}

impl Arm {
    fn new(name: ArmName, kept: bool, evaluation: Option<f64>, outcome: &ArmOutcome) -> Self {
        let point = |record: &consort_trainer::train::Record| {
            let values = record.values?;
            Some(Point {
                env_steps: record.env_steps,
                joint: values.joint,
                product: values.product,
                greedy: values.greedy,
            })
        };
        Self {
            name,
            kept,
            evaluation,
            points: outcome.records.iter().filter_map(point).collect(),
        }
    }
}

/// A cell that is to be made.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) row: &'static Row,
    pub(crate) method: &'static Method,
    pub(crate) seed: u64,
}

/// Standard errors in half an interval, as `EpisodeReturns::interval` has it.
const HALF_WIDTH: f64 = 1.96;

/// Makes cells, or finds them made.
pub(crate) struct Cells {
    /// Where finished cells lie.
    pub(crate) folder: PathBuf,
    /// Cells that other sources have made, for want of our own.
    pub(crate) adopted: Vec<Run>,
    /// Runs of the method: at most so many a task; `None`: the design's.
    pub(crate) seeds: Option<usize>,
    /// The same of its rivals; `None`: as many as of the method.
    pub(crate) few_seeds: Option<usize>,
    /// Environment steps of a run, in the place of the defaults: all tasks but the large ones.
    pub(crate) steps: Option<u64>,
    /// The same of the large ones.
    pub(crate) steps_large: Option<u64>,
    /// Whether methods run that are optional.
    pub(crate) optional: bool,
}

impl Cells {
    /// The methods of this study.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &'static Method> + use<> {
        let optional = self.optional;
        let chosen = move |method: &&Method| optional || !method.optional;
        METHODS.into_iter().filter(chosen)
    }

    /// How many runs a method has on a task.
    pub(crate) fn seeds_of(&self, row: &Row, method: &Method) -> usize {
        // Large tasks have one arm, and one factored arm is a rival that runs anyway.
        if method.optional && row.group == Group::Large {
            return 0;
        }
        let asked = match method.is_rival() {
            true => self.few_seeds.or(self.seeds),
            false => self.seeds,
        };
        match row.group {
            Group::Exact | Group::Repeated => asked.unwrap_or(row.seeds),
            Group::Large => asked.map_or(row.seeds, |asked| asked.min(row.seeds)),
        }
    }

    /// Every cell of the tasks that `chosen` accepts, in the order in which a study makes them:
    /// cheap tasks before large ones and, among either, every task with one seed before any with
    /// the next. So a study that is stopped has compared what it has run.
    pub(crate) fn plan(&self, chosen: impl Fn(&Row) -> bool) -> Vec<Wanted> {
        let mut plan = Vec::new();
        for row in ROWS.iter().filter(|row| chosen(row)) {
            for method in self.methods() {
                let seeds = 0..self.seeds_of(row, method) as u64;
                plan.extend(seeds.map(|seed| Wanted { row, method, seed }));
            }
        }
        plan.sort_by_key(|wanted| (wanted.row.group == Group::Large, wanted.seed));
        plan
    }

    /// The configuration and the task of a cell.
    pub(crate) fn config(&self, wanted: Wanted) -> Result<(Config, Task)> {
        let steps = match wanted.row.group {
            Group::Exact | Group::Repeated => self.steps,
            Group::Large => self.steps_large,
        };
        let config = wanted.method.config(wanted.row, wanted.seed, steps);
        config.with_context(|| format!("{} by {}", wanted.row.task, wanted.method.name))
    }

    /// Checks that every cell of the tasks that `chosen` accepts can be trained as it is asked for: nothing must
    /// fail after hours of training.
    pub(crate) fn check(&self, chosen: impl Fn(&Row) -> bool) -> Result<()> {
        let first = self.plan(chosen).into_iter().filter(|cell| cell.seed == 0);
        for wanted in first {
            self.config(wanted)?;
        }
        Ok(())
    }

    /// The cell, if it is there already.
    pub(crate) fn find(&self, wanted: Wanted) -> Result<Option<Run>> {
        if let Some(own) = self.find_own(wanted)? {
            return Ok(Some(own));
        }
        let steps = self.config(wanted)?.0.steps;
        let mut adopted = self.adopted.iter();
        let found = adopted.find(|run| run.is_of(wanted) && run.steps == steps);
        Ok(found.cloned())
    }

    /// The cell, if these sources have made it.
    pub(crate) fn find_own(&self, wanted: Wanted) -> Result<Option<Run>> {
        kept::find(&self.path(wanted)?)
    }

    /// Trains the cell on this thread and keeps it. `progress` is told of environment steps taken.
    pub(crate) fn make(&self, wanted: Wanted, progress: &(dyn Fn(u64) + Sync)) -> Result<Run> {
        let (config, task) = self.config(wanted)?;
        let device = config.device.open()?;
        let start = Instant::now();
        let tasks = std::slice::from_ref(&task);
        let of = || {
            let (task, method, seed) = (wanted.row.task, wanted.method.name, wanted.seed);
            format!("{task} by {method}, seed {seed}")
        };
        let outcomes =
            train(&config, tasks, &[wanted.seed], &device, 1, progress).with_context(of)?;
        let seconds = start.elapsed().as_secs_f64();
        let outcome = outcomes.first().context("one run has one outcome")?;
        let run = judge(wanted, &config, &task, outcome, seconds).with_context(of)?;
        self.keep(wanted, &run)
    }

    /// Keeps the cell, and reads it back.
    pub(crate) fn keep(&self, wanted: Wanted, run: &Run) -> Result<Run> {
        kept::keep(&self.path(wanted)?, run)
    }

    /// Removes the cell, if it is there.
    pub(crate) fn forget(&self, wanted: Wanted) -> Result<()> {
        kept::forget(&self.path(wanted)?)
    }

    fn path(&self, wanted: Wanted) -> Result<PathBuf> {
        let Wanted { row, method, seed } = wanted;
        let mut hasher = DefaultHasher::new();
        hasher.write(SOURCES.as_bytes());
        hasher.write(self.config(wanted)?.0.to_toml().as_bytes());
        hasher.write_usize(row.episodes);
        let hash = hasher.finish();
        let name = format!("{}.{}.{seed}.{hash:016x}.json", row.task, method.name);
        Ok(self.folder.join(name))
    }
}

/// What a run's team earns, by the images it exports.
fn judge(
    wanted: Wanted,
    config: &Config,
    task: &Task,
    outcome: &Outcome,
    seconds: f64,
) -> Result<Run> {
    let Wanted { row, method, seed } = wanted;
    let team = actors(&outcome.best().marginals)?;
    let exact = match task.problem() {
        Some(problem) => team.exact_in(problem)?,
        None => None,
    };
    let (value, valued) = match exact {
        Some(value) => (value, Valued::Exactly),
        None => {
            // Nothing else draws from a stream of this seed: the episodes are fresh ones.
            let returns = team.play(task, row.episodes, seed + (1 << 40), config.act)?;
            let half = returns.interval().unwrap_or(0.0);
            let episodes = returns.episodes;
            (returns.mean, Valued::ByEpisodes { episodes, half })
        }
    };
    let (names, selection) = (config.arm_names(), &outcome.selection);
    let arms = std::iter::zip(&names, &outcome.arms).enumerate();
    Ok(Run {
        task: row.task.to_owned(),
        method: method.name.to_owned(),
        seed,
        arm: names[selection.chosen],
        steps: config.steps,
        env_steps: outcome.env_steps(),
        seconds,
        optimum: task.optimum(),
        value,
        valued,
        arms: arms
            .map(|(index, (&name, arm))| {
                let evaluation = selection.evaluations[index].map(|evaluation| evaluation.mean);
                Arm::new(name, index == selection.chosen, evaluation, arm)
            })
            .collect(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::sequential::design::ANNEALED;

    pub(crate) fn cells(folder: &Path) -> Cells {
        Cells {
            folder: folder.to_owned(),
            adopted: Vec::new(),
            seeds: Some(2),
            few_seeds: Some(1),
            steps: Some(80_000),
            steps_large: None,
            optional: false,
        }
    }

    #[test]
    fn a_cell_is_found_again_as_it_was_made_and_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cells = cells(folder.path());
        let wanted = Wanted {
            row: Row::named("broadcast-h2"),
            method: &ANNEALED,
            seed: 1,
        };
        assert_eq!(cells.find(wanted).unwrap(), None);
        let made = cells.make(wanted, &|_| {}).unwrap();
        assert_eq!(cells.find(wanted).unwrap(), Some(made.clone()));
        assert!(made.env_steps <= 80_000 && made.valued == Valued::Exactly);
        assert!(made.value <= 2.0 + 1e-9 && made.optimum == Some(2.0));
        assert_eq!(made.arms.iter().filter(|arm| arm.kept).count(), 1);
        assert!(made.joint().is_some());
        for other in [
            Wanted { seed: 0, ..wanted },
            Wanted {
                method: METHODS[1],
                ..wanted
            },
        ] {
            assert_eq!(cells.find(other).unwrap(), None);
        }
        let longer = Cells {
            steps: Some(80_001),
            ..cells
        };
        assert_eq!(longer.find(wanted).unwrap(), None);
    }

    #[test]
    fn images_are_held_against_the_end_of_a_lone_arms_curve() {
        use super::super::findings::tests::run;
        // The curve ends at 10 by the most probable actions, at 9 by dice.
        let mut run = run("mpe-spread", "factored-mild", 0, 10.0);
        assert_eq!(run.gap(Choice::Greedy, 50), Some(0.0));
        // Of 100 episodes with a half width of .25 the error is .1276, of these and 50 more √3 times that.
        let gap = run.gap(Choice::Sampled, 50).unwrap();
        let expected = 1.96 / (0.25 * 3_f64.sqrt());
        assert!((gap - expected).abs() < 1e-12, "{gap}");
        assert_eq!(run.gap(Choice::Sampled, 0), None);
        run.arms.push(run.arms[0].clone());
        assert_eq!(run.gap(Choice::Greedy, 50), None);
        run.arms.pop();
        let same = Valued::ByEpisodes {
            episodes: 100,
            half: 0.0,
        };
        for valued in [Valued::Exactly, same] {
            run.valued = valued;
            assert_eq!(run.gap(Choice::Sampled, 50), None);
        }
    }

    #[test]
    fn a_study_that_is_stopped_has_compared_what_it_has_run() {
        let folder = tempfile::tempdir().unwrap();
        let cells = Cells {
            seeds: None,
            few_seeds: None,
            ..cells(folder.path())
        };
        let names = ["two-step", "coordsum-3x10", "mpe-spread"];
        let plan = cells.plan(|row| names.contains(&row.task));
        // Ten seeds of three methods; four on large tasks.
        assert_eq!(plan.len(), 3 * (10 + 4 + 4));
        assert!(
            plan[..30]
                .iter()
                .all(|wanted| wanted.row.task == "two-step")
        );
        let first: Vec<(&str, &str, u64)> = plan[30..36]
            .iter()
            .map(|wanted| (wanted.row.task, wanted.method.name, wanted.seed))
            .collect();
        assert_eq!(first[2], ("coordsum-3x10", "factored-mild", 0));
        assert_eq!(first[5], ("mpe-spread", "factored-mild", 0));
        // Large tasks have no more seeds than they were given.
        let few = Cells {
            seeds: Some(5),
            few_seeds: Some(1),
            ..cells
        };
        assert_eq!(few.seeds_of(Row::named("two-step"), &ANNEALED), 5);
        assert_eq!(few.seeds_of(Row::named("mpe-spread"), &ANNEALED), 4);
        assert_eq!(few.seeds_of(Row::named("two-step"), METHODS[1]), 1);
        assert_eq!(few.seeds_of(Row::named("mpe-spread"), METHODS[1]), 1);
        assert_eq!(few.seeds_of(Row::named("two-step"), METHODS[3]), 1);
        assert_eq!(few.seeds_of(Row::named("mpe-spread"), METHODS[3]), 0);
    }

    #[test]
    fn steps_that_are_too_few_for_any_task_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let cells = cells(folder.path());
        let message = format!("{:#}", cells.check(|_| true).unwrap_err());
        // A ramp takes 31 updates of 2,040 steps in each of two arms where episodes have twenty.
        assert!(
            message.contains("by annealed: steps: found 80000"),
            "{message}"
        );
        // Only of what is asked for.
        cells.check(|row| row.task == "dec-tiger-h2").unwrap();
        let enough = Cells {
            steps: None,
            ..cells
        };
        enough.check(|_| true).unwrap();
    }

    #[test]
    fn a_damaged_cell_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cells = cells(folder.path());
        let wanted = Wanted {
            row: Row::named("two-step"),
            method: &ANNEALED,
            seed: 0,
        };
        fs::write(cells.path(wanted).unwrap(), "{").unwrap();
        let message = format!("{:#}", cells.find(wanted).unwrap_err());
        assert!(message.contains("not a study's cell"), "{message}");
    }
}
