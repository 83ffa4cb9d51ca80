//! What sums and monotonic mixers cannot say, and what becomes of teams that follow them.

use anyhow::{Context, Result};
use consort_trainer::algo::fit::{self, Fit};
use consort_trainer::config::Method;
use consort_trainer::env::Task;
use consort_trainer::report::statistics::Count;
use consort_trainer::rng::Stream;

use super::super::cells::{Cells, Run};
use super::super::design::{self, Sizes};
use super::super::taught::{Lesson, Pupil, largest};
use super::{Check, Claim, matrix, mean, mean_of, number, rows, share};

/// One table, decomposed by one method: in theory and as it was learned.
struct Decomposed {
    lesson: Lesson,
    fit: Fit,
    pupils: Vec<Pupil>,
    table: Vec<Vec<f64>>,
    weights: Vec<Vec<f64>>,
}

impl Decomposed {
    fn new(cells: &Cells, lesson: Lesson) -> Result<Self> {
        let (_, task) = lesson.config()?;
        let table = table(&task)?;
        let weights = lesson.weights([table.len(), table[0].len()]);
        let fit = match lesson.method {
            Method::Vdn => fit::additive(&table, &weights),
            _ => fit::monotonic(&table, &weights),
        };
        Ok(Self {
            fit: fit?,
            pupils: cells.pupils(&lesson)?,
            lesson,
            table,
            weights,
        })
    }

    /// Σ w (R − Q_tot)² of what a learner has learned.
    fn error(&self, pupil: &Pupil) -> Option<f64> {
        let learned = pupil.team.as_ref()?.first()?;
        let payoffs = self.table.iter().flatten();
        let weights = self.weights.iter().flatten();
        let cells = payoffs.zip(weights).zip(learned);
        Some(cells.map(|((r, w), q)| w * (r - q).powi(2)).sum())
    }

    fn errors(&self) -> Vec<f64> {
        self.pupils
            .iter()
            .filter_map(|pupil| self.error(pupil))
            .collect()
    }

    /// Learners whose greedy team takes the best cell of the fit.
    fn as_fitted(&self) -> Count {
        let best = largest(&self.fit.values.concat());
        Count::of(self.pupils.iter().map(|pupil| pupil.greedy == [best]))
    }

    fn name(&self) -> String {
        let Lesson {
            task,
            method,
            first,
            ..
        } = &self.lesson;
        format!(
            "{task}, action 0 in {} % of what is played, {method}",
            (100.0 * first).round()
        )
    }

    /// The learned table nearest to the middle of all, by its error.
    fn typical(&self) -> Option<String> {
        let middle = mean(&self.errors());
        let distance = |pupil: &&Pupil| {
            self.error(pupil)
                .map_or(f64::INFINITY, |e| (e - middle).abs())
        };
        let nearest = self
            .pupils
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
        let columns = self.table[0].len();
        let rows: Vec<Vec<f64>> = nearest.team.as_ref()?[0]
            .chunks(columns)
            .map(<[f64]>::to_vec)
            .collect();
        Some(matrix(&rows))
    }
}

/// The payoffs of a game in which nothing is seen.
fn table(task: &Task) -> Result<Vec<Vec<f64>>> {
    let game = task.game().context("only games have a table")?;
    let columns = game.actions().sizes()[1];
    Ok(game
        .payoffs(0)
        .chunks(columns)
        .map(<[f64]>::to_vec)
        .collect())
}

fn decomposed(cells: &Cells, sizes: Sizes) -> Result<Vec<Decomposed>> {
    let lessons = design::decomposed(sizes).into_iter();
    lessons
        .map(|lesson| Decomposed::new(cells, lesson))
        .collect()
}

pub(super) fn form(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let found = decomposed(cells, sizes)?;
    let off = found.iter().filter(|one| one.fit.error > 1e-6).count();
    let bound = found.iter().all(|one| {
        one.errors()
            .iter()
            .all(|&error| error >= 0.98 * one.fit.error)
    });
    let ratio = |one: &Decomposed| mean(&one.errors()) / one.fit.error;
    let near = found.iter().filter(|one| ratio(one) < 1.1).count();
    let as_fitted = found.iter().map(Decomposed::as_fitted);
    let as_fitted = as_fitted.fold(
        Count {
            successes: 0,
            trials: 0,
        },
        |sum, count| Count {
            successes: sum.successes + count.successes,
            trials: sum.trials + count.trials,
        },
    );
    let checks = vec![
        Check {
            expected: "no table is in the class: the best fit is off on every one".to_owned(),
            found: format!("{off} of {}", found.len()),
            held: off == found.len(),
            by_definition: false,
        },
        Check {
            expected:
                "no learner comes nearer to its table than the best fit of its class (within 2 %)"
                    .to_owned(),
            found: if bound { "none does" } else { "some do" }.to_owned(),
            held: bound,
            by_definition: true,
        },
        Check::at_least(
            "learners whose team takes the best cell of the fit",
            as_fitted,
            0.9,
        ),
    ];
    let lines = found.iter().map(|one| {
        vec![
            one.name(),
            matrix(&one.fit.values),
            number(one.fit.error),
            one.typical().unwrap_or_default(),
            mean_of(&one.errors()),
            share(one.as_fitted()),
        ]
    });
    Ok(Claim {
        title: "QMIX cannot represent the game's table, nor can VDN: no monotonic function, and no sum, has those values",
        why: "f(a₀, b₀) > f(a₁, b₀) implies a₀ > a₁, which implies f(a₀, b₁) > f(a₁, b₁), which is false",
        test: format!(
            "`vdn` and `qmix` are shown {} batches of 64 episodes of a game, played evenly or safe in nine cases of ten, {} learners each. \
             Beside what they learn stands the best fit of their class by least squares under what is played ([`fit`](../../trainer/src/algo/fit.rs); \
             of QMIX an isotonic regression for each order of both agents' actions). Errors are squared, weighted with how often a cell is played.",
            found[0].lesson.batches, found[0].lesson.seeds,
        ),
        checks,
        settings: Vec::new(),
        figures: rows(
            &[
                "table",
                "best fit",
                "its error",
                "a learned table",
                "mean error of what is learned",
                "take the fit's best cell",
            ],
            lines,
        ) + &format!(
            "On average learners are within a tenth of the best fit's error on {near} of {} tables.\n\n",
            found.len()
        ),
    })
}

pub(super) fn trap(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let plays = design::decomposed_play(sizes);
    let mut lines = Vec::new();
    let mut checks = Vec::new();
    for cell in &plays {
        let runs = cells.runs(cell)?;
        let (_, task) = cell.config()?;
        let best = task.optimum().context("a small game's optimum is known")?;
        let missed = Count::of(runs.iter().map(|run| run.value < best - 0.01));
        let values: Vec<f64> = runs.iter().map(|run| run.value).collect();
        checks.push(Check::at_least(
            format!(
                "{} on `{}`: runs that end below the optimum",
                cell.method, cell.task
            ),
            missed,
            0.9,
        ));
        lines.push(vec![
            format!("`{}`", cell.task),
            cell.method.to_string(),
            mean_of(&values),
            number(best),
        ]);
    }
    for one in decomposed(cells, sizes)?
        .iter()
        .filter(|one| one.lesson.first > 0.75)
    {
        let stays = Count::of(one.pupils.iter().map(|pupil| pupil.value < 9.0));
        checks.push(Check::at_least(
            format!(
                "{} on `assurance`, from a replay that is safe nine times in ten: stays at 0",
                one.lesson.method
            ),
            stays,
            0.9,
        ));
    }
    Ok(Claim {
        title: "So QMIX and VDN succumb to local Nash equilibria on such games",
        why: "the best cell of what they can represent is not the table's",
        test: format!(
            "`vdn` and `qmix` by their own play, ε from 1 to .05, {} runs of {} steps a game; and the learners of the last claim that saw \
             cautious play. Even exploration makes the difference: under it the best fits of `assurance` are largest at the optimum.",
            plays[0].seeds, plays[0].steps,
        ),
        checks,
        settings: Vec::new(),
        figures: rows(&["game", "method", "mean return", "optimum"], lines),
    })
}

/// Random tables on which both fits are compared.
const TABLES: usize = 300;

pub(super) fn narrower(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let mut dice = Stream::new(0, "tables", 0);
    let even = vec![vec![1.0; 3]; 3];
    let (mut never_worse, mut better) = (Vec::new(), Vec::new());
    for _ in 0..TABLES {
        let table: Vec<Vec<f64>> = (0..3)
            .map(|_| (0..3).map(|_| dice.normal()).collect())
            .collect();
        let (sum, rising) = (
            fit::additive(&table, &even)?,
            fit::monotonic(&table, &even)?,
        );
        never_worse.push(rising.error <= sum.error + 1e-9);
        better.push(rising.error < 0.9 * sum.error);
    }
    let [vdn, qmix] = design::two_step(sizes);
    let (vdn, qmix) = (cells.runs(&vdn)?, cells.runs(&qmix)?);
    let at = |runs: &[Run], value: f64| {
        Count::of(runs.iter().map(|run| (run.value - value).abs() < 0.01))
    };
    Ok(Claim {
        title: "VDN's solution set is strictly narrower than QMIX's",
        why: "a sum is one of the monotonic functions",
        test: format!(
            "Best fits of {TABLES} random 3 × 3 tables (normal entries, even play), and the two-step game of QMIX's paper under even play (ε = 1, {} runs), \
             where a sum values the risky game at 6.5 and takes the safe 7.",
            vdn.len(),
        ),
        checks: vec![
            Check::at_least(
                "tables on which the monotonic fit is no worse",
                Count::of(never_worse),
                1.0,
            )
            .by_definition(),
            Check::at_least(
                "tables on which its error is less than .9 of the sum's",
                Count::of(better),
                0.5,
            ),
            Check::at_least("two-step game: VDN ends at 7", at(&vdn, 7.0), 0.9),
            Check::at_least("two-step game: QMIX ends at 8", at(&qmix, 8.0), 0.9),
        ],
        settings: Vec::new(),
        figures: String::new(),
    })
}
