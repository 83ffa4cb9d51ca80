//! What losses have in common: batches in parts, the clipped surrogate, means, saved numbers.

use std::ops::Range;

use candle_core::{Device, Result, Tensor, Var};

use super::UpdateConfig;
use crate::net::fused::{Acted, clipped};
use crate::net::{Choices, CrewTensors, MarginalOutput, Marginals, Memory, Rows};
use crate::rng::Stream;
use crate::rollout::Batch;
use crate::target::Targets;

/// A batch on the device: T steps, without the last row.
#[derive(Clone)]
pub(super) struct Packed {
    pub(super) rows: Rows,
    pub(super) own: CrewTensors,
    /// `[R, T·B, Σ observation]`.
    pub(super) joint: Tensor,
    /// `[R, T·B, N·A]`.
    pub(super) forbidden: Option<Tensor>,
    pub(super) actions: Tensor,
    pub(super) drawn: Option<Tensor>,
    /// ln of the acting policy's probability, `[R, T·B]`, or of each agent's, `[R, T·B, N]`.
    pub(super) log_prob: Tensor,
    /// `[R, T·B]`, or `[R, T·B, N]` where every agent has its own, as the next.
    pub(super) advantages: Tensor,
    /// What the critic should have said.
    pub(super) values: Tensor,
    /// 1/(rows in which somebody acted), or 0.
    pub(super) weights: Tensor,
    /// What the marginals and the joint policy remembered before the first row.
    pub(super) memory: [Memory; 2],
}

impl Packed {
    pub(super) fn new(
        batch: &Batch,
        targets: &Targets,
        marginals: &Marginals,
        memory: [Memory; 2],
        device: &Device,
    ) -> Result<Self> {
        let rows = batch.rows.until(batch.rows.time - 1);
        let (replicas, samples) = (rows.replicas, rows.samples());
        let acted = |values: &[f32]| -> Vec<f32> {
            let width = values.len() / (replicas * batch.rows.samples());
            let replicas = values.chunks_exact(batch.rows.samples() * width);
            let acted = replicas.flat_map(|replica| &replica[..samples * width]);
            acted.copied().collect()
        };
        let table = |values: &[f32]| {
            let width = values.len() / (replicas * samples);
            match width {
                1 => Tensor::from_slice(values, (replicas, samples), device),
                _ => Tensor::from_slice(values, (replicas, samples, width), device),
            }
        };
        let joint = acted(&batch.joint);
        let width = joint.len() / (replicas * samples);
        let forbidden = match batch.forbidden.is_empty() {
            true => None,
            false => {
                let forbidden = acted(&batch.forbidden);
                let flat = forbidden.len() / (replicas * samples);
                Some(Tensor::from_vec(
                    forbidden,
                    (replicas, samples, flat),
                    device,
                )?)
            }
        };
        let choices = |choices: &Choices| choices.tensor(replicas, samples, device);
        let memory = match rows.continues() {
            true => memory,
            false => Default::default(),
        };
        Ok(Self {
            own: marginals.pack(&joint, &rows, device)?,
            joint: Tensor::from_vec(joint, (replicas, samples, width), device)?,
            forbidden,
            actions: choices(&batch.actions)?,
            drawn: batch.drawn.as_ref().map(choices).transpose()?,
            log_prob: table(&batch.log_prob)?,
            advantages: table(&targets.advantages)?,
            values: table(&targets.values)?,
            weights: table(&targets.weights)?,
            memory,
            rows,
        })
    }

    /// The loss of the marginals under the clipped surrogate, and their entropy, `[R, S]`. `by_agent`: whether each agent's ratio is
    /// clipped, not the product's; `dimensions`: of each agent's actions, `[N]`; `tau`: the entropy bonus of each replica, `[R]`.
    pub(super) fn surrogate(
        &self,
        output: &MarginalOutput,
        by_agent: bool,
        dimensions: &[usize],
        tau: &[f32],
        update: &UpdateConfig,
    ) -> Result<(Tensor, Tensor)> {
        let acted = Acted {
            actions: &self.actions,
            log_prob: &self.log_prob,
            advantages: &self.advantages,
            weights: &self.weights,
        };
        output.surrogate(acted, by_agent, dimensions, tau, update.clip)
    }

    /// The whole in `count` parts, cut along the parallel sequences; each counts as if it were
    /// the whole.
    pub(super) fn parts(&self, count: usize) -> Result<Vec<(Range<usize>, Self)>> {
        let parallel = self.rows.parallel;
        let count = count.clamp(1, parallel);
        if count == 1 {
            return Ok(vec![(0..parallel, self.clone())]);
        }
        (0..count)
            .map(|part| {
                let range = part * parallel / count..(part + 1) * parallel / count;
                let scale = parallel as f64 / range.len() as f64;
                Ok((range.clone(), self.part(range, scale)?))
            })
            .collect()
    }

    fn part(&self, range: Range<usize>, scale: f64) -> Result<Self> {
        let cut = |tensor: &Tensor| columns(tensor, &self.rows, range.clone());
        let remembered =
            |memory: &Memory| part_of_memory(memory, self.rows.parallel, range.clone());
        Ok(Self {
            rows: self.rows.columns(range.clone()),
            own: self.own.iter().map(cut).collect::<Result<_>>()?,
            joint: cut(&self.joint)?,
            forbidden: self.forbidden.as_ref().map(cut).transpose()?,
            actions: cut(&self.actions)?,
            drawn: self.drawn.as_ref().map(cut).transpose()?,
            log_prob: cut(&self.log_prob)?,
            advantages: cut(&self.advantages)?,
            values: cut(&self.values)?,
            weights: (cut(&self.weights)? * scale)?,
            memory: [remembered(&self.memory[0])?, remembered(&self.memory[1])?],
        })
    }
}

/// What is remembered of some of `parallel` sequences: `[G, n·B, H]` → `[G, n·part, H]`.
pub(crate) fn part_of_memory(
    memory: &[Tensor],
    parallel: usize,
    part: Range<usize>,
) -> Result<Memory> {
    let cut = |tensor: &Tensor| {
        let (groups, sequences, width) = tensor.dims3()?;
        tensor
            .reshape((groups, sequences / parallel, parallel, width))?
            .narrow(2, part.start, part.len())?
            .contiguous()?
            .reshape((groups, sequences / parallel * part.len(), width))
    };
    memory.iter().map(cut).collect()
}

/// The rows of some parallel sequences: `[G, T·n·B, …]` → `[G, T·n·columns, …]`.
pub(crate) fn columns(tensor: &Tensor, rows: &Rows, range: Range<usize>) -> Result<Tensor> {
    if range.len() == rows.parallel {
        return Ok(tensor.clone());
    }
    let dims = tensor.dims();
    let (groups, samples) = (dims[0], dims[1]);
    let width: usize = dims[2..].iter().product();
    let steps = samples / rows.parallel;
    let cut = tensor
        .reshape((groups, steps, rows.parallel, width))?
        .narrow(2, range.start, range.len())?
        .contiguous()?;
    let mut shape = dims.to_vec();
    shape[1] = steps * range.len();
    cut.reshape(shape)
}

/// min(ρ A, clip(ρ, 1 ± ε) A) with ρ the likelihood ratio to when the action was taken (Schulman
/// et al. 2017), `[R, S]`.
pub(super) fn clipped_gain(
    log_prob: &Tensor,
    acted: &Tensor,
    advantages: &Tensor,
    update: &UpdateConfig,
) -> Result<Tensor> {
    clipped(log_prob, acted, advantages, update.clip)
}

/// The stream `name` of every seed.
pub(crate) fn streams(seeds: &[u64], name: &str) -> Vec<Stream> {
    (seeds.iter().map(|&seed| Stream::new(seed, name, 0))).collect()
}

/// Means over samples of several `[R, S]` tensors, weighted by `[R, S]`, copied to the host in one
/// go: `result[quantity][replica]`.
pub(super) fn means(quantities: &[&Tensor], weights: &Tensor) -> Result<Vec<Vec<f64>>> {
    let rows: Vec<Tensor> = quantities
        .iter()
        .map(|quantity| (quantity.detach() * weights)?.sum(1))
        .collect::<Result<_>>()?;
    let table: Vec<Vec<f32>> = Tensor::stack(&rows, 0)?.to_vec2()?;
    Ok(table
        .into_iter()
        .map(|row| row.into_iter().map(f64::from).collect())
        .collect())
}

/// Host copies of variables.
pub(crate) fn values_of(variables: &[Var]) -> Result<Vec<Vec<f32>>> {
    let of = |variable: &Var| variable.flatten_all()?.to_vec1();
    variables.iter().map(of).collect()
}

/// Sets variables from host copies.
pub(crate) fn set_values(variables: &[Var], values: &[Vec<f32>]) -> Result<()> {
    if variables.len() != values.len() {
        return Err(candle_core::Error::msg(format!(
            "found {} saved parameters, expected {}",
            values.len(),
            variables.len()
        )));
    }
    for (variable, values) in variables.iter().zip(values) {
        let tensor = Tensor::from_slice(values, variable.shape(), variable.device())?;
        variable.set(&tensor)?;
    }
    Ok(())
}

/// A tensor on the host: its values and its shape.
pub(crate) type HostTensor = (Vec<f32>, Vec<usize>);

/// Host copies of what was remembered.
pub(crate) fn saved_memory(memory: &Memory) -> Result<Vec<HostTensor>> {
    let of = |tensor: &Tensor| Ok((tensor.flatten_all()?.to_vec1()?, tensor.dims().to_vec()));
    memory.iter().map(of).collect()
}

/// What was remembered, from host copies.
pub(crate) fn loaded_memory(saved: Vec<HostTensor>, device: &Device) -> Result<Memory> {
    let of = |(values, shape): HostTensor| Tensor::from_vec(values, shape, device);
    saved.into_iter().map(of).collect()
}
