//! Learning rules: one file a loss. An algorithm sees batches and returns metrics; only the
//! train loop reads or writes anything outside.

pub mod anneal;
pub mod factored;

use candle_core::{Device, Result, Tensor};
use serde::Serialize;

use anneal::{AnnealConfig, Annealed, Variant};
use factored::{Factored, FactoredConfig};

use crate::env::TeamSpec;
use crate::net::{MarginalOutput, Marginals, NetworkConfig};
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Observations};

/// A learner of R replicas side by side.
pub trait Algorithm: Send {
    /// Draws joint actions from the exploring policy.
    fn act(&mut self, observations: &Observations) -> Result<Actions>;

    /// Learns from a batch. `time` is the fraction of the updates already done, in [0, 1).
    /// Returns one entry a replica.
    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>>;

    /// The marginal policies as they stand: what would leave the workstation now.
    fn marginals(&self) -> &Marginals;

    /// The joint policy over an enumerable joint action set, where there is one:
    /// observations `[R, S, Σ observation]` → probabilities `[R, S, K]`.
    fn joint_probs(&self, observations: &Tensor) -> Option<Result<Tensor>>;
}

/// What one update measured on one replica. Divergences and entropies are in nats, averaged
/// over the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// Share β of the product in the acting mixture.
    pub beta: f64,
    /// Weight λ of the divergence.
    pub lambda: f64,
    /// Entropy temperature τ.
    pub tau: f64,
    /// Total correlation of the joint policy.
    pub total_correlation: f64,
    /// Information gap between the joint policy and the marginals.
    pub information_gap: f64,
    /// Entropy of the joint policy.
    pub joint_entropy: f64,
    /// Entropy of the product of marginals.
    pub product_entropy: f64,
    /// Mean return of the batch in units of the return range.
    pub batch_return: f64,
}

/// An arm with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum ArmKind {
    /// The annealed loss or an ablation of it.
    Annealed(Variant, AnnealConfig),
    /// Factored policy gradient.
    Factored(FactoredConfig),
}

impl ArmKind {
    /// A learner of this kind for every seed.
    pub fn make(
        &self,
        spec: &TeamSpec,
        network: &NetworkConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Box<dyn Algorithm>> {
        Ok(match self {
            Self::Annealed(variant, config) => Box::new(Annealed::new(
                config, *variant, spec, network, seeds, device,
            )?),
            Self::Factored(config) => {
                Box::new(Factored::new(config, spec, network, seeds, device)?)
            }
        })
    }
}

/// The stream `name` of every seed.
pub(crate) fn streams(seeds: &[u64], name: &str) -> Vec<Stream> {
    (seeds.iter().map(|&seed| Stream::new(seed, name, 0))).collect()
}

/// log ∏ π_i(a_i | o_i) of the joint actions taken, `[R, S]`; actions: `[R, S, N]`, row-major.
pub(crate) fn product_log_prob(
    marginals: &MarginalOutput,
    actions: &[u32],
    agents: usize,
) -> Result<Tensor> {
    let (replicas, samples, flat) = marginals.log_probs.dims3()?;
    let width = (flat / agents) as u32;
    let indices: Vec<u32> = actions
        .iter()
        .enumerate()
        .map(|(index, &a)| (index % agents) as u32 * width + a)
        .collect();
    let indices = Tensor::from_vec(
        indices,
        (replicas, samples, agents),
        marginals.log_probs.device(),
    )?;
    marginals.log_probs.gather(&indices, 2)?.sum(2)
}

/// H(∏ π_i) = Σ_i H(π_i) in nats, `[R, S]`.
pub(crate) fn product_entropy(marginals: &MarginalOutput) -> Result<Tensor> {
    let log_probs = &marginals.log_probs;
    (log_probs.exp()? * log_probs)?.sum(2)?.neg()
}

/// Draws every agent's action from its marginal, for the samples in `wanted` (`[R, S]`).
pub(crate) fn sample_product(
    marginals: &MarginalOutput,
    wanted: &[bool],
    streams: &mut [Stream],
    actions: &mut [u32],
) -> Result<()> {
    if !wanted.contains(&true) {
        return Ok(());
    }
    let flat = marginals.log_probs.dim(2)?;
    let agents = actions.len() / wanted.len();
    let samples = wanted.len() / streams.len();
    let probs: Vec<f32> = marginals.log_probs.exp()?.flatten_all()?.to_vec1()?;
    for (index, parts) in actions.chunks_exact_mut(agents).enumerate() {
        if wanted[index] {
            let row = &probs[index * flat..(index + 1) * flat];
            for (part, weights) in parts.iter_mut().zip(row.chunks_exact(flat / agents)) {
                *part = streams[index / samples].categorical(weights) as u32;
            }
        }
    }
    Ok(())
}

/// Means over samples of several `[R, S]` tensors, copied to the host in one go:
/// `result[quantity][replica]`.
pub(crate) fn means(quantities: &[&Tensor]) -> Result<Vec<Vec<f64>>> {
    let rows: Vec<Tensor> = quantities
        .iter()
        .map(|quantity| quantity.detach().mean(1))
        .collect::<Result<_>>()?;
    let table: Vec<Vec<f32>> = Tensor::stack(&rows, 0)?.to_vec2()?;
    Ok(table
        .into_iter()
        .map(|row| row.into_iter().map(f64::from).collect())
        .collect())
}
