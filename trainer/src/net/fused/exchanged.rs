//! Two dimensions in each other's place, as one operation.
//!
//! candle makes a view of it, and goes through that value by value wherever it is copied, or its gradient added up; here rows are copied.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{values, with_values};

/// x of A·B·C·D values, as `[A, B, C, D]` → `[A, C, B, D]`, given out in another `shape` of as many.
///
/// # Errors
///
/// If x has not that many values, or is not `f32`.
pub fn exchanged(x: &Tensor, dims: [usize; 4], shape: impl Into<Shape>) -> Result<Tensor> {
    let [a, b, c, d] = dims;
    let (count, shape) = (a * b * c * d, shape.into());
    if x.elem_count() != count || shape.elem_count() != count {
        bail!("exchanged: {:?} as {dims:?} to {shape:?}", x.dims());
    }
    if !x.device().is_cpu() {
        let x = x.reshape((a, b, c, d))?;
        return x.transpose(1, 2)?.contiguous()?.reshape(shape);
    }
    x.contiguous()?.apply_op1(Exchanged { dims, shape })
}

struct Exchanged {
    /// As they come.
    dims: [usize; 4],
    /// As they go: a view of it would be one more operation, with a gradient of its own.
    shape: Shape,
}

/// Values that a row of so many or fewer is copied with: a call for each costs more than what it copies.
const COPIED: usize = 8;

/// Rows of D values, `[A, B, C]` of them, as `[A, C, B]`.
fn exchange(rows: &[f32], [a, b, c, d]: [usize; 4]) -> Vec<f32> {
    let mut turned = vec![0.0; rows.len()];
    let mut end = 0;
    for a in 0..a {
        for c_index in 0..c {
            for b_index in 0..b {
                let from = &rows[((a * b + b_index) * c + c_index) * d..];
                let to = &mut turned[end..];
                match (from.first_chunk::<COPIED>(), to.first_chunk_mut::<COPIED>()) {
                    // What is written beyond the end of the row is written over by those after it.
                    (Some(from), Some(to)) if d <= COPIED => *to = *from,
                    _ => to[..d].copy_from_slice(&from[..d]),
                }
                end += d;
            }
        }
    }
    turned
}

impl CustomOp1 for Exchanged {
    fn name(&self) -> &'static str {
        "exchanged"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let turned = exchange(values(x, layout)?, self.dims);
        Ok((CpuStorage::F32(turned), self.shape.clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let [a, b, c, d] = self.dims;
        let gradient = gradient.contiguous()?;
        let back = with_values(&gradient, |rows| Ok(exchange(rows, [a, c, b, d])))?;
        Tensor::from_vec(back, x.shape(), x.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fused::testing::{bits, variable};

    #[test]
    fn values_and_gradients_are_those_of_candles_view() {
        for [a, b, c, d] in [
            [1, 1, 1, 1],
            [2, 3, 4, 5],
            [3, 1, 7, 2],
            [2, 6, 1, 3],
            [2, 3, 4, 8],
            [2, 3, 2, 9],
        ] {
            let x = variable("x", (a, b * c, d));
            let mix = variable("mix", (a, c, b, d)).detach();
            let view = x.reshape((a, b, c, d)).unwrap().transpose(1, 2).unwrap();
            let [ours, candles] =
                [exchanged(&x, [a, b, c, d], (a, c, b, d)).unwrap(), view].map(|y| {
                    let loss = (&y * &mix).unwrap().sum_all().unwrap();
                    let gradients = loss.backward().unwrap();
                    (
                        y.dims().to_vec(),
                        bits(&y),
                        bits(gradients.get(&x).unwrap()),
                    )
                });
            assert_eq!(ours, candles);
        }
        let x = variable("x", (2, 3));
        let shaped = exchanged(&x, [1, 2, 3, 1], (1, 2, 3)).unwrap();
        assert_eq!(shaped.dims(), [1, 2, 3]);
        assert!(exchanged(&x, [1, 2, 2, 1], (1, 2, 2, 1)).is_err());
        assert!(exchanged(&x, [1, 2, 3, 1], (1, 2, 2, 1)).is_err());
    }
}
