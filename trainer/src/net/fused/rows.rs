//! What layers make of rows, forward and backward: product, bias and what is done with each sum in one pass.
//!
//! ```text
//! Y = φ(X W + b);   dX = dZ Wᵀ ⊙ φ'
//! ```
//!
//! A general matrix product adds to what lies in Y, so that biases must first be written there, and leaves its sums for another pass
//! to activate. It packs W anew for every product, and fills vectors with columns even where a row of Y fits one. Here W is packed once,
//! and a few rows at a time come out of the registers with their bias and are finished while they lie in the nearest cache. The bits
//! are those of [`multiply`] with what comes after it.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::NullaryFnOnce;

use super::dense::{Activation, activate, slope};
use super::gemm::{Into, Matrix, is_chain, multiply};
use super::{repeat, vectorised};

/// Columns of Y that are summed together, and rows: as many sums as the registers hold.
const WIDE: usize = 16;
const FEW: usize = 6;
/// The same where a row of Y fits one vector.
const NARROW: usize = 8;
const MANY: usize = 8;
/// Values of W from which on they no longer lie in the nearer caches, and a product that goes through them less often is the faster.
const LARGE: usize = 128 * 128 + 1;
/// Rows from which on packing pays, but for that of a head, which is small.
const REPAID: usize = 128;
/// Sums that the crate `gemm` computes by inner products, where both sides' inner indices lie together.
const SMALL: usize = 16 * 16;

/// A matrix `[I, O]` that rows are multiplied by, and what is added to each product, packed.
pub(super) struct Weights<'a> {
    matrix: Matrix<'a>,
    bias: Option<&'a [f32]>,
    /// I and O.
    sizes: [usize; 2],
    panels: Panels,
}

/// The matrix and b in panels.
enum Panels {
    Wide(Panelled<WIDE>),
    Narrow(Panelled<NARROW>),
    /// In none: the general product does it.
    Unpacked,
}

/// Some columns after others, filled up with zeros: I rows of each, and of b one.
struct Panelled<const C: usize> {
    matrix: Vec<[f32; C]>,
    bias: Option<Vec<[f32; C]>>,
}

/// What becomes of the sums.
#[derive(Clone, Copy)]
pub(super) enum Then<'a> {
    /// φ of them.
    Activate(Activation),
    /// They are multiplied by φ', given these values of φ.
    Slope(Activation, &'a [f32]),
}

impl Then<'_> {
    /// The same of some of the sums.
    #[inline(always)]
    fn of(self, span: Range<usize>) -> Self {
        match self {
            Self::Activate(activation) => Self::Activate(activation),
            Self::Slope(activation, values) => Self::Slope(activation, &values[span]),
        }
    }
}

impl<'a> Weights<'a> {
    /// Row-major W `[I, O]`, which `rows` will be multiplied by, and b `[O]`.
    ///
    /// # Panics
    ///
    /// If W is not of that size.
    pub(super) fn new(weight: &'a [f32], bias: &'a [f32], inputs: usize, rows: usize) -> Self {
        let outputs = bias.len();
        assert_eq!(weight.len(), inputs * outputs);
        let panels = match rows {
            ..REPAID if outputs > NARROW => Panels::Unpacked,
            _ => Panels::new([inputs, outputs], weight, [outputs, 1], Some(bias)),
        };
        Self {
            matrix: Matrix::new(weight, inputs, outputs),
            bias: Some(bias),
            sizes: [inputs, outputs],
            panels,
        }
    }

    /// Wᵀ of a row-major W `[inputs, outputs]`, which `rows` will be multiplied by.
    ///
    /// # Panics
    ///
    /// If W is not of that size.
    pub(super) fn transposed(
        weight: &'a [f32],
        [inputs, outputs]: [usize; 2],
        rows: usize,
    ) -> Self {
        assert_eq!(weight.len(), inputs * outputs);
        let panels = match rows {
            ..REPAID => Panels::Unpacked,
            _ => Panels::new([outputs, inputs], weight, [1, outputs], None),
        };
        Self {
            matrix: Matrix::new(weight, inputs, outputs).transposed(),
            bias: None,
            sizes: [outputs, inputs],
            panels,
        }
    }

    /// Puts what comes of row-major X behind the values of `y`.
    ///
    /// # Panics
    ///
    /// If X has no rows of I values, or what comes then does not fit.
    pub(super) fn append(&self, x: &[f32], then: Then, y: &mut Vec<f32>) {
        let first = y.len();
        let [inputs, outputs] = self.sizes;
        y.resize(
            first + x.len().checked_div(inputs).unwrap_or(0) * outputs,
            0.0,
        );
        self.apply(x, then, &mut y[first..]);
    }

    /// What comes of row-major X, over what is in `y`.
    ///
    /// # Panics
    ///
    /// If X, Y or what comes then does not fit.
    pub(super) fn apply(&self, x: &[f32], then: Then, y: &mut [f32]) {
        let [inputs, outputs] = self.sizes;
        let rows = y.len().checked_div(outputs).unwrap_or(0);
        assert_eq!([y.len(), x.len()], [rows * outputs, rows * inputs]);
        if let Then::Slope(_, values) = then {
            assert_eq!(values.len(), y.len());
        }
        // Of so few sums the general product cuts the chains of a transposed matrix into several.
        let chains = self.bias.is_some() || rows * outputs > SMALL;
        match &self.panels {
            Panels::Wide(panels) if rows >= FEW && chains => {
                let rows = PhantomData::<Six>;
                vectorised(Product(x, panels, then, y, self.sizes, rows));
            }
            Panels::Narrow(panels) if rows >= MANY && chains => {
                let rows = PhantomData::<Eight>;
                vectorised(Product(x, panels, then, y, self.sizes, rows));
            }
            _ => {
                let x = Matrix::new(x, rows, inputs);
                match self.bias {
                    Some(bias) => {
                        repeat(bias, y);
                        multiply(x, self.matrix, y, Into::Add);
                    }
                    None => multiply(x, self.matrix, y, Into::Replace),
                }
                finish(then, y);
            }
        }
    }
}

impl Panels {
    /// Of a matrix whose rows and columns lie so far apart.
    fn new(
        [inputs, outputs]: [usize; 2],
        matrix: &[f32],
        strides: [usize; 2],
        bias: Option<&[f32]>,
    ) -> Self {
        let large = inputs * outputs >= LARGE;
        match outputs {
            _ if large || !is_chain([FEW, inputs, outputs]) => Self::Unpacked,
            ..=NARROW => Self::Narrow(Panelled::new([inputs, outputs], matrix, strides, bias)),
            _ => Self::Wide(Panelled::new([inputs, outputs], matrix, strides, bias)),
        }
    }
}

impl<const C: usize> Panelled<C> {
    fn new(sizes: [usize; 2], matrix: &[f32], strides: [usize; 2], bias: Option<&[f32]>) -> Self {
        Self {
            matrix: pack(sizes, matrix, strides),
            bias: bias.map(|bias| pack([1, sizes[1]], bias, [0, 1])),
        }
    }
}

/// Panels of C columns of a matrix, one of whose strides is 1.
fn pack<const C: usize>(
    [rows, columns]: [usize; 2],
    matrix: &[f32],
    [row_stride, column_stride]: [usize; 2],
) -> Vec<[f32; C]> {
    let mut panels = vec![[0.0; C]; rows * columns.div_ceil(C)];
    for (index, panel) in panels.chunks_exact_mut(rows.max(1)).enumerate() {
        let start = index * C;
        let width = C.min(columns - start);
        if column_stride == 1 {
            for (row, panel) in panel.iter_mut().enumerate() {
                let values = &matrix[row * row_stride + start..][..width];
                panel[..width].copy_from_slice(values);
            }
            continue;
        }
        // Along what lies together, as it is read from farther away than it is written to.
        for column in 0..width {
            let values = matrix[(start + column) * column_stride..].iter();
            for (panel, value) in panel.iter_mut().zip(values.step_by(row_stride)) {
                panel[column] = *value;
            }
        }
    }
    panels
}

/// Does with sums what comes then.
///
/// # Panics
///
/// If there are not as many values as sums.
pub(super) fn finish(then: Then, sums: &mut [f32]) {
    if let Then::Slope(_, values) = then {
        assert_eq!(values.len(), sums.len());
    }
    vectorised(Finish(then, sums));
}

/// [`finish`], compiled as what it is called from.
struct Finish<'a>(Then<'a>, &'a mut [f32]);

impl NullaryFnOnce for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self(then, sums) = self;
        match then {
            Then::Activate(activation) => activate(activation, sums),
            Then::Slope(activation, values) => slope(activation, values, sums),
        }
    }
}

/// X, the panels, what comes then, Y, I and O: T rows and C columns at a time.
struct Product<'a, R, const C: usize, const T: usize>(
    &'a [f32],
    &'a Panelled<C>,
    Then<'a>,
    &'a mut [f32],
    [usize; 2],
    PhantomData<R>,
);

impl<R: Rows<T>, const C: usize, const T: usize> NullaryFnOnce for Product<'_, R, C, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self(x, panels, then, y, [inputs, outputs], _) = self;
        let rows = y.len() / outputs;
        let mut done = 0;
        while done < rows {
            // The last rows may be some of those before: they come out the same.
            let start = done.min(rows - T);
            let x = &x[start * inputs..(start + T) * inputs];
            let span = start * outputs..(start + T) * outputs;
            let y = &mut y[span.clone()];
            // The last panel first, and rows in order: what it writes beyond the end of a row is written over after it.
            let matrix = panels.matrix.chunks_exact(inputs);
            for (index, weights) in matrix.enumerate().rev() {
                let bias = panels.bias.as_ref().map(|bias| &bias[index]);
                let sums = tile(R::columns(x, inputs), weights, bias);
                for row in 0..T {
                    let y = &mut y[row * outputs + index * C..];
                    match y.first_chunk_mut() {
                        Some(y) => *y = sums[row],
                        None => {
                            // A copy, so that the sums themselves can stay in registers.
                            let last = sums[row];
                            y.copy_from_slice(&last[..y.len()]);
                        }
                    }
                }
            }
            Finish(then.of(span), y).call();
            done = start + T;
        }
    }
}

/// T rows of X, column by column, times one panel, and its biases.
#[inline(always)]
fn tile<const C: usize, const T: usize>(
    columns: impl Iterator<Item = [f32; T]>,
    weights: &[[f32; C]],
    bias: Option<&[f32; C]>,
) -> [[f32; C]; T] {
    let mut sums = [[0.0_f32; C]; T];
    for (weights, x) in weights.iter().zip(columns) {
        for r in 0..T {
            for c in 0..C {
                sums[r][c] = x[r].mul_add(weights[c], sums[r][c]);
            }
        }
    }
    if let Some(bias) = bias {
        for sums in &mut sums {
            for c in 0..C {
                sums[c] += bias[c];
            }
        }
    }
    sums
}

/// T rows that are read column by column, as iterators, none of which checks an index. (Closures would not be compiled as what they
/// are called from.)
trait Rows<const T: usize> {
    fn columns(x: &[f32], inputs: usize) -> impl Iterator<Item = [f32; T]>;
}

struct Six;

impl Rows<6> for Six {
    #[inline(always)]
    fn columns(x: &[f32], inputs: usize) -> impl Iterator<Item = [f32; 6]> {
        let (a, x) = x.split_at(inputs);
        let (b, x) = x.split_at(inputs);
        let (c, x) = x.split_at(inputs);
        let (d, x) = x.split_at(inputs);
        let (e, f) = x.split_at(inputs);
        let rows = a.iter().zip(b).zip(c).zip(d).zip(e).zip(f);
        rows.map(|(((((a, b), c), d), e), f)| [*a, *b, *c, *d, *e, *f])
    }
}

struct Eight;

impl Rows<8> for Eight {
    #[inline(always)]
    fn columns(x: &[f32], inputs: usize) -> impl Iterator<Item = [f32; 8]> {
        let (six, two) = x.split_at(6 * inputs);
        let (g, h) = two.split_at(inputs);
        let rows = Six::columns(six, inputs).zip(g).zip(h);
        rows.map(|(([a, b, c, d, e, f], g), h)| [a, b, c, d, e, f, *g, *h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fused::testing::uniform;

    const ALL: [Activation; 3] = [Activation::Identity, Activation::Tanh, Activation::Relu];

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn rows_have_the_bits_of_matrix_products_and_what_comes_after_them() {
        for rows in [0, 1, 5, 6, 7, 8, 9, 48, 255, 256] {
            for inputs in [1, 2, 3, 21, 64, 129, 512, 513] {
                for outputs in [1, 2, 5, 8, 9, 16, 17, 64, 128] {
                    let case = format!("{rows} × {inputs} × {outputs}");
                    let (x, weight) = (uniform("x", rows * inputs), uniform("w", inputs * outputs));
                    let (bias, dz) = (uniform("b", outputs), uniform("z", rows * outputs));
                    let matrix = Matrix::new(&weight, inputs, outputs);
                    let mut sums = bias.repeat(rows);
                    multiply(Matrix::new(&x, rows, inputs), matrix, &mut sums, Into::Add);
                    let mut back = vec![0.0; rows * inputs];
                    let rows_of_dz = Matrix::new(&dz, rows, outputs);
                    multiply(rows_of_dz, matrix.transposed(), &mut back, Into::Replace);
                    for activation in ALL {
                        let mut expected = sums.clone();
                        activate(activation, &mut expected);
                        let mut found = vec![7.0];
                        let weights = Weights::new(&weight, &bias, inputs, REPAID);
                        weights.append(&x, Then::Activate(activation), &mut found);
                        assert_eq!(bits(&found[1..]), bits(&expected), "{case}, {activation:?}");

                        let mut expected = back.clone();
                        slope(activation, &x, &mut expected);
                        let mut found = vec![f32::NAN; rows * inputs];
                        let weights = Weights::transposed(&weight, [inputs, outputs], REPAID);
                        weights.apply(&dz, Then::Slope(activation, &x), &mut found);
                        assert_eq!(
                            bits(&found),
                            bits(&expected),
                            "{case}, {activation:?}, back"
                        );
                    }
                }
            }
        }
    }
}
