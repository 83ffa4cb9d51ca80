//! The boards of the firmware examples: how each is emulated, and what it promises.

use std::path::PathBuf;

use clap::builder::PossibleValue;

use crate::root;

/// A folder of `firmware-examples/boards` and how to emulate it.
pub(crate) struct Board {
    pub(crate) name: &'static str,
    pub(crate) core: Core,
    pub(crate) target: &'static str,
    /// The emulator and what makes it this board, its instruction counter included.
    pub(crate) machine: &'static [&'static str],
    /// What calibration must find: virtual time an instruction times the counter's frequency.
    pub(crate) ticks_per_instruction: f64,
}

impl Core {
    /// What `consort hil` calls a board with this core, behind `qemu:`.
    pub(crate) fn short_name(self) -> &'static str {
        match self {
            Core::CortexM0 => "m0",
            Core::CortexM3 => "m3",
            Core::CortexM4F => "m4f",
            Core::CortexM33 => "m33",
            Core::Rv32imac => "riscv32",
        }
    }
}

/// The cores there are boards of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    CortexM0,
    CortexM3,
    CortexM4F,
    CortexM33,
    Rv32imac,
}

const ARM: &str = "qemu-system-arm";
const RISCV: &str = "qemu-system-riscv32";

/// Every emulated board. A new one is a line here and a folder.
///
/// With `-icount shift=S` an instruction is 2^S ns of virtual time. The larger S, the more ticks an instruction has: above 4
/// of them, the four readings of a count, each down to a whole tick, cannot make an instruction more or less. But SysTick has
/// 24 bits and wraps after 2.6 M instructions of 6.4 ticks, which is more than two for each weight that 4 MiB of flash hold;
/// a core without floating point, which takes a hundred, gets 3.2 ticks and counts that may be off by one.
pub(crate) static BOARDS: [Board; 5] = [
    Board {
        name: "microbit",
        core: Core::CortexM0,
        target: "thumbv6m-none-eabi",
        machine: &[ARM, "-machine", "microbit", "-icount", "shift=10"],
        // TIMER0 of the nRF51.
        ticks_per_instruction: 1024e-9 * 16e6,
    },
    Board {
        name: "mps2-an385",
        core: Core::CortexM3,
        target: "thumbv7m-none-eabi",
        machine: &[ARM, "-machine", "mps2-an385", "-icount", "shift=7"],
        ticks_per_instruction: 128e-9 * 25e6,
    },
    Board {
        name: "mps2-an386",
        core: Core::CortexM4F,
        target: "thumbv7em-none-eabihf",
        machine: &[ARM, "-machine", "mps2-an386", "-icount", "shift=8"],
        ticks_per_instruction: 256e-9 * 25e6,
    },
    Board {
        name: "mps2-an505",
        core: Core::CortexM33,
        target: "thumbv8m.main-none-eabihf",
        machine: &[ARM, "-machine", "mps2-an505", "-icount", "shift=8"],
        ticks_per_instruction: 256e-9 * 20e6,
    },
    Board {
        name: "virt-riscv32",
        core: Core::Rv32imac,
        target: "riscv32imac-unknown-none-elf",
        machine: &[
            RISCV,
            "-machine",
            "virt",
            "-cpu",
            "rv32,f=false,d=false",
            "-bios",
            "none",
            "-icount",
            "shift=0",
        ],
        // The core counts instructions itself.
        ticks_per_instruction: 1.0,
    },
];

/// A real board: a folder of `firmware-examples/real`.
pub(crate) struct RealBoard {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
}

/// Every real board. A new one is a line here, one in that folder's `Cargo.toml`, and a folder.
pub(crate) static REAL_BOARDS: [RealBoard; 4] = [
    RealBoard {
        name: "rpi-pico",
        target: "thumbv6m-none-eabi",
    },
    RealBoard {
        name: "nrf52840-dk",
        target: "thumbv7em-none-eabihf",
    },
    RealBoard {
        name: "nucleo-f446re",
        target: "thumbv7em-none-eabihf",
    },
    RealBoard {
        name: "esp32-c3",
        target: "riscv32imc-unknown-none-elf",
    },
];

/// The workspace of the real boards.
pub(crate) fn real() -> PathBuf {
    firmware().join("real")
}

/// The boards' names, as arguments; and those by which `consort hil` knows them.
pub(crate) fn names() -> [PossibleValue; BOARDS.len()] {
    std::array::from_fn(|index| {
        let board = &BOARDS[index];
        PossibleValue::new(board.name).alias(board.core.short_name())
    })
}

/// The boards of these names, long or short; every board where there are none.
pub(crate) fn named(names: &[String]) -> Vec<&'static Board> {
    let wanted = |board: &&Board| {
        names.is_empty()
            || names
                .iter()
                .any(|name| [board.name, board.core.short_name()].contains(&name.as_str()))
    };
    BOARDS.iter().filter(wanted).collect()
}

impl Board {
    /// The board's package.
    pub(crate) fn folder(&self) -> PathBuf {
        firmware().join("boards").join(self.name)
    }

    /// Whether the core computes with `f32` itself.
    pub(crate) fn has_float_unit(&self) -> bool {
        matches!(self.core, Core::CortexM4F | Core::CortexM33)
    }

    /// The emulator.
    pub(crate) fn emulator(&self) -> &'static str {
        self.machine[0]
    }
}

/// The workspace of the firmware examples.
pub(crate) fn firmware() -> PathBuf {
    root().join("firmware-examples")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which the command must know without firmware, and so without our list.
    #[test]
    fn consort_hil_knows_every_boards_short_name() {
        let spec = include_str!("../../trainer/src/hil/spec.rs");
        let list: Vec<_> = BOARDS
            .iter()
            .map(|board| format!("{:?}", board.core.short_name()))
            .collect();
        let line = format!("EMULATED: [&str; {}] = [{}];", list.len(), list.join(", "));
        assert!(spec.contains(&line), "{line}");
    }
}
