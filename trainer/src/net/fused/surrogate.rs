//! The loss of a team of categorical policies under the [clipped](mod@super::clipped) surrogate with an entropy bonus, as one operation
//! on log-probabilities.
//!
//! ```text
//! L = − Σ_s w_s (y_s + τ H_s);   H = − Σ_i Σ_a π_i(a) log π_i(a)
//! y = Σ_i min(ρ_i A_i, clip(ρ_i, 1 ± ε) A_i)      of every agent by itself: ρ_i = π_i(a_i) / π_i(a_i) when acting
//! y = min(ρ A, clip(ρ, 1 ± ε) A)                  of the team: ρ = ∏ ρ_i
//! ```
//!
//! Its gradient has the very bits of candle's operations in a row, added up in candle's order: the entropy's first.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Storage, Tensor, bail};

use super::clipped::{Bounds, Terms};
use super::with_values;

/// How a team acted, and what came of it.
#[derive(Clone, Copy)]
pub struct Acted<'a> {
    /// `[R, S, N]`, `u32`.
    pub actions: &'a Tensor,
    /// ln of the acting policies' probabilities: of each agent's action `[R, S, N]`, or of the team's `[R, S]`.
    pub log_prob: &'a Tensor,
    /// A of the team `[R, S]`, or of each agent `[R, S, N]` where each has a ratio of its own.
    pub advantages: &'a Tensor,
    /// w, `[R, S]`.
    pub weights: &'a Tensor,
}

/// L and H `[R, S]` for log-probabilities `[R, S, N·A]` on the CPU; `tau`: of each replica, `[R]`. A gradient is computed of L alone,
/// for the log-probabilities alone.
///
/// # Errors
///
/// If shapes do not fit, a tensor is of the wrong type or not on the CPU, or an action is not below A.
pub fn surrogate(
    log_probs: &Tensor,
    acted: Acted,
    tau: &[f32],
    clip: f64,
) -> Result<(Tensor, Tensor)> {
    let (replicas, samples, flat) = log_probs.dims3()?;
    let (rows, agents) = (replicas * samples, acted.actions.dims3()?.2);
    let width = flat / agents.max(1);
    let ratios = acted.log_prob.elem_count() / rows.max(1);
    let advantages = acted.advantages.elem_count() / rows.max(1);
    let fits = acted.actions.dims() == [replicas, samples, agents]
        && agents * width == flat
        && [1, agents].contains(&ratios)
        && [1, ratios].contains(&advantages)
        && acted.log_prob.elem_count() == rows * ratios
        && acted.advantages.elem_count() == rows * advantages
        && acted.weights.dims() == [replicas, samples]
        && tau.len() == replicas;
    if !fits {
        bail!(
            "surrogate: log-probabilities {:?} do not fit actions {:?}, probabilities {:?}, advantages {:?}, weights {:?} and bonuses [{}]",
            log_probs.dims(),
            acted.actions.dims(),
            acted.log_prob.dims(),
            acted.advantages.dims(),
            acted.weights.dims(),
            tau.len()
        );
    }
    let chosen = chosen(acted.actions, width)?;
    let log_probs = log_probs.contiguous()?;
    let (taken, probs, products) = with_values(&log_probs, |log_probs| {
        let taken: Vec<f32> = chosen.iter().map(|&index| log_probs[index]).collect();
        let probs: Vec<f32> = log_probs.iter().map(|log_prob| log_prob.exp()).collect();
        let products: Vec<f32> = (probs.iter().zip(log_probs)).map(|(p, l)| p * l).collect();
        Ok((taken, probs, products))
    })?;
    // These sums are candle's own, as their bits depend on its vectors.
    let device = log_probs.device();
    let entropy = Tensor::from_vec(products, (replicas, samples, flat), device)?;
    let entropy = entropy.sum(2)?.neg()?;
    let taken = Tensor::from_vec(taken, (replicas, samples, agents), device)?;
    let taken = match ratios == agents {
        true => taken,
        false => taken.sum(2)?,
    };
    let then = acted.log_prob.contiguous()?;
    let ratios = with_values(&taken, |taken| {
        with_values(&then, |then| {
            let both = taken.iter().zip(then);
            Ok(both.map(|(taken, then)| (taken - then).exp()).collect())
        })
    })?;
    let op = Surrogate {
        ratios,
        chosen,
        probs,
        advantages: acted.advantages.flatten_all()?.to_vec1()?,
        weights: acted.weights.flatten_all()?.to_vec1()?,
        entropies: entropy.flatten_all()?.to_vec1()?,
        bounds: Bounds::new(clip),
        tau: tau.to_vec(),
    };
    Ok((log_probs.apply_op1(op)?, entropy))
}

/// Where the log-probability of every action lies.
fn chosen(actions: &Tensor, width: usize) -> Result<Vec<usize>> {
    if actions.dtype() != DType::U32 {
        bail!("surrogate: actions are {:?}, expected u32", actions.dtype());
    }
    let actions = actions.contiguous()?;
    let (storage, layout) = actions.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets())
    else {
        bail!("surrogate: actions must lie on the CPU");
    };
    let actions = &storage.as_slice::<u32>()?[start..end];
    if let Some(action) = actions.iter().find(|&&action| action as usize >= width) {
        bail!("surrogate: action {action} of {width}");
    }
    let places = actions.iter().enumerate();
    let place = |(place, &action): (usize, &u32)| place * width + action as usize;
    Ok(places.map(place).collect())
}

/// Gives L. M ratios a row, one or N.
struct Surrogate {
    /// ρ, `[R·S·M]`.
    ratios: Vec<f32>,
    /// Where the log-probability of every agent's action lies, `[R·S·N]`.
    chosen: Vec<usize>,
    /// e to the log-probabilities, `[R·S·N·A]`.
    probs: Vec<f32>,
    /// `[R·S·M]`, or one for all agents, `[R·S]`.
    advantages: Vec<f32>,
    /// `[R·S]`, as the next.
    weights: Vec<f32>,
    entropies: Vec<f32>,
    bounds: Bounds,
    /// `[R]`.
    tau: Vec<f32>,
}

impl Surrogate {
    /// What lies between every ratio and its gain, with the advantage.
    fn terms(&self) -> impl Iterator<Item = (Terms, f32)> {
        let shared = self.ratios.len() / self.advantages.len().max(1);
        let terms = move |(index, &ratio): (usize, &f32)| {
            let advantage = self.advantages[index / shared];
            (Terms::new(ratio, advantage, self.bounds), advantage)
        };
        self.ratios.iter().enumerate().map(terms)
    }

    /// τ of every row.
    fn tau(&self) -> impl Iterator<Item = f32> {
        let samples = self.weights.len() / self.tau.len().max(1);
        self.tau
            .iter()
            .flat_map(move |&tau| std::iter::repeat_n(tau, samples))
    }
}

impl CustomOp1 for Surrogate {
    fn name(&self) -> &'static str {
        "surrogate"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let ratios = self.ratios.len() / self.weights.len().max(1);
        let mut terms = self.terms();
        let mut loss = 0.0;
        for ((weight, entropy), tau) in self.weights.iter().zip(&self.entropies).zip(self.tau()) {
            let gains = terms.by_ref().take(ratios).map(|(terms, _)| terms.gain());
            loss -= weight * (gains.sum::<f32>() + tau * entropy);
        }
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, log_probs: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.to_scalar::<f32>()?;
        let of_gains: Vec<f32> = self
            .weights
            .iter()
            .map(|weight| -gradient * weight)
            .collect();
        let flat = log_probs.dim(2)?;
        let mut slopes = Vec::with_capacity(self.probs.len());
        with_values(log_probs, |log_probs| {
            let values = (log_probs.chunks_exact(flat)).zip(self.probs.chunks_exact(flat));
            for ((log_probs, probs), (of_gain, tau)) in values.zip(of_gains.iter().zip(self.tau()))
            {
                // Of Σ π log π, −H.
                let of_sum = -(of_gain * tau);
                let both = log_probs.iter().zip(probs);
                slopes.extend(both.map(|(l, p)| of_sum * p + of_sum * l * p));
            }
            Ok(())
        })?;
        // A ratio is of one agent, or of the whole team.
        let ratios = self.ratios.len() / of_gains.len().max(1);
        let agents = self.chosen.len() / self.ratios.len().max(1);
        let chosen = self.chosen.chunks_exact(agents.max(1));
        for ((index, chosen), (terms, advantage)) in chosen.enumerate().zip(self.terms()) {
            let slope = terms.slope(advantage, self.bounds, of_gains[index / ratios]);
            for &chosen in chosen {
                slopes[chosen] += slope;
            }
        }
        let slopes = Tensor::from_vec(slopes, log_probs.shape(), log_probs.device())?;
        Ok(Some(slopes))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::net::MarginalOutput;
    use crate::net::fused::testing::{bits, flat, variable};
    use crate::net::fused::{clipped, log_softmax};

    /// Logits, then what is constant: actions, probabilities when acting, advantages and weights. R = 2, S = 50.
    fn case(agents: usize, width: usize, alone: [bool; 2]) -> (Var, [Tensor; 4]) {
        let shape = (2, 50, agents * width);
        // Wide enough apart that ratios lie on both sides of both bounds.
        let logits = (variable("logits", shape).as_tensor() * 3.0).unwrap();
        let actions: Vec<u32> = (0..100 * agents).map(|i| (i * i % width) as u32).collect();
        let of = |name: &str, alone: bool| match alone {
            true => variable(name, (2, 50, agents)).detach(),
            false => variable(name, (2, 50)).detach(),
        };
        let actions = Tensor::from_vec(actions, (2, 50, agents), &Device::Cpu).unwrap();
        let constants = [
            actions,
            of("acted", alone[0]),
            of("advantages", alone[1]),
            of("weights", false),
        ];
        (Var::from_tensor(&logits).unwrap(), constants)
    }

    fn log_probs(logits: &Tensor, agents: usize) -> Tensor {
        let (replicas, samples, flat) = logits.dims3().unwrap();
        let apart = (replicas, samples, agents, flat / agents);
        let log_probs = log_softmax(&logits.reshape(apart).unwrap()).unwrap();
        log_probs.reshape(logits.shape()).unwrap()
    }

    /// L and H from candle's operations.
    fn composed(log_probs: &Tensor, constants: &[Tensor; 4], tau: &[f32]) -> (Tensor, Tensor) {
        let [actions, acted, advantages, weights] = constants;
        let agents = actions.dim(2).unwrap();
        let log_probs = log_probs.clone();
        let output = MarginalOutput::Categorical { log_probs, agents };
        let gain = match acted.rank() {
            2 => clipped(&output.log_prob(actions).unwrap(), acted, advantages, 0.2).unwrap(),
            _ => {
                let own = output.log_prob_by_agent(actions, &[]).unwrap();
                let advantages = match advantages.rank() {
                    2 => advantages.unsqueeze(2).unwrap(),
                    _ => advantages.clone(),
                };
                let advantages = advantages.broadcast_as(own.shape()).unwrap();
                let gains = clipped(&own, acted, &advantages, 0.2).unwrap();
                gains.sum(2).unwrap()
            }
        };
        let entropy = output.entropy().unwrap();
        let tau = Tensor::from_slice(tau, (2, 1), &Device::Cpu).unwrap();
        let total = (gain + entropy.broadcast_mul(&tau).unwrap()).unwrap();
        let loss = (total * weights).unwrap().sum_all().unwrap().neg().unwrap();
        (loss, entropy)
    }

    fn fused(log_probs: &Tensor, constants: &[Tensor; 4], tau: &[f32]) -> (Tensor, Tensor) {
        let [actions, log_prob, advantages, weights] = constants;
        let acted = Acted {
            actions,
            log_prob,
            advantages,
            weights,
        };
        surrogate(log_probs, acted, tau, 0.2).unwrap()
    }

    #[test]
    fn gradients_and_entropies_have_the_bits_of_candles_operations() {
        // 40 numbers a row are more than candle adds up one by one.
        for (agents, width) in [(1, 2), (3, 5), (2, 20), (5, 1)] {
            for alone in [[false, false], [true, false], [true, true]] {
                for tau in [[0.0, 0.0], [0.01, 0.3]] {
                    let (logits, constants) = case(agents, width, alone);
                    let [ours, candles] = [fused, composed].map(|op| {
                        let (loss, entropy) = op(&log_probs(&logits, agents), &constants, &tau);
                        let gradients = loss.backward().unwrap();
                        let slopes = gradients.get(&logits).unwrap();
                        // A zero has no sign that anything here depends on.
                        let bits = [&entropy, slopes].map(|tensor| bits(&(tensor + 0.0).unwrap()));
                        (bits, loss.to_scalar::<f32>().unwrap())
                    });
                    assert_eq!(ours.0, candles.0, "{agents} × {width}, {alone:?}, {tau:?}");
                    assert!((ours.1 - candles.1).abs() < 1e-4 * candles.1.abs().max(1.0));
                }
            }
        }
    }

    #[test]
    fn gradients_are_the_slopes_of_a_reference_in_double_precision() {
        let (agents, width) = (3, 4);
        let (logits, constants) = case(agents, width, [true, false]);
        let (loss, _) = fused(&log_probs(&logits, agents), &constants, &[0.3; 2]);
        let found = loss.backward().unwrap();
        let found = flat(found.get(&logits).unwrap());
        let [actions, acted, advantages, weights] = &constants;
        let actions: Vec<u32> = actions.flatten_all().unwrap().to_vec1().unwrap();
        let [acted, advantages, weights] = [acted, advantages, weights].map(flat);
        // Of one agent in one row, and how far its ratio is from where the slope jumps.
        let reference = |row: &[f64], index: usize| -> (f64, f64) {
            let total = row.iter().map(|l| l.exp()).sum::<f64>().ln();
            let entropy: f64 = row.iter().map(|l| -(l - total).exp() * (l - total)).sum();
            let log_prob = row[actions[index] as usize] - total;
            let ratio = (log_prob - f64::from(acted[index])).exp();
            let advantage = f64::from(advantages[index / agents]);
            let gain = (ratio * advantage).min(ratio.clamp(0.8, 1.2) * advantage);
            let far = (ratio - 0.8).abs().min((ratio - 1.2).abs());
            let weight = f64::from(weights[index / agents]);
            (-weight * (gain + 0.3 * entropy), far)
        };
        let logits: Vec<f64> = flat(&logits).iter().map(|&v| f64::from(v)).collect();
        let mut compared = 0;
        for (index, row) in logits.chunks_exact(width).enumerate() {
            if reference(row, index).1 < 1e-3 {
                continue;
            }
            for action in 0..width {
                let at = |step: f64| {
                    let mut row = row.to_vec();
                    row[action] += step;
                    reference(&row, index).0
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                let found = f64::from(found[index * width + action]);
                assert!((found - slope).abs() < 2e-5, "{found} {slope}");
                compared += 1;
            }
        }
        assert!(compared > 1000);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (logits, [actions, acted, advantages, weights]) = case(3, 5, [false, false]);
        let call = |actions: &Tensor, log_prob: &Tensor| {
            let acted = Acted {
                actions,
                log_prob,
                advantages: &advantages,
                weights: &weights,
            };
            surrogate(&logits, acted, &[0.0; 2], 0.2)
                .unwrap_err()
                .to_string()
        };
        let few = acted.narrow(1, 0, 7).unwrap();
        assert!(call(&actions, &few).contains("[2, 7]"));
        let floats = actions.to_dtype(DType::F32).unwrap();
        assert!(call(&floats, &acted).contains("F32"));
        let beyond = (actions + 3.0).unwrap();
        assert!(call(&beyond, &acted).contains("of 5"));
    }
}
