//! The two-step game with which QMIX was introduced (Rashid et al., ICML 2018, section 5.1): what
//! agent 0 does first decides which of two matrix games is played second.

use serde::{Deserialize, Serialize};

use super::family::Family;
use super::{AgentSpec, Environment, JointAction, Simulation, TeamSpec, Transition};
use crate::rng::Stream;

/// What the second step pays after the first was 0 (state 2A) or 1 (state 2B), by the actions of
/// agent 0 and agent 1.
const PAYOFF: [[[f32; 2]; 2]; 2] = [[[7.0, 7.0], [7.0, 7.0]], [[0.0, 1.0], [1.0, 8.0]]];

/// `two-step`.
pub(super) const FAMILY: Family = Family {
    pattern: "two-step",
    description: "a safe game or a risky one, as agent 0 chooses first",
    members: &["two-step"],
    parse: |name| {
        (name == "two-step").then(|| {
            let description = "agent 0 picks a safe game of 7 or a risky one of up to 8";
            Ok(Simulation::new(name, description, TwoStepGame::new)
                .with_finite_horizon()
                .with_optimum(8.0))
        })
    },
};

/// Episodes of two steps. Both agents see where they are, one-hot over 1, 2A and 2B, and so does
/// the critic. The first step pays nothing; the second ends the episode, and still shows where it
/// was played.
pub struct TwoStepGame {
    spec: TeamSpec,
    now: Place,
}

/// Where the episode is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Place {
    First,
    /// 2A or 2B, by agent 0's first action.
    Second(bool),
}

impl TwoStepGame {
    /// At the first step.
    pub fn new() -> Self {
        Self {
            spec: TeamSpec {
                state: 3,
                common: 3,
                ..TeamSpec::new(vec![AgentSpec::discrete(3, 2); 2], 2)
            },
            now: Place::First,
        }
    }

    /// Writes where the episode is into every three numbers of `vectors`.
    fn show(&self, vectors: &mut [f32]) {
        let place = match self.now {
            Place::First => 0,
            Place::Second(risky) => 1 + usize::from(risky),
        };
        for (at, value) in vectors.iter_mut().enumerate() {
            *value = f32::from(at % 3 == place);
        }
    }
}

impl Default for TwoStepGame {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for TwoStepGame {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, _: &mut Stream, observations: &mut [f32]) {
        self.now = Place::First;
        self.show(observations);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        _: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        let actions = action.discrete();
        let (reward, terminated) = match self.now {
            Place::First => {
                self.now = Place::Second(actions[0] != 0);
                (0.0, false)
            }
            Place::Second(risky) => {
                let payoff = &PAYOFF[usize::from(risky)];
                (payoff[actions[0] as usize][actions[1] as usize], true)
            }
        };
        self.show(observations);
        Transition {
            reward,
            terminated,
            truncated: false,
        }
    }

    fn state(&self, state: &mut [f32]) {
        self.show(state);
    }

    /// Both see where they are, and that both do.
    fn common_knowledge(&self, _: &[usize], features: &mut [f32]) {
        self.show(features);
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.now).expect("a number is serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        self.now = postcard::from_bytes(saved)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Task;

    /// The paper's tables: 7 whatever is done in 2A; 0, 1, 1, 8 in 2B. Agent 1's first action
    /// changes nothing. The second step is played by a restored environment too.
    #[test]
    fn agent_0_chooses_the_game() {
        let task = Task::find("two-step").unwrap();
        assert_eq!(task.optimum(), Some(8.0));
        let mut stream = Stream::new(0, "unused", 0);
        let (mut one, mut other) = (task.make_environment(), task.make_environment());
        for first in 0..2 {
            for (second, paid) in [
                ([0, 0], [7.0, 0.0]),
                ([0, 1], [7.0, 1.0]),
                ([1, 0], [7.0, 1.0]),
                ([1, 1], [7.0, 8.0]),
            ] {
                for ignored in 0..2 {
                    let (mut seen, mut state) = ([f32::NAN; 6], [f32::NAN; 3]);
                    one.reset(&mut stream, &mut seen);
                    assert_eq!(seen, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
                    let begun = JointAction::Discrete(&[first, ignored]);
                    let transition = one.step(begun, &mut stream, &mut seen);
                    assert_eq!((transition.reward, transition.terminated), (0.0, false));
                    one.state(&mut state);
                    assert_eq!(state, [0.0, 1.0 - first as f32, first as f32]);
                    assert_eq!(seen[..3], state);
                    assert_eq!(seen[3..], state);
                    other.restore(&one.save()).unwrap();
                    for environment in [&mut one, &mut other] {
                        let ended = environment.step(
                            JointAction::Discrete(&second),
                            &mut stream,
                            &mut seen,
                        );
                        let expected = Transition {
                            reward: paid[first as usize],
                            terminated: true,
                            truncated: false,
                        };
                        assert_eq!(ended, expected);
                    }
                }
            }
        }
        assert!(one.restore(&[9]).is_err());
    }
}
