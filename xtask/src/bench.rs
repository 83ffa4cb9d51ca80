//! Benches: figures to compare with, as a table and as JSON.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use crate::report::Report;
use crate::toolchain::Toolchain;
use crate::{board, qemu};

/// The benches there are.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Bench {
    /// Instructions per inference and text size of every committed agent and of the reference policies, emulated
    Device,
}

/// Runs a bench; with `json`, the figures as one object.
pub(crate) fn run(
    bench: Bench,
    json: bool,
    toolchain: &Toolchain,
    models: &Path,
    report: &mut Report,
) -> Result<Option<String>> {
    match bench {
        Bench::Device => {
            let figures = qemu::run_teams(report, toolchain, models, &board::named(&[]))?;
            Ok(json.then(|| json!({ "bench": "device", "agents": figures }).to_string()))
        }
    }
}
