//! Where the figures are from.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;
use serde_json::{Value, json};

use super::program::{Program, core, number};
use crate::{process, root};

/// Processor, cores, commit, and what one core computes at most.
pub(super) fn describe(program: &Program) -> Result<Value> {
    let limit = program.run(&["limit"])?;
    let gflops = limit.first().map(|line| number(line, "gflops"));
    Ok(json!({
        "processor": processor(),
        "cores": available_parallelism()?.get(),
        "pinned_to": core(),
        "commit": commit()?,
        "command": "cargo xtask bench train",
        "gflops": gflops.transpose()?,
    }))
}

/// As Linux names it; elsewhere the architecture.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut names = text.lines().filter(|line| line.starts_with("model name"));
    let name = names.next().and_then(|line| line.split_once(": "));
    name.map_or(std::env::consts::ARCH, |(_, name)| name)
        .to_owned()
}

/// The commit that was built; `+` where files differ from it.
pub(in crate::bench) fn commit() -> Result<String> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        process::stdout(git.current_dir(root()).args(arguments))
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let mark = if changed.trim().is_empty() { "" } else { "+" };
    Ok(format!("{}{mark}", commit.trim()))
}
