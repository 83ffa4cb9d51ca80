//! Every method side by side on classic games, after an equal search.

use anyhow::{Context, Result};
use consort_trainer::config::Method;
use consort_trainer::report::aggregate::{Scores, overall};
use consort_trainer::report::statistics::{Interval, bootstrap, interquartile_mean};
use consort_trainer::rng::Stream;
use serde::Serialize;

use super::super::cells::{Cells, Trained};
use super::super::design::{self, COMPARED, Contender, SEARCHED, Sizes};
use super::{mean, number, rows};

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Choice {
    pub(crate) method: &'static str,
    /// The settings that were best.
    pub(crate) settings: Vec<String>,
    /// Their mean score over the games of the search, and that of every candidate.
    pub(crate) score: f64,
    pub(crate) scores: Vec<f64>,
    #[serde(skip)]
    pub(crate) of: Method,
}

/// Scores of runs: 0 for uniform play, 1 for the best that agents apart can earn, no less than −1.
fn scores(cells: &Cells, cell: &Trained) -> Result<Vec<f64>> {
    let (_, task) = cell.config()?;
    let best = task.optimum().context("a small game's optimum is known")?;
    let uniform = task.game().context("a game")?.uniform_value();
    let runs = cells.runs(cell)?;
    Ok(runs
        .iter()
        .map(|run| ((run.value - uniform) / (best - uniform)).max(-1.0))
        .collect())
}

/// The best candidate of every method, by its mean score; the first of equals.
pub(crate) fn choose(cells: &Cells, sizes: Sizes) -> Result<Vec<Choice>> {
    let best = |contender: Contender| -> Result<Choice> {
        let mut found = Vec::new();
        for candidate in &contender.candidates {
            let mut all = Vec::new();
            for cell in design::search(contender.method, candidate, sizes) {
                all.extend(scores(cells, &cell)?);
            }
            found.push(mean(&all));
        }
        let better = |best: usize, (index, score): (usize, &f64)| {
            if *score > found[best] { index } else { best }
        };
        let chosen = found.iter().enumerate().fold(0, better);
        Ok(Choice {
            method: contender.method.name(),
            settings: contender.candidates[chosen].clone(),
            score: found[chosen],
            scores: found,
            of: contender.method,
        })
    };
    design::contenders().into_iter().map(best).collect()
}

/// The comparison, as a section of the page.
pub(crate) fn comparison(cells: &Cells, sizes: Sizes, choices: &[Choice]) -> Result<String> {
    let mut text = format!(
        "## Side by side on classic games\n\n\
         Every method with the same {} environment steps on the same game, {} runs each, after an equal search: four candidates a method (two step sizes, each with less and more \
         exploration), {} runs each on {}, from seeds that the comparison does not use. Figures are what the exported images earn greedily: the mean of the middle half of the \
         runs and its bootstrap 95 % interval. *Score* is 0 for uniform play and 1 for the best that agents apart can earn, over all games, stratified. What the default \
         portfolio of `annealed` does with 400,000 steps is on [another page](one-shot.md).\n\n",
        sizes.steps,
        sizes.few,
        design::search(Method::Vdn, &[], sizes)[0].seeds,
        SEARCHED.map(|game| format!("`{game}`")).join(", "),
    );
    let heading: Vec<&str> = ["method"]
        .into_iter()
        .chain(COMPARED)
        .chain(["score"])
        .collect();
    let mut lines = Vec::new();
    for choice in choices {
        let planned = design::compared(choice.of, &choice.settings, sizes);
        let mut line = vec![format!("**{}**", choice.method)];
        let mut all: Scores = Vec::new();
        for cell in &planned {
            let values: Vec<f64> = cells.runs(cell)?.iter().map(|run| run.value).collect();
            let Interval { low, high } = bootstrap(
                &values,
                interquartile_mean,
                &mut Stream::new(0, "bootstrap", 0),
            );
            line.push(format!(
                "{} ({} to {})",
                number(interquartile_mean(&values)),
                number(low),
                number(high)
            ));
            all.push(scores(cells, cell)?);
        }
        let score = overall(&all, &mut Stream::new(0, "bootstrap", 0));
        line.push(format!(
            "{} ({} to {})",
            number(score.value),
            number(score.interval.low),
            number(score.interval.high)
        ));
        lines.push(line);
    }
    text += &rows(&heading, lines);
    text += "Chosen settings, and the scores of all four candidates in the search:\n\n";
    let chosen = choices.iter().map(|choice| {
        let settings: Vec<String> = choice
            .settings
            .iter()
            .map(|setting| format!("`{setting}`"))
            .collect();
        let scores: Vec<String> = choice.scores.iter().copied().map(number).collect();
        vec![
            format!("**{}**", choice.method),
            settings.join(", "),
            scores.join(", "),
        ]
    });
    Ok(text + &rows(&["method", "settings", "scores"], chosen))
}
