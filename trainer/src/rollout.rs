//! Interaction: R replicas × B environments, T steps at a time.
//!
//! Environments write observations straight into the row of all environments, which is copied for whoever
//! acts and into the batch. An episode that *terminates* is
//! followed at once by the first row of the next one. An episode that is *truncated* still has a
//! future, whose value the critic must be asked for: its last observation takes a row of its own,
//! in which nobody acts (`valid` is false there), and the next episode begins a row later.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::env::common::{self, groups};
use crate::env::{Environment, JointAction, Task, TeamSpec, Transition};
use crate::net::{Choices, FORBIDDEN, Normalisation, Rows, by_replica};
use crate::rng::Stream;

/// What the teams of all replicas see at one moment.
pub struct Seen {
    /// One row of B sequences a replica.
    pub rows: Rows,
    /// `[R, B, Σ observation]`, as the networks see it.
    pub joint: Vec<f32>,
    /// `[R, B, N·A]`, 0 or [`FORBIDDEN`]; none where the environment forbids nothing.
    pub forbidden: Option<Vec<f32>>,
    /// Whether anybody's action counts in this row, `[R, B]`.
    pub valid: Vec<bool>,
    /// What pairs, and the team, have in common, where a learner asks for it: `[R, B, G·K]` of G
    /// [`groups`].
    pub common: Vec<f32>,
}

impl Seen {
    /// The joint observations, on the device.
    pub fn joint_tensor(&self, device: &Device) -> Result<Tensor> {
        self.shaped(&self.joint, device)
    }

    /// What is forbidden, on the device.
    pub fn forbidden_tensor(&self, device: &Device) -> Result<Option<Tensor>> {
        let shaped = |values: &Vec<f32>| self.shaped(values, device);
        self.forbidden.as_ref().map(shaped).transpose()
    }

    fn shaped(&self, values: &[f32], device: &Device) -> Result<Tensor> {
        let (replicas, samples) = (self.rows.replicas, self.rows.samples());
        let width = values.len() / (replicas * samples);
        Tensor::from_slice(values, (replicas, samples, width), device)
    }
}

/// Joint actions and who chose them.
#[derive(Clone, Debug)]
pub struct Actions {
    /// What is done, `[R, B, …]`.
    pub taken: Choices,
    /// What the joint policy would have done, where the learner needs it.
    pub drawn: Option<Choices>,
    /// ln of the probability (or density) with which the acting policy took it, `[R, B]`; or that of
    /// each agent's part, `[R, B, N]`, where the learner asks for it.
    pub log_prob: Vec<f32>,
}

/// T steps of experience of every replica. Row `t·B + b` of a replica is step t of sequence b.
pub struct Batch {
    /// T + 1 steps: the last row is only there to be valued.
    pub rows: Rows,
    /// `[R, (T+1)·B, Σ observation]`, as the networks see it.
    pub joint: Vec<f32>,
    /// `[R, (T+1)·B, state]`.
    pub state: Vec<f32>,
    /// `[R, (T+1)·B, N·A]`, 0 or [`FORBIDDEN`]; empty where nothing is forbidden.
    pub forbidden: Vec<f32>,
    /// What pairs, and the team, have in common, `[R, (T+1)·B, G·K]`; empty where nobody asked.
    pub common: Vec<f32>,
    /// What was done, `[R, T·B, …]`.
    pub actions: Choices,
    /// What the joint policy would have done, where the learner asked for it to be kept.
    pub drawn: Option<Choices>,
    /// ln of the acting policy's probability of it, `[R, T·B]`, or of each agent's, `[R, T·B, N]`.
    pub log_prob: Vec<f32>,
    /// The team's rewards, `[R, T·B]`.
    pub rewards: Vec<f32>,
    /// The row's step ended its episode for good, `[R, T·B]`.
    pub terminated: Vec<bool>,
    /// Somebody acted in the row, `[R, (T+1)·B]`.
    pub valid: Vec<bool>,
    /// Returns of the episodes that ended, a list a replica.
    pub returns: Vec<Vec<f32>>,
}

impl Batch {
    /// Environment steps of one replica.
    pub fn env_steps(&self, replica: usize) -> u64 {
        let samples = self.rows.samples();
        let acted = samples - self.rows.parallel;
        let valid = &self.valid[replica * samples..][..acted];
        valid.iter().filter(|&&valid| valid).count() as u64
    }

    /// What the teams see in the last row.
    pub fn last(&self) -> Seen {
        let (replicas, parallel) = (self.rows.replicas, self.rows.parallel);
        fn last<T: Clone>(
            values: &[T],
            replicas: usize,
            samples: usize,
            parallel: usize,
        ) -> Vec<T> {
            let share = values.len() / replicas;
            let width = share / samples;
            let rows = values.chunks_exact(share.max(1));
            rows.flat_map(|rows| &rows[(samples - parallel) * width..])
                .cloned()
                .collect()
        }
        let samples = self.rows.samples();
        let masked = !self.forbidden.is_empty();
        Seen {
            rows: Rows {
                replicas,
                time: 1,
                parallel,
                first: last(&self.rows.first, replicas, samples, parallel),
            },
            joint: last(&self.joint, replicas, samples, parallel),
            forbidden: masked.then(|| last(&self.forbidden, replicas, samples, parallel)),
            valid: last(&self.valid, replicas, samples, parallel),
            common: last(&self.common, replicas, samples, parallel),
        }
    }

    /// Whether every episode that was acted in last ended there for good: no one asks for the last
    /// row's value then.
    pub fn ends_complete(&self) -> bool {
        let samples = self.rows.samples() - self.rows.parallel;
        let mut replicas = self.terminated.chunks_exact(samples.max(1));
        replicas.all(|ended| {
            ended[samples - self.rows.parallel..]
                .iter()
                .all(|&ended| ended)
        })
    }
}

/// One environment under way.
struct Running {
    environment: Box<dyn Environment>,
    /// Return of the episode so far.
    sum: f64,
    /// The episode was truncated and shows its last observation.
    over: bool,
}

/// The environments of all replicas and the streams that drive them.
pub struct Runner {
    spec: TeamSpec,
    /// `[R][B]`.
    environments: Vec<Vec<Running>>,
    streams: Vec<Stream>,
    normalisation: Normalisation,
    /// Of whose common knowledge is told.
    groups: Vec<Vec<usize>>,
    /// What the environments show now.
    now: Showing,
}

/// One step of all environments.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Showing {
    joint: Vec<f32>,
    state: Vec<f32>,
    forbidden: Vec<f32>,
    first: Vec<bool>,
    valid: Vec<bool>,
    common: Vec<f32>,
}

/// Everything a [`Runner`] needs to go on.
#[derive(Serialize, Deserialize)]
pub struct RunnerState {
    /// Bytes, return so far, over: `[R][B]`.
    environments: Vec<Vec<(Vec<u8>, f64, bool)>>,
    streams: Vec<Stream>,
    normalisation: Normalisation,
    now: Showing,
}

impl Runner {
    /// `parallel` environments of `tasks[r]` for every replica r, driven by `streams[r]`, each at
    /// the start of an episode.
    pub fn new(
        tasks: &[Task],
        parallel: usize,
        streams: Vec<Stream>,
        normalisation: Normalisation,
    ) -> Self {
        let spec = tasks[0].spec();
        let count = tasks.len() * parallel;
        let running = |task: &Task| Running {
            environment: task.make_environment(),
            sum: 0.0,
            over: false,
        };
        let environments = tasks
            .iter()
            .map(|task| (0..parallel).map(|_| running(task)).collect())
            .collect();
        let flat = spec.agents.len() * spec.widest_actions();
        let mut runner = Self {
            now: Showing {
                joint: vec![0.0; count * spec.joint_observation()],
                state: vec![0.0; count * spec.state],
                forbidden: vec![FORBIDDEN; if spec.masked { count * flat } else { 0 }],
                first: vec![true; count],
                valid: vec![true; count],
                common: Vec::new(),
            },
            spec,
            environments,
            streams,
            normalisation,
            groups: Vec::new(),
        };
        let width = runner.spec.joint_observation();
        let mut rows = runner.now.joint.chunks_exact_mut(width);
        for (replica, stream) in runner.environments.iter_mut().zip(&mut runner.streams) {
            for running in replica {
                let row = rows.next().expect("one row an environment");
                running.environment.reset(stream, row);
            }
        }
        runner.show();
        runner
    }

    /// The same, telling what pairs, and the team, have in common.
    pub fn with_common_knowledge(mut self) -> Self {
        self.groups = groups(self.spec.agents.len());
        let width = self.groups.len() * self.spec.common;
        self.now.common = vec![0.0; self.now.first.len() * width];
        self.tell();
        self
    }

    /// How observations are normalised now.
    pub fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    /// Rows of joint observations (`[R, S, Σ observation]`) as the policies see them.
    pub fn present(&self, mut rows: Vec<f32>) -> Vec<f32> {
        self.normalisation.apply(&mut rows);
        rows
    }

    /// Plays `time` steps in every environment with the joint actions `act` chooses.
    pub fn collect(
        &mut self,
        time: usize,
        mut act: impl FnMut(&Seen) -> Result<Actions>,
    ) -> Result<Batch> {
        let replicas = self.environments.len();
        let mut steps = Steps::default();
        let mut returns = vec![Vec::new(); replicas];
        for _ in 0..time {
            let actions = act(&self.seen())?;
            let before = self.now.clone();
            let (rewards, terminated) = self.step(&actions.taken, &mut returns);
            steps.push(before, actions, rewards, terminated);
        }
        Ok(steps.into_batch(self.now.clone(), returns, replicas))
    }

    fn seen(&self) -> Seen {
        let replicas = self.environments.len();
        let masked = !self.now.forbidden.is_empty();
        Seen {
            rows: Rows {
                replicas,
                time: 1,
                parallel: self.now.first.len() / replicas,
                first: self.now.first.clone(),
            },
            joint: self.now.joint.clone(),
            forbidden: masked.then(|| self.now.forbidden.clone()),
            valid: self.now.valid.clone(),
            common: self.now.common.clone(),
        }
    }

    /// One step of every environment; rewards and terminations, `[R, B]`.
    fn step(&mut self, actions: &Choices, returns: &mut [Vec<f32>]) -> (Vec<f32>, Vec<bool>) {
        let width = self.spec.joint_observation();
        let count = self.now.first.len();
        let (mut rewards, mut terminated) = (vec![0.0; count], vec![false; count]);
        let mut index = 0;
        let replicas = self.environments.iter_mut().zip(&mut self.streams);
        for ((replica, stream), returns) in replicas.zip(returns) {
            for running in replica {
                let row = &mut self.now.joint[index * width..(index + 1) * width];
                self.now.first[index] = false;
                self.now.valid[index] = true;
                if running.over {
                    running.over = false;
                    running.environment.reset(stream, row);
                    self.now.first[index] = true;
                } else {
                    let environment = running.environment.as_mut();
                    let transition = play_step(environment, actions, index, count, stream, row);
                    rewards[index] = transition.reward;
                    running.sum += f64::from(transition.reward);
                    if transition.terminated || transition.truncated {
                        returns.push(running.sum as f32);
                        running.sum = 0.0;
                    }
                    if transition.terminated {
                        terminated[index] = true;
                        running.environment.reset(stream, row);
                        self.now.first[index] = true;
                    } else if transition.truncated {
                        running.over = true;
                        self.now.valid[index] = false;
                    }
                }
                index += 1;
            }
        }
        self.show();
        (rewards, terminated)
    }

    /// Completes what the environments show: normalised observations, states, masks.
    fn show(&mut self) {
        self.normalisation.include(&self.now.joint);
        self.normalisation.apply(&mut self.now.joint);
        self.tell();
        let (state, masked) = (self.spec.state, self.spec.masked);
        if state == 0 && !masked {
            return;
        }
        let wide = self.spec.widest_actions();
        let flat = self.spec.agents.len() * wide;
        let mut allowed = vec![true; self.spec.joint_actions()];
        let running = self.environments.iter().flatten();
        for (index, running) in running.enumerate() {
            if state > 0 {
                let own = index * state..(index + 1) * state;
                running.environment.state(&mut self.now.state[own]);
            }
            if masked {
                running.environment.mask(&mut allowed);
                let row = &mut self.now.forbidden[index * flat..(index + 1) * flat];
                forbid(&self.spec, &allowed, row);
            }
        }
    }

    /// Completes what is common knowledge, where somebody asks.
    fn tell(&mut self) {
        let width = self.groups.len() * self.spec.common;
        if width == 0 {
            return;
        }
        let running = self.environments.iter().flatten();
        for (running, row) in running.zip(self.now.common.chunks_exact_mut(width)) {
            common::write(running.environment.as_ref(), &self.groups, row);
        }
    }

    /// Everything needed to go on from here.
    pub fn save(&self) -> RunnerState {
        let saved = |running: &Running| (running.environment.save(), running.sum, running.over);
        let replicas = self.environments.iter();
        RunnerState {
            environments: replicas
                .map(|replica| replica.iter().map(saved).collect())
                .collect(),
            streams: self.streams.clone(),
            normalisation: self.normalisation.clone(),
            now: self.now.clone(),
        }
    }

    /// Goes on from where `state` was saved.
    ///
    /// # Errors
    /// When it was saved by environments of another task.
    pub fn restore(&mut self, state: RunnerState) -> Result<()> {
        let rows = self.environments.iter_mut().flatten();
        for (running, (bytes, sum, over)) in rows.zip(state.environments.into_iter().flatten()) {
            let restored = running.environment.restore(&bytes);
            restored.map_err(candle_core::Error::wrap)?;
            (running.sum, running.over) = (sum, over);
        }
        self.streams = state.streams;
        self.normalisation = state.normalisation;
        self.now = state.now;
        Ok(())
    }
}

/// Writes a mask (`allowed`: `[Σ actions]`) as [`FORBIDDEN`] or 0 (`row`: `[N·A]`); padding stays
/// forbidden.
pub fn forbid(spec: &TeamSpec, allowed: &[bool], row: &mut [f32]) {
    let mut rest = allowed;
    let wide = spec.widest_actions();
    for (agent, row) in spec.agents.iter().zip(row.chunks_exact_mut(wide)) {
        let (own, others) = rest.split_at(agent.actions.size());
        rest = others;
        for (value, &allowed) in row.iter_mut().zip(own) {
            *value = if allowed { 0.0 } else { FORBIDDEN };
        }
    }
}

/// Plays row `index` of `count` joint actions; continuous ones are squashed by the runtime's tanh.
pub(crate) fn play_step(
    environment: &mut dyn Environment,
    choices: &Choices,
    index: usize,
    count: usize,
    stream: &mut Stream,
    observations: &mut [f32],
) -> Transition {
    let numbers = choices.len() / count;
    let own = index * numbers..(index + 1) * numbers;
    match choices {
        Choices::Discrete(actions) => {
            environment.step(JointAction::Discrete(&actions[own]), stream, observations)
        }
        Choices::Continuous(actions) => {
            let mut squashed = [0.0_f32; MOST_DIMENSIONS];
            let squashed = &mut squashed[..numbers];
            for (squashed, &u) in squashed.iter_mut().zip(&actions[own]) {
                *squashed = consort_runtime::math::tanh(u);
            }
            environment.step(JointAction::Continuous(squashed), stream, observations)
        }
    }
}

/// Dimensions that all agents' continuous actions may have together.
pub const MOST_DIMENSIONS: usize = 256;

/// Steps as they come: `[T][R][B]`.
#[derive(Default)]
struct Steps {
    shown: Vec<Showing>,
    actions: Vec<Actions>,
    rewards: Vec<Vec<f32>>,
    terminated: Vec<Vec<bool>>,
}

impl Steps {
    fn push(&mut self, shown: Showing, actions: Actions, rewards: Vec<f32>, terminated: Vec<bool>) {
        self.shown.push(shown);
        self.actions.push(actions);
        self.rewards.push(rewards);
        self.terminated.push(terminated);
    }

    /// As `[R][T][B]`.
    fn into_batch(mut self, last: Showing, returns: Vec<Vec<f32>>, replicas: usize) -> Batch {
        self.shown.push(last);
        let time = self.shown.len();
        let parallel = self.shown[0].first.len() / replicas;
        fn column<'a, S, T: Clone + 'a>(
            steps: &'a [S],
            replicas: usize,
            of: impl Fn(&'a S) -> &'a [T],
        ) -> Vec<T> {
            let steps: Vec<&[T]> = steps.iter().map(of).collect();
            by_replica(&steps, replicas)
        }
        let taken: Vec<&Choices> = self.actions.iter().map(|step| &step.taken).collect();
        let drawn: Option<Vec<&Choices>> = self
            .actions
            .iter()
            .map(|step| step.drawn.as_ref())
            .collect();
        Batch {
            rows: Rows {
                replicas,
                time,
                parallel,
                first: column(&self.shown, replicas, |shown| &shown.first),
            },
            joint: column(&self.shown, replicas, |shown| &shown.joint),
            state: column(&self.shown, replicas, |shown| &shown.state),
            forbidden: column(&self.shown, replicas, |shown| &shown.forbidden),
            actions: Choices::by_replica(&taken, replicas),
            drawn: drawn.map(|drawn| Choices::by_replica(&drawn, replicas)),
            log_prob: column(&self.actions, replicas, |actions| &actions.log_prob),
            rewards: column(&self.rewards, replicas, |rewards| rewards),
            terminated: column(&self.terminated, replicas, |terminated| terminated),
            valid: column(&self.shown, replicas, |shown| &shown.valid),
            common: column(&self.shown, replicas, |shown| &shown.common),
            returns,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
