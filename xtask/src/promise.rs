//! What a linked firmware shows of the runtime's promises: no panic, no recursion.

use std::path::Path;

use anyhow::{Result, bail};

use crate::elf::Firmware;
use crate::protocol::Depths;

/// The most bytes of stack in use, on any core, of any policy: `runtime/README.md` promises it.
pub(crate) const STACK: Depths = Depths {
    check: 768,
    step: 768,
};

/// Checks that the linker found no way to panic.
pub(crate) fn check(path: &Path) -> Result<()> {
    let firmware = Firmware::read(path)?;
    if let Some(symbol) = firmware.panics().next() {
        bail!("`{symbol}` is linked: there is a way to panic");
    }
    Ok(())
}
