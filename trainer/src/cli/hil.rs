//! `consort hil`: a team on devices of its own.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use consort_trainer::atomic;
use consort_trainer::error::Error;
use consort_trainer::hil::{
    Acted, Bench, BoardSpec, Divergence, Faults, HilError, Picture, Recording, Report, Terminal,
};
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{count, number};
use consort_trainer::team::Team;
use serde_json::json;

use super::{Page, whole_number};

/// Let a team act on devices, one an agent, and compare every step with the host
#[derive(clap::Args)]
pub(super) struct Args {
    /// A finished run's folder or a team's (not with --replay)
    #[arg(required_unless_present = "replay", conflicts_with = "replay")]
    team: Option<PathBuf>,
    /// An agent's board, in agent order (one stands for all): host, qemu:m4f, serial:PORT@BAUD, tcp:HOST:PORT
    #[arg(long = "board", default_value = "host", num_args = 1..)]
    boards: Vec<BoardSpec>,
    /// Episodes to play
    #[arg(long, default_value_t = 10, value_parser = whole_number::<1, { u32::MAX as i64 }>)]
    episodes: i64,
    /// Seed of the episodes, the agents' dice and the faults
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Count steps whose round trip takes longer than this
    #[arg(long, value_name = "N", value_parser = whole_number::<1, { u32::MAX as i64 }>)]
    deadline_us: Option<i64>,
    /// What goes wrong: drop, delay, corrupt, duplicate, reset, nan, desync (each =PROBABILITY), kill=AGENT@STEP
    #[arg(long, value_name = "NAME=VALUE,…")]
    fault: Option<Faults>,
    /// Keep everything that devices are shown and do in one file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Show devices what a recorded run's were shown, and compare what they do
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "fault"])]
    replay: Option<PathBuf>,
    /// Where the emulated boards' firmware lies [default: $CONSORT_FIRMWARE, or target/firmware here or above]
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
    /// Draw every step in the terminal
    #[arg(long, conflicts_with = "replay")]
    show: bool,
    /// Draw the first steps as an animated SVG
    #[arg(long, value_name = "FILE", conflicts_with_all = ["replay", "show"])]
    svg: Option<PathBuf>,
}

/// Steps in a picture.
const PICTURE: usize = 16;

pub(super) fn run(args: &Args) -> Result<(Page, bool), Error> {
    let (report, task) = match &args.replay {
        Some(path) => {
            let recording = Recording::read(path).map_err(HilError::from)?;
            let report = recording.replay(&args.boards, args.firmware.as_deref())?;
            (report, recording.task().to_owned())
        }
        None => {
            let path = args.team.as_ref().expect("clap asks for it");
            let team = Team::load(path)?;
            (play(args, &team)?, team.manifest.task.clone())
        }
    };
    if let (Some(path), Some(recording)) = (&args.record, &report.recording) {
        recording.write(path)?;
    }
    let equal = report.is_equal();
    Ok((page(args, &task, &report), equal))
}

fn play(args: &Args, team: &Team) -> Result<Report, Error> {
    let boards: Vec<String> = args.boards.iter().map(ToString::to_string).collect();
    let agents = team.actors.images().len();
    let names = match boards.as_slice() {
        [one] => vec![one.clone(); agents],
        many => many.to_vec(),
    };
    // Slow enough to be seen.
    let mut terminal = Terminal::new(io::stderr(), names.clone(), Duration::from_millis(120));
    let mut picture = Picture::new(team.manifest.task.clone(), names, PICTURE);
    let mut bench = Bench::new(team)
        .boards(&boards)?
        .episodes(args.episodes as u64)
        .seed(args.seed)
        .faults(args.fault.clone().unwrap_or_default());
    if let Some(deadline) = args.deadline_us {
        bench = bench.deadline_us(deadline as u64);
    }
    if let Some(folder) = &args.firmware {
        bench = bench.firmware(folder);
    }
    if args.record.is_some() {
        bench = bench.record();
    }
    if args.show {
        bench = bench.view(&mut terminal);
    } else if args.svg.is_some() {
        bench = bench.view(&mut picture);
    }
    let report = bench.run()?;
    if let Some(path) = &args.svg {
        atomic::write(path, picture.svg().as_bytes())?;
    }
    Ok(report)
}

fn page(args: &Args, task: &str, report: &Report) -> Page {
    let mut table = Table::new([
        ("agent", Align::Left),
        ("board", Align::Left),
        ("steps", Align::Right),
        ("round trip µs: median", Align::Right),
        ("p99", Align::Right),
        ("max", Align::Right),
        ("on device: median", Align::Right),
        ("max", Align::Right),
        ("", Align::Left),
        ("stack", Align::Right),
        ("late", Align::Right),
        ("again", Align::Right),
        ("rejoined", Align::Right),
    ]);
    for (agent, own) in report.agents.iter().enumerate() {
        table.row([
            agent.to_string(),
            own.board.clone(),
            count(own.steps),
            own.round_trip_us.median.to_string(),
            own.round_trip_us.p99.to_string(),
            own.round_trip_us.max.to_string(),
            count(own.on_device.median),
            count(own.on_device.max),
            own.unit.to_owned(),
            own.stack_bytes
                .map_or("–".to_owned(), |bytes| bytes.to_string()),
            own.deadline_misses.to_string(),
            own.repeated.to_string(),
            own.rejoined.to_string(),
        ]);
    }
    let verdict = match (&report.divergence, &report.hung) {
        (Some(divergence), _) => differs(divergence, args.replay.is_some()),
        (None, Some(hung)) => format!("stopped: {hung}"),
        (None, None) if args.replay.is_some() => {
            "every action and every bit of state as recorded".to_owned()
        }
        (None, None) => format!(
            "every action and every bit of state as on the host; {} frames sent, each agent shown its own {} observations and nothing else",
            count(report.frames),
            count(report.observations),
        ),
    };
    let faults = match (report.faults_injected, report.deaths) {
        (0, 0) => String::new(),
        (injected, deaths) => format!(
            "faults: {} injected, {} recovered from, {} wrong actions unnoticed{}\n",
            count(injected),
            count(report.faults_recovered),
            report.wrong_unnoticed,
            match deaths {
                0 => String::new(),
                1 => "; 1 agent killed".to_owned(),
                deaths => format!("; {deaths} agents killed"),
            }
        ),
    };
    let returns = match args.replay {
        Some(_) => String::new(),
        None => format!(
            "return: {} on devices, {} on the host alone\n",
            number(Some(report.return_mean)),
            number(Some(report.return_host))
        ),
    };
    Page {
        text: format!(
            "{task}, {} episodes, {} steps, seed {}\n\n{}\n{returns}{faults}{verdict}\n",
            count(report.episodes),
            count(report.steps),
            args.seed,
            table.render()
        ),
        json: json!({
            "task": task,
            "episodes": report.episodes,
            "steps": report.steps,
            "seed": args.seed,
            "divergences": report.divergences,
            "divergence": report.divergence.as_ref().map(|found| json!({
                "agent": found.agent,
                "episode": found.episode,
                "step": found.step,
                "device_state": words(&found.device_state),
                "host_state": words(&found.host_state),
            })),
            "hung": report.hung,
            "faults_injected": report.faults_injected,
            "faults_recovered": report.faults_recovered,
            "deaths": report.deaths,
            "wrong_unnoticed": report.wrong_unnoticed,
            "return_mean": report.return_mean,
            "return_host": report.return_host,
            "frames": report.frames,
            "observations": report.observations,
            "agents": report.agents,
        }),
    }
}

/// A state's bits, value by value: as numbers JSON has no NaN, nor all of a packed word.
fn words(state: &[f32]) -> Vec<String> {
    let word = |value: &f32| format!("{:08x}", value.to_bits());
    state.iter().map(word).collect()
}

/// Both states, side by side.
fn differs(found: &Divergence, replayed: bool) -> String {
    let other = if replayed { "recorded" } else { "host" };
    let action = |acted: &Acted| match acted {
        Acted::Number(number) => number.to_string(),
        Acted::Numbers(numbers) => format!("{numbers:?}"),
        Acted::Vector(vector) => format!("{vector:?}"),
    };
    let side = |name: &str, outcome: &consort_trainer::hil::Outcome, state: &[f32]| {
        let fault = outcome
            .fault
            .map_or(String::new(), |fault| format!(", fault {fault:?}"));
        format!(
            "  {name}: action {}{fault}, hash {:016x}, state [{}]\n",
            action(&outcome.action),
            outcome.hash,
            words(state).join(" ")
        )
    };
    format!(
        "DIFFERENT at agent {}, episode {}, step {}\n{}{}",
        found.agent,
        found.episode,
        found.step,
        side("device", &found.device, &found.device_state),
        side(other, &found.host, &found.host_state)
    )
}
