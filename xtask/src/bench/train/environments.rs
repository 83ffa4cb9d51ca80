//! Bare environments: ours beside the Python originals.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::peers::ORIGINALS;
use super::program::{Program, number};
use super::short;
use crate::report::Report;

/// The key of a figure, which is the harness's word too, and our name of the same task.
const TASKS: [(&str, &str); 3] = [
    ("lbf", "lbf-8x8-2p-2f-coop"),
    ("rware", "rware-tiny-4ag"),
    ("mpe", "mpe-spread"),
];

/// Adds `env_<key>`, agent steps a second a core, and `env_<key>_ratio`.
pub(super) fn measure(
    report: &mut Report,
    program: &Program,
    figures: &mut Map<String, Value>,
) -> Result<()> {
    let rate = |lines: Vec<Value>| {
        let line = lines.first().context("nothing was printed")?;
        number(line, "agent_steps_per_second")
    };
    for (key, task) in TASKS {
        report.step(format!("steps of {task}"), || {
            let own = rate(program.run(&["environment", task])?)?;
            let original = ORIGINALS.run("environments.py", &[key]).and_then(rate);
            let ratio = original.as_ref().ok().map(|original| own / original);
            figures.insert(format!("env_{key}"), json!(own));
            figures.insert(format!("env_{key}_original"), json!(original.as_ref().ok()));
            figures.insert(format!("env_{key}_ratio"), json!(ratio));
            Ok(match (original, ratio) {
                (Ok(original), Some(ratio)) => format!(
                    "{} agent steps/s, the original {}: {ratio:.0} times",
                    short(own),
                    short(original)
                ),
                (Err(error), _) => {
                    format!(
                        "{} agent steps/s, the original NOT MEASURED: {error:#}",
                        short(own)
                    )
                }
                (Ok(_), None) => unreachable!("what was measured has a ratio"),
            })
        })?;
    }
    Ok(())
}
