//! Painting the stack below the caller, and looking afterwards how far down the paint is gone.
//!
//! The only unsafe code of the firmware. It writes and reads memory that belongs to the stack but to no variable: from
//! [`WATCHED`] bytes below the caller up to the stack pointer as it is when paint is laid, above which every live frame lies.
//! An interrupt in the middle of it does no harm: its frame is gone when painting goes on.
//!
//! The test's machine is here beside the cores.

use core::arch::asm;
use core::hint::black_box;
use core::ptr::with_exposed_provenance;

use consort_replay::Stack;

/// How far down a stack is watched, in bytes. Whoever measures must have as much to spare.
const WATCHED: usize = 2048;

const PAINT: u32 = 0xa5c3_5a3c;
const WORD: usize = size_of::<u32>();

/// Measures by painting. What it finds includes its own frame, some words.
pub struct Painted;

impl Stack for Painted {
    // Neither this nor `run` is inlined: all that the work keeps on the stack must lie below what is read here.
    #[inline(never)]
    fn depth<R>(&mut self, work: impl FnOnce() -> R) -> (Option<usize>, R) {
        let top = pointer();
        paint(top - WATCHED);
        let result = run(work);
        let clean = untouched(top - WATCHED);
        ((clean > 0).then_some(WATCHED - clean), result)
    }
}

#[inline(never)]
fn run<R>(work: impl FnOnce() -> R) -> R {
    black_box(work())
}

/// Writes paint from `bottom` up to the stack pointer.
///
/// One piece of assembly, because a compiler is free to read the pointer first and to save registers below it afterwards.
#[inline(never)]
#[allow(unsafe_code)]
fn paint(bottom: usize) {
    // SAFETY: words of the stack below every frame; see the module.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!(
            "2:",
            "str {paint}, [{address}]",
            "adds {address}, #4",
            "cmp {address}, sp",
            "blo 2b",
            paint = in(reg) PAINT, address = inout(reg) bottom => _,
        );
        #[cfg(target_arch = "riscv32")]
        asm!(
            "2:",
            "sw {paint}, 0({address})",
            "addi {address}, {address}, 4",
            "bltu {address}, sp, 2b",
            paint = in(reg) PAINT, address = inout(reg) bottom => _,
        );
        #[cfg(target_arch = "x86_64")]
        asm!(
            "2:",
            "mov dword ptr [{address}], {paint:e}",
            "add {address}, 4",
            "cmp {address}, rsp",
            "jb 2b",
            paint = in(reg) PAINT, address = inout(reg) bottom => _,
        );
    }
}

/// Bytes from `bottom` upwards that are still painted.
#[inline(never)]
#[allow(unsafe_code)]
fn untouched(bottom: usize) -> usize {
    let mut clean = 0;
    // SAFETY: words of the stack that `paint` has written, below every frame or inside this one; see the module.
    while clean < WATCHED
        && unsafe { with_exposed_provenance::<u32>(bottom + clean).read_volatile() } == PAINT
    {
        clean += WORD;
    }
    clean
}

/// The stack pointer, before or after the function that this is inlined into made its frame.
#[inline(always)]
#[allow(unsafe_code)]
fn pointer() -> usize {
    let pointer: usize;
    // SAFETY: copies a register.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn uses<const BYTES: usize>() -> u8 {
        let buffer = black_box([1u8; BYTES]);
        buffer[BYTES / 2]
    }

    #[test]
    fn a_buffer_of_a_known_length_is_seen() {
        let (small, _) = Painted.depth(uses::<64>);
        let (large, _) = Painted.depth(uses::<320>);
        let (small, large) = (small.unwrap(), large.unwrap());
        assert!(small >= 64 && large >= 320, "{small} {large}");
        // 256 bytes more; an unoptimised build keeps up to three copies of the buffer. Padding may stay painted.
        assert!((192..832).contains(&(large - small)), "{small} {large}");
        assert_eq!(Painted.depth(uses::<4096>).0, None);
    }
}
