//! The boards of the firmware examples, and how each is emulated.

use std::path::PathBuf;

use crate::root;

/// A folder of `firmware-examples/boards` and how to emulate it.
pub(crate) struct Board {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) machine: &'static [&'static str],
    /// What calibration must find: virtual time an instruction times the counter's frequency.
    pub(crate) ticks_per_instruction: f64,
}

/// Every board. A new one is a line here and a folder.
pub(crate) const BOARDS: [Board; 1] = [Board {
    name: "mps2-an386",
    target: "thumbv7em-none-eabihf",
    // shift=7: an instruction is 2^7 ns of virtual time. SysTick counts 25 MHz, so a tick is less than an instruction, and
    // wraps after 5.2 M of them: more than one for each weight that 4 MiB of flash can hold, five times over.
    machine: &["-machine", "mps2-an386", "-icount", "shift=7"],
    ticks_per_instruction: 128e-9 * 25e6,
}];

/// The workspace of the firmware examples.
pub(crate) fn firmware() -> PathBuf {
    root().join("firmware-examples")
}
