//! Counterfactual multi-agent policy gradients: each agent's action is judged against what the
//! agent would have got by its own policy while the others did the same.
//!
//! ```text
//! A_i = Q(x, a) − Σ_b π_i(b | h_i) Q(x, (a_−i, b))
//! L   = − E[ Σ_i A_i · log π_i(a_i | h_i) ] − τ · Σ_i H(π_i)
//! L_Q = E[ Σ_i (y − Q(x, a))² ],   y_t = r_t + γ ((1−λ) Q̄(x_{t+1}, a_{t+1}) + λ y_{t+1})
//! ```
//!
//! Foerster et al., *Counterfactual Multi-Agent Policy Gradients*, AAAI 2018, equation 4 and
//! algorithm 1; Q̄ is a target network, a copy of Q that is made anew every so many of Q's steps. The
//! critic learns from a batch first, the policies then. A batch that is used more than once is so
//! under each agent's clipped likelihood ratio, as in [`ppo`](super::ppo); in the first step of a
//! batch that ratio is 1 and the gradient is the paper's.
//!
//! The baseline does not depend on a_i, so it changes no expected gradient: COMA climbs where plain
//! policy gradient climbs, with less noise.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::actor::{Actor, ActorState};
use super::common::{
    HostTensor, Packed, clipped_gain, columns, loaded_memory, means, part_of_memory, saved_memory,
    set_values, streams, values_of,
};
use super::temperature::Temperature;
use super::{Algorithm, Metrics, SECOND_MOMENT_DECAY, UpdateConfig};
use crate::env::TeamSpec;
use crate::net::action_critic::ActionCritic;
use crate::net::fused::{Adam, AdamConfig, AdamState};
use crate::net::{Choices, MarginalOutput, Marginals, Memory, NetworkConfig, Rows};
use crate::returns::estimates::{advantages, standardise, weights};
use crate::returns::{Ledger, Units};
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Seen};
use crate::target::Targets;

/// Settings of a COMA arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComaConfig {
    /// Adam's step size for the marginals.
    pub learning_rate: f64,
    /// Adam's step size for the critic.
    pub critic_learning_rate: f64,
    /// Passes of the critic over a batch, before the policies' own. The paper takes a step of the
    /// critic for every time step of an episode, some sixty a batch.
    pub critic_epochs: usize,
    /// λ of TD(λ).
    pub trace: f64,
    /// Steps of the critic's optimiser between two copies to the target network.
    pub target_interval: u64,
    /// The entropy bonus.
    pub temperature: Temperature,
}

impl Default for ComaConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.005,
            critic_learning_rate: 0.01,
            critic_epochs: 8,
            trace: 0.8,
            target_interval: 150,
            temperature: Temperature::Constant { value: 0.01 },
        }
    }
}

/// The learner.
pub(super) struct Coma {
    config: ComaConfig,
    update: UpdateConfig,
    horizon: usize,
    actor: Actor,
    critic: ActionCritic,
    target: ActionCritic,
    optimiser: Adam,
    state: State,
    /// What critic and target network remember of the rows before the next batch.
    memory: [Memory; 2],
    device: Device,
}

/// What changes from batch to batch beside the networks.
#[derive(Clone, Serialize, Deserialize)]
struct State {
    ledger: Ledger,
    /// Steps of the critic's optimiser since the last copy.
    since_copy: u64,
    /// Dice for the actions after a batch's last.
    beyond: Vec<Stream>,
}

/// Everything a [`Coma`] needs to go on.
#[derive(Serialize, Deserialize)]
struct Saved {
    actor: ActorState,
    critic: [Vec<Vec<f32>>; 2],
    adam: AdamState,
    state: State,
    memory: [Vec<HostTensor>; 2],
}

/// What the critic is shown of a batch.
struct Shown {
    /// `[R, (T+1)·N·B, inputs]`.
    all: Tensor,
    /// The first T steps.
    acted: Tensor,
    rows: Rows,
    /// What critic and target network remembered before the first row.
    memory: [Memory; 2],
}

impl Coma {
    /// One learner a seed.
    pub(super) fn new(
        config: &ComaConfig,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let critic = || ActionCritic::new(spec, network, &mut streams(seeds, "critic"), device);
        let (critic, target) = (critic()?, critic()?);
        let adam = AdamConfig {
            beta_2: SECOND_MOMENT_DECAY,
            max_norm: update.max_norm(),
            ..AdamConfig::default()
        };
        Ok(Self {
            horizon: spec.horizon,
            actor: Actor::new(spec, network, update, seeds, device)?,
            optimiser: Adam::new(critic.variables(), seeds.len(), adam)?,
            critic,
            target,
            state: State {
                ledger: Ledger::new(update.units, seeds.len()),
                since_copy: 0,
                beyond: streams(seeds, "beyond"),
            },
            memory: Default::default(),
            config: config.clone(),
            update: update.clone(),
            device: device.clone(),
        })
    }

    /// Shows the critic a batch; what is done in its last row is drawn now.
    fn show(&mut self, batch: &Batch) -> Result<(Shown, Tensor)> {
        let (rows, time) = (&batch.rows, batch.rows.time - 1);
        let beyond = self.actor.beyond(batch)?;
        let beyond = beyond.choose(&mut self.state.beyond, false)?;
        let actions = Choices::append(&batch.actions, &beyond, rows.replicas);
        let of = actions.as_discrete()?;
        let all = self
            .critic
            .seen(&batch.joint, &batch.state, of, rows, &self.device)?;
        let acted = all.narrow(1, 0, all.dim(1)? / rows.time * time)?;
        let memory = match rows.continues() {
            true => std::mem::take(&mut self.memory),
            false => Default::default(),
        };
        let shown = Shown {
            acted: acted.contiguous()?,
            all,
            rows: rows.until(time),
            memory,
        };
        Ok((
            shown,
            actions.tensor(rows.replicas, rows.samples(), &self.device)?,
        ))
    }

    /// TD(λ) targets over the target network, as [`Targets::values`]; `actions`:
    /// `[R, (T+1)·B, N]`.
    fn targets(&mut self, batch: &Batch, shown: &Shown, actions: &Tensor) -> Result<Targets> {
        let (q, features) = self
            .target
            .forward(&shown.all, &batch.rows, &shown.memory[1])?;
        self.memory[1] = self.target.memory(&features, &shown.rows)?;
        let taken: Vec<Vec<f32>> = taken(&q, actions)?
            .reshape((batch.rows.replicas, ()))?
            .to_vec2()?;
        let parallel = batch.rows.parallel;
        let samples = shown.rows.samples();
        let agents = self.actor.dimensions.len();
        let factors = [self.update.discount as f32, self.config.trace as f32];
        let mut targets = Targets {
            advantages: Vec::new(),
            values: Vec::new(),
            weights: Vec::new(),
            mean_return: Vec::new(),
        };
        for (replica, mut values) in taken.into_iter().enumerate() {
            let of = |all: usize| replica * all..(replica + 1) * all;
            let rewards = self.state.ledger.rewards(batch, replica, self.horizon);
            self.state.ledger.values(replica, &mut values);
            let valid = &batch.valid[of(samples + parallel)];
            let terminated = &batch.terminated[of(samples)];
            let mut learned = vec![0.0; samples * agents];
            for agent in 0..agents {
                let own: Vec<f32> = values[agent..].iter().step_by(agents).copied().collect();
                let gain = advantages(&rewards, &own, terminated, valid, parallel, factors);
                for (row, (gain, value)) in std::iter::zip(&gain, &own).enumerate() {
                    learned[row * agents + agent] = gain + value;
                }
            }
            let valid = &valid[..samples];
            let each = |valid: &bool| std::iter::repeat_n(*valid, agents);
            let counted: Vec<bool> = valid.iter().flat_map(each).collect();
            self.state.ledger.targets(replica, &mut learned, &counted);
            targets.values.extend(learned);
            targets.weights.extend(weights(valid));
        }
        targets.mean_return = self.state.ledger.mean_return().to_vec();
        Ok(targets)
    }

    /// One step of Adam of the critic towards its targets, on the sequences `part`.
    fn learn(
        &mut self,
        shown: &Shown,
        range: std::ops::Range<usize>,
        part: &Packed,
        rate: f64,
    ) -> Result<()> {
        let seen = columns(&shown.acted, &shown.rows, range.clone())?;
        let memory = part_of_memory(&shown.memory[0], shown.rows.parallel, range)?;
        let (q, _) = self.critic.forward(&seen, &part.rows, &memory)?;
        let said = taken(&q, &part.actions)?;
        let error = (part.values.reshape(said.shape())? - said)?
            .sqr()?
            .mean(2)?;
        let loss = (error * &part.weights)?.sum_all()?;
        let learning_rate = self.config.critic_learning_rate * rate;
        self.optimiser.set_learning_rate(learning_rate);
        self.optimiser.step(&loss.backward()?)?;
        self.state.since_copy += 1;
        if self.state.since_copy >= self.config.target_interval {
            self.copy()?;
        }
        Ok(())
    }

    /// Makes the target network a copy of the critic.
    fn copy(&mut self) -> Result<()> {
        self.state.since_copy = 0;
        let values = values_of(&self.critic.variables())?;
        set_values(&self.target.variables(), &values)
    }

    /// Counterfactual advantages of a batch, `[R, T·B, N]`, in the learner's units.
    fn advantages(
        &mut self,
        batch: &Batch,
        shown: &Shown,
        output: &MarginalOutput,
        actions: &Tensor,
    ) -> Result<Tensor> {
        let (q, features) = (self.critic).forward(&shown.acted, &shown.rows, &shown.memory[0])?;
        self.memory[0] = self.critic.memory(&features, &shown.rows)?;
        let found = counterfactual(&q.detach(), output, actions)?;
        if self.update.units == Units::Range {
            return Ok(found);
        }
        let (replicas, samples, agents) = found.dims3()?;
        let mut found: Vec<f32> = found.flatten_all()?.to_vec1()?;
        let rows = samples + batch.rows.parallel;
        for (replica, found) in found.chunks_exact_mut(samples * agents).enumerate() {
            let valid = &batch.valid[replica * rows..][..samples];
            for agent in 0..agents {
                let mut own: Vec<f32> = found[agent..].iter().step_by(agents).copied().collect();
                standardise(&mut own, valid);
                for (row, value) in own.into_iter().enumerate() {
                    found[row * agents + agent] = value;
                }
            }
        }
        Tensor::from_vec(found, (replicas, samples, agents), &self.device)
    }

    /// One step of Adam of the policies; the entropy before it, `[R]`.
    fn step(&mut self, part: &Packed, tau: f64, rate: f64) -> Result<Vec<f64>> {
        let output = self.actor.output(part)?;
        let log_prob = output.log_prob_by_agent(&part.actions, &self.actor.dimensions)?;
        let acted = part.log_prob.reshape(log_prob.shape())?;
        let advantages = part.advantages.reshape(log_prob.shape())?;
        let gain = clipped_gain(&log_prob, &acted, &advantages, &self.update)?.sum(2)?;
        let entropy = output.entropy()?;
        let gain = (gain + (&entropy * tau)?)?;
        let loss = (gain * &part.weights)?.sum_all()?.neg()?;
        self.actor.step(&loss, rate * self.config.learning_rate)?;
        Ok(means(&[&entropy], &part.weights)?.remove(0))
    }
}

/// Q of the actions taken, `[R, S, N]`. q: `[R, S, N, A]`; actions: `[R, S, N]`.
fn taken(q: &Tensor, actions: &Tensor) -> Result<Tensor> {
    q.gather(&actions.unsqueeze(3)?.contiguous()?, 3)?
        .squeeze(3)
}

/// Q(x, a) − Σ_b π_i(b | h_i) Q(x, (a_−i, b)) of every agent, `[R, S, N]`, held constant. q:
/// `[R, S, N, A]`, what each could do while the others do what they did; actions: `[R, S, N]`.
fn counterfactual(q: &Tensor, output: &MarginalOutput, actions: &Tensor) -> Result<Tensor> {
    let MarginalOutput::Categorical { log_probs, .. } = output else {
        return Err(candle_core::Error::msg("COMA is for discrete actions"));
    };
    let probs = log_probs.detach().exp()?.reshape(q.shape())?;
    let baseline = (probs * q)?.sum(3)?;
    taken(q, actions)? - baseline
}

impl Algorithm for Coma {
    fn act(&mut self, seen: &Seen) -> Result<Actions> {
        self.actor.act(seen, true)
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let tau = self.config.temperature.at(time);
        let (update, rate) = (self.update.clone(), self.update.rate(time));
        let (shown, actions) = self.show(batch)?;
        let mut targets = self.targets(batch, &shown, &actions)?;
        targets.advantages = vec![0.0; targets.values.len()];
        let memory = [self.actor.turn(), Memory::new()];
        let mut packed = Packed::new(batch, &targets, &self.actor.marginals, memory, &self.device)?;
        let parts = packed.parts(update.minibatches)?;
        for _ in 0..self.config.critic_epochs {
            for (range, part) in &parts {
                self.learn(&shown, range.clone(), part, rate)?;
            }
        }
        let output = self.actor.output(&packed)?;
        packed.advantages = self.advantages(batch, &shown, &output, &packed.actions)?;
        let parts = packed.parts(update.minibatches)?;
        let mut entropy = None;
        for _ in 0..update.epochs {
            for (_, part) in &parts {
                let measured = self.step(part, tau, rate)?;
                entropy.get_or_insert(measured);
            }
        }
        let entropy = entropy.expect("at least one step");
        Ok(Metrics::of_product(&targets.mean_return, &entropy, tau))
    }

    fn marginals(&self) -> &Marginals {
        &self.actor.marginals
    }

    fn save(&self) -> Result<Vec<u8>> {
        let saved = Saved {
            actor: self.actor.save()?,
            critic: [
                values_of(&self.critic.variables())?,
                values_of(&self.target.variables())?,
            ],
            adam: self.optimiser.state()?,
            state: self.state.clone(),
            memory: [
                saved_memory(&self.memory[0])?,
                saved_memory(&self.memory[1])?,
            ],
        };
        postcard::to_stdvec(&saved).map_err(candle_core::Error::wrap)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let saved: Saved = postcard::from_bytes(saved).map_err(candle_core::Error::wrap)?;
        self.actor.restore(saved.actor)?;
        set_values(&self.critic.variables(), &saved.critic[0])?;
        set_values(&self.target.variables(), &saved.critic[1])?;
        self.optimiser.restore(&saved.adam)?;
        self.state = saved.state;
        let [critic, target] = saved.memory;
        self.memory = [
            loaded_memory(critic, &self.device)?,
            loaded_memory(target, &self.device)?,
        ];
        Ok(())
    }
}

#[cfg(test)]
mod tests;
