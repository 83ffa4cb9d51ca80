//! Proximal policy optimisation of every agent by itself: IPPO and MAPPO.
//!
//! ```text
//! ρ_i = π_i(a_i | h_i) / π_i(a_i | h_i) when acting
//! L = − E[ Σ_i min(ρ_i A_i, clip(ρ_i, 1 ± ε) A_i) ] − τ · Σ_i H(π_i)
//! ```
//!
//! IPPO (Schroeder de Witt et al., *Is Independent Learning All You Need in the StarCraft
//! Multi-Agent Challenge?*, 2020): A_i over a critic V(h_i) of what agent i alone has seen. MAPPO
//! (Yu et al., *The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games*, NeurIPS
//! Datasets and Benchmarks 2022): one A for all, over a critic of everything that was seen.
//! Beside [`factored`](super::factored) each agent's own ratio is clipped, not the product's.

use candle_core::{Result, Tensor};

use super::UpdateConfig;
use super::actor_critic::Loss;
use super::common::{Packed, clipped_gain};
use crate::net::MarginalOutput;
use crate::net::critic::View;

/// The loss over a critic with this view.
pub(super) fn loss(view: View) -> Loss {
    Loss {
        view,
        by_agent: true,
        gain,
    }
}

/// What is gained in every row, `[R, S]`.
pub(super) fn gain(
    output: &MarginalOutput,
    part: &Packed,
    dimensions: &[usize],
    update: &UpdateConfig,
) -> Result<Tensor> {
    let log_prob = output.log_prob_by_agent(&part.actions, dimensions)?;
    let acted = part.log_prob.reshape(log_prob.shape())?;
    let advantages = by_agent(&part.advantages, &log_prob)?;
    clipped_gain(&log_prob, &acted, &advantages, update)?.sum(2)
}

/// Advantages `[R, S]` of the team, or `[R, S, N]` of its agents, in the shape of `like`.
fn by_agent(advantages: &Tensor, like: &Tensor) -> Result<Tensor> {
    match advantages.elem_count() == like.elem_count() {
        true => advantages.reshape(like.shape()),
        // Copied, as what is contiguous is multiplied several times as fast.
        false => advantages
            .unsqueeze(2)?
            .broadcast_as(like.shape())?
            .contiguous(),
    }
}

#[cfg(test)]
mod tests;
