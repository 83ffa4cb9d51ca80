//! What a linked firmware shows of the runtime's promises: no panic, no recursion.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use object::File;

use crate::calls::{Graph, Unbounded};
use crate::elf::Firmware;
use crate::protocol::Depths;

/// The most bytes of stack in use, on any core, of any policy: `runtime/README.md` promises it.
pub(crate) const STACK: Depths = Depths {
    check: 1024,
    step: 1024,
    sampled: 1024,
};

/// Checks that the linker found no way to panic, and that nothing which `main` calls can be at work twice, nor is called through
/// a pointer: then the stack's depth is bounded, whatever the input.
pub(crate) fn check(path: &Path) -> Result<()> {
    if let Some(symbol) = Firmware::read(path)?.panics().next() {
        bail!("`{symbol}` is linked: there is a way to panic");
    }
    let bytes = fs::read(path)?;
    match Graph::read(&File::parse(&*bytes)?)?.unbounded("main")? {
        None => Ok(()),
        Some(Unbounded::Recursion(way)) => bail!("recursion: {}", way.join(" → ")),
        Some(Unbounded::Pointer(from, to)) => {
            bail!("`{from}` has the address of `{to}`: whoever calls through it cannot be told")
        }
    }
}
