//! What a shared seed (docs/shared-seed.md) is worth on devices: `evade`, whose adversary leaves a team 1/4 without and 1/2 with.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::hil::prepare;
use super::train::machine;
use crate::report::Report;
use crate::toolchain::Toolchain;
use crate::{board, firmware, process};

/// One an agent: the boards' short names.
const BOARDS: [&str; 2] = ["m4f", "m3"];

const EPISODES: u32 = 4000;

/// Half of a 95 % interval, in standard errors.
const Z: f64 = 1.96;

/// A team to train.
struct Team {
    name: &'static str,
    /// What follows `consort train evade`.
    options: &'static [&'static str],
    /// What no team of this kind can be more certain of (docs/tasks.md derives it).
    best: f64,
}

const TEAMS: [Team; 2] = [
    Team {
        name: "each by its own dice",
        options: &[
            "--method",
            "factored",
            "--set",
            "act=sampled",
            "--set",
            "rollout=64",
            "--set",
            "update.final_rate=0",
        ],
        best: 0.25,
    },
    Team {
        name: "with a shared seed",
        options: &["--shared-seed"],
        best: 0.5,
    },
];

/// What a team came to.
struct Row {
    name: &'static str,
    /// What it is certain of, whatever the adversary does: from its images, exactly.
    certain: f64,
    /// What it was paid on its devices, and half of the 95 % interval.
    earned: f64,
    interval: f64,
    /// Actions on its devices that were not the host's.
    differences: u64,
}

/// Trains both teams, lets them act on emulated devices; the figures.
///
/// # Errors
///
/// Also where a device differs from the host, or the shared seed is not clearly worth more than none.
pub(super) fn run(toolchain: &Toolchain, report: &mut Report) -> Result<Value> {
    let boards = board::named(&BOARDS.map(str::to_owned));
    let program = prepare(report, toolchain, &boards)?;
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    for (index, team) in TEAMS.iter().enumerate() {
        rows.push(team.measure(report, &program, &folder.path().join(index.to_string()))?);
    }
    let [alone, shared] = &rows[..] else {
        unreachable!("a row a team")
    };
    report.step("what the seed is worth", || {
        ensure!(
            shared.earned - shared.interval > alone.earned + alone.interval,
            "{} with a shared seed, {} without: no more than chance",
            shared.earned,
            alone.earned
        );
        Ok(format!(
            "{:.4} in the place of {:.4}",
            shared.earned, alone.earned
        ))
    })?;
    Ok(json!({
        "bench": "shared-seed",
        "commit": machine::commit()?,
        "boards": BOARDS,
        "episodes": EPISODES,
        "teams": rows.iter().map(Row::json).collect::<Vec<_>>(),
    }))
}

impl Team {
    fn measure(&self, report: &mut Report, program: &Path, run: &Path) -> Result<Row> {
        let consort = |command: &str| {
            let mut consort = Command::new(program);
            consort.args([command, "--json"]);
            consort
        };
        let name = self.name;
        report.step(format!("train {name}"), || {
            let mut train = consort("train");
            train.args(["evade", "--quiet"]).args(self.options);
            let trained = object(train.arg("--out").arg(run))?;
            Ok(format!("{} steps", trained["env_steps"]))
        })?;
        let (mut certain, mut row) = (0.0, None);
        report.step(format!("certain of, {name}"), || {
            certain = number(&object(consort("eval").arg(run))?, "exact")?;
            let best = self.best;
            // Both are sums of a few products of f64.
            ensure!(
                certain <= best + 1e-9,
                "{certain}: more than the best there is, {best}"
            );
            Ok(format!("{certain:.4}; the best there is: {best}"))
        })?;
        report.step(format!("devices, {name}"), || {
            let mut hil = consort("hil");
            hil.arg(run)
                .args(["--episodes", &EPISODES.to_string(), "--firmware"])
                .arg(firmware::folder());
            for board in BOARDS {
                hil.args(["--board", &format!("qemu:{board}")]);
            }
            let played = object(&mut hil)?;
            ensure!(played["hung"].is_null(), "{played}");
            let earned = number(&played, "return_mean")?;
            // An episode pays 0 or 1.
            let interval = Z * (earned * (1.0 - earned) / f64::from(EPISODES)).sqrt();
            let differences = played["divergences"].as_u64();
            let differences = differences.with_context(|| played.to_string())?;
            ensure!(
                differences == 0,
                "{differences} actions that are not the host's"
            );
            row = Some(Row {
                name,
                certain,
                earned,
                interval,
                differences,
            });
            Ok(format!(
                "{earned:.4} ± {interval:.4} earned in {EPISODES} episodes, {differences} actions that differ from the host's"
            ))
        })?;
        row.context("the step above makes it")
    }
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "team": self.name,
            "certain": self.certain,
            "earned": self.earned,
            "interval": self.interval,
            "differences": self.differences,
        })
    }
}

/// The object that a command of `consort` ends its stdout with.
fn object(command: &mut Command) -> Result<Value> {
    let text = process::stdout(command)?;
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| process::line(command))
}

fn number(object: &Value, key: &str) -> Result<f64> {
    object[key]
        .as_f64()
        .with_context(|| format!("no `{key}` in {object}"))
}
