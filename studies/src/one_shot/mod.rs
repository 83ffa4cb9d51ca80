//! `study one-shot`: the method, its ablations and its baselines on one-shot team games, each
//! given the same environment steps; and why plain policy gradient fails as often as it does.

pub(crate) mod basin;
mod cells;
mod design;
mod findings;
mod report;

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use consort_trainer::config::Config;
use indicatif::ProgressBar;

use basin::{Basin, MEASURED};
use cells::{Cell, Cells};
use design::{ANNEALED, ASSURANCE, COLUMNS, Column, ROWS, Row};
use findings::{Findings, MethodFacts, RowFindings, Timing};

use crate::command::{bar, commit, publish, workspace};
use crate::kept::SOURCES;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs a row, at least (sets of random games: rounded up to as many of each game)
    /// [default: 100, with --quick 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: Option<u64>,
    /// The same for what the method is held against: rivals and ablations [default: 25, with
    /// --quick 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    few_seeds: Option<u64>,
    /// Environment steps of every run [default: those of `consort train`, with --quick a tenth]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    steps: Option<u64>,
    /// Only these rows
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(ROWS.each_ref().map(|row| row.name)))]
    tasks: Vec<String>,
    /// Only these columns
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(COLUMNS.map(|column| column.name)))]
    methods: Vec<String>,
    /// A look at whether everything runs: few seeds, few steps
    #[arg(long)]
    quick: bool,
    /// Train again what is already in target/studies
    #[arg(long)]
    fresh: bool,
    /// End stdout with the figures as one JSON object
    #[arg(long)]
    json: bool,
    /// Where the page is written [default: docs/results/one-shot.md if the study is whole: all
    /// rows and columns, 100 seeds or more (rivals and ablations 25), the default steps]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the study.
pub(crate) fn run(options: &Options) -> Result<()> {
    let study = Study::new(options)?;
    let findings = study.run()?;
    let page = report::page(&findings);
    publish(&page, study.page().as_deref(), &findings, options.json)
}

/// The study as it was asked for.
struct Study<'a> {
    options: &'a Options,
    rows: Vec<&'static Row>,
    columns: Vec<&'static Column>,
    cells: Cells,
    bar: ProgressBar,
}

impl<'a> Study<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let chosen = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|chosen| chosen == name)
        };
        let rows = ROWS.iter().filter(|row| chosen(&options.tasks, row.name));
        let columns = COLUMNS
            .into_iter()
            .filter(|column| chosen(&options.methods, column.name));
        let default = Config::default().steps;
        let (seeds, few_seeds, steps) = match options.quick {
            true => (10, 10, default / 10),
            false => (100, 25, default),
        };
        let or = |given: Option<u64>, default| given.map_or(Ok(default), usize::try_from);
        Ok(Self {
            options,
            rows: rows.collect(),
            columns: columns.collect(),
            cells: Cells {
                folder: workspace().join("target/studies/one-shot"),
                seeds: or(options.seeds, seeds)?,
                few_seeds: or(options.few_seeds, few_seeds)?,
                steps: options.steps.unwrap_or(steps),
                threads: std::thread::available_parallelism()?.get(),
            },
            bar: bar(),
        })
    }

    /// Makes or finds every cell, then sums them up.
    fn run(&self) -> Result<Findings> {
        let plan = self.plan();
        if self.options.fresh {
            for (row, column) in &plan {
                self.cells.forget(row, column)?;
            }
        }
        let mut missing = 0;
        let mut steps = 0;
        for (row, column) in &plan {
            if self.cells.find(row, column)?.is_none() {
                missing += 1;
                steps += self.cells.env_steps(row, column)?;
            }
        }
        let (total, found) = (plan.len(), plan.len() - missing);
        eprintln!(
            "{total} cells; {found} found finished in {}, {missing} to train",
            self.cells.folder.display()
        );
        self.bar.set_length(steps);
        for (row, column) in plan {
            self.cell(row, column)?;
        }
        self.bar.finish_and_clear();
        self.findings()
    }

    /// Every cell the study is made of: the tables', and what theory is set beside.
    fn plan(&self) -> Vec<(&'static Row, &'static Column)> {
        let mut plan = Vec::new();
        for &row in &self.rows {
            plan.extend(self.columns_of(row).map(|column| (row, column)));
            if row.name == ASSURANCE {
                let measured = MEASURED.iter();
                let measured = measured.flat_map(|(first, others)| [&[*first], *others].concat());
                plan.extend(measured.map(|column| (row, column)));
            }
        }
        let mut seen = HashSet::new();
        plan.retain(|(row, column)| seen.insert((row.name, column.name)));
        plan
    }

    /// The chosen columns that are run on `row`.
    fn columns_of(&self, row: &'static Row) -> impl Iterator<Item = &'static Column> + '_ {
        let columns = self.columns.iter().copied();
        columns.filter(move |column| column.is_run_on(row))
    }

    /// A cell, made if it is not there yet.
    fn cell(&self, row: &Row, column: &Column) -> Result<Cell> {
        if let Some(cell) = self.cells.find(row, column)? {
            return Ok(cell);
        }
        let cell = self.cells.make(row, column, &|steps| self.bar.inc(steps))?;
        let reached = cell.runs.iter().filter(|run| run.succeeded()).count();
        let (runs, seconds) = (cell.runs.len(), cell.facts.seconds);
        let line = format!(
            "{} by {}: {reached} of {runs} runs reach the optimum, {seconds:.1} s",
            row.name, column.name
        );
        self.bar.suspend(|| eprintln!("{line}"));
        Ok(cell)
    }

    fn findings(&self) -> Result<Findings> {
        let mut rows = Vec::new();
        let (mut basin, mut timing) = (None, None);
        for &row in &self.rows {
            let cells = self
                .columns_of(row)
                .map(|column| Ok((column, self.cell(row, column)?)))
                .collect::<Result<Vec<_>>>()?;
            rows.push(RowFindings::new(row, &cells));
            if row.name == ASSURANCE {
                let cell = |column: &Column| self.cell(row, column);
                basin = Some(Basin::new(&self.cells, row, cell)?);
                timing = (cells.iter())
                    .find(|(column, _)| column.name == ANNEALED.name)
                    .map(|(_, cell)| Timing::of(cell));
            }
        }
        let steps = self.cells.steps;
        Ok(Findings {
            study: "one-shot",
            command: self.command(),
            commit: commit()?,
            sources: SOURCES,
            seeds: self.cells.seeds,
            few_seeds: self.cells.few_seeds,
            steps,
            methods: (self.columns.iter())
                .map(|column| MethodFacts::new(column, steps))
                .collect(),
            rows,
            basin,
            timing,
        })
    }

    /// Where the page goes: a part of the study never takes the place of the whole.
    fn page(&self) -> Option<PathBuf> {
        let whole = self.rows.len() == ROWS.len()
            && self.columns.len() == COLUMNS.len()
            && self.cells.seeds >= 100
            && self.cells.few_seeds >= 25
            && self.cells.steps == Config::default().steps;
        let default = || whole.then(|| workspace().join("docs/results/one-shot.md"));
        self.options.out.clone().or_else(default)
    }

    /// The command that repeats the study, in the words that decide its figures.
    fn command(&self) -> String {
        let (seeds, few) = (self.cells.seeds, self.cells.few_seeds);
        let mut command = format!("cargo xtask study one-shot --seeds {seeds} --few-seeds {few}");
        if self.cells.steps != Config::default().steps {
            command += &format!(" --steps {}", self.cells.steps);
        }
        for (flag, names) in [
            ("tasks", &self.options.tasks),
            ("methods", &self.options.methods),
        ] {
            if !names.is_empty() {
                command += &format!(" --{flag} {}", names.join(","));
            }
        }
        command
    }
}
