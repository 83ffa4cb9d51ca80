//! Sums of a panel's rows: where the work is.

/// Adds Σ (256 a + b) x and Σ b x to `sums` for two pairs of rows: T, S of the first, T, S of the second.
///
/// `weights`: a word of each pair for every word of `lanes`. Sums wrap, which a checked image's final
/// ones never show.
#[inline(always)]
pub(crate) fn quad(sums: [i32; 4], weights: &[i32], lanes: &[i32]) -> [i32; 4] {
    let [mut t0, mut s0, mut t1, mut s1] = sums;
    let (pairs, _) = weights.as_chunks::<2>();
    for (&[w0, w1], &x) in pairs.iter().zip(lanes) {
        (t0, s0) = pair_of(t0, s0, w0, x);
        (t1, s1) = pair_of(t1, s1, w1, x);
    }
    [t0, s0, t1, s1]
}

/// As [`quad`] for one pair of rows.
#[inline(always)]
pub(crate) fn pair(sums: [i32; 2], weights: &[i32], lanes: &[i32]) -> [i32; 2] {
    let [mut t, mut s] = sums;
    for (&w, &x) in weights.iter().zip(lanes) {
        (t, s) = pair_of(t, s, w, x);
    }
    [t, s]
}

#[inline(always)]
fn pair_of(t: i32, s: i32, weights: i32, lanes: i32) -> (i32, i32) {
    let (w0, w1) = (i32::from(weights as i16), weights >> 16);
    let (x0, x1) = (i32::from(lanes as i16), lanes >> 16);
    let t = t
        .wrapping_add(w0.wrapping_mul(x0))
        .wrapping_add(w1.wrapping_mul(x1));
    let (b0, b1) = (i32::from(w0 as i8), i32::from(w1 as i8));
    let s = s
        .wrapping_add(b0.wrapping_mul(x0))
        .wrapping_add(b1.wrapping_mul(x1));
    (t, s)
}
