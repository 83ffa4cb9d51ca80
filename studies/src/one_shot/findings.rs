//! From runs to figures: what every cell comes to, and how the method compares on every row.

use std::collections::BTreeMap;

use consort_trainer::config::ArmName;
use consort_trainer::rng::Stream;
use serde::Serialize;

use super::basin::Basin;
use super::cells::{Cell, Run};
use super::design::{ANNEALED, Column, Row};
use consort_trainer::report::statistics::{Count, Interval, bootstrap, interquartile_mean};

/// Everything the study has found: what `--json` prints and the page shows.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) study: &'static str,
    pub(crate) command: String,
    /// The commit of the working tree, marked where that had changes, if figures can be of it.
    pub(crate) commit: Option<String>,
    /// Hash of the sources that trained the teams.
    pub(crate) sources: &'static str,
    /// Runs a row, at least.
    pub(crate) seeds: usize,
    /// The same for rivals and ablations.
    pub(crate) few_seeds: usize,
    /// Environment steps given to every run.
    pub(crate) steps: u64,
    pub(crate) methods: Vec<MethodFacts>,
    pub(crate) rows: Vec<RowFindings>,
    pub(crate) basin: Option<Basin>,
    pub(crate) timing: Option<Timing>,
}

/// One column of the tables.
#[derive(Debug, Serialize)]
pub(crate) struct MethodFacts {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// The arms that share its steps.
    pub(crate) arms: Vec<&'static str>,
}

/// How long the main job takes a hundred times.
#[derive(Debug, Serialize)]
pub(crate) struct Timing {
    pub(crate) task: String,
    pub(crate) runs: usize,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
}

/// One row of the tables.
#[derive(Debug, Serialize)]
pub(crate) struct RowFindings {
    pub(crate) row: &'static str,
    /// Fraction of the runs that is to reach the optimum.
    pub(crate) asked: Option<f64>,
    /// Whether it does.
    pub(crate) met: Option<bool>,
    pub(crate) comparison: Option<Comparison>,
    pub(crate) cells: Vec<CellFindings>,
}

/// One cell of the tables.
#[derive(Debug, Serialize)]
pub(crate) struct CellFindings {
    pub(crate) method: &'static str,
    pub(crate) success: Count,
    pub(crate) success_interval: Interval,
    /// Interquartile mean of the exported images' normalised return.
    pub(crate) greedy: f64,
    pub(crate) greedy_interval: Interval,
    /// The same for agents that draw their actions.
    pub(crate) drawn: f64,
    pub(crate) drawn_interval: Interval,
    /// Mean environment steps of a run.
    pub(crate) env_steps: f64,
    pub(crate) seconds: f64,
    pub(crate) threads: usize,
    /// How many runs kept an arm of which name.
    pub(crate) kept: BTreeMap<&'static str, usize>,
}

/// The method beside the best of its rivals on the same row: factored policy gradient with
/// annealed entropy.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) rival: &'static str,
    /// Of the probabilities of success, the method's minus the rival's.
    pub(crate) difference: f64,
    pub(crate) interval: Interval,
    pub(crate) verdict: Verdict,
}

/// What the interval of a difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It lies above zero.
    Better,
    /// It holds zero.
    Level,
    /// It lies below zero.
    Worse,
}

impl MethodFacts {
    /// The column as it is configured for runs of so many steps.
    pub(crate) fn new(column: &Column, steps: u64) -> Self {
        let arms = column.config(steps).arm_names();
        Self {
            name: column.name,
            description: column.description,
            arms: arms.into_iter().map(ArmName::name).collect(),
        }
    }
}

impl Timing {
    /// The time that a cell took.
    pub(crate) fn of(cell: &Cell) -> Self {
        Self {
            task: cell.facts.row.clone(),
            runs: cell.runs.len(),
            threads: cell.facts.threads,
            seconds: cell.facts.seconds,
        }
    }
}

impl RowFindings {
    /// What the cells of a row come to.
    pub(crate) fn new(row: &Row, cells: &[(&'static Column, Cell)]) -> Self {
        let found: Vec<CellFindings> = cells
            .iter()
            .map(|(column, cell)| CellFindings::new(row, column, cell))
            .collect();
        let of = |column: &Column| found.iter().find(|cell| cell.method == column.name);
        let method = of(&ANNEALED).map(|cell| cell.success);
        let rivals = cells.iter().filter(|(column, _)| column.rival);
        let rival = rivals
            .filter_map(|(column, _)| of(column))
            // Of equals the last: the largest effort.
            .max_by(|a, b| a.success.fraction().total_cmp(&b.success.fraction()));
        let comparison = method.zip(rival);
        Self {
            row: row.name,
            asked: row.asked,
            met: method
                .zip(row.asked)
                .map(|(method, asked)| method.fraction() >= asked),
            comparison: comparison.map(|(method, rival)| Comparison::new(method, rival)),
            cells: found,
        }
    }
}

impl CellFindings {
    fn new(row: &Row, column: &Column, cell: &Cell) -> Self {
        let success = Count::of(cell.runs.iter().map(|run| run.succeeded()));
        let returns = |value: fn(&Run) -> f64| -> Vec<f64> {
            cell.runs
                .iter()
                .map(|run| run.normalise(value(run)))
                .collect()
        };
        let greedy = returns(|run| run.return_exported);
        let drawn = returns(|run| run.return_product);
        let interval = |values: &[f64]| {
            let name = format!("bootstrap {} {}", row.name, column.name);
            bootstrap(values, interquartile_mean, &mut Stream::new(0, &name, 0))
        };
        let mut kept = BTreeMap::new();
        for run in &cell.runs {
            *kept.entry(run.arm.name()).or_insert(0) += 1;
        }
        let env_steps: u64 = cell.runs.iter().map(|run| run.env_steps).sum();
        Self {
            method: column.name,
            success,
            success_interval: success.interval(),
            greedy: interquartile_mean(&greedy),
            greedy_interval: interval(&greedy),
            drawn: interquartile_mean(&drawn),
            drawn_interval: interval(&drawn),
            env_steps: env_steps as f64 / cell.runs.len() as f64,
            seconds: cell.facts.seconds,
            threads: cell.facts.threads,
            kept,
        }
    }
}

impl Comparison {
    fn new(method: Count, rival: &CellFindings) -> Self {
        let interval = method.difference(rival.success);
        Self {
            rival: rival.method,
            difference: method.fraction() - rival.success.fraction(),
            interval,
            verdict: Verdict::of(interval),
        }
    }
}

impl Verdict {
    fn of(difference: Interval) -> Self {
        if difference.low > 0.0 {
            Self::Better
        } else if difference.high < 0.0 {
            Self::Worse
        } else {
            Self::Level
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_shot::cells::Facts;
    use crate::one_shot::design::COLUMNS;

    /// A cell of assurance in which so many of 100 runs earn 10, the others 0.
    fn cell(column: &Column, successes: usize) -> Cell {
        let run = |seed: usize| Run {
            task: "assurance".to_owned(),
            seed: seed as u64,
            arm: if seed < 40 {
                ArmName::Annealed
            } else {
                ArmName::Factored
            },
            env_steps: 1_000,
            uniform: 0.0,
            optimum: 10.0,
            return_exported: if seed < successes { 10.0 } else { 0.0 },
            return_product: 5.0,
        };
        Cell {
            facts: Facts {
                row: "assurance".to_owned(),
                column: column.name.to_owned(),
                sources: String::new(),
                runs: 100,
                seconds: 1.0,
                threads: 2,
            },
            runs: (0..100).map(run).collect(),
        }
    }

    fn row(successes: impl Fn(&Column) -> usize) -> RowFindings {
        let cells = COLUMNS.map(|column| (column, cell(column, successes(column))));
        RowFindings::new(Row::named("assurance").unwrap(), &cells)
    }

    #[test]
    fn the_method_is_held_against_its_best_rival_only() {
        let found = row(|column| match column.name {
            "annealed" => 99,
            "factored-mild" => 90,
            "factored-strong" => 80,
            // No rivals: an ablation, and the baseline without entropy.
            "one-arm" | "factored" => 100,
            _ => 0,
        });
        let comparison = found.comparison.unwrap();
        assert_eq!(
            (comparison.rival, comparison.verdict),
            ("factored-mild", Verdict::Better)
        );
        assert!((comparison.difference - 0.09).abs() < 1e-12);
        assert_eq!(found.met, Some(true));
    }

    #[test]
    fn a_verdict_needs_an_interval_clear_of_zero() {
        let verdict = |annealed, rival| {
            let found = row(|column| if column.rival { rival } else { annealed });
            (found.comparison.unwrap().verdict, found.met.unwrap())
        };
        assert_eq!(verdict(98, 96), (Verdict::Level, false));
        assert_eq!(verdict(96, 98), (Verdict::Level, false));
        assert_eq!(verdict(70, 90), (Verdict::Worse, false));
        assert_eq!(verdict(100, 50), (Verdict::Better, true));
    }

    #[test]
    fn a_cell_is_summed_up() {
        let found = CellFindings::new(
            Row::named("assurance").unwrap(),
            COLUMNS[0],
            &cell(COLUMNS[0], 60),
        );
        assert_eq!(
            found.success,
            Count {
                successes: 60,
                trials: 100
            }
        );
        // Of the middle 50 of forty zeros and sixty ones, 15 are zeros.
        assert!((found.greedy - 0.7).abs() < 1e-12 && found.drawn == 0.5);
        assert!(found.greedy_interval.low < 0.7 && found.greedy_interval.high > 0.7);
        assert_eq!(
            found.kept,
            BTreeMap::from([("annealed", 40), ("factored", 60)])
        );
    }
}
