//! `consort flash`: an agent onto a real board, by cargo and probe-rs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use clap::ValueEnum;
use consort_trainer::error::Error;
use consort_trainer::flash::FlashError;
use consort_trainer::team::Team;
use serde_json::json;

use super::Page;

/// Build a real board's firmware around an agent, write it by probe-rs and start it
#[derive(clap::Args)]
pub(super) struct Args {
    /// A finished run's folder or a team's
    team: PathBuf,
    /// Which agent, from 0
    #[arg(long)]
    agent: usize,
    /// The board
    #[arg(long)]
    board: Board,
    /// Which debug probe, as `probe-rs list` names it [default: the only one]
    #[arg(long, value_name = "ID")]
    probe: Option<String>,
    /// Print the steps and take none
    #[arg(long)]
    dry_run: bool,
    /// The boards' firmware [default: firmware-examples/real here or above]
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
}

/// A folder of `firmware-examples/real`.
#[derive(Clone, Copy, ValueEnum)]
enum Board {
    /// Raspberry Pi Pico: RP2040
    Pico,
    /// nRF52840-DK
    Nrf52840,
    /// NUCLEO-F446RE: STM32F446
    Stm32f4,
    /// ESP32-C3 boards
    Esp32c3,
}

impl Board {
    /// Its folder, the compiler's target, and the chip's name to probe-rs.
    fn details(self) -> [&'static str; 3] {
        match self {
            Self::Pico => ["rpi-pico", "thumbv6m-none-eabi", "RP2040"],
            Self::Nrf52840 => ["nrf52840-dk", "thumbv7em-none-eabihf", "nRF52840_xxAA"],
            Self::Stm32f4 => ["nucleo-f446re", "thumbv7em-none-eabihf", "STM32F446RETx"],
            Self::Esp32c3 => ["esp32-c3", "riscv32imc-unknown-none-elf", "esp32c3"],
        }
    }
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let team = Team::load(&args.team)?;
    let agents = team.actors.images().len();
    if args.agent >= agents {
        return Err(FlashError::Agent {
            agent: args.agent,
            agents,
        }
        .into());
    }
    let source = source(args.source.as_deref())?;
    let mut steps = steps(args, &team, &source)?;
    let lines: Vec<String> = steps.iter().map(line).collect();
    if !args.dry_run {
        for step in &mut steps {
            take(step)?;
        }
    }
    let what = if args.dry_run { "would run" } else { "ran" };
    Ok(Page {
        text: format!("{what}\n  {}\n", lines.join("\n  ")),
        json: json!({
            "team_id": team.manifest.team,
            "agent": args.agent,
            "board": args.board.details()[0],
            "dry_run": args.dry_run,
            "steps": lines,
        }),
    })
}

/// The workspace of the real boards.
fn source(given: Option<&Path>) -> Result<PathBuf, FlashError> {
    let here = env::current_dir().unwrap_or_default();
    let places: Vec<PathBuf> = match given {
        Some(folder) => vec![folder.to_owned()],
        None => (here
            .ancestors()
            .map(|above| above.join("firmware-examples/real")))
        .collect(),
    };
    let found = places
        .iter()
        .find(|folder| folder.join("Cargo.toml").is_file());
    found.cloned().ok_or(FlashError::Source {
        path: places.into_iter().next().unwrap_or_default(),
    })
}

/// Build, write, start.
fn steps(args: &Args, team: &Team, source: &Path) -> Result<[Command; 3], FlashError> {
    let [folder, target, chip] = args.board.details();
    // The firmware is built from another folder.
    let team = fs::canonicalize(&team.folder).map_err(|error| FlashError::Step {
        step: team.folder.display().to_string(),
        message: error.to_string(),
    })?;
    let mut build = Command::new("cargo");
    build
        .current_dir(source.join(folder))
        .args(["build", "--release", "--target", target])
        .env("CONSORT_TEAM_DIR", team)
        .env("CONSORT_AGENT", args.agent.to_string());
    let elf = source
        .join("target")
        .join(target)
        .join("release")
        .join(format!("consort-{folder}"));
    let probe = |subcommand: &str| {
        let mut command = Command::new("probe-rs");
        command.args([subcommand, "--chip", chip]);
        if let Some(id) = &args.probe {
            command.args(["--probe", id]);
        }
        command
    };
    let mut download = probe("download");
    download.arg(elf);
    Ok([build, download, probe("reset")])
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!(
            "{}={}",
            name.to_string_lossy(),
            value?.to_string_lossy()
        ))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned());
    let line = variables.chain(words).collect::<Vec<_>>().join(" ");
    match command.get_current_dir() {
        Some(folder) => format!("(cd {} && {line})", folder.display()),
        None => line,
    }
}

fn take(step: &mut Command) -> Result<(), FlashError> {
    let program = step.get_program().to_string_lossy().into_owned();
    let status = step.status().map_err(|error| match error.kind() {
        ErrorKind::NotFound => FlashError::Missing { program },
        _ => FlashError::Step {
            step: line(step),
            message: error.to_string(),
        },
    })?;
    match status.success() {
        true => Ok(()),
        false => Err(FlashError::Step {
            step: line(step),
            message: format!("ended with {status}"),
        }),
    }
}
