//! One matrix game, played 25 times over by two agents who see nothing of each other.
//!
//! The games and the length are those of the EPyMARL benchmark (Papoudakis et al., NeurIPS Datasets
//! and Benchmarks 2021; its package `matrix-games`, the `nostate` variants); the tables are Claus &
//! Boutilier's (AAAI 1998).

use serde::{Deserialize, Serialize};

use super::family::Family;
use super::{AgentSpec, Environment, JointAction, Simulation, TeamSpec, Transition};
use crate::rng::Stream;

/// Plays an episode.
const ROUNDS: u32 = 25;
/// The penalties that have a task.
const PENALTIES: [u32; 5] = [0, 25, 50, 75, 100];
/// The climbing table as the benchmark has it: the built-in game's with the agents' parts swapped.
const CLIMBING: Payoff = [[11.0, -30.0, 0.0], [-30.0, 7.0, 0.0], [0.0, 6.0, 5.0]];

/// What the team is paid in a round, by the actions of agent 0 and agent 1.
pub type Payoff = [[f32; 3]; 3];

/// `climbing-25`, `penalty-25` and `penalty-25-k<K>`.
pub(super) const FAMILY: Family = Family {
    pattern: "climbing-25, penalty-25 or penalty-25-k<K>",
    description: "25 rounds of one matrix game without a look at the partner",
    members: &[
        "climbing-25",
        "penalty-25",
        "penalty-25-k0",
        "penalty-25-k25",
        "penalty-25-k50",
        "penalty-25-k75",
    ],
    parse,
};

fn parse(name: &str) -> Option<Result<Simulation, String>> {
    let (payoff, description) = match name {
        "climbing-25" => (CLIMBING, "25 rounds of the climbing game".to_owned()),
        "penalty-25" => (penalty(100), described(100)),
        _ => {
            let number = name.strip_prefix("penalty-25-k")?;
            let known = PENALTIES.iter().find(|known| known.to_string() == number);
            match known {
                Some(&k) => (penalty(k), described(k)),
                None => {
                    return Some(Err(format!(
                        "found a penalty of `{number}`, expected one of 0, 25, 50, 75, 100, as in \
                         `penalty-25-k50`"
                    )));
                }
            }
        }
    };
    let best = payoff
        .as_flattened()
        .iter()
        .copied()
        .fold(f32::MIN, f32::max);
    let simulation = Simulation::new(name, description, move || RepeatedGame::new(payoff));
    let simulation = simulation.with_finite_horizon();
    Some(Ok(
        simulation.with_optimum(f64::from(ROUNDS) * f64::from(best))
    ))
}

/// The penalty game: −`k` where the two miss each other's corner.
fn penalty(k: u32) -> Payoff {
    let k = k as f32;
    [[-k, 0.0, 10.0], [0.0, 2.0, 0.0], [10.0, 0.0, -k]]
}

fn described(k: u32) -> String {
    format!("25 rounds of the penalty game with a penalty of {k}")
}

/// Episodes of 25 rounds. Each agent sees the constant 1; the state is the part of the rounds that
/// is over. The last round ends the episode for good (terminated): nothing comes after it.
pub struct RepeatedGame {
    payoff: Payoff,
    spec: TeamSpec,
    /// The round under way.
    now: Round,
}

/// How many rounds of the episode are over.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Round {
    over: u32,
}

impl RepeatedGame {
    /// Rounds that pay `payoff`.
    pub fn new(payoff: Payoff) -> Self {
        let agent = AgentSpec::discrete(1, payoff.len());
        Self {
            payoff,
            spec: TeamSpec {
                state: 1,
                ..TeamSpec::new(vec![agent; 2], ROUNDS as usize)
            },
            now: Round::default(),
        }
    }
}

impl Environment for RepeatedGame {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, _: &mut Stream, observations: &mut [f32]) {
        self.now = Round::default();
        observations.fill(1.0);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        _: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        debug_assert!(self.now.over < ROUNDS, "a reset before the next episode");
        let actions = action.discrete();
        self.now.over += 1;
        observations.fill(1.0);
        Transition {
            reward: self.payoff[actions[0] as usize][actions[1] as usize],
            terminated: self.now.over >= ROUNDS,
            truncated: false,
        }
    }

    fn state(&self, state: &mut [f32]) {
        state[0] = self.now.over as f32 / ROUNDS as f32;
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.now).expect("a number is serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let now: Round = postcard::from_bytes(saved)?;
        if now.over > ROUNDS {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        self.now = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Task;

    /// The return of an episode in which both always play `actions`.
    fn played(name: &str, actions: [u32; 2]) -> f32 {
        let mut environment = Task::find(name).unwrap().make_environment();
        let (mut stream, mut seen) = (Stream::new(0, "unused", 0), [f32::NAN; 2]);
        environment.reset(&mut stream, &mut seen);
        let mut total = 0.0;
        for round in 1..=25 {
            assert_eq!(seen, [1.0; 2]);
            let paid = environment.step(JointAction::Discrete(&actions), &mut stream, &mut seen);
            assert_eq!((paid.terminated, paid.truncated), (round == 25, false));
            let mut state = [0.0];
            environment.state(&mut state);
            assert_eq!(state, [round as f32 / 25.0]);
            total += paid.reward;
        }
        total
    }

    /// 25 times an entry of the published tables.
    #[test]
    fn episodes_pay_their_table_25_times() {
        for (name, actions, total) in [
            ("climbing-25", [0, 0], 275.0),
            ("climbing-25", [2, 1], 150.0),
            ("climbing-25", [1, 2], 0.0),
            ("climbing-25", [1, 0], -750.0),
            ("penalty-25", [0, 2], 250.0),
            ("penalty-25", [2, 0], 250.0),
            ("penalty-25", [1, 1], 50.0),
            ("penalty-25", [2, 2], -2500.0),
            ("penalty-25-k100", [0, 0], -2500.0),
            ("penalty-25-k25", [0, 0], -625.0),
            ("penalty-25-k0", [0, 0], 0.0),
        ] {
            assert_eq!(played(name, actions), total, "{name} {actions:?}");
        }
        for (name, optimum) in [("climbing-25", 275.0), ("penalty-25-k75", 250.0)] {
            assert_eq!(Task::find(name).unwrap().optimum(), Some(optimum));
        }
    }

    #[test]
    fn other_penalties_are_refused() {
        for name in ["penalty-25-k10", "penalty-25-k025", "penalty-25-k"] {
            let message = Task::find(name).unwrap_err().to_string();
            assert!(
                message.contains("expected one of 0, 25, 50, 75, 100"),
                "{message}"
            );
        }
        assert!(parse("climbing-2").is_none() && parse("penalty").is_none());
    }

    #[test]
    fn a_restored_game_has_as_many_rounds_left() {
        let mut one = RepeatedGame::new(CLIMBING);
        let (mut stream, mut seen) = (Stream::new(0, "unused", 0), [0.0; 2]);
        one.reset(&mut stream, &mut seen);
        for _ in 0..24 {
            one.step(JointAction::Discrete(&[0, 0]), &mut stream, &mut seen);
        }
        let mut other = RepeatedGame::new(CLIMBING);
        other.restore(&one.save()).unwrap();
        let last = other.step(JointAction::Discrete(&[1, 1]), &mut stream, &mut seen);
        assert_eq!((last.reward, last.terminated), (7.0, true));
        assert!(other.restore(&[]).is_err() && other.restore(&[26]).is_err());
    }
}
