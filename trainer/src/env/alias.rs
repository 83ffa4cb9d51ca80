//! A task in which every place looks the same: without memory only dice help.
//!
//! Two agents stand in one of two places and see nothing of which. The team is paid 1, and goes to
//! the other place, when both name the place they are in; else nothing happens. Both start in
//! either place with chance ½ and have h steps, after which the episode is cut off. The aliased
//! states of Singh, Jaakkola & Jordan, *Learning Without State-Estimation in Partially Observable
//! Markovian Decision Processes*, ICML 1994, section 3, for a team.

use serde::{Deserialize, Serialize};

use super::family::{Family, whole};
use super::{AgentSpec, Environment, JointAction, Simulation, TeamSpec, Transition};
use crate::rng::Stream;

/// Shortest episodes: below, dice are not known to be best (see [`best_stochastic`]).
const SHORTEST: usize = 8;
/// Longest episodes.
const LONGEST: usize = 1000;

/// `alias-h<H>`.
pub(super) const FAMILY: Family = Family {
    pattern: "alias-h<H>",
    description: "two places that look the same: without memory, only dice leave them again",
    members: &["alias-h16"],
    parse,
};

fn parse(name: &str) -> Option<Result<Simulation, String>> {
    let digits = name.strip_prefix("alias-h")?;
    let horizon = whole(digits)
        .and_then(|horizon| usize::try_from(horizon).ok())
        .filter(|horizon| (SHORTEST..=LONGEST).contains(horizon));
    let Some(horizon) = horizon else {
        return Some(Err(format!(
            "found `{digits}` steps, expected {SHORTEST} to {LONGEST} in plain digits, as in \
             `alias-h16`"
        )));
    };
    let description =
        format!("both name the unseen place they are in, to be paid and leave it, {horizon} times");
    let make = move || Alias::new(horizon);
    Some(Ok(
        Simulation::new(name, description, make).with_optimum(best_with_memory(horizon))
    ))
}

/// What agents earn in `horizon` steps that name place 0 with probabilities `p` and `q` in every
/// step. With a = p q and b = (1 − p)(1 − q), the chances of leaving place 0 and place 1, and d the
/// probability of being in place 0: Σ_t a d_t + b (1 − d_t), d_{t+1} = d_t (1 − a) + (1 − d_t) b.
pub fn memoryless_value(p: f64, q: f64, horizon: usize) -> f64 {
    let (a, b) = (p * q, (1.0 - p) * (1.0 - q));
    let (mut d, mut value) = (0.5, 0.0);
    for _ in 0..horizon {
        value += a * d + b * (1.0 - d);
        d = d * (1.0 - a) + (1.0 - d) * b;
    }
    value
}

/// The most that agents without memory or dice earn: they name one place for ever, which they are
/// in with chance ½ and leave once. (Two that name different ones earn nothing.)
pub const BEST_DETERMINISTIC: f64 = 0.5;

/// The most that agents without memory earn in `horizon` ≥ 8 steps: h/4, by tossing fair coins.
///
/// With m = a + b, the sum of [`memoryless_value`] is
///
/// ```text
/// J = 2 a b h / m + (a − b)² / 2 m² · (1 − (1 − m)^h)
/// ```
///
/// Let g = √(a b). By Cauchy √a + √b ≤ 1, so g ≤ ¼ and 2 g ≤ m ≤ 1 − 2 g. The first term is at most
/// g h. The second is at most (1 − 4 g²/m²) / 2 ≤ (1 − 4 g) / 2 (1 − 2 g)² ≤ 2 (1 − 4 g). Their sum,
/// 2 + (h − 8) g, grows with g to h/4 at g = ¼, which p = q = ½ reaches.
pub fn best_stochastic(horizon: usize) -> f64 {
    horizon as f64 / 4.0
}

/// The most that agents with memory earn: the first step is a guess, and from then on they name
/// places in turns. A guess that was right is followed by the other place; one that was wrong was
/// about this one.
pub fn best_with_memory(horizon: usize) -> f64 {
    horizon as f64 - 0.5
}

/// Episodes of the task. Each agent sees the constant 1; a critic sees the place, one-hot, and the
/// share of the steps that are over.
pub struct Alias {
    spec: TeamSpec,
    now: Now,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Now {
    place: u32,
    step: u32,
}

impl Alias {
    /// Episodes of `horizon` steps.
    pub fn new(horizon: usize) -> Self {
        Self {
            spec: TeamSpec {
                state: 3,
                ..TeamSpec::new(vec![AgentSpec::discrete(1, 2); 2], horizon)
            },
            now: Now::default(),
        }
    }
}

impl Environment for Alias {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        self.now = Now {
            place: u32::from(rng.uniform() < 0.5),
            step: 0,
        };
        observations.fill(1.0);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        _: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        let place = self.now.place;
        let leaves = action.discrete().iter().all(|&named| named == place);
        if leaves {
            self.now.place = 1 - place;
        }
        self.now.step += 1;
        observations.fill(1.0);
        Transition {
            reward: f32::from(u8::from(leaves)),
            terminated: false,
            truncated: self.now.step as usize == self.spec.horizon,
        }
    }

    fn state(&self, state: &mut [f32]) {
        let place = |index: u32| f32::from(u8::from(self.now.place == index));
        let over = self.now.step as f32 / self.spec.horizon as f32;
        state.copy_from_slice(&[place(0), place(1), over]);
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.now).expect("numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let now: Now = postcard::from_bytes(saved)?;
        if now.place > 1 || now.step as usize > self.spec.horizon {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        self.now = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::config::{Config, Method};
    use crate::env::{Task, TaskKind};
    use crate::export::actors_for;
    use crate::team::Choice;
    use crate::train::train;

    /// Mean return of agents that do `act(step, coin)`, over `episodes` episodes.
    fn played(horizon: usize, episodes: usize, act: impl Fn(usize, f64) -> u32) -> f64 {
        let mut environment = Alias::new(horizon);
        let mut stream = Stream::new(1, "alias", 0);
        let mut dice = Stream::new(1, "dice", 0);
        let mut sum = 0.0;
        for _ in 0..episodes {
            let mut seen = [f32::NAN; 2];
            environment.reset(&mut stream, &mut seen);
            for step in 0..horizon {
                let actions = [0, 1].map(|_| act(step, dice.uniform()));
                let action = JointAction::Discrete(&actions);
                let transition = environment.step(action, &mut stream, &mut seen);
                sum += f64::from(transition.reward);
                assert_eq!(seen, [1.0, 1.0]);
                assert_eq!(transition.truncated, step + 1 == horizon);
            }
        }
        sum / episodes as f64
    }

    #[test]
    fn the_best_without_memory_tosses_coins_and_without_coins_is_stuck() {
        for horizon in [8, 9, 16, 100] {
            let best = best_stochastic(horizon);
            assert!((memoryless_value(0.5, 0.5, horizon) - best).abs() < 1e-9);
            for p in (0..=50).map(|p| f64::from(p) / 50.0) {
                for q in (0..=50).map(|q| f64::from(q) / 50.0) {
                    let value = memoryless_value(p, q, horizon);
                    assert!(value <= best + 1e-9, "{p} {q}: {value}");
                    if p.fract() == 0.0 && q.fract() == 0.0 {
                        let expected = if p == q { BEST_DETERMINISTIC } else { 0.0 };
                        assert_eq!(value, expected);
                    }
                }
            }
        }
    }

    /// Returns of one episode lie in [0, 16]: deviations of at most 2 (fair coins: √3 = 1.73), ½
    /// and ½; four standard errors of 4,000 episodes.
    #[test]
    fn episodes_pay_what_the_formulas_say() {
        let coins = played(16, 4000, |_, coin| u32::from(coin < 0.5));
        assert!((coins - best_stochastic(16)).abs() < 0.13, "{coins}");
        let tilted = played(16, 4000, |_, coin| u32::from(coin < 0.3));
        let expected = memoryless_value(0.7, 0.7, 16);
        assert!((tilted - expected).abs() < 0.13, "{tilted} {expected}");
        let stuck = played(16, 4000, |_, _| 0);
        assert!((stuck - BEST_DETERMINISTIC).abs() < 0.04, "{stuck}");
        let turns = played(16, 4000, |step, _| step as u32 % 2);
        assert!((turns - best_with_memory(16)).abs() < 0.04, "{turns}");
    }

    /// Policy gradient keeps its coins; a team that follows values takes one action for ever.
    #[test]
    fn values_lose_where_only_dice_help() {
        let task = Task::find("alias-h16").unwrap();
        let earned = |method, act| {
            let mut config = Config {
                method,
                act,
                steps: 40_000,
                // As values have it by default, and dice are given the same.
                normalise_observations: false,
                ..Config::for_kind(TaskKind::TimeLimit)
            };
            // A few hundred updates: small networks and larger steps.
            config.network.hidden = vec![64, 64];
            config.factored.learning_rate = 0.0007;
            let tasks = std::slice::from_ref(&task);
            let outcomes = train(&config, tasks, &[0], &Device::Cpu, 1, &|_| ()).unwrap();
            let team = actors_for(&outcomes[0].best().marginals, None).unwrap();
            team.play(&task, 400, 0, act).unwrap().mean
        };
        let stuck = earned(Method::Vdn, Choice::Greedy);
        assert!((stuck - BEST_DETERMINISTIC).abs() < 0.13, "{stuck}");
        let dice = earned(Method::Factored, Choice::Sampled);
        assert!(dice > 3.0, "{dice}");
    }

    #[test]
    fn lengths_that_are_not_known_are_refused() {
        assert_eq!(Task::find("alias-h8").unwrap().optimum(), Some(7.5));
        for name in ["alias-h7", "alias-h016", "alias-h1001", "alias-hx"] {
            let error = Task::find(name).unwrap_err().to_string();
            assert!(error.contains("8 to 1000"), "{error}");
        }
    }
}
