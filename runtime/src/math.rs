//! Elementary functions with specified bits.
//!
//! All are built from `f32` additions, multiplications, divisions and comparisons in a fixed order
//! (and, for the exponential, an exponent's bits), so they give the same bits on every IEEE 754
//! target, with or without a floating-point unit; a library's `tanhf` does not. None branches,
//! so compilers vectorise them over slices.
//!
//! `docs/derivations/elementary.py` derives the coefficients, `docs/image.md` makes them part of
//! the format, and `tests/elementary.rs` measures the errors stated here over every `f32`.

/// Where 1 − tanh is down to the error of the quotient below.
const TANH_LIMIT: f32 = 7.9;
const TANH_NUMERATOR: [f32; 4] = [4_010_094.8, 518_697.24, 11_873.285, 46.258_878];
const TANH_DENOMINATOR: [f32; 4] = [4_010_095.3, 1_855_391.9, 95_663.5, 962.676_64];

/// The hyperbolic tangent, within 6·10⁻⁷ of the true value, absolute and relative.
///
/// With c = x held to ±7.9 and s = c², it is c P(s) / Q(s) with P of degree 3 and Q of degree 4, a
/// minimax quotient. Odd; exactly 0 at 0; never beyond ±1; rising, but for ripples of at most
/// 6·10⁻⁷ where rounding shows. NaN gives NaN.
#[inline]
pub const fn tanh(x: f32) -> f32 {
    let [p0, p1, p2, p3] = TANH_NUMERATOR;
    let [q0, q1, q2, q3] = TANH_DENOMINATOR;
    let c = hold(x, -TANH_LIMIT, TANH_LIMIT);
    let s = c * c;
    let numerator = ((p3 * s + p2) * s + p1) * s + p0;
    let denominator = (((s + q3) * s + q2) * s + q1) * s + q0;
    c * numerator / denominator
}

/// The logistic function 1 / (1 + e⁻ˣ) as tanh(x/2)/2 + 1/2, within 3.6·10⁻⁷ of the true value.
///
/// 1/2 at 0; never beyond 0 and 1. NaN gives NaN.
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    tanh(x * 0.5) * 0.5 + 0.5
}

/// x · [`sigmoid`]\(x): within 3.6·10⁻⁷ |x| of the true value. NaN gives NaN.
#[inline]
pub fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

const EXP_LOWEST: f32 = -87.0;
const EXP_HIGHEST: f32 = 88.0;
const EXP_COEFFICIENTS: [f32; 5] = [
    0.499_999_93,
    0.166_665_21,
    0.041_668_39,
    0.008_368_690_7,
    0.001_381_426_5,
];
const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// ln 2 as a sum. The first part has 10 significant bits: its product with an exponent is exact.
const LN_2: [f32; 2] = [0.693_359_4, -0.000_212_194_44];
/// 1.5 · 2²³. Adding it to a small number leaves the nearest whole number in the last bits.
const ROUND: f32 = 12_582_912.0;

/// The exponential, within a relative 10⁻⁷ of the true value from −87 to 88.
///
/// With n the whole number nearest to x / ln 2 and r = x − n ln 2, it is 2ⁿ (1 + r + r² C(r)) with C
/// of degree 4. Exactly 1 at 0; 0 below −87; e⁸⁸ above 88. NaN gives NaN.
#[inline]
pub fn exp(x: f32) -> f32 {
    let [c0, c1, c2, c3, c4] = EXP_COEFFICIENTS;
    let [ln_2_high, ln_2_low] = LN_2;
    let held = hold(x, EXP_LOWEST, EXP_HIGHEST);
    let shifted = held * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (held - n * ln_2_high) - n * ln_2_low;
    let c = (((c4 * r + c3) * r + c2) * r + c1) * r + c0;
    let fraction = (c * (r * r) + r) + 1.0;
    // The last bits of `shifted` are n and 127 is the exponent's bias: these are the bits of 2ⁿ.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < EXP_LOWEST {
        0.0
    } else {
        fraction * power
    }
}

/// `clamp` without its assertion, written so that NaN passes.
#[inline]
const fn hold(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}
