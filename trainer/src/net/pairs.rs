//! Controllers of pairs of agents, which see what the pair knows in common, and the selector of
//! pairs, which sees what the whole team does (Schroeder de Witt et al. 2019, section 4: Pairwise
//! MACKRL).
//!
//! ```text
//! selector     σ(m | common to all)           m: a matching, which leaves over one of an odd team
//! controllers  c_ab(u_a, u_b or "delegate" | common to a and b)
//! ```
//!
//! One network for all pairs of a replica, which is told which pair it controls; its rows are
//! `t·B·P + p·B + b`.

mod matchings;

use candle_core::{D, DType, Device, Result, Tensor, Var};

use super::fused::{Activation, log_softmax};
use super::marginal::{FORBIDDEN, Memory, OUTPUT_GAIN};
use super::rows::by_replica;
use super::trunk::{Dense, Trunk};
use super::{NetworkConfig, Rows};
use crate::env::TeamSpec;
use crate::rng::Stream;

pub use matchings::Matchings;

/// The upper levels of the hierarchy, in every replica.
pub struct Hierarchy {
    /// How the team can be parted.
    pub matchings: Matchings,
    of_pairs: Tensor,
    alone: Tensor,
    controllers: (Trunk, Dense),
    /// None of a team that is one pair.
    selector: Option<(Trunk, Dense)>,
    agents: usize,
    /// A: the widest action set.
    width: usize,
    /// K: length of a group's common knowledge.
    common: usize,
    /// `[1, 1, N·A]`: 0 for actions an agent has, [`FORBIDDEN`] for padding.
    padding: Tensor,
}

/// What the upper levels say, as log-probabilities.
pub struct Commands {
    /// Of matchings, `[R, S, M]`.
    pub selector: Tensor,
    /// Of each pair's joint actions, (a, b) at a·A + b, and last to delegate: `[R, S, P, A² + 1]`.
    pub controllers: Tensor,
}

impl Hierarchy {
    /// One hierarchy a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let (agents, width, common) = (spec.agents.len(), spec.widest_actions(), spec.common);
        let matchings = Matchings::new(agents);
        let [of_pairs, alone] = matchings.tables(agents, device)?;
        let mut level = |inputs, outputs| -> Result<(Trunk, Dense)> {
            let trunk = Trunk::new(inputs, network, streams, device)?;
            let gains = [OUTPUT_GAIN, network.output_spread];
            let head = Dense::new([trunk.outputs(), outputs], gains, streams, device)?;
            Ok((trunk, head))
        };
        let controllers = level(common + matchings.pairs.len(), width * width + 1)?;
        let selector = match matchings.all.len() {
            1 => None,
            count => Some(level(common + 1, count)?),
        };
        let real = spec.agents.iter().map(|agent| agent.actions.size());
        let padding: Vec<f32> = real
            .flat_map(|size| (0..width).map(move |a| if a < size { 0.0 } else { FORBIDDEN }))
            .collect();
        Ok(Self {
            matchings,
            of_pairs,
            alone,
            controllers,
            selector,
            agents,
            width,
            common,
            padding: Tensor::from_vec(padding, (1, 1, agents * width), device)?,
        })
    }

    /// What both levels see of a batch: `[R, T·P·B, K + P]` and `[R, T·B, K + 1]`. `common`:
    /// `[R, T·B, G·K]`, pairs first, then the team.
    pub fn seen(&self, common: &[f32], rows: &Rows, device: &Device) -> Result<[Tensor; 2]> {
        let (pairs, known) = (self.matchings.pairs.len(), self.common);
        let groups = pairs + usize::from(self.selector.is_some());
        let count = rows.replicas * rows.samples();
        let inputs = known + pairs;
        let mut of_pairs = vec![0.0_f32; count * pairs * inputs];
        let mut of_team = Vec::with_capacity(count * (known + 1));
        for row in 0..count {
            let told = &common[row * groups * known..][..groups * known];
            let (step, sequence) = (row / rows.parallel, row % rows.parallel);
            for pair in 0..pairs {
                let place = (step * pairs + pair) * rows.parallel + sequence;
                let own = &mut of_pairs[place * inputs..][..inputs];
                own[..known].copy_from_slice(&told[pair * known..][..known]);
                own[known + pair] = 1.0;
            }
            of_team.extend_from_slice(&told[(groups - 1) * known..]);
            of_team.push(1.0);
        }
        let samples = rows.samples();
        Ok([
            Tensor::from_vec(of_pairs, (rows.replicas, samples * pairs, inputs), device)?,
            Tensor::from_vec(of_team, (rows.replicas, samples, known + 1), device)?,
        ])
    }

    /// What both levels say of what they [`seen`](Self::seen), and what they remember after it.
    /// `forbidden`: `[R, S, N·A]`; `memory`: before the first row.
    pub fn forward(
        &self,
        [of_pairs, of_team]: &[Tensor; 2],
        forbidden: Option<&Tensor>,
        rows: &Rows,
        memory: &[Tensor],
    ) -> Result<(Commands, Memory)> {
        let (replicas, samples) = (rows.replicas, rows.samples());
        let pairs = self.matchings.pairs.len();
        let turns = rows.repeated(pairs);
        let (trunk, head) = &self.controllers;
        let features = trunk.forward(of_pairs, &turns, memory.first())?;
        let mut remembered: Memory = trunk.memory(&features, &turns)?.into_iter().collect();
        let outputs = self.width * self.width + 1;
        let logits = head
            .forward(&features, Activation::Identity)?
            .reshape((replicas * rows.time, pairs, rows.parallel, outputs))?
            .transpose(1, 2)?
            .contiguous()?
            .reshape((replicas, samples, pairs, outputs))?;
        let logits = logits.broadcast_add(&self.mask(forbidden.unwrap_or(&self.padding))?)?;
        let controllers = log_softmax(&logits)?;
        let selector = match &self.selector {
            None => Tensor::zeros((replicas, samples, 1), DType::F32, of_team.device())?,
            Some((trunk, head)) => {
                let features = trunk.forward(of_team, rows, memory.get(1))?;
                remembered.extend(trunk.memory(&features, rows)?);
                log_softmax(&head.forward(&features, Activation::Identity)?)?
            }
        };
        let commands = Commands {
            selector,
            controllers,
        };
        Ok((commands, remembered))
    }

    /// [`FORBIDDEN`] where a pair's joint action holds what one of it may not do; to delegate is
    /// always allowed. forbidden: `[·, ·, N·A]` → `[·, ·, P, A² + 1]`.
    fn mask(&self, forbidden: &Tensor) -> Result<Tensor> {
        let (replicas, samples, _) = forbidden.dims3()?;
        let width = self.width;
        let of_agent = |agent: usize| forbidden.narrow(2, agent * width, width);
        let masks = self.matchings.pairs.iter().map(|&[a, b]| {
            let rows = of_agent(a)?.reshape((replicas, samples, width, 1))?;
            let columns = of_agent(b)?.reshape((replicas, samples, 1, width))?;
            let both = rows
                .broadcast_add(&columns)?
                .maximum(f64::from(FORBIDDEN))?;
            both.reshape((replicas, samples, 1, width * width))?
                .pad_with_zeros(D::Minus1, 0, 1)
        });
        Tensor::cat(&masks.collect::<Result<Vec<_>>>()?, 2)
    }

    /// ln of the probability of joint actions over all ways through the hierarchy, `[R, S]`:
    ///
    /// ```text
    /// P(u) = Σ_m σ(m) ∏_{ab ∈ m} [ c_ab(u_a, u_b) + c_ab(delegate) π_a(u_a) π_b(u_b) ] ∏_{left} π_i(u_i)
    /// ```
    ///
    /// `own`: ln π_i(u_i), `[R, S, N]`; actions: `[R, S, N]`.
    pub fn log_prob(&self, commands: &Commands, own: &Tensor, actions: &Tensor) -> Result<Tensor> {
        let pairs = self.matchings.pairs.len();
        let of_agent = |table: &Tensor, agent: usize| table.narrow(2, agent, 1);
        let mut together = Vec::with_capacity(pairs);
        let mut apart = Vec::with_capacity(pairs);
        for &[a, b] in &self.matchings.pairs {
            let index = (of_agent(actions, a)? * self.width as f64)?;
            together.push((index + of_agent(actions, b)?)?);
            apart.push((of_agent(own, a)? + of_agent(own, b)?)?);
        }
        let together = Tensor::cat(&together, 2)?.unsqueeze(3)?;
        let commanded = commands.controllers.gather(&together, 3)?.squeeze(3)?;
        let delegated = (self.delegation(commands)? + Tensor::cat(&apart, 2)?)?;
        let of_pairs = log_sum(&Tensor::stack(&[commanded, delegated], 3)?)?;

        let ways = (by_replica(&of_pairs, &self.of_pairs)? + by_replica(own, &self.alone)?)?;
        log_sum(&(ways + &commands.selector)?)
    }

    /// ln c_ab(delegate), `[R, S, P]`.
    fn delegation(&self, commands: &Commands) -> Result<Tensor> {
        let last = self.width * self.width;
        commands.controllers.narrow(3, last, 1)?.squeeze(3)
    }

    /// The share of agents that are expected to act on their own, and the entropy of what the upper
    /// levels decide, in nats; `[R, S]` each.
    pub fn shares(&self, commands: &Commands) -> Result<[Tensor; 2]> {
        let selector = commands.selector.exp()?;
        let selected = by_replica(&selector, &self.of_pairs.t()?.contiguous()?)?;
        let chosen = commands.controllers.exp()?;
        let entropy = (&chosen * &commands.controllers)?.sum(3)?.neg()?;
        let own = (&selector * &commands.selector)?.sum(2)?.neg()?;
        let entropy = (own + (&selected * entropy)?.sum(2)?)?;
        let delegated = (selected * self.delegation(commands)?.exp()?)?.sum(2)?;
        let left = (self.agents % 2) as f64;
        let share = ((delegated * 2.0)? + left)? / self.agents as f64;
        Ok([share?, entropy])
    }

    /// Replaces what agents chose by themselves by what their controllers command, a coin a level.
    /// `actions`: `[R, S, N]`; `streams`: one a replica; `greedy`: the likeliest commands.
    pub fn command(
        &self,
        commands: &Commands,
        actions: &mut [u32],
        streams: &mut [Stream],
        greedy: bool,
    ) -> Result<()> {
        let (_, samples, count) = commands.selector.dims3()?;
        let selector: Vec<f32> = commands.selector.exp()?.flatten_all()?.to_vec1()?;
        let chosen: Vec<f32> = commands.controllers.exp()?.flatten_all()?.to_vec1()?;
        let (pairs, outputs) = (self.matchings.pairs.len(), self.width * self.width + 1);
        let rows = selector.chunks_exact(count);
        let rows = rows.zip(chosen.chunks_exact(pairs * outputs));
        let rows = rows.zip(actions.chunks_exact_mut(self.agents));
        for (index, ((selector, chosen), actions)) in rows.enumerate() {
            let stream = &mut streams[index / samples];
            let mut draw = |probs: &[f32]| match greedy {
                true => super::choices::largest(probs),
                false => stream.categorical(probs),
            };
            let (parted, _) = &self.matchings.all[draw(selector)];
            for &pair in parted {
                let command = draw(&chosen[pair * outputs..][..outputs]);
                if command < self.width * self.width {
                    let [a, b] = self.matchings.pairs[pair];
                    actions[a] = (command / self.width) as u32;
                    actions[b] = (command % self.width) as u32;
                }
            }
        }
        Ok(())
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        let levels = std::iter::once(&self.controllers).chain(&self.selector);
        let of = |(trunk, head): &(Trunk, Dense)| {
            let mut variables = trunk.variables();
            variables.extend(head.variables());
            variables
        };
        levels.flat_map(of).collect()
    }
}

/// ln Σ exp over the last axis.
fn log_sum(terms: &Tensor) -> Result<Tensor> {
    let largest = terms.detach().max_keepdim(D::Minus1)?;
    let sum = terms
        .broadcast_sub(&largest)?
        .exp()?
        .sum(D::Minus1)?
        .log()?;
    sum + largest.squeeze(D::Minus1)?
}

#[cfg(test)]
mod tests;
