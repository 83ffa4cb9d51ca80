//! The critic of actions and its target network: what every action would have been worth.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::ComaConfig;
use crate::algo::common::{
    HostTensor, Packed, columns, loaded_memory, part_of_memory, saved_memory, set_values, streams,
    values_of,
};
use crate::algo::{SECOND_MOMENT_DECAY, UpdateConfig};
use crate::env::TeamSpec;
use crate::net::counterfactual::CounterfactualCritic;
use crate::net::fused::{Adam, AdamConfig, AdamState};
use crate::net::{Choices, MarginalOutput, Memory, NetworkConfig, Rows};
use crate::rollout::Batch;

/// Q and Q̄ of every replica.
pub(super) struct Critic {
    critic: CounterfactualCritic,
    target: CounterfactualCritic,
    optimiser: Adam,
    learning_rate: f64,
    /// Steps of the optimiser between two copies, and since the last.
    interval: u64,
    since_copy: u64,
    /// What critic and target network remember of the rows before the next batch.
    memory: [Memory; 2],
    device: Device,
}

/// Everything a [`Critic`] needs to go on.
#[derive(Serialize, Deserialize)]
pub(super) struct CriticState {
    networks: [Vec<Vec<f32>>; 2],
    adam: AdamState,
    since_copy: u64,
    memory: [Vec<HostTensor>; 2],
}

/// What the critic is shown of a batch.
pub(super) struct Shown {
    /// `[R, (T+1)·N·B, inputs]`.
    all: Tensor,
    /// The first T steps.
    acted: Tensor,
    /// The rows of those.
    pub(super) rows: Rows,
    /// What critic and target network remembered before the first row.
    memory: [Memory; 2],
}

impl Critic {
    /// One of both a seed.
    pub(super) fn new(
        config: &ComaConfig,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let draw =
            || CounterfactualCritic::new(spec, network, &mut streams(seeds, "critic"), device);
        let (critic, target) = (draw()?, draw()?);
        let adam = AdamConfig {
            beta_2: SECOND_MOMENT_DECAY,
            max_norm: update.max_norm(),
            ..AdamConfig::default()
        };
        Ok(Self {
            optimiser: Adam::new(critic.variables(), seeds.len(), adam)?,
            critic,
            target,
            learning_rate: config.critic_learning_rate,
            interval: config.target_interval,
            since_copy: 0,
            memory: Default::default(),
            device: device.clone(),
        })
    }

    /// Shows a batch in which this is done, the last row included: `[R, (T+1)·B, N]`.
    pub(super) fn show(&mut self, batch: &Batch, actions: &Choices) -> Result<Shown> {
        let (rows, time) = (&batch.rows, batch.rows.time - 1);
        let actions = actions.as_discrete()?;
        let critic = &self.critic;
        let all = critic.seen(&batch.joint, &batch.state, actions, rows, &self.device)?;
        let acted = all.narrow(1, 0, all.dim(1)? / rows.time * time)?;
        let memory = match rows.continues() {
            true => std::mem::take(&mut self.memory),
            false => Default::default(),
        };
        Ok(Shown {
            acted: acted.contiguous()?,
            all,
            rows: rows.until(time),
            memory,
        })
    }

    /// Q̄ of the actions taken, the last row included, `[R][(T+1)·B·N]`; actions:
    /// `[R, (T+1)·B, N]`.
    pub(super) fn bootstraps(
        &mut self,
        batch: &Batch,
        shown: &Shown,
        actions: &Tensor,
    ) -> Result<Vec<Vec<f32>>> {
        let (q, features) = self
            .target
            .forward(&shown.all, &batch.rows, &shown.memory[1])?;
        self.memory[1] = self.target.memory(&features, &shown.rows)?;
        let taken = taken(&q, actions)?;
        taken.reshape((batch.rows.replicas, ()))?.to_vec2()
    }

    /// One step of Adam towards the targets of `part`, the sequences `range`.
    pub(super) fn learn(
        &mut self,
        shown: &Shown,
        range: Range<usize>,
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
        // Mean over samples, sum over replicas: no replica's step depends on how many there are.
        let loss = (error * &part.weights)?.sum_all()?;
        self.optimiser.set_learning_rate(self.learning_rate * rate);
        self.optimiser.step(&loss.backward()?)?;
        self.since_copy += 1;
        if self.since_copy >= self.interval {
            self.since_copy = 0;
            let values = values_of(&self.critic.variables())?;
            set_values(&self.target.variables(), &values)?;
        }
        Ok(())
    }

    /// Counterfactual advantages of a batch, `[R, T·B, N]`, in the critic's units.
    pub(super) fn advantages(
        &mut self,
        shown: &Shown,
        output: &MarginalOutput,
        actions: &Tensor,
    ) -> Result<Tensor> {
        let (q, features) = (self.critic).forward(&shown.acted, &shown.rows, &shown.memory[0])?;
        self.memory[0] = self.critic.memory(&features, &shown.rows)?;
        counterfactual(&q.detach(), output, actions)
    }

    pub(super) fn save(&self) -> Result<CriticState> {
        Ok(CriticState {
            networks: [
                values_of(&self.critic.variables())?,
                values_of(&self.target.variables())?,
            ],
            adam: self.optimiser.state()?,
            since_copy: self.since_copy,
            memory: [
                saved_memory(&self.memory[0])?,
                saved_memory(&self.memory[1])?,
            ],
        })
    }

    pub(super) fn restore(&mut self, saved: CriticState) -> Result<()> {
        set_values(&self.critic.variables(), &saved.networks[0])?;
        set_values(&self.target.variables(), &saved.networks[1])?;
        self.optimiser.restore(&saved.adam)?;
        self.since_copy = saved.since_copy;
        let [critic, target] = saved.memory;
        self.memory = [
            loaded_memory(critic, &self.device)?,
            loaded_memory(target, &self.device)?,
        ];
        Ok(())
    }
}

/// Q of the actions taken, `[R, S, N]`. q: `[R, S, N, A]`; actions: `[R, S, N]`.
fn taken(q: &Tensor, actions: &Tensor) -> Result<Tensor> {
    q.gather(&actions.unsqueeze(3)?.contiguous()?, 3)?
        .squeeze(3)
}

/// Q(x, a) − Σ_b π_i(b | h_i) Q(x, (a_−i, b)) of every agent, `[R, S, N]`, held constant. q:
/// `[R, S, N, A]`, what each could do while the others do what they did; actions: `[R, S, N]`.
pub(super) fn counterfactual(
    q: &Tensor,
    output: &MarginalOutput,
    actions: &Tensor,
) -> Result<Tensor> {
    let MarginalOutput::Categorical { log_probs, .. } = output else {
        return Err(candle_core::Error::msg("COMA is for discrete actions"));
    };
    let probs = log_probs.detach().exp()?.reshape(q.shape())?;
    let baseline = (probs * q)?.sum(3)?;
    taken(q, actions)? - baseline
}
