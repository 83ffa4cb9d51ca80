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

    /// What may not be done after the steps; a row for each of them, or one for all.
    pub(super) fn forbidden_after(&self) -> Result<Tensor> {
        match self.forbidden.dim(1)? {
            1 => Ok(self.forbidden.clone()),
            _ => self.after(&self.forbidden),
        }
    }
}
