//! The centralised critic of actions: Q_i(x, a_−i, ·), the return to expect for every action that
//! agent i could take while the others do what they do (Foerster et al. 2018, figure 1c).
//!
//! One network for all agents of a replica, which is told whose turn it is. Its rows are those of a
//! shared crew of marginals, `t·B·N + i·B + b`.

use candle_core::{Device, Result, Tensor, Var};

use super::critic::{Critic, with_state};
use super::fused::Activation;
use super::marginal::Memory;
use super::trunk::{Dense, Trunk};
use super::{NetworkConfig, Rows};
use crate::env::TeamSpec;
use crate::rng::Stream;

/// One network a replica.
pub struct CounterfactualCritic {
    trunk: Trunk,
    head: Dense,
    agents: usize,
    sees_state: bool,
}

impl CounterfactualCritic {
    /// Draws one critic a replica; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let (agents, actions) = (spec.agents.len(), spec.widest_actions());
        let inputs = Self::inputs(spec, network);
        let trunk = Trunk::new(inputs, network, streams, device)?;
        // Before anything is learned no action is better than another.
        let gains = [0.0, 0.0];
        Ok(Self {
            head: Dense::new([trunk.outputs(), actions], gains, streams, device)?,
            trunk,
            agents,
            sees_state: network.critic_sees_state && spec.state > 0,
        })
    }

    /// Length of what it sees: what a central critic of values does, whose turn it is, and what the
    /// others do.
    pub fn inputs(spec: &TeamSpec, network: &NetworkConfig) -> usize {
        let agents = spec.agents.len();
        Critic::inputs(spec, network) + agents + agents * spec.widest_actions()
    }

    /// What it sees of a batch, `[R, T·N·B, inputs]`. `joint`: `[R, T·B, Σ observation]`; `state`:
    /// `[R, T·B, state]`; `actions`: `[R, T·B, N]`.
    pub fn seen(
        &self,
        joint: &[f32],
        state: &[f32],
        actions: &[u32],
        rows: &Rows,
        device: &Device,
    ) -> Result<Tensor> {
        let (agents, width) = (self.agents, self.head.outputs());
        let count = rows.replicas * rows.samples();
        let common = with_state(joint, if self.sees_state { state } else { &[] }, count);
        let known = common.len() / count;
        let inputs = known + agents + agents * width;
        let mut seen = vec![0.0_f32; count * agents * inputs];
        let table = common.chunks_exact(known).zip(actions.chunks_exact(agents));
        for (row, (common, actions)) in table.enumerate() {
            let (step, sequence) = (row / rows.parallel, row % rows.parallel);
            for agent in 0..agents {
                let place = (step * agents + agent) * rows.parallel + sequence;
                let own = &mut seen[place * inputs..][..inputs];
                own[..known].copy_from_slice(common);
                own[known + agent] = 1.0;
                for (other, &action) in actions.iter().enumerate() {
                    if other != agent {
                        own[known + agents + other * width + action as usize] = 1.0;
                    }
                }
            }
        }
        let samples = rows.samples() * agents;
        Tensor::from_vec(seen, (rows.replicas, samples, inputs), device)
    }

    /// Q of everything that each agent could do, `[R, T·B, N, A]`, and the features it comes from.
    /// `memory`: before the first row.
    pub fn forward(
        &self,
        seen: &Tensor,
        rows: &Rows,
        memory: &[Tensor],
    ) -> Result<(Tensor, Tensor)> {
        let turns = rows.repeated(self.agents);
        let features = self.trunk.forward(seen, &turns, memory.first())?;
        let q = self.head.forward(&features, Activation::Identity)?;
        let (replicas, parallel, width) = (rows.replicas, rows.parallel, q.dim(2)?);
        let by_agent = q
            .reshape((replicas * rows.time, self.agents, parallel, width))?
            .transpose(1, 2)?
            .contiguous()?
            .reshape((replicas, rows.samples(), self.agents, width))?;
        Ok((by_agent, features))
    }

    /// What it remembers after the last of `rows`, the first of those with `features`.
    pub fn memory(&self, features: &Tensor, rows: &Rows) -> Result<Memory> {
        let memory = self.trunk.memory(features, &rows.repeated(self.agents))?;
        Ok(memory.into_iter().collect())
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        let mut variables = self.trunk.variables();
        variables.extend(self.head.variables());
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Task;

    /// Six steps at once say what two batches of three say, of which the second remembers the first.
    #[test]
    fn a_batch_goes_on_from_what_is_remembered() {
        let spec = Task::find("dec-tiger-h3").unwrap().spec();
        let network = NetworkConfig {
            hidden: vec![5],
            memory: 4,
            ..NetworkConfig::default()
        };
        let mut streams = [Stream::new(0, "test", 0)];
        let device = &Device::Cpu;
        let critic = CounterfactualCritic::new(&spec, &network, &mut streams, device).unwrap();
        // A head that says something.
        let head = &critic.head.variables()[0];
        let mut draws = Stream::new(1, "test", 0);
        let weights = (0..head.elem_count()).map(|_| draws.normal() as f32);
        let weights =
            Tensor::from_vec(weights.collect::<Vec<f32>>(), head.shape(), device).unwrap();
        head.set(&weights).unwrap();
        let (steps, parallel) = (6, 2);
        let table = |width: usize, draws: &mut Stream| -> Vec<f32> {
            (0..steps * parallel * width)
                .map(|_| draws.normal() as f32)
                .collect()
        };
        let (joint, state) = (
            table(spec.joint_observation(), &mut draws),
            table(2, &mut draws),
        );
        let actions: Vec<u32> = (0..steps * parallel * 2)
            .map(|_| (draws.uniform() * 3.0) as u32)
            .collect();
        let rows = |time: usize, starts: bool| Rows {
            replicas: 1,
            time,
            parallel,
            first: (0..time * parallel)
                .map(|row| starts && row < parallel)
                .collect(),
        };
        let part = |from: usize, time: usize, memory: &[Tensor]| {
            let of = |width: usize| from * parallel * width..(from + time) * parallel * width;
            let rows = rows(time, from == 0);
            let seen = critic.seen(
                &joint[of(spec.joint_observation())],
                &state[of(2)],
                &actions[of(2)],
                &rows,
                device,
            );
            let (q, features) = critic.forward(&seen.unwrap(), &rows, memory).unwrap();
            let q: Vec<f32> = q.flatten_all().unwrap().to_vec1().unwrap();
            (q, critic.memory(&features, &rows).unwrap())
        };
        let (whole, _) = part(0, 6, &[]);
        let (first, memory) = part(0, 3, &[]);
        let (second, _) = part(3, 3, &memory);
        for (one, other) in whole.iter().zip(first.iter().chain(&second)) {
            assert!((one - other).abs() < 1e-6, "{one} {other}");
        }
    }
}
