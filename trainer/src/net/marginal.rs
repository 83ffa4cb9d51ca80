//! The marginals π_i(a_i | h_i): one network an agent, the only thing that leaves the
//! workstation.
//!
//! Networks are drawn up in *crews*. Without sharing there is one: all agents of all replicas go
//! through the operations together (G = R × N), observations padded with zeros to the longest,
//! actions to the largest set. With sharing every kind of agent (equal spaces) is a crew of its
//! own with one network a replica (G = R), which is told by one-hot inputs whom it acts for; at
//! export that constant part of the input becomes part of the first layer's biases.

use std::borrow::Cow;

use candle_core::{Device, Result, Tensor, Var};

use super::fused::{Activation, exchanged, log_softmax_of};
use super::output::MarginalOutput;
use super::trunk::{Dense, Trunk, TrunkWeights};
use super::weights::{HeadWeights, LayerWeights, NetworkWeights};
use super::{NetworkConfig, Rows};
use crate::env::{ActionSpace, TeamSpec};
use crate::rng::Stream;

/// Added to the logits of actions that are padding or forbidden; e^−1e9 is zero in f32.
pub const FORBIDDEN: f32 = -1e9;

/// Scale of an output layer's initial weights: small beside the biases, yet enough to break
/// the symmetry between observations.
pub(super) const OUTPUT_GAIN: f64 = 0.1;

/// ln σ of a continuous action when training starts (σ ≈ .6 before squashing).
const FIRST_LOG_STD: f32 = -0.5;

/// The marginal networks of every agent and replica.
pub struct Marginals {
    crews: Vec<Crew>,
    /// Where agent i stands when crews stand one after another; none where that is agent order.
    order: Option<Tensor>,
    /// `[1, 1, N·A]`: 0 for actions an agent has, [`FORBIDDEN`] for padding.
    padding: Tensor,
    /// Whether there is any.
    padded: bool,
    /// For continuous teams: the real dimensions among the padded, `[Σ dimensions]`.
    dimensions: Option<Tensor>,
    /// Whether vectors leave the workstation without a spread: tanh of the mean is the action.
    deterministic: bool,
    spec: TeamSpec,
}

/// Networks of one shape.
struct Crew {
    /// The agents that they are for.
    members: Vec<usize>,
    /// Whether they share one network.
    shared: bool,
    trunk: Trunk,
    head: Dense,
    /// ln σ of continuous actions, `[G, 1, dimensions]`.
    log_std: Option<Var>,
    /// Where actions are products: which of the head's outputs each action's logit is the sum of, ones and
    /// zeros `[G, outputs, actions]`.
    sums: Option<Tensor>,
    /// Longest observation of a member.
    observation: usize,
}

/// What every crew's networks see or make of it; one tensor a crew.
pub type CrewTensors = Vec<Tensor>;

/// What the networks remember, crew by crew; empty: nothing.
pub type Memory = Vec<Tensor>;

impl Marginals {
    /// Draws the marginals of every replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let agents = spec.agents.len();
        let width = spec.widest_actions();
        let crews: Vec<Crew> = (members(spec, network.share).into_iter())
            .map(|members| Crew::new(spec, network, members, streams, device))
            .collect::<Result<_>>()?;
        let standing: Vec<u32> = crews
            .iter()
            .flat_map(|crew| &crew.members)
            .map(|&agent| agent as u32)
            .collect();
        let mut order = vec![0_u32; agents];
        for (place, &agent) in standing.iter().enumerate() {
            order[agent as usize] = place as u32;
        }
        let sorted = order
            .iter()
            .enumerate()
            .all(|(i, &place)| i == place as usize);
        let real = |agent: &crate::env::AgentSpec| {
            (0..width)
                .map(|a| a < agent.actions.size())
                .collect::<Vec<_>>()
        };
        let real: Vec<bool> = spec.agents.iter().flat_map(real).collect();
        let padding: Vec<f32> = real
            .iter()
            .map(|&real| if real { 0.0 } else { FORBIDDEN })
            .collect();
        let dimensions: Vec<u32> = (0..real.len() as u32)
            .filter(|&d| real[d as usize])
            .collect();
        Ok(Self {
            crews,
            order: match sorted {
                true => None,
                false => Some(Tensor::from_vec(order, agents, device)?),
            },
            padding: Tensor::from_vec(padding, (1, 1, agents * width), device)?,
            padded: real.contains(&false),
            dimensions: match spec.is_continuous() {
                true => Some(Tensor::new(dimensions, device)?),
                false => None,
            },
            deterministic: false,
            spec: spec.clone(),
        })
    }

    /// The same networks, whose vectors are exported as what they are without chance. What explores
    /// here is not the policy.
    pub fn deterministic(self) -> Self {
        Self {
            deterministic: self.spec.is_continuous(),
            ..self
        }
    }

    /// Where they live.
    pub fn device(&self) -> &Device {
        self.padding.device()
    }

    /// The team's shape.
    pub fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    /// N.
    pub fn agents(&self) -> usize {
        self.spec.agents.len()
    }

    /// Lays out what the crews see. `joint`: `[R, T·B, Σ observation]`.
    pub fn pack(&self, joint: &[f32], rows: &Rows, device: &Device) -> Result<CrewTensors> {
        let mut starts = vec![0];
        for agent in &self.spec.agents {
            starts.push(starts.last().copied().unwrap_or(0) + agent.observation);
        }
        self.crews
            .iter()
            .map(|crew| crew.pack(joint, &starts, rows, device))
            .collect()
    }

    /// What the trunks make of it: features of every crew.
    pub fn features(&self, own: &[Tensor], rows: &Rows, memory: &[Tensor]) -> Result<CrewTensors> {
        let crews = std::iter::zip(&self.crews, own).enumerate();
        crews
            .map(|(index, (crew, own))| {
                (crew.trunk).forward(own, &crew.rows(rows), memory.get(index))
            })
            .collect()
    }

    /// What they remember after the last row.
    pub fn memory(&self, features: &[Tensor], rows: &Rows) -> Result<Memory> {
        let mut memory = Vec::new();
        for (crew, features) in std::iter::zip(&self.crews, features) {
            memory.extend(crew.trunk.memory(features, &crew.rows(rows))?);
        }
        Ok(memory)
    }

    /// What the heads make of features. `forbidden`: `[R, S, N·A]`, 0 or [`FORBIDDEN`], padding
    /// included, where the environment masks actions.
    pub fn output(
        &self,
        features: &[Tensor],
        rows: &Rows,
        forbidden: Option<&Tensor>,
    ) -> Result<MarginalOutput> {
        self.output_of(self.scores(features, rows)?, rows, forbidden)
    }

    /// The same from what crews see, for whoever does not need their features.
    pub fn output_through(
        &self,
        own: &[Tensor],
        rows: &Rows,
        memory: &[Tensor],
        forbidden: Option<&Tensor>,
    ) -> Result<MarginalOutput> {
        self.output_of(self.scores_through(own, rows, memory)?, rows, forbidden)
    }

    /// What scores `[R, S, N·A]` mean.
    fn output_of(
        &self,
        output: Tensor,
        rows: &Rows,
        forbidden: Option<&Tensor>,
    ) -> Result<MarginalOutput> {
        let (agents, width) = (self.spec.agents.len(), self.spec.widest_actions());
        let Some(dimensions) = &self.dimensions else {
            let logits = match (forbidden, self.padded) {
                (Some(mask), _) => output.broadcast_add(mask)?,
                (None, true) => output.broadcast_add(&self.padding)?,
                (None, false) => output,
            };
            let log_probs = log_softmax_of(&logits, width)?;
            return Ok(MarginalOutput::Categorical { log_probs, agents });
        };
        let one_row = Rows::unrelated(rows.replicas, 1);
        let spreads: Vec<Tensor> = (self.crews.iter())
            .map(|crew| {
                let log_std = crew
                    .log_std
                    .as_ref()
                    .expect("a continuous team has spreads");
                let log_std = match crew.shared {
                    true => log_std.repeat((1, crew.members.len(), 1))?,
                    false => log_std.as_tensor().clone(),
                };
                let log_std = crew.by_agent(&log_std, &one_row)?;
                let missing = width - log_std.dim(3)?;
                log_std.pad_with_zeros(3, 0, missing)
            })
            .collect::<Result<_>>()?;
        let log_std = self
            .in_order(&spreads)?
            .reshape((rows.replicas, 1, agents * width))?;
        Ok(MarginalOutput::Gaussian {
            mean: output.index_select(dimensions, 2)?,
            log_std: log_std.index_select(dimensions, 2)?,
        })
    }

    /// What the heads say before anything is made of it, padded with zeros: unnormalised log
    /// probabilities or values of discrete actions, means of continuous ones, `[R, S, N·A]`.
    pub fn scores(&self, features: &[Tensor], rows: &Rows) -> Result<Tensor> {
        let crews = std::iter::zip(&self.crews, features);
        let outputs =
            crews.map(|(crew, features)| crew.head.forward(features, Activation::Identity));
        self.side_by_side(outputs, rows)
    }

    /// The same from what crews see, for whoever does not need their features.
    pub fn scores_through(&self, own: &[Tensor], rows: &Rows, memory: &[Tensor]) -> Result<Tensor> {
        let crews = std::iter::zip(&self.crews, own).enumerate();
        let outputs = crews.map(|(index, (crew, own))| {
            let memory = memory.get(index);
            (crew.trunk).forward_through(own, &crew.rows(rows), memory, &crew.head)
        });
        self.side_by_side(outputs, rows)
    }

    /// Outputs of the crews' heads as `[R, S, N·A]`.
    fn side_by_side(
        &self,
        outputs: impl Iterator<Item = Result<Tensor>>,
        rows: &Rows,
    ) -> Result<Tensor> {
        let width = self.spec.widest_actions();
        let outputs: Vec<Tensor> = std::iter::zip(&self.crews, outputs)
            .map(|(crew, output)| {
                // log ∏ softmax(l_g) = log softmax of the sums l_1[c_1] + l_2[c_2] + …, so that to
                // everything behind this a product is one choice like any other.
                let output = match &crew.sums {
                    Some(sums) => output?.matmul(sums)?,
                    None => output?,
                };
                let output = crew.by_agent(&output, rows)?;
                let missing = width - output.dim(3)?;
                output.pad_with_zeros(3, 0, missing)
            })
            .collect::<Result<_>>()?;
        let agents = self.spec.agents.len();
        let shape = (rows.replicas, rows.samples(), agents * width);
        self.in_order(&outputs)?.reshape(shape)
    }

    /// `[1, 1, N·A]`: 0 for actions that an agent has, [`FORBIDDEN`] for padding.
    pub fn padding(&self) -> &Tensor {
        &self.padding
    }

    /// Sets ln σ of every continuous action.
    pub fn set_log_std(&self, log_std: f64) -> Result<()> {
        for variable in self.crews.iter().filter_map(|crew| crew.log_std.as_ref()) {
            variable.set(&variable.ones_like()?.affine(log_std, 0.0)?)?;
        }
        Ok(())
    }

    /// Every agent's features, `[R, S, N, F]`, padded with zeros to the longest: without layers and memory they are
    /// observations, whose length is each kind's own.
    pub fn features_by_agent(&self, features: &[Tensor], rows: &Rows) -> Result<Tensor> {
        let width = self.feature_width();
        let crews = std::iter::zip(&self.crews, features);
        let by_agent: Vec<Tensor> = crews
            .map(|(crew, features)| {
                let features = crew.by_agent(features, rows)?;
                let missing = width - features.dim(3)?;
                features.pad_with_zeros(3, 0, missing)
            })
            .collect::<Result<_>>()?;
        self.in_order(&by_agent)
    }

    /// Length of an agent's feature vector.
    pub fn feature_width(&self) -> usize {
        let widths = self.crews.iter().map(|crew| crew.trunk.outputs());
        widths.max().unwrap_or(0)
    }

    /// The whole way from what crews see to what the heads say, for rows without a past.
    pub fn forward(&self, own: &[Tensor], rows: &Rows) -> Result<MarginalOutput> {
        self.output_through(own, rows, &[], None)
    }

    /// Crews' tensors `[R, S, members, …]` side by side in agent order.
    fn in_order(&self, crews: &[Tensor]) -> Result<Tensor> {
        let joined = match crews {
            [one] => one.clone(),
            several => Tensor::cat(several, 2)?,
        };
        match &self.order {
            Some(order) => joined.index_select(order, 2),
            None => Ok(joined),
        }
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        let of = |crew: &Crew| {
            let mut variables = crew.trunk.variables();
            variables.extend(crew.head.variables());
            variables.extend(crew.log_std.clone());
            variables
        };
        self.crews.iter().flat_map(of).collect()
    }

    /// The parameters of the trunks alone, in a fixed order.
    pub fn trunk_variables(&self) -> Vec<Var> {
        let crews = self.crews.iter();
        crews.flat_map(|crew| crew.trunk.variables()).collect()
    }

    /// Host copy of one agent's network with padding cut away and whom it acts for folded in.
    pub fn weights(&self, replica: usize, agent: usize) -> Result<NetworkWeights> {
        let place = |crew: &Crew| crew.members.iter().position(|&member| member == agent);
        let (crew, place) = (self.crews.iter())
            .find_map(|crew| place(crew).map(|place| (crew, place)))
            .expect("every agent is in a crew");
        let spec = self.spec.agents[agent];
        let mut weights = crew.weights(replica, place, spec.observation, spec.actions)?;
        if self.deterministic {
            weights.squash();
        }
        Ok(weights)
    }
}

/// The agents of every crew.
pub(super) fn members(spec: &TeamSpec, share: bool) -> Vec<Vec<usize>> {
    let agents = 0..spec.agents.len();
    if !share {
        return vec![agents.collect()];
    }
    let mut kinds: Vec<Vec<usize>> = Vec::new();
    for agent in agents {
        let alike = |kind: &&mut Vec<usize>| spec.agents[kind[0]] == spec.agents[agent];
        match kinds.iter_mut().find(alike) {
            Some(kind) => kind.push(agent),
            None => kinds.push(vec![agent]),
        }
    }
    kinds
}

/// [`Crew::sums`] of a crew of `groups` networks, its members' in turns; none where no actions are
/// products.
fn sums(
    spaces: &[ActionSpace],
    groups: usize,
    outputs: usize,
    device: &Device,
) -> Result<Option<Tensor>> {
    if !spaces
        .iter()
        .any(|space| matches!(space, ActionSpace::Product(_)))
    {
        return Ok(None);
    }
    let width = spaces.iter().map(|space| space.size()).max().unwrap_or(0);
    let mut table = vec![0.0_f32; groups * outputs * width];
    let networks = table.chunks_exact_mut(outputs * width);
    // Shared networks are for members of one kind.
    for (network, space) in networks.zip(spaces.iter().cycle()) {
        for action in 0..space.size() {
            let ActionSpace::Product(factors) = space else {
                network[action * width + action] = 1.0;
                continue;
            };
            let mut start = 0;
            for (choice, size) in factors.choices(action).zip(factors.sizes()) {
                network[(start + choice) * width + action] = 1.0;
                start += size;
            }
        }
    }
    Tensor::from_vec(table, (groups, outputs, width), device).map(Some)
}

impl Crew {
    fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        members: Vec<usize>,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let shared = network.share && members.len() > 1;
        let specs = members.iter().map(|&agent| spec.agents[agent]);
        let observation = specs
            .clone()
            .map(|agent| agent.observation)
            .max()
            .unwrap_or(0);
        let spaces: Vec<ActionSpace> = specs.map(|agent| agent.actions).collect();
        let outputs = spaces.iter().map(|space| space.outputs());
        let outputs = outputs.max().unwrap_or(0);
        // One network a replica and agent, or one a replica, each from a stream of its own.
        let networks = if shared { 1 } else { members.len() };
        let mut streams: Vec<Stream> = streams
            .iter_mut()
            .flat_map(|stream| (0..networks).map(|agent| stream.fork(agent as u64)))
            .collect();
        let inputs = observation + if shared { members.len() } else { 0 };
        let trunk = Trunk::new(inputs, network, &mut streams, device)?;
        let gains = [OUTPUT_GAIN, network.output_spread];
        let groups = streams.len();
        let head = Dense::new([trunk.outputs(), outputs], gains, &mut streams, device)?;
        let log_std = match spec.is_continuous() {
            true => Some(Var::from_vec(
                vec![FIRST_LOG_STD; groups * outputs],
                (groups, 1, outputs),
                device,
            )?),
            false => None,
        };
        Ok(Self {
            members,
            shared,
            trunk,
            head,
            log_std,
            sums: sums(&spaces, groups, outputs, device)?,
            observation,
        })
    }

    /// `[R, T·B, Σ observation]` on the host → `[R·N, T·B, D]`, or with sharing
    /// `[R, T·N·B, D + N]`.
    fn pack(
        &self,
        joint: &[f32],
        starts: &[usize],
        rows: &Rows,
        device: &Device,
    ) -> Result<Tensor> {
        let (count, samples) = (self.members.len(), rows.samples());
        let width = starts[starts.len() - 1];
        let wide = self.observation + if self.shared { count } else { 0 };
        let mut own = vec![0.0_f32; rows.replicas * count * samples * wide];
        for (index, row) in joint.chunks_exact(width).enumerate() {
            let (replica, sample) = (index / samples, index % samples);
            let (step, sequence) = (sample / rows.parallel, sample % rows.parallel);
            for (place, &agent) in self.members.iter().enumerate() {
                let target = match self.shared {
                    true => {
                        ((replica * rows.time + step) * count + place) * rows.parallel + sequence
                    }
                    false => (replica * count + place) * samples + sample,
                };
                let target = &mut own[target * wide..(target + 1) * wide];
                let seen = &row[starts[agent]..starts[agent + 1]];
                target[..seen.len()].copy_from_slice(seen);
                if self.shared {
                    target[self.observation + place] = 1.0;
                }
            }
        }
        match self.shared {
            true => Tensor::from_vec(own, (rows.replicas, count * samples, wide), device),
            false => Tensor::from_vec(own, (rows.replicas * count, samples, wide), device),
        }
    }

    /// The rows that one of its networks goes through.
    fn rows<'a>(&self, rows: &'a Rows) -> Cow<'a, Rows> {
        match self.shared && self.trunk.has_memory() {
            true => Cow::Owned(rows.repeated(self.members.len())),
            // Without memory rows have nothing to do with one another.
            false => Cow::Borrowed(rows),
        }
    }

    /// Rows as the networks have them → `[R, S, members, width]`.
    fn by_agent(&self, rows_of_networks: &Tensor, rows: &Rows) -> Result<Tensor> {
        let width = rows_of_networks.dim(2)?;
        let (replicas, samples, count) = (rows.replicas, rows.samples(), self.members.len());
        let dims = match self.shared {
            true => [replicas * rows.time, count, rows.parallel, width],
            false => [replicas, count, samples, width],
        };
        exchanged(rows_of_networks, dims, (replicas, samples, count, width))
    }

    fn weights(
        &self,
        replica: usize,
        place: usize,
        observation: usize,
        actions: ActionSpace,
    ) -> Result<NetworkWeights> {
        let group = match self.shared {
            true => replica,
            false => replica * self.members.len() + place,
        };
        let TrunkWeights { encoder, gru } = self.trunk.weights(group)?;
        let mut head = self.head.weights(group)?;
        head.keep_outputs(actions.outputs());
        let mut layers: Vec<LayerWeights> = encoder
            .into_iter()
            .map(|layer| LayerWeights::Dense(layer, consort_runtime::Activation::Tanh))
            .collect();
        layers.extend(gru.map(LayerWeights::Gru));
        layers.push(LayerWeights::Dense(
            head,
            consort_runtime::Activation::Identity,
        ));
        let first = layers.first_mut().expect("a network has its head");
        if self.shared {
            first.fold_constant(self.observation + place);
        }
        first.keep_inputs(observation);
        let head = match (&self.log_std, actions) {
            (None, ActionSpace::Product(factors)) => HeadWeights::MultiDiscrete {
                sizes: factors.sizes().iter().map(|&size| size as u32).collect(),
            },
            (None, _) => HeadWeights::Categorical,
            (Some(log_std), _) => {
                let log_std: Vec<f32> = log_std.get(group)?.flatten_all()?.to_vec1()?;
                HeadWeights::Gaussian {
                    log_std: log_std[..actions.outputs()].to_vec(),
                }
            }
        };
        Ok(NetworkWeights { layers, head })
    }
}
