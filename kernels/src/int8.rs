//! Whole numbers on Armv7E-M's DSP instructions: Cortex-M4, M4F, M7.
//!
//! `SMLAD` multiplies two pairs of 16 bits and adds both products. A word of weights is such a pair, of
//! numbers 256 a + b each; `SXTB16` makes the pair of the b. So four multiply-adds are two `SMLAD` and one
//! `SXTB16`, and many words are loaded by one `LDM`.
//!
//! Elsewhere the functions do nothing and say so: the caller then computes in portable Rust.

/// The products of as many panels of 4 rows as `out` has: every row's ⌊y × multiplier / 2^shift + 1/2⌋
/// with y = bias + Σ weight × lane, modulo 2³² before the shift, which is 1 to 31.
///
/// `panels`: of each 4 biases, a word of multipliers, and two words of weights for every word of `lanes`
/// (`docs/image.md`, integer layers). Whether that was done: not where the target has no DSP instructions
/// or `panels` is too short, and then `out` is as it was.
#[inline(always)]
pub fn quads(out: &mut [[i32; 4]], panels: &[i32], lanes: &[i32], shift: u32) -> bool {
    #[cfg(dsp)]
    return dsp::quads(out, panels, lanes, shift);
    #[cfg(not(dsp))]
    {
        let _ = (out, panels, lanes, shift);
        false
    }
}

/// As [`quads`] for one panel of 2 rows: 2 biases, a word of multipliers, a word of weights for every word
/// of `lanes`.
#[inline(always)]
pub fn pair(panel: &[i32], lanes: &[i32], shift: u32) -> Option<[i32; 2]> {
    #[cfg(dsp)]
    return dsp::pair(panel, lanes, shift);
    #[cfg(not(dsp))]
    {
        let _ = (panel, lanes, shift);
        None
    }
}

/// As [`quads`] of panels whose activation is a curve given by the chords of `table`, with two lanes a
/// word of `out`: of a product p held to −4096 … 4095, with w the table's word ⌊p / 32⌋ + 128 and f = p mod
/// 32, (32 × w's upper half + f × w's lower half + 2¹¹) / 2¹², rounded down.
#[inline(always)]
pub fn quads_by_chords(
    out: &mut [[i32; 2]],
    panels: &[i32],
    lanes: &[i32],
    shift: u32,
    table: &[i32; 256],
) -> bool {
    #[cfg(dsp)]
    return dsp::quads_by_chords(out, panels, lanes, shift, table);
    #[cfg(not(dsp))]
    {
        let _ = (out, panels, lanes, shift, table);
        false
    }
}

#[cfg(dsp)]
mod dsp {
    use core::arch::asm;
    use core::ptr::null;

    /// Both pairs of rows over one word of lanes: the weights' registers are overwritten.
    macro_rules! quad_word {
        ($lanes:literal: $first:literal $second:literal) => {
            concat!(
                "smlad r0, ",
                $first,
                ", ",
                $lanes,
                ", r0\n",
                "sxtb16 ",
                $first,
                ", ",
                $first,
                "\n",
                "smlad r1, ",
                $first,
                ", ",
                $lanes,
                ", r1\n",
                "smlad r2, ",
                $second,
                ", ",
                $lanes,
                ", r2\n",
                "sxtb16 ",
                $second,
                ", ",
                $second,
                "\n",
                "smlad r3, ",
                $second,
                ", ",
                $lanes,
                ", r3\n",
            )
        };
    }

    /// Two words of lanes and four of weights. Leaves N, Z, C and V as they are.
    macro_rules! quad_words {
        () => {
            concat!(
                "ldm r12!, {{r4, r5}}\n",
                "ldm lr!, {{r8, r9, r10, r11}}\n",
                quad_word!("r4": "r8" "r9"),
                quad_word!("r5": "r10" "r11"),
            )
        };
    }

    /// A sum in `$sum` times the multiplier at a byte of `$multipliers`, rounded and shifted. Half of what
    /// the shift takes is in r4, the shift in r5; r6 is overwritten.
    macro_rules! scaled {
        ($sum:literal by $multipliers:literal at $byte:literal) => {
            concat!(
                "uxtb r6, ",
                $multipliers,
                ", ror #",
                $byte,
                "\n",
                "mla ",
                $sum,
                ", ",
                $sum,
                ", r6, r4\n",
                "asr ",
                $sum,
                ", ",
                $sum,
                ", r5\n",
            )
        };
    }

    /// A value p in `$value` becomes 2²⁰ times the curve there, and half of 2¹². r4 is the address of the
    /// table's word 128, r8 half of 2¹²; r9 holds 32 in its upper half and takes f in its lower.
    macro_rules! chord {
        ($value:literal) => {
            concat!(
                "ssat ",
                $value,
                ", #13, ",
                $value,
                "\n",
                "asr r10, ",
                $value,
                ", #5\n",
                "ldr r10, [r4, r10, lsl #2]\n",
                "bfi r9, ",
                $value,
                ", #0, #5\n",
                "smlad ",
                $value,
                ", r10, r9, r8\n",
            )
        };
    }

    pub(super) fn quads(out: &mut [[i32; 4]], panels: &[i32], lanes: &[i32], shift: u32) -> bool {
        enough(out.len(), panels, lanes)
            && (out.is_empty() || {
                // SAFETY: panels are enough and at least one, with 4 words of `out` each, and no table.
                unsafe {
                    run(
                        out.as_mut_ptr().cast(),
                        out.len(),
                        panels,
                        lanes,
                        shift,
                        null(),
                    )
                }
                true
            })
    }

    pub(super) fn quads_by_chords(
        out: &mut [[i32; 2]],
        panels: &[i32],
        lanes: &[i32],
        shift: u32,
        table: &[i32; 256],
    ) -> bool {
        let middle = table.as_ptr().wrapping_add(128);
        enough(out.len(), panels, lanes)
            && (out.is_empty() || {
                // SAFETY: panels are enough and at least one, with 2 words of `out` each, and the table is
                // one of 256 words.
                unsafe {
                    run(
                        out.as_mut_ptr().cast(),
                        out.len(),
                        panels,
                        lanes,
                        shift,
                        middle,
                    )
                }
                true
            })
    }

    fn enough(count: usize, panels: &[i32], lanes: &[i32]) -> bool {
        let needed = (2 * lanes.len() + 5).checked_mul(count);
        needed.is_some_and(|needed| panels.len() >= needed)
    }

    /// # Safety
    ///
    /// `count` is at least 1 and `panels` has so many panels. `out` has 4 words for each of them where
    /// `middle` is null; else 2, and `middle` is the address of word 128 of 256.
    #[inline(never)]
    unsafe fn run(
        out: *mut i32,
        count: usize,
        panels: &[i32],
        lanes: &[i32],
        shift: u32,
        middle: *const i32,
    ) {
        let half = 1i32.wrapping_shl(shift.wrapping_sub(1));
        // SAFETY: each of the `count` turns, at least one, reads the 2 × `lanes.len()` + 5 words of a panel,
        // one after the other, and the words of `lanes`: 8 a turn of the inner loop, then 4, 2 and 1 as the
        // count's last three bits say. It writes the 4 words of its `out`, or 2 and then has read words of
        // the table: a value held to 13 bits and shifted by 5 is −128 to 127. All are aligned to 4, as LDM
        // and STM need. What is pushed is popped; r6 and r7, which are the compiler's own, come back so, and
        // no operand is addressed by them in between. Flags and Q are clobbered.
        unsafe {
            asm!(
                "push {{r0, r1, r2, r3, r4, r5, r6, r7, r12}}",
                "2:",
                "ldr r12, [sp, #32]",
                "ldr r6, [sp, #16]",
                // Biases a, b of each pair become 256 a + b and b.
                "ldm lr!, {{r0, r1, r2, r3, r7}}",
                "add r0, r1, r0, lsl #8",
                "add r2, r3, r2, lsl #8",
                "subs r6, r6, #8",
                "blt 4f",
                "3:",
                quad_words!(),
                quad_words!(),
                quad_words!(),
                quad_words!(),
                "subs r6, r6, #8",
                "bge 3b",
                "4:",
                // The count's last three bits, which the eights leave as they were: C, N, and the next N.
                "lsls r6, r6, #30",
                "bcc 5f",
                quad_words!(),
                quad_words!(),
                "5:",
                "bpl 6f",
                quad_words!(),
                "6:",
                "lsls r6, r6, #1",
                "bpl 7f",
                "ldr r4, [r12]",
                "ldm lr!, {{r8, r9}}",
                quad_word!("r4": "r8" "r9"),
                "7:",
                "sub r0, r0, r1",
                "sub r2, r2, r3",
                "asr r0, r0, #8",
                "asr r2, r2, #8",
                "ldrd r4, r5, [sp, #8]",
                scaled!("r0" by "r7" at "0"),
                scaled!("r1" by "r7" at "8"),
                scaled!("r2" by "r7" at "16"),
                scaled!("r3" by "r7" at "24"),
                "ldr r4, [sp, #20]",
                "cbz r4, 8f",
                "mov r8, #0x800",
                "mov r9, #0x200000",
                chord!("r0"),
                chord!("r1"),
                chord!("r2"),
                chord!("r3"),
                // The upper half of y × 2⁴ is y / 2¹².
                "lsl r1, r1, #4",
                "pkhtb r0, r1, r0, asr #12",
                "lsl r3, r3, #4",
                "pkhtb r1, r3, r2, asr #12",
                "ldrd r4, r5, [sp]",
                "stm r4!, {{r0, r1}}",
                "b 9f",
                "8:",
                "ldrd r4, r5, [sp]",
                "stm r4!, {{r0, r1, r2, r3}}",
                "9:",
                "subs r5, r5, #1",
                "strd r4, r5, [sp]",
                "bne 2b",
                "add sp, sp, #24",
                "pop {{r6, r7, r12}}",
                inout("r0") out => _,
                inout("r1") count => _,
                inout("r2") half => _,
                inout("r3") shift & 31 => _,
                inout("r4") lanes.len() => _,
                inout("r5") middle => _,
                out("r8") _,
                out("r9") _,
                out("r10") _,
                out("r11") _,
                inout("r12") lanes.as_ptr() => _,
                inout("lr") panels.as_ptr() => _,
            );
        }
    }

    /// One pair of rows over one word of lanes.
    macro_rules! pair_word {
        ($lanes:literal: $weights:literal) => {
            concat!(
                "smlad r0, ",
                $weights,
                ", ",
                $lanes,
                ", r0\n",
                "sxtb16 ",
                $weights,
                ", ",
                $weights,
                "\n",
                "smlad r1, ",
                $weights,
                ", ",
                $lanes,
                ", r1\n",
            )
        };
    }

    /// Two words of lanes and two of weights. Leaves N, Z, C and V as they are.
    macro_rules! pair_words {
        () => {
            concat!(
                "ldm r12!, {{r4, r5}}\n",
                "ldm lr!, {{r8, r9}}\n",
                pair_word!("r4": "r8"),
                pair_word!("r5": "r9"),
            )
        };
    }

    #[inline(never)]
    pub(super) fn pair(panel: &[i32], lanes: &[i32], shift: u32) -> Option<[i32; 2]> {
        let (&[a, b, multipliers], weights) = panel.split_first_chunk()?;
        let words = lanes.len();
        if weights.len() < words {
            return None;
        }
        let (mut t, mut s) = ((a << 8).wrapping_add(b), b);
        // SAFETY: `words` words are read from `lanes` and as many from `weights`, which have them: 4 a turn
        // of the loop, then 2 and 1 as the count's last two bits say. All are aligned to 4, as LDM needs.
        // Nothing is written but the registers named, flags and Q.
        unsafe {
            asm!(
                "subs r3, r3, #4",
                "blt 3f",
                "2:",
                pair_words!(),
                pair_words!(),
                "subs r3, r3, #4",
                "bge 2b",
                "3:",
                "lsls r3, r3, #31",
                "bcc 4f",
                pair_words!(),
                "4:",
                "bpl 5f",
                "ldr r4, [r12]",
                "ldr r8, [lr]",
                pair_word!("r4": "r8"),
                "5:",
                inout("r0") t,
                inout("r1") s,
                inout("r3") words => _,
                out("r4") _,
                out("r5") _,
                out("r8") _,
                out("r9") _,
                inout("r12") lanes.as_ptr() => _,
                inout("lr") weights.as_ptr() => _,
                options(readonly, nostack),
            );
        }
        let half = 1i32.wrapping_shl(shift.wrapping_sub(1));
        let scaled = |sum: i32, multiplier: i32| {
            sum.wrapping_mul(multiplier & 0xff)
                .wrapping_add(half)
                .wrapping_shr(shift)
        };
        Some([
            scaled(t.wrapping_sub(s) >> 8, multipliers),
            scaled(s, multipliers >> 8),
        ])
    }
}
