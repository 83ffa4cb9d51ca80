//! What a parsed layer must satisfy so that no step can overflow, whatever it observes.

use super::arithmetic::{LANE, half};
use super::layers::{dense_words, gru_words, lane_words};
use super::panel::{Panel, take};
use crate::error::ImageError;
use crate::layer::Activation;

/// The shifts a product may have: sums have 24 bits, products 32, so that after 8 of them no sum of two
/// overflows.
pub(crate) const SHIFTS: core::ops::RangeInclusive<u8> = 8..=30;
/// The exponents an output's unit, 2⁻ᵉ, may have.
pub(crate) const OUTPUT_EXPONENTS: core::ops::RangeInclusive<u8> = 0..=100;
/// The shifts of a silu's own product, which has 27 bits and a sign.
pub(crate) const SILU_SHIFTS: core::ops::RangeInclusive<u8> = 8..=27;
/// The multipliers of an input: normalised, so that 24 bits of an `f32` stay 24 bits and 31 never fill.
pub(crate) const INPUT_MULTIPLIERS: core::ops::RangeInclusive<u8> = 64..=127;
/// The bases of an input: from 32 on, subnormal numbers are 0.
pub(crate) const INPUT_BASES: core::ops::RangeInclusive<u16> = 32..=511;
/// What no sum, with every lane at its limit, may reach: 256 times the sum is taken in 32 bits.
pub(crate) const SUM_LIMIT: u64 = 1 << 23;

/// The exponents that a dense layer may have: it is the last, has a silu, or has no use for one.
pub(crate) fn exponents(activation: Activation, last: bool) -> core::ops::RangeInclusive<u8> {
    match activation {
        _ if last => OUTPUT_EXPONENTS,
        Activation::Silu => SILU_SHIFTS,
        _ => 0..=0,
    }
}

/// Whether a row whose weights' magnitudes add up to `sum` can neither reach [`SUM_LIMIT`] nor, times
/// its multiplier and rounded, 2³¹.
pub(crate) fn bounded(sum: u64, bias: i32, multiplier: u8, shift: u8) -> bool {
    let most = sum
        .saturating_mul(LANE as u64)
        .saturating_add(u64::from(bias.unsigned_abs()));
    let product = most
        .saturating_mul(u64::from(multiplier))
        .saturating_add(half(u32::from(shift)) as u64);
    most < SUM_LIMIT && product < 1 << 31
}

/// What is wrong with the parameters of layer `layer`, at `offset` in the image.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    pub(crate) layer: usize,
    pub(crate) offset: usize,
}

impl Check {
    /// The words of a [`Quantise`](crate::layer::Layer::Quantise) layer: one of [`InputScale`](super::InputScale) an input.
    pub(crate) fn quantise(self, words: &[i32]) -> Result<(), ImageError> {
        let good = |&word: &i32| {
            let [multiplier, base] = [word & 0x7f, word >> 7 & 0x1ff];
            INPUT_MULTIPLIERS.contains(&(multiplier as u8)) && INPUT_BASES.contains(&(base as u16))
        };
        match words.iter().position(|word| !good(word)) {
            Some(index) => Err(self.word(index)),
            None => Ok(()),
        }
    }

    /// The words of a dense layer: as many as [`dense_words`] says.
    pub(crate) fn dense(
        self,
        words: &[i32],
        inputs: usize,
        outputs: usize,
        shift: u8,
    ) -> Result<(), ImageError> {
        let mut walk = Walk::new(self, words);
        let mut rows = outputs;
        while rows > 0 {
            if rows > 2 {
                walk.panel::<4>(&[inputs], rows, shift)?;
            } else {
                walk.panel::<2>(&[inputs], rows, shift)?;
            }
            rows = rows.saturating_sub(4);
        }
        debug_assert!(words.len() != dense_words(inputs, outputs) || walk.left.is_empty());
        Ok(())
    }

    /// The words of a recurrent layer: as many as [`gru_words`] says.
    pub(crate) fn gru(
        self,
        words: &[i32],
        inputs: usize,
        hidden: usize,
        [gates, new, recurrent]: [u8; 3],
    ) -> Result<(), ImageError> {
        let mut walk = Walk::new(self, words);
        for pair in 0..lane_words(hidden) {
            let units = hidden.saturating_sub(2 * pair);
            walk.panel::<4>(&[inputs, hidden], 2 * units, gates)?;
            walk.panel::<2>(&[inputs], units, new)?;
            walk.panel::<2>(&[hidden], units, recurrent)?;
        }
        debug_assert!(words.len() != gru_words(inputs, hidden) || walk.left.is_empty());
        Ok(())
    }

    fn word(self, index: usize) -> ImageError {
        ImageError::IntegerParameter {
            layer: self.layer,
            offset: self.offset + 4 * index,
        }
    }
}

/// Panel after panel of a layer.
struct Walk<'a> {
    check: Check,
    left: &'a [i32],
    /// Words before `left`.
    done: usize,
    /// Rows before `left`, as the layer's panels count them.
    rows: usize,
}

impl<'a> Walk<'a> {
    fn new(check: Check, words: &'a [i32]) -> Self {
        Walk {
            check,
            left: words,
            done: 0,
            rows: 0,
        }
    }

    /// Checks the next panel. `parts`: how many inputs it has, matrix after matrix. Of its rows the first
    /// `rows` are some row's, the others are padding.
    fn panel<const ROWS: usize>(
        &mut self,
        parts: &[usize],
        rows: usize,
        shift: u8,
    ) -> Result<(), ImageError> {
        let input_words = parts.iter().map(|&inputs| lane_words(inputs)).sum();
        let before = self.left.len();
        let Some(panel) = take::<ROWS>(&mut self.left, input_words) else {
            return Err(self.check.word(self.done));
        };
        let bytes = panel.multipliers.to_le_bytes();
        for (row, &multiplier) in bytes.iter().enumerate() {
            let used = row < rows.min(ROWS);
            if used != (multiplier != 0) {
                return Err(self.check.word(self.done + ROWS));
            }
        }
        let mut sums = [0u64; ROWS];
        self.weights(&panel, parts, rows, &mut sums)?;
        for (row, ((&bias, sum), multiplier)) in
            panel.biases.iter().zip(sums).zip(bytes).enumerate()
        {
            if row >= rows && bias != 0 {
                return Err(self.check.word(self.done + row));
            }
            if !bounded(sum, bias, multiplier, shift) {
                return Err(ImageError::IntegerOverflow {
                    layer: self.check.layer,
                    row: self.rows + row,
                });
            }
        }
        self.done += before - self.left.len();
        self.rows += rows.min(ROWS);
        Ok(())
    }

    /// Checks a panel's weights and sums their magnitudes up, row by row.
    fn weights<const ROWS: usize>(
        &self,
        panel: &Panel<'_, ROWS>,
        parts: &[usize],
        rows: usize,
        sums: &mut [u64; ROWS],
    ) -> Result<(), ImageError> {
        let pairs = ROWS / 2;
        let mut words = panel.weights.iter().enumerate();
        for &inputs in parts {
            for input in (0..inputs).step_by(2) {
                for pair in 0..pairs {
                    let Some((index, &word)) = words.next() else {
                        continue;
                    };
                    for (half, number) in [word as i16, (word >> 16) as i16].into_iter().enumerate()
                    {
                        let b = number as i8;
                        let a = (i32::from(number) - i32::from(b)) >> 8;
                        let padding = input + half >= inputs;
                        for (row, weight) in [(2 * pair, a), (2 * pair + 1, i32::from(b))] {
                            let limit = if padding || row >= rows { 0 } else { 127 };
                            if weight.unsigned_abs() > limit {
                                return Err(self.check.word(self.done + ROWS + 1 + index));
                            }
                            if let Some(sum) = sums.get_mut(row) {
                                *sum += u64::from(weight.unsigned_abs());
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
