//! `consort inspect`: what an image is and costs.

use std::path::{Path, PathBuf};

use consort_runtime::{Head, Image, LayerInfo, LayerKind};
use consort_trainer::config::SymbolPer;
use consort_trainer::error::Error;
use consort_trainer::export::activation_word;
use consort_trainer::keys::{read_public, verify};
use consort_trainer::report::count;
use consort_trainer::report::table::{Align, Table};
use consort_trainer::team::{Team, TeamError, read_image, seeding_words};
use serde_json::{Value, json};

use super::{Page, cost};

/// Show an image's header, layers and costs, or those of every image of a team
#[derive(clap::Args)]
pub(super) struct Args {
    /// An image, a team's folder or a finished run's
    path: PathBuf,
    /// Refuse images that were not signed with this key's secret: a file of `consort keygen`
    #[arg(long, value_name = "FILE.pub")]
    public_key: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let key = args.public_key.as_deref().map(read_public).transpose()?;
    let check = |path: &Path, image: &Image<'_>| match key {
        Some(key) => verify(path, image, key),
        None => Ok(()),
    };
    let checked = key.is_some();
    if args.path.is_file() {
        let image = read_image(&args.path)?;
        let image = image.view();
        check(&args.path, &image)?;
        return Ok(Page {
            text: text(&args.path.display().to_string(), &image, checked),
            json: object(&image, checked),
        });
    }
    let team = Team::load(&args.path).map_err(|error| match error {
        TeamError::Missing { path } => Error::from(TeamError::MissingImage { path }),
        error => error.into(),
    })?;
    let manifest = &team.manifest;
    let mut pages = vec![format!(
        "{} by {}, seed {}: team {}\n",
        manifest.task, manifest.method, manifest.seed, manifest.team
    )];
    let mut agents = Vec::new();
    for (entry, image) in manifest.agents.iter().zip(team.actors.images()) {
        check(&team.folder.join(&entry.image), &image.view())?;
        pages.push(text(&entry.image, &image.view(), checked));
        agents.push(object(&image.view(), checked));
    }
    Ok(Page {
        text: pages.join("\n"),
        json: json!({
            "task": manifest.task,
            "team": team.folder,
            "team_id": manifest.team,
            "agents": agents,
        }),
    })
}

fn text(name: &str, image: &Image<'_>, checked: bool) -> String {
    let mut header = Table::new([(name, Align::Left), ("", Align::Left)]);
    let mut line = |what: &str, value: String| header.row([what.to_owned(), value]);
    line("team", image.team().to_string());
    line("agent", format!("{} of {}", image.agent(), image.agents()));
    line("revision", image.revision().to_string());
    line(
        "period",
        match image.period_us() {
            0 => "none: the task is not periodic".to_owned(),
            period => format!("{} µs", count(u64::from(period))),
        },
    );
    line("observation", format!("{} × f32", image.observation_len()));
    line("precision", precision(image).to_owned());
    if image.seeding().is_some() {
        line(
            "shared seed",
            format!("{}: the observation's end", seeding_words(image.seeding())),
        );
    }
    line(
        "head",
        match image.head() {
            Head::Categorical { actions } => format!("categorical, {actions} actions"),
            Head::Deterministic { outputs } => format!("deterministic, a vector of {outputs}"),
            Head::Gaussian { log_std } => format!("gaussian, a vector of {}", log_std.len()),
            Head::MultiDiscrete { sizes } => {
                let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
                format!("multi-discrete, groups of {} actions", sizes.join(" and "))
            }
        },
    );
    line(
        "flash",
        format!("{} bytes", count(image.as_bytes().len() as u64)),
    );
    line(
        "memory",
        format!("{} bytes", count(bytes(image.memory_len()))),
    );
    if image.state_len() > 0 {
        let kept = count(bytes(image.state_len()));
        line(
            "state",
            format!("{kept} bytes of it, kept from step to step"),
        );
    }
    line("multiply-adds", count(image.multiply_adds()));
    line("CRC-32", format!("{:08x}", image.crc()));
    let signature = match (image.signature(), checked) {
        (Some(_), true) => "64 bytes, the key's",
        (Some(_), false) => "64 bytes, not checked",
        (None, _) => "none",
    };
    line("signature", signature.to_owned());

    let mut layers = Table::new([
        ("layer", Align::Left),
        ("inputs", Align::Right),
        ("outputs", Align::Right),
        ("activation", Align::Left),
        ("bytes", Align::Right),
    ]);
    for (index, layer) in image.layers().enumerate() {
        layers.row([
            format!("{index} {}", kind(&layer)),
            layer.inputs.to_string(),
            layer.outputs.to_string(),
            activation(&layer).unwrap_or("").to_owned(),
            count(layer.weight_bytes as u64),
        ]);
    }
    let mut costs = Table::new([
        ("a step, expected", Align::Left),
        ("instructions", Align::Right),
        ("cycles", Align::Right),
        ("clock, at least", Align::Right),
    ]);
    for cost in cost::of(image) {
        let clock = cost.least_clock_hz(image.period_us());
        costs.row([
            cost.core.to_owned(),
            count(cost.instructions),
            cost.cycles.map_or("not modelled".to_owned(), count),
            clock.map_or("–".to_owned(), megahertz),
        ]);
    }
    let (header, layers) = (header.render(), layers.render());
    format!("{header}\n{layers}\n{}", costs.render())
}

fn object(image: &Image<'_>, checked: bool) -> Value {
    let layer = |layer: LayerInfo| {
        json!({
            "kind": kind(&layer),
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "activation": activation(&layer),
            "bytes": layer.weight_bytes,
        })
    };
    json!({
        "team_id": image.team().to_string(),
        "agent": image.agent(),
        "agents": image.agents(),
        "revision": image.revision(),
        "period_us": image.period_us(),
        "observation_len": image.observation_len(),
        "shared_seed": image.seeding().map(|seeding| {
            json!({ "symbols": seeding.symbols, "per": SymbolPer::from(seeding.per) })
        }),
        "output_len": image.output_len(),
        "head": match image.head() {
            Head::Categorical { actions } => json!({ "kind": "categorical", "actions": actions }),
            Head::Deterministic { outputs } => {
                json!({ "kind": "deterministic", "dimensions": outputs })
            }
            Head::Gaussian { log_std } => {
                json!({ "kind": "gaussian", "dimensions": log_std.len(), "log_std": log_std })
            }
            Head::MultiDiscrete { sizes } => json!({ "kind": "multi-discrete", "groups": sizes }),
        },
        "flash_bytes": image.as_bytes().len(),
        "ram_bytes": bytes(image.memory_len()),
        "state_bytes": bytes(image.state_len()),
        "multiply_adds": image.multiply_adds(),
        "costs": cost::json(image),
        "precision": precision(image),
        "crc": format!("{:08x}", image.crc()),
        "signed": image.signature().is_some(),
        "verified": checked,
        "layers": image.layers().map(layer).collect::<Vec<_>>(),
    })
}

/// A frequency, rounded up, so that the clock shown is fast enough.
fn megahertz(hertz: u64) -> String {
    let tenths = hertz.div_ceil(100_000);
    format!("{}.{} MHz", tenths / 10, tenths % 10)
}

/// What its numbers are.
fn precision(image: &Image<'_>) -> &'static str {
    if image.is_integer() { "i8" } else { "f32" }
}

/// Bytes of so many values.
fn bytes(values: usize) -> u64 {
    (values * size_of::<f32>()) as u64
}

fn kind(layer: &LayerInfo) -> &'static str {
    match layer.kind {
        LayerKind::Dense(_) => "dense",
        LayerKind::Gru => "gru",
        LayerKind::Quantise => "quantise",
        LayerKind::IntegerDense(_) => "integer dense",
        LayerKind::IntegerGru => "integer gru",
    }
}

/// What the outputs go through; a recurrent layer has its own.
fn activation(layer: &LayerInfo) -> Option<&'static str> {
    match layer.kind {
        LayerKind::Dense(activation) | LayerKind::IntegerDense(activation) => {
            Some(activation_word(activation))
        }
        LayerKind::Gru | LayerKind::IntegerGru | LayerKind::Quantise => None,
    }
}
