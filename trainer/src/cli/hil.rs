//! `consort hil`: a team on devices of its own.

mod output;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use consort_trainer::error::Error;
use consort_trainer::hil::{
    Acted, Bench, BoardSpec, Divergence, Faults, HilError, Picture, Recording, Report, Terminal,
};
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{count, number};
use consort_trainer::team::Team;
use serde_json::json;

use super::{Page, whole_number};
use output::{Kind, Output};

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
    #[arg(long, default_value_t = 10, allow_negative_numbers = true, value_parser = whole_number::<1, { u32::MAX as i64 }>, conflicts_with = "replay")]
    episodes: i64,
    /// Seed of the episodes, the agents' dice and the faults
    #[arg(
        long,
        default_value_t = 0,
        allow_negative_numbers = true,
        conflicts_with = "replay"
    )]
    seed: u64,
    /// Count steps whose round trip takes longer than this
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number::<1, { u32::MAX as i64 }>, conflicts_with = "replay")]
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

/// What came of a run.
pub(super) struct Done {
    pub(super) page: Page,
    /// Whether every device did what it should.
    pub(super) equal: bool,
    /// What could not be written in the end. Said after the page, which is all that is left of the run.
    pub(super) late: Option<Error>,
}

pub(super) fn run(args: &Args) -> Result<Done, Error> {
    if let Some(path) = &args.replay {
        let recording = Recording::read(path).map_err(HilError::from)?;
        let report = recording.replay(&args.boards, args.firmware.as_deref())?;
        return Ok(Done {
            page: page(recording.task(), recording.seed(), true, &report),
            equal: report.is_equal(),
            late: None,
        });
    }
    let path = args.team.as_ref().expect("clap asks for it");
    let team = Team::load(path)?;
    let output = |path: &Option<PathBuf>, kind: Kind| {
        let output = path.as_ref().map(|path| Output::new(path, kind));
        output.transpose()
    };
    let record = output(&args.record, Kind::Recording)?;
    let svg = output(&args.svg, Kind::Picture)?;
    if record.is_some() && record == svg {
        return Err(Error::Hil(HilError::Output {
            path: args.svg.clone().unwrap_or_default(),
            message: "where both --record and --svg lead, expected a file for each".to_owned(),
        }));
    }
    let (report, picture) = play(args, &team)?;
    let recording = report.recording.as_ref().map(Recording::to_bytes);
    // Each, whatever becomes of the other.
    let failed = [(record, recording), (svg, picture)].map(|pair| match pair {
        (Some(output), Some(bytes)) => output.write(&bytes).err(),
        _ => None,
    });
    Ok(Done {
        page: page(&team.manifest.task, args.seed, false, &report),
        equal: report.is_equal(),
        late: failed.into_iter().flatten().next().map(Error::from),
    })
}

/// The report, and the picture if one is drawn.
fn play(args: &Args, team: &Team) -> Result<(Report, Option<Vec<u8>>), Error> {
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
    let drawn = (args.svg.is_some()).then(|| picture.svg().into_bytes());
    Ok((report, drawn))
}

/// The agents, a line each; nothing where none took a step that could be measured.
fn table(report: &Report) -> String {
    if report.compared() == 0 {
        return String::new();
    }
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
    let known = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    for (agent, own) in report.agents.iter().enumerate() {
        let (trip, device) = (own.round_trip_us, own.on_device);
        table.row([
            agent.to_string(),
            own.board.clone(),
            count(own.steps),
            known(trip.map(|trip| trip.median.to_string())),
            known(trip.map(|trip| trip.p99.to_string())),
            known(trip.map(|trip| trip.max.to_string())),
            known(device.map(|device| count(device.median))),
            known(device.map(|device| count(device.max))),
            own.unit.to_owned(),
            known(own.stack_bytes.map(|bytes| bytes.to_string())),
            own.deadline_misses.to_string(),
            own.repeated.to_string(),
            own.rejoined.to_string(),
        ]);
    }
    format!("{}\n", table.render())
}

/// What the run shows, in a line or a few.
fn verdict(report: &Report, replayed: bool) -> String {
    match (&report.divergence, &report.hung) {
        (Some(divergence), _) => differs(divergence, replayed),
        (None, Some(hung)) => format!("stopped: {hung}"),
        (None, None) if report.compared() == 0 => "no step was compared".to_owned(),
        (None, None) if replayed => "every action and every bit of state as recorded".to_owned(),
        (None, None) => format!(
            "every action and every bit of state as on the host; {} sent, each agent shown its own {} and nothing else",
            counted(report.frames, "frame"),
            counted(report.observations, "observation"),
        ),
    }
}

/// How many there are of something.
fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", count(number))
}

fn page(task: &str, seed: u64, replayed: bool, report: &Report) -> Page {
    let faults = match (report.faults_injected, report.deaths) {
        (0, 0) => String::new(),
        (injected, deaths) => format!(
            "faults: {} injected, {} recovered from, {} unnoticed{}\n",
            count(injected),
            count(report.faults_recovered),
            counted(report.wrong_unnoticed, "wrong action"),
            match deaths {
                0 => String::new(),
                deaths => format!("; {} killed", counted(deaths, "agent")),
            }
        ),
    };
    let returns = match report.return_mean {
        None => String::new(),
        own => format!(
            "return: {} on devices, {} on the host alone\n",
            number(own),
            number(report.return_host)
        ),
    };
    Page {
        text: format!(
            "{task}, {}, {}, seed {seed}\n\n{}{returns}{faults}{}\n",
            counted(report.episodes, "episode"),
            counted(report.steps, "step"),
            table(report),
            verdict(report, replayed),
        ),
        json: json!({
            "task": task,
            "episodes": report.episodes,
            "steps": report.steps,
            "seed": seed,
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
