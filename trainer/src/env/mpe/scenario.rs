//! What tells the scenarios apart: who is there, who sees what, and what the team is paid.

use super::world::{Vector, World, length, minus, square};
use crate::rng::Stream;

/// Landmarks of the two scenarios with speech.
const COLOURED: usize = 3;
/// How far apart the centres of two agents are that touch: twice the radius of spread's agents.
const DIAMETER: f64 = 0.3;

/// One of the three cooperative scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// So many agents, who see everything, have to cover as many landmarks without touching.
    Spread {
        /// N.
        agents: usize,
    },
    /// Agent 0 knows which of three landmarks agent 1 has to go to, cannot move, and can say one of
    /// three words.
    SpeakerListener,
    /// Each of two agents knows the landmark of the other; both move and say one of ten words.
    Reference,
}

impl Scenario {
    /// N.
    pub fn agents(self) -> usize {
        match self {
            Self::Spread { agents } => agents,
            Self::SpeakerListener | Self::Reference => 2,
        }
    }

    /// How many landmarks there are.
    pub fn landmarks(self) -> usize {
        match self {
            Self::Spread { agents } => agents,
            Self::SpeakerListener | Self::Reference => COLOURED,
        }
    }

    /// How many words a message has room for. Spread's silent agents hear two zeros of each other.
    pub fn words(self) -> usize {
        match self {
            Self::Spread { .. } => 2,
            Self::SpeakerListener => 3,
            Self::Reference => 10,
        }
    }

    /// How many agents know the goal of another: the first ones.
    pub fn goals(self) -> usize {
        match self {
            Self::Spread { .. } => 0,
            Self::SpeakerListener => 1,
            Self::Reference => 2,
        }
    }

    /// Whether an agent can move.
    pub fn moves(self, agent: usize) -> bool {
        self != Self::SpeakerListener || agent == 1
    }

    /// Whether an agent can speak.
    pub fn speaks(self, agent: usize) -> bool {
        match self {
            Self::Spread { .. } => false,
            Self::SpeakerListener => agent == 0,
            Self::Reference => true,
        }
    }

    /// Length of an agent's observation.
    pub fn observation(self, agent: usize) -> usize {
        match self {
            Self::Spread { agents } => 4 + 2 * agents + 4 * (agents - 1),
            Self::SpeakerListener if agent == 0 => COLOURED,
            Self::SpeakerListener => 2 + 2 * COLOURED + self.words(),
            Self::Reference => 2 + 2 * COLOURED + COLOURED + self.words(),
        }
    }

    /// Length of the state: positions, velocities, landmarks, messages of those who speak, goals
    /// one-hot.
    pub fn state(self) -> usize {
        let speakers = (0..self.agents()).filter(|&agent| self.speaks(agent));
        4 * self.agents()
            + 2 * self.landmarks()
            + self.words() * speakers.count()
            + COLOURED * self.goals()
    }

    /// How far apart the centres of agents are that touch, where they can.
    pub(super) fn diameter(self) -> Option<f64> {
        matches!(self, Self::Spread { .. }).then_some(DIAMETER)
    }

    /// A world of the right size, all zeros.
    pub(super) fn empty(self) -> World {
        World {
            positions: vec![[0.0; 2]; self.agents()],
            velocities: vec![[0.0; 2]; self.agents()],
            landmarks: vec![[0.0; 2]; self.landmarks()],
            messages: vec![0.0; self.agents() * self.words()],
            goals: vec![0; self.goals()],
            steps: 0,
        }
    }

    /// Whether `world` could be one of this scenario's.
    pub(super) fn admits(self, world: &World, limit: u32) -> bool {
        world.positions.len() == self.agents()
            && world.velocities.len() == self.agents()
            && world.landmarks.len() == self.landmarks()
            && world.messages.len() == self.agents() * self.words()
            && world.goals.len() == self.goals()
            && world.goals.iter().all(|&goal| (goal as usize) < COLOURED)
            && world.steps <= limit
    }

    /// Begins an episode: everything uniform in [−1, 1]², at rest and silent, goals uniform.
    pub(super) fn spawn(self, world: &mut World, rng: &mut Stream) {
        for goal in &mut world.goals {
            *goal = (rng.uniform() * COLOURED as f64) as u32;
        }
        for place in world.positions.iter_mut().chain(&mut world.landmarks) {
            *place = [2.0 * rng.uniform() - 1.0, 2.0 * rng.uniform() - 1.0];
        }
        world.velocities.fill([0.0; 2]);
        world.messages.fill(0.0);
        world.steps = 0;
    }

    /// The team's reward: the sum of what `mpe2` pays each agent.
    ///
    /// ```text
    /// spread            −½ N Σ_landmarks min_agents |x − l|  −  pairs that touch
    /// speaker-listener  −2 |x_listener − l_goal|²
    /// reference         −Σ_agents |x − l_goal|
    /// ```
    ///
    /// In spread `mpe2` pays agent i half the (negative) distances and half its own touches, each
    /// of which counts for both; in reference half its partner's distance and half the mean.
    pub(super) fn reward(self, world: &World) -> f64 {
        let to_goal =
            |agent: usize, goal: u32| minus(world.positions[agent], world.landmarks[goal as usize]);
        match self {
            Self::Spread { agents } => {
                let cover = |&landmark: &Vector| {
                    let squares = world
                        .positions
                        .iter()
                        .map(|&at| square(minus(at, landmark)));
                    squares.fold(f64::INFINITY, f64::min).sqrt()
                };
                let uncovered: f64 = world.landmarks.iter().map(cover).sum();
                -0.5 * agents as f64 * uncovered - touches(world) as f64
            }
            Self::SpeakerListener => -2.0 * square(to_goal(1, world.goals[0])),
            Self::Reference => {
                -length(to_goal(1, world.goals[0])) - length(to_goal(0, world.goals[1]))
            }
        }
    }

    /// Writes every agent's observation, one after another.
    ///
    /// ```text
    /// spread     own velocity, own position, landmarks from here, others from here, zeros
    /// speaker    the goal's colour
    /// listener   own velocity, landmarks from here, the message
    /// reference  own velocity, landmarks from here, the partner's goal's colour, its message
    /// ```
    pub(super) fn observe(self, world: &World, observations: &mut [f32]) {
        let mut line = Line(observations);
        for (agent, (&at, &velocity)) in world.positions.iter().zip(&world.velocities).enumerate() {
            if self == Self::SpeakerListener && agent == 0 {
                line.colour(world.goals[0], 0.65, 0.15);
                continue;
            }
            line.vector(velocity);
            if let Self::Spread { .. } = self {
                line.vector(at);
            }
            for &landmark in &world.landmarks {
                line.vector(minus(landmark, at));
            }
            if self == Self::Reference {
                line.colour(world.goals[agent], 0.75, 0.25);
            }
            if let Self::Spread { .. } = self {
                for (other, &there) in world.positions.iter().enumerate() {
                    if other != agent {
                        line.vector(minus(there, at));
                    }
                }
            }
            for (other, message) in world.messages.chunks_exact(self.words()).enumerate() {
                if other != agent {
                    line.all(message);
                }
            }
        }
        debug_assert!(line.0.is_empty());
    }

    /// Writes the state, in the order of [`Self::state`].
    pub(super) fn show(self, world: &World, state: &mut [f32]) {
        let mut line = Line(state);
        for &vector in (world.positions.iter())
            .chain(&world.velocities)
            .chain(&world.landmarks)
        {
            line.vector(vector);
        }
        for (agent, message) in world.messages.chunks_exact(self.words()).enumerate() {
            if self.speaks(agent) {
                line.all(message);
            }
        }
        for &goal in &world.goals {
            line.colour(goal, 1.0, 0.0);
        }
        debug_assert!(line.0.is_empty());
    }
}

/// How many pairs of agents touch.
fn touches(world: &World) -> usize {
    let positions = world.positions.iter().enumerate();
    positions
        .map(|(one, &at)| {
            let others = world.positions[one + 1..].iter();
            others
                .filter(|&&other| length(minus(at, other)) < DIAMETER)
                .count()
        })
        .sum()
}

/// A slice that is written from front to back.
struct Line<'a>(&'a mut [f32]);

impl Line<'_> {
    fn all(&mut self, values: &[f32]) {
        let (front, rest) = std::mem::take(&mut self.0).split_at_mut(values.len());
        front.copy_from_slice(values);
        self.0 = rest;
    }

    fn vector(&mut self, [x, y]: Vector) {
        self.all(&[x as f32, y as f32]);
    }

    /// A landmark's colour: red, green or blue, `bright` in that and `dark` in the others.
    fn colour(&mut self, landmark: u32, bright: f32, dark: f32) {
        let mut colour = [dark; COLOURED];
        colour[landmark as usize] = bright;
        self.all(&colour);
    }
}
