//! `consort train`: one run, its folder, its table.

use std::path::PathBuf;
use std::time::Duration;

use consort_trainer::config::{Config, ConfigError, DeviceChoice, Layers};
use consort_trainer::env::decpomdp::MAX_HORIZON;
use consort_trainer::env::{Task, TaskKind};
use consort_trainer::error::Error;
use consort_trainer::export::judging_episodes;
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{count, number};
use consort_trainer::run::{self, Finished, Watch};
use consort_trainer::run_folder::RunFolder;
use consort_trainer::train::{KEEP_EVERY, Record};
use serde_json::json;

use super::progress::Progress;
use super::{Page, whole_number};

/// Train a team and export one policy image per agent
#[derive(clap::Args)]
pub(super) struct Args {
    /// A task's name (`consort tasks` lists them), a game's TOML file or a model's .dpomdp file
    task: Option<String>,
    /// Steps of an episode in a model from a .dpomdp file
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number::<1, { MAX_HORIZON as i64 }>)]
    horizon: Option<i64>,
    /// How to learn (`consort methods` lists them) [default: annealed]
    #[arg(long)]
    method: Option<String>,
    /// Let the agents share a seed of so many symbols, as the end of what each sees [without a number: 2]
    #[arg(long, value_name = "SYMBOLS", num_args = 0..=1, require_equals = true,
        default_missing_value = "2", value_parser = whole_number::<2, { u8::MAX as i64 }>)]
    shared_seed: Option<i64>,
    /// Seed of every random draw [default: 0]
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number::<0, { i64::MAX }>)]
    seed: Option<i64>,
    #[arg(long, help = steps_help(), allow_negative_numbers = true, value_parser = whole_number::<1, { i64::MAX }>)]
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
    /// Seconds between two checkpoints of an arm at most
    #[arg(long, hide = true, default_value_t = KEEP_EVERY.as_secs() as i64,
        allow_negative_numbers = true, value_parser = whole_number::<0, { i64::MAX }>)]
    checkpoint_seconds: i64,
}

/// What `--steps` is, and its default, which the kind of task decides.
fn steps_help() -> String {
    let [game, finite, long] = [
        TaskKind::OneShot,
        TaskKind::FiniteHorizon,
        TaskKind::TimeLimit,
    ]
    .map(|kind| Config::for_kind(kind).steps);
    format!(
        "Environment steps in all, evaluation included [default: {game} for a one-shot game, \
         {finite} where episodes have a fixed number of steps, as in a Dec-POMDP, {long} elsewhere]"
    )
}

pub(super) fn run(args: &Args, json: bool) -> Result<Page, Error> {
    let (config, task) = layers(args)?.resolve()?;
    let device = config.device.open()?;
    let folder = RunFolder::open(&config, args.out.as_deref())?;
    let usual = RunFolder::usual(&config);
    if args.out.is_none() && folder.path() != usual {
        let (usual, path) = (usual.display(), folder.path().display());
        eprintln!("note: {usual} holds another run or a finished one; this one goes to {path}");
    }
    let resumed = folder.has_checkpoints();
    if resumed && !args.quiet && !json {
        eprintln!(
            "note: {} goes on from what is whole of its checkpoints",
            folder.path().display()
        );
    }
    let progress = Progress::new(config.steps, args.quiet);
    let watch = Watch {
        progress: &|steps| progress.add(steps),
        note: &|text| progress.note(text),
        keep_every: Duration::from_secs(args.checkpoint_seconds as u64),
        threads: None,
    };
    let finished = run::run(&config, &task, &device, &folder, &watch);
    progress.finish();
    let finished = finished?;
    let text = if json {
        String::new()
    } else if args.quiet {
        format!("{}\n", finished.team.folder.display())
    } else {
        page(&config, &task, &finished, resumed)
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
            "act": manifest.act,
            "arm": manifest.arm,
            "arm_index": manifest.arm_index,
            "return_joint": manifest.returns.joint,
            "return_product": manifest.returns.product,
            "return_greedy": manifest.returns.greedy,
            "return_exported": manifest.returns.exported,
            "return_exported_interval": manifest.returns.exported_interval,
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
    if let Some(symbols) = args.shared_seed {
        let table = toml::Table::from_iter([("symbols".to_owned(), symbols.into())]);
        layers.value("shared_seed", table)?;
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

fn page(config: &Config, task: &Task, finished: &Finished, resumed: bool) -> String {
    let Finished { team, time, .. } = finished;
    let manifest = &team.manifest;
    let seconds = time.as_secs_f64();
    let part = if resumed {
        ", what was left of them"
    } else {
        ""
    };
    let images = team.actors.images();
    let bytes: usize = images.iter().map(|image| image.bytes().len()).sum();
    format!(
        "{} by {}, seed {}: {} steps{part} in {seconds:.1} s\n\n{}{}\n{}\n  {} images, {} bytes: {}\n",
        manifest.task,
        manifest.method,
        manifest.seed,
        count(manifest.env_steps),
        arms(config, finished).render(),
        remarks(config, task, finished),
        results(config, task, finished).render(),
        images.len(),
        count(bytes as u64),
        team.folder.display(),
    )
}

/// What became of every arm.
fn arms(config: &Config, finished: &Finished) -> Table {
    let outcome = &finished.outcome;
    let mut table = Table::new([
        ("arm", Align::Right),
        ("", Align::Left),
        ("steps", Align::Right),
        ("joint", Align::Right),
        ("product", Align::Right),
        ("greedy", Align::Right),
        ("round 1", Align::Right),
        ("round 2", Align::Right),
        ("", Align::Left),
    ]);
    for (index, (name, arm)) in config.arm_names().iter().zip(&outcome.arms).enumerate() {
        let round = |round: usize| {
            let evaluation = outcome.selection.rounds.get(round)?[index];
            evaluation.map(|evaluation| evaluation.mean)
        };
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
            number(round(0)),
            number(round(1)),
            kept.to_owned(),
        ]);
    }
    table
}

/// How the numbers of that table came about, where that is not plain.
fn remarks(config: &Config, task: &Task, finished: &Finished) -> String {
    let mut text = String::new();
    let (curve, horizon) = (
        config.budget(&task.spec()).curve_episodes,
        task.spec().horizon,
    );
    match (task.game(), curve) {
        (Some(_), _) => {}
        (None, 0) if horizon == 1 => {
            text += "  joint, product, greedy: not played, as episodes of one step have no curve of their own\n";
        }
        (None, 0) => text += "  joint, product, greedy: the steps do not suffice to play them\n",
        (None, _) => {
            let episodes = episodes(curve as u64);
            text += &format!("  joint, product, greedy: means over {episodes}\n");
        }
    }
    let rounds = finished.outcome.selection.rounds.iter();
    let played: Vec<String> = rounds
        .filter_map(|round| round.iter().flatten().next())
        .map(|evaluation| episodes(evaluation.episodes))
        .collect();
    if !played.is_empty() {
        let played = played.join(", then ");
        let act = config.act;
        text += &format!("  rounds: what the images earn by {act} actions in {played}\n");
    }
    text
}

/// What the team is worth.
fn results(config: &Config, task: &Task, finished: &Finished) -> Table {
    let manifest = &finished.team.manifest;
    let returns = &manifest.returns;
    let spec = task.spec();
    let judging = episodes(judging_episodes(spec.horizon) as u64);
    let mut results = Table::new([
        ("return", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
    ]);
    let mut result = |name: &str, value: Option<f64>, note: String| {
        results.row([name.to_owned(), number(value), note]);
    };
    let exact = match returns.exported_interval {
        Some(half) => format!("± {half:.4} (95 % interval, {judging})"),
        None => "exact".to_owned(),
    };
    result(
        "exported images",
        Some(returns.exported),
        format!("{}, run by consort-runtime; {exact}", manifest.act),
    );
    let (product, joint) = match task.game() {
        Some(_) => (String::new(), String::new()),
        None => {
            let curve = config.budget(&spec).curve_episodes as u64;
            let joint = returns.joint.map(|_| format!("; {}", episodes(curve)));
            (format!("; {judging}"), joint.unwrap_or_default())
        }
    };
    result(
        "product",
        Some(returns.product),
        format!("every agent draws its action{product}"),
    );
    let kept = finished.outcome.selection.chosen;
    let records = &finished.outcome.arms[kept].records;
    let until = match handed_over(records) {
        Some(steps) => format!(
            "; handed over, and learns no more, after {} steps",
            count(steps)
        ),
        None => String::new(),
    };
    result(
        "joint policy",
        returns.joint,
        format!("exists only in training{joint}{until}"),
    );
    result(
        "optimum",
        manifest.optimum,
        super::of_whom(manifest).to_owned(),
    );
    results
}

/// After how many of its arm's steps a joint policy had acted for the last time, where it did not act to the end.
fn handed_over(records: &[Record]) -> Option<u64> {
    let acts = |record: &Record| record.metrics.beta < 1.0;
    let last = records.iter().rposition(acts)?;
    records.get(last + 1).map(|record| record.env_steps)
}

/// So many episodes, in words.
fn episodes(number: u64) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} episode{plural}", count(number))
}
