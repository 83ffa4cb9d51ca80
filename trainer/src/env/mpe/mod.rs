//! The cooperative multi-particle environments: agents that are pushed about on a plane, and some
//! that speak.
//!
//! From Lowe et al. (NeurIPS 2017) and Mordatch & Abbeel (AAAI 2018), in the form of the package
//! `mpe2` 1.1.1: `simple_spread_v3`, `simple_speaker_listener_v4` and `simple_reference_v3` with
//! their defaults. Arithmetic is in f64 as there; observations are f32. Recorded episodes of the
//! originals are replayed by the tests of the workspace.

mod scenario;
mod world;

pub use scenario::Scenario;
pub use world::{PERIOD_US, Vector, World};

use super::family::Family;
use super::{
    ActionSpace, AgentSpec, Environment, Factors, JointAction, Simulation, TeamSpec, Transition,
};
use crate::rng::Stream;

/// Steps an episode: a time limit, nothing ends there.
const CYCLES: u32 = 25;
/// Newtons of a full push.
const SENSITIVITY: f64 = 5.0;
/// The pushes: none, left, right, down, up.
const PUSHES: usize = 5;
/// The largest team.
const MOST_AGENTS: usize = 32;

/// `mpe-spread`, `mpe-speaker-listener`, `mpe-reference`, and each `-continuous`.
pub(super) const FAMILY: Family = Family {
    pattern: "mpe-spread[-<N>], mpe-speaker-listener or mpe-reference, each [-continuous]",
    description: "particles on a plane that cover landmarks, or talk each other to them",
    members: &[
        "mpe-spread",
        "mpe-spread-continuous",
        "mpe-speaker-listener",
        "mpe-speaker-listener-continuous",
        "mpe-reference",
        "mpe-reference-continuous",
    ],
    parse,
};

fn parse(name: &str) -> Option<Result<Simulation, String>> {
    let rest = name.strip_prefix("mpe-")?;
    let (rest, continuous) = match rest.strip_suffix("-continuous") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let scenario = match rest {
        "spread" => Scenario::Spread { agents: 3 },
        "speaker-listener" => Scenario::SpeakerListener,
        "reference" => Scenario::Reference,
        _ => {
            let number = rest.strip_prefix("spread-")?;
            match number.parse::<usize>() {
                Ok(agents)
                    if (1..=MOST_AGENTS).contains(&agents) && agents.to_string() == number =>
                {
                    Scenario::Spread { agents }
                }
                _ => {
                    return Some(Err(format!(
                        "found `{number}` agents, expected 1 to {MOST_AGENTS} in plain digits, \
                         as in `mpe-spread-5`"
                    )));
                }
            }
        }
    };
    let asked = match scenario {
        Scenario::Spread { agents } => {
            format!("{agents} agents cover as many landmarks and do not touch")
        }
        Scenario::SpeakerListener => {
            "one agent tells another which of 3 landmarks to go to".to_owned()
        }
        Scenario::Reference => "2 agents tell each other which of 3 landmarks to go to".to_owned(),
    };
    let kind = if continuous {
        ", pushing by degrees"
    } else {
        ""
    };
    Some(Ok(Simulation::new(
        name,
        format!("{asked}{kind}"),
        move || ParticleEnvironment::new(scenario, continuous),
    )))
}

/// Episodes of 25 steps in one scenario.
///
/// A discrete action of an agent that moves is 0 nothing, 1 left, 2 right, 3 down, 4 up; of one
/// that speaks the word; of one that does both, push + 5 × word. Continuous actions are the same
/// pushes and then the words by degrees: ours in [−1, 1] stand for the original's in [0, 1], and
/// the push along an axis is the difference of its two.
pub struct ParticleEnvironment {
    scenario: Scenario,
    spec: TeamSpec,
    world: World,
    /// Scratch: what pushes each agent in this step, `[N]`.
    forces: Vec<Vector>,
}

impl ParticleEnvironment {
    /// Episodes of `scenario`, with `continuous` or discrete actions.
    pub fn new(scenario: Scenario, continuous: bool) -> Self {
        let agents = (0..scenario.agents()).map(|agent| {
            let pushes = if scenario.moves(agent) { PUSHES } else { 0 };
            let words = if scenario.speaks(agent) {
                scenario.words()
            } else {
                0
            };
            AgentSpec {
                observation: scenario.observation(agent),
                actions: match (continuous, pushes, words) {
                    (true, ..) => ActionSpace::Continuous(pushes + words),
                    (false, 1.., 1..) => ActionSpace::Product(
                        Factors::new(&[pushes, words]).expect("five pushes, a few words"),
                    ),
                    (false, ..) => ActionSpace::Discrete(pushes + words),
                },
            }
        });
        Self {
            scenario,
            spec: TeamSpec {
                state: scenario.state(),
                period_us: PERIOD_US,
                ..TeamSpec::new(agents.collect(), CYCLES as usize)
            },
            world: scenario.empty(),
            forces: vec![[0.0; 2]; scenario.agents()],
        }
    }

    /// Where everything is.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Puts everything where `world` says and writes what the agents see there,
    /// `[Σ observation]`.
    ///
    /// # Errors
    /// When `world` has other agents, landmarks or goals than the scenario, or is past its end.
    pub fn place(&mut self, world: World, observations: &mut [f32]) -> Result<(), postcard::Error> {
        self.accept(world)?;
        self.scenario.observe(&self.world, observations);
        Ok(())
    }

    fn accept(&mut self, world: World) -> Result<(), postcard::Error> {
        if !self.scenario.admits(&world, CYCLES) {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        self.world = world;
        Ok(())
    }

    /// Turns discrete actions into forces and messages.
    fn choose(&mut self, actions: &[u32]) {
        self.world.messages.fill(0.0);
        for (agent, &action) in actions.iter().enumerate() {
            let mut word = action as usize;
            if self.scenario.moves(agent) {
                self.forces[agent] = match word % PUSHES {
                    1 => [-SENSITIVITY, 0.0],
                    2 => [SENSITIVITY, 0.0],
                    3 => [0.0, -SENSITIVITY],
                    4 => [0.0, SENSITIVITY],
                    _ => [0.0; 2],
                };
                word /= PUSHES;
            }
            if self.scenario.speaks(agent) {
                self.world.messages[agent * self.scenario.words() + word] = 1.0;
            }
        }
    }

    /// Turns continuous actions into forces and messages; the differences are f32, as there.
    fn blend(&mut self, mut actions: &[f32]) {
        // The original clips what is outside its box.
        let degree = |own: f32| 0.5 * (own.clamp(-1.0, 1.0) + 1.0);
        let words = self.scenario.words();
        let messages = self.world.messages.chunks_exact_mut(words);
        for (agent, (force, message)) in self.forces.iter_mut().zip(messages).enumerate() {
            if self.scenario.moves(agent) {
                let (pushes, rest) = actions.split_at(PUSHES);
                let along = |back: usize| {
                    SENSITIVITY * f64::from(degree(pushes[back + 1]) - degree(pushes[back]))
                };
                *force = [along(1), along(3)];
                actions = rest;
            }
            if self.scenario.speaks(agent) {
                let (said, rest) = actions.split_at(words);
                for (word, &own) in message.iter_mut().zip(said) {
                    *word = degree(own);
                }
                actions = rest;
            }
        }
    }
}

impl Environment for ParticleEnvironment {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        self.scenario.spawn(&mut self.world, rng);
        self.scenario.observe(&self.world, observations);
    }

    /// Pushes, moves and pays for where that led; what is said now is heard in the observations
    /// this writes.
    fn step(
        &mut self,
        action: JointAction<'_>,
        _: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        debug_assert!(self.world.steps < CYCLES, "a reset before the next episode");
        self.forces.fill([0.0; 2]);
        if self.spec.is_continuous() {
            self.blend(action.continuous());
        } else {
            self.choose(action.discrete());
        }
        let diameter = self.scenario.diameter();
        self.world.advance(&mut self.forces, diameter);
        self.world.steps += 1;
        self.scenario.observe(&self.world, observations);
        Transition {
            reward: self.scenario.reward(&self.world) as f32,
            terminated: false,
            truncated: self.world.steps >= CYCLES,
        }
    }

    /// Positions, velocities, landmarks, messages of those who speak, goals one-hot.
    fn state(&self, state: &mut [f32]) {
        self.scenario.show(&self.world, state);
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.world).expect("numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        self.accept(postcard::from_bytes(saved)?)
    }
}

#[cfg(test)]
mod tests;
