//! `consort flash`: an agent onto a real board, by cargo and probe-rs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use clap::ValueEnum;
use consort_trainer::atomic;
use consort_trainer::error::Error;
use consort_trainer::flash::{Board, FlashError, slot};
use consort_trainer::team::{AlignedImage, Team};
use consort_wire::Unfit;
use serde_json::json;

use super::{Page, quoted};

/// Put an agent onto a real board, by cargo and probe-rs: firmware that `consort hil` talks to, and the image in its slot
#[derive(clap::Args)]
pub(super) struct Args {
    /// A finished run's folder or a team's
    team: PathBuf,
    /// Which agent, from 0
    #[arg(long)]
    agent: usize,
    /// The board
    #[arg(long)]
    board: Name,
    /// What it does: wait for `consort hil` at its serial line, or replay the agent's golden sequence and tell the debugger
    #[arg(long, default_value = "hil")]
    app: App,
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
enum Name {
    /// Raspberry Pi Pico: RP2040
    Pico,
    /// nRF52840-DK
    Nrf52840,
    /// NUCLEO-F446RE: STM32F446
    Stm32f4,
    /// ESP32-C3 boards
    Esp32c3,
}

impl Name {
    fn folder(self) -> &'static str {
        match self {
            Self::Pico => "rpi-pico",
            Self::Nrf52840 => "nrf52840-dk",
            Self::Stm32f4 => "nucleo-f446re",
            Self::Esp32c3 => "esp32-c3",
        }
    }
}

/// A firmware of a real board.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum App {
    /// Plays episodes with `consort hil`
    Hil,
    /// Replays the golden sequence
    Replay,
}

/// A part of a slot: a file that is written once the firmware is built.
struct Piece {
    path: PathBuf,
    bytes: Vec<u8>,
    address: u32,
    /// What would write it in a shell.
    by: String,
}

/// One of the things that are done, in order.
enum Step<'p> {
    Run(Command),
    /// Beside the firmware, in a folder that is there once it is built.
    Write(&'p Piece),
}

impl Step<'_> {
    /// The step as a person would type it.
    fn line(&self) -> String {
        match self {
            Self::Run(command) => line(command),
            Self::Write(piece) => piece.by.clone(),
        }
    }

    fn take(&mut self) -> Result<(), Error> {
        match self {
            Self::Run(command) => take(command)?,
            Self::Write(piece) => atomic::write(&piece.path, &piece.bytes)?,
        }
        Ok(())
    }
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let team = Team::load(&args.team)?;
    let images = team.actors.images();
    let (agent, agents) = (args.agent, images.len());
    let image = images
        .get(agent)
        .ok_or(FlashError::Agent { agent, agents })?;
    let source = source(args.source.as_deref(), args.board.folder())?;
    let board = Board::read(&source.join(args.board.folder()))?;
    // Whole, as the firmware is built in another folder, and a step may be taken in any.
    let folder = fs::canonicalize(&team.folder).map_err(|error| FlashError::Step {
        step: team.folder.display().to_string(),
        message: error.to_string(),
    })?;
    let pieces = match args.app {
        App::Hil => pieces(args, &board, image, &folder, &source)?,
        App::Replay => {
            let path = folder.join(format!("agent-{agent}.golden.json"));
            match path.is_file() {
                true => Vec::new(),
                false => return Err(Error::Flash(FlashError::Golden { path })),
            }
        }
    };
    let mut steps = steps(args, &folder, &board, &pieces, &source);
    let lines: Vec<String> = steps.iter().map(Step::line).collect();
    if !args.dry_run {
        // A build takes minutes: before it, whether there is anything to write with.
        take(
            Command::new("probe-rs")
                .arg("--version")
                .stdout(Stdio::null()),
        )?;
        steps.iter_mut().try_for_each(Step::take)?;
    }
    let what = if args.dry_run { "would run" } else { "ran" };
    let next = match args.app {
        App::Hil => format!(
            "then, at {} and {} baud: consort hil {} --board serial:PORT@{} …\n",
            board.port,
            board.baud,
            args.team.display(),
            board.baud
        ),
        App::Replay => String::new(),
    };
    Ok(Page {
        text: format!("{what}\n  {}\n{next}", lines.join("\n  ")),
        json: json!({
            "team_id": team.manifest.team,
            "agent": args.agent,
            "board": (args.board.to_possible_value()).map(|name| name.get_name().to_owned()),
            "folder": args.board.folder(),
            "dry_run": args.dry_run,
            "image": pieces.first().map(|piece| piece.address),
            "records": pieces.get(1).map(|piece| piece.address),
            "steps": lines,
        }),
    })
}

/// The image and its records, as they are to lie in the first slot.
fn pieces(
    args: &Args,
    board: &Board,
    image: &AlignedImage,
    team: &Path,
    source: &Path,
) -> Result<Vec<Piece>, FlashError> {
    let (length, room) = (image.bytes().len(), board.flash.room);
    if length > room {
        return Err(FlashError::Room {
            length,
            board: args.board.folder().to_owned(),
            room,
        });
    }
    let unfit = |error: Unfit| FlashError::Unfit {
        agent: args.agent,
        board: args.board.folder().to_owned(),
        error,
    };
    board.limits().check(&image.view()).map_err(unfit)?;
    let [bytes, records] = slot(image.bytes()).map_err(|message| FlashError::Step {
        step: format!("the slot of agent {}", args.agent),
        message,
    })?;
    let path = |what: &str| {
        let (folder, agent) = (args.board.folder(), args.agent);
        target(source).join(format!("{folder}-agent-{agent}.{what}"))
    };
    let word = |path: &Path| quoted(&path.to_string_lossy());
    let (own, (image, list)) = (
        team.join(format!("agent-{}.image", args.agent)),
        (path("image"), path("records")),
    );
    Ok(vec![
        Piece {
            by: format!("cp {} {}", word(&own), word(&image)),
            path: image,
            bytes,
            address: board.flash.images[0],
        },
        Piece {
            by: format!("printf %b '{}' > {}", escaped(&records), word(&list)),
            path: list,
            bytes: records,
            address: board.flash.records[0],
        },
    ])
}

/// Bytes as `printf %b` takes them, in quotes.
fn escaped(bytes: &[u8]) -> String {
    let letter = |&byte: &u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("\\0{byte:03o}"),
    };
    bytes.iter().map(letter).collect()
}

/// The workspace of the real boards, with that of this folder.
fn source(given: Option<&Path>, board: &str) -> Result<PathBuf, FlashError> {
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
        .find(|folder| folder.join(board).join("board.toml").is_file());
    // Whole, as the build runs in another folder.
    let whole = found.and_then(|folder| fs::canonicalize(folder).ok());
    whole.ok_or(FlashError::Source {
        path: places.into_iter().next().unwrap_or_default(),
        board: board.to_owned(),
    })
}

/// Where all of the firmware is built: the emulated boards' too.
fn target(source: &Path) -> PathBuf {
    source.parent().unwrap_or(source).join("target")
}

/// Build, write, start.
fn steps<'p>(
    args: &Args,
    team: &Path,
    board: &Board,
    pieces: &'p [Piece],
    source: &Path,
) -> Vec<Step<'p>> {
    let folder = args.board.folder();
    let binary = match args.app {
        App::Hil => format!("consort-{folder}-hil"),
        App::Replay => format!("consort-{folder}"),
    };
    let mut build = Command::new("cargo");
    build.current_dir(source.join(folder)).args([
        "build",
        "--release",
        "--target",
        &board.target,
        "--bin",
        &binary,
    ]);
    // Told, so that no configuration or variable puts it elsewhere.
    build.arg("--target-dir").arg(target(source));
    if args.app == App::Replay {
        build
            .env("CONSORT_TEAM_DIR", team)
            .env("CONSORT_AGENT", args.agent.to_string());
    }
    let probe = |subcommand: &str| {
        let mut command = Command::new("probe-rs");
        command.args([subcommand, "--chip", &board.chip]);
        if let Some(id) = &args.probe {
            command.args(["--probe", id]);
        }
        command
    };
    let mut download = probe("download");
    if args.app == App::Hil {
        // What earlier images have left in either slot goes first: a newer one in the other would be booted in the place of this.
        download.arg("--chip-erase");
    }
    let folder = target(source).join(&board.target).join("release");
    download.arg(folder.join(binary));
    let mut steps = vec![Step::Run(build)];
    steps.extend(pieces.iter().map(Step::Write));
    steps.push(Step::Run(download));
    for piece in pieces {
        let mut download = probe("download");
        let address = format!("{:#010x}", piece.address);
        download.args(["--binary-format", "bin", "--base-address", &address]);
        download.arg(&piece.path);
        steps.push(Step::Run(download));
    }
    steps.push(Step::Run(probe("reset")));
    steps
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!(
            "{}={}",
            name.to_string_lossy(),
            quoted(&value?.to_string_lossy())
        ))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = variables.chain(words.map(|word| quoted(&word.to_string_lossy())));
    let line = line.collect::<Vec<_>>().join(" ");
    match command.get_current_dir() {
        Some(folder) => format!("(cd {} && {line})", quoted(&folder.to_string_lossy())),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the bytes are: ends of strings, quotes, digits behind an escape, signs that formats begin with.
    #[cfg(unix)]
    #[test]
    fn a_shell_writes_the_bytes_that_are_escaped() {
        let bytes: Vec<u8> = (0..=255).chain(*b"\x007'%d\\n").collect();
        let script = format!("printf %b '{}'", escaped(&bytes));
        let printed = Command::new("sh").args(["-c", &script]).output();
        let printed = printed.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(printed.stdout, bytes);
    }

    #[test]
    fn what_a_shell_would_cut_is_quoted() {
        let mut command = Command::new("probe-rs");
        command
            .args(["download", "--chip", "RP2040"])
            .arg("/my boards/it's/agent-0.image")
            .env("CONSORT_TEAM_DIR", "/a team")
            .current_dir("/my boards");
        assert_eq!(
            line(&command),
            "(cd '/my boards' && CONSORT_TEAM_DIR='/a team' probe-rs download --chip RP2040 \
             '/my boards/it'\\''s/agent-0.image')"
        );
    }
}
