//! The train loop: a portfolio of arms, every environment step counted.
//!
//! No single setting wins every task, so a run trains several *arms* from scratch, each to the end of
//! its share of the steps or, where they *race*, until all but the best give theirs up; and keeps the
//! best team ([`crate::select`]).
//!
//! Arms of one kind, and the runs of many seeds, are replicas of one computation. One-shot games
//! are so small that they are trained side by side in *jobs* ([`crate::job`]); since replicas never
//! mix, a run's result does not depend on how many others ran beside it, on how jobs were cut, or
//! on the number of threads. Nor does it depend on being interrupted: a job's whole state can be
//! kept in a [`Store`] and taken up again.

use std::cmp::Ordering;
use std::sync::Mutex;
use std::time::Duration;

use candle_core::{Device, Result};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algo::{ArmKind, Metrics};
use crate::config::{ArmName, Budget, Config};
use crate::env::{Task, TaskKind};
use crate::eval::Values;
use crate::job::{Job, Lane, Progress};
use crate::net::NetworkWeights;
use crate::select::{Entrant, Selection, Selector};

/// What one update measured, and what the policies were worth after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Arm number.
    pub arm: usize,
    /// Environment steps this arm has taken.
    pub env_steps: u64,
    /// What the update measured.
    pub metrics: Metrics,
    /// What the policies are worth now.
    pub values: Option<Values>,
}

/// A [`Record`] as a line of metrics.jsonl: all its numbers side by side.
#[derive(Serialize)]
pub struct Line<'a> {
    arm: usize,
    env_steps: u64,
    #[serde(flatten)]
    metrics: &'a Metrics,
    #[serde(flatten)]
    values: &'a Option<Values>,
}

impl Record {
    /// All its numbers side by side.
    pub fn line(&self) -> Line<'_> {
        Line {
            arm: self.arm,
            env_steps: self.env_steps,
            metrics: &self.metrics,
            values: &self.values,
        }
    }
}

/// Networks of one arm at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Environment steps the arm had taken.
    pub env_steps: u64,
    /// Each agent's network, reading raw observations (any normalisation is folded in).
    pub marginals: Vec<NetworkWeights>,
    /// What they were worth, as far as it was measured.
    pub values: Option<Values>,
}

/// What one arm came to.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmOutcome {
    /// A record every hundredth of the arm's updates.
    pub records: Vec<Record>,
    /// Environment steps spent on training and on the curve.
    pub env_steps: u64,
    /// Each agent's network: the best of this arm.
    pub marginals: Vec<NetworkWeights>,
    /// What they are worth, as far as it was measured.
    pub values: Option<Values>,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// One entry an arm, in the configuration's order.
    pub arms: Vec<ArmOutcome>,
    /// How the team was chosen among them.
    pub selection: Selection,
}

impl Outcome {
    /// Environment steps of the whole run.
    pub fn env_steps(&self) -> u64 {
        let training: u64 = self.arms.iter().map(|arm| arm.env_steps).sum();
        training + self.selection.env_steps()
    }

    /// The arm that was kept.
    pub fn best(&self) -> &ArmOutcome {
        &self.arms[self.selection.chosen]
    }
}

/// Where unfinished jobs are kept, so that a killed run can go on. Names are short and plain.
pub trait Store: Sync {
    /// What was kept last under `name`, if anything was.
    fn load(&self, name: &str) -> Option<Vec<u8>>;

    /// Keeps `bytes` under `name`, all of them or what was there before.
    ///
    /// # Errors
    /// When the machine refuses.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Told that no job can go on from what was kept under `name`: it starts over.
    fn refused(&self, name: &str, why: &str) {
        let _ = (name, why);
    }

    /// Told what an arm has recorded so far, whenever its job's state is kept or taken up.
    ///
    /// # Errors
    /// When the machine refuses to write it down.
    fn recorded(&self, arm: usize, records: &[Record]) -> Result<()> {
        let _ = (arm, records);
        Ok(())
    }
}

/// Keeps nothing.
pub struct NoStore;

impl Store for NoStore {
    fn load(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn keep(&self, _: &str, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Most replicas of a one-shot game trained in one job on a CPU: more would leave the caches,
/// fewer would spend the time launching operations. (A GPU takes all it can get.)
const LANES: usize = 16;

/// How long a job trains before its state is kept, where nobody says otherwise.
pub const KEEP_EVERY: Duration = Duration::from_secs(20);

/// What runs have in common.
pub struct Training<'a> {
    /// Their configuration, but for the seed.
    pub config: &'a Config,
    /// Where the tensors live.
    pub device: &'a Device,
    /// How many jobs run at a time.
    pub threads: usize,
    /// Told, from any thread, of environment steps taken.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Where unfinished jobs are kept.
    pub store: &'a dyn Store,
    /// How long a job trains at most, give or take an update, before its state is kept. No result
    /// depends on it.
    pub keep_every: Duration,
}

/// Trains one run a (task, seed) pair; the tasks have one shape (agents, spaces). `threads`
/// jobs run at a time. `progress` is told, from any thread, of environment steps taken.
pub fn train(
    config: &Config,
    tasks: &[Task],
    seeds: &[u64],
    device: &Device,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Outcome>> {
    let training = Training {
        config,
        device,
        threads,
        progress,
        store: &NoStore,
        keep_every: KEEP_EVERY,
    };
    training.run(tasks, seeds)
}

impl Training<'_> {
    /// Trains one run a (task, seed) pair; the tasks have one shape (agents, spaces).
    pub fn run(&self, tasks: &[Task], seeds: &[u64]) -> Result<Vec<Outcome>> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .map_err(candle_core::Error::wrap)?;
        pool.install(|| self.run_in_pool(tasks, seeds))
    }

    fn run_in_pool(&self, tasks: &[Task], seeds: &[u64]) -> Result<Vec<Outcome>> {
        let arms = self.config.arms();
        let budget = self.config.budget(&tasks[0].spec());
        let jobs = self.jobs(&arms, tasks, seeds);
        let trained: Vec<Vec<(Lane, Progress)>> = jobs
            .par_iter()
            .map(|job| job.train(budget.race.unwrap_or(budget.updates), self))
            .collect::<Result<_>>()?;
        let lanes: Vec<Mutex<Vec<(Lane, Progress)>>> =
            seeds.iter().map(|_| Mutex::default()).collect();
        for (lane, progress) in trained.into_iter().flatten() {
            let mut run = lanes[lane.run].lock().expect("no thread panicked");
            run.push((lane, progress));
        }
        (lanes.into_par_iter().enumerate())
            .map(|(run, lanes)| {
                let mut lanes = lanes.into_inner().expect("no thread panicked");
                lanes.sort_by_key(|(lane, _)| lane.arm);
                let arms = lanes.into_iter().map(|(_, progress)| progress).collect();
                self.finish(&budget, &jobs, &tasks[run], seeds[run], run, arms)
            })
            .collect()
    }

    /// Chooses among a run's arms. Those that raced: the winner goes on, then stands against what it
    /// left behind. Those that learnt to the end: in two rounds.
    fn finish(
        &self,
        budget: &Budget,
        jobs: &[Job<'_>],
        task: &Task,
        seed: u64,
        run: usize,
        mut arms: Vec<Progress>,
    ) -> Result<Outcome> {
        let mut selector = Selector::new(task, self.config.act, seed, arms.len());
        let all = |arms: &[Progress]| -> Vec<Entrant> {
            let of = |(arm, progress): (usize, &Progress)| progress.entrants(arm, self.config.act);
            arms.iter().enumerate().flat_map(of).collect()
        };
        if budget.race.is_some() {
            let products: Vec<f64> = arms.iter().map(Progress::product).collect();
            let winner = winner(&products, &self.config.arm_names());
            let lane = Lane { run, arm: winner };
            let job = jobs.iter().find(|job| job.lanes() == [lane]);
            let job = job.expect("arms that race are trained each by itself");
            let trained = job.train(budget.updates, self)?;
            let (_, progress) = trained.into_iter().next().expect("one lane");
            arms[winner] = progress;
            let latest = |(arm, progress): (usize, &Progress)| match arm == winner {
                true => progress.entrants(arm, self.config.act),
                false => vec![progress.latest(arm)],
            };
            let entrants: Vec<Entrant> = arms.iter().enumerate().flat_map(latest).collect();
            selector.round(&entrants, budget.decisive);
        } else if arms.len() > 1 {
            selector.round(&all(&arms), budget.preliminary);
            let finalists = selector.finalists(budget.finalists);
            selector.round(&finalists, budget.decisive);
        }
        (self.progress)(selector.env_steps());
        let (best, selection) = selector.close(|arm| arms[arm].latest(arm));
        let arms = arms.into_iter().enumerate().map(|(arm, progress)| {
            let kept = match arm == best.arm {
                true => best.snapshot.clone(),
                false => progress.latest(arm).snapshot,
            };
            ArmOutcome {
                env_steps: progress.env_steps(),
                records: progress.into_records(),
                marginals: kept.marginals,
                values: kept.values,
            }
        });
        Ok(Outcome {
            arms: arms.collect(),
            selection,
        })
    }

    /// All (run, arm) pairs in jobs: of one-shot games those of one arm kind together, at most
    /// [`LANES`] to a job; of anything longer, and where arms race, each alone.
    fn jobs<'a>(&'a self, arms: &[ArmKind], tasks: &'a [Task], seeds: &[u64]) -> Vec<Job<'a>> {
        let mut groups: Vec<(usize, Vec<Lane>)> = Vec::new();
        for (arm, kind) in arms.iter().enumerate() {
            let first = arms.iter().position(|other| other == kind).unwrap_or(arm);
            let more = (0..seeds.len()).map(|run| Lane { run, arm });
            match groups.iter_mut().find(|(other, _)| *other == first) {
                Some((_, group)) => group.extend(more),
                None => groups.push((first, more.collect())),
            }
        }
        let races = self.config.budget(&tasks[0].spec()).race.is_some();
        let side_by_side = tasks[0].kind() == TaskKind::OneShot && !races;
        let most = match (side_by_side, self.device.is_cpu()) {
            (true, true) => LANES,
            (true, false) => usize::MAX,
            (false, _) => 1,
        };
        groups
            .iter()
            .flat_map(|(arm, lanes)| {
                let job = |lanes: &[Lane]| Job::new(&arms[*arm], lanes, tasks, seeds);
                lanes.chunks(most).map(job).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// The arm whose product earns most, joint policies being nothing that could be executed; of equals,
/// the first that need not be annealed. `products`: what they earn, an arm each.
fn winner(products: &[f64], names: &[ArmName]) -> usize {
    let better = |best: usize, arm: usize| {
        let simpler = names[best].has_joint() && !names[arm].has_joint();
        match products[arm].total_cmp(&products[best]) {
            Ordering::Greater => arm,
            Ordering::Equal if simpler => arm,
            _ => best,
        }
    };
    (1..products.len()).fold(0, better)
}

#[cfg(test)]
mod products;
#[cfg(test)]
mod tests;
