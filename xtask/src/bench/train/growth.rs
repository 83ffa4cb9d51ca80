//! How the cost of training grows: with agents, environments, the networks' width, and threads.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::program::{Program, number};
use super::short;
use crate::report::Report;

/// Environment steps of a run: enough for a dozen updates of the largest.
const STEPS: &str = "100000";
/// Two runs side by side, all evaluation included.
const THREADS_STEPS: &str = "200000";

/// Adds `growth`: a list of `{axis, value, env_steps_per_second, peak_bytes}`.
pub(super) fn measure(
    report: &mut Report,
    program: &Program,
    figures: &mut Map<String, Value>,
) -> Result<()> {
    let mut rows = Vec::new();
    let mut row = |axis: &str, value: usize, run: &dyn Fn() -> Result<Vec<Value>>| {
        report
            .step(format!("{axis}: {value}"), || {
                let lines = run()?;
                let line = lines.first().context("nothing was printed")?;
                let rate = number(line, "env_steps_per_second")?;
                rows.push(json!({
                    "axis": axis,
                    "value": value,
                    "env_steps_per_second": rate,
                    "peak_bytes": line["peak_bytes"],
                }));
                let peak = line["peak_bytes"].as_f64().unwrap_or(f64::NAN) / 1024.0 / 1024.0;
                Ok(format!("{} steps/s, {peak:.0} MiB", short(rate)))
            })
            .map(|_| ())
    };
    let learn = |task: &str, batch: usize, width: usize| {
        let (batch, width) = (
            format!("batch={batch}"),
            format!("network.hidden=[{width}, {width}]"),
        );
        program.run(&[
            "learn",
            task,
            "--steps",
            STEPS,
            "--set",
            "rollout=128",
            "--set",
            "normalise_observations=false",
            "--set",
            &batch,
            "--set",
            &width,
        ])
    };
    for agents in [2, 3, 6, 12] {
        row("agents", agents, &|| {
            learn(&format!("mpe-spread-{agents}"), 16, 64)
        })?;
    }
    for environments in [4, 16, 64, 256] {
        row("environments", environments, &|| {
            learn("mpe-spread", environments, 64)
        })?;
    }
    for width in [32, 64, 128, 256] {
        row("width", width, &|| learn("mpe-spread", 16, width))?;
    }
    for threads in [1, 2] {
        row("threads", threads, &|| {
            program.run_unpinned(&[
                "learn",
                "mpe-spread",
                "--steps",
                THREADS_STEPS,
                "--runs",
                "2",
                "--threads",
                &threads.to_string(),
                "--set",
                "normalise_observations=false",
                "--set",
                "network.hidden=[64, 64]",
            ])
        })?;
    }
    figures.insert("growth".into(), json!(rows));
    Ok(())
}
