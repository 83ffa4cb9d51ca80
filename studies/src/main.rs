//! `cargo xtask study NAME`: the experiments behind docs/results.
//!
//! A study trains many teams, says on stderr how far it is, and ends with a page of tables: on
//! stdout, and in docs/results where it is complete. With `--json` the figures follow as one
//! object, the last line of stdout.

mod one_shot;
mod statistics;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// As in the `consort` command: glibc gives back to the kernel what candle is about to ask for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "cargo xtask study",
    about = "The experiments behind docs/results",
    version
)]
enum Study {
    /// The method, its ablations and its baselines on one-shot team games
    OneShot(one_shot::Options),
}

fn main() -> ExitCode {
    let done: Result<()> = match Study::parse() {
        Study::OneShot(options) => one_shot::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
