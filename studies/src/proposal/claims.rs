//! What the proposal claims, each claim beside the figures that test it. A verdict is computed.

mod alias;
mod common;
mod compare;
mod gradient;
mod monotonic;
mod own;
mod qtran;

use anyhow::Result;
use consort_trainer::config::Method;
use consort_trainer::report::markdown::{line, table};
use consort_trainer::report::statistics::{Count, Interval, bootstrap};
use consort_trainer::rng::Stream;
use serde::Serialize;

use super::cells::{Cells, Trained};
use super::design::{self, Sizes};
use super::taught::Lesson;

pub(crate) use compare::{Choice, choose, comparison};

/// One claim.
#[derive(Debug, Serialize)]
pub(crate) struct Claim {
    /// What is claimed, in one line.
    pub(crate) title: &'static str,
    /// Why the proposal says so.
    pub(crate) why: &'static str,
    /// The experiment.
    pub(crate) test: String,
    /// What has to be found for the claim to hold, and what was.
    pub(crate) checks: Vec<Check>,
    /// What was set otherwise than by default, a line each kind of run.
    pub(crate) settings: Vec<String>,
    /// Figures beside it, in Markdown.
    pub(crate) figures: String,
}

/// One thing that has to be found.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) expected: String,
    pub(crate) found: String,
    pub(crate) held: bool,
    /// Whether it must hold, and only shows that what is measured is what is meant. It counts for nothing.
    pub(crate) by_definition: bool,
}

/// What the checks of a claim come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// All were found.
    Held,
    /// Some were.
    InPart,
    /// None was.
    Failed,
}

impl Claim {
    pub(crate) fn verdict(&self) -> Verdict {
        let all = || self.checks.iter().filter(|check| !check.by_definition);
        match all().filter(|check| check.held).count() {
            0 => Verdict::Failed,
            held if held == all().count() => Verdict::Held,
            _ => Verdict::InPart,
        }
    }

    /// The claim with what its runs and lessons have set.
    fn with<'a>(
        mut self,
        runs: impl IntoIterator<Item = &'a Trained>,
        lessons: impl IntoIterator<Item = &'a Lesson>,
    ) -> Self {
        let runs = runs
            .into_iter()
            .map(|run| (run.method, &run.settings, "trained"));
        let lessons = (lessons.into_iter()).map(|one| (one.method, &one.settings, "taught"));
        for (method, settings, how) in runs.chain(lessons) {
            let settings = match settings.is_empty() {
                true => "nothing".to_owned(),
                false => format!("`{}`", settings.join("`, `")),
            };
            let line = format!("`{}`, {how}: {settings}", method.name());
            if !self.settings.contains(&line) {
                self.settings.push(line);
            }
        }
        self
    }
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::InPart => "held in part",
            Self::Failed => "did not hold",
        }
    }
}

/// Every claim, in the proposal's order.
pub(crate) fn all(cells: &Cells, sizes: Sizes) -> Result<Vec<Claim>> {
    let none: [&Trained; 0] = [];
    let untaught: [&Lesson; 0] = [];
    let basins = design::basins(sizes);
    let replays = [Method::Maddpg, Method::Iql].map(|method| design::replay(method, sizes));
    let (decomposed, play) = (design::decomposed(sizes), design::decomposed_play(sizes));
    let two_step = design::two_step(sizes);
    let qtran = design::qtran(sizes);
    let qtran = || qtran.iter().flat_map(|(_, lessons)| lessons);
    let (alias, common, own) = (
        design::alias(sizes),
        design::common(sizes),
        design::own(sizes),
    );
    let own = |which: &'static [usize]| {
        let own = own.iter();
        own.flat_map(move |cells| which.iter().map(|&cell| &cells[cell]))
    };
    Ok(vec![
        gradient::basin(cells, sizes)?.with([&basins.factored, &basins.joint], untaught),
        gradient::counterfactual(cells, sizes)?.with([&basins.factored, &basins.coma], untaught),
        gradient::replay(cells, sizes)?.with([&basins.maddpg], replays.iter().flatten()),
        monotonic::form(cells, sizes)?.with(none, &decomposed),
        monotonic::trap(cells, sizes)?.with(play.iter().chain(&two_step), &decomposed),
        monotonic::narrower(cells, sizes)?.with(&two_step, &decomposed),
        qtran::weights(cells, sizes)?.with(none, qtran()),
        qtran::conditions(cells, sizes)?.with(none, qtran()),
        alias::stochastic(cells, sizes)?.with(&alias, untaught),
        common::either_or(cells, sizes)?.with(&common, untaught),
        own::no_trap(cells, sizes)?.with(own(&[0, 2]), untaught),
        own::as_written(cells, sizes)?.with(own(&[1]), untaught),
        own::by_construction(cells, sizes)?.with(own(&[0, 1]), untaught),
    ])
}

impl Check {
    fn by_definition(self) -> Self {
        Self {
            by_definition: true,
            ..self
        }
    }

    /// Held where the share of successes is at least `least`.
    fn at_least(expected: impl Into<String>, count: Count, least: f64) -> Self {
        Self {
            expected: format!("{} (at least {})", expected.into(), percent(least)),
            found: share(count),
            held: count.trials > 0 && count.fraction() >= least,
            by_definition: false,
        }
    }
}

/// `93 of 100: 93 % (86 to 97)`, with the Wilson interval.
pub(crate) fn share(count: Count) -> String {
    let Count { successes, trials } = count;
    if trials == 0 {
        return "none of 0".to_owned();
    }
    let Interval { low, high } = count.interval();
    let of = |x: f64| format!("{:.0}", 100.0 * x);
    format!(
        "{successes} of {trials}: {} % ({} to {})",
        of(count.fraction()),
        of(low),
        of(high)
    )
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// `3.21 (2.80 to 3.60)`: the mean with its bootstrap interval; a dash where there is nothing.
pub(crate) fn mean_of(values: &[f64]) -> String {
    if values.is_empty() {
        return "–".to_owned();
    }
    let Interval { low, high } = bootstrap(values, mean, &mut Stream::new(0, "bootstrap", 0));
    format!(
        "{} ({} to {})",
        number(mean(values)),
        number(low),
        number(high)
    )
}

/// Two decimals; adding zero turns −0 into 0.
pub(crate) fn number(value: f64) -> String {
    format!("{:.2}", (1e2 * value).round() / 1e2 + 0.0)
}

/// A table of Markdown.
fn rows(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let lines: String = rows.into_iter().map(line).collect();
    table(heading) + &lines + "\n"
}

/// `[[0.00, −5.00], [−5.00, 10.00]]`.
fn matrix(values: &[Vec<f64>]) -> String {
    let row = |row: &Vec<f64>| {
        let numbers: Vec<String> = row.iter().copied().map(number).collect();
        format!("[{}]", numbers.join(", "))
    };
    let lines: Vec<String> = values.iter().map(row).collect();
    format!("[{}]", lines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(held: &[bool]) -> Claim {
        let check = |&held: &bool| Check {
            expected: String::new(),
            found: String::new(),
            held,
            by_definition: false,
        };
        Claim {
            title: "",
            why: "",
            test: String::new(),
            checks: held.iter().map(check).collect(),
            settings: Vec::new(),
            figures: String::new(),
        }
    }

    #[test]
    fn a_claim_holds_when_all_is_found_that_has_to_be() {
        assert_eq!(claim(&[true, true]).verdict(), Verdict::Held);
        assert_eq!(claim(&[true, false]).verdict(), Verdict::InPart);
        assert_eq!(claim(&[false, false]).verdict(), Verdict::Failed);
    }

    #[test]
    fn a_share_must_reach_what_is_asked_and_nothing_shows_nothing() {
        let of = |successes, trials| Count { successes, trials };
        assert!(Check::at_least("x", of(19, 20), 0.95).held);
        assert!(!Check::at_least("x", of(18, 20), 0.95).held);
        assert!(!Check::at_least("x", of(0, 0), 0.0).held);
        // Newcombe 1998, table I: 15 of 148 by Wilson's method is .0624 to .1605.
        assert_eq!(share(of(15, 148)), "15 of 148: 10 % (6 to 16)");
    }

    #[test]
    fn numbers_have_two_decimals_and_no_negative_zero() {
        assert_eq!(
            matrix(&[vec![-0.001, 2.345], vec![-5.0, 10.0]]),
            "[[0.00, 2.35], [-5.00, 10.00]]"
        );
    }
}
