//! Teams on mixed emulated fleets, by `consort hil`: every team of `models/`, every fault, and a soak.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use consort_runtime::Image;
use serde_json::{Value, json};

use super::train::machine;
use crate::board::{self, Board};
use crate::report::Report;
use crate::toolchain::Toolchain;
use crate::{firmware, process, root};

/// Boards of a fleet, dealt to agents in turn. The smallest only takes small images.
const BOARDS: [&str; 6] = [
    "qemu:m4f",
    "qemu:m3",
    "qemu:riscv32",
    "qemu:m33",
    SMALL,
    "host",
];
const SMALL: &str = "qemu:m0";

/// Bytes of an image that the smallest board has room for, and values of memory.
const SMALL_IMAGE: usize = 1792;
const SMALL_MEMORY: usize = 1024;

const EPISODES: &str = "100";

const FAULTS: [&str; 9] = [
    "drop=0.05",
    "delay=0.05",
    "corrupt=0.05",
    "duplicate=0.05",
    "reset=0.02",
    "nan=0.05",
    "desync=0.05",
    "kill=1@50",
    "drop=0.02,delay=0.02,corrupt=0.02,duplicate=0.02,reset=0.01,nan=0.02,desync=0.02",
];

/// The team of the soak, and its boards: it remembers, four steps an episode.
const SOAK: (&str, [&str; 2]) = ("dec-tiger-h4", ["qemu:m4f", "qemu:m33"]);
const SOAK_EPISODES: &str = "25000";

/// The part that fits a test: every team on its first fleet, for some episodes, with faults of every kind.
pub(crate) fn check(report: &mut Report, toolchain: &Toolchain, models: &Path) -> Result<()> {
    let program = &prepare(report, toolchain, &board::named(&[]))?;
    for team in teams(models)? {
        let boards = dealt(&team)?.swap_remove(0);
        step(report, program, &team, &boards, &["--episodes", "5"])?;
        let everything = FAULTS[FAULTS.len() - 1];
        recorded(
            report,
            program,
            &team,
            &boards,
            &["--episodes", "5", "--fault", everything],
        )?;
    }
    Ok(())
}

/// Builds the firmware of `boards` and `consort`; where the latter lies.
pub(super) fn prepare(
    report: &mut Report,
    toolchain: &Toolchain,
    boards: &[&Board],
) -> Result<PathBuf> {
    firmware::build(report, toolchain, boards)?;
    let mut program = PathBuf::new();
    report.step("consort", || {
        program = process::consort()?;
        Ok("built")
    })?;
    Ok(program)
}

/// The folders of the teams in `models`, by name.
fn teams(models: &Path) -> Result<Vec<PathBuf>> {
    let mut teams = Vec::new();
    for entry in fs::read_dir(models).with_context(|| models.display().to_string())? {
        teams.push(entry?.path());
    }
    teams.retain(|path| path.join("team.toml").is_file());
    teams.sort();
    Ok(teams)
}

/// Runs everything, writes docs/results/hil.md; the figures.
pub(super) fn run(toolchain: &Toolchain, models: &Path, report: &mut Report) -> Result<Value> {
    let program = &prepare(report, toolchain, &board::named(&[]))?;
    let teams = teams(models)?;
    let (mut fleets, mut faults, mut replays) = (Vec::new(), Vec::new(), Vec::new());
    for team in &teams {
        for boards in dealt(team)? {
            fleets.push(step(
                report,
                program,
                team,
                &boards,
                &["--episodes", EPISODES],
            )?);
        }
        let boards = dealt(team)?.swap_remove(0);
        let (everything, single) = FAULTS.split_last().expect("there are some");
        for fault in single {
            let arguments = ["--episodes", EPISODES, "--fault", fault];
            faults.push(step(report, program, team, &boards, &arguments)?);
        }
        let arguments = ["--episodes", EPISODES, "--fault", everything];
        let (run, replay) = recorded(report, program, team, &boards, &arguments)?;
        faults.push(run);
        replays.push(replay);
    }
    let soak = SOAK.1.map(str::to_owned);
    let soak = step(
        report,
        program,
        &models.join(SOAK.0),
        &soak,
        &["--episodes", SOAK_EPISODES],
    )?;
    let commit = machine::commit()?;
    let path = root().join("docs/results/hil.md");
    fs::write(&path, page(&commit, &fleets, &faults, &replays, &soak))
        .with_context(|| path.display().to_string())?;
    let figures = |runs: &[Run]| {
        runs.iter()
            .map(|run| run.figures.clone())
            .collect::<Vec<_>>()
    };
    Ok(json!({
        "bench": "hil",
        "commit": commit,
        "fleets": figures(&fleets),
        "faults": figures(&faults),
        "replays": figures(&replays),
        "soak": soak.figures,
    }))
}

/// A run that is recorded, and the recording on other boards: those of the fleet, each agent on its neighbour's, and the host.
fn recorded(
    report: &mut Report,
    program: &Path,
    team: &Path,
    boards: &[String],
    arguments: &[&str],
) -> Result<(Run, Run)> {
    let file = firmware::folder().join("recording.hil");
    let path = file.to_string_lossy();
    let run = step(
        report,
        program,
        team,
        boards,
        &[arguments, &["--record", &path]].concat(),
    )?;
    let mut others = boards.to_vec();
    others.rotate_left(1);
    others[0] = "host".to_owned();
    let replay = step(report, program, team, &others, &["--replay", &path])?;
    ensure!(
        replay.number("steps") == run.number("steps"),
        "{}: {} steps were recorded, {} replayed",
        run.team,
        run.number("steps"),
        replay.number("steps")
    );
    Ok((run, replay))
}

/// One `consort hil`.
struct Run {
    team: String,
    boards: String,
    fault: String,
    seconds: f64,
    figures: Value,
}

impl Run {
    fn number(&self, key: &str) -> u64 {
        self.figures[key].as_u64().unwrap_or(0)
    }

    /// What the page claims of every run.
    fn check(&self, replay: bool) -> Result<()> {
        let holds = |claim: bool, what: &str| {
            ensure!(
                claim,
                "{} `{}`: {what}: {}",
                self.team,
                self.fault,
                self.figures
            );
            Ok(())
        };
        let of = |key| self.number(key);
        holds(self.figures["hung"].is_null(), "hung")?;
        holds(of("divergences") == 0, "a difference")?;
        holds(of("wrong_unnoticed") == 0, "a wrong action unnoticed")?;
        holds(
            of("faults_injected") == of("faults_recovered"),
            "a fault that was not recovered from",
        )?;
        holds(
            of("deaths") == u64::from(self.fault.contains("kill=")),
            "a death too many or too few",
        )?;
        // Only who is blind or dead acts otherwise than with nothing wrong.
        let costs = ["nan=", "kill="]
            .iter()
            .any(|fault| self.fault.contains(fault));
        holds(
            replay || costs || self.figures["return_mean"] == self.figures["return_host"],
            "not the host's return",
        )
    }

    /// Of any agent, the most.
    fn most(&self, of: impl Fn(&Value) -> Option<u64>) -> u64 {
        let agents = self.figures["agents"].as_array();
        agents
            .into_iter()
            .flatten()
            .filter_map(of)
            .max()
            .unwrap_or(0)
    }
}

/// Fleets for a team: together they have every board that its images fit.
fn dealt(team: &Path) -> Result<Vec<Vec<String>>> {
    let (mut agents, mut small) = (0, true);
    loop {
        let path = team.join(format!("agent-{agents}.image"));
        let Ok(bytes) = fs::read(&path) else { break };
        let mut words: Vec<u32> = vec![0; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
        let image = Image::new_checked(&bytemuck::cast_slice(&words)[..bytes.len()])
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        small &= bytes.len() <= SMALL_IMAGE && image.memory_len() <= SMALL_MEMORY;
        agents += 1;
    }
    ensure!(agents > 0, "{}: no image", team.display());
    let boards: Vec<&str> = BOARDS
        .into_iter()
        .filter(|&board| small || board != SMALL)
        .collect();
    let fleets = boards.len().div_ceil(agents);
    let fleet = |first: usize| (0..agents).map(move |agent| first * agents + agent);
    Ok((0..fleets)
        .map(|first| {
            fleet(first)
                .map(|at| boards[at % boards.len()].to_owned())
                .collect()
        })
        .collect())
}

fn step(
    report: &mut Report,
    program: &Path,
    team: &Path,
    boards: &[String],
    arguments: &[&str],
) -> Result<Run> {
    let name = team
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let fault = arguments
        .iter()
        .skip_while(|&&word| word != "--fault")
        .nth(1);
    let mut run = Run {
        team: name.clone(),
        boards: boards.join(" "),
        fault: fault.map_or_else(String::new, |&fault| fault.to_owned()),
        seconds: 0.0,
        figures: Value::Null,
    };
    let what = if arguments.contains(&"--replay") {
        "replayed"
    } else {
        ""
    };
    report.step(
        format!("{name} {what} on {} {}", run.boards, run.fault),
        || {
            let mut command = Command::new(program);
            command.arg("hil");
            if !arguments.contains(&"--replay") {
                command.arg(team);
            }
            command
                .arg("--json")
                .args(arguments)
                .arg("--firmware")
                .arg(firmware::folder());
            boards.iter().for_each(|board| {
                command.args(["--board", board]);
            });
            let start = Instant::now();
            let output = command.stderr(Stdio::inherit()).output()?;
            run.seconds = start.elapsed().as_secs_f64();
            let text = String::from_utf8_lossy(&output.stdout);
            run.figures = serde_json::from_str(&text).with_context(|| text.into_owned())?;
            ensure!(output.status.success(), "{}", run.figures);
            run.check(arguments.contains(&"--replay"))?;
            Ok(format!(
                "{} steps, no difference; {} faults, {} recovered",
                run.number("steps"),
                run.number("faults_injected"),
                run.number("faults_recovered")
            ))
        },
    )?;
    Ok(run)
}

fn page(commit: &str, fleets: &[Run], faults: &[Run], replays: &[Run], soak: &Run) -> String {
    let mut page = format!(
        "# Fleets on the bench\n\n\
         Written by `cargo xtask bench hil` at commit {commit}: every team of `models/` on mixed fleets of emulated boards and the host, each agent on a \
         device of its own ([hil.md](../hil.md)). Compared at every step: the action, and the hash of outputs and state. Instructions are counted by the \
         emulator ([device.md](../device.md)); round trips are of this machine, and say nothing of a serial line.\n\n\
         ## Every team, no fault\n\n\
         | team | boards | episodes | steps | differences | return | host alone | instructions a step, at most | stack, at most | round trip, median of the slowest |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for run in fleets {
        let instructions = run.most(|agent| {
            (agent["unit"] == "instructions").then(|| agent["on_device"]["max"].as_u64())?
        });
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {:.4} | {:.4} | {} | {} B | {} µs |",
            run.team,
            run.boards,
            run.number("episodes"),
            run.number("steps"),
            run.number("divergences"),
            run.figures["return_mean"].as_f64().unwrap_or(f64::NAN),
            run.figures["return_host"].as_f64().unwrap_or(f64::NAN),
            instructions,
            run.most(|agent| agent["stack_bytes"].as_u64()),
            run.most(|agent| agent["round_trip_us"]["median"].as_u64()),
        );
    }
    page += "\n## Faults\n\n\
             On each team's first fleet, 100 episodes each. A failing sensor (`nan`) and a dead agent (`kill`) cost return, as the agent then takes its safe action; \
             everything else is recovered from to the bit, and the return is the host's, which the command asserts. Deaths are no fault that is recovered from, and not among them.\n\n\
             | team | fault | injected | recovered | differences | wrong unnoticed | hung | return | without faults |\n\
             |---|---|---|---|---|---|---|---|---|\n";
    for run in faults {
        let _ = writeln!(
            page,
            "| {} | `{}` | {} | {} | {} | {} | {} | {:.4} | {:.4} |",
            run.team,
            run.fault,
            run.number("faults_injected"),
            run.number("faults_recovered"),
            run.number("divergences"),
            run.number("wrong_unnoticed"),
            if run.figures["hung"].is_null() {
                "no"
            } else {
                "yes"
            },
            run.figures["return_mean"].as_f64().unwrap_or(f64::NAN),
            run.figures["return_host"].as_f64().unwrap_or(f64::NAN),
        );
    }
    page += "\n## Recordings\n\n\
             The last run of each team's, with faults of every kind, as a file, shown to other boards: every action and every bit of state as recorded.\n\n\
             | team | replayed on | steps | differences |\n\
             |---|---|---|---|\n";
    for run in replays {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            run.team,
            run.boards,
            run.number("steps"),
            run.number("divergences"),
        );
    }
    let _ = writeln!(
        page,
        "\n## Soak\n\n{} on {}: {} episodes, {} steps in {:.0} s, {} differences.",
        soak.team,
        soak.boards,
        soak.number("episodes"),
        soak.number("steps"),
        soak.seconds,
        soak.number("divergences"),
    );
    page
}
