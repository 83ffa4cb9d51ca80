//! Matrix products of `f32` slices, on the calling thread.
//!
//! The product itself is the crate `gemm`, which is also candle's: packed panels and FMA kernels
//! chosen for the processor at run time. It takes pointers; this module takes slices and checks
//! them.

use gemm::Parallelism;

/// A matrix within a slice.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The row-major `[rows, columns]` matrix that `values` begins with.
    ///
    /// # Panics
    ///
    /// If `values` is shorter than that.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// The `[rows, columns]` matrix whose row i begins at `values[i * stride]`.
    ///
    /// # Panics
    ///
    /// If `values` ends before the last row does, or rows overlap.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        check(values.len(), rows, columns, stride);
        Self {
            values,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// The transpose, without moving a value.
    pub fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// What becomes of the values a product is written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// They are replaced: C = A B.
    Replace,
    /// The product is added: C = C + A B.
    Add,
}

/// Whether a product of `[rows, inner, columns]` with a row-major B is, element by element, one chain of fused multiplications and
/// additions over the inner index, from zero on, to which what is in C is added last.
///
/// The crate's kernels do it so, on whatever vectors, but for shapes that are vectors themselves or whose chains are cut
/// into several. Whatever computes such a product in another way, chain by chain, has the bits of [`multiply`].
pub(super) fn is_chain([rows, inner, columns]: [usize; 3]) -> bool {
    let fused = !matches!(pulp::Arch::new(), pulp::Arch::Scalar);
    fused && rows >= 2 && columns >= 2 && (3..=512).contains(&inner)
}

const INNER: &str = "inner dimensions of a matrix product";

/// C = A B or C + A B, for the row-major `[a.rows, b.columns]` matrix that `c` begins with.
///
/// # Panics
///
/// If the inner dimensions differ or `c` is too short.
pub fn multiply(a: Matrix, b: Matrix, c: &mut [f32], into: Into) {
    multiply_strided(a, b, c, b.columns, into);
}

/// [`multiply`] for a matrix C whose row i begins at `c[i * stride]`.
///
/// # Panics
///
/// If the inner dimensions differ, `c` is too short or its rows overlap.
#[allow(unsafe_code, reason = "the crate gemm takes pointers")]
pub fn multiply_strided(a: Matrix, b: Matrix, c: &mut [f32], stride: usize, into: Into) {
    assert_eq!(a.columns, b.rows, "{INNER}");
    check(c.len(), a.rows, b.columns, stride);
    // SAFETY: C lies in `c`, as `check` has made sure, which is borrowed exclusively for the call
    // and holds initialised values.
    unsafe { product(a, b, c.as_mut_ptr(), stride, into) }
}

/// Puts the row-major product A B behind the values of `c`: nothing is written twice.
///
/// # Panics
///
/// If the inner dimensions differ.
#[allow(unsafe_code, reason = "the crate gemm takes pointers")]
pub fn append_product(a: Matrix, b: Matrix, c: &mut Vec<f32>) {
    assert_eq!(a.columns, b.rows, "{INNER}");
    let (start, count) = (c.len(), a.rows * b.columns);
    c.reserve(count);
    // SAFETY: `reserve` has made room for `count` values behind the first `start`, which is where C
    // lies; with `Replace` they are written, all of them, and not read.
    unsafe {
        let end = c.as_mut_ptr().add(start);
        product(a, b, end, b.columns, Into::Replace);
        c.set_len(start + count);
    }
}

/// C = A B or C + A B.
///
/// # Safety
///
/// A has as many columns as B rows. Element (i, j) of C, at `i * stride + j` behind `c`, can be written for all rows of A and columns
/// of B, overlaps neither of them, and is initialised where the product is added.
#[allow(unsafe_code, reason = "the crate gemm takes pointers")]
unsafe fn product(a: Matrix, b: Matrix, c: *mut f32, stride: usize, into: Into) {
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    let signed = |stride: usize| isize::try_from(stride).expect("a stride within memory");
    // SAFETY: `check` has made sure, when A and B were built, that element (i, j) of each, at
    // i·row_stride + j·column_stride, lies in its slice, which is borrowed for the call; the caller
    // answers for C.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            c,
            1,
            signed(stride),
            into == Into::Add,
            a.values.as_ptr(),
            signed(a.column_stride),
            signed(a.row_stride),
            b.values.as_ptr(),
            signed(b.column_stride),
            signed(b.row_stride),
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Asserts that a `[rows, columns]` matrix with this row stride lies in `length` values.
fn check(length: usize, rows: usize, columns: usize, stride: usize) {
    assert!(stride >= columns || rows <= 1, "rows of a matrix overlap");
    let end = match rows.checked_sub(1) {
        Some(last) if columns > 0 => last
            .checked_mul(stride)
            .and_then(|start| start.checked_add(columns)),
        _ => Some(0),
    };
    assert!(
        end.is_some_and(|end| end <= length),
        "{length} values do not hold a {rows} × {columns} matrix with a stride of {stride}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fused::testing::uniform;

    #[test]
    fn products_are_those_of_the_definition_whatever_is_transposed_or_strided() {
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 7),
            (17, 64, 33),
            (1, 64, 192),
            (130, 9, 1),
            (4, 0, 3),
        ] {
            for (turn_a, turn_b, into) in [
                (false, false, Into::Replace),
                (true, false, Into::Add),
                (false, true, Into::Add),
                (true, true, Into::Replace),
            ] {
                let pad = 3;
                let (a_rows, a_columns) = if turn_a { (k, m) } else { (m, k) };
                let (b_rows, b_columns) = if turn_b { (n, k) } else { (k, n) };
                let a_values = uniform("a", a_rows * (a_columns + pad));
                let b_values = uniform("b", b_rows * (b_columns + pad));
                let mut c = uniform("c", m * (n + pad));
                let before = c.clone();
                let a = Matrix::strided(&a_values, a_rows, a_columns, a_columns + pad);
                let b = Matrix::strided(&b_values, b_rows, b_columns, b_columns + pad);
                let a = if turn_a { a.transposed() } else { a };
                let b = if turn_b { b.transposed() } else { b };
                multiply_strided(a, b, &mut c, n + pad, into);
                for (index, (&found, &old)) in c.iter().zip(&before).enumerate() {
                    let (row, column) = (index / (n + pad), index % (n + pad));
                    if column >= n {
                        assert_eq!(found, old, "what lies between rows is not written");
                        continue;
                    }
                    let product: f64 = (0..k)
                        .map(|l| {
                            let x = a.values[row * a.row_stride + l * a.column_stride];
                            let y = b.values[l * b.row_stride + column * b.column_stride];
                            f64::from(x) * f64::from(y)
                        })
                        .sum();
                    let kept = if into == Into::Add {
                        f64::from(old)
                    } else {
                        0.0
                    };
                    // At most 65 terms below 1: each rounds by at most 65 · 2⁻²⁴.
                    assert!((f64::from(found) - product - kept).abs() < 65.0 * 4e-6);
                }
            }
        }
    }

    #[test]
    fn an_appended_product_is_the_product_and_leaves_what_was_before() {
        // No columns inside: a sum of nothing, zeros.
        for (m, k, n) in [(1, 1, 1), (17, 64, 33), (5, 0, 3), (0, 2, 3)] {
            let (a, b) = (uniform("a", m * k), uniform("b", k * n));
            let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            let mut c = vec![0.5; 3];
            append_product(a, b, &mut c);
            let mut expected = vec![0.5; 3 + m * n];
            multiply(a, b, &mut expected[3..], Into::Replace);
            assert_eq!(c, expected);
        }
    }

    #[test]
    #[should_panic(expected = "do not hold a 3 × 4 matrix")]
    fn a_slice_that_is_too_short_is_refused() {
        Matrix::new(&[0.0; 11], 3, 4);
    }

    #[test]
    #[should_panic(expected = "inner dimensions")]
    fn matrices_that_do_not_fit_are_refused() {
        let values = [0.0; 12];
        multiply(
            Matrix::new(&values, 3, 4),
            Matrix::new(&values, 3, 4),
            &mut [0.0; 9],
            Into::Replace,
        );
    }
}
