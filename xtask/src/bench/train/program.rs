//! Our own side of the bench: a program of the trainer's, and how processes are run so that their times can be compared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::report::Report;
use crate::{process, root};

/// The built program.
pub(super) struct Program(PathBuf);

impl Program {
    pub(super) fn build(report: &mut Report) -> Result<Self> {
        let mut found = None;
        report.step("build", || {
            let mut build = process::cargo(root(), "bench");
            build.args(["--package", "consort-trainer", "--bench", "training"]);
            build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
            let mut binaries = process::executables(&process::stdout(&mut build)?)?;
            found = binaries.remove("training");
            ensure!(found.is_some(), "cargo built no `training`");
            Ok("trainer/benches/training")
        })?;
        Ok(Self(found.context("cargo built no `training`")?))
    }

    /// Runs a part of it on one core; its lines.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        lines(pinned(&self.0).args(arguments))
    }

    /// The same, wherever the system puts it.
    pub(super) fn run_unpinned(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        lines(alone(Command::new(&self.0)).args(arguments))
    }
}

/// `program` on the machine's last core, where the system can do that.
pub(super) fn pinned(program: &Path) -> Command {
    alone(match core() {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    })
}

/// The core that is measured on.
pub(super) fn core() -> Option<usize> {
    let cores = available_parallelism().ok()?.get();
    process::exists("taskset").then_some(cores - 1)
}

/// Without threads beside the one that is asked for.
fn alone(mut command: Command) -> Command {
    for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(variable, "1");
    }
    command.env("JAX_PLATFORMS", "cpu");
    command
}

/// The JSON objects among what `command` prints.
pub(super) fn lines(command: &mut Command) -> Result<Vec<Value>> {
    eprintln!("$ {}", process::line(command));
    let text = process::stdout(command)?;
    let objects = text.lines().filter(|line| line.starts_with('{'));
    objects
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
        .collect()
}

/// A number of a line.
pub(super) fn number(line: &Value, key: &str) -> Result<f64> {
    let number = line[key].as_f64();
    number.with_context(|| format!("no number `{key}` in {line}"))
}
