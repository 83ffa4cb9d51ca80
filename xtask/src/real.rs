//! The real boards' firmware: built, and held against where each board's slots are said to lie.

use std::fs;
use std::iter;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::board::{REAL_BOARDS, RealBoard, real};
use crate::elf::Firmware;
use crate::process::{executables, stdout};
use crate::report::Report;
use crate::toolchain::Toolchain;

/// What a board.toml says of flash.
#[derive(Deserialize)]
struct Board {
    flash: Flash,
}

#[derive(Deserialize)]
struct Flash {
    images: [u64; 2],
    records: [u64; 2],
    room: u64,
}

/// Bytes of a slot's records.
const RECORDS: u64 = 224;

/// Where Espressif's bootloader expects the app in flash, whatever addresses it is linked for, and what surrounds its segments.
const APP: u64 = 0x1_0000;
const AROUND: u64 = 0x1_0000;

/// Builds every app of every real board, and the tests that run on boards.
pub(crate) fn boards(report: &mut Report, toolchain: &Toolchain) -> Result<()> {
    for board in &REAL_BOARDS {
        report.step(format!("board {}", board.name), || {
            let folder = real().join(board.name);
            let mut build = toolchain.cargo(&folder, "build", board.target);
            build.args([
                "--bins",
                "--release",
                "--message-format",
                "json-render-diagnostics",
            ]);
            let binaries = executables(&stdout(&mut build)?)?;
            let mut sizes = Vec::new();
            for name in ["", "-hil"].map(|app| format!("consort-{}{app}", board.name)) {
                let binary = binaries.get(&name).context("no binary was built")?;
                let firmware = Firmware::read(binary)?;
                check(board, &firmware).with_context(|| name.clone())?;
                sizes.push(format!("{} + {} B", firmware.text(), firmware.rodata()));
            }
            Ok(format!(
                "code and constants: replay {}, hil {}; slots free",
                sizes[0], sizes[1]
            ))
        })?;
        if real().join(board.name).join("tests").is_dir() {
            report.step(format!("board {} tests", board.name), || {
                let folder = real().join(board.name);
                let mut build = toolchain.cargo(&folder, "test", board.target);
                build.args([
                    "--no-run",
                    "--release",
                    "--message-format",
                    "json-render-diagnostics",
                ]);
                let mut tests = executables(&stdout(&mut build)?)?;
                // The apps are built with them.
                tests.retain(|name, _| !name.starts_with("consort-"));
                ensure!(!tests.is_empty(), "no test was built");
                let names: Vec<_> = tests.into_keys().collect();
                Ok(format!("{}, to be run on the board", names.join(", ")))
            })?;
        }
    }
    Ok(())
}

/// Whether nothing of a firmware lies where slots do, and the documentation says where that is.
fn check(board: &RealBoard, firmware: &Firmware) -> Result<()> {
    let path = real().join(board.name).join("board.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let flash = toml::from_str::<Board>(&text)
        .with_context(|| path.display().to_string())?
        .flash;
    let document = fs::read_to_string(real().join("../README.md"))?;
    for start in flash.images.into_iter().chain(flash.records) {
        let address = format!("{start:#010x}");
        ensure!(
            document.contains(&address),
            "{address} of {} is not in README.md",
            board.name
        );
    }
    let images = flash.images.map(|start| start..start + flash.room);
    let records = flash.records.map(|start| start..start + RECORDS);
    let loaded = if board.name == "esp32-c3" {
        // Linked for addresses that flash is mapped to, written as one piece.
        let bytes = firmware
            .loaded()
            .iter()
            .map(|range| range.end - range.start);
        iter::once(APP..APP + bytes.sum::<u64>() + AROUND).collect()
    } else {
        firmware.loaded().to_vec()
    };
    ensure!(!loaded.is_empty(), "nothing is loaded");
    let slots: Vec<_> = images.into_iter().chain(records).collect();
    apart(&slots, &loaded)
}

/// Whether nothing that is loaded lies in a slot.
fn apart(slots: &[Range<u64>], loaded: &[Range<u64>]) -> Result<()> {
    for slot in slots {
        for range in loaded {
            ensure!(
                range.end <= slot.start || slot.end <= range.start,
                "{:#x}..{:#x} lies in a slot, {:#x}..{:#x}",
                range.start,
                range.end,
                slot.start,
                slot.end
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_slot_is_named() {
        let slots = [0x100..0x200, 0x400..0x440];
        assert!(apart(&slots, &[0..0x100, 0x200..0x400, 0x440..0x500]).is_ok());
        for wrong in [0..0x101, 0x1ff..0x300, 0x410..0x420, 0..0x1000] {
            let error = apart(&slots, std::slice::from_ref(&wrong)).unwrap_err();
            assert!(error.to_string().contains("lies in a slot"), "{error}");
        }
    }
}
