//! `consort compare`: methods side by side at equal steps.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use consort_trainer::atomic::{self, WriteError};
use consort_trainer::compare::page::Findings;
use consort_trainer::compare::{
    Design, FIGURES, PAGE, RESULTS, Spectator, make, marl_eval, open_folder,
};
use consort_trainer::env::decpomdp::MAX_HORIZON;
use consort_trainer::error::Error;
use serde_json::json;

use super::progress::Progress;
use super::{Page, quoted, whole_number};

/// Train methods side by side on tasks, at equal environment steps, and say how they compare
#[derive(clap::Args)]
pub(super) struct Args {
    /// Tasks by name (`consort tasks` lists them), games' TOML files or models' .dpomdp files
    #[arg(required = true)]
    tasks: Vec<String>,
    /// Steps of an episode in the models from .dpomdp files
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number::<1, { MAX_HORIZON as i64 }>)]
    horizon: Option<i64>,
    /// Methods by name, between commas (`consort methods` lists them)
    #[arg(long, required = true, value_delimiter = ',')]
    methods: Vec<String>,
    /// Runs of each method on each task, from seed 0 on
    #[arg(long, default_value_t = 5, allow_negative_numbers = true, value_parser = whole_number::<1, 10_000>)]
    seeds: i64,
    /// Environment steps of every run, evaluation included [default: as `consort train`]
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number::<1, { i64::MAX }>)]
    steps: Option<i64>,
    /// Runs trained at a time, a thread each [default: one a core]
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number::<1, 1_024>)]
    jobs: Option<i64>,
    /// The comparison's folder; one that is unfinished goes on
    #[arg(long)]
    out: PathBuf,
    /// One setting of every run, such as `network.hidden=[16]`; can be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// No progress bar and no word of finished runs
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(args: &Args, json: bool) -> Result<Page, Error> {
    let design = Design {
        tasks: args.tasks.clone(),
        methods: args.methods.clone(),
        seeds: args.seeds as u64,
        steps: args.steps,
        horizon: args.horizon,
        settings: args.settings.clone(),
    };
    design.check()?;
    let cells = design.cells(&args.out)?;
    // All have the same device; one that is not there leaves no folder behind.
    if let Some(cell) = cells.first() {
        cell.config.device.open()?;
    }
    open_folder(&args.out)?;
    let jobs = match args.jobs {
        Some(jobs) => jobs as usize,
        None => available_parallelism().map_or(1, NonZeroUsize::get),
    };
    let steps = cells.iter().map(|cell| cell.config.steps).sum();
    let progress = Progress::new(steps, args.quiet || json);
    let spectator = Spectator {
        progress: &|steps| progress.add(steps),
        note: &|text| {
            if !args.quiet && !json {
                progress.note(text);
            }
        },
    };
    let made = make(&cells, jobs, &spectator);
    progress.finish();
    let mut names: Vec<String> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.place[1] == 0) {
        if cell.place[0] == names.len() {
            names.push(cell.task.name().to_owned());
        }
    }
    let findings = Findings::new(&design.methods, made?);
    let write = |name: &str, text: &str| atomic::write(&args.out.join(name), text.as_bytes());
    write(
        RESULTS,
        &marl_eval::text(&names, &design.methods, &findings.runs),
    )?;
    let mut pictures = vec![
        (
            "performance profiles".to_owned(),
            "profile.svg".to_owned(),
            findings.profile(),
        ),
        (
            "sample efficiency".to_owned(),
            "efficiency.svg".to_owned(),
            findings.efficiency(),
        ),
    ];
    for (row, name) in names.iter().enumerate() {
        let file = format!("curves.{name}.svg");
        pictures.push((
            format!("learning curves on {name}"),
            file,
            findings.curves(row),
        ));
    }
    let mut drawn = Vec::new();
    for (caption, file, svg) in pictures {
        if let Some(svg) = svg {
            write(&file, &svg)?;
            drawn.push((caption, file));
        }
    }
    remove_others(&args.out, &drawn)?;
    let figures = serde_json::to_string_pretty(&findings).expect("numbers and names are JSON");
    write(FIGURES, &(figures + "\n"))?;
    let page = findings.page(&args.command(), &drawn);
    write(PAGE, &page)?;
    Ok(Page {
        text: page,
        json: json!({ "out": args.out, "findings": findings }),
    })
}

/// Removes the pictures of an earlier page that are none of this one's.
fn remove_others(out: &Path, drawn: &[(String, String)]) -> Result<(), Error> {
    let entries = fs::read_dir(out).map_err(WriteError::at(out))?;
    for entry in entries {
        let name = entry.map_err(WriteError::at(out))?.file_name();
        let name = name.to_string_lossy();
        let is_ours =
            name.starts_with("curves.") || matches!(&*name, "profile.svg" | "efficiency.svg");
        if is_ours && name.ends_with(".svg") && drawn.iter().all(|(_, file)| *file != name) {
            let path = out.join(&*name);
            fs::remove_file(&path).map_err(WriteError::at(&path))?;
        }
    }
    Ok(())
}

impl Args {
    /// The command that repeats the comparison, in the words that decide its figures.
    fn command(&self) -> String {
        let mut command = format!(
            "consort compare {} --methods {} --seeds {}",
            self.tasks
                .iter()
                .map(|task| quoted(task))
                .collect::<Vec<_>>()
                .join(" "),
            self.methods.join(","),
            self.seeds
        );
        if let Some(horizon) = self.horizon {
            command += &format!(" --horizon {horizon}");
        }
        if let Some(steps) = self.steps {
            command += &format!(" --steps {steps}");
        }
        for setting in &self.settings {
            command += &format!(" --set {}", quoted(setting));
        }
        format!(
            "{command} --out {}",
            quoted(&self.out.display().to_string())
        )
    }
}
