//! Pairwise multi-agent common knowledge reinforcement learning: a hierarchy that commands pairs of
//! agents by what they know in common, or delegates to their own policies, which see what each
//! alone sees.
//!
//! ```text
//! P(u | x) = Σ_m σ(m) ∏_{ab ∈ m} [ c_ab(u_a, u_b) + c_ab(delegate) π_a(u_a) π_b(u_b) ] ∏_{left} π_i(u_i)
//! L = − E[ min(ρ A, clip(ρ, 1 ± ε) A) ] − τ (H(σ, c) + Σ_i H(π_i)),    ρ = P(u | x) / P(u | x) when acting
//! ```
//!
//! Schroeder de Witt et al., *Multi-Agent Common Knowledge Reinforcement Learning*, NeurIPS 2019,
//! section 4: the policy gradient is that of the marginal likelihood, over a central critic of values
//! ("Central-V"). A batch that is used more than once is so
//! under the clipped ratio of that likelihood.
//!
//! Every level acts by what all it commands know, so the hierarchy can be executed apart by agents
//! that throw the same dice: a [shared seed](crate::team::TeamKey). What is exported are the agents' own policies
//! π_i alone.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::actor::{Actor, ActorState};
use super::common::{
    HostTensor, Measured, Packed, clipped_gain, columns, loaded_memory, means, part_of_memory,
    saved_memory, set_values, streams, values_of,
};
use super::factored::FactoredConfig;
use super::{Algorithm, Metrics, PlayMemory, SECOND_MOMENT_DECAY, UpdateConfig};
use crate::env::{JointSpace, TeamSpec};
use crate::net::critic::View;
use crate::net::fused::{Adam, AdamConfig, AdamState};
use crate::net::joint::AUTO_ENUMERATION;
use crate::net::pairs::{Commands, Hierarchy};
use crate::net::{Choices, MarginalOutput, Marginals, Memory, NetworkConfig, Rows};
use crate::returns::Earned;
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Seen};
use crate::target::{Baseline, BaselineState};

/// The learner.
pub(super) struct Mackrl {
    config: FactoredConfig,
    update: UpdateConfig,
    spec: TeamSpec,
    actor: Actor,
    hierarchy: Hierarchy,
    optimiser: Adam,
    baseline: Baseline,
    /// Dice for what the upper levels decide.
    streams: Vec<Stream>,
    /// What the upper levels remember now, and did when the batch began.
    memory: Memory,
    start: Memory,
    device: Device,
}

/// Everything a [`Mackrl`] needs to go on.
#[derive(Serialize, Deserialize)]
struct Saved {
    actor: ActorState,
    hierarchy: Vec<Vec<f32>>,
    adam: AdamState,
    baseline: BaselineState,
    streams: Vec<Stream>,
    memory: Vec<HostTensor>,
}

/// What the upper levels are shown of a batch: sequences can be cut from it.
struct Shown {
    seen: [Tensor; 2],
    rows: Rows,
    memory: Memory,
}

impl Mackrl {
    /// One learner a seed.
    pub(super) fn new(
        config: &FactoredConfig,
        spec: &TeamSpec,
        network: &NetworkConfig,
        update: &UpdateConfig,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Self> {
        let named = |name| streams(seeds, name);
        let hierarchy = Hierarchy::new(spec, network, &mut named("controllers"), device)?;
        let adam = AdamConfig {
            beta_2: SECOND_MOMENT_DECAY,
            max_norm: update.max_norm(),
            ..AdamConfig::default()
        };
        Ok(Self {
            spec: spec.clone(),
            actor: Actor::new(spec, network, update, seeds, device)?,
            optimiser: Adam::new(hierarchy.variables(), seeds.len(), adam)?,
            hierarchy,
            baseline: Baseline::new(
                spec,
                network,
                View::Central,
                update,
                config.critic_learning_rate,
                &mut named("critic"),
                device,
            )?,
            streams: named("commands"),
            memory: Memory::new(),
            start: Memory::new(),
            config: config.clone(),
            update: update.clone(),
            device: device.clone(),
        })
    }

    /// What the upper levels command in what is seen, and what they remember after it.
    fn commands(&self, seen: &Seen, memory: &[Tensor]) -> Result<(Commands, Memory)> {
        let shown = self
            .hierarchy
            .seen(&seen.common, &seen.rows, &self.device)?;
        let forbidden = seen.forbidden_tensor(&self.device)?;
        (self.hierarchy).forward(&shown, forbidden.as_ref(), &seen.rows, memory)
    }

    /// ln P(u | x) of joint actions, `[R, S]`.
    fn log_prob(
        &self,
        commands: &Commands,
        output: &MarginalOutput,
        actions: &Tensor,
    ) -> Result<Tensor> {
        let own = output.log_prob_by_agent(actions, &self.actor.dimensions)?;
        self.hierarchy.log_prob(commands, &own, actions)
    }

    /// The upper levels' part of a batch.
    fn show(&mut self, batch: &Batch) -> Result<Shown> {
        let rows = batch.rows.until(batch.rows.time - 1);
        let share = batch.common.len() / batch.rows.replicas;
        let acted = share / batch.rows.time * rows.time;
        let common = batch.common.chunks_exact(share.max(1));
        let common: Vec<f32> = common.flat_map(|own| &own[..acted]).copied().collect();
        let memory = std::mem::replace(&mut self.start, self.memory.clone());
        Ok(Shown {
            seen: self.hierarchy.seen(&common, &rows, &self.device)?,
            memory: match rows.continues() {
                true => memory,
                false => Memory::new(),
            },
            rows,
        })
    }

    /// One step of Adam of all levels; the share of agents that act on their own, the upper levels'
    /// entropy and the policies' before it, `[3][R]`.
    fn step(
        &mut self,
        shown: &Shown,
        range: std::ops::Range<usize>,
        part: &Packed,
        tau: f64,
        rate: f64,
    ) -> Result<Vec<Vec<f64>>> {
        let cut = |tensor: &Tensor| columns(tensor, &shown.rows, range.clone());
        let seen = [cut(&shown.seen[0])?, cut(&shown.seen[1])?];
        let memory = part_of_memory(&shown.memory, shown.rows.parallel, range.clone())?;
        let forbidden = part.forbidden.as_ref();
        let (commands, _) = (self.hierarchy).forward(&seen, forbidden, &part.rows, &memory)?;
        let output = self.actor.output(part)?;
        let log_prob = self.log_prob(&commands, &output, &part.actions)?;
        let gain = clipped_gain(&log_prob, &part.log_prob, &part.advantages, &self.update)?;
        let [share, upper] = self.hierarchy.shares(&commands)?;
        let own = output.entropy()?;
        let gain = (gain + ((&upper + &own)? * tau)?)?;
        let loss = (gain * &part.weights)?.sum_all()?.neg()?;
        let gradients = loss.backward()?;
        let learning_rate = rate * self.config.learning_rate;
        self.optimiser.set_learning_rate(learning_rate);
        self.optimiser.step(&gradients)?;
        self.actor.step_by(&gradients, learning_rate)?;
        means(&[&share, &upper, &own], &part.weights)
    }
}

impl Algorithm for Mackrl {
    fn act(&mut self, seen: &Seen) -> Result<Actions> {
        let (commands, memory) = self.commands(seen, &self.memory)?;
        self.memory = memory;
        let (output, taken) = self.actor.choose(seen)?;
        let mut actions = taken.as_discrete()?.to_vec();
        (self.hierarchy).command(&commands, &mut actions, &mut self.streams, false)?;
        let taken = Choices::Discrete(actions);
        let actions = taken.tensor(seen.rows.replicas, seen.rows.samples(), &self.device)?;
        let log_prob = self.log_prob(&commands, &output, &actions)?;
        Ok(Actions {
            log_prob: log_prob.flatten_all()?.to_vec1()?,
            taken,
            drawn: None,
        })
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let tau = self.config.temperature.at(time);
        let (update, rate) = (self.update.clone(), self.update.rate(time));
        let (targets, of_critic) = (self.baseline).targets(batch, &update, self.spec.horizon)?;
        let shown = self.show(batch)?;
        let memory = [self.actor.turn(), Memory::new()];
        let packed = Packed::new(batch, &targets, &self.actor.marginals, memory, &self.device)?;
        let parts = packed.parts(update.minibatches)?;
        let mut measured = Measured::default();
        for epoch in 0..update.epochs {
            for (range, part) in &parts {
                let metrics = self.step(&shown, range.clone(), part, tau, rate)?;
                measured.add(epoch, range.len(), metrics);
                let (values, weights) = (&part.values, &part.weights);
                self.baseline
                    .learn(&of_critic, range.clone(), values, weights, rate)?;
            }
        }
        let measured = measured.means();
        let of = |(replica, earned): (usize, &Earned)| Metrics {
            beta: measured[0][replica],
            tau,
            joint_entropy: measured[1][replica],
            product_entropy: measured[2][replica],
            explained_variance: targets.explained_variance[replica],
            batch_return: earned.in_range,
            ..Metrics::default()
        };
        Ok(targets.earned.iter().enumerate().map(of).collect())
    }

    fn marginals(&self) -> &Marginals {
        &self.actor.marginals
    }

    /// The hierarchy acts.
    fn play_joint(
        &self,
        seen: &Seen,
        memory: &mut PlayMemory,
        greedy: bool,
    ) -> Option<Result<Choices>> {
        let mut play = || -> Result<Choices> {
            let (commands, upper) = self.commands(seen, &memory.parts[1])?;
            let (output, own) = self.actor.consider(seen, &memory.parts[0])?;
            memory.parts = [own, upper];
            let own = output.choose(&mut memory.streams, greedy)?;
            let mut actions = own.as_discrete()?.to_vec();
            (self.hierarchy).command(&commands, &mut actions, &mut memory.streams, greedy)?;
            Ok(Choices::Discrete(actions))
        };
        Some(play())
    }

    fn joint_probs(&self, seen: &Seen) -> Option<Result<Tensor>> {
        let sizes: Vec<usize> = self.actor.dimensions.clone();
        let space = JointSpace::new(&sizes, AUTO_ENUMERATION)?;
        let probs = || -> Result<Tensor> {
            let (replicas, samples) = (seen.rows.replicas, seen.rows.samples());
            let (commands, _) = self.commands(seen, &[])?;
            let (output, _) = self.actor.consider(seen, &[])?;
            let of = |k: usize| -> Result<Tensor> {
                let joint: Vec<u32> = space.split(k).map(|action| action as u32).collect();
                let actions = Tensor::from_vec(joint, (1, 1, sizes.len()), &self.device)?;
                let actions = actions.repeat((replicas, samples, 1))?;
                self.log_prob(&commands, &output, &actions)?.exp()
            };
            let all: Vec<Tensor> = (0..space.count()).map(of).collect::<Result<_>>()?;
            Ok(Tensor::stack(&all, 2)?.detach())
        };
        Some(probs())
    }

    fn asks_common_knowledge(&self) -> bool {
        true
    }

    fn save(&self) -> Result<Vec<u8>> {
        let saved = Saved {
            actor: self.actor.save()?,
            hierarchy: values_of(&self.hierarchy.variables())?,
            adam: self.optimiser.state()?,
            baseline: self.baseline.save()?,
            streams: self.streams.clone(),
            memory: saved_memory(&self.memory)?,
        };
        postcard::to_stdvec(&saved).map_err(candle_core::Error::wrap)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let saved: Saved = postcard::from_bytes(saved).map_err(candle_core::Error::wrap)?;
        self.actor.restore(saved.actor)?;
        set_values(&self.hierarchy.variables(), &saved.hierarchy)?;
        self.optimiser.restore(&saved.adam)?;
        self.baseline.restore(saved.baseline)?;
        self.streams = saved.streams;
        self.memory = loaded_memory(saved.memory, &self.device)?;
        self.start.clone_from(&self.memory);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
