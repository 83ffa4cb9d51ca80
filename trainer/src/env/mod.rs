//! Environments: what a team acts in.
//!
//! Axis letters, here and everywhere: T time, B parallel environments, N agents, A actions,
//! H hidden units, R replicas (independent runs trained side by side).

pub mod alias;
pub mod builtin;
pub mod common;
pub mod coordsum;
pub mod decpomdp;
pub mod evade;
pub mod family;
pub mod game;
mod game_environment;
pub mod game_file;
pub mod game_text;
mod game_value;
pub mod joint;
pub mod lbf;
pub mod mpe;
pub mod repeated;
pub mod rware;
mod seeded;
pub mod solve;
mod space;
pub mod suggest;
mod task;
pub mod two_step;

pub use family::{Adversarial, Simulation, TaskKind};
pub use game::Game;
pub use game_environment::GameEnvironment;
pub use joint::JointSpace;
pub use space::{ActionSpace, Factors};
pub use task::{Task, TaskError};

use crate::rng::Stream;

/// One agent's spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// Length of the observation vector (f32 values).
    pub observation: usize,
    /// What it can do.
    pub actions: ActionSpace,
}

/// What a team's task looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamSpec {
    /// One entry an agent, in agent order.
    pub agents: Vec<AgentSpec>,
    /// Longest possible episode, in steps (1: one-shot).
    pub horizon: usize,
    /// Length of the simulator's state vector, which a critic may see while training (0: the
    /// environment shows none).
    pub state: usize,
    /// Whether some actions are at times forbidden ([`Environment::mask`]). No agent's actions may then
    /// be [products](ActionSpace::Product): a mask of whole actions need not be one of choices.
    pub masked: bool,
    /// Length of what a group of agents can be told of its common knowledge
    /// ([`Environment::common_knowledge`]; 0: the environment knows of none).
    pub common: usize,
    /// The time between two steps, in µs: what images state as the rate to be run at (0: the task is not
    /// periodic).
    pub period_us: u32,
}

impl AgentSpec {
    /// An agent that sees `observation` numbers and chooses between `actions` actions.
    pub fn discrete(observation: usize, actions: usize) -> Self {
        Self {
            observation,
            actions: ActionSpace::Discrete(actions),
        }
    }
}

impl TeamSpec {
    /// A team whose environment shows no state, forbids no action and knows of no time.
    pub fn new(agents: Vec<AgentSpec>, horizon: usize) -> Self {
        Self {
            agents,
            horizon,
            state: 0,
            masked: false,
            common: 0,
            period_us: 0,
        }
    }

    /// Σ of the observation lengths: the length of a joint observation.
    pub fn joint_observation(&self) -> usize {
        self.agents.iter().map(|agent| agent.observation).sum()
    }

    /// D: the longest observation of any agent.
    pub fn widest_observation(&self) -> usize {
        let lengths = self.agents.iter().map(|agent| agent.observation);
        lengths.max().unwrap_or(0)
    }

    /// A: the largest action set (or the most dimensions) of any agent.
    pub fn widest_actions(&self) -> usize {
        let sizes = self.agents.iter().map(|agent| agent.actions.size());
        sizes.max().unwrap_or(0)
    }

    /// Σ of the sizes of the action spaces: the length of a joint mask, or of a continuous joint
    /// action.
    pub fn joint_actions(&self) -> usize {
        self.agents.iter().map(|agent| agent.actions.size()).sum()
    }

    /// Whether the agents' actions are vectors. A team is all of one kind.
    pub fn is_continuous(&self) -> bool {
        self.agents
            .iter()
            .any(|agent| agent.actions.is_continuous())
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

/// What every agent does at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum JointAction<'a> {
    /// One number an agent, `[N]`, each below the size of its set.
    Discrete(&'a [u32]),
    /// All agents' vectors one after another, `[Σ dimensions]`, each number in [−1, 1].
    Continuous(&'a [f32]),
}

impl<'a> JointAction<'a> {
    /// The agents' discrete actions.
    ///
    /// # Panics
    /// When they are vectors: the caller knows the [`TeamSpec`].
    pub fn discrete(self) -> &'a [u32] {
        match self {
            Self::Discrete(actions) => actions,
            Self::Continuous(_) => panic!("discrete actions for an environment that has them"),
        }
    }

    /// The agents' vectors.
    ///
    /// # Panics
    /// When they are discrete: the caller knows the [`TeamSpec`].
    pub fn continuous(self) -> &'a [f32] {
        match self {
            Self::Continuous(actions) => actions,
            Self::Discrete(_) => panic!("continuous actions for an environment that has them"),
        }
    }
}

/// A fully cooperative multi-agent task.
///
/// Observations of all agents are written into one slice, one after another in agent order
/// (length [`TeamSpec::joint_observation`]). Nothing is allocated per step.
pub trait Environment: Send {
    /// Agents, spaces and horizon.
    fn spec(&self) -> &TeamSpec;

    /// Starts an episode and writes the first observations, `[Σ observation]`.
    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]);

    /// Plays one joint action and writes the next observations, `[Σ observation]`; of an episode
    /// that is over they are the last ones. After that, a reset comes before the next step.
    fn step(
        &mut self,
        action: JointAction<'_>,
        rng: &mut Stream,
        observations: &mut [f32],
    ) -> Transition;

    /// Writes the simulator's state, `[TeamSpec::state]`: for a critic, never for a policy.
    fn state(&self, state: &mut [f32]) {
        debug_assert!(state.is_empty(), "this environment shows no state");
    }

    /// Writes which actions each agent may take now, `[Σ actions]`, agent after agent; at least
    /// one each.
    fn mask(&self, mask: &mut [bool]) {
        mask.fill(true);
    }

    /// Writes what the agents in `group` (two or more, ascending) all know, know that all know, and
    /// so on, `[TeamSpec::common]`: each member could write it from what it alone sees.
    fn common_knowledge(&self, group: &[usize], features: &mut [f32]) {
        let _ = group;
        debug_assert!(features.is_empty(), "this environment knows of none");
    }

    /// Everything needed to go on from here: with the same [`Stream`], an environment of the same
    /// task that [`restore`](Self::restore)s it plays on as this one would.
    fn save(&self) -> Vec<u8>;

    /// Takes over what [`save`](Self::save) gave.
    ///
    /// # Errors
    /// When the bytes are not what an environment of this task saves.
    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error>;
}
