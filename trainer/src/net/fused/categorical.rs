//! Categorical distributions from logits: log-probabilities, and of those what a policy gradient
//! needs.
//!
//! ```text
//! log p_a = l_a − log Σ_b exp l_b;   H = −Σ_a p_a log p_a
//! d log p_a / d l_b = [a = b] − p_b;   d H / d l_b = −p_b (log p_b + H)
//! ```
//!
//! with l the logits plus a mask: 0 where an action is open, −∞ (or anything far below 0) where it
//! is not. Masks are held to −10⁹, so that a closed action has a probability of exactly 0, adds
//! exactly 0 to entropy and gradients, and no infinity becomes NaN.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Storage, Tensor, bail};
use consort_runtime::math;

use super::{values, vectorised, with_values};

/// Lowest value of a mask.
const CLOSED: f64 = -1e9;

/// Log-probabilities of logits `[.., A]` plus, if there is one, a constant mask of the same shape.
///
/// # Errors
///
/// If mask and logits differ in shape or a tensor is not `f32`.
pub fn log_softmax(logits: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    check_mask(logits, mask)?;
    if !logits.device().is_cpu() {
        return composed(logits, mask);
    }
    let mask = mask.map(Tensor::contiguous).transpose()?;
    let width = width(logits.shape());
    logits.contiguous()?.apply_op1(LogSoftmax { mask, width })
}

/// Log-probabilities of logits `[.., n·A]` of distributions over A = `width` actions, without a mask.
///
/// # Errors
///
/// If the last dimension is not a multiple of `width`, or a tensor is not `f32`.
pub fn log_softmax_of(logits: &Tensor, width: usize) -> Result<Tensor> {
    let last = logits.dims().last().copied().unwrap_or(0);
    if width == 0 || !last.is_multiple_of(width) {
        bail!(
            "log-softmax: {:?} in distributions of {width}",
            logits.dims()
        );
    }
    if !logits.device().is_cpu() {
        let apart = logits.reshape(((), width))?;
        return composed(&apart, None)?.reshape(logits.shape());
    }
    let mask = None;
    logits.contiguous()?.apply_op1(LogSoftmax { mask, width })
}

/// For logits `[.., A]`, a constant mask of that shape if there is one, and the indices `[..]`
/// (`u32`) of the actions taken: the actions' log-probabilities and the entropies, each `[..]`.
///
/// # Errors
///
/// If shapes do not fit, `actions` is not `u32` or another tensor not `f32`, or (on the CPU) an
/// action is not below A.
pub fn categorical(
    logits: &Tensor,
    mask: Option<&Tensor>,
    actions: &Tensor,
) -> Result<(Tensor, Tensor)> {
    check_mask(logits, mask)?;
    let last = logits.rank().saturating_sub(1);
    if logits.rank() == 0 || actions.dims() != &logits.dims()[..last] {
        bail!(
            "categorical: logits {:?} need actions of that shape without its last dimension, found {:?}",
            logits.dims(),
            actions.dims()
        );
    }
    if actions.dtype() != DType::U32 {
        bail!(
            "categorical: actions are {:?}, expected u32",
            actions.dtype()
        );
    }
    if !logits.device().is_cpu() {
        let log_probs = composed(logits, mask)?;
        let taken = log_probs
            .gather(&actions.unsqueeze(last)?, last)?
            .squeeze(last)?;
        let entropies = (log_probs.exp()? * &log_probs)?.sum(last)?.neg()?;
        return Ok((taken, entropies));
    }
    let op = Categorical {
        mask: mask.map(Tensor::contiguous).transpose()?,
        actions: actions.contiguous()?,
    };
    let both = logits.contiguous()?.apply_op1(op)?;
    Ok((both.get(0)?, both.get(1)?))
}

fn check_mask(logits: &Tensor, mask: Option<&Tensor>) -> Result<()> {
    match mask {
        Some(mask) if mask.dims() != logits.dims() => bail!(
            "a mask of shape {:?} for logits of shape {:?}",
            mask.dims(),
            logits.dims()
        ),
        _ => Ok(()),
    }
}

/// Log-probabilities from candle's own operations.
fn composed(logits: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let masked = match mask {
        Some(mask) => (logits + mask.detach().maximum(CLOSED)?)?,
        None => logits.clone(),
    };
    candle_nn::ops::log_softmax(&masked, candle_core::D::Minus1)
}

struct LogSoftmax {
    mask: Option<Tensor>,
    /// A.
    width: usize,
}

impl CustomOp1 for LogSoftmax {
    fn name(&self) -> &'static str {
        "log-softmax"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = values(logits, layout)?;
        let log_probs = log_probs(logits, self.mask.as_ref(), self.width)?;
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

/// Gives `[2, ..]`: the log-probabilities of the actions, then the entropies.
struct Categorical {
    mask: Option<Tensor>,
    actions: Tensor,
}

impl CustomOp1 for Categorical {
    fn name(&self) -> &'static str {
        "categorical"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = Rows::new(values(logits, layout)?, self.mask.as_ref(), layout.shape())?;
        let width = width(layout.shape());
        let mut both = with_actions(&self.actions, |actions| {
            let mut taken = Vec::with_capacity(2 * actions.len());
            for (row, &action) in rows.log_probs.chunks_exact(width).zip(actions) {
                match row.get(action as usize) {
                    Some(&log_prob) => taken.push(log_prob),
                    None => bail!("categorical: action {action} of {width}"),
                }
            }
            Ok(taken)
        })?;
        let pairs = rows.log_probs.chunks_exact(width);
        both.extend(
            pairs
                .zip(rows.probs.chunks_exact(width))
                .map(|(log_probs, probs)| entropy(log_probs, probs)),
        );
        let mut dims = vec![2];
        dims.extend_from_slice(self.actions.dims());
        Ok((CpuStorage::F32(both), Shape::from(dims)))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let shape = logits.shape();
        let width = width(shape);
        let rows = with_values(logits, |logits| {
            Rows::new(logits, self.mask.as_ref(), shape)
        })?;
        let Rows {
            log_probs,
            mut probs,
        } = rows;
        with_values(&gradient, |gradient| {
            let (of_taken, of_entropy) = gradient.split_at(gradient.len() / 2);
            with_actions(&self.actions, |actions| {
                let rows = log_probs
                    .chunks_exact(width)
                    .zip(probs.chunks_exact_mut(width));
                let gradients = of_taken.iter().zip(of_entropy).zip(actions);
                for ((log_probs, probs), ((&taken, &spread), &action)) in rows.zip(gradients) {
                    let entropy = entropy(log_probs, probs);
                    for (slope, log_prob) in probs.iter_mut().zip(log_probs) {
                        *slope *= -(taken + spread * (log_prob + entropy));
                    }
                    probs[action as usize] += taken;
                }
                Ok(())
            })
        })?;
        Ok(Some(Tensor::from_vec(probs, shape, logits.device())?))
    }
}

/// Distributions, row by row.
struct Rows {
    log_probs: Vec<f32>,
    probs: Vec<f32>,
}

impl Rows {
    fn new(logits: &[f32], mask: Option<&Tensor>, shape: &Shape) -> Result<Self> {
        let width = width(shape);
        let mut log_probs = masked(logits, mask)?;
        subtract_largest(&mut log_probs, width);
        let mut probs = exponentials(&log_probs);
        let rows = log_probs.chunks_exact_mut(width);
        for (log_probs, probs) in rows.zip(probs.chunks_exact_mut(width)) {
            let total: f32 = probs.iter().sum();
            let (log_total, share) = (total.ln(), 1.0 / total);
            log_probs.iter_mut().for_each(|l| *l -= log_total);
            probs.iter_mut().for_each(|p| *p *= share);
        }
        Ok(Self { log_probs, probs })
    }
}

/// Logits plus the mask, if there is one.
fn masked(logits: &[f32], mask: Option<&Tensor>) -> Result<Vec<f32>> {
    let mut logits = logits.to_vec();
    if let Some(mask) = mask {
        with_values(mask, |mask| {
            vectorised(|| {
                for (logit, &mask) in logits.iter_mut().zip(mask) {
                    *logit += mask.max(CLOSED as f32);
                }
            });
            Ok(())
        })?;
    }
    Ok(logits)
}

/// The same bits as [`Rows::new`]'s, without probabilities.
fn log_probs(logits: &[f32], mask: Option<&Tensor>, width: usize) -> Result<Vec<f32>> {
    let mut log_probs = masked(logits, mask)?;
    subtract_largest(&mut log_probs, width);
    let exponentials = exponentials(&log_probs);
    let rows = log_probs.chunks_exact_mut(width);
    for (log_probs, exponentials) in rows.zip(exponentials.chunks_exact(width)) {
        let log_total = exponentials.iter().sum::<f32>().ln();
        log_probs.iter_mut().for_each(|l| *l -= log_total);
    }
    Ok(log_probs)
}

/// Makes the largest of each row 0.
fn subtract_largest(rows: &mut [f32], width: usize) {
    for row in rows.chunks_exact_mut(width) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|value| *value -= largest);
    }
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

fn entropy(log_probs: &[f32], probs: &[f32]) -> f32 {
    let products = log_probs.iter().zip(probs).map(|(l, p)| l * p);
    -products.sum::<f32>()
}

/// A; 1 for shapes without values, which have no rows to cut.
fn width(shape: &Shape) -> usize {
    shape.dims().last().copied().unwrap_or(1).max(1)
}

fn with_actions<R>(actions: &Tensor, f: impl FnOnce(&[u32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = actions.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) => f(&storage.as_slice::<u32>()?[start..end]),
        _ => bail!("categorical: actions must lie contiguously on the CPU"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::net::fused::testing::{assert_close, bits, flat, variable};

    fn mask(shape: (usize, usize, usize)) -> Tensor {
        let closed = variable("mask", shape).to_vec3::<f32>().unwrap();
        let mut values = Vec::new();
        for row in closed.into_iter().flatten() {
            // Action 0 stays open, about a third of the others close.
            values.push(0.0);
            let rest = row[1..].iter();
            values.extend(rest.map(|&x| if x < -0.33 { f32::NEG_INFINITY } else { 0.0 }));
        }
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn actions((groups, samples, _): (usize, usize, usize)) -> Tensor {
        // Action 0 is open everywhere.
        Tensor::zeros((groups, samples), DType::U32, &Device::Cpu).unwrap()
    }

    #[test]
    fn values_and_gradients_are_those_of_candles_operations() {
        for shape in [(1, 1, 1), (2, 5, 3), (3, 33, 17)] {
            let logits = variable("logits", shape);
            let mask = mask(shape);
            let actions = actions(shape);
            for mask in [None, Some(&mask)] {
                let fused = log_softmax(&logits, mask).unwrap();
                let plain = composed(&logits, mask).unwrap();
                assert_close(&fused.exp().unwrap(), &plain.exp().unwrap(), 1e-6);
                let mix = variable("mix", shape).detach();
                let gradient = |y: &Tensor| {
                    let loss = (y.exp().unwrap() * &mix).unwrap().sum_all().unwrap();
                    loss.backward().unwrap().get(&logits).unwrap().clone()
                };
                assert_close(&gradient(&fused), &gradient(&plain), 3e-6);

                let (taken, entropies) = categorical(&logits, mask, &actions).unwrap();
                let index = actions.unsqueeze(2).unwrap();
                let plain_taken = plain.gather(&index, 2).unwrap().squeeze(2).unwrap();
                let products = (plain.exp().unwrap() * &plain).unwrap();
                let plain_entropies = products.sum(2).unwrap().neg().unwrap();
                assert_close(&taken, &plain_taken, 2e-6);
                assert_close(&entropies, &plain_entropies, 3e-6);
                let mix = |name: &str| variable(name, taken.shape()).detach();
                let gradient = |taken: &Tensor, entropies: &Tensor| {
                    let loss = (taken * mix("t") + (entropies * mix("e")).unwrap()).unwrap();
                    let gradients = loss.sum_all().unwrap().backward().unwrap();
                    gradients.get(&logits).unwrap().clone()
                };
                let found = gradient(&taken, &entropies);
                assert_close(&found, &gradient(&plain_taken, &plain_entropies), 5e-6);
                if let Some(mask) = mask {
                    for (slope, mask) in flat(&found).into_iter().zip(flat(mask)) {
                        assert!(mask == 0.0 || slope == 0.0);
                    }
                }
            }
        }
    }

    #[test]
    fn several_distributions_in_a_row_have_the_bits_of_each() {
        for (rows, agents, width) in [(1, 1, 1), (5, 3, 5), (33, 2, 17), (8, 4, 2)] {
            let logits = variable("logits", (2, rows, agents * width));
            let mix = variable("mix", logits.shape()).detach();
            let found = log_softmax_of(&logits, width).unwrap();
            let apart = logits.reshape((2, rows, agents, width)).unwrap();
            let expected = log_softmax(&apart, None).unwrap();
            let gradient = |y: &Tensor| {
                let loss = (y.reshape(logits.shape()).unwrap() * &mix).unwrap();
                let gradients = loss.sum_all().unwrap().backward().unwrap();
                bits(gradients.get(&logits).unwrap())
            };
            assert_eq!(gradient(&found), gradient(&expected));
            let one_by_one = Rows::new(&flat(&logits), None, apart.shape()).unwrap();
            let one_by_one: Vec<u32> = one_by_one.log_probs.iter().map(|l| l.to_bits()).collect();
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
        let actions = Tensor::new(&[2_u32, 0, 3], &Device::Cpu).unwrap();
        let (taken, entropies) = categorical(&logits, None, &actions).unwrap();
        let loss = (taken * 0.7 + (entropies * -0.4).unwrap()).unwrap();
        let gradients = loss.sum_all().unwrap().backward().unwrap();
        let found = flat(gradients.get(&logits).unwrap());
        let values: Vec<f64> = flat(&logits).iter().map(|&v| f64::from(v)).collect();
        let reference = |values: &[f64]| -> f64 {
            let rows = values.chunks_exact(4).zip([2, 0, 3]);
            rows.map(|(row, action)| {
                let total = row.iter().map(|l| l.exp()).sum::<f64>().ln();
                let entropy: f64 = row.iter().map(|l| -(l - total).exp() * (l - total)).sum();
                0.7 * (row[action] - total) - 0.4 * entropy
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

    #[test]
    fn closed_actions_have_no_probability_and_rows_do_not_depend_on_others() {
        let shape = (2, 33, 5);
        let (logits, mask, actions) = (variable("logits", shape), mask(shape), actions(shape));
        let probs = log_softmax(&logits, Some(&mask)).unwrap().exp().unwrap();
        for (p, mask) in flat(&probs).into_iter().zip(flat(&mask)) {
            assert_eq!(p == 0.0, mask != 0.0);
        }
        let (taken, entropies) = categorical(&logits, Some(&mask), &actions).unwrap();
        let one = |t: &Tensor| t.narrow(0, 1, 1).unwrap();
        let alone = categorical(&one(&logits), Some(&one(&mask)), &one(&actions)).unwrap();
        assert_eq!(bits(&alone.0), bits(&one(&taken)));
        assert_eq!(bits(&alone.1), bits(&one(&entropies)));
    }

    #[test]
    fn actions_and_masks_that_do_not_fit_are_named() {
        let logits = variable("logits", (2, 3));
        let call = |actions: &[u32], mask: Option<&Tensor>| {
            let actions = Tensor::new(actions, &Device::Cpu).unwrap();
            let result = categorical(&logits, mask, &actions);
            result.unwrap_err().to_string()
        };
        assert!(call(&[0, 3], None).contains("action 3 of 3"));
        assert!(call(&[0], None).contains("found [1]"));
        let mask = logits.narrow(1, 0, 2).unwrap();
        assert!(call(&[0, 1], Some(&mask)).contains("[2, 2]"));
    }
}
