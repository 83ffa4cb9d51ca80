//! Elementary functions with specified bits.
//!
//! Both are built from `f32` additions, multiplications, divisions and comparisons in a fixed order, so they give the same bits on
//! every IEEE 754 target, with or without a floating-point unit; a library's `tanhf` does not. Neither branches, so compilers
//! vectorise them over slices. `docs/derivations/elementary.py` derives the coefficients, `docs/image.md` specifies them, and
//! `tests/elementary.rs` measures the errors stated here over every `f32`.

/// Beyond this the quotient below has stopped growing.
const TANH_LIMIT: f32 = 7.9;
const TANH_NUMERATOR: [f32; 4] = [4_010_803.8, 518_784.34, 11_874.888, 46.261_59];
const TANH_DENOMINATOR: [f32; 4] = [4_010_804.5, 1_855_715.4, 95_678.39, 962.776_06];

/// The hyperbolic tangent, within 6·10⁻⁷ of the true value; odd, exactly 0 at 0, never beyond ±1.
///
/// With `c` = `x` limited to ±7.9 and `s = c²`, it is `c (((p₃ s + p₂) s + p₁) s + p₀) / ((((s + q₃) s + q₂) s + q₁) s + q₀)`, a
/// minimax quotient. NaN gives NaN.
#[inline]
pub fn tanh(x: f32) -> f32 {
    let [p0, p1, p2, p3] = TANH_NUMERATOR;
    let [q0, q1, q2, q3] = TANH_DENOMINATOR;
    let x = limit(x, -TANH_LIMIT, TANH_LIMIT);
    let s = x * x;
    let numerator = ((p3 * s + p2) * s + p1) * s + p0;
    let denominator = (((s + q3) * s + q2) * s + q1) * s + q0;
    x * numerator / denominator
}

const EXP_LOWEST: f32 = -87.0;
const EXP_HIGHEST: f32 = 88.0;
const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has few enough bits that its product with a whole number up to 127 is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
const EXP_COEFFICIENTS: [f32; 5] = [
    0.499_999_94,
    0.166_665_21,
    0.041_668_39,
    0.008_368_71,
    0.001_381_461_3,
];
/// 1.5 · 2²³: adding it rounds a small number to a whole one and leaves that in the low bits.
const ROUND: f32 = 12_582_912.0;

/// The exponential, within a relative 2·10⁻⁷ from −87 to 88; exactly 1 at 0, 0 below −87, e⁸⁸ above 88.
///
/// `x = n ln 2 + r` with the whole number `n` nearest to `x / ln 2`; then `2ⁿ (1 + r + r² (c₀ + r (c₁ + … c₄ r)))`. NaN gives NaN.
#[inline]
pub fn exp(x: f32) -> f32 {
    let [c0, c1, c2, c3, c4] = EXP_COEFFICIENTS;
    let limited = limit(x, EXP_LOWEST, EXP_HIGHEST);
    let shifted = limited * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (limited - n * LN_2_HIGH) - n * LN_2_LOW;
    let tail = (((c4 * r + c3) * r + c2) * r + c1) * r + c0;
    let mantissa = (tail * (r * r) + r) + 1.0;
    // `shifted` ends in n (its higher bits leave to the left), and 127 is the exponent's bias: these are the bits of 2ⁿ.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < EXP_LOWEST {
        0.0
    } else {
        mantissa * power
    }
}

/// `clamp` without its panic, and with NaN left alone.
#[inline]
fn limit(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}
