//! Rows of weights: how they lie in an image, and their products with lanes.
//!
//! Rows come in panels of 4, as many as fit, and at most one of 2. A panel is its biases, a word of
//! multipliers, then for every word of inputs a word of weights for each pair of rows.

#[cfg(feature = "kernels")]
use super::arithmetic::TANH;
use super::arithmetic::rounded;

/// Words of a panel of 4 rows whose inputs take so many words.
pub(crate) const fn quad_len(input_words: usize) -> usize {
    5 + 2 * input_words
}

/// Words of a panel of 2 rows whose inputs take so many words.
pub(crate) const fn pair_len(input_words: usize) -> usize {
    3 + input_words
}

/// A panel of `ROWS` rows, 2 or 4.
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

/// Takes as many panels of 4 rows off `words` as `out` has places and writes what their rows give:
/// sums times multipliers, rounded and shifted. None where the words are too few.
pub(crate) fn quads(
    out: &mut [[i32; 4]],
    words: &mut &[i32],
    lanes: &[i32],
    shift: u32,
) -> Option<()> {
    let len = quad_len(lanes.len()).checked_mul(out.len())?;
    let (own, rest) = words.split_at_checked(len)?;
    #[cfg(feature = "kernels")]
    if consort_kernels::int8::quads(out, own, lanes, shift) {
        *words = rest;
        return Some(());
    }
    *words = rest;
    quads_of(out, own, lanes, shift)
}

/// As [`quads`] of a layer whose products go through tanh: two lanes a word. Whether that was done: where
/// the target has no kernel for it, nothing is.
pub(crate) fn tanh_quads(
    out: &mut [[i32; 2]],
    words: &mut &[i32],
    lanes: &[i32],
    shift: u32,
) -> bool {
    #[cfg(feature = "kernels")]
    if let Some((own, rest)) = quad_len(lanes.len())
        .checked_mul(out.len())
        .and_then(|len| words.split_at_checked(len))
        && consort_kernels::int8::quads_by_chords(out, own, lanes, shift, &TANH)
    {
        *words = rest;
        return true;
    }
    let _ = (out, words, lanes, shift);
    false
}

#[inline(never)]
fn quads_of(out: &mut [[i32; 4]], mut words: &[i32], lanes: &[i32], shift: u32) -> Option<()> {
    for out in out {
        let panel = take::<4>(&mut words, lanes.len())?;
        let [b0, b1, b2, b3] = panel.biases;
        let [mut t0, mut s0, mut t1, mut s1] = [joined(b0, b1), b1, joined(b2, b3), b3];
        let (pairs, _) = panel.weights.as_chunks::<2>();
        for (&[w0, w1], &x) in pairs.iter().zip(lanes) {
            (t0, s0) = pair_of(t0, s0, w0, x);
            (t1, s1) = pair_of(t1, s1, w1, x);
        }
        let m = panel.multipliers;
        *out = [
            scaled(first(t0, s0), m, shift),
            scaled(s0, m >> 8, shift),
            scaled(first(t1, s1), m >> 16, shift),
            scaled(s1, m >> 24, shift),
        ];
    }
    Some(())
}

/// As [`quads`] for one panel of 2 rows.
pub(crate) fn pair(words: &mut &[i32], lanes: &[i32], shift: u32) -> Option<[i32; 2]> {
    let (own, rest) = words.split_at_checked(pair_len(lanes.len()))?;
    *words = rest;
    #[cfg(feature = "kernels")]
    if let Some(out) = consort_kernels::int8::pair(own, lanes, shift) {
        return Some(out);
    }
    pair_of_rows(own, lanes, shift)
}

#[inline(never)]
fn pair_of_rows(mut words: &[i32], lanes: &[i32], shift: u32) -> Option<[i32; 2]> {
    let panel = take::<2>(&mut words, lanes.len())?;
    let [b0, b1] = panel.biases;
    let (mut t, mut s) = (joined(b0, b1), b1);
    for (&w, &x) in panel.weights.iter().zip(lanes) {
        (t, s) = pair_of(t, s, w, x);
    }
    let m = panel.multipliers;
    Some([scaled(first(t, s), m, shift), scaled(s, m >> 8, shift)])
}

/// Adds to T and S what two inputs give to a pair of rows.
#[inline(always)]
fn pair_of(t: i32, s: i32, weights: i32, lanes: i32) -> (i32, i32) {
    let (w0, w1) = (i32::from(weights as i16), weights >> 16);
    let (x0, x1) = (i32::from(lanes as i16), lanes >> 16);
    let (b0, b1) = (i32::from(w0 as i8), i32::from(w1 as i8));
    (
        t.wrapping_add(w0.wrapping_mul(x0))
            .wrapping_add(w1.wrapping_mul(x1)),
        s.wrapping_add(b0.wrapping_mul(x0))
            .wrapping_add(b1.wrapping_mul(x1)),
    )
}

/// A sum times the multiplier in the lowest byte, rounded and shifted.
#[inline(always)]
fn scaled(sum: i32, multipliers: u32, shift: u32) -> i32 {
    rounded(sum.wrapping_mul((multipliers & 0xff) as i32), shift)
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
