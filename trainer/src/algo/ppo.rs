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

use super::actor_critic::Loss;
use crate::net::critic::View;

/// The loss over a critic with this view.
pub(super) fn loss(view: View) -> Loss {
    Loss {
        view,
        by_agent: true,
    }
}

#[cfg(test)]
mod tests;
