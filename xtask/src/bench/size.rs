//! How small a firmware can be that checks and runs a dense policy.

use std::fmt;

use anyhow::{Context, Result};

use crate::board::{BOARDS, firmware};
use crate::elf::Firmware;
use crate::process;
use crate::toolchain::Toolchain;

/// Bytes of code and of constants beyond start-up.
pub(crate) struct Size {
    pub(crate) text: u64,
    pub(crate) rodata: u64,
    /// Of the code, the compiler's routines that copy, clear and compare memory.
    pub(crate) memory_routines: u64,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} B of code, {} B of them the compiler's to copy, clear and compare memory; {} B of constants beyond start-up",
            self.text, self.memory_routines, self.rodata
        )
    }
}

/// The smallest firmware on the Cortex-M4F at `opt-level = "s"`: dense layers and heads without parameters, with the kernels or
/// without.
pub(crate) fn smallest(toolchain: &Toolchain, kernels: bool) -> Result<Size> {
    let board = (BOARDS.iter())
        .find(|board| board.name == "mps2-an386")
        .context("no board is the Cortex-M4F")?;
    let mut build = toolchain.cargo(&firmware().join("smallest"), "build", board.target);
    build
        .args(["--release", "--message-format", "json-render-diagnostics"])
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s");
    if kernels {
        build.args(["--features", "kernels"]);
    }
    let binaries = process::executables(&process::stdout(&mut build)?)?;
    let read = |name: &str| Firmware::read(binaries.get(name).context("a binary is missing")?);
    let (dense, nothing) = (read("dense")?, read("nothing")?);
    Ok(Size {
        text: dense.text() - nothing.text(),
        rodata: dense.rodata() - nothing.rodata(),
        memory_routines: dense.memory_routines() - nothing.memory_routines(),
    })
}
