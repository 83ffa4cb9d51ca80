//! What the policies are pushed towards: advantages over a critic.
//!
//! Generalised advantage estimation (Schulman et al. 2016) over a critic that sees what its
//! [`View`] says. [`Units`] say in which units the losses meet advantages, so that λ, τ and the
//! critic's targets mean the same in every task of a kind without being told its rewards.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::algo::{
    HostTensor, SECOND_MOMENT_DECAY, UpdateConfig, columns, loaded_memory, part_of_memory,
    saved_memory,
};
use crate::env::TeamSpec;
use crate::net::critic::View;
use crate::net::fused::{Adam, AdamConfig, AdamState, squared_error};
use crate::net::{CrewTensors, Critic, Memory, NetworkConfig, Rows};
use crate::rng::Stream;
use crate::rollout::Batch;

use crate::returns::estimates::{advantages, by_column, explained_variance, standardise, weights};
use crate::returns::{Earned, Ledger, Units};

/// What a batch teaches. C critics speak: one of a central view, else N.
pub struct Targets {
    /// Advantages in the learner's units, `[R, T·B, C]`; 0 where nobody acted.
    pub advantages: Vec<f32>,
    /// What the critics should have said, in their own units, `[R, T·B, C]`.
    pub values: Vec<f32>,
    /// 1/(rows in which somebody acted), 0 where nobody did, `[R, T·B]`.
    pub weights: Vec<f32>,
    /// What the episodes that ended lately earned, `[R]`.
    pub earned: Vec<Earned>,
    /// How much of the λ-returns' variance the critics explained before they learned from them, `[R]`.
    pub explained_variance: Vec<f64>,
}

/// The critic of every replica, and what it takes to learn from it.
pub struct Baseline {
    critic: Critic,
    optimiser: Adam,
    learning_rate: f64,
    ledger: Ledger,
    /// What the critic remembers of the rows before the next batch.
    memory: Memory,
    device: Device,
}

/// Everything a [`Baseline`] needs to go on.
#[derive(Serialize, Deserialize)]
pub struct BaselineState {
    variables: Vec<Vec<f32>>,
    adam: AdamState,
    ledger: Ledger,
    memory: Vec<HostTensor>,
}

/// What the critic learns from: rows, cut into parts along the parallel sequences.
pub struct CriticBatch {
    whole: Part,
    /// Cut out once: every epoch learns from the same.
    parts: RefCell<Vec<(Range<usize>, Rc<Part>)>>,
}

/// What the critic sees of some sequences.
struct Part {
    seen: CrewTensors,
    rows: Rows,
    memory: Memory,
}

impl CriticBatch {
    /// The sequences `range`.
    fn part(&self, range: Range<usize>) -> Result<Rc<Part>> {
        let mut parts = self.parts.borrow_mut();
        if let Some((_, part)) = parts.iter().find(|(other, _)| *other == range) {
            return Ok(Rc::clone(part));
        }
        let Part { seen, rows, memory } = &self.whole;
        let cut = |tensor: &Tensor| columns(tensor, rows, range.clone());
        let part = Rc::new(Part {
            seen: seen.iter().map(cut).collect::<Result<_>>()?,
            rows: rows.columns(range.clone()),
            memory: part_of_memory(memory, rows.parallel, range.clone())?,
        });
        parts.push((range, Rc::clone(&part)));
        Ok(part)
    }
}

impl Baseline {
    /// One critic (or one an agent) a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        view: View,
        update: &UpdateConfig,
        learning_rate: f64,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let replicas = streams.len();
        let critic = Critic::new(spec, network, view, streams, device)?;
        let config = AdamConfig {
            learning_rate,
            beta_2: SECOND_MOMENT_DECAY,
            max_norm: update.max_norm(),
            ..AdamConfig::default()
        };
        Ok(Self {
            optimiser: Adam::new(critic.variables(), replicas, config)?,
            learning_rate,
            critic,
            ledger: Ledger::new(update.units, replicas),
            memory: Memory::new(),
            device: device.clone(),
        })
    }

    /// Values the batch, and says what it teaches. What is returned beside lets the critic
    /// [`learn`](Self::learn).
    pub fn targets(
        &mut self,
        batch: &Batch,
        update: &UpdateConfig,
        horizon: usize,
    ) -> Result<(Targets, CriticBatch)> {
        let (replicas, parallel) = (batch.rows.replicas, batch.rows.parallel);
        let time = batch.rows.time - 1;
        let samples = time * parallel;
        let seen = (self.critic).seen(&batch.joint, &batch.state, &batch.rows, &self.device)?;
        let memory = match batch.rows.continues() {
            true => std::mem::take(&mut self.memory),
            false => Memory::new(),
        };
        let acted = batch.rows.until(time);
        let per_sequence = |tensor: &Tensor| -> Result<Tensor> {
            let rows = tensor.dim(1)? / batch.rows.time * time;
            tensor.narrow(1, 0, rows)?.contiguous()
        };
        let seen_acted: CrewTensors = seen.iter().map(per_sequence).collect::<Result<_>>()?;
        let (values, features) = match batch.ends_complete() {
            true => self.critic.forward(&seen_acted, &acted, &memory)?,
            false => self.critic.forward(&seen, &batch.rows, &memory)?,
        };
        self.memory = self.critic.memory(&features, &acted)?;
        let values: Vec<Vec<f32>> = values.reshape((replicas, ()))?.to_vec2()?;

        let mut targets = Targets {
            advantages: Vec::with_capacity(replicas * samples),
            values: Vec::with_capacity(replicas * samples),
            weights: Vec::with_capacity(replicas * samples),
            earned: Vec::new(),
            explained_variance: Vec::with_capacity(replicas),
        };
        for (replica, mut values) in values.into_iter().enumerate() {
            let of = |all: usize| replica * all..(replica + 1) * all;
            let rows = if batch.ends_complete() {
                time
            } else {
                time + 1
            };
            let critics = values.len() / (rows * parallel);
            values.resize((samples + parallel) * critics, 0.0);
            let rewards = self.ledger.rewards(batch, replica, horizon);
            self.ledger.values(replica, &mut values);
            let valid = &batch.valid[of(samples + parallel)];
            let terminated = &batch.terminated[of(samples)];
            let factors = [update.discount as f32, update.trace as f32];
            let mut found = by_column(&values, critics, |own| {
                advantages(&rewards, &own, terminated, valid, parallel, factors)
            });
            let sums = std::iter::zip(&found, &values).map(|(advantage, value)| advantage + value);
            let mut learned: Vec<f32> = sums.collect();
            let each = |valid: &bool| std::iter::repeat_n(*valid, critics);
            let counted: Vec<bool> = valid[..samples].iter().flat_map(each).collect();
            let explained = explained_variance(&found, &learned, &counted);
            targets.explained_variance.push(explained);
            if self.ledger.units() == Units::Deviation {
                let acted = &valid[..samples];
                found = by_column(&found, critics, |own| standardise(own, acted));
            }
            self.ledger.targets(replica, &mut learned, &counted);
            targets.advantages.extend(found);
            targets.values.extend(learned);
            targets.weights.extend(weights(&valid[..samples]));
        }
        targets.earned = self.ledger.earned().to_vec();
        let batch = CriticBatch {
            whole: Part {
                seen: seen_acted,
                rows: acted,
                memory,
            },
            parts: RefCell::default(),
        };
        Ok((targets, batch))
    }

    /// One step of Adam towards the targets, on the sequences `part`; `values`: `[R, T·part]`, or
    /// `[R, T·part, N]` of local critics; `weights`: `[R, T·part]`.
    pub fn learn(
        &mut self,
        batch: &CriticBatch,
        part: Range<usize>,
        values: &Tensor,
        weights: &Tensor,
        rate: f64,
    ) -> Result<()> {
        let part = batch.part(part)?;
        let said = (self.critic).values(&part.seen, &part.rows, &part.memory)?;
        // Mean over samples, sum over replicas: no replica's step depends on how many there are.
        let loss = squared_error(&said, values, weights)?;
        self.optimiser.set_learning_rate(self.learning_rate * rate);
        self.optimiser.step(&loss.backward()?)?;
        Ok(())
    }

    /// The critics' parameters, in a fixed order.
    #[cfg(test)]
    pub(crate) fn variables(&self) -> Vec<candle_core::Var> {
        self.critic.variables()
    }

    /// Everything needed to go on from here.
    pub fn save(&self) -> Result<BaselineState> {
        Ok(BaselineState {
            variables: crate::algo::values_of(&self.critic.variables())?,
            adam: self.optimiser.state()?,
            ledger: self.ledger.clone(),
            memory: saved_memory(&self.memory)?,
        })
    }

    /// Goes on from there.
    pub fn restore(&mut self, saved: BaselineState) -> Result<()> {
        crate::algo::set_values(&self.critic.variables(), &saved.variables)?;
        self.optimiser.restore(&saved.adam)?;
        self.ledger = saved.ledger;
        self.memory = loaded_memory(saved.memory, &self.device)?;
        Ok(())
    }
}
