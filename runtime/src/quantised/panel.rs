//! How rows of weights lie in an image: cut into panels, two rows a number.

use super::rows;

/// Words of a panel of 4 rows whose inputs take so many words.
pub(crate) const fn quad_len(input_words: usize) -> usize {
    5 + 2 * input_words
}

/// Words of a panel of 2 rows whose inputs take so many words.
pub(crate) const fn pair_len(input_words: usize) -> usize {
    3 + input_words
}

/// A panel of `ROWS` rows, 2 or 4: biases, a word of multipliers, a word of weights for every pair of
/// rows and every word of inputs.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a, const ROWS: usize> {
    pub(crate) biases: [i32; ROWS],
    /// A byte a row, row 0's lowest.
    pub(crate) multipliers: u32,
    pub(crate) weights: &'a [i32],
}

/// Takes a panel off `words`; none where they are too few.
#[inline(always)]
pub(crate) fn take<'a, const ROWS: usize>(
    words: &mut &'a [i32],
    input_words: usize,
) -> Option<Panel<'a, ROWS>> {
    let (&biases, rest) = words.split_first_chunk::<ROWS>()?;
    let (&multipliers, rest) = rest.split_first()?;
    let (weights, rest) = rest.split_at_checked(ROWS / 2 * input_words)?;
    *words = rest;
    Some(Panel {
        biases,
        multipliers: multipliers as u32,
        weights,
    })
}

impl Panel<'_, 4> {
    /// What each row's sum times its multiplier is, before the shift.
    #[inline(always)]
    pub(crate) fn products(&self, lanes: &[i32]) -> [i32; 4] {
        let [b0, b1, b2, b3] = self.biases;
        let sums = [joined(b0, b1), b1, joined(b2, b3), b3];
        let [t0, s0, t1, s1] = rows::quad(sums, self.weights, lanes);
        let m = self.multipliers;
        [
            first(t0, s0).wrapping_mul((m & 0xff) as i32),
            s0.wrapping_mul((m >> 8 & 0xff) as i32),
            first(t1, s1).wrapping_mul((m >> 16 & 0xff) as i32),
            s1.wrapping_mul((m >> 24) as i32),
        ]
    }
}

impl Panel<'_, 2> {
    /// What each row's sum times its multiplier is, before the shift.
    #[inline(always)]
    pub(crate) fn products(&self, lanes: &[i32]) -> [i32; 2] {
        let [b0, b1] = self.biases;
        let [t, s] = rows::pair([joined(b0, b1), b1], self.weights, lanes);
        let m = self.multipliers;
        [
            first(t, s).wrapping_mul((m & 0xff) as i32),
            s.wrapping_mul((m >> 8 & 0xff) as i32),
        ]
    }
}

/// 256 a + b.
#[inline(always)]
fn joined(a: i32, b: i32) -> i32 {
    (a << 8).wrapping_add(b)
}

/// a of 256 a + b.
#[inline(always)]
fn first(joined: i32, b: i32) -> i32 {
    joined.wrapping_sub(b) >> 8
}

/// Two lanes in a word, the first lowest.
#[inline(always)]
pub(crate) fn word(first: i32, second: i32) -> i32 {
    first & 0xffff | second << 16
}
