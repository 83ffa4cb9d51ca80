//! Sums of outer products: what a layer's weights have of the gradient.
//!
//! ```text
//! C = C + Xᵀ Z = C + Σ_s x_sᵀ z_s
//! ```
//!
//! A general matrix product first copies both sides into panels that its kernel can read. Here rows lie as the kernel wants them
//! already: it reads some of a row of the one side and sixteen values of a row of the other, and keeps their products in registers.
//! The bits are those of [`multiply`].

use super::gemm::{Into, Matrix, is_chain, multiply};
use super::vectorised;

/// Columns of C that are summed together, and rows.
const WIDE: usize = 16;
const TALL: usize = 6;
/// Values of C from which on both sides no longer lie in the nearer caches, and panels of both pay.
const LARGE: usize = 128 * 128 + 1;

/// C = C + Xᵀ Z for row-major X `[S, I]`, Z `[S, O]` and C `[I, O]`. `scratch`: memory that is used again.
///
/// # Panics
///
/// If C is not of that size, or X and Z have not equally many rows.
pub fn add_outer_products(
    [x, z]: [&[f32]; 2],
    [inputs, outputs]: [usize; 2],
    c: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    let rows = x.len().checked_div(inputs).unwrap_or(0);
    assert_eq!([x.len(), z.len()], [rows * inputs, rows * outputs]);
    assert_eq!(c.len(), inputs * outputs);
    if c.len() >= LARGE || !is_chain([inputs, rows, outputs]) {
        let (x, z) = (Matrix::new(x, rows, inputs), Matrix::new(z, rows, outputs));
        return multiply(x.transposed(), z, c, Into::Add);
    }
    // The wider side lies along vectors.
    if outputs < WIDE.min(inputs) {
        let (tall, wide) = (Rows::new(z, outputs), Rows::new(x, inputs));
        vectorised(Sum(tall, wide, scratch, |output, input, sums: &[f32]| {
            let c = c[input * outputs + output..].iter_mut().step_by(outputs);
            c.zip(sums).for_each(|(c, sum)| *c += sum);
        }));
    } else {
        let (tall, wide) = (Rows::new(x, inputs), Rows::new(z, outputs));
        vectorised(Sum(tall, wide, scratch, |input, output, sums: &[f32]| {
            let c = &mut c[input * outputs + output..][..sums.len()];
            c.iter_mut().zip(sums).for_each(|(c, sum)| *c += sum);
        }));
    }
}

/// Rows of one width, one after another.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Rows<'a> {
    fn new(values: &'a [f32], width: usize) -> Self {
        Self { values, width }
    }
}

/// Calls the last with every sum, in runs along the second: its row of the first, the run's first column of the second, the sums.
struct Sum<'a, Add>(Rows<'a>, Rows<'a>, &'a mut Vec<f32>, Add);

impl<Add: FnMut(usize, usize, &[f32])> pulp::NullaryFnOnce for Sum<'_, Add> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self(tall, wide, last, mut add) = self;
        // The columns that fill no vectors, filled up with zeros.
        last.clear();
        let rest = wide.width % WIDE;
        if rest > 0 {
            for row in wide.values.chunks_exact(wide.width) {
                let end = last.len() + WIDE;
                last.extend_from_slice(&row[wide.width - rest..]);
                last.resize(end, 0.0);
            }
        }
        let last = Rows::new(last, WIDE);
        let full = tall.width / TALL * TALL;
        for row in (0..full).step_by(TALL) {
            run::<TALL>(tall, row, wide, last, &mut add);
        }
        match tall.width - full {
            1 => run::<1>(tall, full, wide, last, &mut add),
            2 => run::<2>(tall, full, wide, last, &mut add),
            3 => run::<3>(tall, full, wide, last, &mut add),
            4 => run::<4>(tall, full, wide, last, &mut add),
            5 => run::<5>(tall, full, wide, last, &mut add),
            _ => {}
        }
    }
}

/// R rows of sums from `row` on.
#[inline(always)]
fn run<const R: usize>(
    tall: Rows,
    row: usize,
    wide: Rows,
    last: Rows,
    add: &mut impl FnMut(usize, usize, &[f32]),
) {
    let full = wide.width / WIDE * WIDE;
    for column in (0..full).step_by(WIDE) {
        let sums = tile::<R>(tall, row, wide, column);
        for (index, sums) in sums.iter().enumerate() {
            add(row + index, column, sums);
        }
    }
    if full < wide.width {
        let sums = tile::<R>(tall, row, last, 0);
        for (index, sums) in sums.iter().enumerate() {
            add(row + index, full, &sums[..wide.width - full]);
        }
    }
}

/// Sums of the products of R columns of `tall` and [`WIDE`] of `wide`.
#[inline(always)]
fn tile<const R: usize>(tall: Rows, row: usize, wide: Rows, column: usize) -> [[f32; WIDE]; R] {
    let mut sums = [[0.0_f32; WIDE]; R];
    let samples = tall.values.chunks_exact(tall.width);
    for (x, z) in samples.zip(wide.values.chunks_exact(wide.width)) {
        let (Some(x), Some(z)) = (
            x[row..].first_chunk::<R>(),
            z[column..].first_chunk::<WIDE>(),
        ) else {
            unreachable!("a tile lies within its rows");
        };
        for r in 0..R {
            for c in 0..WIDE {
                sums[r][c] = x[r].mul_add(z[c], sums[r][c]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fused::testing::uniform;

    #[test]
    fn sums_have_the_bits_of_the_matrix_product() {
        let widths = [1, 2, 3, 5, 6, 7, 13, 16, 17, 21, 54, 64, 65];
        for rows in [0, 1, 2, 3, 8, 48, 255, 256, 513] {
            for inputs in widths {
                for outputs in widths {
                    let (x, z) = (uniform("x", rows * inputs), uniform("z", rows * outputs));
                    let before = uniform("c", inputs * outputs);
                    let mut expected = before.clone();
                    let (a, b) = (
                        Matrix::new(&x, rows, inputs),
                        Matrix::new(&z, rows, outputs),
                    );
                    multiply(a.transposed(), b, &mut expected, Into::Add);
                    let mut found = before;
                    let mut scratch = vec![f32::NAN; 7];
                    add_outer_products([&x, &z], [inputs, outputs], &mut found, &mut scratch);
                    let [found, expected] = [found, expected]
                        .map(|c| c.into_iter().map(f32::to_bits).collect::<Vec<_>>());
                    assert_eq!(found, expected, "{rows} rows, {inputs} × {outputs}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "left")]
    fn rows_that_do_not_fit_are_refused() {
        add_outer_products(
            [&[0.0; 6], &[0.0; 5]],
            [3, 2],
            &mut [0.0; 6],
            &mut Vec::new(),
        );
    }
}
