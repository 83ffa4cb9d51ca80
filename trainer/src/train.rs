//! The train loop: a portfolio of arms, every environment step counted.
//!
//! No single setting wins every task, so a run trains several *arms* from scratch with equal
//! shares of its steps and keeps the best team ([`crate::select`]).
//!
//! Arms of one kind, and the runs of many seeds, are replicas of one computation. They are
//! trained side by side in *jobs*; since replicas never mix, a run's result does not depend on
//! how many others ran beside it, on how jobs were cut, or on the number of threads.

use std::sync::Arc;

use candle_core::{Device, Result};
use rand_core::Rng;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use serde::Serialize;

use crate::algo::{Algorithm, ArmKind, Metrics};
use crate::config::Config;
use crate::env::{Game, Task, TeamSpec};
use crate::eval::{Enumeration, Values};
use crate::net::{NetworkWeights, Normalisation, Normaliser};
use crate::rng::Stream;
use crate::rollout::Runner;
use crate::select::{Selection, select};

/// One line of metrics.jsonl.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Arm number.
    pub arm: usize,
    /// Environment steps this arm has taken.
    pub env_steps: u64,
    /// What the update measured.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// What the policies are worth now, where the game can be enumerated.
    #[serde(flatten)]
    pub values: Option<Values>,
}

/// What one arm came to.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmOutcome {
    /// A record every fiftieth of the arm's updates.
    pub records: Vec<Record>,
    /// Environment steps spent on training.
    pub env_steps: u64,
    /// Each agent's network, reading raw observations (any normalisation is
    /// folded in).
    pub marginals: Vec<NetworkWeights>,
    /// What the policies are worth in the end, where the game can be enumerated.
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

/// How many records an arm leaves.
const RECORDS: u64 = 50;

/// Most replicas trained in one job on a CPU: more would leave the caches, fewer would spend
/// the time launching operations. (A GPU takes all it can get.)
const LANES: usize = 16;

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
    let arms = config.arms();
    let jobs = jobs(&arms, seeds.len(), device);
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(candle_core::Error::wrap)?;
    let trained: Vec<Vec<ArmOutcome>> = pool.install(|| {
        jobs.par_iter()
            .map(|job| train_job(config, &arms, job, tasks, seeds, device, progress))
            .collect::<Result<_>>()
    })?;
    let mut results: Vec<Vec<Option<ArmOutcome>>> = vec![vec![None; arms.len()]; seeds.len()];
    for (job, outcomes) in jobs.iter().zip(trained) {
        for (lane, outcome) in job.iter().zip(outcomes) {
            results[lane.run][lane.arm] = Some(outcome);
        }
    }
    let arms: Vec<Vec<ArmOutcome>> = results
        .into_iter()
        .map(|arms| {
            let arms = arms.into_iter();
            arms.map(|arm| arm.expect("every arm of every run is in some job"))
                .collect()
        })
        .collect();
    let budget = config.budget();
    let selections: Vec<Selection> = pool.install(|| {
        let runs = (&arms, tasks, seeds).into_par_iter();
        runs.map(|(arms, task, &seed)| {
            let networks: Vec<_> = arms.iter().map(|arm| arm.marginals.as_slice()).collect();
            let selection = select(&budget, task, seed, &networks);
            progress(selection.env_steps());
            selection
        })
        .collect()
    });
    Ok(std::iter::zip(arms, selections)
        .map(|(arms, selection)| Outcome { arms, selection })
        .collect())
}

/// One replica of a job.
#[derive(Clone, Copy, Debug)]
struct Lane {
    run: usize,
    arm: usize,
}

/// All (run, arm) pairs, those of one arm kind together, at most [`LANES`] to a job.
fn jobs(arms: &[ArmKind], runs: usize, device: &Device) -> Vec<Vec<Lane>> {
    let mut lanes: Vec<(usize, Vec<Lane>)> = Vec::new();
    for (arm, kind) in arms.iter().enumerate() {
        let first = arms.iter().position(|other| other == kind).unwrap_or(arm);
        let more = (0..runs).map(|run| Lane { run, arm });
        match lanes.iter_mut().find(|(other, _)| *other == first) {
            Some((_, group)) => group.extend(more),
            None => lanes.push((first, more.collect())),
        }
    }
    let most = if device.is_cpu() { LANES } else { usize::MAX };
    lanes
        .iter()
        .flat_map(|(_, group)| group.chunks(most).map(<[Lane]>::to_vec))
        .collect()
}

fn train_job(
    config: &Config,
    arms: &[ArmKind],
    job: &[Lane],
    all_tasks: &[Task],
    run_seeds: &[u64],
    device: &Device,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<ArmOutcome>> {
    let tasks: Vec<Task> = job.iter().map(|lane| all_tasks[lane.run].clone()).collect();
    let seeds: Vec<u64> = job
        .iter()
        .map(|lane| Stream::new(run_seeds[lane.run], "arm", lane.arm as u64).next_u64())
        .collect();
    let spec = &tasks[0].spec();
    let kind = &arms[job[0].arm];
    let mut algorithm = kind.make(spec, &config.network, &seeds, device)?;
    let games: Option<Vec<Arc<Game>>> = tasks.iter().map(|task| task.game().cloned()).collect();
    let enumeration = games.and_then(Enumeration::new);

    let updates = config.budget().updates;
    let streams = seeds
        .iter()
        .map(|&seed| Stream::new(seed, "environment", 0))
        .collect();
    let mut runner = Runner::new(&tasks, config.batch, streams, device);
    if config.normalise_observations {
        runner.normalise(Normalisation::measured(spec, job.len()));
    }
    let mut records = vec![Vec::new(); job.len()];
    for update in 0..updates {
        let batch = runner.collect(|observations| algorithm.act(observations))?;
        let metrics = algorithm.update(&batch, update as f64 / updates as f64)?;
        progress((config.batch * job.len()) as u64);
        if (update + 1) * RECORDS / updates > update * RECORDS / updates {
            let values = values(enumeration.as_ref(), &runner, algorithm.as_ref(), job.len())?;
            for (index, records) in records.iter_mut().enumerate() {
                records.push(Record {
                    arm: job[index].arm,
                    env_steps: (update + 1) * config.batch as u64,
                    metrics: metrics[index],
                    values: values[index],
                });
            }
        }
    }

    let values = values(enumeration.as_ref(), &runner, algorithm.as_ref(), job.len())?;
    records
        .into_iter()
        .enumerate()
        .map(|(index, records)| {
            let normaliser = runner.normalisation().of(index);
            Ok(ArmOutcome {
                records,
                env_steps: updates * config.batch as u64,
                marginals: networks(algorithm.as_ref(), index, spec, normaliser)?,
                values: values[index],
            })
        })
        .collect()
}

fn values(
    enumeration: Option<&Enumeration>,
    runner: &Runner,
    algorithm: &dyn Algorithm,
    replicas: usize,
) -> Result<Vec<Option<Values>>> {
    let Some(enumeration) = enumeration else {
        return Ok(vec![None; replicas]);
    };
    let values = enumeration.values(runner, algorithm)?;
    Ok(values.into_iter().map(Some).collect())
}

/// Every agent's network as it would be flashed: normalisation folded into the first layer.
fn networks(
    algorithm: &dyn Algorithm,
    replica: usize,
    spec: &TeamSpec,
    normaliser: Option<&Normaliser>,
) -> Result<Vec<NetworkWeights>> {
    let mut start = 0;
    let mut networks = Vec::with_capacity(spec.agents.len());
    for (agent, own) in spec.agents.iter().enumerate() {
        let mut layers = algorithm.marginals().weights(replica, agent)?;
        if let (Some(normaliser), Some(first)) = (normaliser, layers.first_mut()) {
            normaliser.fold_into(first, start);
        }
        start += own.observation;
        networks.push(NetworkWeights::mlp(layers));
    }
    Ok(networks)
}
