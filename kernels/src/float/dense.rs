//! Dense layers: a panel's sums and two columns of its weights in registers.

use core::arch::asm;

/// The dense layer of the image format without its activation: `output_j = b_j + Σ_k w_jk input_k`.
///
/// The twin of `consort_runtime::layer::dense`: `parameters` in panels of 8, 4, 2 and 1 outputs,
/// `output.len() * (input.len() + 1)` of them, and returned are those behind them; outputs whose parameters
/// are missing are left as they were.
pub fn dense<'p>(parameters: &'p [f32], input: &[f32], output: &mut [f32]) -> &'p [f32] {
    let (parameters, output) = panels_of_8(parameters, input, output);
    let (parameters, output) = panels_of_4(parameters, input, output);
    let (parameters, output) = panels_of_2(parameters, input, output);
    let (parameters, _) = panels_of_1(parameters, input, output);
    parameters
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
            // Most widths have no panel: then nothing is counted.
            if panels.is_empty() {
                return (parameters, rest);
            }
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
