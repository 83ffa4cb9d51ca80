//! Holds the kernels in assembly to the portable functions, in the emulator.

use anyhow::{Context, Result, ensure};

use crate::board::{BOARDS, Board, firmware};
use crate::process;
use crate::report::Report;
use crate::toolchain::Toolchain;

/// Every kernel is compiled in each of these ways.
const FEATURES: [&[&str]; 2] = [&[], &["--features", "split-multiply-add"]];

/// Runs the check of the kernels on the Cortex-M4F.
pub(crate) fn check(report: &mut Report, toolchain: &Toolchain) -> Result<()> {
    let board = (BOARDS.iter())
        .find(|board| board.name == "mps2-an386")
        .context("no board is the Cortex-M4F")?;
    for features in FEATURES {
        let name = format!(
            "{} kernels{}",
            board.name,
            features.concat().replace("--features", ", ")
        );
        report.step(name, || run(board, toolchain, features))?;
    }
    Ok(())
}

fn run(board: &Board, toolchain: &Toolchain, features: &[&str]) -> Result<String> {
    let mut build = toolchain.cargo(&firmware().join("kernels"), "build", board.target);
    build
        .args(["--release", "--message-format", "json-render-diagnostics"])
        .args(features);
    let binaries = process::executables(&process::stdout(&mut build)?)?;
    let binary = binaries.get("kernels").context("no binary `kernels`")?;
    let finished = board.emulate(binary)?;
    let line = finished.stdout.lines().last().unwrap_or_default();
    let words: Vec<_> = line.split(' ').collect();
    ensure!(
        finished.status.success(),
        "{line} (the emulator ended with {})",
        finished.status
    );
    let ["same", dense, gru, values, rows] = words[..] else {
        anyhow::bail!("the device's last line is `{line}`, expected `same` and four numbers");
    };
    Ok(format!(
        "same bits: {dense} dense layers, {gru} recurrent units, tanh and sigmoid of {values} numbers, \
         {rows} times rows in whole numbers"
    ))
}
