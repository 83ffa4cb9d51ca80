//! Interaction: R replicas × B environments, one batch at a time.

use candle_core::{Device, Result, Tensor};

use crate::env::{Environment, JointAction, Task, TeamSpec};
use crate::net::Normalisation;
use crate::rng::Stream;

/// What the agents see, on the device. S = samples a replica.
#[derive(Clone)]
pub struct Observations {
    /// Each agent's own, `[R·N, S, D]`, padded with zeros to the longest.
    pub own: Tensor,
    /// All agents' side by side, `[R, S, Σ observation]`.
    pub joint: Tensor,
}

/// Joint actions and who chose them.
#[derive(Clone)]
pub struct Actions {
    /// `[R, S, N]`, row-major.
    pub actions: Vec<u32>,
    /// `[R, S]`: drawn from the joint policy rather than from the product of marginals.
    pub from_joint: Vec<bool>,
}

/// One batch of experience.
pub struct Batch {
    /// What was seen.
    pub observations: Observations,
    /// What was done.
    pub actions: Actions,
    /// Return of each sample's episode, `[R, S]`, row-major.
    pub returns: Vec<f32>,
}

/// The environments of all replicas and the streams that drive them.
pub struct Runner {
    spec: TeamSpec,
    /// `[R][B]`.
    environments: Vec<Vec<Box<dyn Environment>>>,
    streams: Vec<Stream>,
    device: Device,
    /// `[R, B, Σ observation]`: written in place by the environments.
    observations: Vec<f32>,
    normalisation: Normalisation,
}

impl Runner {
    /// `parallel` environments of `tasks[r]` for every replica r, driven by `streams[r]`.
    ///
    /// # Panics
    ///
    /// When a task's episodes are longer than one step: a batch holds one decision an episode.
    pub fn new(tasks: &[Task], parallel: usize, streams: Vec<Stream>, device: &Device) -> Self {
        let spec = tasks[0].spec().clone();
        assert_eq!(spec.horizon, 1, "a batch holds one decision an episode");
        let environments = tasks
            .iter()
            .map(|task| (0..parallel).map(|_| task.make_environment()).collect())
            .collect();
        Self {
            observations: vec![0.0; tasks.len() * parallel * spec.joint_observation()],
            spec,
            environments,
            streams,
            device: device.clone(),
            normalisation: Normalisation::default(),
        }
    }

    /// Normalises observations from here on.
    pub fn normalise(&mut self, normalisation: Normalisation) {
        self.normalisation = normalisation;
    }

    /// How observations are normalised now.
    pub fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    /// Rows of joint observations (`[R, S, Σ observation]`) as the policies see them.
    pub fn present(&self, mut rows: Vec<f32>) -> Result<Observations> {
        self.normalisation.apply(&mut rows);
        pack(&rows, self.streams.len(), &self.spec, &self.device)
    }

    /// Plays one episode in every environment with the joint actions `act` chooses.
    pub fn collect(&mut self, act: impl FnOnce(&Observations) -> Result<Actions>) -> Result<Batch> {
        let width = self.spec.joint_observation();
        let agents = self.spec.agents.len();
        let mut rows = self.observations.chunks_exact_mut(width);
        for (replica, stream) in self.environments.iter_mut().zip(&mut self.streams) {
            for environment in replica {
                environment.reset(stream, rows.next().expect("one row an environment"));
            }
        }
        self.normalisation.include(&self.observations);
        let observations = self.present(self.observations.clone())?;
        let actions = act(&observations)?;

        let mut returns = Vec::with_capacity(actions.from_joint.len());
        let mut rows = self.observations.chunks_exact_mut(width);
        let mut choices = actions.actions.chunks_exact(agents);
        for (replica, stream) in self.environments.iter_mut().zip(&mut self.streams) {
            for environment in replica {
                let (row, choice) = (rows.next(), choices.next());
                let (row, choice) = row.zip(choice).expect("one row an environment");
                let transition = environment.step(JointAction::Discrete(choice), stream, row);
                debug_assert!(transition.terminated, "one decision an episode");
                returns.push(transition.reward);
            }
        }
        Ok(Batch {
            observations,
            actions,
            returns,
        })
    }
}

/// Rows of joint observations (`[R, S, Σ observation]`) onto the device: once for the joint
/// policy and once, one agent at a time and padded, for the marginals.
pub fn pack(
    rows: &[f32],
    replicas: usize,
    spec: &TeamSpec,
    device: &Device,
) -> Result<Observations> {
    let (agents, width) = (spec.agents.len(), spec.joint_observation());
    let samples = rows.len() / (replicas * width);
    let widest = spec.widest_observation();
    let mut own = vec![0.0_f32; replicas * agents * samples * widest];
    for (index, row) in rows.chunks_exact(width).enumerate() {
        let (replica, sample) = (index / samples, index % samples);
        let mut start = 0;
        for (agent, spec) in spec.agents.iter().enumerate() {
            let target = ((replica * agents + agent) * samples + sample) * widest;
            own[target..target + spec.observation]
                .copy_from_slice(&row[start..start + spec.observation]);
            start += spec.observation;
        }
    }
    Ok(Observations {
        own: Tensor::from_vec(own, (replicas * agents, samples, widest), device)?,
        joint: Tensor::from_slice(rows, (replicas, samples, width), device)?,
    })
}
