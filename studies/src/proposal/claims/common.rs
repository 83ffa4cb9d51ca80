//! MACKRL's either-or.

use anyhow::Result;
use consort_trainer::report::statistics::Count;

use super::super::cells::{Cells, Run};
use super::super::design::{self, Sizes};
use super::{Check, Claim, mean_of, rows};

/// Climbing's second-best equilibrium: what policies that climb apart come to at most.
const APART: f64 = 7.0;

pub(super) fn either_or(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let [climbing, mackrl, factored, annealed] = design::common(sizes);
    let seeds = climbing.seeds;
    let steps = climbing.steps;
    let [climbing, mackrl, factored, annealed] =
        [&climbing, &mackrl, &factored, &annealed].map(|cell| cells.runs(cell));
    let (climbing, mackrl, factored, annealed) = (climbing?, mackrl?, factored?, annealed?);
    let joint = |run: &Run| run.joint.unwrap_or(f64::NAN);
    let count = |runs: &[Run], holds: &dyn Fn(&Run) -> bool| Count::of(runs.iter().map(holds));
    let of = |runs: &[Run], value: &dyn Fn(&Run) -> f64| {
        mean_of(&runs.iter().map(value).collect::<Vec<f64>>())
    };
    let line = |task: &str, method: &str, runs: &[Run]| {
        let hierarchy = match runs.iter().any(|run| run.joint.is_some()) {
            true => of(runs, &joint),
            false => "–".to_owned(),
        };
        vec![
            format!("`{task}`"),
            method.to_owned(),
            hierarchy,
            of(runs, &|run| run.value),
        ]
    };
    Ok(Claim {
        title: "MACKRL decides on common knowledge or on private knowledge, never on both at once",
        why: "a controller sees what a pair has in common, an agent's own policy acts only where it is delegated to",
        test: format!(
            "`mackrl` on `climbing`, where all is common, and on [`common-private`](../tasks.md#built-in), where climbing is shifted by a bit that both see and each agent \
             must also name a bit that it alone sees (best: 11; a controller that guesses those bits: −4.75). {seeds} runs of {steps} steps; plain policy \
             gradient and one annealed arm beside it. *Joint* is the whole hierarchy (or the annealed joint policy, at the end of its ramp), *images* what agents earn apart."
        ),
        checks: vec![
            Check::at_least(
                "`climbing`: the hierarchy earns 11",
                count(&climbing, &|run| joint(run) > 10.5),
                0.9,
            ),
            Check::at_least(
                "`common-private`: the hierarchy earns no more than climbing apart does, 7",
                count(&mackrl, &|run| joint(run) < APART + 0.5),
                0.95,
            ),
            Check::at_least(
                "`common-private`: its agents earn no more than 7 apart",
                count(&mackrl, &|run| run.value < APART + 0.01),
                0.95,
            ),
            Check::at_least(
                "`common-private`: one annealed arm ends with agents that earn 11",
                count(&annealed, &|run| run.value > 10.99),
                0.9,
            ),
        ],
        settings: Vec::new(),
        figures: rows(
            &["task", "method", "joint", "images"],
            [
                line("climbing", "mackrl", &climbing),
                line("common-private", "mackrl", &mackrl),
                line("common-private", "factored", &factored),
                line("common-private", "annealed", &annealed),
            ],
        ),
    })
}
