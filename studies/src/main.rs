//! `cargo xtask study NAME`: the experiments behind docs/results.
//!
//! A study trains many teams, says on stderr how far it is, and ends with a page of tables: on
//! stdout, and in docs/results where it is complete. With `--json` the figures follow as one
//! object, the last line of stdout.

mod command;
mod kept;
mod one_shot;
mod proposal;
mod sequential;

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
    /// The method and its rivals on tasks of many steps, and what agents cost as they grow in number
    Sequential(sequential::Options),
    /// The proposal's claims one by one, and every method it discusses side by side
    Proposal(proposal::Options),
    /// One measurement of `sequential`, in a process of its own
    #[command(hide = true)]
    SequentialCost(sequential::cost::Options),
}

fn main() -> ExitCode {
    let done: Result<()> = match Study::parse() {
        Study::OneShot(options) => one_shot::run(&options),
        Study::Sequential(options) => sequential::run(&options),
        Study::Proposal(options) => proposal::run(&options),
        Study::SequentialCost(options) => sequential::cost::child(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
