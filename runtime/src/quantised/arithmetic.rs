//! The elementary functions of integer layers: rounding shifts, tables, and the borders to `f32`.
//!
//! None branches on a value. Where a target has no instruction for a minimum, compilers would: there
//! limits are taken by masks.

use crate::math;

/// Lanes lie between −`LANE` and `LANE`.
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

/// A number's place in [`TANH`], and how much it rises from there to the next knot.
#[derive(Clone, Copy)]
struct Knot {
    value: i16,
    rise: i16,
}

/// 32,768 tanh(i/16 − 8) at its nearest whole number, held to ±32,767, for i = 0 … 255.
static TANH: [Knot; 256] = knots();

const fn knots() -> [Knot; 256] {
    let mut knots = [Knot { value: 0, rise: 0 }; 256];
    let mut index = 0;
    let mut value = knot(0);
    while index < knots.len() {
        let next = knot(index + 1);
        knots[index] = Knot {
            value,
            rise: next - value,
        };
        value = next;
        index += 1;
    }
    knots
}

/// Odd by construction, so that 0 stays 0.
const fn knot(index: usize) -> i16 {
    let x = index as f32 * (1.0 / 16.0) - 8.0;
    let magnitude = if x < 0.0 { -x } else { x };
    let rounded = (32_768.0 * math::tanh(magnitude) + 0.5) as i32;
    let held = if rounded > ONE { ONE } else { rounded };
    (if x < 0.0 { -held } else { held }) as i16
}

/// 2¹⁵ tanh(p / 512): the chord of the table's knots, which lie 1/16 apart.
#[inline(always)]
pub(crate) fn tanh(p: i32) -> i32 {
    let p = held(p, -4096, 4095);
    let index = (p.wrapping_add(4096) >> 5) as usize & 255;
    let Knot { value, rise } = TANH[index];
    let along = i32::from(rise).wrapping_mul(p & 31);
    i32::from(value).wrapping_add(rounded(along, 5))
}

/// 2¹⁵ / (1 + e^(−p / 256)): tanh of half the argument, halved and lifted.
#[inline(always)]
pub(crate) fn sigmoid(p: i32) -> i32 {
    tanh(p).wrapping_add(32_768) >> 1
}

/// A value in units of 2⁻¹⁵ as a lane.
#[inline(always)]
pub(crate) fn lane(value: i32) -> i32 {
    rounded(value, 7)
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
    held(signed.wrapping_sub(zero), -LANE, LANE)
}

/// x × 2⁻ᵉ as an `f32`, exactly: |x| < 2²⁴ and e from 0 to 100.
///
/// By shifts and masks: a conversion in software takes as long as the number has leading zeros.
#[inline(always)]
pub(crate) fn float(x: i32, exponent: u32) -> f32 {
    let sign = x >> 31;
    let mut magnitude = ((x ^ sign).wrapping_sub(sign)) as u32;
    // The exponent field of 2²³ × 2⁻ᵉ, whose significand's leading bit is bit 23.
    let mut field = 150u32.wrapping_sub(exponent);
    for step in [16, 8, 4, 2, 1] {
        // All ones where the leading bit lies below bit 24 − step, so that there is room to shift.
        let room = ((magnitude >> (24 - step)) as i32).wrapping_sub(1) >> 31;
        let by = step & room as u32;
        magnitude = magnitude.wrapping_shl(by);
        field = field.wrapping_sub(by);
    }
    // Zero has no leading bit, and no other bit either.
    let some = ((magnitude >> 23) as i32).wrapping_neg() as u32;
    let bits = (magnitude & 0x007f_ffff | field.wrapping_shl(23)) & some;
    f32::from_bits(bits | sign as u32 & 0x8000_0000)
}
