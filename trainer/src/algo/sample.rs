//! A minibatch as losses see it.

use candle_core::{Device, Result, Tensor};

use super::replay::Minibatch;
use crate::env::TeamSpec;
use crate::net::critic::with_state;
use crate::net::{CrewTensors, Critic, Marginals, NetworkConfig, Rows};

/// What a learner's central networks see beside what agents see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Central {
    /// The simulator's state; what all agents see where none is shown.
    State,
    /// What a critic sees: what all agents see, and the state.
    Everything,
}

impl Central {
    /// How many numbers that is.
    pub(super) fn width(self, spec: &TeamSpec, network: &NetworkConfig) -> usize {
        match self {
            Self::State if network.critic_sees_state && spec.state > 0 => spec.state,
            Self::State => spec.joint_observation(),
            Self::Everything => Critic::inputs(spec, network),
        }
    }

    /// That of every row, where the state may be seen or not.
    pub(super) fn of(self, batch: &Minibatch, sees_state: bool) -> Vec<f32> {
        match (self, sees_state) {
            (_, false) => batch.joint.clone(),
            (Self::State, true) => batch.state.clone(),
            (Self::Everything, true) => {
                let rows = batch.rows.replicas * batch.rows.samples();
                with_state(&batch.joint, &batch.state, rows)
            }
        }
    }
}

/// A minibatch of episodes on the device: T + 1 rows of B episodes, each from its beginning. Row
/// `t·B + b` and row `(t+1)·B + b` are a step and what it led to.
pub(super) struct Sample {
    pub(super) rows: Rows,
    pub(super) own: CrewTensors,
    /// `[R, (T+1)·B, …]`: see [`Central`].
    pub(super) central: Tensor,
    /// `[R, (T+1)·B, N·A]`, or one row for all: 0 or [`FORBIDDEN`](crate::net::FORBIDDEN).
    pub(super) forbidden: Tensor,
    /// `[R, T·B, N]`, or `[R, T·B, Σ dimensions]` before squashing.
    pub(super) actions: Tensor,
    /// `[R, T·B]`, standardised where that is asked for.
    pub(super) rewards: Tensor,
    /// γ, or 0 where the step ended its episode for good, `[R, T·B]`.
    pub(super) discounts: Tensor,
    /// 1/(the replica's steps), 0 for padding, `[R, T·B]`.
    pub(super) weights: Tensor,
}

impl Sample {
    /// `batch` on the device, with what the central networks see of it.
    pub(super) fn new(
        batch: Minibatch,
        central: Vec<f32>,
        discount: f64,
        marginals: &Marginals,
        device: &Device,
    ) -> Result<Self> {
        let rows = batch.rows;
        let (replicas, samples) = (rows.replicas, rows.samples());
        let acted = samples - rows.parallel;
        let wide = |values: Vec<f32>| {
            let width = values.len() / (replicas * samples);
            Tensor::from_vec(values, (replicas, samples, width), device)
        };
        let table = |values: Vec<f32>| Tensor::from_vec(values, (replicas, acted), device);
        let goes_on = |ended: &f32| discount as f32 * (1.0 - ended);
        Ok(Self {
            own: marginals.pack(&batch.joint, &rows, device)?,
            central: wide(central)?,
            forbidden: match batch.forbidden.is_empty() {
                true => marginals.padding().clone(),
                false => wide(batch.forbidden)?,
            },
            actions: batch.actions.tensor(replicas, acted, device)?,
            discounts: table(batch.ended.iter().map(goes_on).collect())?,
            rewards: table(batch.rewards)?,
            weights: table(batch.weights)?,
            rows,
        })
    }

    /// The rows in which steps were taken, of a tensor of T + 1 rows.
    pub(super) fn before(&self, rows: &Tensor) -> Result<Tensor> {
        let parallel = self.rows.parallel;
        rows.narrow(1, 0, self.rows.samples() - parallel)?
            .contiguous()
    }

    /// The rows that they led to.
    pub(super) fn after(&self, rows: &Tensor) -> Result<Tensor> {
        let parallel = self.rows.parallel;
        let acted = self.rows.samples() - parallel;
        rows.narrow(1, parallel, acted)?.contiguous()
    }

    /// The λ-returns of the steps, from the values `next` of the rows that they led to: `[R, T·B, C]` both.
    ///
    /// G_t = r_t + γ_t ((1 − λ) V_{t+1} + λ G_{t+1}), and λ = 0 at an episode's last step.
    pub(super) fn returns(&self, next: &Tensor, trace: f64) -> Result<Tensor> {
        let (replicas, acted, columns) = next.dims3()?;
        let parallel = self.rows.parallel;
        let table = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (rewards, discounts) = (table(&self.rewards)?, table(&self.discounts)?);
        let weights = table(&self.weights)?;
        let mut values = table(next)?;
        for row in (0..replicas * acted).rev() {
            // The row that follows in the same episode, if a step was taken in it.
            let after = row + parallel;
            let follows = after / acted == row / acted && weights[after] > 0.0;
            for column in 0..columns {
                let at = |row: usize| row * columns + column;
                let mut future = values[at(row)];
                if follows {
                    future += trace as f32 * (values[at(after)] - future);
                }
                values[at(row)] = rewards[row] + discounts[row] * future;
            }
        }
        Tensor::from_vec(values, (replicas, acted, columns), next.device())
    }

    /// What may not be done after the steps; a row for each of them, or one for all.
    pub(super) fn forbidden_after(&self) -> Result<Tensor> {
        match self.forbidden.dim(1)? {
            1 => Ok(self.forbidden.clone()),
            _ => self.after(&self.forbidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows of two episodes, γ = 1/2, λ = 1/4. The first is cut off after three steps: from its end,
    /// G = 4 + 8/2 = 8; 2 + (¾·4 + ¼·8)/2 = 4.5; 1 + (¾·2 + ¼·4.5)/2 = 2.3125. The second ends for good
    /// after two: 3; 5 + (¾·6 + ¼·3)/2 = 7.625; what stands after it is padding. Where all is thought worth
    /// nothing: 4; 2 + ¼·4/2 = 2.5; 1 + ¼·2.5/2 = 1.3125; and 3; 5 + ¼·3/2 = 5.375.
    #[test]
    fn returns_mix_what_follows_with_what_it_is_thought_worth() {
        let table =
            |own: [f32; 6]| Tensor::from_slice(&[own, own].concat(), (2, 6), &Device::Cpu).unwrap();
        let sample = Sample {
            rows: Rows {
                replicas: 2,
                time: 4,
                parallel: 2,
                first: vec![false; 16],
            },
            own: Vec::new(),
            central: table([0.0; 6]),
            forbidden: table([0.0; 6]),
            actions: table([0.0; 6]),
            rewards: table([1.0, 5.0, 2.0, 3.0, 4.0, 0.0]),
            discounts: table([0.5, 0.5, 0.5, 0.0, 0.5, 0.5]),
            weights: table([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
        };
        let worth = table([2.0, 6.0, 4.0, 100.0, 8.0, 0.0]);
        // Agents' values: the first says so, the second nothing.
        let next = Tensor::stack(&[&worth, &worth.zeros_like().unwrap()], 2).unwrap();
        let returns = |trace| -> [Vec<f32>; 2] {
            let returns: Vec<Vec<Vec<f32>>> =
                sample.returns(&next, trace).unwrap().to_vec3().unwrap();
            assert_eq!(returns[0], returns[1]);
            [0, 1].map(|agent| returns[0][..5].iter().map(|row| row[agent]).collect())
        };
        let mixed = [
            vec![2.3125, 7.625, 4.5, 3.0, 8.0],
            vec![1.3125, 5.375, 2.5, 3.0, 4.0],
        ];
        assert_eq!(returns(0.25), mixed);
        // One step: r + γ V.
        assert_eq!(returns(0.0)[0], [2.0, 8.0, 4.0, 3.0, 8.0]);
        // All of them: 1 + (2 + 8/2)/2 and 5 + 3/2.
        assert_eq!(returns(1.0)[0], [4.0, 6.5, 6.0, 3.0, 8.0]);
    }
}
