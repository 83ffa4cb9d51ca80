//! The method: learn a joint policy, anneal it into the product of its marginals.
//!
//! The team acts with the mixture π_β = (1−β) π_J + β ∏ π_i. With the advantage A of a sampled
//! joint action a at joint observation x, the loss is
//!
//! ```text
//! L = − E[ A · log π_β(a | x) ]
//!     + λ · (w_IG · IG + w_TC · TC)[π_J, stop(π_i)]        pulls the joint policy only
//!     + c · KL(stop(π_J) ‖ ∏ π_i)                          pulls the marginals only
//!     − τ · (H(π_J) + H(∏ π_i))
//! ```
//!
//! with β, λ, c and τ from [`crate::schedule`]. At β = 1 every term that knows the joint policy
//! is gone from the marginals' gradient: plain policy gradient on the product, so conditional
//! independence holds at the end by construction.
//!
//! The gradient of log π_β is written through the *responsibility* ρ = (1−β) π_J / π_β, the
//! posterior probability that the joint component chose a:
//!
//! ```text
//! ∇ log π_β = ρ ∇ log π_J + (1−ρ) ∇ log ∏ π_i.
//! ```
//!
//! Ablations are the same loss with terms removed ([`Variant`]).

use candle_core::{Device, Result, Tensor};
use candle_nn::{AdamW, Optimizer};
use serde::{Deserialize, Serialize};

use super::{Algorithm, Metrics, means, product_entropy, product_log_prob, sample_product};
use crate::env::TeamSpec;
use crate::net::{EnumeratedJoint, JointPolicy, Marginals, NetworkConfig, adam};
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Observations};
use crate::schedule::{Anneal, AnnealSchedule, Coefficients};
use crate::target::Baseline;

/// Which terms of the loss are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// All of them.
    Annealed,
    /// β = λ = 0 throughout: a joint policy, and marginals fitted to it that never act.
    Joint,
    /// λ = c = 0: only the mixture.
    MixtureOnly,
    /// β = 0: the joint policy acts throughout while λ pulls it together.
    KlOnly,
}

/// Settings of an annealed arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnnealConfig {
    /// Adam's step size for the joint policy and the marginals.
    pub learning_rate: f64,
    /// Adam's step size for the critic.
    pub critic_learning_rate: f64,
    /// How the weights of the loss move.
    pub schedule: AnnealSchedule,
}

impl Default for AnnealConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.007,
            critic_learning_rate: 0.01,
            schedule: AnnealSchedule::default(),
        }
    }
}

/// The learner.
pub struct Annealed {
    variant: Variant,
    agents: usize,
    joint: Box<dyn JointPolicy>,
    marginals: Marginals,
    optimiser: AdamW,
    baseline: Baseline,
    schedules: Vec<Anneal>,
    coefficients: Vec<Coefficients>,
    streams: Vec<Stream>,
}

impl Annealed {
    /// One learner a seed.
    pub fn new(
        config: &AnnealConfig,
        variant: Variant,
        spec: &TeamSpec,
        network: &NetworkConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let streams = |name| super::streams(seeds, name);
        let marginals = Marginals::new(spec, network, &mut streams("marginals"), device)?;
        let joint = EnumeratedJoint::new(spec, network, &mut streams("joint"), device)?;
        let variables = [joint.variables(), marginals.variables()].concat();
        let schedule = Anneal::new(&config.schedule);
        let mut learner = Self {
            variant,
            agents: spec.agents.len(),
            joint: Box::new(joint),
            marginals,
            optimiser: adam(variables, config.learning_rate)?,
            baseline: Baseline::new(
                spec,
                network,
                config.critic_learning_rate,
                &mut streams("critic"),
                device,
            )?,
            schedules: vec![schedule; seeds.len()],
            coefficients: Vec::new(),
            streams: streams("actions"),
        };
        learner.advance(0.0);
        Ok(learner)
    }

    /// Sets the weights of the next update from what has been measured up to `time`, the time of
    /// the last: team and loss always use the same.
    fn advance(&mut self, time: f64) {
        let variant = self.variant;
        self.coefficients = self
            .schedules
            .iter()
            .map(|schedule| variant.keep(schedule.coefficients(time)))
            .collect();
    }

    /// One coefficient of every replica as an `[R, 1]` tensor.
    fn column(&self, of: impl Fn(&Coefficients) -> f64, device: &Device) -> Result<Tensor> {
        let values: Vec<f32> = self.coefficients.iter().map(|c| of(c) as f32).collect();
        let replicas = values.len();
        Tensor::from_vec(values, (replicas, 1), device)
    }
}

impl Variant {
    /// The weights this variant keeps.
    fn keep(self, all: Coefficients) -> Coefficients {
        match self {
            Self::Annealed => all,
            Self::Joint => Coefficients {
                beta: 0.0,
                lambda: 0.0,
                fit: 1.0,
                ..all
            },
            Self::MixtureOnly => Coefficients {
                lambda: 0.0,
                fit: 0.0,
                ..all
            },
            Self::KlOnly => Coefficients {
                beta: 0.0,
                fit: 1.0,
                ..all
            },
        }
    }
}

/// A quantity with the gradient of log π_β, `[R, S]`: ρ log π_J + (1−ρ) log ∏ π_i with ρ held
/// constant. beta: `[R, 1]`; log-probabilities of the actions taken: `[R, S]`.
fn mixture_surrogate(beta: &Tensor, log_joint: &Tensor, log_product: &Tensor) -> Result<Tensor> {
    let of_joint = log_joint.detach().exp()?.broadcast_mul(&(1.0 - beta)?)?;
    let of_product = log_product.detach().exp()?.broadcast_mul(beta)?;
    let responsibility = (&of_joint / (&of_joint + of_product)?)?;
    (&responsibility * log_joint)? + ((1.0 - &responsibility)? * log_product)?
}

impl Algorithm for Annealed {
    fn act(&mut self, observations: &Observations) -> Result<Actions> {
        let output = self.marginals.forward(&observations.own)?;
        let (replicas, samples, _) = output.log_probs.dims3()?;
        let mut from_joint = Vec::with_capacity(replicas * samples);
        for (stream, coefficients) in self.streams.iter_mut().zip(&self.coefficients) {
            from_joint.extend((0..samples).map(|_| stream.uniform() >= coefficients.beta));
        }
        let from_product: Vec<bool> = from_joint.iter().map(|&joint| !joint).collect();
        let mut actions = vec![0; replicas * samples * self.agents];
        let streams = &mut self.streams;
        self.joint
            .sample(&observations.joint, &from_joint, streams, &mut actions)?;
        sample_product(&output, &from_product, streams, &mut actions)?;
        Ok(Actions {
            actions,
            from_joint,
        })
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let targets = self.baseline.advantages(batch)?;
        let device = targets.advantages.device().clone();
        let actions = &batch.actions.actions;
        let output = self.marginals.forward(&batch.observations.own)?;
        let joint = self
            .joint
            .evaluate(&batch.observations.joint, &output, actions)?;
        let product_log_prob = product_log_prob(&output, actions, self.agents)?;
        let product_entropy = product_entropy(&output)?;

        let schedule = &self.schedules[0];
        let beta = self.column(|c| c.beta, &device)?;
        let likelihood = mixture_surrogate(&beta, &joint.log_prob, &product_log_prob)?;
        let (gap, correlation) = schedule.divergence_weights();
        let divergence =
            ((&joint.information_gap * gap)? + (&joint.total_correlation * correlation)?)?;
        let entropy = (&joint.entropy + &product_entropy)?;
        let loss = (divergence.broadcast_mul(&self.column(|c| c.lambda, &device)?)?
            + joint
                .marginal_fit
                .broadcast_mul(&self.column(|c| c.fit, &device)?)?)?;
        let loss = (loss - entropy.broadcast_mul(&self.column(|c| c.tau, &device)?)?)?;
        let loss = (loss - (targets.advantages * likelihood)?)?;
        let samples = loss.dim(1)?;
        // Mean over samples, sum over replicas: no replica's step depends on how many there are.
        self.optimiser
            .backward_step(&(loss.sum_all()? / samples as f64)?)?;

        let measured = means(&[
            &joint.total_correlation,
            &joint.information_gap,
            &joint.entropy,
            &product_entropy,
        ])?;
        let metrics: Vec<Metrics> = self
            .coefficients
            .iter()
            .enumerate()
            .map(|(r, c)| Metrics {
                beta: c.beta,
                lambda: c.lambda,
                tau: c.tau,
                total_correlation: measured[0][r],
                information_gap: measured[1][r],
                joint_entropy: measured[2][r],
                product_entropy: measured[3][r],
                batch_return: targets.mean_return[r],
            })
            .collect();
        for (schedule, m) in self.schedules.iter_mut().zip(&metrics) {
            schedule.observe(time, m.batch_return, m.information_gap);
        }
        self.advance(time);
        Ok(metrics)
    }

    fn marginals(&self) -> &Marginals {
        &self.marginals
    }

    fn joint_probs(&self, observations: &Tensor) -> Option<Result<Tensor>> {
        self.joint.probs(observations)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    #[test]
    fn the_surrogate_has_the_gradient_of_the_mixture() {
        // d log π_β / d log π_J = (1−β) π_J / π_β. With π_J = .2, ∏π = .5, β = .25:
        // .15 / (.15 + .125) = .545455, and the rest goes to the product.
        let device = Device::Cpu;
        let beta = Tensor::new(&[[0.25_f32]], &device).unwrap();
        let log_joint = Var::new(&[[0.2_f32.ln()]], &device).unwrap();
        let log_product = Var::new(&[[0.5_f32.ln()]], &device).unwrap();
        let surrogate = mixture_surrogate(&beta, &log_joint, &log_product).unwrap();
        let gradients = surrogate.sum_all().unwrap().backward().unwrap();
        let of = |var: &Var| gradients.get(var).unwrap().to_vec2::<f32>().unwrap()[0][0];
        assert!((of(&log_joint) - 0.545_455).abs() < 1e-5);
        assert!((of(&log_product) - 0.454_545).abs() < 1e-5);
    }

    #[test]
    fn at_either_end_one_policy_has_the_whole_gradient() {
        let device = Device::Cpu;
        let beta = Tensor::new(&[[0.0_f32], [1.0]], &device).unwrap();
        let log_joint = Var::new(&[[-60.0_f32], [-1.0]], &device).unwrap();
        let log_product = Var::new(&[[-1.0_f32], [-60.0]], &device).unwrap();
        let surrogate = mixture_surrogate(&beta, &log_joint, &log_product).unwrap();
        let gradients = surrogate.sum_all().unwrap().backward().unwrap();
        let of = |var: &Var| gradients.get(var).unwrap().flatten_all().unwrap();
        assert_eq!(of(&log_joint).to_vec1::<f32>().unwrap(), [1.0, 0.0]);
        assert_eq!(of(&log_product).to_vec1::<f32>().unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn ablations_drop_what_their_names_say() {
        let all = Coefficients {
            beta: 0.5,
            lambda: 2.0,
            fit: 0.5,
            tau: 0.1,
        };
        let of = |variant: Variant| {
            let kept = variant.keep(all);
            (kept.beta, kept.lambda, kept.fit, kept.tau)
        };
        assert_eq!(of(Variant::Annealed), (0.5, 2.0, 0.5, 0.1));
        assert_eq!(of(Variant::Joint), (0.0, 0.0, 1.0, 0.1));
        assert_eq!(of(Variant::MixtureOnly), (0.5, 0.0, 0.0, 0.1));
        assert_eq!(of(Variant::KlOnly), (0.0, 2.0, 1.0, 0.1));
    }
}
