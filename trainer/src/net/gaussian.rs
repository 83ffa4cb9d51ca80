//! One normal distribution over all agents' continuous actions, covariances across agents and all.
//!
//! ```text
//! u ∼ N(μ, L Lᵀ), the actions before squashing; L lower triangular, its diagonal exp(l)
//! log det Σ = 2 Σ_d l_d        Σ_dd = Σ_k L_dk²
//! ```
//!
//! Against independent normals N(m_d, σ_d²) every divergence is closed:
//!
//! ```text
//! TC = ½ (Σ_d ln Σ_dd − ln det Σ)
//! IG = Σ_d [ ln σ_d − ½ ln Σ_dd + (Σ_dd + (μ_d − m_d)²) / 2σ_d² − ½ ]
//! ```
//!
//! The parts are single dimensions, because that is what a device draws independently; TC counts
//! what dimensions of one agent lean on each other, too. Squashing by tanh is the same bijection on
//! both sides and changes no divergence.

use candle_core::{Device, Error, Result, Tensor, Var};

use super::NetworkConfig;
use super::choices::Choices;
use super::fused::Activation;
use super::joint::{Features, JointEvaluation, JointHead};
use super::marginal::OUTPUT_GAIN;
use super::output::{HALF_LN_TAU, MarginalOutput, counted_breadth};
use super::triangular::forward_substitution;
use super::trunk::Dense;
use crate::env::TeamSpec;
use crate::rng::Stream;

/// ln of L's diagonal when training starts; the marginals' ln σ.
const FIRST_LOG_DIAGONAL: f64 = -0.5;

/// ln of L's diagonal stays within this of [`FIRST_LOG_DIAGONAL`].
const LOG_DIAGONAL_RANGE: f64 = 4.0;

/// A normal distribution with full covariance.
pub struct JointGaussian {
    /// F → P means, P logarithms of the diagonal, P (P−1)/2 entries below it.
    output: Dense,
    /// P: dimensions of all agents together.
    dimensions: usize,
    /// For every entry of L, `[P·P]`, where it lies among (diagonal, below, 0).
    entries: Tensor,
}

/// μ `[R, S, P]`, l `[R, S, P]`, L `[R, S, P·P]` row by row.
struct Parameters {
    mean: Tensor,
    log_diagonal: Tensor,
    factor: Tensor,
}

impl JointGaussian {
    /// One head a replica over features of length `width`; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        width: usize,
        _: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let p = spec.joint_actions();
        let below = p * (p - 1) / 2;
        let mut entries = Vec::with_capacity(p * p);
        let mut next = p;
        for row in 0..p {
            for column in 0..p {
                entries.push(match column.cmp(&row) {
                    std::cmp::Ordering::Less => {
                        next += 1;
                        next - 1
                    }
                    std::cmp::Ordering::Equal => row,
                    std::cmp::Ordering::Greater => p + below,
                } as u32);
            }
        }
        let gains = [OUTPUT_GAIN, 0.0];
        Ok(Self {
            output: Dense::new([width, 2 * p + below], gains, streams, device)?,
            dimensions: p,
            entries: Tensor::from_vec(entries, p * p, device)?,
        })
    }

    fn parameters(&self, features: &Features) -> Result<Parameters> {
        let Features::Joint(features) = features else {
            return Err(Error::msg(
                "a joint normal distribution sees the joint history",
            ));
        };
        let p = self.dimensions;
        let output = self.output.forward(features, Activation::Identity)?;
        let mean = output.narrow(2, 0, p)?.contiguous()?;
        // Smoothly bounded: a runaway covariance has no gradient to come back by.
        let log_diagonal = output.narrow(2, p, p)?.contiguous()?;
        let log_diagonal =
            (super::activation::tanh(&(log_diagonal / LOG_DIAGONAL_RANGE)?)? * LOG_DIAGONAL_RANGE)?;
        let log_diagonal = (log_diagonal + FIRST_LOG_DIAGONAL)?;
        let below = output.narrow(2, 2 * p, p * (p - 1) / 2)?;
        let zero = mean.narrow(2, 0, 1)?.zeros_like()?;
        let entries = Tensor::cat(&[&log_diagonal.exp()?, &below.contiguous()?, &zero], 2)?;
        Ok(Parameters {
            mean,
            log_diagonal,
            factor: entries.index_select(&self.entries, 2)?,
        })
    }

    /// log N(u; μ, L Lᵀ), `[R, S]`.
    fn density(&self, parameters: &Parameters, actions: &Tensor) -> Result<Tensor> {
        let distance = (actions - &parameters.mean)?;
        let white = forward_substitution(&parameters.factor, &distance)?;
        let constant = self.dimensions as f64 * HALF_LN_TAU;
        ((white.sqr()?.sum(2)? * -0.5)? - parameters.log_diagonal.sum(2)?)? - constant
    }
}

impl JointHead for JointGaussian {
    fn evaluate(
        &self,
        features: &Features,
        marginals: &MarginalOutput,
        _: Option<&Tensor>,
        actions: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<JointEvaluation> {
        let MarginalOutput::Gaussian { mean, log_std } = marginals else {
            return Err(Error::msg(
                "a joint normal distribution is for continuous actions",
            ));
        };
        let parameters = self.parameters(features)?;
        let (replicas, samples, p) = parameters.mean.dims3()?;
        let square = parameters.factor.sqr()?;
        let variance = square.reshape((replicas, samples, p, p))?.sum(3)?;
        let log_variance = variance.log()?;
        let counted = counted_breadth(&parameters.log_diagonal)?.sum(2)?;
        let log_diagonal = parameters.log_diagonal.sum(2)?;

        // Σ_d E_{u ∼ marg_d}[−log N(u; m_d, σ_d²)], less its constant.
        let cross = |variance: &Tensor, of_joint: &Tensor, mean: &Tensor, log_std: &Tensor| {
            let spread = (variance + (of_joint - mean)?.sqr()?)?;
            let scaled = spread.broadcast_mul(&(log_std * -2.0)?.exp()?)?;
            (scaled * 0.5)?.broadcast_add(log_std)?.sum(2)
        };
        let gap = cross(
            &variance,
            &parameters.mean,
            &mean.detach(),
            &log_std.detach(),
        )?;
        let fit = cross(&variance.detach(), &parameters.mean.detach(), mean, log_std)?;
        Ok(JointEvaluation {
            log_prob: self.density(&parameters, actions)?,
            entropy: (counted + p as f64 * (HALF_LN_TAU + 0.5))?,
            total_correlation: ((log_variance.sum(2)? * 0.5)? - &log_diagonal)?,
            information_gap: ((gap - (log_variance.sum(2)? * 0.5)?)? - 0.5 * p as f64)?,
            marginal_fit: (fit + p as f64 * HALF_LN_TAU)?,
            auxiliary: None,
        })
    }

    fn choose(
        &self,
        features: &Features,
        _: Option<&Tensor>,
        streams: &mut [Stream],
        greedy: bool,
    ) -> Result<Choices> {
        let parameters = self.parameters(features)?;
        let (_, samples, p) = parameters.mean.dims3()?;
        let mut actions: Vec<f32> = parameters.mean.flatten_all()?.to_vec1()?;
        if !greedy {
            let factors: Vec<f32> = parameters.factor.flatten_all()?.to_vec1()?;
            let mut white = vec![0.0_f32; p];
            let rows = actions.chunks_exact_mut(p).zip(factors.chunks_exact(p * p));
            for (index, (action, factor)) in rows.enumerate() {
                let stream = &mut streams[index / samples];
                white.iter_mut().for_each(|x| *x = stream.normal() as f32);
                for (x, row) in action.iter_mut().zip(factor.chunks_exact(p)) {
                    *x += row.iter().zip(&white).map(|(l, w)| l * w).sum::<f32>();
                }
            }
        }
        Ok(Choices::Continuous(actions))
    }

    fn log_prob(
        &self,
        features: &Features,
        _: Option<&Tensor>,
        actions: &Tensor,
    ) -> Result<Tensor> {
        self.density(&self.parameters(features)?, actions)
    }

    fn variables(&self) -> Vec<Var> {
        self.output.variables().to_vec()
    }
}

#[cfg(test)]
mod tests;
