//! The weighted squared error of critics, as one operation.
//!
//! ```text
//! L = Σ_s w_s / C · Σ_c (v_sc − y_sc)²       of C critics
//! ```
//!
//! Its gradient has the very bits of candle's operations in a row.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{values, with_values};

/// L for what critics said, y `[R, S]` or `[R, S, C]`, and should have said, v of as many values; w: `[R, S]`. Of the last two no
/// gradient is computed.
///
/// # Errors
///
/// If shapes do not fit or a tensor is not `f32`.
pub fn squared_error(said: &Tensor, due: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let fits = due.elem_count() == said.elem_count() && weights.dims() == &said.dims()[..2];
    if !fits {
        bail!(
            "squared-error: values {:?} do not fit due values {:?} and weights {:?}",
            said.dims(),
            due.dims(),
            weights.dims()
        );
    }
    if !said.device().is_cpu() {
        return composed(said, due, weights);
    }
    said.contiguous()?.apply_op1(SquaredError {
        due: due.flatten_all()?.to_vec1()?,
        weights: weights.flatten_all()?.to_vec1()?,
    })
}

/// The same from candle's own operations.
fn composed(said: &Tensor, due: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let mut error = (due.reshape(said.shape())? - said)?.sqr()?;
    if error.rank() == 3 {
        error = error.mean(2)?;
    }
    (error * weights)?.sum_all()
}

struct SquaredError {
    /// v.
    due: Vec<f32>,
    /// w.
    weights: Vec<f32>,
}

impl SquaredError {
    /// Every error, with w / C.
    fn errors(&self, said: &[f32]) -> impl Iterator<Item = (f32, f32)> {
        let critics = self.due.len() / self.weights.len().max(1);
        let share = (1.0 / critics as f64) as f32;
        let weights = self.weights.iter();
        let weights = weights.flat_map(move |w| std::iter::repeat_n(w * share, critics));
        let errors = self.due.iter().zip(said).map(|(due, said)| due - said);
        errors.zip(weights)
    }
}

impl CustomOp1 for SquaredError {
    fn name(&self) -> &'static str {
        "squared-error"
    }

    fn cpu_fwd(&self, said: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let errors = self.errors(values(said, layout)?);
        let loss = errors.map(|(error, weight)| error * error * weight).sum();
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, said: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.to_scalar::<f32>()?;
        let slopes = with_values(said, |said| {
            let errors = self.errors(said);
            Ok(errors
                .map(|(error, weight)| -(error * (gradient * weight) * 2.0))
                .collect::<Vec<f32>>())
        })?;
        let slopes = Tensor::from_vec(slopes, said.shape(), said.device())?;
        Ok(Some(slopes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fused::testing::{bits, flat, variable};

    #[test]
    fn gradients_have_the_bits_of_candles_operations() {
        for dims in [&[2, 50][..], &[2, 50, 1], &[2, 50, 3]] {
            let said = variable("said", dims);
            let (due, weights) = (variable("due", dims), variable("weights", (2, 50)));
            let [ours, candles] = [squared_error, composed].map(|op| {
                let loss = op(&said, &due.detach(), &weights.detach()).unwrap();
                let gradients = loss.backward().unwrap();
                // A zero has no sign that anything here depends on.
                let slopes = (gradients.get(&said).unwrap() + 0.0).unwrap();
                (bits(&slopes), loss.to_scalar::<f32>().unwrap())
            });
            assert_eq!(ours.0, candles.0, "{dims:?}");
            assert!((ours.1 - candles.1).abs() < 1e-4);
        }
    }

    #[test]
    fn gradients_are_the_slopes_of_a_reference_in_double_precision() {
        let (said, due) = (variable("said", (1, 4, 3)), variable("due", (1, 4, 3)));
        let weights = variable("weights", (1, 4));
        let loss = squared_error(&said, &due.detach(), &weights.detach()).unwrap();
        let found = flat(loss.backward().unwrap().get(&said).unwrap());
        let [said, due, weights] = [&said, &due, &weights].map(|variable| flat(variable));
        for (index, found) in found.into_iter().enumerate() {
            let error = f64::from(due[index]) - f64::from(said[index]);
            let slope = -2.0 * error * f64::from(weights[index / 3]) / 3.0;
            assert!((f64::from(found) - slope).abs() < 1e-6, "{found} {slope}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (said, due) = (variable("said", (1, 4, 3)), variable("due", (1, 4, 2)));
        let error = squared_error(&said, &due, &variable("weights", (1, 4))).unwrap_err();
        assert!(error.to_string().contains("[1, 4, 2]"), "{error}");
    }
}
