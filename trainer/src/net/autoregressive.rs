//! One agent after another: π_J(a | x) = ∏ π(a_i | x, a_<i), for any number of agents and actions.
//!
//! ```text
//! u_i = z_i + Σ_{j before i} E_j[a_j]        z_i = W_i f: what the features say to agent i
//! π(a_i | x, a_<i) = softmax(tanh(u_i) V_i + c_i)
//! ```
//!
//! E_j\[a\] is a learnt vector for each action of each agent, so that memory and time grow linearly
//! with the number of agents, never as the product of their action sets.
//!
//! Agents of one kind that share their marginals share W, V, c and q as well: each agent's z comes of
//! its own features, which know whom they are of (beside the team's mean, where the joint history is seen), and
//! what one agent has learnt all have. A team then learns a joint policy as fast as a product.
//!
//! Divergences are estimated along one drawn joint action a ∼ π_J (the *prefix* of every agent's
//! conditional): each conditional's own sum over actions is exact, and what an earlier action does
//! to later conditionals enters the gradient by its score, ∇ E_a\[f\] = E_a\[∇f + f ∇ log π(a)\].
//!
//! marg_i π_J cannot be summed over prefixes. A head q_i(a_i | x) = softmax(tanh(z_i) V'_i + c'_i), as
//! able as the conditionals are, is fitted to it instead, by their cross entropy:
//!
//! ```text
//! TC ≈ Σ_i E[KL(π(· | x, a_<i) ‖ q_i)]      IG ≈ Σ_i E_{a_i ∼ π(· | x, a_<i)}[log q_i − log π_i]
//! ```
//!
//! exact where q_i = marg_i π_J; their sum, KL(π_J ‖ ∏ π_i), needs no q. Where z_i is of agent i's own history
//! alone, so is q_i, while marg_i π_J depends on the others' histories through what they do: what of IG is due to
//! that is then counted as TC. Either can be below 0 where q lags behind. Both are unbiased while q is exact and the
//! prefixes are the policy's own (but for a share of 1/(S−1) along episodes, see `expectation`). A batch is gone through several times, and after the first step its
//! prefixes are those of the policy that acted, which the clipped ratio keeps near: as everywhere in
//! PPO, what is averaged over them is then slightly off, and is not weighted back.

use candle_core::{D, DType, Device, Error, Result, Tensor, Var};

use super::NetworkConfig;
use super::choices::{Choices, largest};
use super::fused::{Activation, Asked, Lie, asked, exchanged, log_softmax};
use super::joint::{Features, JointEvaluation, JointHead};
use super::marginal::{FORBIDDEN, OUTPUT_GAIN};
use super::output::{MarginalOutput, flat_indices};
use super::trunk::Dense;
use crate::env::TeamSpec;
use crate::rng::Stream;

/// Deviation of E's entries at first. Small beside z, whose entries are of order 1: what agents do
/// before anything is learnt is noise, and must not drown what is seen.
const EMBEDDING_SPREAD: f64 = 0.1;

/// Conditionals, agent by agent.
pub struct Autoregressive {
    agents: usize,
    /// A: the widest action set.
    width: usize,
    /// H: the width of u.
    hidden: usize,
    /// Whether one set of weights speaks for every agent.
    alike: bool,
    /// W: from joint features to all agents, `[R, F, N·H]`, or from each agent's own to it,
    /// `[R·N, F, H]`; alike, `[R, F, H]`.
    features: Dense,
    /// E, `[R, N·A, H]`.
    embedding: Var,
    /// V and c, `[R·N, H, A]`; alike, `[R, H, A]`.
    output: Dense,
    /// V and c of q, like `output`.
    marginal: Dense,
    /// Agents in the order in which they are asked, `[N]`.
    order: Vec<u32>,
    /// `[1, 1, N·A]`: 0 for actions an agent has, [`FORBIDDEN`] for padding.
    padding: Tensor,
}

/// z, what the features say to the agents.
struct Spoken {
    /// R·S·N rows of H values.
    z: Tensor,
    /// How they lie.
    lie: Lie,
    /// R and S.
    sizes: [usize; 2],
}

impl Spoken {
    /// What is said to one of N agents, `[R, S, H]`, held constant.
    fn to(&self, agent: usize, agents: usize) -> Result<Tensor> {
        let [replicas, samples] = self.sizes;
        let hidden = self.z.elem_count() / (replicas * samples * agents).max(1);
        let z = self.z.detach();
        match self.lie {
            Lie::BySample => {
                let z = z.reshape((replicas, samples, agents, hidden))?;
                z.narrow(2, agent, 1)?.squeeze(2)
            }
            Lie::ByAgent => {
                let z = z.reshape((replicas, agents, samples, hidden))?;
                z.narrow(1, agent, 1)?.squeeze(1)
            }
        }
    }
}

/// Rows `[R, S, N, …]` by agent: `[R·N, S, …]`.
fn by_agent(rows: &Tensor) -> Result<Tensor> {
    let (replicas, samples, agents, width) = rows.dims4()?;
    let shape = (replicas * agents, samples, width);
    exchanged(rows, [replicas, samples, agents, width], shape)
}

impl Autoregressive {
    /// One head a replica over features of length `width`; `streams`: one a replica.
    pub fn new(
        spec: &TeamSpec,
        width: usize,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let alike = network.joint.speaks_alike(network, spec);
        // Whether features come agent by agent, and not of all at once.
        let by_agent = alike || network.joint.sees_own(spec);
        let (agents, actions) = (spec.agents.len(), spec.widest_actions());
        let hidden = network
            .hidden
            .last()
            .copied()
            .unwrap_or(width)
            .max(network.memory);
        let replicas = streams.len();
        let mut per_agent: Vec<Stream> = streams
            .iter_mut()
            .flat_map(|stream| (0..agents).map(|agent| stream.fork(agent as u64)))
            .collect();
        let features = match (alike, by_agent) {
            (true, _) => Dense::new([width, hidden], [1.0, 0.0], streams, device)?,
            (_, true) => Dense::new([width, hidden], [1.0, 0.0], &mut per_agent, device)?,
            _ => Dense::new([width, agents * hidden], [1.0, 0.0], streams, device)?,
        };
        let output_gains = [OUTPUT_GAIN, network.output_spread];
        let speakers = if alike { &mut *streams } else { &mut per_agent };
        let output = Dense::new([hidden, actions], output_gains, speakers, device)?;
        let marginal = Dense::new([hidden, actions], [OUTPUT_GAIN, 0.0], speakers, device)?;
        let mut embedding = Vec::with_capacity(replicas * agents * actions * hidden);
        for stream in streams.iter_mut() {
            let normal =
                (0..agents * actions * hidden).map(|_| (EMBEDDING_SPREAD * stream.normal()) as f32);
            embedding.extend(normal);
        }
        let padding: Vec<f32> = (spec.agents.iter())
            .flat_map(|agent| {
                (0..actions).map(|a| {
                    if a < agent.actions.size() {
                        0.0
                    } else {
                        FORBIDDEN
                    }
                })
            })
            .collect();
        Ok(Self {
            agents,
            width: actions,
            hidden,
            alike,
            features,
            embedding: Var::from_vec(embedding, (replicas, agents * actions, hidden), device)?,
            output,
            marginal,
            order: (0..agents as u32).collect(),
            padding: Tensor::from_vec(padding, (1, 1, agents * actions), device)?,
        })
    }

    /// What the features say.
    fn spoken(&self, features: &Features) -> Result<Spoken> {
        let identity = Activation::Identity;
        match features {
            Features::Joint(features) => {
                let (replicas, samples, _) = features.dims3()?;
                Ok(Spoken {
                    z: self.features.forward(features, identity)?,
                    lie: Lie::BySample,
                    sizes: [replicas, samples],
                })
            }
            Features::Own(features) => {
                let (replicas, samples, agents, width) = features.dims4()?;
                let features = match self.lie() {
                    Lie::BySample => features.reshape((replicas, samples * agents, width))?,
                    Lie::ByAgent => by_agent(features)?,
                };
                Ok(Spoken {
                    z: self.features.forward(&features, identity)?,
                    lie: self.lie(),
                    sizes: [replicas, samples],
                })
            }
        }
    }

    /// How rows lie for the weights of V and q: one group of them a replica, or an agent.
    fn lie(&self) -> Lie {
        match self.alike {
            true => Lie::BySample,
            false => Lie::ByAgent,
        }
    }

    /// log π(a | x, a_<i) of every action of every agent along the prefixes in `actions`
    /// (`[R, S, N]`): `[R, S, N·A]`.
    fn conditionals(
        &self,
        spoken: &Spoken,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
    ) -> Result<Tensor> {
        let before = Asked {
            actions,
            order: &self.order,
        };
        let lie = [spoken.lie, self.lie()];
        let u = asked(&spoken.z, &self.embedding, before, lie)?;
        let logits = self.output.forward(&u, Activation::Identity)?;
        self.log_softmax(&logits, spoken.sizes, forbidden)
    }

    /// log q of every action of every agent, `[R, S, N·A]`: what moves it moves q's own parameters only.
    fn fitted(&self, spoken: &Spoken, forbidden: Option<&Tensor>) -> Result<Tensor> {
        let u = super::activation::tanh(&spoken.z.detach())?;
        let u = match (spoken.lie, self.lie()) {
            (Lie::BySample, Lie::ByAgent) => {
                let [replicas, samples] = spoken.sizes;
                by_agent(&u.reshape((replicas, samples, self.agents, self.hidden))?)?
            }
            _ => u,
        };
        let logits = self.marginal.forward(&u, Activation::Identity)?;
        self.log_softmax(&logits, spoken.sizes, forbidden)
    }

    /// Log-probabilities `[R, S, N·A]` from the logits of V or q.
    fn log_softmax(
        &self,
        logits: &Tensor,
        [replicas, samples]: [usize; 2],
        forbidden: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (agents, width) = (self.agents, self.width);
        let flat = (replicas, samples, agents * width);
        let logits = match self.lie() {
            Lie::BySample => logits.reshape(flat)?,
            Lie::ByAgent => exchanged(logits, [replicas, agents, samples, width], flat)?,
        };
        let logits = logits
            .broadcast_add(forbidden.unwrap_or(&self.padding))?
            .reshape((replicas, samples, agents, width))?;
        log_softmax(&logits)?.reshape(flat)
    }

    /// Sums `[R, S, N·A]` over each agent's actions: `[R, S, N]`.
    fn by_action(&self, table: &Tensor) -> Result<Tensor> {
        let (replicas, samples, _) = table.dims3()?;
        let shape = (replicas, samples, self.agents, self.width);
        table.reshape(shape)?.sum(D::Minus1)
    }

    /// Σ_i f_i with the gradient of its expectation over prefixes drawn from this policy. f:
    /// `[R, S, N]`; log_taken: log-probabilities of the prefix's actions, `[R, S, N]`.
    fn expectation(&self, f: &Tensor, log_taken: &Tensor) -> Result<Tensor> {
        // What agents asked after i contribute is what a_i may change: sums over the later.
        let values = f.detach();
        let mut later: Vec<Option<Tensor>> = vec![None; self.agents];
        let mut sum = values.narrow(2, 0, 1)?.zeros_like()?;
        for &agent in self.order.iter().rev() {
            later[agent as usize] = Some(sum.clone());
            sum = (sum + values.narrow(2, agent as usize, 1)?)?;
        }
        let later: Vec<Tensor> = later.into_iter().flatten().collect();
        let later = Tensor::cat(&later, 2)?;
        // The mean of a replica's other samples takes most of the variance away: x − (Σ − x)/(S−1) =
        // (x − mean) S/(S−1). It changes no expectation where samples are unrelated. Of steps of one episode
        // those that come later depend on this action, by which the gradient is off by a share of 1/(S−1).
        let samples = later.dim(1)?;
        let centred = match samples {
            1 => later,
            _ => {
                let scale = samples as f64 / (samples - 1) as f64;
                (later.broadcast_sub(&later.mean_keepdim(1)?)? * scale)?
            }
        };
        let score = (centred * log_taken)?.sum(2)?;
        f.sum(2)? + (&score - score.detach())?
    }
}

impl JointHead for Autoregressive {
    fn evaluate(
        &self,
        features: &Features,
        marginals: &MarginalOutput,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
        drawn: Option<&Tensor>,
    ) -> Result<JointEvaluation> {
        let MarginalOutput::Categorical { log_probs, .. } = marginals else {
            return Err(Error::msg(
                "an autoregressive joint policy is for discrete actions",
            ));
        };
        let spoken = self.spoken(features)?;
        let taken = |conditionals: &Tensor, actions: &Tensor| {
            conditionals.gather(&flat_indices(actions, conditionals, self.agents)?, 2)
        };
        let conditionals = self.conditionals(&spoken, forbidden, drawn.unwrap_or(actions))?;
        let log_drawn = taken(&conditionals, drawn.unwrap_or(actions))?;
        let log_prob = match drawn {
            None => log_drawn.sum(2)?,
            Some(_) => taken(&self.conditionals(&spoken, forbidden, actions)?, actions)?.sum(2)?,
        };

        let log_q = self.fitted(&spoken, forbidden)?;
        let (fixed_q, probs) = (log_q.detach(), conditionals.exp()?);
        let correlation = (&probs * (&conditionals - &fixed_q)?)?;
        let gap = (&probs * (&fixed_q - log_probs.detach())?)?;
        let entropy = (&probs * &conditionals)?.neg()?;
        let fixed = probs.detach();
        let cross = |log: &Tensor| (&fixed * log)?.sum(2)?.neg();
        Ok(JointEvaluation {
            total_correlation: self.expectation(&self.by_action(&correlation)?, &log_drawn)?,
            information_gap: self.expectation(&self.by_action(&gap)?, &log_drawn)?,
            entropy: self.expectation(&self.by_action(&entropy)?, &log_drawn)?,
            marginal_fit: cross(log_probs)?,
            auxiliary: Some(cross(&log_q)?),
            log_prob,
        })
    }

    fn choose(
        &self,
        features: &Features,
        forbidden: Option<&Tensor>,
        streams: &mut [Stream],
        greedy: bool,
    ) -> Result<Choices> {
        let spoken = self.spoken(features)?;
        let [replicas, samples] = spoken.sizes;
        let (agents, hidden) = (self.agents, self.hidden);
        let device = self.embedding.device();
        let forbidden = forbidden.unwrap_or(&self.padding);
        let speakers = if self.alike { 1 } else { agents };
        let [weight, bias] = self.output.variables();
        let weight = weight
            .detach()
            .reshape((replicas, speakers, hidden, self.width))?;
        let bias = bias.detach().reshape((replicas, speakers, self.width))?;
        let embedding = self.embedding.detach();
        let embedding = embedding.reshape((replicas * agents * self.width, hidden))?;
        let mut prefix = Tensor::zeros((replicas, samples, hidden), DType::F32, device)?;
        let mut actions = vec![0_u32; replicas * samples * agents];
        for &agent in &self.order {
            let agent = agent as usize;
            let speaker = if self.alike { 0 } else { agent };
            let u = (spoken.to(agent, agents)? + &prefix)?;
            let u = super::activation::tanh(&u)?;
            let logits = u
                .matmul(&weight.narrow(1, speaker, 1)?.squeeze(1)?.contiguous()?)?
                .broadcast_add(&bias.narrow(1, speaker, 1)?)?
                .broadcast_add(&forbidden.narrow(2, agent * self.width, self.width)?)?;
            let probs = candle_nn::ops::softmax(&logits, D::Minus1)?;
            let probs: Vec<f32> = probs.flatten_all()?.to_vec1()?;
            let mut rows = Vec::with_capacity(replicas * samples);
            for (index, row) in probs.chunks_exact(self.width).enumerate() {
                let replica = index / samples;
                let action = match greedy {
                    true => largest(row),
                    false => streams[replica].categorical(row),
                };
                actions[index * agents + agent] = action as u32;
                rows.push((((replica * agents) + agent) * self.width + action) as u32);
            }
            let rows = Tensor::from_vec(rows, replicas * samples, device)?;
            let drawn = embedding.index_select(&rows, 0)?;
            prefix = (prefix + drawn.reshape((replicas, samples, hidden))?)?;
        }
        Ok(Choices::Discrete(actions))
    }

    fn log_prob(
        &self,
        features: &Features,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
    ) -> Result<Tensor> {
        let spoken = self.spoken(features)?;
        let conditionals = self.conditionals(&spoken, forbidden, actions)?;
        let indices = flat_indices(actions, &conditionals, self.agents)?;
        conditionals.gather(&indices, 2)?.sum(2)
    }

    fn log_conditionals(
        &self,
        features: &Features,
        forbidden: Option<&Tensor>,
        actions: &Tensor,
    ) -> Option<Result<Tensor>> {
        let spoken = self.spoken(features);
        Some(spoken.and_then(|spoken| self.conditionals(&spoken, forbidden, actions)))
    }

    fn set_order(&mut self, order: &[u32]) {
        self.order = order.to_vec();
    }

    fn variables(&self) -> Vec<Var> {
        let mut variables = self.features.variables().to_vec();
        variables.push(self.embedding.clone());
        variables.extend(self.output.variables());
        variables.extend(self.marginal.variables());
        variables
    }
}

#[cfg(test)]
mod tests;
