//! One run, from a configuration to a team's folder.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use candle_core::Device;

use crate::checkpoint::Checkpoints;
use crate::config::Config;
use crate::env::Task;
use crate::error::Error;
use crate::export::{Facts, export};
use crate::report::curve;
use crate::run_folder::RunFolder;
use crate::team::Team;
use crate::train::{KEEP_EVERY, Outcome, Record, Training};

/// A finished run.
pub struct Finished {
    /// What training came to, arm by arm.
    pub outcome: Outcome,
    /// The team that was kept, as it was exported.
    pub team: Team,
    /// Wall-clock time.
    pub time: Duration,
}

/// Who watches a run: called from any thread.
pub struct Watch<'a> {
    /// Hears of environment steps taken, be it now or before the run was interrupted.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Hears, in a line, of what is worth knowing though it stops nothing.
    pub note: &'a (dyn Fn(&str) + Sync),
    /// How long a job trains at most before its state is kept; [`KEEP_EVERY`] serves well.
    pub keep_every: Duration,
    /// Arms that are trained at a time; none: one a core, or one where a GPU trains. No result
    /// depends on it.
    pub threads: Option<usize>,
}

impl Default for Watch<'_> {
    /// Nobody.
    fn default() -> Self {
        Self {
            progress: &|_| {},
            note: &|_| {},
            keep_every: KEEP_EVERY,
            threads: None,
        }
    }
}

/// Trains every arm of `config` on `task`, keeps the best and writes everything into `folder`,
/// the team last. A run that was interrupted there goes on from its checkpoints, to the same bits.
pub fn run(
    config: &Config,
    task: &Task,
    device: &Device,
    folder: &RunFolder,
    watch: &Watch<'_>,
) -> Result<Finished, Error> {
    let start = Instant::now();
    // Arms run side by side on the processor; a GPU is kept busy by one.
    let threads = match (watch.threads, device) {
        (Some(threads), _) => threads,
        (None, Device::Cpu) => available_parallelism().map_or(1, NonZeroUsize::get),
        (None, _) => 1,
    };
    let tasks = std::slice::from_ref(task);
    let store = Checkpoints::new(folder, config, watch.keep_every, watch.note);
    let training = Training {
        config,
        device,
        threads,
        progress: watch.progress,
        store: &store,
        keep_every: watch.keep_every,
    };
    let outcomes = match training.run(tasks, &[config.seed]) {
        Ok(outcomes) => outcomes,
        Err(error) => {
            // What it learned until then says why; that it failed matters more than whether this is written.
            let _ = store.flush();
            return Err(error.into());
        }
    };
    let outcome = outcomes.into_iter().next().expect("an outcome a run");

    let records = outcome
        .arms
        .iter()
        .flat_map(|arm| &arm.records)
        .map(Record::line);
    folder.write_metrics(records)?;
    let names = config.arm_names();
    folder.write_curve(&curve::draw(task, &names, config.act, &outcome))?;
    let best = outcome.best();
    let facts = Facts {
        arm: names[outcome.selection.chosen],
        arm_index: outcome.selection.chosen,
        env_steps: outcome.env_steps(),
        joint: best.values.and_then(|values| values.joint),
        // A curve's few episodes would say less than those that judge the images.
        product: (best.values.filter(|_| task.game().is_some()))
            .map(|values| [values.product, values.greedy]),
    };
    let team = export(&folder.team(), config, task, &best.marginals, facts)?;
    folder.remove_checkpoints()?;
    Ok(Finished {
        outcome,
        team,
        time: start.elapsed(),
    })
}
