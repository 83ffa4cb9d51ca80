//! Fuzzing: libFuzzer, guided by coverage, over every target of `fuzz/`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::packages::Need;
use crate::process;
use crate::report::Report;
use crate::root;

/// The binaries of `fuzz/coverage`, each with a corpus of its name.
pub(crate) const TARGETS: [&str; 4] = ["image", "step", "update", "frames"];

const CPP: &str = "c++";
const CPP_PACKAGES: Need = Need {
    what: "a C++ compiler (libFuzzer is C++)",
    apt: &["g++"],
    dnf: &["gcc-c++"],
    pacman: &["gcc"],
    brew: &["gcc"],
};

/// LLVM's coverage for libFuzzer. Passes and their options need no nightly compiler, as sanitizers would.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
];

/// Longer inputs reach nothing that shorter ones do not.
const MAX_LEN: usize = 4096;

/// Fuzzes the target called `only`, or each in turn, for `seconds` in all.
///
/// What is found to reach something new is kept in `target/fuzz/corpus`, where the next run goes on from.
///
/// # Errors
///
/// The first input that breaks a target, and where it was written.
pub(crate) fn run(report: &mut Report, seconds: u64, only: Option<&str>) -> Result<()> {
    let targets: Vec<&str> = TARGETS
        .into_iter()
        .filter(|name| only.is_none_or(|only| only == *name))
        .collect();
    let mut binaries = PathBuf::new();
    report.step("build with coverage", || {
        if !process::exists(CPP) {
            CPP_PACKAGES.install()?;
        }
        binaries = build()?;
        Ok("built")
    })?;
    let share = (seconds / targets.len() as u64).max(1);
    for name in targets {
        report.step(format!("fuzz {name}"), || {
            fuzz(&binaries.join(name), name, share)
        })?;
    }
    Ok(())
}

/// Where the binaries lie.
fn build() -> Result<PathBuf> {
    let host = process::stdout(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let target_dir = folder();
    let mut build = process::cargo(&root().join("fuzz/coverage"), "build");
    // With a target, build scripts and macros are not instrumented.
    build
        .args(["--release", "--target", host.trim(), "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"));
    process::run(&mut build)?;
    Ok(target_dir.join(host.trim()).join("release"))
}

fn folder() -> PathBuf {
    root().join("target/fuzz")
}

fn fuzz(binary: &std::path::Path, name: &str, seconds: u64) -> Result<String> {
    let found = folder().join("corpus").join(name);
    fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
    let mut fuzzer = Command::new(binary);
    fuzzer
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_LEN}"))
        .arg(format!("-artifact_prefix={}/{name}-", folder().display()))
        .args(["-print_final_stats=1", "-timeout=20"])
        .arg(&found)
        .arg(root().join("fuzz/corpus").join(name));
    // It ends by itself, but for an input that it is still at.
    let finished = process::run_limited(&mut fuzzer, Duration::from_secs(seconds + 120))?;
    if !finished.status.success() {
        bail!(
            "{}{}\nthe input lies in {}; `{} FILE` runs it alone",
            finished.stdout,
            finished.stderr,
            folder().display(),
            binary.display()
        );
    }
    let figure = |what: &str| {
        let line = finished
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix(what));
        line.map(str::trim).unwrap_or("?").to_owned()
    };
    Ok(format!(
        "{} inputs, {} of them new",
        figure("stat::number_of_executed_units:"),
        figure("stat::new_units_added:")
    ))
}
