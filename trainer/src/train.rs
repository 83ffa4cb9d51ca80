//! The train loop: a portfolio of arms, R replicas at a time, every environment step counted.
//!
//! No single setting wins every game, so a run trains several small *arms* from scratch with
//! equal shares of its steps and keeps the team whose greedy product did best in evaluation
//! episodes. Those episodes are environment steps too.

use std::sync::Arc;

use candle_core::{Device, Result};
use rand_core::Rng;
use serde::Serialize;

use crate::algo::{Algorithm, Metrics};
use crate::config::{ArmKind, Config};
use crate::env::{Game, Task};
use crate::eval::{Enumeration, Values, act_greedily};
use crate::net::DenseWeights;
use crate::rng::Stream;
use crate::rollout::Runner;

/// One line of metrics.jsonl.
#[derive(Clone, Debug, Serialize)]
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

/// What one arm came to on one replica.
#[derive(Clone, Debug)]
pub struct ArmOutcome {
    /// One record every so many updates.
    pub records: Vec<Record>,
    /// Mean return of the greedy product in the evaluation episodes.
    pub evaluation: f64,
    /// Environment steps taken, evaluation included.
    pub env_steps: u64,
    /// Each agent's network.
    pub marginals: Vec<Vec<DenseWeights>>,
    /// Values at the end, where the game can be enumerated.
    pub values: Option<Values>,
}

/// How often an arm's records are taken, as a fraction of its updates.
const RECORDS: u64 = 50;

/// Trains arm `index` of the configuration on one task and seed a replica.
pub fn train_arm(
    config: &Config,
    index: usize,
    tasks: &[Task],
    seeds: &[u64],
    device: &Device,
) -> Result<Vec<ArmOutcome>> {
    let arms = config.arms();
    let seeds: Vec<u64> = seeds
        .iter()
        .map(|&seed| Stream::new(seed, "arm", index as u64).next_u64())
        .collect();
    let streams = |name: &str| seeds.iter().map(|&seed| Stream::new(seed, name, 0)).collect();
    let mut algorithm = make(&arms[index], config, tasks, &seeds, device)?;
    let games: Option<Vec<Arc<Game>>> = tasks.iter().map(|task| task.game().cloned()).collect();
    let enumeration = games.map(|games| Enumeration::new(&games, device)).transpose()?;

    let share = config.steps / arms.len() as u64;
    let updates = (share - config.evaluation_episodes as u64) / config.batch as u64;
    let mut runner = Runner::new(tasks, config.batch, streams("environment"), device);
    let mut records = vec![Vec::new(); seeds.len()];
    for update in 0..updates {
        let batch = runner.collect(|observations| algorithm.act(observations))?;
        let metrics = algorithm.update(&batch, update as f64 / updates as f64)?;
        if (update + 1) * RECORDS / updates > update * RECORDS / updates {
            let values = values(enumeration.as_ref(), algorithm.as_ref(), seeds.len())?;
            for (replica, records) in records.iter_mut().enumerate() {
                records.push(Record {
                    arm: index,
                    env_steps: (update + 1) * config.batch as u64,
                    metrics: metrics[replica],
                    values: values[replica],
                });
            }
        }
    }

    let mut examiner = Runner::new(tasks, config.evaluation_episodes, streams("evaluation"), device);
    let examined = examiner.collect(|observations| act_greedily(algorithm.as_ref(), observations))?;
    let returns = examined.returns.chunks_exact(config.evaluation_episodes);
    let values = values(enumeration.as_ref(), algorithm.as_ref(), seeds.len())?;
    let agents = tasks[0].spec().agents.len();
    std::iter::zip(records, returns)
        .enumerate()
        .map(|(replica, (records, returns))| {
            Ok(ArmOutcome {
                records,
                evaluation: returns.iter().map(|&value| f64::from(value)).sum::<f64>()
                    / returns.len() as f64,
                env_steps: updates * config.batch as u64 + config.evaluation_episodes as u64,
                marginals: (0..agents)
                    .map(|agent| algorithm.marginals().weights(replica, agent))
                    .collect::<Result<_>>()?,
                values: values[replica],
            })
        })
        .collect()
}

fn values(
    enumeration: Option<&Enumeration>,
    algorithm: &dyn Algorithm,
    replicas: usize,
) -> Result<Vec<Option<Values>>> {
    match enumeration {
        Some(enumeration) => {
            Ok(enumeration.values(algorithm)?.into_iter().map(Some).collect())
        }
        None => Ok(vec![None; replicas]),
    }
}

fn make(
    kind: &ArmKind,
    config: &Config,
    tasks: &[Task],
    seeds: &[u64],
    device: &Device,
) -> Result<Box<dyn Algorithm>> {
    kind.make(&tasks[0].spec(), &config.network, seeds, device)
}
