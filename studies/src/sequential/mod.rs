//! `study sequential`: the method and its rivals on tasks of many steps, each given the same
//! environment steps; and what training costs as agents grow in number.

mod adopted;
mod cells;
pub(crate) mod cost;
mod curve;
mod design;
mod findings;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use consort_trainer::atomic;
use consort_trainer::config::{ArmName, Config};
use indicatif::ProgressBar;

use adopted::{Adoption, adopt, take_elsewhere};
use cells::{Cells, Run, Wanted};
use cost::Cost;
use design::{ANNEALED, Group, METHODS, Method, ROWS, Row};
use findings::{Agreement, Findings, MethodFacts, RowFindings};

use crate::command::{bar, commit, publish, side_by_side, today, workspace};
use crate::kept::SOURCES;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs of the method on a task; large tasks have no more than their own number [default: 10
    /// on Dec-POMDPs and repeated games, 4 on large tasks]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: Option<u64>,
    /// The same of its rivals [default: as many]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    few_seeds: Option<u64>,
    /// Environment steps of a run on Dec-POMDPs, repeated games and two-step [default: those of
    /// `consort train`]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    steps: Option<u64>,
    /// The same on large tasks [default: 20 million where a published return is the goal, on the rest those of `consort train`]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    steps_large: Option<u64>,
    /// Train on these tasks only; the page is about them, and leaves costs out unless --cost-updates asks for them
    #[arg(long, value_delimiter = ',', num_args = 1.., value_parser = PossibleValuesParser::new(ROWS.each_ref().map(|row| row.task)))]
    only: Vec<String>,
    /// Train these methods only
    #[arg(long, value_delimiter = ',', num_args = 1.., value_parser = PossibleValuesParser::new(METHODS.map(|method| method.name)))]
    methods: Vec<String>,
    /// Also run the default portfolio with factored arms in the place of those with a joint policy
    #[arg(long)]
    best_of_n: bool,
    /// Updates that are timed for the cost of a team; 0: leave costs out [default: 20 where the page is about all tasks]
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    cost_updates: Option<u64>,
    /// Start nothing after so many seconds, and write the page with what there is
    #[arg(long)]
    budget_seconds: Option<u64>,
    /// Runs trained side by side, a thread each [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    jobs: Option<u64>,
    /// Train again what is already in target/studies
    #[arg(long)]
    fresh: bool,
    /// Also take cells that an earlier build left in this folder, or the runs.jsonl of a page, where whatever both have made is equal
    #[arg(long, value_name = "PATH")]
    adopt: Vec<PathBuf>,
    /// Also take the runs of another processor, which comes to other bits: the runs.jsonl of a page whose build trains as this
    /// one does. Nothing here can check that; the page says how many
    #[arg(long, value_name = "PATH")]
    elsewhere: Vec<PathBuf>,
    /// End stdout with the figures as one JSON object
    #[arg(long)]
    json: bool,
    /// Where the page is written; its pictures lie in a folder of its name beside it [default:
    /// docs/results/sequential.md, where it is about all tasks]
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Options {
    /// Whether the page has a row for the task.
    fn is_about(&self, row: &Row) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == row.task)
    }
}

/// The runs' file in the page's folder.
const RUNS: &str = "runs.jsonl";

/// Runs the study.
pub(crate) fn run(options: &Options) -> Result<()> {
    let study = Study::new(options)?;
    study.make()?;
    let (findings, pictures) = study.findings()?;
    let out = study.out();
    let linked = match &out {
        Some(out) => {
            write_runs(out, &study.every_run()?)?;
            write_pictures(out, &pictures)?
        }
        None => Vec::new(),
    };
    let page = report::page(&findings, &linked);
    publish(&page, out.as_deref(), &findings, options.json)
}

/// The study as it was asked for.
struct Study<'a> {
    options: &'a Options,
    cells: Cells,
    adoption: Adoption,
    jobs: usize,
    /// When nothing more is started.
    deadline: Option<Instant>,
    bar: ProgressBar,
}

/// A task's learning curves.
type Picture = (&'static str, String);

impl<'a> Study<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let number = |given: Option<u64>| given.map(usize::try_from).transpose();
        let jobs = match number(options.jobs)? {
            Some(jobs) => jobs,
            None => std::thread::available_parallelism()?.get(),
        };
        let seconds = options.budget_seconds.map(Duration::from_secs);
        let mut cells = Cells {
            folder: workspace().join("target/studies/sequential"),
            adopted: Vec::new(),
            seeds: number(options.seeds)?,
            few_seeds: number(options.few_seeds)?,
            steps: options.steps,
            steps_large: options.steps_large,
            optional: options.best_of_n,
        };
        let is_about = |row: &Row| options.is_about(row);
        let mut adoption = adopt(&mut cells, &options.adopt, is_about)?;
        adoption.elsewhere = take_elsewhere(&mut cells, &options.elsewhere, is_about)?;
        Ok(Self {
            options,
            cells,
            adoption,
            jobs,
            deadline: seconds.and_then(|seconds| Instant::now().checked_add(seconds)),
            bar: bar(),
        })
    }

    /// Makes what is not there, as long as the budget lasts.
    fn make(&self) -> Result<()> {
        self.cells.check(|row| self.options.is_about(row))?;
        let mut plan = self.cells.plan(|row| self.options.is_about(row));
        let methods = &self.options.methods;
        plan.retain(|wanted| {
            methods.is_empty() || methods.iter().any(|name| name == wanted.method.name)
        });
        let costs = match methods.is_empty() {
            true => self.cost_plan(),
            false => Vec::new(),
        };
        let folder = &self.cells.folder;
        if self.options.fresh {
            for &wanted in &plan {
                self.cells.forget(wanted)?;
            }
            for &options in &costs {
                cost::forget(folder, options)?;
            }
        }
        let mut missing = Vec::new();
        let mut steps = 0;
        for &wanted in &plan {
            if self.cells.find(wanted)?.is_none() {
                steps += self.cells.config(wanted)?.0.steps;
                missing.push(wanted);
            }
        }
        eprintln!(
            "{} runs; {} found finished in {}, {} to train",
            plan.len(),
            plan.len() - missing.len(),
            folder.display(),
            missing.len()
        );
        // First, while nothing else runs.
        for options in costs {
            if cost::find(folder, options)?.is_none() && !self.is_over() {
                cost::make(folder, options)?;
            }
        }
        self.bar.set_length(steps);
        self.train(missing)?;
        self.bar.finish_and_clear();
        Ok(())
    }

    /// Where the page is written, if it is: one about some tasks must not replace that of all unasked.
    fn out(&self) -> Option<PathBuf> {
        let whole = self.options.only.is_empty();
        let default = || whole.then(|| workspace().join("docs/results/sequential.md"));
        self.options.out.clone().or_else(default)
    }

    fn cost_plan(&self) -> Vec<cost::Options> {
        let of_all = if self.options.only.is_empty() { 20 } else { 0 };
        match self.options.cost_updates.unwrap_or(of_all) {
            0 => Vec::new(),
            updates => cost::plan(updates),
        }
    }

    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Trains cells in their order, so many at a time; the first error ends it.
    fn train(&self, cells: Vec<Wanted>) -> Result<()> {
        let make = |wanted| -> Result<()> {
            let run = self.cells.make(wanted, &|steps| self.bar.inc(steps))?;
            self.say(wanted, &run);
            Ok(())
        };
        side_by_side(self.jobs, cells, || self.is_over(), make)
    }

    fn say(&self, wanted: Wanted, run: &Run) {
        let optimum = run
            .optimum
            .map_or(String::new(), |best| format!(" of {best:.3}"));
        let line = format!(
            "{} by {}, seed {}: {:.3}{optimum}, {:.0} s",
            wanted.row.task, wanted.method.name, wanted.seed, run.value, run.seconds
        );
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// What lies finished of the page's tasks, and the curves of the large ones.
    fn findings(&self) -> Result<(Findings, Vec<Picture>)> {
        let methods: Vec<&'static Method> = self.cells.methods().collect();
        let (mut rows, mut pictures) = (Vec::new(), Vec::new());
        let mut gaps = Vec::new();
        for row in ROWS.iter().filter(|row| self.options.is_about(row)) {
            let cells = methods
                .iter()
                .map(|&method| self.runs(row, method))
                .collect::<Result<Vec<_>>>()?;
            let (config, task) = self.cells.config(Wanted {
                row,
                method: &ANNEALED,
                seed: 0,
            })?;
            let optimum = task.optimum();
            for (method, _, runs) in &cells {
                let (config, task) = self.cells.config(Wanted {
                    row,
                    method,
                    seed: 0,
                })?;
                let curve_episodes = config.budget(&task.spec()).curve_episodes;
                gaps.extend(
                    runs.iter()
                        .filter_map(|run| run.gap(config.act, curve_episodes)),
                );
            }
            rows.push(RowFindings::new(row, optimum, config.steps, &cells));
            if row.group == Group::Large {
                let curves: Vec<(&'static str, Vec<Run>)> = cells
                    .into_iter()
                    .map(|(method, _, runs)| (method.name, runs))
                    .collect();
                let picture = curve::draw(row, optimum, &curves);
                pictures.extend(picture.map(|svg| (row.task, svg)));
            }
        }
        let planned = self.cost_plan();
        let found = (planned.iter()).map(|&options| cost::find(&self.cells.folder, options));
        let costs: Vec<Cost> = found.filter_map(Result::transpose).collect::<Result<_>>()?;
        let facts = |method: &&'static Method| -> Result<MethodFacts> {
            let mut arms: Vec<String> = Vec::new();
            for row in ROWS.iter().filter(|row| self.options.is_about(row)) {
                let (config, _): (Config, _) = method.config(row, 0, None)?;
                let names: Vec<_> = config.arm_names().into_iter().map(ArmName::name).collect();
                let names = names.join(", ");
                let of = match row.group {
                    Group::Large => format!("{names} (large tasks)"),
                    _ => names,
                };
                if !arms.contains(&of) {
                    arms.push(of);
                }
            }
            Ok(MethodFacts {
                name: method.name,
                description: method.description,
                arms,
            })
        };
        let findings = Findings {
            study: "sequential",
            command: self.command(),
            commit: commit()?,
            sources: SOURCES,
            date: today(),
            adoption: self.adoption,
            jobs: self.jobs,
            methods: methods.iter().map(facts).collect::<Result<_>>()?,
            rows,
            agreement: Agreement::of(&gaps),
            costs_missing: planned.len() - costs.len(),
            costs,
        };
        Ok((findings, pictures))
    }

    /// All that the page tells of.
    fn every_run(&self) -> Result<Vec<Run>> {
        let plan = self.cells.plan(|row| self.options.is_about(row));
        let found = plan.into_iter().map(|wanted| self.cells.find(wanted));
        found.filter_map(Result::transpose).collect()
    }

    /// A method's runs on a task: how many were asked for, and those there are.
    fn runs(
        &self,
        row: &'static Row,
        method: &'static Method,
    ) -> Result<(&'static Method, usize, Vec<Run>)> {
        let wanted = self.cells.seeds_of(row, method);
        let find = |seed| self.cells.find(Wanted { row, method, seed });
        let runs = (0..wanted as u64).map(find).filter_map(Result::transpose);
        Ok((method, wanted, runs.collect::<Result<_>>()?))
    }

    /// The command that repeats the study: the words that decide its figures, and where the page is written,
    /// unless that is outside of the workspace.
    fn command(&self) -> String {
        let mut command = "cargo xtask study sequential".to_owned();
        let options = self.options;
        for (flag, value) in [
            ("seeds", options.seeds),
            ("few-seeds", options.few_seeds),
            ("steps", options.steps),
            ("steps-large", options.steps_large),
            ("cost-updates", options.cost_updates),
        ] {
            if let Some(value) = value {
                command += &format!(" --{flag} {value}");
            }
        }
        if !options.only.is_empty() {
            command += &format!(" --only {}", options.only.join(","));
        }
        if options.best_of_n {
            command += " --best-of-n";
        }
        let out = (options.out.as_deref()).map(|out| out.strip_prefix(workspace()).unwrap_or(out));
        if let Some(out) = out.filter(|out| out.is_relative()) {
            command += &format!(" --out {}", out.display());
        }
        command
    }
}

/// The folder of what belongs to the page.
fn beside(out: &Path) -> Result<PathBuf> {
    let stem = (out.file_stem().and_then(|stem| stem.to_str()))
        .with_context(|| format!("--out {}: expected the name of a file", out.display()))?;
    Ok(out.parent().unwrap_or(Path::new(".")).join(stem))
}

/// Writes every run of the page beside it, a line each: what a later study, on another machine, adds to.
fn write_runs(out: &Path, runs: &[Run]) -> Result<()> {
    let folder = beside(out)?;
    fs::create_dir_all(&folder)?;
    let mut text = String::new();
    for run in runs {
        text += &serde_json::to_string(run)?;
        text.push('\n');
    }
    atomic::write(&folder.join(RUNS), text.as_bytes())?;
    Ok(())
}

/// Writes the pictures beside the page; what came of each: the task and its path from there.
fn write_pictures(out: &Path, pictures: &[Picture]) -> Result<Vec<(&'static str, String)>> {
    let folder = beside(out)?;
    fs::create_dir_all(&folder)?;
    let stem = folder.file_name().unwrap_or_default().to_string_lossy();
    let write = |(task, svg): &Picture| -> Result<_> {
        atomic::write(&folder.join(format!("{task}.svg")), svg.as_bytes())?;
        Ok((*task, format!("{stem}/{task}.svg")))
    };
    pictures.iter().map(write).collect()
}
