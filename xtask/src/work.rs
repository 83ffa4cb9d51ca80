//! Whether a step's work depends on what is observed.

use std::fmt;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::board::Board;
use crate::operations::Costs;
use crate::reference::{self, Observations};
use crate::report::Report;
use crate::team;
use crate::toolchain::Toolchain;

/// The instructions of a policy's steps on one board, over observations that were chosen to make them differ.
#[derive(Serialize)]
pub(crate) struct Spread {
    board: &'static str,
    policy: String,
    steps: usize,
    instructions_min: u64,
    instructions_max: u64,
    /// The most that any step can take, where floating point is software: derived, not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<u64>,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (self.instructions_min, self.instructions_max);
        write!(f, "{} adversarial steps, same bits; ", self.steps)?;
        if min == max {
            return write!(f, "{min} instructions each");
        }
        let over = 100.0 * (max as f64 / min as f64 - 1.0);
        write!(f, "{min} to {max} instructions: {over:.1} % more")?;
        match self.bound {
            Some(bound) => write!(f, "; no step takes more than {bound}"),
            None => Ok(()),
        }
    }
}

/// Runs every reference policy over adversarial observations. On a core with a floating-point unit, every step must take as
/// many instructions as every other; on others none may take more than the bound by what its operations cost.
pub(crate) fn check(
    report: &mut Report,
    toolchain: &Toolchain,
    boards: &[&Board],
) -> Result<Vec<Spread>> {
    let folder = tempfile::tempdir()?;
    reference::write(folder.path(), Observations::Adversarial)?;
    let agents = team::all(folder.path())?;
    let mut spreads = Vec::new();
    for board in boards {
        let mut costs = None;
        if !board.has_float_unit() {
            report.step(format!("{} operations", board.name), || {
                let measured = Costs::measure(toolchain, board, &agents[0])?;
                costs = Some(measured);
                Ok(measured.words())
            })?;
        }
        for agent in &agents {
            spreads.push(report.step(format!("{} work {agent}", board.name), || {
                let (replay, _) = board.replay(toolchain, agent)?;
                let (instructions_min, instructions_max) = replay.instructions().unwrap_or_default();
                ensure!(
                    instructions_min == instructions_max || !board.has_float_unit(),
                    "{instructions_min} to {instructions_max} instructions: a step's work depends on what is observed"
                );
                let image = agent.view()?;
                let bound = costs.and_then(|costs| costs.bound(&image, instructions_min));
                ensure!(
                    bound.is_none_or(|bound| instructions_max <= bound),
                    "{instructions_min} to {instructions_max} instructions: more than the bound of {bound:?}"
                );
                Ok(Spread {
                    board: board.name,
                    policy: agent.to_string(),
                    steps: replay.outcomes.len(),
                    instructions_min,
                    instructions_max,
                    bound,
                })
            })?);
        }
    }
    Ok(spreads)
}
