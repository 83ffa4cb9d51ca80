//! The clipped surrogate of proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347, equation 7).
//!
//! ```text
//! ρ = e^(log π(a) − log π_acted(a));   y = min(ρ A, clip(ρ, 1 ± ε) A)
//! ```
//!
//! With the very bits of candle's operations in a row, ties included: where both are equal, each side
//! of a minimum has half of the gradient.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{values, with_values};

/// y for log-probabilities, those of the acting policy and advantages, all of one shape; of the last
/// two no gradient is computed.
///
/// # Errors
///
/// If shapes differ or a tensor is not `f32`.
pub fn clipped(
    log_prob: &Tensor,
    acted: &Tensor,
    advantages: &Tensor,
    clip: f64,
) -> Result<Tensor> {
    if acted.dims() != log_prob.dims() || advantages.dims() != log_prob.dims() {
        bail!(
            "clipped: log-probabilities {:?} need those of acting and advantages of that shape, found {:?} and {:?}",
            log_prob.dims(),
            acted.dims(),
            advantages.dims()
        );
    }
    if !log_prob.device().is_cpu() {
        return composed(log_prob, acted, advantages, clip);
    }
    log_prob.contiguous()?.apply_op1(Clipped {
        acted: acted.detach().contiguous()?,
        advantages: advantages.detach().contiguous()?,
        bounds: Bounds::new(clip),
    })
}

/// The same from candle's own operations.
fn composed(log_prob: &Tensor, acted: &Tensor, advantages: &Tensor, clip: f64) -> Result<Tensor> {
    let ratio = (log_prob - acted)?.exp()?;
    let free = (&ratio * advantages)?;
    let held = ratio.clamp(1.0 - clip, 1.0 + clip)?;
    free.minimum(&(held * advantages)?)
}

struct Clipped {
    acted: Tensor,
    advantages: Tensor,
    bounds: Bounds,
}

/// 1 − ε and 1 + ε.
#[derive(Clone, Copy)]
pub(super) struct Bounds(f32, f32);

impl Bounds {
    pub(super) fn new(clip: f64) -> Self {
        Self((1.0 - clip) as f32, (1.0 + clip) as f32)
    }
}

/// What lies between a log-probability and its gain.
pub(super) struct Terms {
    ratio: f32,
    /// max(ρ, 1 − ε), then also below 1 + ε.
    raised: f32,
    held: f32,
    /// ρ A and clip(ρ) A.
    gains: [f32; 2],
}

impl Terms {
    pub(super) fn new(ratio: f32, advantage: f32, Bounds(low, high): Bounds) -> Self {
        let raised = if ratio < low { low } else { ratio };
        let held = least(raised, high);
        Self {
            ratio,
            raised,
            held,
            gains: [ratio * advantage, held * advantage],
        }
    }

    /// y.
    pub(super) fn gain(&self) -> f32 {
        least(self.gains[0], self.gains[1])
    }

    /// dy/d log π, times `gradient`.
    pub(super) fn slope(&self, advantage: f32, Bounds(low, high): Bounds, gradient: f32) -> f32 {
        let [free, held] = self.gains;
        let [of_free, of_held] = shares(least(free, held), free, held, gradient);
        let [of_raised, _] = shares(self.held, self.raised, high, of_held * advantage);
        let [of_clipped, _] = shares(self.raised, self.ratio, low, of_raised);
        (of_free * advantage + of_clipped) * self.ratio
    }
}

fn least(a: f32, b: f32) -> f32 {
    if a > b { b } else { a }
}

/// What two numbers have of the gradient of the one that is `chosen`.
fn shares(chosen: f32, a: f32, b: f32, gradient: f32) -> [f32; 2] {
    let [a, b] = [a, b].map(|side| f32::from(u8::from(chosen == side)));
    [a * gradient / (b + 1.0), b * gradient / (a + 1.0)]
}

impl Clipped {
    /// Calls `f` with every log-probability, its acting one and its advantage.
    fn each(&self, log_prob: &[f32], mut f: impl FnMut(Terms, f32) -> f32) -> Result<Vec<f32>> {
        with_values(&self.acted, |acted| {
            with_values(&self.advantages, |advantages| {
                let rows = log_prob.iter().zip(acted).zip(advantages);
                Ok(rows
                    .map(|((&log_prob, &acted), &advantage)| {
                        let ratio = (log_prob - acted).exp();
                        f(Terms::new(ratio, advantage, self.bounds), advantage)
                    })
                    .collect())
            })
        })
    }
}

impl CustomOp1 for Clipped {
    fn name(&self) -> &'static str {
        "clipped"
    }

    fn cpu_fwd(&self, log_prob: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.each(values(log_prob, layout)?, |terms, _| terms.gain())?;
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, log_prob: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let slopes = with_values(log_prob, |log_prob| {
            with_values(&gradient, |gradient| {
                let mut gradient = gradient.iter();
                self.each(log_prob, |terms, advantage| {
                    let gradient = gradient.next().expect("a gradient for each");
                    terms.slope(advantage, self.bounds, *gradient)
                })
            })
        })?;
        let slopes = Tensor::from_vec(slopes, log_prob.shape(), log_prob.device())?;
        Ok(Some(slopes))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::net::fused::testing::{bits, variable};

    #[test]
    fn gains_and_slopes_have_the_bits_of_candles_operations() {
        // Ratios from .4 to 2.7, which lie on both sides of both bounds.
        let log_prob = variable("log-prob", (2, 500));
        let acted = variable("acted", (2, 500)).detach();
        let advantages = variable("advantages", (2, 500)).detach();
        compare(&log_prob, &acted, &advantages);
    }

    #[test]
    fn ties_are_halved_as_candle_does() {
        // ρ = 1, where nothing is clipped; both bounds exactly; no advantage; a ratio far out.
        let bounds = [(1.0 - 0.2) as f32, (1.0 + 0.2) as f32];
        let mut rows = Vec::new();
        for log_prob in [0.0, bounds[0].ln(), bounds[1].ln(), 0.5, -0.5, 50.0] {
            rows.extend([1.0, -1.0, 0.0].map(|advantage| (log_prob, advantage)));
        }
        let column = |of: fn(&(f32, f32)) -> f32| {
            Tensor::from_vec(
                rows.iter().map(of).collect::<Vec<_>>(),
                rows.len(),
                &Device::Cpu,
            )
        };
        let log_prob = Var::from_tensor(&column(|row| row.0).unwrap()).unwrap();
        let acted = log_prob.zeros_like().unwrap();
        compare(&log_prob, &acted, &column(|row| row.1).unwrap());
    }

    #[track_caller]
    fn compare(log_prob: &Var, acted: &Tensor, advantages: &Tensor) {
        let mix = variable("mix", log_prob.shape()).detach();
        let [ours, candles] = [clipped, composed].map(|op| {
            let y = op(log_prob, acted, advantages, 0.2).unwrap();
            let gradients = (&y * &mix).unwrap().sum_all().unwrap().backward().unwrap();
            let slopes = gradients.get(log_prob).unwrap();
            // A zero has no sign that anything here depends on.
            [&y, slopes].map(|tensor| bits(&(tensor + 0.0).unwrap()))
        });
        assert_eq!(ours, candles);
    }

    #[test]
    fn shapes_that_differ_are_named() {
        let (a, b) = (variable("a", (2, 3)), variable("b", (3, 2)));
        let error = clipped(&a, &a, &b, 0.2).unwrap_err().to_string();
        assert!(error.contains("[3, 2]"), "{error}");
    }
}
