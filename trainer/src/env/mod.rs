//! Environments: what a team acts in.
//!
//! Axis letters, here and everywhere: T time, B parallel environments, N agents, A actions,
//! H hidden units, R replicas (independent runs trained side by side).

pub mod builtin;
pub mod game;
mod game_environment;
pub mod game_file;
pub mod game_text;
mod game_value;
pub mod joint;
pub mod solve;
pub mod suggest;
mod task;

pub use game::Game;
pub use game_environment::GameEnvironment;
pub use joint::JointSpace;
pub use task::{Task, TaskError};

use crate::rng::Stream;

/// One agent's spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// Length of the observation vector (f32 values).
    pub observation: usize,
    /// Number of discrete actions.
    pub actions: usize,
}

/// What a team's task looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamSpec {
    /// One entry an agent, in agent order.
    pub agents: Vec<AgentSpec>,
    /// Longest possible episode, in steps (1: one-shot).
    pub horizon: usize,
}

impl TeamSpec {
    /// Σ of the observation lengths: the length of a joint observation.
    pub fn joint_observation(&self) -> usize {
        self.agents.iter().map(|agent| agent.observation).sum()
    }

    /// D: the longest observation of any agent.
    pub fn widest_observation(&self) -> usize {
        let lengths = self.agents.iter().map(|agent| agent.observation);
        lengths.max().unwrap_or(0)
    }

    /// A: the largest action set of any agent.
    pub fn widest_actions(&self) -> usize {
        let sizes = self.agents.iter().map(|agent| agent.actions);
        sizes.max().unwrap_or(0)
    }
}

/// What one step of the environment gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// The team's common reward.
    pub reward: f32,
    /// The episode ended in a state with no future: its value is zero.
    pub terminated: bool,
    /// The episode was cut off by a time limit: its future still has value.
    pub truncated: bool,
}

/// A fully cooperative multi-agent task.
///
/// Observations of all agents are written into one slice, one after another in agent order
/// (length [`TeamSpec::joint_observation`]); the environment allocates nothing per step.
pub trait Environment: Send {
    /// Agents, spaces and horizon.
    fn spec(&self) -> &TeamSpec;

    /// Starts an episode and writes the first observations, `[Σ observation]`.
    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]);

    /// Plays one joint action (`actions`: `[N]`, each below its agent's `actions`) and writes
    /// the next observations, `[Σ observation]` (zeros once the episode is over).
    fn step(&mut self, actions: &[u32], rng: &mut Stream, observations: &mut [f32]) -> Transition;
}
