//! `f32` on a floating-point unit with 32 single registers: VFPv4-SP, FPv5-SP and up.
//!
//! The sums of a panel and two columns of its weights lie in registers, eight inputs beside them:
//! 64 multiply-adds cost 64 `VMLA`, 4 `VLDM` of weights, 1 of inputs and 2 instructions of loop.
//!
//! `VMLA.F32` rounds its product before it adds (Armv7-M Architecture Reference Manual, A7.7.237:
//! `FPAdd(S[d], FPMul(S[n], S[m]))`), as the image format asks for; `VFMA.F32`, which does not, is
//! never used. With the feature `split-multiply-add` each is a `VMUL` and a `VADD`, by definition the
//! same bits.

use core::arch::asm;
use core::mem::MaybeUninit;

/// Multiply-adds of one column: `sum += weight * x` for every pair, by the numbers of registers. With
/// split multiply-adds the weights are overwritten.
#[cfg(not(feature = "split-multiply-add"))]
macro_rules! column {
    ($x:literal: $($sum:literal += $weight:literal),+) => {
        concat!($("vmla.f32 s", $sum, ", s", $weight, ", s", $x, "\n"),+)
    };
}
#[cfg(feature = "split-multiply-add")]
macro_rules! column {
    ($x:literal: $($sum:literal += $weight:literal),+) => {
        concat!(
            $("vmul.f32 s", $weight, ", s", $weight, ", s", $x, "\n",)+
            $("vadd.f32 s", $sum, ", s", $sum, ", s", $weight, "\n",)+
        )
    };
}

/// Beyond it, either way, the image format's tanh does not change.
const LIMIT: u32 = 7.9f32.to_bits();
/// Its coefficients, as the code below has them in s16 to s23: numerator and denominator, highest power
/// first.
static TANH: [f32; 8] = [
    46.258_878,
    11_873.285,
    518_697.24,
    4_010_094.8,
    962.676_64,
    95_663.5,
    1_855_391.9,
    4_010_095.3,
];

/// One operation in each of four lanes: `op sd, sa, sb`.
macro_rules! lanes {
    ($op:literal: $($d:literal $a:literal $b:literal),+) => {
        concat!($($op, " s", $d, ", s", $a, ", s", $b, "\n"),+)
    };
}

/// Where a core register holds a number beyond ±7.9, an infinity included, the limit takes its place;
/// its sign stays, and so does NaN. Then the value goes to its lane.
///
/// With the sign shifted out, all of these lie in one range of whole numbers: five instructions,
/// where two comparisons of floating-point numbers would be eight.
macro_rules! hold {
    ($($lane:literal $x:literal),+) => {
        concat!($(
            "add {above}, {from}, ", $x, ", lsl #1\n",
            "cmp {above}, {range}\n",
            "it ls\n",
            "bfils ", $x, ", {limit}, #0, #31\n",
            "vmov s", $lane, ", ", $x, "\n",
        )+)
    };
}

/// The hyperbolic tangent of the image format, of every value in place.
///
/// The twin of `consort_runtime::math::tanh`. Takes as many instructions whatever the values are.
pub fn tanh(values: &mut [f32]) {
    let (fours, rest) = values.as_chunks_mut::<4>();
    tanh_of_fours(fours);
    if !rest.is_empty() {
        let mut four = [0.0; 4];
        four.iter_mut()
            .zip(&*rest)
            .for_each(|(slot, &value)| *slot = value);
        tanh_of_fours(core::slice::from_mut(&mut four));
        rest.iter_mut()
            .zip(four)
            .for_each(|(slot, value)| *slot = value);
    }
}

/// Not inlined: a hundred instructions that nothing should double.
#[inline(never)]
fn tanh_of_fours(fours: &mut [[f32; 4]]) {
    if fours.is_empty() {
        return;
    }
    // SAFETY: the first load reads the 8 values of `TANH`. Each of the `fours.len()` turns, at least
    // one, loads 4 values of `fours` and stores 4 to where they were. All are `f32`, aligned to 4 as
    // VLDM and VSTM need. Flags and the registers named are clobbered, the stack is not touched.
    unsafe {
        asm!(
            "vldmia {constants}, {{s16-s23}}",
            "2:",
            "ldm {v}, {{r0-r3}}",
            hold!(0 "r0", 1 "r1", 2 "r2", 3 "r3"),
            // The square in s4 to s7, the numerator in s8 to s11, the denominator in s12 to s15.
            lanes!("vmul.f32": 4 0 0, 5 1 1, 6 2 2, 7 3 3),
            lanes!("vmul.f32": 8 16 4, 9 16 5, 10 16 6, 11 16 7),
            lanes!("vadd.f32": 12 4 20, 13 5 20, 14 6 20, 15 7 20),
            lanes!("vadd.f32": 8 8 17, 9 9 17, 10 10 17, 11 11 17),
            lanes!("vmul.f32": 12 12 4, 13 13 5, 14 14 6, 15 15 7),
            lanes!("vmul.f32": 8 8 4, 9 9 5, 10 10 6, 11 11 7),
            lanes!("vadd.f32": 12 12 21, 13 13 21, 14 14 21, 15 15 21),
            lanes!("vadd.f32": 8 8 18, 9 9 18, 10 10 18, 11 11 18),
            lanes!("vmul.f32": 12 12 4, 13 13 5, 14 14 6, 15 15 7),
            lanes!("vmul.f32": 8 8 4, 9 9 5, 10 10 6, 11 11 7),
            lanes!("vadd.f32": 12 12 22, 13 13 22, 14 14 22, 15 15 22),
            lanes!("vadd.f32": 8 8 19, 9 9 19, 10 10 19, 11 11 19),
            lanes!("vmul.f32": 12 12 4, 13 13 5, 14 14 6, 15 15 7),
            lanes!("vmul.f32": 8 0 8, 9 1 9, 10 2 10, 11 3 11),
            lanes!("vadd.f32": 12 12 23, 13 13 23, 14 14 23, 15 15 23),
            lanes!("vdiv.f32": 0 8 12, 1 9 13, 2 10 14, 3 11 15),
            "vstmia {v}!, {{s0-s3}}",
            "subs {turns}, #1",
            "bne 2b",
            constants = in(reg) TANH.as_ptr(),
            v = inout(reg) fours.as_mut_ptr() => _,
            turns = inout(reg) fours.len() => _,
            limit = in(reg) LIMIT,
            from = in(reg) (2 * LIMIT + 1).wrapping_neg(),
            range = in(reg) 2 * f32::INFINITY.to_bits() - (2 * LIMIT + 1),
            above = out(reg) _,
            out("r0") _, out("r1") _, out("r2") _, out("r3") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _,
            options(nostack),
        );
    }
}

/// The logistic function of the image format, tanh(x/2)/2 + 1/2, of every value in place.
///
/// The twin of `consort_runtime::math::sigmoid`.
pub fn sigmoid(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = half(*value));
    tanh(values);
    values
        .iter_mut()
        .for_each(|value| *value = half(*value) + 0.5);
}

/// The dense layer of the image format without its activation: `output_j = b_j + Σ_k w_jk input_k`.
///
/// The twin of `consort_runtime::layer::dense`: `parameters` in panels of 8, 4, 2 and 1 outputs,
/// `output.len() * (input.len() + 1)` of them; outputs whose parameters are missing are left as they
/// were.
pub fn dense(parameters: &[f32], input: &[f32], output: &mut [f32]) {
    let (parameters, output) = panels_of_8(parameters, input, output);
    let (parameters, output) = panels_of_4(parameters, input, output);
    let (parameters, output) = panels_of_2(parameters, input, output);
    panels_of_1(parameters, input, output);
}

/// Defines a function that computes as many panels of one width as `output` holds, and returns the
/// parameters and the outputs that are left.
///
/// `$load` loads the biases, `$eight` loads and adds the weights of the inputs in s24 to s31, `$one`
/// those of the input in s24, `$store` stores the sums.
macro_rules! panels {
    ($name:ident, $width:literal, $load:expr, $eight:expr, $one:expr, $store:expr) => {
        fn $name<'p, 'o>(
            mut parameters: &'p [f32],
            input: &[f32],
            output: &'o mut [f32],
        ) -> (&'p [f32], &'o mut [f32]) {
            let (panels, rest) = output.as_chunks_mut::<$width>();
            let panel_len = input.len().saturating_add(1).saturating_mul($width);
            let count = panels
                .len()
                .min(parameters.len().checked_div(panel_len).unwrap_or(0));
            if count == 0 {
                return (parameters, rest);
            }
            // SAFETY: `parameters` holds at least `count` panels of `$width` biases and then `$width`
            // weights for each value of `input`, which is what the loads from {w} read, in order, in
            // `count` turns of the outer loop, at least one. In each, those from {x} read `input`
            // once: 8 values in each of len / 8 turns, then one in each of len % 8. The store writes
            // the `$width` values of one of `panels`, of which there are at least `count`. All are
            // `f32`, aligned to 4 as VLDM and VSTM need. Flags and the registers named are clobbered,
            // the stack is not touched.
            unsafe {
                asm!(
                    "2:",
                    $load,
                    "mov {x}, {input}",
                    "movs {turns}, {eights}",
                    "beq 4f",
                    "3:",
                    "vldmia {x}!, {{s24-s31}}",
                    $eight,
                    "subs {turns}, #1",
                    "bne 3b",
                    "4:",
                    "movs {turns}, {ones}",
                    "beq 6f",
                    "5:",
                    "vldmia {x}!, {{s24}}",
                    $one,
                    "subs {turns}, #1",
                    "bne 5b",
                    "6:",
                    $store,
                    "subs {panels}, #1",
                    "bne 2b",
                    w = inout(reg) parameters.as_ptr() => _,
                    y = inout(reg) panels.as_mut_ptr() => _,
                    panels = inout(reg) count => _,
                    input = in(reg) input.as_ptr(),
                    eights = in(reg) input.len() / 8,
                    ones = in(reg) input.len() % 8,
                    x = out(reg) _,
                    turns = out(reg) _,
                    out("d0") _, out("d1") _, out("d2") _, out("d3") _,
                    out("d4") _, out("d5") _, out("d6") _, out("d7") _,
                    out("d8") _, out("d9") _, out("d10") _, out("d11") _,
                    out("d12") _, out("d13") _, out("d14") _, out("d15") _,
                    options(nostack),
                );
            }
            parameters = parameters.get(count * panel_len..).unwrap_or_default();
            (parameters, rest)
        }
    };
}

panels!(
    panels_of_8,
    8,
    "vldmia {w}!, {{s0-s7}}",
    concat!(
        "vldmia {w}!, {{s8-s23}}\n",
        column!(24: 0 += 8, 1 += 9, 2 += 10, 3 += 11, 4 += 12, 5 += 13, 6 += 14, 7 += 15),
        column!(25: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23),
        "vldmia {w}!, {{s8-s23}}\n",
        column!(26: 0 += 8, 1 += 9, 2 += 10, 3 += 11, 4 += 12, 5 += 13, 6 += 14, 7 += 15),
        column!(27: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23),
        "vldmia {w}!, {{s8-s23}}\n",
        column!(28: 0 += 8, 1 += 9, 2 += 10, 3 += 11, 4 += 12, 5 += 13, 6 += 14, 7 += 15),
        column!(29: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23),
        "vldmia {w}!, {{s8-s23}}\n",
        column!(30: 0 += 8, 1 += 9, 2 += 10, 3 += 11, 4 += 12, 5 += 13, 6 += 14, 7 += 15),
        column!(31: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23)
    ),
    concat!(
        "vldmia {w}!, {{s8-s15}}\n",
        column!(24: 0 += 8, 1 += 9, 2 += 10, 3 += 11, 4 += 12, 5 += 13, 6 += 14, 7 += 15)
    ),
    "vstmia {y}!, {{s0-s7}}"
);

panels!(
    panels_of_4,
    4,
    "vldmia {w}!, {{s0-s3}}",
    concat!(
        "vldmia {w}!, {{s8-s23}}\n",
        column!(24: 0 += 8, 1 += 9, 2 += 10, 3 += 11),
        column!(25: 0 += 12, 1 += 13, 2 += 14, 3 += 15),
        column!(26: 0 += 16, 1 += 17, 2 += 18, 3 += 19),
        column!(27: 0 += 20, 1 += 21, 2 += 22, 3 += 23),
        "vldmia {w}!, {{s8-s23}}\n",
        column!(28: 0 += 8, 1 += 9, 2 += 10, 3 += 11),
        column!(29: 0 += 12, 1 += 13, 2 += 14, 3 += 15),
        column!(30: 0 += 16, 1 += 17, 2 += 18, 3 += 19),
        column!(31: 0 += 20, 1 += 21, 2 += 22, 3 += 23)
    ),
    concat!(
        "vldmia {w}!, {{s8-s11}}\n",
        column!(24: 0 += 8, 1 += 9, 2 += 10, 3 += 11)
    ),
    "vstmia {y}!, {{s0-s3}}"
);

panels!(
    panels_of_2,
    2,
    "vldmia {w}!, {{s0-s1}}",
    concat!(
        "vldmia {w}!, {{s8-s23}}\n",
        column!(24: 0 += 8, 1 += 9),
        column!(25: 0 += 10, 1 += 11),
        column!(26: 0 += 12, 1 += 13),
        column!(27: 0 += 14, 1 += 15),
        column!(28: 0 += 16, 1 += 17),
        column!(29: 0 += 18, 1 += 19),
        column!(30: 0 += 20, 1 += 21),
        column!(31: 0 += 22, 1 += 23)
    ),
    concat!("vldmia {w}!, {{s8-s9}}\n", column!(24: 0 += 8, 1 += 9)),
    "vstmia {y}!, {{s0-s1}}"
);

panels!(
    panels_of_1,
    1,
    "vldmia {w}!, {{s0}}",
    concat!(
        "vldmia {w}!, {{s8-s15}}\n",
        column!(24: 0 += 8),
        column!(25: 0 += 9),
        column!(26: 0 += 10),
        column!(27: 0 += 11),
        column!(28: 0 += 12),
        column!(29: 0 += 13),
        column!(30: 0 += 14),
        column!(31: 0 += 15)
    ),
    concat!("vldmia {w}!, {{s8}}\n", column!(24: 0 += 8)),
    "vstmia {y}!, {{s0}}"
);

/// A step of the gated recurrent unit of the image format: the next state from `input`, `[I]`, and
/// `state`, `[H]`.
///
/// The twin of `consort_runtime::layer::gru`: `parameters` in panels of 4, 2 and 1 units,
/// `H * (4 + 3 * (I + H))` of them; units whose parameters are missing are left as they were in `next`,
/// `[H]`; all are where `state` has another length.
pub fn gru(parameters: &[f32], input: &[f32], state: &[f32], next: &mut [f32]) {
    if state.len() != next.len() {
        return;
    }
    let (parameters, held, next) = units_of_4(parameters, input, state, state, next);
    let (parameters, held, next) = units_of_2(parameters, input, state, held, next);
    units_of_1(parameters, input, state, held, next);
}

/// Defines a function that steps as many panels of one width as `next` holds, and returns the
/// parameters, the units' own states and the next states that are left.
///
/// `$load` loads the biases r, z, n and q (n's recurrent part), `$x4` loads and adds the weights of the
/// inputs in s28 to s31, `$x1` those of the input in s28, `$h4` and `$h1` the same of the state, `$store`
/// stores the sums in the order of the biases.
macro_rules! units {
    ($name:ident, $width:literal, $load:expr, $x4:expr, $x1:expr, $h4:expr, $h1:expr, $store:expr) => {
        fn $name<'p, 's, 'o>(
            mut parameters: &'p [f32],
            input: &[f32],
            state: &[f32],
            held: &'s [f32],
            next: &'o mut [f32],
        ) -> (&'p [f32], &'s [f32], &'o mut [f32]) {
            let (panels, rest) = next.as_chunks_mut::<$width>();
            let (holding, held_rest) = held.as_chunks::<$width>();
            let columns = input.len().saturating_add(state.len());
            let panel_len = (columns.saturating_mul(3).saturating_add(4)).saturating_mul($width);
            for (panel, held) in panels.iter_mut().zip(holding) {
                let Some((own, others)) = parameters.split_at_checked(panel_len) else { break };
                parameters = others;
                let mut sums = MaybeUninit::<[[f32; $width]; 4]>::uninit();
                // SAFETY: `own` holds 4 biases a unit, then 3 weights a unit for each value of
                // `input`, then as many for each value of `state`, which is what the loads from {w}
                // read, in order and to the end; those from {x} read `input` once, those from {h}
                // `state` once: 4 values in each of their len / 4 turns, then one in each of
                // len % 4. The store writes the 4 values a unit of `sums`. All are `f32`, aligned to
                // 4 as VLDM and VSTM need. Flags and the registers named are clobbered, the stack is
                // not touched.
                unsafe {
                    asm!(
                        $load,
                        "cmp {x_fours}, #0",
                        "beq 3f",
                        "2:",
                        "vldmia {x}!, {{s28-s31}}",
                        $x4,
                        "subs {x_fours}, #1",
                        "bne 2b",
                        "3:",
                        "cmp {x_ones}, #0",
                        "beq 5f",
                        "4:",
                        "vldmia {x}!, {{s28}}",
                        $x1,
                        "subs {x_ones}, #1",
                        "bne 4b",
                        "5:",
                        "cmp {h_fours}, #0",
                        "beq 7f",
                        "6:",
                        "vldmia {h}!, {{s28-s31}}",
                        $h4,
                        "subs {h_fours}, #1",
                        "bne 6b",
                        "7:",
                        "cmp {h_ones}, #0",
                        "beq 9f",
                        "8:",
                        "vldmia {h}!, {{s28}}",
                        $h1,
                        "subs {h_ones}, #1",
                        "bne 8b",
                        "9:",
                        $store,
                        w = inout(reg) own.as_ptr() => _,
                        x = inout(reg) input.as_ptr() => _,
                        h = inout(reg) state.as_ptr() => _,
                        y = in(reg) sums.as_mut_ptr(),
                        x_fours = inout(reg) input.len() / 4 => _,
                        x_ones = inout(reg) input.len() % 4 => _,
                        h_fours = inout(reg) state.len() / 4 => _,
                        h_ones = inout(reg) state.len() % 4 => _,
                        out("d0") _, out("d1") _, out("d2") _, out("d3") _,
                        out("d4") _, out("d5") _, out("d6") _, out("d7") _,
                        out("d8") _, out("d9") _, out("d10") _, out("d11") _,
                        out("d12") _, out("d13") _, out("d14") _, out("d15") _,
                        options(nostack),
                    );
                }
                // SAFETY: every value of `sums` has been stored.
                finish(unsafe { sums.assume_init_ref() }, held, panel);
            }
            (parameters, held_rest, rest)
        }
    };
}

units!(
    units_of_4,
    4,
    "vldmia {w}!, {{s0-s15}}",
    concat!(
        "vldmia {w}!, {{s16-s27}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 8 += 24, 9 += 25, 10 += 26, 11 += 27),
        "vldmia {w}!, {{s16-s27}}\n",
        column!(29: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 8 += 24, 9 += 25, 10 += 26, 11 += 27),
        "vldmia {w}!, {{s16-s27}}\n",
        column!(30: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 8 += 24, 9 += 25, 10 += 26, 11 += 27),
        "vldmia {w}!, {{s16-s27}}\n",
        column!(31: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 8 += 24, 9 += 25, 10 += 26, 11 += 27)
    ),
    concat!(
        "vldmia {w}!, {{s16-s27}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 8 += 24, 9 += 25, 10 += 26, 11 += 27)
    ),
    concat!(
        "vldmia {w}!, {{s16-s27}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 12 += 24, 13 += 25, 14 += 26, 15 += 27),
        "vldmia {w}!, {{s16-s27}}\n",
        column!(29: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 12 += 24, 13 += 25, 14 += 26, 15 += 27),
        "vldmia {w}!, {{s16-s27}}\n",
        column!(30: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 12 += 24, 13 += 25, 14 += 26, 15 += 27),
        "vldmia {w}!, {{s16-s27}}\n",
        column!(31: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 12 += 24, 13 += 25, 14 += 26, 15 += 27)
    ),
    concat!(
        "vldmia {w}!, {{s16-s27}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21, 6 += 22, 7 += 23, 12 += 24, 13 += 25, 14 += 26, 15 += 27)
    ),
    "vstmia {y}, {{s0-s15}}"
);

units!(
    units_of_2,
    2,
    "vldmia {w}!, {{s0-s7}}",
    concat!(
        "vldmia {w}!, {{s16-s27}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21),
        column!(29: 0 += 22, 1 += 23, 2 += 24, 3 += 25, 4 += 26, 5 += 27),
        "vldmia {w}!, {{s16-s27}}\n",
        column!(30: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21),
        column!(31: 0 += 22, 1 += 23, 2 += 24, 3 += 25, 4 += 26, 5 += 27)
    ),
    concat!(
        "vldmia {w}!, {{s16-s21}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 4 += 20, 5 += 21)
    ),
    concat!(
        "vldmia {w}!, {{s16-s27}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 6 += 20, 7 += 21),
        column!(29: 0 += 22, 1 += 23, 2 += 24, 3 += 25, 6 += 26, 7 += 27),
        "vldmia {w}!, {{s16-s27}}\n",
        column!(30: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 6 += 20, 7 += 21),
        column!(31: 0 += 22, 1 += 23, 2 += 24, 3 += 25, 6 += 26, 7 += 27)
    ),
    concat!(
        "vldmia {w}!, {{s16-s21}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18, 3 += 19, 6 += 20, 7 += 21)
    ),
    "vstmia {y}, {{s0-s7}}"
);

units!(
    units_of_1,
    1,
    "vldmia {w}!, {{s0-s3}}",
    concat!(
        "vldmia {w}!, {{s16-s27}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18),
        column!(29: 0 += 19, 1 += 20, 2 += 21),
        column!(30: 0 += 22, 1 += 23, 2 += 24),
        column!(31: 0 += 25, 1 += 26, 2 += 27)
    ),
    concat!(
        "vldmia {w}!, {{s16-s18}}\n",
        column!(28: 0 += 16, 1 += 17, 2 += 18)
    ),
    concat!(
        "vldmia {w}!, {{s16-s27}}\n",
        column!(28: 0 += 16, 1 += 17, 3 += 18),
        column!(29: 0 += 19, 1 += 20, 3 += 21),
        column!(30: 0 += 22, 1 += 23, 3 += 24),
        column!(31: 0 += 25, 1 += 26, 3 += 27)
    ),
    concat!(
        "vldmia {w}!, {{s16-s18}}\n",
        column!(28: 0 += 16, 1 += 17, 3 += 18)
    ),
    "vstmia {y}, {{s0-s3}}"
);

/// What the sums r, z, n and q of some units and their states make their next states.
#[inline(never)]
fn finish<const W: usize>(sums: &[[f32; W]; 4], held: &[f32; W], next: &mut [f32; W]) {
    let [r, z, n, q] = sums;
    let mut gates = [r.map(half), z.map(half)];
    tanh(gates.as_flattened_mut());
    let [r, z] = gates;
    let mut new = [0.0; W];
    for (new, ((n, r), q)) in new.iter_mut().zip(n.iter().zip(r).zip(q)) {
        *new = n + (half(r) + 0.5) * q;
    }
    tanh(&mut new);
    for (next, ((n, z), h)) in next.iter_mut().zip(new.iter().zip(z).zip(held)) {
        let z = half(z) + 0.5;
        *next = (1.0 - z) * n + z * h;
    }
}

fn half(x: f32) -> f32 {
    x * 0.5
}
