//! Products with few columns: what a head makes of features.
//!
//! ```text
//! Y = X W + b
//! ```
//!
//! A general matrix product fills its vectors with columns of W, and is made for many. Here one vector holds all of a row of Y.
//! The bits are those of [`multiply`].

use super::gemm::{Into, Matrix, is_chain, multiply};
use super::{repeat, vectorised};

/// The most columns.
pub(super) const NARROW: usize = 8;
/// Rows that are summed together.
const TALL: usize = 8;

/// Puts the rows of Y behind the values of `y`, for row-major X `[S, I]`, W `[I, O]` and b `[O]`.
///
/// # Panics
///
/// If W is not of that size.
pub(super) fn append_rows(
    x: &[f32],
    inputs: usize,
    weight: &[f32],
    bias: &[f32],
    y: &mut Vec<f32>,
) {
    let outputs = bias.len();
    assert_eq!(weight.len(), inputs * outputs);
    let rows = x.len().checked_div(inputs).unwrap_or(0);
    let first = y.len();
    if outputs > NARROW || rows < TALL || !is_chain([rows, inputs, outputs]) {
        y.resize(first + rows * outputs, 0.0);
        repeat(bias, &mut y[first..]);
        let (x, weight) = (
            Matrix::new(x, rows, inputs),
            Matrix::new(weight, inputs, outputs),
        );
        return multiply(x, weight, &mut y[first..], Into::Add);
    }
    let mut panel = vec![[0.0; NARROW]; inputs];
    for (wide, row) in panel.iter_mut().zip(weight.chunks_exact(outputs)) {
        wide[..outputs].copy_from_slice(row);
    }
    y.resize(first + rows * outputs, 0.0);
    let y = &mut y[first..];
    for start in (0..rows).step_by(TALL) {
        // The last rows may be some of those before: they come out the same.
        let start = start.min(rows - TALL);
        let x = &x[start * inputs..(start + TALL) * inputs];
        let sums = vectorised(Tile(x, inputs, &panel));
        let y = y[start * outputs..].chunks_exact_mut(outputs);
        for (y, sums) in y.zip(&sums) {
            let both = y.iter_mut().zip(bias.iter().zip(sums));
            both.for_each(|(y, (bias, sum))| *y = bias + sum);
        }
    }
}

/// Some rows of X, I, and W with rows filled up with zeros; gives X W.
struct Tile<'a>(&'a [f32], usize, &'a [[f32; NARROW]]);

impl pulp::NullaryFnOnce for Tile<'_> {
    type Output = [[f32; NARROW]; TALL];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self(x, inputs, panel) = self;
        let mut sums = [[0.0_f32; NARROW]; TALL];
        let (a, x) = x.split_at(inputs);
        let (b, x) = x.split_at(inputs);
        let (c, x) = x.split_at(inputs);
        let (d, x) = x.split_at(inputs);
        let (e, x) = x.split_at(inputs);
        let (f, x) = x.split_at(inputs);
        let (g, h) = x.split_at(inputs);
        // As iterators, none of which checks an index.
        let x = a.iter().zip(b).zip(c).zip(d).zip(e).zip(f).zip(g).zip(h);
        for (weights, (((((((a, b), c), d), e), f), g), h)) in panel.iter().zip(x) {
            let x = [*a, *b, *c, *d, *e, *f, *g, *h];
            for r in 0..TALL {
                for c in 0..NARROW {
                    sums[r][c] = x[r].mul_add(weights[c], sums[r][c]);
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fused::testing::uniform;

    #[test]
    fn rows_have_the_bits_of_the_matrix_product() {
        for rows in [0, 1, 7, 8, 9, 48, 255, 256] {
            for inputs in [1, 2, 3, 21, 64, 512, 513] {
                for outputs in [1, 2, 5, 8, 9] {
                    let (x, weight) = (uniform("x", rows * inputs), uniform("w", inputs * outputs));
                    let bias = uniform("b", outputs);
                    let mut expected = bias.repeat(rows);
                    let (a, b) = (
                        Matrix::new(&x, rows, inputs),
                        Matrix::new(&weight, inputs, outputs),
                    );
                    multiply(a, b, &mut expected, Into::Add);
                    let mut found = vec![7.0];
                    append_rows(&x, inputs, &weight, &bias, &mut found);
                    let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
                    let case = format!("{rows} × {inputs} × {outputs}");
                    assert_eq!(bits(&found[1..]), bits(&expected), "{case}");
                }
            }
        }
    }
}
