//! The elementary functions of integer layers: rounding shifts, tables, and the borders to `f32`.
//!
//! None branches on a value. Where a target has no instruction for a minimum, compilers would: there
//! limits are taken by masks.

use crate::math;

/// Lanes lie between −`LANE` and `LANE`; those that are held end one below `LANE`, at nine bits.
pub(crate) const LANE: i32 = 256;
/// The greatest state and table value: just below 1 in units of 2⁻¹⁵.
pub(crate) const ONE: i32 = 32_767;

/// Whether comparisons give a minimum without a branch: by SSAT or a conditional instruction.
const HAS_MINIMUM: bool = cfg!(not(any(
    target_arch = "riscv32",
    target_arch = "riscv64",
    all(target_arch = "arm", not(target_has_atomic = "32"))
)));

/// `x` held between `low` and `high`. |x| + |limit| < 2³¹.
#[inline(always)]
pub(crate) fn held(x: i32, low: i32, high: i32) -> i32 {
    if HAS_MINIMUM {
        return x.min(high).max(low);
    }
    // The sign of a difference is all ones where the limit is passed.
    let over = high.wrapping_sub(x);
    let x = x.wrapping_add(over & (over >> 31));
    let under = x.wrapping_sub(low);
    x.wrapping_sub(under & (under >> 31))
}

/// `x` held to a lane.
#[inline(always)]
pub(crate) fn lane_held(x: i32) -> i32 {
    held(x, -LANE, LANE - 1)
}

/// ⌊x / 2ˢ + 1/2⌋, for s from 1 to 31.
#[inline(always)]
pub(crate) fn rounded(x: i32, shift: u32) -> i32 {
    x.wrapping_add(half(shift)).wrapping_shr(shift)
}

/// 2ˢ⁻¹, for s from 1 to 31.
#[inline(always)]
pub(crate) fn half(shift: u32) -> i32 {
    1i32.wrapping_shl(shift.wrapping_sub(1))
}

/// The hyperbolic tangent at knots that lie 1/16 apart, i/16 − 8 for i = 0 … 255: of each its value,
/// 32,768 tanh at its nearest whole number held to ±32,767, in the upper half of a word, and how much it
/// rises to the next knot's in the lower.
pub(super) static TANH: [i32; 256] = knots();

const fn knots() -> [i32; 256] {
    let mut knots = [0; 256];
    let mut index = 0;
    while index < knots.len() {
        let value = knot(index);
        knots[index] = value << 16 | (knot(index + 1) - value);
        index += 1;
    }
    knots
}

/// Odd by construction, so that 0 stays 0.
const fn knot(index: usize) -> i32 {
    let x = index as f32 * (1.0 / 16.0) - 8.0;
    let magnitude = if x < 0.0 { -x } else { x };
    let rounded = (32_768.0 * math::tanh(magnitude) + 0.5) as i32;
    let held = if rounded > ONE { ONE } else { rounded };
    if x < 0.0 { -held } else { held }
}

/// 2²⁰ tanh(p / 512), by the chord between knots.
#[inline(always)]
fn tanh_chord(p: i32) -> i32 {
    let p = held(p, -4096, 4095);
    let knot = TANH[(p.wrapping_add(4096) >> 5) as usize & 255];
    // The rise has 11 bits, so the shift drops it: 32 times the value stays.
    (knot >> 11).wrapping_add(i32::from(knot as i16).wrapping_mul(p & 31))
}

/// 2²¹ / (1 + e^(−p / 256)): tanh of half the argument, lifted.
#[inline(always)]
fn sigmoid_chord(p: i32) -> i32 {
    tanh_chord(p).wrapping_add(1 << 20)
}

/// tanh(p / 512) in units of 2⁻¹⁵.
#[inline(always)]
pub(crate) fn tanh(p: i32) -> i32 {
    rounded(tanh_chord(p), 5)
}

/// The logistic function of p / 256 in units of 2⁻¹⁵.
#[inline(always)]
pub(crate) fn sigmoid(p: i32) -> i32 {
    rounded(sigmoid_chord(p), 6)
}

/// tanh(p / 512) as a lane.
#[inline(always)]
pub(crate) fn tanh_lane(p: i32) -> i32 {
    rounded(tanh_chord(p), 12)
}

/// The logistic function of p / 256 as a lane.
#[inline(always)]
pub(crate) fn sigmoid_lane(p: i32) -> i32 {
    rounded(sigmoid_chord(p), 13)
}

/// p σ(p / 256), as a lane in a unit that the shift says.
#[inline(always)]
pub(crate) fn silu_lane(p: i32, shift: u32) -> i32 {
    let p = held(p, -4096, 4095);
    lane_held(rounded(p.wrapping_mul(sigmoid(p)), shift))
}

/// A state, in units of 2⁻¹⁵, as a lane.
#[inline(always)]
pub(crate) fn lane(state: i32) -> i32 {
    rounded(state, 7)
}

/// How an input becomes a lane: see [`InputScale`](super::InputScale) for what the fields mean.
#[inline(always)]
pub(crate) fn quantise(observed: f32, scale: i32) -> i32 {
    let bits = observed.to_bits();
    let (multiplier, base, zero) = (scale & 0x7f, scale >> 7 & 0x1ff, scale >> 16);
    let exponent = (bits >> 23 & 0xff) as i32;
    let significand = bits & 0x007f_ffff | 0x0080_0000;
    let shift = held(base.wrapping_sub(exponent), 0, 31) as u32;
    let product = significand.wrapping_mul(multiplier as u32);
    let magnitude = (product.wrapping_shr(shift).wrapping_add(1) >> 1) as i32;
    let sign = bits as i32 >> 31;
    let signed = (magnitude ^ sign).wrapping_sub(sign);
    lane_held(signed.wrapping_sub(zero))
}

/// x × 2⁻ᵉ as an `f32`, exactly: |x| < 2²⁴ and e from 0 to 100.
///
/// Not by a conversion: in software it takes as long as the number has leading zeros.
#[inline(always)]
pub(crate) fn float(x: i32, exponent: u32) -> f32 {
    let sign = x >> 31;
    let magnitude = (x ^ sign).wrapping_sub(sign) as u32;
    // Zero is left as 2²³ with another exponent; its bits are taken away below.
    let zeros = if HAS_MINIMUM {
        (magnitude | 1).leading_zeros().wrapping_sub(8)
    } else {
        zeros_by_halves(magnitude | 1)
    };
    let significand = magnitude.wrapping_shl(zeros) & 0x007f_ffff;
    // The exponent field of 2²³ × 2⁻ᵉ, of a significand whose leading bit is bit 23, is 150 − e.
    let field = 150u32
        .wrapping_sub(exponent)
        .wrapping_sub(zeros)
        .wrapping_shl(23);
    let some = (magnitude.wrapping_neg() as i32 >> 31) as u32;
    f32::from_bits((significand | field) & some | sign as u32 & 0x8000_0000)
}

/// How many places a number from 1 to 2²⁴ − 1 can be shifted up to have bit 23.
#[inline(always)]
fn zeros_by_halves(mut magnitude: u32) -> u32 {
    let mut zeros = 0u32;
    for step in [16, 8, 4, 2, 1] {
        // All ones where the bits above are 0, so that there is room to shift.
        let room = ((magnitude >> (24 - step)) as i32).wrapping_sub(1) >> 31;
        let by = step & room as u32;
        magnitude = magnitude.wrapping_shl(by);
        zeros = zeros.wrapping_add(by);
    }
    zeros
}
