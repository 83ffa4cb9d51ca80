//! `study proposal`: the research proposal's claims one by one, each with the experiment that tests
//! it; and every method it discusses side by side on classic games.

mod cells;
mod claims;
mod design;
mod report;
mod taught;

use std::path::PathBuf;

use anyhow::Result;
use indicatif::ProgressBar;
use serde::Serialize;

use cells::{Cells, Wanted};
use claims::{Choice, Claim, Verdict};
use design::Sizes;

use crate::command::{bar, commit, publish, side_by_side, workspace};
use crate::kept::SOURCES;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs where theory speaks of each: the basins
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// Runs of everything else
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    few_seeds: u64,
    /// Environment steps of a run on a game; some experiments take a multiple
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(4_096..=10_000_000))]
    steps: u64,
    /// Cells made side by side, a thread each [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    jobs: Option<u64>,
    /// Leave out the comparison of all methods and its search
    #[arg(long)]
    claims_only: bool,
    /// Make again what is already in target/studies
    #[arg(long)]
    fresh: bool,
    /// End stdout with the figures as one JSON object
    #[arg(long)]
    json: bool,
    /// Where the page is written
    #[arg(long, default_value_os_t = workspace().join("docs/results/proposal.md"))]
    out: PathBuf,
}

/// Everything the study has found: what `--json` prints and the page shows.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    study: &'static str,
    command: String,
    commit: Option<String>,
    sources: &'static str,
    steps: u64,
    claims: Vec<Claim>,
    /// By claim.
    verdicts: Vec<Verdict>,
    choices: Vec<Choice>,
    #[serde(skip)]
    comparison: String,
}

/// Runs the study.
pub(crate) fn run(options: &Options) -> Result<()> {
    let study = Study::new(options)?;
    let findings = study.run()?;
    let page = report::page(&findings);
    publish(&page, Some(&options.out), &findings, options.json)
}

/// The study as it was asked for.
struct Study<'a> {
    options: &'a Options,
    sizes: Sizes,
    cells: Cells,
    jobs: usize,
    bar: ProgressBar,
}

impl<'a> Study<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        Ok(Self {
            options,
            sizes: Sizes {
                seeds: usize::try_from(options.seeds)?,
                few: usize::try_from(options.few_seeds)?,
                steps: options.steps,
            },
            cells: Cells {
                folder: workspace().join("target/studies/proposal"),
            },
            jobs: match options.jobs {
                Some(jobs) => usize::try_from(jobs)?,
                None => std::thread::available_parallelism()?.get(),
            },
            bar: bar(),
        })
    }

    /// Makes what is not there: the claims' cells, those of a search, and those of what it has chosen;
    /// and sums it all up.
    fn run(&self) -> Result<Findings> {
        self.make(design::plan(self.sizes))?;
        let (mut choices, mut comparison) = (Vec::new(), String::new());
        if !self.options.claims_only {
            self.make(design::searches(self.sizes))?;
            choices = claims::choose(&self.cells, self.sizes)?;
            let chosen =
                |choice: &Choice| design::compared(choice.of, &choice.settings, self.sizes);
            let finals = choices.iter().flat_map(chosen).map(Wanted::Trained);
            self.make(finals.collect())?;
            comparison = claims::comparison(&self.cells, self.sizes, &choices)?;
        }
        self.bar.finish_and_clear();
        let claims = claims::all(&self.cells, self.sizes)?;
        Ok(Findings {
            study: "proposal",
            command: self.command(),
            commit: commit()?,
            sources: SOURCES,
            steps: self.sizes.steps,
            verdicts: claims.iter().map(Claim::verdict).collect(),
            claims,
            choices,
            comparison,
        })
    }

    /// Makes cells in their order.
    fn make(&self, plan: Vec<Wanted>) -> Result<()> {
        let mut missing = Vec::new();
        for wanted in &plan {
            if self.options.fresh {
                self.cells.forget(wanted)?;
            }
            if !self.cells.has(wanted)? {
                missing.push(wanted);
            }
        }
        eprintln!(
            "{} cells; {} found finished in {}, {} to make",
            plan.len(),
            plan.len() - missing.len(),
            self.cells.folder.display(),
            missing.len()
        );
        let steps: u64 = missing.iter().map(|wanted| wanted.env_steps()).sum();
        self.bar.inc_length(steps);
        let make = |wanted: &Wanted| -> Result<()> {
            let took = self.cells.make(wanted, &|steps| self.bar.inc(steps))?;
            let title = wanted.title();
            self.bar.suspend(|| eprintln!("{title}: {took:.1} s"));
            Ok(())
        };
        side_by_side(self.jobs, missing, || false, make)
    }

    /// The command that repeats the study, in the words that decide its figures.
    fn command(&self) -> String {
        let Options {
            seeds,
            few_seeds,
            steps,
            ..
        } = self.options;
        let only = match self.options.claims_only {
            true => " --claims-only",
            false => "",
        };
        format!(
            "cargo xtask study proposal --seeds {seeds} --few-seeds {few_seeds} --steps {steps}{only}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cell of the study and of every candidate resolves: settings are settings, tasks are tasks.
    #[test]
    fn every_cell_can_be_made_and_is_another() {
        let sizes = Sizes {
            seeds: 64,
            few: 8,
            steps: 20_000,
        };
        let folder = tempfile::tempdir().unwrap();
        let cells = Cells {
            folder: folder.path().to_owned(),
        };
        let mut plan = [design::plan(sizes), design::searches(sizes)].concat();
        for contender in design::contenders() {
            for candidate in &contender.candidates {
                let finals = design::compared(contender.method, candidate, sizes);
                plan.extend(finals.into_iter().map(Wanted::Trained));
            }
        }
        for wanted in &plan {
            assert!(!cells.has(wanted).unwrap());
        }
    }

    /// A lesson repeats bit for bit, is found again, and MADDPG learns from it what theory says.
    #[test]
    fn a_lesson_is_learned_and_kept() {
        let sizes = Sizes {
            seeds: 1,
            few: 2,
            steps: 12_800,
        };
        let folder = tempfile::tempdir().unwrap();
        let cells = Cells {
            folder: folder.path().to_owned(),
        };
        let lessons = design::replay(consort_trainer::config::Method::Maddpg, sizes);
        for (lesson, dares) in [(&lessons[0], true), (&lessons[5], false)] {
            let wanted = Wanted::Taught(lesson.clone());
            cells.make(&wanted, &|_| {}).unwrap();
            let pupils = cells.pupils(lesson).unwrap();
            assert_eq!(pupils.len(), 2);
            for pupil in &pupils {
                assert_eq!(pupil.greedy == [3], dares, "{pupil:?}");
                // Where both do not dare, one still may: that pays −5, not 0. A longer lesson (25,600 steps)
                // ends so, too.
                match dares {
                    true => assert_eq!(pupil.value, 10.0),
                    false => assert!([0.0, -5.0].contains(&pupil.value), "{pupil:?}"),
                }
            }
            cells.forget(&wanted).unwrap();
            cells.make(&wanted, &|_| {}).unwrap();
            assert_eq!(cells.pupils(lesson).unwrap(), pupils);
        }
    }
}
