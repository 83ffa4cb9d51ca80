//! The command line: parse arguments, call the library, print a page.

mod compare;
mod cost;
mod eval;
mod export;
mod flash;
mod hil;
mod inspect;
mod keygen;
mod methods;
mod progress;
mod sign;
mod solve;
mod tasks;
mod train;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use consort_trainer::error::Error;
use consort_trainer::team::Manifest;

/// Teams learn together on a workstation; each agent then acts apart, on its own microcontroller.
#[derive(Parser)]
#[command(name = "consort", version)]
struct Cli {
    /// Print one JSON object instead of a page
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Args),
    Compare(compare::Args),
    Eval(eval::Args),
    Export(export::Args),
    Flash(flash::Args),
    Hil(hil::Args),
    Inspect(inspect::Args),
    Keygen(keygen::Args),
    Sign(sign::Args),
    Solve(solve::Args),
    /// List the tasks there are
    Tasks,
    /// List the methods there are
    Methods,
}

/// What a command has to say, for people and for programs.
struct Page {
    text: String,
    json: serde_json::Value,
}

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let (mut whole, mut late) = (true, None);
    let page = match cli.command {
        Command::Train(args) => train::run(&args, cli.json),
        Command::Compare(args) => compare::run(&args, cli.json),
        Command::Eval(args) => eval::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Flash(args) => flash::run(&args),
        Command::Hil(args) => hil::run(&args).map(|done| {
            (whole, late) = (done.equal, done.late);
            done.page
        }),
        Command::Inspect(args) => inspect::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Solve(args) => solve::run(&args),
        Command::Tasks => Ok(tasks::run()),
        Command::Methods => Ok(methods::run()),
    };
    let printed = match page {
        Ok(page) if cli.json => print(&format!("{}\n", page.json)),
        Ok(page) => print(&page.text),
        Err(error) => return fail(&error),
    };
    if let Some(error) = late {
        return fail(&error);
    }
    // What was asked for came out, and it says that something is wrong.
    if whole { printed } else { ExitCode::FAILURE }
}

/// A whole number from `LEAST` to `MOST`, or what would be one.
fn whole_number<const LEAST: i64, const MOST: i64>(text: &str) -> Result<i64, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (LEAST..=MOST).contains(number))
        .ok_or_else(|| format!("expected a whole number from {LEAST} to {MOST}"))
}

/// Whose best value an `optimum` is.
fn of_whom(manifest: &Manifest) -> &'static str {
    match manifest.shared_seed {
        Some(_) => "of agents that share a seed",
        None => "of agents that act apart",
    }
}

/// A word as a POSIX shell takes it, whatever is in it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=+,@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Prints to stdout. A reader that has gone away (`consort tasks | head -1`) has read enough.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: stdout: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Says what went wrong in one line.
fn fail(error: &Error) -> ExitCode {
    let message = error.to_string();
    // candle appends backtraces to its errors.
    let line = message.lines().next().unwrap_or_default();
    let _ = writeln!(io::stderr(), "error: {line}");
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_with_quotes_is_one_word_of_a_shell() {
        assert_eq!(quoted("update.epochs=2"), "update.epochs=2");
        assert_eq!(quoted("my games/chicken.toml"), "'my games/chicken.toml'");
        // What is quoted ends, an escaped quote follows, and it begins again.
        let arms = quoted("portfolio.arms=['annealed']");
        assert_eq!(arms, r"'portfolio.arms=['\''annealed'\'']'");
    }
}
