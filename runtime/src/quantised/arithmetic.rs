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
pub(crate) static TANH: [i32; 256] = knots();

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
        zeros_by_product(magnitude | 1)
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
fn zeros_by_product(mut magnitude: u32) -> u32 {
    // All bits below the leading one are set: 32 numbers, whose products with this one differ in their
    // upper five bits. What tries one bit after the other would become branches.
    for step in [1, 2, 4, 8, 16] {
        magnitude |= magnitude >> step;
    }
    u32::from(ZEROS[(magnitude.wrapping_mul(SPREAD) >> 27) as usize])
}

const SPREAD: u32 = 0x07c4_acdd;

/// By the upper bits of a product: 23 less the place of the leading bit.
static ZEROS: [u8; 32] = {
    let mut zeros = [0; 32];
    let mut place = 0;
    while place < 24 {
        let filled = (2u32 << place) - 1;
        zeros[(filled.wrapping_mul(SPREAD) >> 27) as usize] = 23 - place;
        place += 1;
    }
    zeros
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_tanh_and_chords_stay_near_it() {
        for (index, &word) in TANH.iter().enumerate() {
            let value = |index: usize| {
                let exact = (32_768.0 * (index as f64 / 16.0 - 8.0).tanh()).round();
                exact.clamp(-32_767.0, 32_767.0) as i32
            };
            assert_eq!(word >> 16, value(index), "{index}");
            assert_eq!(word & 0xffff, value(index + 1) - value(index), "{index}");
        }
        // A chord errs by at most step²/8 times the greatest second derivative, 0.77: 3.8e-4; beside it
        // knots and results are rounded, and what is beyond the table is held: 1.1e-7 and less.
        let mut worst = [0.0_f64; 2];
        for p in -5_000..5_000 {
            let x = f64::from(p) / 512.0;
            let error = (f64::from(tanh(p)) / 32_768.0 - x.tanh()).abs();
            worst[0] = worst[0].max(error);
            let logistic = 1.0 / (1.0 + (-2.0 * x).exp());
            let error = (f64::from(sigmoid(p)) / 32_768.0 - logistic).abs();
            worst[1] = worst[1].max(error);
            assert!(
                (f64::from(tanh_lane(p)) / 256.0 - x.tanh()).abs() < 3.8e-4 + 0.5 / 256.0 + 2e-5
            );
            assert!(
                (f64::from(sigmoid_lane(p)) / 256.0 - logistic).abs() < 2e-4 + 0.5 / 256.0 + 2e-5
            );
        }
        assert!(
            worst[0] < 3.8e-4 + 2.5e-5 && worst[1] < 1.9e-4 + 2.5e-5,
            "{worst:?}"
        );
        assert_eq!(
            (tanh(0), tanh_lane(0), sigmoid(0), sigmoid_lane(0)),
            (0, 0, 16_384, 128)
        );
        assert_eq!((tanh(i32::MAX / 4), sigmoid(i32::MAX / 4)), (ONE, ONE + 1));
        assert_eq!((tanh(i32::MIN / 4), sigmoid(i32::MIN / 4)), (-ONE, 1));
    }

    #[test]
    fn numbers_become_the_floats_they_are() {
        for x in (-(1 << 24) + 1..1 << 24).step_by(77).chain(-300..300) {
            for exponent in [0, 7, 100] {
                let exact = f64::from(x) * 0.5_f64.powi(exponent);
                let found = float(x, exponent as u32);
                assert_eq!(found.to_bits(), (exact as f32).to_bits(), "{x} {exponent}");
            }
            let magnitude = x.unsigned_abs() | 1;
            assert_eq!(zeros_by_product(magnitude), magnitude.leading_zeros() - 8);
        }
    }

    #[test]
    fn inputs_become_the_nearest_lane() {
        // 64 × 2^(149 − 147) = 256 lanes a unit.
        let scale = |zero: i32| zero << 16 | 147 << 7 | 64;
        for (input, lane) in [
            (0.0, 0),
            (-0.0, 0),
            (0.5, 128),
            (-0.5, -128),
            (0.001_953_125, 1),
            (-0.001_953_125, -1),
            (0.001_953, 0),
            (1e-45, 0),
            (0.999, 255),
            (1e9, 255),
            (f32::MAX, 255),
            (-1.0, -256),
            (-1.5, -256),
            (f32::MIN, -256),
        ] {
            assert_eq!(quantise(input, scale(0)), lane, "{input}");
        }
        assert_eq!(quantise(40.25, scale(40 * 256)), 64);
        assert_eq!(quantise(-40.25, scale(-40 * 256)), -64);
        // Against arithmetic in f64, over multipliers and exponents.
        let mut state = 1u32;
        for _ in 0..200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let input = f32::from_bits((state >> 8).wrapping_mul(0x2545_f491));
            let (multiplier, base) = (
                64 + (state >> 9 & 63) as i32,
                32 + (state >> 16) as i32 % 480,
            );
            if !input.is_finite() {
                continue;
            }
            let scaled = f64::from(input) * f64::from(multiplier) * 2.0_f64.powi(149 - base);
            let exact = (scaled.abs() + 0.5)
                .floor()
                .copysign(scaled)
                .clamp(-256.0, 255.0);
            let expected = if input.is_subnormal() { 0.0 } else { exact };
            assert_eq!(
                f64::from(quantise(input, base << 7 | multiplier)),
                expected,
                "{input:e} {multiplier} {base}"
            );
        }
    }

    #[test]
    fn limits_by_masks_are_limits() {
        for x in [i32::MIN / 2, -257, -256, -1, 0, 254, 255, 256, i32::MAX / 2] {
            let over = 255 - x;
            let below = x + (over & (over >> 31));
            let under = below + 256;
            assert_eq!(below - (under & (under >> 31)), x.clamp(-256, 255));
            assert_eq!(held(x, -256, 255), x.clamp(-256, 255));
        }
    }
}
