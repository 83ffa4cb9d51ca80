//! Builds what `consort hil` runs on emulated boards, and says beside it how each is emulated.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::board::Board;
use crate::report::Report;
use crate::toolchain::Toolchain;
use crate::{models, qemu, root};

/// The list beside the firmware, by the board's short name.
const LIST: &str = "boards.json";

/// A line of that list, as the trainer's `hil::emulator` reads it.
#[derive(Serialize, Deserialize)]
struct Emulated {
    /// The board's folder.
    board: String,
    /// The firmware, beside the list.
    firmware: String,
    /// The emulator and what makes it this board.
    machine: Vec<String>,
}

/// Where the firmware lies.
pub(crate) fn folder() -> PathBuf {
    root().join("target/firmware")
}

/// Builds the firmware of `boards`; that of others stays as it is.
pub(crate) fn build(report: &mut Report, toolchain: &Toolchain, boards: &[&Board]) -> Result<()> {
    report.step("QEMU", qemu::install)?;
    let folder = folder();
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(LIST);
    let mut list: BTreeMap<String, Emulated> = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    };
    for board in boards {
        let name = board.core.short_name();
        report.step(format!("firmware {name}"), || {
            // The agent whose golden sequence the other binaries replay: this one has none until it is sent one.
            let mut build = board.build(toolchain, &models().join("assurance"), 0, &["hil"])?;
            let built = build.remove("hil").context("the build names its binary")?;
            let firmware = format!("{name}.elf");
            fs::copy(&built, folder.join(&firmware))
                .with_context(|| format!("{}", built.display()))?;
            let machine = board.machine.iter().map(|&word| word.to_owned()).collect();
            let board = board.name.to_owned();
            list.insert(
                name.to_owned(),
                Emulated {
                    board,
                    firmware,
                    machine,
                },
            );
            Ok("built")
        })?;
    }
    let mut text = serde_json::to_vec_pretty(&list)?;
    text.push(b'\n');
    fs::write(&path, text).with_context(|| path.display().to_string())
}
