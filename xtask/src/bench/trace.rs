//! What a step executes, instruction by instruction, and the cycles that a model of the core gives each.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::board::{Board, Core};
use crate::elf::Firmware;
use crate::process;

/// One step's instructions and their modelled cycles.
pub(crate) struct Mix {
    pub(crate) instructions: u64,
    pub(crate) cycles: u64,
    /// Executed instructions by mnemonic.
    pub(crate) mnemonics: BTreeMap<String, u64>,
}

/// A core's timing, from Arm's Technical Reference Manual: the numbers that differ, all in cycles. Everything that is not
/// named takes 1. Memory has no wait states and flash is as fast as RAM.
#[derive(Clone, Copy)]
pub(crate) struct Timing {
    /// A taken branch beyond its own cycle. The manual of M3 and M4 says 1 to 3: by where the target lies and whether its
    /// address could be guessed.
    refill: u64,
    /// A product added to a number, of whole numbers.
    multiply_add: u64,
    /// A product of 64 bits.
    long_multiply: u64,
    /// A division of whole numbers: 2 to 12, by the operands.
    divide: u64,
}

/// The cores whose manuals give cycles; Arm publishes none for the Cortex-M33.
pub(crate) fn timing(core: Core) -> Option<Timing> {
    match core {
        // r0p0, with the multiplier of one cycle.
        Core::CortexM0 => Some(Timing {
            refill: 2,
            multiply_add: 1,
            long_multiply: 1,
            divide: 1,
        }),
        Core::CortexM3 => Some(Timing {
            refill: 2,
            multiply_add: 2,
            long_multiply: 4,
            divide: 7,
        }),
        Core::CortexM4F => Some(Timing {
            refill: 2,
            multiply_add: 1,
            long_multiply: 1,
            divide: 7,
        }),
        Core::CortexM33 | Core::Rv32imac => None,
    }
}

/// The replay app's step, by a part of its symbol.
const STEP: &str = "14consort_replay4play4step";
/// The step of another system's harness, by its whole symbol.
const ACT: &str = "act";

/// Steps that are logged; the last is looked at: the first may set something up.
const STEPS: usize = 3;

/// Runs a replay app, or a harness, until it has made a few steps; the last of them.
pub(crate) fn step(board: &Board, app: &Path, timing: Timing) -> Result<Mix> {
    let step = Firmware::read(app)?
        .address(|symbol| symbol == ACT || symbol.contains(STEP))
        .context("the program has no symbol of its step")?;
    let mut qemu = Command::new(board.emulator());
    // Without the virtual clock, which needs blocks of many instructions to be fast.
    let machine = board.machine[1..]
        .iter()
        .take_while(|&&word| word != "-icount");
    qemu.args(machine)
        .args(one_by_one(board)?)
        .args(["-d", "exec,in_asm,nochain"])
        .args(crate::qemu::SEMIHOSTING)
        .arg(app)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = qemu.spawn().context("cannot start the emulator")?;
    let log = child.stderr.take().context("the emulator's log")?;
    let steps = steps(BufReader::new(log), step);
    // It may still be at work, on steps that no one looks at.
    child.kill()?;
    child.wait()?;
    let steps = steps?;
    let last = steps.last().context("the trace shows no whole step")?;
    mix(last, timing)
}

/// The option by which QEMU translates, and so logs, instructions one at a time; 8.1 gave it another name.
fn one_by_one(board: &Board) -> Result<&'static [&'static str]> {
    let version = process::stdout(Command::new(board.emulator()).arg("--version"))?;
    let number = version.split(' ').nth(3).unwrap_or_default();
    let mut parts = number
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    Ok(if version < (8, 1) {
        &["-singlestep"]
    } else {
        &["-accel", "tcg,one-insn-per-tb=on"]
    })
}

/// An executed instruction.
#[derive(Debug, Clone, PartialEq)]
struct Executed {
    address: u64,
    bytes: u64,
    mnemonic: String,
    operands: String,
}

/// The instructions of the first calls of the function at `step`.
fn steps(log: impl BufRead, step: u64) -> Result<Vec<Vec<Executed>>> {
    let mut known: BTreeMap<u64, Executed> = BTreeMap::new();
    let mut whole = Vec::new();
    let mut current: Option<(u64, Vec<Executed>)> = None;
    let mut previous: Option<(u64, u64)> = None;
    for line in log.lines() {
        let line = line?;
        if line.starts_with("0x") {
            if let Some(instruction) = disassembled(&line) {
                known.insert(instruction.address, instruction);
            }
            continue;
        }
        let Some(address) = traced(&line) else {
            continue;
        };
        let instruction = known.get(&address);
        if let Some((back, executed)) = &mut current {
            if address == *back {
                whole.extend(current.take().map(|(_, executed)| executed));
                if whole.len() == STEPS {
                    return Ok(whole);
                }
            } else {
                let instruction = instruction.with_context(|| {
                    format!("no disassembly at {address:#x}: this QEMU has no disassembler")
                })?;
                executed.push(instruction.clone());
            }
        } else if address == step {
            let (call, bytes) = previous.context("the first instruction is a step")?;
            let first = instruction.context("no disassembly: this QEMU has no disassembler")?;
            current = Some((call + bytes, vec![first.clone()]));
        }
        previous = instruction.map(|instruction| (address, instruction.bytes));
    }
    Ok(whole)
}

/// The address in a line such as `Trace 0: 0x7f… [00800408/0000040a/00000110/ff000201] Reset`.
fn traced(line: &str) -> Option<u64> {
    let fields = line.strip_prefix("Trace ")?;
    u64::from_str_radix(fields.split('/').nth(1)?, 16).ok()
}

/// The instruction in a line such as `0x00000400:  f005 fc8a  bl       #0x5d18`.
fn disassembled(line: &str) -> Option<Executed> {
    let (address, rest) = line.strip_prefix("0x")?.split_once(':')?;
    let mut rest = rest.trim_start();
    let mut bytes = 0;
    while let Some((word, after)) = rest.split_once(' ') {
        if word.len() != 4 || !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            break;
        }
        (bytes, rest) = (bytes + 2, after.trim_start());
    }
    let (mnemonic, operands) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(Executed {
        address: u64::from_str_radix(address, 16).ok()?,
        bytes,
        mnemonic: mnemonic.trim_end_matches(".w").to_owned(),
        operands: operands.trim().to_owned(),
    })
}

/// Adds up a step.
fn mix(step: &[Executed], timing: Timing) -> Result<Mix> {
    let mut mix = Mix {
        instructions: step.len() as u64,
        cycles: 0,
        mnemonics: BTreeMap::new(),
    };
    for (index, instruction) in step.iter().enumerate() {
        let next = step.get(index + 1).map(|next| next.address);
        // After the last comes the return.
        let taken = next != Some(instruction.address + instruction.bytes);
        if instruction.bytes == 0 {
            bail!("an instruction of no bytes at {:#x}", instruction.address);
        }
        mix.cycles += cycles(instruction, taken, timing);
        *mix.mnemonics
            .entry(instruction.mnemonic.clone())
            .or_default() += 1;
    }
    Ok(mix)
}

/// The model: `docs/device.md` has it as a table.
fn cycles(instruction: &Executed, taken: bool, timing: Timing) -> u64 {
    let name = instruction.mnemonic.as_str();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let refill = if taken { timing.refill } else { 0 };
    if starts(&["vdiv", "vsqrt"]) {
        14
    } else if starts(&["vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms"]) {
        3
    } else if starts(&["vldm", "vstm", "vpush", "vpop", "ldm", "stm", "push", "pop"]) {
        1 + registers(&instruction.operands) + refill
    } else if starts(&["ldrd", "strd"]) {
        3
    } else if starts(&["vldr", "vstr", "ldr", "str"]) {
        2 + refill
    } else if starts(&["umull", "smull", "umlal", "smlal", "umaal"]) {
        timing.long_multiply
    } else if starts(&["mla", "mls"]) {
        timing.multiply_add
    } else if starts(&["udiv", "sdiv"]) {
        timing.divide
    } else if starts(&["tbb", "tbh"]) {
        2 + refill
    } else {
        1 + refill
    }
}

/// Words in the list of a multiple load or store.
fn registers(operands: &str) -> u64 {
    let list = operands.split_once('{').map_or("", |(_, list)| list);
    let words = list
        .split(',')
        .map(|register| match register.trim().starts_with('d') {
            true => 2,
            false => 1,
        });
    words.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
0x00000100:  f000 f802  bl       #0x108
Trace 0: 0x7f0 [0/00000100/0/0] main
0x00000108:  cc0f       ldm      r4!, {r0, r1, r2, r3}
Trace 0: 0x7f0 [0/00000108/0/0] step
0x0000010a:  ee00 0a01  vmla.f32 s0, s0, s2
Trace 0: 0x7f0 [0/0000010a/0/0] step
0x0000010e:  d1fb       bne      #0x108
Trace 0: 0x7f0 [0/0000010e/0/0] step
Trace 0: 0x7f0 [0/00000108/0/0] step
Trace 0: 0x7f0 [0/0000010a/0/0] step
Trace 0: 0x7f0 [0/0000010e/0/0] step
0x00000110:  4770       bx       lr
Trace 0: 0x7f0 [0/00000110/0/0] step
0x00000104:  e000       b        #0x108
Trace 0: 0x7f0 [0/00000104/0/0] main
Trace 0: 0x7f0 [0/00000108/0/0] step
";

    #[test]
    fn a_step_is_what_lies_between_its_first_instruction_and_the_return() {
        let steps = steps(LOG.as_bytes(), 0x108).unwrap();
        assert_eq!(steps.len(), 1, "the second never returned");
        let timing = timing(Core::CortexM4F).unwrap();
        let mix = mix(&steps[0], timing).unwrap();
        assert_eq!(mix.instructions, 7);
        // Twice LDM of four (5) and VMLA (3); BNE taken (1 + 2) and not (1); the return (1 + 2).
        assert_eq!(mix.cycles, 2 * (5 + 3) + 3 + 1 + 3);
        assert_eq!(mix.mnemonics["vmla.f32"], 2);
    }

    #[test]
    fn lists_count_their_words() {
        assert_eq!(registers("r1!, {s0, s1, s2}"), 3);
        assert_eq!(registers("{d8, d9}"), 4);
        assert_eq!(registers("{r4, r5, r7, pc}"), 4);
    }
}
