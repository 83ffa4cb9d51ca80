//! One run, from a configuration to a team's folder.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use candle_core::Device;

use crate::config::Config;
use crate::env::Task;
use crate::error::Error;
use crate::export::{Facts, export};
use crate::report::curve;
use crate::run_folder::RunFolder;
use crate::team::Team;
use crate::train::{Outcome, Record, train};

/// A finished run.
pub struct Finished {
    /// What training came to, arm by arm.
    pub outcome: Outcome,
    /// The team that was kept, as it was exported.
    pub team: Team,
    /// Wall-clock time.
    pub time: Duration,
}

/// Trains every arm of `config` on `task`, keeps the best and writes everything into `folder`,
/// the team last. `progress` hears, from any thread, of environment steps taken.
pub fn run(
    config: &Config,
    task: &Task,
    device: &Device,
    folder: &RunFolder,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Finished, Error> {
    let start = Instant::now();
    // Arms run side by side on the processor; a GPU is kept busy by one.
    let threads = match device {
        Device::Cpu => available_parallelism().map_or(1, NonZeroUsize::get),
        _ => 1,
    };
    let tasks = std::slice::from_ref(task);
    let outcomes = train(config, tasks, &[config.seed], device, threads, progress)?;
    let outcome = outcomes.into_iter().next().expect("an outcome a run");

    let records = outcome
        .arms
        .iter()
        .flat_map(|arm| &arm.records)
        .map(Record::line);
    folder.write_metrics(records)?;
    let names = config.arm_names();
    folder.write_curve(&curve::draw(task, &names, &outcome))?;
    let best = outcome.best();
    let facts = Facts {
        arm: names[outcome.selection.chosen],
        arm_index: outcome.selection.chosen,
        env_steps: outcome.env_steps(),
        joint: best.values.and_then(|values| values.joint),
        product: best.values.map(|values| [values.product, values.greedy]),
    };
    let team = export(&folder.team(), config, task, &best.marginals, facts)?;
    Ok(Finished {
        outcome,
        team,
        time: start.elapsed(),
    })
}
