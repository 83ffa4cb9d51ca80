//! The hyperbolic tangent and the logistic function, four values at a time.

use core::arch::asm;

use super::half;

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
        // Value by value: copies of a length that only the step knows are calls of `memcpy`.
        let at = |place| rest.get(place).copied().unwrap_or(0.0);
        let mut four = [at(0), at(1), at(2), 0.0];
        tanh_of_fours(core::slice::from_mut(&mut four));
        for (place, value) in four.into_iter().enumerate() {
            if let Some(slot) = rest.get_mut(place) {
                *slot = value;
            }
        }
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
