//! Gated recurrent units: four sums a unit, and a column of three weights a unit, in registers.

use core::arch::asm;
use core::mem::MaybeUninit;

use super::{half, tanh};

/// A step of the gated recurrent unit of the image format: the next state from `input`, `[I]`, and
/// `state`, `[H]`.
///
/// The twin of `consort_runtime::layer::gru`: `parameters` in panels of 4, 2 and 1 units,
/// `H * (4 + 3 * (I + H))` of them, and returned are those behind them; units whose parameters are missing
/// are left as they were in `next`, `[H]`; all are where `state` has another length.
pub fn gru<'p>(parameters: &'p [f32], input: &[f32], state: &[f32], next: &mut [f32]) -> &'p [f32] {
    if state.len() != next.len() {
        return parameters;
    }
    let (parameters, held, next) = units_of_4(parameters, input, state, state, next);
    let (parameters, held, next) = units_of_2(parameters, input, state, held, next);
    let (parameters, _, _) = units_of_1(parameters, input, state, held, next);
    parameters
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
            // Most widths have no panel: then nothing is counted.
            if panels.is_empty() {
                return (parameters, held_rest, rest);
            }
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
