//! The method: learn a joint policy, anneal it into the product of its marginals.
//!
//! The team acts with the mixture π_β = (1−β) π_J + β ∏ π_i. With the advantage A of a sampled
//! joint action a at joint observation x, the loss is
//!
//! ```text
//! L = − E[ A · log π_β(a | x) ]
//!     + λ · (w_IG · IG + w_TC · TC)[π_J, stop(π_i)]        pulls the joint policy only
//!     + c · KL(stop(π_J) ‖ ∏ π_i)                          pulls the marginals only
//!     − τ · (H(π_J) + H(∏ π_i))                            H(π_J) times 1−β, where both act from the start
//! ```
//!
//! with β, λ, c and τ from [`crate::schedule`]. Where c is to follow the joint policy's *lead*, that is
//! how much better its actions were than the product's, by the advantages of what either has done:
//!
//! ```text
//! lead = E[ρ A] / E[ρ] − E[(1−ρ) A] / E[1−ρ],     ρ below
//! ```
//!
//! At β = 1 every term that knows the joint policy
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

use candle_core::{DType, Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::common::{Measured, Packed, clipped_gain, means};
use super::duo::{Considered, Duo, DuoState};
use super::{Algorithm, Metrics, PlayMemory, UpdateConfig, streams};
use crate::env::{ActionSpace, TeamSpec};
use crate::net::critic::View;
use crate::net::joint::Order;
use crate::net::{Choices, Marginals, NetworkConfig};
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Seen};
use crate::schedule::{Anneal, AnnealSchedule, Coefficients};
use crate::target::{Baseline, BaselineState};

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
    config: AnnealConfig,
    update: UpdateConfig,
    order: Order,
    horizon: usize,
    /// That the team can have, in nats, where it is the same in every state.
    largest_entropy: Option<f64>,
    duo: Duo,
    baseline: Baseline,
    state: State,
    device: Device,
}

/// What changes from batch to batch beside the networks.
#[derive(Clone, Serialize, Deserialize)]
struct State {
    schedules: Vec<Anneal>,
    coefficients: Vec<Coefficients>,
    updates: u64,
    /// Dice for the coin between the policies, the product and the joint policy, `[3][R]`: apart,
    /// so that a policy that no longer acts takes no one's numbers.
    streams: [Vec<Stream>; 3],
}

/// Everything an [`Annealed`] needs to go on.
#[derive(Serialize, Deserialize)]
struct Saved {
    duo: DuoState,
    baseline: BaselineState,
    state: State,
}

impl Annealed {
    /// One learner a seed.
    pub fn new(
        config: &AnnealConfig,
        variant: Variant,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let named = |name| streams(seeds, name);
        let schedule = Anneal::new(&match variant.mixes() {
            true => config.schedule.clone(),
            // Of two policies one never acts, so nobody leads: that must not shorten its ramp.
            false => AnnealSchedule {
                full_lead: 0.0,
                lead_errors: 0.0,
                unled_ramp: 0.0,
                temperature_led: 0.0,
                ..config.schedule.clone()
            },
        });
        let mut learner = Self {
            variant,
            order: network.joint.order,
            horizon: spec.horizon,
            largest_entropy: largest_entropy(spec),
            duo: Duo::new(spec, network, update, seeds, device)?,
            baseline: Baseline::new(
                spec,
                network,
                View::Central,
                update,
                config.critic_learning_rate,
                &mut named("critic"),
                device,
            )?,
            state: State {
                schedules: vec![schedule; seeds.len()],
                coefficients: Vec::new(),
                updates: 0,
                streams: [named("coin"), named("actions"), named("joint-actions")],
            },
            config: config.clone(),
            update: update.clone(),
            device: device.clone(),
        };
        learner.advance(0.0);
        Ok(learner)
    }

    /// Sets the weights of the next update from what has been measured up to `time`, the time of
    /// the last: team and loss always use the same.
    fn advance(&mut self, time: f64) {
        let variant = self.variant;
        self.state.coefficients = (self.state.schedules.iter())
            .map(|schedule| variant.keep(schedule.coefficients(time)))
            .collect();
        if self.order == Order::Shuffled {
            self.shuffle();
        }
    }

    /// A new order in which the joint policy asks the agents. It is the same for all replicas of
    /// all runs, so that they can be asked together wherever they are.
    fn shuffle(&mut self) {
        let agents = self.duo.marginals.agents();
        let mut order: Vec<u32> = (0..agents as u32).collect();
        let mut stream = Stream::new(0, "order", self.state.updates);
        for last in (1..agents).rev() {
            order.swap(last, (stream.uniform() * (last + 1) as f64) as usize);
        }
        self.duo.joint.head_mut().set_order(&order);
    }

    /// Whether the joint policy still acts, or is still pulled on, in any replica.
    fn joint_matters(&self) -> bool {
        self.state.coefficients.iter().any(Coefficients::joint_acts)
    }

    /// One coefficient of every replica as an `[R, 1]` tensor.
    fn column(&self, of: impl Fn(&Coefficients) -> f64) -> Result<Tensor> {
        let values: Vec<f32> = self
            .state
            .coefficients
            .iter()
            .map(|c| of(c) as f32)
            .collect();
        let replicas = values.len();
        Tensor::from_vec(values, (replicas, 1), &self.device)
    }
}

impl Variant {
    /// Whether the product ever acts.
    fn mixes(self) -> bool {
        matches!(self, Self::Annealed | Self::MixtureOnly)
    }

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

/// Stands for ln 0: e to any difference from it is 0 in f32, and it is itself no infinity.
const WEIGHTLESS: f64 = -1e30;

/// The mixture π_β = (1−β) π_J + β ∏ π_i of actions taken.
struct Mixture {
    /// ln π_β, `[R, S]`.
    log_prob: Tensor,
    /// ρ = (1−β) π_J / π_β, `[R, S]`, held constant.
    responsibility: Tensor,
}

/// The mixture at beta `[R, 1]` of log-probabilities `[R, S]`.
///
/// Its logarithm is written through the responsibility: the value is exact and the gradient
/// ρ ∇ ln π_J + (1−ρ) ∇ ln ∏ π_i is that of the mixture, finite at both ends.
fn mixture(beta: &Tensor, log_joint: &Tensor, log_product: &Tensor) -> Result<Mixture> {
    // A policy without weight counts for nothing, however much likelier it finds the action.
    let log_weight = |share: Tensor| share.clamp(f64::from(f32::MIN_POSITIVE), 1.0)?.log();
    let weightless = |share: &Tensor| share.eq(0.0)?.to_dtype(DType::F32)? * WEIGHTLESS;
    let weighted = |log_prob: &Tensor, share: Tensor| -> Result<Tensor> {
        let log_weight = (weightless(&share)? + log_weight(share)?)?;
        log_prob.detach().broadcast_add(&log_weight)
    };
    let joint = weighted(log_joint, (1.0 - beta)?)?;
    let product = weighted(log_product, beta.clone())?;
    let larger = joint.maximum(&product)?;
    let of_joint = (&joint - &larger)?.exp()?;
    let sum = (&of_joint + (&product - &larger)?.exp()?)?;
    let responsibility = (&of_joint / &sum)?;
    let value = (sum.log()? + larger)?;
    let surrogate = ((&responsibility * log_joint)? + ((1.0 - &responsibility)? * log_product)?)?;
    Ok(Mixture {
        log_prob: (&surrogate + (value - surrogate.detach())?)?,
        responsibility,
    })
}

/// Σ ln A of a team that has something to choose, and always the same: of vectors there is no largest entropy, under masks
/// it is another in every state.
fn largest_entropy(spec: &TeamSpec) -> Option<f64> {
    let actions = || spec.agents.iter().map(|agent| agent.actions);
    let largest = actions().map(|actions| (actions.size() as f64).ln()).sum();
    let fixed = !spec.masked && !actions().any(ActionSpace::is_continuous);
    (fixed && largest > 0.0).then_some(largest)
}

/// What a batch measured of the joint policy's lead: E[ρ A], E[ρ], E[(1−ρ) A], E[1−ρ].
fn lead([of_joint, joint, of_product, product]: [f64; 4]) -> f64 {
    // Where only one of them has acted, nobody leads.
    match joint.min(product) > 1e-6 {
        true => of_joint / joint - of_product / product,
        false => 0.0,
    }
}

impl Algorithm for Annealed {
    fn act(&mut self, seen: &Seen) -> Result<Actions> {
        let with_joint = self.joint_matters();
        let Considered {
            output,
            features,
            forbidden,
        } = self.duo.consider(seen, with_joint)?;
        let [coin, of_product, of_joint] = &mut self.state.streams;
        let mut taken = output.choose(of_product, false)?;
        let (replicas, samples) = (seen.rows.replicas, seen.rows.samples());
        let Some(features) = features else {
            let actions = taken.tensor(replicas, samples, &self.device)?;
            return Ok(Actions {
                log_prob: output.log_prob(&actions)?.flatten_all()?.to_vec1()?,
                taken,
                drawn: None,
            });
        };
        let head = self.duo.joint.head();
        let drawn = head.choose(&features, forbidden.as_ref(), of_joint, false)?;
        let mut from_joint = Vec::with_capacity(replicas * samples);
        for (stream, coefficients) in coin.iter_mut().zip(&self.state.coefficients) {
            from_joint.extend((0..samples).map(|_| stream.uniform() >= coefficients.beta));
        }
        taken.take(&drawn, &from_joint);
        let actions = taken.tensor(replicas, samples, &self.device)?;
        let log_joint = head
            .log_prob(&features, forbidden.as_ref(), &actions)?
            .detach();
        let log_product = output.log_prob(&actions)?;
        let mixture = mixture(&self.column(|c| c.beta)?, &log_joint, &log_product)?;
        Ok(Actions {
            taken,
            drawn: Some(drawn),
            log_prob: mixture.log_prob.flatten_all()?.to_vec1()?,
        })
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let update = self.update.clone();
        let (targets, of_critic) = self.baseline.targets(batch, &update, self.horizon)?;
        let (marginals, start) = (&self.duo.marginals, self.duo.start());
        let packed = Packed::new(batch, &targets, marginals, start, &self.device)?;
        let rate = update.rate(time);
        let schedule = &self.config.schedule;
        let mixed = schedule.beta_start > 0.0 || time > schedule.earliest_ramp();
        let mixes = self.variant.mixes() && mixed;
        let mut measured = Measured::default();
        let parts = packed.parts(update.minibatches)?;
        for epoch in 0..update.epochs {
            for (range, part) in &parts {
                let metrics = self.step(part, rate, mixes)?;
                measured.add(epoch, range.len(), metrics);
                let (values, weights) = (&part.values, &part.weights);
                self.baseline
                    .learn(&of_critic, range.clone(), values, weights, rate)?;
            }
        }
        let measured = measured.means();
        let [
            correlation,
            gap,
            joint_entropy,
            product_entropy,
            of_lead @ ..,
        ] = &measured[..]
        else {
            unreachable!("a step measures at least four rows");
        };
        let metrics: Vec<Metrics> = (self.state.coefficients.iter().enumerate())
            .map(|(r, c)| {
                // A joint policy that is only still asked for its neighbours' sake says nothing.
                let of_joint = |row: &[f64]| if c.joint_acts() { row[r] } else { 0.0 };
                Metrics {
                    beta: c.beta,
                    lambda: c.lambda,
                    tau: c.tau,
                    total_correlation: of_joint(correlation),
                    information_gap: of_joint(gap),
                    joint_entropy: of_joint(joint_entropy),
                    product_entropy: product_entropy[r],
                    lead: match of_lead {
                        [a, b, c, d] => lead([a, b, c, d].map(|part| of_joint(part))),
                        _ => 0.0,
                    },
                    explained_variance: targets.explained_variance[r],
                    batch_return: targets.earned[r].in_range,
                    ..Metrics::default()
                }
            })
            .collect();
        let schedules = self.state.schedules.iter_mut();
        for (schedule, (m, &earned)) in schedules.zip(metrics.iter().zip(&targets.earned)) {
            schedule.observe(time, earned, m.information_gap, m.lead);
            if let Some(largest) = self.largest_entropy {
                let acting = m.beta * m.product_entropy + (1.0 - m.beta) * m.joint_entropy;
                schedule.observe_entropy(acting / largest);
            }
        }
        self.state.updates += 1;
        self.advance(time);
        self.duo.turn();
        Ok(metrics)
    }

    fn marginals(&self) -> &Marginals {
        &self.duo.marginals
    }

    fn play_joint(
        &self,
        seen: &Seen,
        memory: &mut PlayMemory,
        greedy: bool,
    ) -> Option<Result<Choices>> {
        Some(self.duo.play(seen, memory, greedy))
    }

    fn joint_probs(&self, seen: &Seen) -> Option<Result<Tensor>> {
        let probs = || -> Result<Option<Tensor>> {
            let considered = self.duo.anew(seen)?;
            let features = considered.features.expect("the joint policy was asked");
            self.duo.joint.head().probs(&features).transpose()
        };
        probs().transpose()
    }

    fn save(&self) -> Result<Vec<u8>> {
        let saved = Saved {
            duo: self.duo.save()?,
            baseline: self.baseline.save()?,
            state: self.state.clone(),
        };
        postcard::to_stdvec(&saved).map_err(candle_core::Error::wrap)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let saved: Saved = postcard::from_bytes(saved).map_err(candle_core::Error::wrap)?;
        self.duo.restore(saved.duo)?;
        self.baseline.restore(saved.baseline)?;
        self.state = saved.state;
        if self.order == Order::Shuffled {
            self.shuffle();
        }
        Ok(())
    }
}

impl Annealed {
    /// τ (H(π_J) + H(∏ π_i)), `[R, S]`. Where both act from the start, the joint policy's entropy counts by its
    /// share in acting, as its gradient does: under a whole bonus a normal distribution that explains few of the
    /// actions widens without end.
    fn bonus(&self, joint: &Tensor, product: &Tensor) -> Result<Tensor> {
        let share = match self.config.schedule.beta_start > 0.0 {
            true => self.column(|c| 1.0 - c.beta)?,
            false => self.acts()?,
        };
        let entropy = (joint.broadcast_mul(&share)? + product)?;
        entropy.broadcast_mul(&self.column(|c| c.tau)?)
    }

    /// 1 where the joint policy still acts, `[R, 1]`: one that does not is left as it is.
    fn acts(&self) -> Result<Tensor> {
        self.column(|c| f64::from(u8::from(c.joint_acts())))
    }

    /// One step of Adam on the loss at the top of this file; TC, IG, H(π_J) and H(∏ π_i) as
    /// they were before it, `[4][R]`, and, where the fit follows it, the four that the [`lead`] is made of.
    /// `mixes`: whether actions may have been the product's.
    fn step(&mut self, part: &Packed, rate: f64, mixes: bool) -> Result<Vec<Vec<f64>>> {
        let (of_marginals, output) = self.duo.output(part)?;
        let forbidden = part.forbidden.as_ref();
        let learning_rate = rate * self.config.learning_rate;
        self.duo
            .optimisers
            .marginals
            .set_learning_rate(learning_rate);
        self.duo.optimisers.joint.set_learning_rate(learning_rate);
        if !self.joint_matters() {
            let tau: Vec<f32> = self
                .state
                .coefficients
                .iter()
                .map(|c| c.tau as f32)
                .collect();
            let (loss, entropy) = part.surrogate(&output, false, &[], &tau, &self.update)?;
            self.duo.optimisers.marginals.step(&loss.backward()?)?;
            let entropy = means(&[&entropy], &part.weights)?.remove(0);
            let none = vec![0.0; part.rows.replicas];
            return Ok(vec![none.clone(), none.clone(), none, entropy]);
        }

        let log_product = output.log_prob(&part.actions)?;
        let product_entropy = output.entropy()?;
        let features = self.duo.features(part, &of_marginals)?;
        // Where the joint policy acts alone before any ramp can start, every action is its own. This goes by
        // the settings and the clock alone: gradients that are summed otherwise differ in their last bits, and no replica's
        // may depend on when its neighbours' ramps start.
        let drawn = part.drawn.as_ref().filter(|_| mixes);
        let head = self.duo.joint.head();
        let joint = head.evaluate(&features, &output, forbidden, &part.actions, drawn)?;
        let beta = self.column(|c| c.beta)?;
        let mixture = mixture(&beta, &joint.log_prob, &log_product)?;
        let (log_prob, advantages) = (&mixture.log_prob, &part.advantages);
        let gain = clipped_gain(log_prob, &part.log_prob, advantages, &self.update)?;

        let (gap, correlation) = self.state.schedules[0].divergence_weights();
        let divergence =
            ((&joint.information_gap * gap)? + (&joint.total_correlation * correlation)?)?;
        let acts = self.acts()?;
        let divergence = divergence.broadcast_mul(&(self.column(|c| c.lambda)? * &acts)?)?;
        let fit = joint.marginal_fit.broadcast_mul(&self.column(|c| c.fit)?)?;
        let mut loss = ((divergence + fit)? - self.bonus(&joint.entropy, &product_entropy)?)?;
        if let Some(auxiliary) = &joint.auxiliary {
            loss = (loss + auxiliary.broadcast_mul(&acts)?)?;
        }
        let loss = ((loss - gain)? * &part.weights)?.sum_all()?;
        let gradients = loss.backward()?;
        let acting: Vec<bool> = self
            .state
            .coefficients
            .iter()
            .map(Coefficients::joint_acts)
            .collect();
        self.duo.optimisers.joint.step_where(&gradients, &acting)?;
        self.duo.optimisers.marginals.step(&gradients)?;
        let mut quantities = vec![
            joint.total_correlation,
            joint.information_gap,
            joint.entropy,
            product_entropy,
        ];
        if self.config.schedule.full_lead > 0.0 {
            let of_joint = mixture.responsibility;
            let of_product = (1.0 - &of_joint)?;
            let by_joint = (&of_joint * advantages)?;
            let by_product = (&of_product * advantages)?;
            quantities.extend([by_joint, of_joint, by_product, of_product]);
        }
        means(&quantities.iter().collect::<Vec<_>>(), &part.weights)
    }
}

#[cfg(test)]
mod tests;
