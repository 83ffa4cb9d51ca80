//! The product of marginals at work: it acts, remembers, and takes steps of Adam.

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::common::{
    HostTensor, Packed, loaded_memory, saved_memory, set_values, streams, values_of,
};
use super::{SECOND_MOMENT_DECAY, UpdateConfig};
use crate::env::TeamSpec;
use crate::net::fused::{Adam, AdamConfig, AdamState};
use crate::net::{Choices, MarginalOutput, Marginals, Memory, NetworkConfig};
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Seen};

/// Every agent's policy, in every replica.
pub(super) struct Actor {
    pub(super) marginals: Marginals,
    /// How many numbers each agent's action is drawn from, `[N]`.
    pub(super) dimensions: Vec<usize>,
    optimiser: Adam,
    streams: Vec<Stream>,
    /// What the marginals remember now, and did when the batch began.
    memory: Memory,
    start: Memory,
    device: Device,
}

/// Everything an [`Actor`] needs to go on.
#[derive(Serialize, Deserialize)]
pub(super) struct ActorState {
    marginals: Vec<Vec<f32>>,
    adam: AdamState,
    streams: Vec<Stream>,
    memory: Vec<HostTensor>,
}

impl Actor {
    /// One team of policies a seed.
    pub(super) fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let marginals = Marginals::new(spec, network, &mut streams(seeds, "marginals"), device)?;
        let adam = AdamConfig {
            beta_2: SECOND_MOMENT_DECAY,
            max_norm: update.max_norm(),
            ..AdamConfig::default()
        };
        let sizes = spec.agents.iter().map(|agent| agent.actions.size());
        Ok(Self {
            optimiser: Adam::new(marginals.variables(), seeds.len(), adam)?,
            marginals,
            dimensions: sizes.collect(),
            streams: streams(seeds, "actions"),
            memory: Memory::new(),
            start: Memory::new(),
            device: device.clone(),
        })
    }

    /// What the policies make of what is seen, and what they remember after it.
    pub(super) fn consider(
        &self,
        seen: &Seen,
        memory: &[Tensor],
    ) -> Result<(MarginalOutput, Memory)> {
        let rows = &seen.rows;
        let own = self.marginals.pack(&seen.joint, rows, &self.device)?;
        let features = self.marginals.features(&own, rows, memory)?;
        let memory = self.marginals.memory(&features, rows)?;
        let forbidden = seen.forbidden_tensor(&self.device)?;
        let output = self.marginals.output(&features, rows, forbidden.as_ref())?;
        Ok((output, memory))
    }

    /// Every agent draws its action from what the policies say.
    pub(super) fn choose(&mut self, seen: &Seen) -> Result<(MarginalOutput, Choices)> {
        let (output, memory) = self.consider(seen, &self.memory)?;
        self.memory = memory;
        let taken = output.choose(&mut self.streams, false)?;
        Ok((output, taken))
    }

    /// The same; `by_agent`: whether each one's likelihood is kept.
    pub(super) fn act(&mut self, seen: &Seen, by_agent: bool) -> Result<Actions> {
        let (output, taken) = self.choose(seen)?;
        let actions = taken.tensor(seen.rows.replicas, seen.rows.samples(), &self.device)?;
        let log_prob = match by_agent {
            true => output.log_prob_by_agent(&actions, &self.dimensions)?,
            false => output.log_prob(&actions)?,
        };
        Ok(Actions {
            log_prob: log_prob.flatten_all()?.to_vec1()?,
            taken,
            drawn: None,
        })
    }

    /// What the policies make of a batch's last row, which nobody has acted in yet.
    pub(super) fn beyond(&self, batch: &Batch) -> Result<MarginalOutput> {
        Ok(self.consider(&batch.last(), &self.memory)?.0)
    }

    /// What was remembered before the batch that was played last; the next begins now.
    pub(super) fn turn(&mut self) -> Memory {
        std::mem::replace(&mut self.start, self.memory.clone())
    }

    /// What the policies say of a batch.
    pub(super) fn output(&self, part: &Packed) -> Result<MarginalOutput> {
        let (own, memory) = (&part.own, &part.memory[0]);
        (self.marginals).output_through(own, &part.rows, memory, part.forbidden.as_ref())
    }

    /// One step of Adam down `loss`, a mean over samples and a sum over replicas: no replica's step
    /// depends on how many there are.
    pub(super) fn step(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        self.step_by(&loss.backward()?, learning_rate)
    }

    /// The same by gradients that others step by, too.
    pub(super) fn step_by(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.optimiser.set_learning_rate(learning_rate);
        self.optimiser.step(gradients)?;
        Ok(())
    }

    pub(super) fn save(&self) -> Result<ActorState> {
        Ok(ActorState {
            marginals: values_of(&self.marginals.variables())?,
            adam: self.optimiser.state()?,
            streams: self.streams.clone(),
            memory: saved_memory(&self.memory)?,
        })
    }

    pub(super) fn restore(&mut self, saved: ActorState) -> Result<()> {
        set_values(&self.marginals.variables(), &saved.marginals)?;
        self.optimiser.restore(&saved.adam)?;
        self.streams = saved.streams;
        self.memory = loaded_memory(saved.memory, &self.device)?;
        self.start.clone_from(&self.memory);
        Ok(())
    }
}
