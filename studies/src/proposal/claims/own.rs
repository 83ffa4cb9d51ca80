//! What the proposal promises of its own method.

use anyhow::{Context, Result};
use consort_trainer::report::statistics::Count;

use super::super::cells::{Cells, Run, Trained};
use super::super::design::{self, Sizes, TRAPS};
use super::{Check, Claim, mean_of, rows, share};

/// Games in which agents see nothing that others do not.
const OBSERVED: [&str; 4] = ["assurance", "climbing", "penalty", "weak-link-10"];

/// Runs of one cell, and how many reach the best that agents apart can.
struct Reached {
    runs: Vec<Run>,
    count: Count,
}

fn reached(cells: &Cells, cell: &Trained) -> Result<Reached> {
    let game = cell.config()?.1;
    let best = game.optimum().context("a small game's optimum is known")?;
    let uniform = game.game().context("a game")?.uniform_value();
    let runs = cells.runs(cell)?;
    let enough = |run: &Run| (run.value - uniform) / (best - uniform) >= 0.99;
    let count = Count::of(runs.iter().map(enough));
    Ok(Reached { runs, count })
}

fn sizes_in_words(sizes: Sizes) -> String {
    let cell = &design::own(sizes)[0][0];
    format!(
        "{} runs of {} steps a game, all methods alike",
        cell.seeds, cell.steps
    )
}

pub(super) fn no_trap(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let mut checks = Vec::new();
    let mut lines = Vec::new();
    for (task, [annealed, _, factored]) in TRAPS.iter().zip(design::own(sizes)) {
        let (annealed, factored) = (reached(cells, &annealed)?, reached(cells, &factored)?);
        checks.push(Check::at_least(
            format!("`{task}`: runs that reach the optimum"),
            annealed.count,
            0.95,
        ));
        let values = |reached: &Reached| {
            mean_of(
                &reached
                    .runs
                    .iter()
                    .map(|run| run.value)
                    .collect::<Vec<f64>>(),
            )
        };
        lines.push(vec![
            format!("`{task}`"),
            share(annealed.count),
            values(&annealed),
            share(factored.count),
            values(&factored),
        ]);
    }
    Ok(Claim {
        title: "Annealed from a joint policy, factored agents are not held in local sub-optimal Nash equilibria",
        why: "the joint policy's gradient sees joint moves; the divergence hands over what it finds before only the product is left",
        test: format!(
            "One annealed arm as it comes (entropy bonus, TC and IG weighted apart: [why](../algorithms/annealed.md)) and plain policy gradient, {}. A run reaches the \
             optimum within 1 % of the gap between uniform play and the best that agents apart can earn.",
            sizes_in_words(sizes)
        ),
        checks,
        settings: Vec::new(),
        figures: rows(
            &[
                "game",
                "annealed: reach the optimum",
                "mean return",
                "factored: reach the optimum",
                "mean return",
            ],
            lines,
        ),
    })
}

pub(super) fn as_written(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let mut checks = Vec::new();
    let mut lines = Vec::new();
    for (task, [_, written, _]) in TRAPS.iter().zip(design::own(sizes)) {
        let found = reached(cells, &written)?;
        let kind = match OBSERVED.contains(task) {
            true => "everything is seen by all",
            false => "agents see different things",
        };
        checks.push(Check::at_least(
            format!("`{task}` ({kind}): runs that reach the optimum"),
            found.count,
            0.95,
        ));
        let joint: Vec<f64> = found.runs.iter().filter_map(|run| run.joint).collect();
        let values: Vec<f64> = found.runs.iter().map(|run| run.value).collect();
        lines.push(vec![
            format!("`{task}`"),
            kind.to_owned(),
            share(found.count),
            mean_of(&values),
            mean_of(&joint),
        ]);
    }
    Ok(Claim {
        title: "The proposal's recipe is enough as it stands: one divergence whose weight rises and a mixture that hands over, no entropy, TC and IG weighted alike",
        why: "the method as the proposal states it has no entropy bonus and does not tell TC and IG apart",
        test: format!(
            "One annealed arm with τ = 0 and both parts of the divergence weighted 1, {}. (Still ours: each side of the divergence moves one policy only, the marginals' fit has weight 1 − x from the \
             start, the ramp waits for a plateau.) A joint policy that leans on what no single agent sees cannot be factored: \
             that is where it should fail.",
            sizes_in_words(sizes)
        ),
        checks,
        settings: Vec::new(),
        figures: rows(
            &[
                "game",
                "what is seen",
                "reach the optimum",
                "mean return of the images",
                "of the joint policy at the end",
            ],
            lines,
        ),
    })
}

pub(super) fn by_construction(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let mut runs = Vec::new();
    for [annealed, written, _] in design::own(sizes) {
        runs.extend(cells.runs(&annealed)?);
        runs.extend(cells.runs(&written)?);
    }
    let ends = Count::of(runs.iter().map(|run| run.beta == 1.0));
    let gap = |run: &Run| match (run.product, run.drawn) {
        (Some(product), Some(drawn)) => (product - drawn).abs(),
        _ => f64::INFINITY,
    };
    let largest = runs.iter().map(gap).fold(0.0, f64::max);
    Ok(Claim {
        title: "At the end the team is factored by construction, not by hope",
        why: "β = 1: the acting distribution is the product of the marginals",
        test: format!(
            "Every annealed run of the last two claims: the acting mixture at the end of training, and the exact return of the trained product beside that of the exported images, \
             every agent an image of its own on `consort-runtime` that is shown its own observations only. {} runs.",
            runs.len()
        ),
        checks: vec![
            Check::at_least("runs whose mixture ends as the product alone, β = 1", ends, 1.0).by_definition(),
            Check {
                expected: "the trained product and the exported images earn the same (all agents draw): within .001 of payoff".to_owned(),
                found: format!("largest difference {largest:.1e}"),
                held: largest < 1e-3,
                by_definition: false,
            },
        ],
        settings: Vec::new(),
        figures: String::new(),
    })
}
