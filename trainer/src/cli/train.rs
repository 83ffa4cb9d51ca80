//! `consort train`: one run, its folder, its table.

use std::path::PathBuf;

use consort_trainer::config::{Config, ConfigError, DeviceChoice, Layers};
use consort_trainer::env::decpomdp::MAX_HORIZON;
use consort_trainer::error::Error;
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{count, number};
use consort_trainer::run::{self, Finished};
use consort_trainer::run_folder::RunFolder;
use serde_json::json;

use super::progress::Progress;
use super::{Page, whole_number};

/// Train a team and export one policy image per agent
#[derive(clap::Args)]
pub(super) struct Args {
    /// A task's name (`consort tasks` lists them), a game's TOML file or a model's .dpomdp file
    task: Option<String>,
    /// Steps of an episode in a model from a .dpomdp file
    #[arg(long, value_parser = whole_number::<1, { MAX_HORIZON as i64 }>)]
    horizon: Option<i64>,
    /// How to learn (`consort methods` lists them) [default: annealed]
    #[arg(long)]
    method: Option<String>,
    /// Seed of every random draw [default: 0]
    #[arg(long, value_parser = whole_number::<0, { i64::MAX }>)]
    seed: Option<i64>,
    /// Environment steps in all, evaluation included
    #[arg(long, value_parser = whole_number::<1, { i64::MAX }>)]
    steps: Option<i64>,
    /// The run's folder [default: runs/TASK-METHOD-seedN]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Settings in TOML, such as another run's config.toml
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// One setting, such as `annealed.schedule.lambda_end=5`; can be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// cpu, cuda or cuda:N [default: cpu]
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// No progress bar and no table: only the team's folder is printed
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(args: &Args, json: bool) -> Result<Page, Error> {
    let (config, task) = layers(args)?.resolve()?;
    let device = config.device.open()?;
    let folder = RunFolder::open(&config, args.out.as_deref())?;
    let usual = RunFolder::usual(&config);
    if args.out.is_none() && folder.path() != usual {
        let (usual, path) = (usual.display(), folder.path().display());
        eprintln!("note: {usual} holds another run; this one goes to {path}");
    }
    let progress = Progress::new(config.steps, args.quiet);
    let finished = run::run(&config, &task, &device, &folder, &|steps| {
        progress.add(steps)
    })?;
    progress.finish();
    let text = if json {
        String::new()
    } else if args.quiet {
        format!("{}\n", finished.team.folder.display())
    } else {
        page(&config, &finished)
    };
    let manifest = &finished.team.manifest;
    Ok(Page {
        text,
        json: json!({
            "task": manifest.task,
            "method": manifest.method,
            "seed": manifest.seed,
            "env_steps": manifest.env_steps,
            "seconds": finished.time.as_secs_f64(),
            "arm": manifest.arm,
            "arm_index": manifest.arm_index,
            "return_joint": manifest.returns.joint,
            "return_product": manifest.returns.product,
            "return_greedy": manifest.returns.greedy,
            "return_exported": manifest.returns.exported,
            "optimum": manifest.optimum,
            "run": folder.path(),
            "team": finished.team.folder,
            "team_id": manifest.team,
        }),
    })
}

/// File, then settings, then flags.
fn layers(args: &Args) -> Result<Layers, ConfigError> {
    let mut layers = Layers::new();
    if let Some(path) = &args.config {
        layers.file(path)?;
    }
    for setting in &args.settings {
        layers.assignment(setting)?;
    }
    if let Some(task) = &args.task {
        layers.task(task)?;
    }
    if let Some(horizon) = args.horizon {
        layers.value("horizon", horizon)?;
    }
    if let Some(method) = &args.method {
        layers.value("method", method.as_str())?;
    }
    if let Some(seed) = args.seed {
        layers.value("seed", seed)?;
    }
    if let Some(steps) = args.steps {
        layers.value("steps", steps)?;
    }
    if let Some(device) = args.device {
        layers.value("device", device.to_string())?;
    }
    Ok(layers)
}

fn page(config: &Config, finished: &Finished) -> String {
    let Finished {
        outcome,
        team,
        time,
    } = finished;
    let manifest = &team.manifest;
    let returns = &manifest.returns;
    let seconds = time.as_secs_f64();
    let mut table = Table::new([
        ("arm", Align::Right),
        ("", Align::Left),
        ("steps", Align::Right),
        ("joint", Align::Right),
        ("product", Align::Right),
        ("greedy", Align::Right),
        ("evaluated", Align::Right),
        ("episodes", Align::Right),
        ("", Align::Left),
    ]);
    for (index, (name, arm)) in config.arm_names().iter().zip(&outcome.arms).enumerate() {
        let evaluation = outcome.selection.evaluations[index];
        let kept = if index == outcome.selection.chosen {
            "kept"
        } else {
            ""
        };
        table.row([
            (index + 1).to_string(),
            name.to_string(),
            count(arm.env_steps),
            number(arm.values.and_then(|values| values.joint)),
            number(arm.values.map(|values| values.product)),
            number(arm.values.map(|values| values.greedy)),
            number(evaluation.map(|evaluation| evaluation.mean)),
            evaluation.map_or(String::new(), |evaluation| count(evaluation.episodes)),
            kept.to_owned(),
        ]);
    }
    let mut results = Table::new([
        ("return", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
    ]);
    let mut result = |name: &str, value: Option<f64>, note: &str| {
        results.row([name.to_owned(), number(value), note.to_owned()]);
    };
    result(
        "exported images",
        Some(returns.exported),
        "greedy, run by consort-runtime",
    );
    result(
        "product",
        Some(returns.product),
        "every agent draws its action",
    );
    result("joint policy", returns.joint, "exists only in training");
    result("optimum", manifest.optimum, "of agents that act apart");
    let images = team.actors.images();
    let bytes: usize = images.iter().map(|image| image.bytes().len()).sum();
    format!(
        "{} by {}, seed {}: {} steps in {seconds:.1} s\n\n{}\n{}\n  {} images, {} bytes: {}\n",
        manifest.task,
        manifest.method,
        manifest.seed,
        count(manifest.env_steps),
        table.render(),
        results.render(),
        images.len(),
        count(bytes as u64),
        team.folder.display(),
    )
}
