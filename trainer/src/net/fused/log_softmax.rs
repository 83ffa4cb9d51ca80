//! Log-probabilities of categorical distributions from their logits.
//!
//! ```text
//! log p_a = l_a − log Σ_b exp l_b;   d log p_a / d l_b = [a = b] − p_b
//! ```

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use consort_runtime::math;

use super::{values, vectorised, with_values};

/// Log-probabilities of logits `[.., A]`.
///
/// # Errors
///
/// If the tensor is not `f32`.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    // 1 for shapes without values, which have no rows to cut.
    let width = logits.dims().last().copied().unwrap_or(1).max(1);
    log_softmax_of(logits, width)
}

/// Log-probabilities of logits `[.., n·A]` of distributions over A = `width` actions.
///
/// # Errors
///
/// If the last dimension is not a multiple of `width`, or the tensor is not `f32`.
pub fn log_softmax_of(logits: &Tensor, width: usize) -> Result<Tensor> {
    let last = logits.dims().last().copied().unwrap_or(1);
    if width == 0 || !last.is_multiple_of(width) {
        bail!(
            "log-softmax: {:?} in distributions of {width}",
            logits.dims()
        );
    }
    if !logits.device().is_cpu() {
        let apart = logits.reshape(((), width))?;
        return composed(&apart)?.reshape(logits.shape());
    }
    logits.contiguous()?.apply_op1(LogSoftmax { width })
}

/// Log-probabilities from candle's own operations.
fn composed(logits: &Tensor) -> Result<Tensor> {
    candle_nn::ops::log_softmax(logits, candle_core::D::Minus1)
}

struct LogSoftmax {
    /// A.
    width: usize,
}

impl CustomOp1 for LogSoftmax {
    fn name(&self) -> &'static str {
        "log-softmax"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let log_probs = log_probs(values(logits, layout)?, self.width);
        Ok((CpuStorage::F32(log_probs), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, log_probs: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let width = self.width;
        let slopes = with_values(log_probs, |log_probs| {
            with_values(&gradient, |gradient| {
                let mut slopes = exponentials(log_probs);
                let rows = slopes.chunks_exact_mut(width);
                for (slopes, gradient) in rows.zip(gradient.chunks_exact(width)) {
                    let total: f32 = gradient.iter().sum();
                    for (slope, g) in slopes.iter_mut().zip(gradient) {
                        *slope = g - *slope * total;
                    }
                }
                Ok(slopes)
            })
        })?;
        let slopes = Tensor::from_vec(slopes, log_probs.shape(), log_probs.device())?;
        Ok(Some(slopes))
    }
}

fn log_probs(logits: &[f32], width: usize) -> Vec<f32> {
    let mut log_probs = logits.to_vec();
    // The largest of each row becomes 0: no exponential overflows.
    for row in log_probs.chunks_exact_mut(width) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|value| *value -= largest);
    }
    let exponentials = exponentials(&log_probs);
    let rows = log_probs.chunks_exact_mut(width);
    for (log_probs, exponentials) in rows.zip(exponentials.chunks_exact(width)) {
        let log_total = exponentials.iter().sum::<f32>().ln();
        log_probs.iter_mut().for_each(|l| *l -= log_total);
    }
    log_probs
}

fn exponentials(values: &[f32]) -> Vec<f32> {
    let mut results = values.to_vec();
    vectorised(|| {
        for value in &mut results {
            *value = math::exp(*value);
        }
    });
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fused::testing::{assert_close, bits, flat, variable};

    #[test]
    fn values_and_gradients_are_those_of_candles_operations() {
        for shape in [(1, 1, 1), (2, 5, 3), (3, 33, 17)] {
            let logits = variable("logits", shape);
            let fused = log_softmax(&logits).unwrap();
            let plain = composed(&logits).unwrap();
            assert_close(&fused.exp().unwrap(), &plain.exp().unwrap(), 1e-6);
            let mix = variable("mix", shape).detach();
            let gradient = |y: &Tensor| {
                let loss = (y.exp().unwrap() * &mix).unwrap().sum_all().unwrap();
                loss.backward().unwrap().get(&logits).unwrap().clone()
            };
            assert_close(&gradient(&fused), &gradient(&plain), 3e-6);
        }
    }

    #[test]
    fn several_distributions_in_a_row_have_the_bits_of_each() {
        for (rows, agents, width) in [(1, 1, 1), (5, 3, 5), (33, 2, 17), (8, 4, 2)] {
            let logits = variable("logits", (2, rows, agents * width));
            let mix = variable("mix", logits.shape()).detach();
            let found = log_softmax_of(&logits, width).unwrap();
            let apart = logits.reshape((2, rows, agents, width)).unwrap();
            let expected = log_softmax(&apart).unwrap();
            let gradient = |y: &Tensor| {
                let loss = (y.reshape(logits.shape()).unwrap() * &mix).unwrap();
                let gradients = loss.sum_all().unwrap().backward().unwrap();
                bits(gradients.get(&logits).unwrap())
            };
            assert_eq!(gradient(&found), gradient(&expected));
            let one_by_one: Vec<u32> = flat(&logits)
                .chunks_exact(width)
                .flat_map(|row| log_probs(row, width))
                .map(f32::to_bits)
                .collect();
            assert_eq!(
                [bits(&found), bits(&expected)],
                [one_by_one.clone(), one_by_one]
            );
        }
        assert!(log_softmax_of(&variable("logits", (2, 5)), 2).is_err());
    }

    #[test]
    fn gradients_are_the_slopes_of_a_reference_in_double_precision() {
        let logits = variable("logits", (3, 4));
        let mix = [
            0.7, -0.4, 0.2, 0.9, 0.1, -1.3, 0.5, 0.3, -0.8, 0.6, 1.1, -0.2,
        ];
        let weights: Vec<f32> = mix.iter().map(|&m| m as f32).collect();
        let weights = Tensor::from_vec(weights, (3, 4), logits.device()).unwrap();
        let loss = (log_softmax(&logits).unwrap() * weights).unwrap();
        let gradients = loss.sum_all().unwrap().backward().unwrap();
        let found = flat(gradients.get(&logits).unwrap());
        let values: Vec<f64> = flat(&logits).iter().map(|&v| f64::from(v)).collect();
        let reference = |values: &[f64]| -> f64 {
            let rows = values.chunks_exact(4).zip(mix.chunks_exact(4));
            rows.map(|(row, mix)| {
                let total = row.iter().map(|l| l.exp()).sum::<f64>().ln();
                row.iter()
                    .zip(mix)
                    .map(|(l, m)| m * (l - total))
                    .sum::<f64>()
            })
            .sum()
        };
        for (index, found) in found.into_iter().enumerate() {
            let at = |step: f64| {
                let mut values = values.clone();
                values[index] += step;
                reference(&values)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((f64::from(found) - slope).abs() < 2e-6, "{found} {slope}");
        }
    }

    /// What is forbidden has a logit of −10⁹ or so.
    #[test]
    fn closed_actions_have_no_probability() {
        let logits = Tensor::new(&[0.5_f32, -1e9, 0.25], &candle_core::Device::Cpu).unwrap();
        let probs = flat(&log_softmax(&logits).unwrap().exp().unwrap());
        assert!(probs[1] == 0.0 && (probs[0] + probs[2] - 1.0).abs() < 1e-6);
    }
}
