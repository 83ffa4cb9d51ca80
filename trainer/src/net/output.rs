//! What the marginal networks say: the product of the agents' distributions over actions.

use candle_core::{Result, Tensor};

use super::choices::{Choices, largest};
use super::fused::{Acted, clipped, surrogate};
use crate::rng::Stream;

/// What the marginals say of a batch of S rows.
#[derive(Clone)]
pub enum MarginalOutput {
    /// One of A actions each.
    Categorical {
        /// log π_i(a | h_i), `[R, S, N·A]`; padded and forbidden actions hold about −1e9, whose
        /// exponential is 0.
        log_probs: Tensor,
        /// N.
        agents: usize,
    },
    /// A vector each, before it is squashed by tanh. KL divergences and likelihood ratios do not
    /// depend on the squashing; entropies are those before it, with deviations beyond 1 counted as 1.
    Gaussian {
        /// Means, `[R, S, Σ dimensions]`.
        mean: Tensor,
        /// ln σ, `[R, 1, Σ dimensions]`.
        log_std: Tensor,
    },
}

/// ½ ln 2π.
pub(super) const HALF_LN_TAU: f64 = 0.918_938_533_204_672_7;

/// min(l, 0) of l = ln σ, what of a normal distribution's breadth earns a bonus. Squashed by tanh an action is
/// most varied with a σ of some .87; a bonus for more would widen it until nearly all actions are ±1, whatever
/// the mean, and in many dimensions, which explain little of what is done, until nothing is finite.
pub(super) fn counted_breadth(log_std: &Tensor) -> Result<Tensor> {
    log_std.neg()?.relu()?.neg()
}

impl MarginalOutput {
    /// log ∏ π_i(a_i | h_i) of joint actions, `[R, S]`. actions: `[R, S, N]` (u32), or
    /// `[R, S, Σ dimensions]` before squashing.
    pub fn log_prob(&self, actions: &Tensor) -> Result<Tensor> {
        match self {
            Self::Categorical { log_probs, agents } => {
                let chosen = log_probs.gather(&flat_indices(actions, log_probs, *agents)?, 2)?;
                chosen.sum(2)
            }
            Self::Gaussian { mean, log_std } => {
                let distance = (actions - mean)?.broadcast_mul(&log_std.neg()?.exp()?)?;
                let constant = (log_std + HALF_LN_TAU)?.sum(2)?;
                ((distance.sqr()?.sum(2)? * -0.5)?).broadcast_sub(&constant)
            }
        }
    }

    /// log π_i(a_i | h_i) of each agent's part of joint actions, `[R, S, N]`. actions: as for
    /// [`log_prob`](Self::log_prob); `dimensions`: of each agent's actions, `[N]`.
    pub fn log_prob_by_agent(&self, actions: &Tensor, dimensions: &[usize]) -> Result<Tensor> {
        match self {
            Self::Categorical { log_probs, agents } => {
                log_probs.gather(&flat_indices(actions, log_probs, *agents)?, 2)
            }
            Self::Gaussian { mean, log_std } => {
                let distance = (actions - mean)?.broadcast_mul(&log_std.neg()?.exp()?)?;
                let density = (distance.sqr()? * -0.5)?.broadcast_sub(&(log_std + HALF_LN_TAU)?)?;
                let mut start = 0;
                let mut own = |&dimensions: &usize| {
                    start += dimensions;
                    let first = start - dimensions;
                    density.narrow(2, first, dimensions)?.sum_keepdim(2)
                };
                let agents: Vec<Tensor> = dimensions.iter().map(&mut own).collect::<Result<_>>()?;
                Tensor::cat(&agents, 2)
            }
        }
    }

    /// H(∏ π_i) = Σ_i H(π_i) in nats, `[R, S]`; of vectors with deviations beyond 1 counted as 1.
    pub fn entropy(&self) -> Result<Tensor> {
        match self {
            Self::Categorical { log_probs, .. } => (log_probs.exp()? * log_probs)?.sum(2)?.neg(),
            Self::Gaussian { mean, log_std } => {
                let entropy = (counted_breadth(log_std)? + (HALF_LN_TAU + 0.5))?.sum(2)?;
                entropy.broadcast_add(&mean.narrow(2, 0, 1)?.squeeze(2)?.zeros_like()?)
            }
        }
    }

    /// The loss − Σ w (y + τ H) with y what is gained by the clipped surrogate, and the [`entropy`](Self::entropy) H, `[R, S]`.
    /// `by_agent`: whether each agent's ratio is clipped, not the product's; `dimensions`: of each agent's actions, `[N]`; `tau`: of
    /// each replica, `[R]`.
    pub fn surrogate(
        &self,
        acted: Acted,
        by_agent: bool,
        dimensions: &[usize],
        tau: &[f32],
        clip: f64,
    ) -> Result<(Tensor, Tensor)> {
        let gain = match self {
            Self::Categorical { log_probs, .. } if log_probs.device().is_cpu() => {
                return surrogate(log_probs, acted, tau, clip);
            }
            _ if by_agent => {
                let log_prob = self.log_prob_by_agent(acted.actions, dimensions)?;
                let then = acted.log_prob.reshape(log_prob.shape())?;
                let advantages = match acted.advantages.elem_count() == log_prob.elem_count() {
                    true => acted.advantages.reshape(log_prob.shape())?,
                    // Copied, as what is contiguous is multiplied several times as fast.
                    false => (acted.advantages.unsqueeze(2)?)
                        .broadcast_as(log_prob.shape())?
                        .contiguous()?,
                };
                clipped(&log_prob, &then, &advantages, clip)?.sum(2)?
            }
            _ => {
                let log_prob = self.log_prob(acted.actions)?;
                clipped(&log_prob, acted.log_prob, acted.advantages, clip)?
            }
        };
        let entropy = self.entropy()?;
        let tau = Tensor::from_slice(tau, (tau.len(), 1), entropy.device())?;
        let total = (gain + entropy.broadcast_mul(&tau)?)?;
        Ok(((total * acted.weights)?.sum_all()?.neg()?, entropy))
    }

    /// The same, held constant.
    pub fn detach(&self) -> Self {
        match self {
            Self::Categorical { log_probs, agents } => Self::Categorical {
                log_probs: log_probs.detach(),
                agents: *agents,
            },
            Self::Gaussian { mean, log_std } => Self::Gaussian {
                mean: mean.detach(),
                log_std: log_std.detach(),
            },
        }
    }

    /// Every agent draws its action (or takes the best). `streams`: one a replica.
    pub fn choose(&self, streams: &mut [Stream], greedy: bool) -> Result<Choices> {
        match self {
            Self::Categorical { log_probs, agents } => {
                let (replicas, samples, flat) = log_probs.dims3()?;
                let probs: Vec<f32> = log_probs.exp()?.flatten_all()?.to_vec1()?;
                let width = flat / agents;
                let mut actions = Vec::with_capacity(replicas * samples * agents);
                for (index, row) in probs.chunks_exact(width).enumerate() {
                    let stream = &mut streams[index / (samples * agents)];
                    let action = if greedy {
                        largest(row)
                    } else {
                        stream.categorical(row)
                    };
                    actions.push(action as u32);
                }
                Ok(Choices::Discrete(actions))
            }
            Self::Gaussian { mean, log_std } => {
                let (_, samples, width) = mean.dims3()?;
                let mut actions: Vec<f32> = mean.flatten_all()?.to_vec1()?;
                let spread: Vec<f32> = log_std.exp()?.flatten_all()?.to_vec1()?;
                if !greedy {
                    for (index, action) in actions.iter_mut().enumerate() {
                        let replica = index / (samples * width);
                        let spread = spread[replica * width + index % width];
                        *action += spread * streams[replica].normal() as f32;
                    }
                }
                Ok(Choices::Continuous(actions))
            }
        }
    }
}

/// Indices `[R, S, N]` of agents' actions among `[R, S, N·A]`.
pub(crate) fn flat_indices(actions: &Tensor, table: &Tensor, agents: usize) -> Result<Tensor> {
    let width = table.dim(2)? / agents;
    let starts: Vec<u32> = (0..agents).map(|agent| (agent * width) as u32).collect();
    let starts = Tensor::from_vec(starts, (1, 1, agents), table.device())?;
    actions.broadcast_add(&starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn no_bonus_is_paid_for_more_breadth_than_squashing_lets_through() {
        // σ of e⁻¹, 1 and e²: the last counts as 1, and nothing pulls it.
        let log_std = Var::new(&[[[-1.0_f32, 0.0, 2.0]]], &Device::Cpu).unwrap();
        let output = MarginalOutput::Gaussian {
            mean: Tensor::zeros((1, 2, 3), candle_core::DType::F32, &Device::Cpu).unwrap(),
            log_std: log_std.as_tensor().clone(),
        };
        let entropy = output.entropy().unwrap();
        let unit = 0.5 * (std::f64::consts::TAU * std::f64::consts::E).ln();
        for found in entropy.flatten_all().unwrap().to_vec1::<f32>().unwrap() {
            assert!((f64::from(found) - (3.0 * unit - 1.0)).abs() < 1e-5);
        }
        let gradients = entropy.mean_all().unwrap().backward().unwrap();
        let slopes = gradients.get(&log_std).unwrap().flatten_all().unwrap();
        let slopes: Vec<f32> = slopes.to_vec1().unwrap();
        // At 1 itself there is a bend, and either slope would do.
        assert_eq!((slopes[0], slopes[2]), (1.0, 0.0));
    }
}
