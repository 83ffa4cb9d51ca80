//! Where every place looks the same, only dice help.

use anyhow::Result;
use consort_trainer::config::Method;
use consort_trainer::env::alias::{BEST_DETERMINISTIC, best_stochastic, best_with_memory};
use consort_trainer::report::statistics::Count;

use super::super::cells::{Cells, EPISODES, Run};
use super::super::design::{self, MEMORYLESS, Sizes};
use super::{Check, Claim, mean, mean_of, number, rows};

const HORIZON: usize = 16;

fn is_value_based(method: Method) -> bool {
    matches!(
        method,
        Method::Iql | Method::Vdn | Method::Qmix | Method::Qtran
    )
}

pub(super) fn stochastic(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let planned = design::alias(sizes);
    let found: Vec<(Method, Vec<Run>)> = (planned[..MEMORYLESS.len()].iter())
        .map(|cell| Ok((cell.method, cells.runs(cell)?)))
        .collect::<Result<_>>()?;
    let remembering = cells.runs(&design::remembering(sizes))?;
    let best = best_stochastic(HORIZON);
    let of = |values: bool, holds: &dyn Fn(f64) -> bool| {
        let chosen = found
            .iter()
            .filter(|(method, _)| is_value_based(*method) == values);
        Count::of(chosen.flat_map(|(_, runs)| runs.iter().map(move |run| holds(run.value))))
    };
    let values = |runs: &[Run]| runs.iter().map(|run| run.value).collect::<Vec<f64>>();
    let mut lines: Vec<Vec<String>> = (found.iter())
        .map(|(method, runs)| {
            vec![
                method.to_string(),
                "none".to_owned(),
                mean_of(&values(runs)),
            ]
        })
        .collect();
    lines.push(vec![
        "vdn".to_owned(),
        "16 units".to_owned(),
        mean_of(&values(&remembering)),
    ]);
    let remembered = mean(&values(&remembering));
    Ok(Claim {
        title: "Q-learning cannot use stochasticity to resolve states that partial observability aliases; policy gradient can",
        why: "a greedy team takes one action for ever wherever it sees the same",
        test: format!(
            "[`alias-h16`](../tasks.md#alias) with networks that have no memory, {} runs of {} steps, {EPISODES} fresh episodes each; teams act as they are made to: policies draw, \
             values are followed greedily. Derived there: without dice {} at most, with dice {}, with memory {}.",
            planned[0].seeds,
            planned[0].steps,
            number(BEST_DETERMINISTIC),
            number(best),
            number(best_with_memory(HORIZON)),
        ),
        checks: vec![
            Check::at_least(
                "value-based runs that earn no more than agents without dice can",
                of(true, &|value| value < BEST_DETERMINISTIC + 0.05),
                1.0,
            ),
            Check::at_least(
                format!(
                    "policy-gradient runs that earn nine tenths of {} or more",
                    number(best)
                ),
                of(false, &|value| value > 0.9 * best),
                0.9,
            ),
        ],
        settings: Vec::new(),
        figures: rows(&["method", "memory", "mean return"], lines)
            + &format!(
                "What is aliased can also be remembered: with 16 units of memory VDN earns {}, {} than the best dice.\n\n",
                number(remembered),
                if remembered > best { "more" } else { "no more" }
            ),
    })
}
