//! What training costs beside other systems: networks beside PyTorch, environments beside their originals, whole training
//! beside JaxMARL, and how our own cost grows.
//!
//! Ours is measured by a program of the trainer (`trainer/benches/training`), others by harnesses of ours in
//! `xtask/comparators`; each is a process of its own, pinned to one core. A system that cannot be had is named, and the bench
//! goes on.

mod end_to_end;
mod environments;
mod growth;
mod machine;
mod networks;
mod page;
mod peers;
mod program;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::report::Report;
use program::Program;

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Forward, and forward, backward and Adam, beside PyTorch
    Networks,
    /// Bare steps of environments, beside the Python originals
    Environments,
    /// Environment steps a second and seconds to a return, beside JaxMARL
    EndToEnd,
    /// With agents, environments, width and threads
    Growth,
}

const ALL: [Part; 4] = [
    Part::Networks,
    Part::Environments,
    Part::EndToEnd,
    Part::Growth,
];

/// What is measured, and what becomes of it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Of the bench `train`, only this part (may be given several times)
    #[arg(long)]
    part: Vec<Part>,
    /// Of the bench `train`: write the figures into the tables of docs/performance.md
    #[arg(long)]
    page: bool,
    /// Of the bench `train`: take the figures from what `--json` has printed, and measure nothing
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Measures some parts, or all where none are named.
pub(crate) fn run(report: &mut Report, options: &Options) -> Result<Value> {
    let figures = match &options.from {
        Some(path) => printed(path)?,
        None => measure(report, &options.part)?,
    };
    if options.page {
        report.step("page", || page::write(&figures))?;
    }
    Ok(figures)
}

/// The last line of a file, as JSON.
fn printed(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let line = text.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| {
        format!(
            "{}: expected a JSON object as the last line",
            path.display()
        )
    })
}

fn measure(report: &mut Report, parts: &[Part]) -> Result<Value> {
    let program = Program::build(report)?;
    let mut figures = Map::new();
    figures.insert("bench".into(), json!("train"));
    report.step("machine", || {
        let machine = machine::describe(&program)?;
        let line = format!(
            "{}, {} cores, core {} used; commit {}; {:.0} GFLOP/s a core",
            machine["processor"],
            machine["cores"],
            machine["pinned_to"],
            machine["commit"],
            machine["gflops"].as_f64().unwrap_or(f64::NAN)
        );
        figures.insert("machine".into(), machine);
        Ok(line.replace('"', ""))
    })?;
    let wanted = |part: &&Part| parts.is_empty() || parts.contains(part);
    for part in ALL.iter().filter(wanted) {
        match part {
            Part::Networks => networks::measure(report, &program, &mut figures)?,
            Part::Environments => environments::measure(report, &program, &mut figures)?,
            Part::EndToEnd => end_to_end::measure(report, &program, &mut figures)?,
            Part::Growth => growth::measure(report, &program, &mut figures)?,
        }
    }
    Ok(Value::Object(figures))
}

/// A rate for people: `1.23 M`.
fn short(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.2} M", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1} k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

/// The middle of several numbers, the lower of two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_one_of_the_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn rates_are_said_shortly() {
        let said = [12.4, 31_400.0, 4_680_030.0].map(short);
        assert_eq!(said, ["12", "31.4 k", "4.68 M"]);
    }
}
