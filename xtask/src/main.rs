//! `cargo xtask <task>`: everything the project runs besides its main job.
//!
//! A task is a list of named steps. Each says how long it took and what came of it; the first that fails ends the task
//! with its name and a non-zero exit. What the machine lacks (embedded targets, QEMU) is installed on the way.

mod bench;
mod board;
mod branch;
mod c;
mod calls;
mod check;
mod elf;
mod firmware;
mod fuzz;
mod kernels;
mod marl_eval;
mod operations;
mod packages;
mod process;
mod promise;
mod protocol;
mod publish;
mod python;
mod qemu;
mod real;
mod reference;
mod report;
mod team;
mod toolchain;
mod usage;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use report::Report;
use toolchain::Toolchain;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Tests, lints, cross builds, emulated runs, studies and benches",
    version
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
    /// Build `core` from source instead of using rustup's targets (needs apt: rustc-web and rust-web-src)
    #[arg(long, global = true)]
    build_std: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Everything: lint, host tests, cross builds, real boards, packages, emulated runs
    Test,
    /// Formatting, clippy and rustdoc, in every workspace
    Lint,
    /// Build consort-runtime for every supported microcontroller target
    Cross,
    /// Build the firmware of every real board
    Boards,
    /// Package the libraries as `cargo publish` would, without uploading them
    PublishCheck {
        /// Compile the trainer from its package too, and candle with it
        #[arg(long)]
        verify: bool,
    },
    /// Compare a library's public interface with an earlier one (installs cargo-semver-checks)
    Semver {
        /// Commit or tag to compare with; by default the last tag
        #[arg(long)]
        baseline: Option<String>,
        /// Which library
        #[arg(long, default_value = "consort-runtime", value_parser = publish::LIBRARIES)]
        package: String,
    },
    /// Have marl-eval (from PyPI; tried with Python 3.11) read a file that `consort compare` wrote, and compare its interquartile means with ours
    MarlEval,
    /// Run every agent of every team in its own emulator, in Rust and in C, and compare each bit with the host
    Qemu {
        /// Folder of the teams
        #[arg(long, default_value_os_t = models(), value_parser = usage::teams)]
        models: PathBuf,
        /// Only this board (may be given several times)
        #[arg(long, value_parser = board::names())]
        board: Vec<String>,
    },
    /// Build the emulated boards' firmware for `consort hil` into target/firmware
    Firmware {
        /// Only this board (may be given several times)
        #[arg(long, value_parser = board::names())]
        board: Vec<String>,
    },
    /// Fuzz what takes bytes: the image parser, steps, updates, frames
    Fuzz {
        /// For how long, in all
        #[arg(long, default_value_t = 180)]
        seconds: u64,
        /// Only this target
        #[arg(long, value_parser = fuzz::TARGETS)]
        target: Option<String>,
    },
    /// Run a study: `study one-shot`, `study sequential`, `study proposal`; each says with --help what it takes
    // Help is what the studies say of themselves.
    #[command(disable_help_flag = true)]
    Study {
        /// The study's name and what it takes, as it is
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run a bench
    Bench {
        /// The bench's name
        name: bench::Bench,
        /// End stdout with the figures as one JSON object
        #[arg(long)]
        json: bool,
        /// Folder of the teams
        #[arg(long, default_value_os_t = models(), value_parser = usage::teams)]
        models: PathBuf,
        #[command(flatten)]
        train: bench::train::Options,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut report = Report::default();
    let done = execute(&cli, &mut report);
    report.print();
    match done {
        // After the report: with --json the object is the last line of stdout.
        Ok(line) => {
            line.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(usage::exit_code(&error))
        }
    }
}

/// Runs the task; the line that ends stdout, if the task has one.
fn execute(cli: &Cli, report: &mut Report) -> Result<Option<String>> {
    let prepare = |report: &mut Report| check::toolchain(report, cli.build_std);
    match &cli.task {
        Task::Test => {
            let toolchain = prepare(report)?;
            check::lint(report, &toolchain)?;
            check::host_tests(report)?;
            check::cross(report, &toolchain)?;
            real::boards(report, &toolchain)?;
            publish::check(report, false)?;
            emulated(report, &toolchain, &models(), &[])?;
            bench::hil::check(report, &toolchain, &models())?;
        }
        Task::Lint => {
            let toolchain = prepare(report)?;
            check::lint(report, &toolchain)?;
        }
        Task::Cross => {
            let toolchain = prepare(report)?;
            check::cross(report, &toolchain)?;
        }
        Task::Boards => {
            let toolchain = prepare(report)?;
            real::boards(report, &toolchain)?;
        }
        Task::PublishCheck { verify } => publish::check(report, *verify)?,
        Task::MarlEval => marl_eval::run(report)?,
        Task::Semver { baseline, package } => {
            publish::semver(report, package, baseline.as_deref())?;
        }
        Task::Qemu { models, board } => {
            let toolchain = prepare(report)?;
            emulated(report, &toolchain, models, board)?;
        }
        Task::Firmware { board } => {
            let toolchain = prepare(report)?;
            firmware::build(report, &toolchain, &board::named(board))?;
        }
        Task::Fuzz { seconds, target } => fuzz::run(report, *seconds, target.as_deref())?,
        Task::Study { args } => {
            let mut study = process::cargo(root(), "run");
            study
                .args(["--release", "--package", "consort-studies", "--"])
                .args(args);
            let status = study.status().context("cannot start cargo")?;
            if !status.success() {
                // The study has said what was wrong; its exit code says whose fault it was.
                std::process::exit(status.code().unwrap_or(1));
            }
        }
        Task::Bench {
            name,
            json,
            models,
            train,
        } => {
            let figures = bench::run(*name, train, cli.build_std, models, report)?;
            return Ok(json.then(|| figures.to_string()));
        }
    }
    Ok(None)
}

/// Everything that runs in an emulator, on the boards of these names or on all.
fn emulated(
    report: &mut Report,
    toolchain: &Toolchain,
    models: &Path,
    names: &[String],
) -> Result<()> {
    let mut boards = board::named(names);
    qemu::run_teams(report, toolchain, models, &boards)?;
    if boards.iter().any(|board| board.name == c::BOARD) {
        c::run_teams(report, toolchain, models)?;
    }
    // Without a floating-point unit the work varies: nothing to assert, and the bench says by how much.
    boards.retain(|board| board.has_float_unit());
    work::check(report, toolchain, &boards)?;
    match boards.is_empty() {
        true => Ok(()),
        false => kernels::check(report, toolchain),
    }
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
}

/// The committed teams.
fn models() -> PathBuf {
    root().join("models")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_arguments_are_refused_before_any_step() {
        for arguments in [
            &["fuzz", "--target", "nope"][..],
            &["qemu", "--models", "/nonexistent"],
            &["bench", "device", "--models", "/nonexistent"],
            &["firmware", "--board", "m7"],
            &["semver", "--package", "consort-tests"],
        ] {
            let parsed = Cli::try_parse_from([&["cargo xtask"], arguments].concat());
            // clap ends a program with 2 for whatever is no request for help.
            let error = parsed.err().expect("wrong arguments");
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }

    #[test]
    fn a_study_says_itself_what_it_takes() {
        for arguments in [
            &["--help"][..],
            &["sequential", "--help"],
            &["proposal", "--json", "--seeds", "3"],
        ] {
            let words = [&["cargo xtask", "study"], arguments].concat();
            let Ok(cli) = Cli::try_parse_from(words) else {
                panic!("{arguments:?}")
            };
            let Task::Study { args } = cli.task else {
                panic!("{arguments:?}")
            };
            assert_eq!(args, arguments);
        }
    }

    #[test]
    fn a_board_goes_by_both_of_its_names() {
        for name in ["m4f", "mps2-an386"] {
            let Ok(cli) = Cli::try_parse_from(["cargo xtask", "firmware", "--board", name]) else {
                panic!("{name}")
            };
            let Task::Firmware { board } = cli.task else {
                panic!("{name}")
            };
            let boards: Vec<_> = board::named(&board)
                .iter()
                .map(|board| board.name)
                .collect();
            assert_eq!(boards, ["mps2-an386"]);
        }
    }
}
