//! From runs to figures: what every method comes to on every task, and how they compare.

use consort_trainer::config::ArmName;
use consort_trainer::rng::Stream;
use serde::Serialize;

use super::adopted::Adoption;
use super::cells::{Run, Valued};
use super::cost::Cost;
use super::design::{ANNEALED, Goal, Method, Row, tolerance};
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
    /// The day on which the page was made, in UTC.
    pub(crate) date: String,
    /// Cells that other sources have made.
    pub(crate) adoption: Adoption,
    /// Runs that the machine trained side by side.
    pub(crate) jobs: usize,
    pub(crate) methods: Vec<MethodFacts>,
    pub(crate) rows: Vec<RowFindings>,
    /// Of the runs that can be held against it, how near the images come to the trainer's own networks.
    pub(crate) agreement: Option<Agreement>,
    pub(crate) costs: Vec<Cost>,
    /// Measurements of costs that have not been made.
    pub(crate) costs_missing: usize,
}

/// One method.
#[derive(Debug, Serialize)]
pub(crate) struct MethodFacts {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// The arms that share its steps, for every kind of task where they differ.
    pub(crate) arms: Vec<String>,
}

/// One task.
#[derive(Debug, Serialize)]
pub(crate) struct RowFindings {
    pub(crate) task: &'static str,
    #[serde(skip)]
    pub(crate) row: &'static Row,
    /// The best value of agents that act apart, where it is known.
    pub(crate) optimum: Option<f64>,
    /// Environment steps given to every run.
    pub(crate) steps: u64,
    /// One entry a method.
    pub(crate) cells: Vec<CellFindings>,
    /// The method against each of its rivals, as far as both have runs.
    pub(crate) comparisons: Vec<Comparison>,
}

/// One method on one task.
#[derive(Debug, Serialize)]
pub(crate) struct CellFindings {
    pub(crate) method: &'static str,
    /// Runs that were asked for.
    pub(crate) wanted: usize,
    /// What the runs came to, if there are any.
    pub(crate) runs: Option<Runs>,
}

/// What some runs came to.
#[derive(Debug, Serialize)]
pub(crate) struct Runs {
    pub(crate) count: usize,
    /// How many reached the goal, where there is one.
    pub(crate) success: Option<Count>,
    /// Interquartile mean of the exported images' returns over the runs.
    pub(crate) returns: f64,
    /// Of fewer than [`ENOUGH`] runs the lowest and the highest.
    pub(crate) interval: Interval,
    /// Half the width of the 95 % interval of a run's own return, the widest of the runs; none
    /// where all are known exactly.
    pub(crate) half: Option<f64>,
    /// Interquartile means of the joint policy's return at the end and at its highest.
    pub(crate) joint: Option<[f64; 2]>,
    /// The arms that runs kept, and of how many each was the one.
    pub(crate) kept: Vec<(ArmName, usize)>,
    /// Mean environment steps of a run.
    pub(crate) env_steps: f64,
    /// Mean wall-clock time of a run's training.
    pub(crate) seconds: f64,
}

/// The method against one rival.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Comparison {
    pub(crate) rival: &'static str,
    /// Whether the method is at least as good: it succeeds more often or, where that is equal,
    /// returns no less but for a hundredth (or what the goal forgives).
    pub(crate) level: bool,
    /// On which side the method is by more than chance: the 95 % interval of the difference of the
    /// probabilities of reaching the goal is clear of zero or, of returns, the two intervals are disjoint.
    pub(crate) verdict: Verdict,
}

/// What can be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The method is ahead by more than chance.
    Ahead,
    /// It is behind by more than chance.
    Behind,
    /// Chance is not excluded.
    Open,
    /// Fewer than [`ENOUGH`] runs on either side: there is no interval to speak of.
    TooFew,
}

/// What the exported images earn, less what the trainer's own networks earned in the last episodes of their
/// learning curve, in standard errors of that difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Agreement {
    pub(crate) runs: usize,
    /// The largest, whichever its sign.
    pub(crate) largest: f64,
    /// The root of the mean square: 1 where nothing but chance is at work.
    pub(crate) rms: f64,
}

impl Agreement {
    /// Of such differences.
    pub(crate) fn of(differences: &[f64]) -> Option<Self> {
        let squares = differences.iter().map(|it| it * it);
        (!differences.is_empty()).then(|| Self {
            runs: differences.len(),
            largest: (differences.iter()).fold(0.0, |most, it| it.abs().max(most)),
            rms: (squares.sum::<f64>() / differences.len() as f64).sqrt(),
        })
    }
}

/// Runs without which nothing is said of chance.
pub(crate) const ENOUGH: usize = 4;

impl RowFindings {
    /// What the runs of a task come to: `cells` has each method, how many runs were asked for and
    /// those there are.
    pub(crate) fn new(
        row: &'static Row,
        optimum: Option<f64>,
        steps: u64,
        cells: &[(&'static Method, usize, Vec<Run>)],
    ) -> Self {
        let found: Vec<CellFindings> = cells
            .iter()
            .map(|(method, wanted, runs)| CellFindings {
                method: method.name,
                wanted: *wanted,
                runs: (!runs.is_empty()).then(|| Runs::new(row, method, runs)),
            })
            .collect();
        let of = |name| {
            let cell = found.iter().find(|cell| cell.method == name);
            cell.and_then(|cell| cell.runs.as_ref())
        };
        let rivals = cells.iter().filter(|(method, ..)| method.is_rival());
        let comparisons = rivals.filter_map(|(rival, ..)| {
            let (own, other) = (of(ANNEALED.name)?, of(rival.name)?);
            Some(Comparison::new(row, optimum, own, other, rival.name))
        });
        Self {
            task: row.task,
            row,
            optimum,
            steps,
            comparisons: comparisons.collect(),
            cells: found,
        }
    }

    /// Whether the method is at least as good as every rival that has to be there; `None` while
    /// runs of one are missing altogether.
    pub(crate) fn level(&self, methods: &[&Method]) -> Option<bool> {
        let of = |rival: &&&Method| {
            let mut found = self.comparisons.iter();
            found.find(|comparison| comparison.rival == rival.name)
        };
        let rivals = (methods.iter()).filter(|method| method.is_rival() && !method.optional);
        rivals
            .map(|rival| of(&rival).map(|comparison| comparison.level))
            .try_fold(true, |all, level| Some(all && level?))
    }
}

impl Runs {
    fn new(row: &Row, method: &Method, runs: &[Run]) -> Self {
        let values: Vec<f64> = runs.iter().map(|run| run.value).collect();
        let name = format!("bootstrap {} {}", row.task, method.name);
        let reached: Option<Vec<bool>> = runs.iter().map(|run| run.succeeded(row)).collect();
        let halves = runs.iter().filter_map(|run| match run.valued {
            Valued::Exactly => None,
            Valued::ByEpisodes { half, .. } => Some(half),
        });
        let joint: Vec<[f64; 2]> = runs.iter().filter_map(Run::joint).collect();
        let part = |part: usize| {
            let values: Vec<f64> = joint.iter().map(|joint| joint[part]).collect();
            interquartile_mean(&values)
        };
        let interval = match values.len() < ENOUGH {
            true => Interval {
                low: values.iter().copied().fold(f64::INFINITY, f64::min),
                high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            },
            false => bootstrap(&values, interquartile_mean, &mut Stream::new(0, &name, 0)),
        };
        let mean = |value: fn(&Run) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
        Self {
            count: runs.len(),
            success: reached.map(Count::of),
            returns: interquartile_mean(&values),
            interval,
            half: halves.reduce(f64::max),
            joint: (!joint.is_empty()).then(|| [part(0), part(1)]),
            kept: kept(runs),
            env_steps: mean(|run| run.env_steps as f64),
            seconds: mean(|run| run.seconds),
        }
    }
}

/// The arms that runs kept, the most frequent first.
fn kept(runs: &[Run]) -> Vec<(ArmName, usize)> {
    let mut kept: Vec<(ArmName, usize)> = Vec::new();
    for run in runs {
        match kept.iter_mut().find(|(arm, _)| *arm == run.arm) {
            Some((_, count)) => *count += 1,
            None => kept.push((run.arm, 1)),
        }
    }
    kept.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    kept
}

impl Comparison {
    fn new(row: &Row, optimum: Option<f64>, own: &Runs, other: &Runs, rival: &'static str) -> Self {
        let few = own.count.min(other.count) < ENOUGH;
        let verdict = |ahead: bool, behind: bool| match (few, ahead, behind) {
            (true, ..) => Verdict::TooFew,
            (_, true, _) => Verdict::Ahead,
            (_, _, true) => Verdict::Behind,
            _ => Verdict::Open,
        };
        let successes = own.success.zip(other.success);
        if let Some((a, b)) = successes
            && a.fraction() != b.fraction()
        {
            let interval = a.difference(b);
            return Self {
                rival,
                level: a.fraction() > b.fraction(),
                verdict: verdict(interval.low > 0.0, interval.high < 0.0),
            };
        }
        let forgiven = match (row.goal, optimum) {
            (Goal::Optimum, Some(best)) => tolerance(best),
            _ => 0.01 * other.returns.abs(),
        };
        let (a, b) = (own.interval, other.interval);
        Self {
            rival,
            level: own.returns >= other.returns - forgiven,
            verdict: verdict(a.low > b.high, b.low > a.high),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sequential::cells::{Arm, Point};
    use crate::sequential::design::METHODS;

    /// A run that earns `value`, with a joint policy that earned 9 at its highest and 8 at the end.
    pub(crate) fn run(task: &str, method: &str, seed: u64, value: f64) -> Run {
        let name = match method {
            "annealed" => ArmName::Annealed,
            _ => ArmName::ExploreMild,
        };
        let point = |env_steps, joint| Point {
            env_steps,
            joint: (method == "annealed").then_some(joint),
            product: value - 1.0,
            greedy: value,
        };
        Run {
            task: task.to_owned(),
            method: method.to_owned(),
            seed,
            arm: name,
            steps: 1_000,
            env_steps: 990,
            seconds: 2.5,
            optimum: None,
            value,
            valued: Valued::ByEpisodes {
                episodes: 100,
                half: 0.25 + seed as f64,
            },
            arms: vec![Arm {
                name,
                kept: true,
                evaluation: None,
                points: vec![point(400, 9.0), point(900, 8.0)],
            }],
        }
    }

    /// A task on which the three methods' runs earn these values.
    pub(crate) fn row(task: &str, optimum: Option<f64>, values: [&[f64]; 3]) -> RowFindings {
        let row = Row::named(task);
        let cells: Vec<(&'static Method, usize, Vec<Run>)> = std::iter::zip(METHODS, values)
            .map(|(method, values)| {
                let runs = values.iter().enumerate().map(|(seed, &value)| Run {
                    optimum,
                    ..run(task, method.name, seed as u64, value)
                });
                (method, 2, runs.collect())
            })
            .collect();
        RowFindings::new(row, optimum, 1_000, &cells)
    }

    fn level(found: &RowFindings) -> Option<bool> {
        found.level(&METHODS)
    }

    #[test]
    fn more_successes_decide_before_returns() {
        let found = row(
            "two-step",
            Some(8.0),
            [&[8.0, 8.0], &[8.0, 7.9], &[8.0, 8.0]],
        );
        assert_eq!(level(&found), Some(true));
        assert!(found.comparisons.iter().all(|found| found.level));
        let found = row("two-step", Some(8.0), [&[8.0, 7.9], &[8.0, 8.0], &[0.0; 2]]);
        let [strong, mild] = &found.comparisons[..] else {
            panic!("{found:?}")
        };
        assert!(!strong.level && mild.level);
        // Of two runs nothing is said, not of two against none either.
        assert_eq!(
            (strong.verdict, mild.verdict),
            (Verdict::TooFew, Verdict::TooFew)
        );
        assert_eq!(level(&found), Some(false));
        let found = row("two-step", Some(8.0), [&[8.0; 10], &[7.0; 10], &[7.0; 10]]);
        assert!(found.comparisons[0].level);
        assert_eq!(found.comparisons[0].verdict, Verdict::Ahead);
        let few = [8.0, 8.0, 8.0, 7.0];
        let found = row("two-step", Some(8.0), [&[8.0; 4], &few, &[8.0; 4]]);
        assert_eq!(found.comparisons[0].verdict, Verdict::Open);
    }

    #[test]
    fn without_a_goal_returns_decide_within_a_hundredth() {
        let found = row("mpe-spread", None, [&[-10.09], &[-10.0], &[-10.0]]);
        assert_eq!(level(&found), Some(true));
        let found = row("mpe-spread", None, [&[-10.11], &[-10.0], &[-20.0]]);
        let [strong, mild] = &found.comparisons[..] else {
            panic!("{found:?}")
        };
        assert!(!strong.level && mild.level);
        let verdicts = (strong.verdict, mild.verdict);
        assert_eq!(verdicts, (Verdict::TooFew, Verdict::TooFew));
        assert!(found.cells[0].runs.as_ref().unwrap().success.is_none());
    }

    #[test]
    fn what_is_behind_but_forgiven_is_not_ahead() {
        let found = row(
            "lbf-8x8-2p-2f-coop",
            None,
            [&[0.995; 4], &[1.0; 4], &[0.5; 4]],
        );
        let verdicts: Vec<(bool, Verdict)> = (found.comparisons.iter())
            .map(|found| (found.level, found.verdict))
            .collect();
        assert_eq!(verdicts, [(true, Verdict::Behind), (true, Verdict::Ahead)]);
    }

    #[test]
    fn where_a_rival_has_not_run_nothing_is_claimed() {
        let found = row("mpe-spread", None, [&[-10.0], &[-20.0], &[]]);
        assert_eq!((level(&found), found.comparisons.len()), (None, 1));
        assert!(found.cells[2].runs.is_none());
    }

    #[test]
    fn runs_are_summed_up() {
        let found = row(
            "rware-tiny-2ag",
            None,
            [&[18.0, 20.0, 19.0, 40.0], &[1.0], &[1.0]],
        );
        let runs = found.cells[0].runs.as_ref().unwrap();
        // 19, 20 and 40 are at least 19; the middle half is 19 and 20.
        let success = runs.success.unwrap();
        assert_eq!((success.successes, success.trials), (3, 4));
        assert_eq!((runs.returns, runs.half), (19.5, Some(3.25)));
        assert_eq!(
            (runs.joint, runs.env_steps, runs.seconds),
            (Some([8.0, 9.0]), 990.0, 2.5)
        );
        assert_eq!(found.cells[1].runs.as_ref().unwrap().joint, None);
    }
}
