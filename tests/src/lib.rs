//! What the tests in this crate share. Each file of `tests/` asserts one thing that crosses
//! crates.

use std::path::PathBuf;

use candle_core::Device;
use consort_trainer::config::{Config, Method};
use consort_trainer::env::Task;
use consort_trainer::train::{Outcome, train};

/// The allocator of the `consort` command, for the reason given there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The default configuration of `method`, with `steps` environment steps.
pub fn config(method: Method, steps: u64) -> Config {
    Config {
        method,
        steps,
        ..Config::default()
    }
}

/// The defaults for `task`'s kind, with `steps` environment steps.
pub fn config_for(task: &Task, steps: u64) -> Config {
    Config {
        steps,
        ..Config::for_kind(task.kind())
    }
}

/// One run of `config` on `task` for every seed, on the CPU and two threads.
///
/// # Panics
/// When training fails.
pub fn run(config: &Config, task: &Task, seeds: &[u64]) -> Vec<Outcome> {
    let tasks = vec![task.clone(); seeds.len()];
    train(config, &tasks, seeds, &Device::Cpu, 2, &|_| ()).expect("training on the CPU")
}

/// The built-in task called `name`.
///
/// # Panics
/// When there is none.
pub fn task(name: &str) -> Task {
    Task::find(name).expect("a built-in task")
}

/// The folders of the committed teams, by name.
///
/// # Panics
/// When `models/` cannot be read.
pub fn committed_teams() -> Vec<PathBuf> {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models");
    let mut teams: Vec<PathBuf> = std::fs::read_dir(models)
        .expect("models/ beside the crates")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.is_dir())
        .collect();
    teams.sort();
    teams
}
