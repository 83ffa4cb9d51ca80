//! A joint policy beside the marginals: what they see, remember and are stepped by.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::common::{
    HostTensor, Packed, loaded_memory, saved_memory, set_values, streams, values_of,
};
use super::{PlayMemory, SECOND_MOMENT_DECAY, UpdateConfig};
use crate::env::TeamSpec;
use crate::net::fused::{Adam, AdamConfig, AdamState};
use crate::net::{
    Choices, CrewTensors, Features, Joint, MarginalOutput, Marginals, Memory, NetworkConfig,
};
use crate::rollout::Seen;

/// Both policies of every replica.
pub(super) struct Duo {
    pub(super) joint: Joint,
    pub(super) marginals: Marginals,
    pub(super) optimisers: Optimisers,
    /// What the marginals and the joint policy remember now, and did when the batch began.
    memory: [Memory; 2],
    start: [Memory; 2],
    device: Device,
}

/// One for each policy, so that neither's gradient is clipped for the other's sake.
pub(super) struct Optimisers {
    pub(super) joint: Adam,
    pub(super) marginals: Adam,
}

/// What both make of one moment.
pub(super) struct Considered {
    /// What the marginals say, held constant.
    pub(super) output: MarginalOutput,
    /// What the joint policy's head reads, where it was asked.
    pub(super) features: Option<Features>,
    pub(super) forbidden: Option<Tensor>,
}

/// Everything a [`Duo`] needs to go on.
#[derive(Serialize, Deserialize)]
pub(super) struct DuoState {
    joint: Vec<Vec<f32>>,
    marginals: Vec<Vec<f32>>,
    adam: [AdamState; 2],
    memory: [Vec<HostTensor>; 2],
}

impl Duo {
    /// One of both a seed.
    pub(super) fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let named = |name| streams(seeds, name);
        let marginals = Marginals::new(spec, network, &mut named("marginals"), device)?;
        let joint = Joint::new(spec, network, &marginals, &mut named("joint"), device)?;
        let adam = |variables| {
            let settings = AdamConfig {
                beta_2: SECOND_MOMENT_DECAY,
                max_norm: update.max_norm(),
                ..AdamConfig::default()
            };
            Adam::new(variables, seeds.len(), settings)
        };
        Ok(Self {
            optimisers: Optimisers {
                joint: adam(joint.variables())?,
                marginals: adam(marginals.variables())?,
            },
            joint,
            marginals,
            memory: Default::default(),
            start: Default::default(),
            device: device.clone(),
        })
    }

    /// Both policies' opinion of what is seen now; the joint policy is asked if `with_joint`.
    pub(super) fn consider(&mut self, seen: &Seen, with_joint: bool) -> Result<Considered> {
        let mut memory = std::mem::take(&mut self.memory);
        let considered = self.consider_with(seen, &mut memory, with_joint);
        self.memory = memory;
        considered
    }

    /// The same with another's `memory`, which is brought up to date.
    fn consider_with(
        &self,
        seen: &Seen,
        memory: &mut [Memory; 2],
        with_joint: bool,
    ) -> Result<Considered> {
        let rows = &seen.rows;
        let forbidden = seen.forbidden_tensor(&self.device)?;
        let own = self.marginals.pack(&seen.joint, rows, &self.device)?;
        let features = self.marginals.features(&own, rows, &memory[0])?;
        memory[0] = self.marginals.memory(&features, rows)?;
        let output = self.marginals.output(&features, rows, forbidden.as_ref())?;
        let mut considered = Considered {
            output: output.detach(),
            features: None,
            forbidden,
        };
        if with_joint {
            let joint = seen.joint_tensor(&self.device)?;
            let of_joint = (self.joint).features(
                &joint,
                &own,
                &self.marginals,
                &features,
                rows,
                &memory[1],
            )?;
            memory[1] = of_joint.1;
            considered.features = Some(of_joint.0);
        }
        Ok(considered)
    }

    /// Both policies' opinion of what is seen without a past.
    pub(super) fn anew(&self, seen: &Seen) -> Result<Considered> {
        self.consider_with(seen, &mut Default::default(), true)
    }

    /// The joint policy plays, with a memory of its own.
    pub(super) fn play(
        &self,
        seen: &Seen,
        memory: &mut PlayMemory,
        greedy: bool,
    ) -> Result<Choices> {
        let considered = self.consider_with(seen, &mut memory.parts, true)?;
        let features = considered.features.expect("the joint policy was asked");
        let forbidden = considered.forbidden.as_ref();
        let head = self.joint.head();
        head.choose(&features, forbidden, &mut memory.streams, greedy)
    }

    /// What was remembered before the batch that was played last.
    pub(super) fn start(&self) -> [Memory; 2] {
        self.start.clone()
    }

    /// The next batch begins now.
    pub(super) fn turn(&mut self) {
        self.start.clone_from(&self.memory);
    }

    /// What the marginals make of a batch: features and output.
    pub(super) fn output(&self, part: &Packed) -> Result<(CrewTensors, MarginalOutput)> {
        let (marginals, rows) = (&self.marginals, &part.rows);
        let features = marginals.features(&part.own, rows, &part.memory[0])?;
        let output = marginals.output(&features, rows, part.forbidden.as_ref())?;
        Ok((features, output))
    }

    /// What the joint policy's head reads of a batch.
    pub(super) fn features(&self, part: &Packed, of_marginals: &CrewTensors) -> Result<Features> {
        let (features, _) = self.joint.features(
            &part.joint,
            &part.own,
            &self.marginals,
            of_marginals,
            &part.rows,
            &part.memory[1],
        )?;
        Ok(features)
    }

    pub(super) fn save(&self) -> Result<DuoState> {
        Ok(DuoState {
            joint: values_of(&self.joint.variables())?,
            marginals: values_of(&self.marginals.variables())?,
            adam: [
                self.optimisers.joint.state()?,
                self.optimisers.marginals.state()?,
            ],
            memory: [
                saved_memory(&self.memory[0])?,
                saved_memory(&self.memory[1])?,
            ],
        })
    }

    pub(super) fn restore(&mut self, saved: DuoState) -> Result<()> {
        set_values(&self.joint.variables(), &saved.joint)?;
        set_values(&self.marginals.variables(), &saved.marginals)?;
        let [joint, marginals] = saved.adam;
        self.optimisers.joint.restore(&joint)?;
        self.optimisers.marginals.restore(&marginals)?;
        let [marginals, joint] = saved.memory;
        self.memory = [
            loaded_memory(marginals, &self.device)?,
            loaded_memory(joint, &self.device)?,
        ];
        self.turn();
        Ok(())
    }
}
