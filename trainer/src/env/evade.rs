//! `evade`: two agents must meet where an adversary does not wait.
//!
//! Each picks 0 or 1; the team is paid 1 where both picked the same and the adversary another. What
//! counts is what the team gets *for certain*: min over b of P(a₀ = a₁ ≠ b). An adversary that knew
//! the team's policy would leave it that. The one that plays here must find it out: it looks at the
//! team's last episodes and waits where the team met more often (fictitious play: Brown 1951, with
//! a memory as short as learning is fast). It sees actions only, never a shared seed.

use serde::{Deserialize, Serialize};

use super::family::{Adversarial, Family};
use super::{AgentSpec, Environment, JointAction, Simulation, TeamSpec, Transition};
use crate::rng::Stream;

/// Episodes that the adversary looks back upon.
const MEMORY: usize = 16;

/// `evade`.
pub(super) const FAMILY: Family = Family {
    pattern: "evade",
    description: "meet where an adversary does not wait: what a shared seed is for",
    members: &["evade"],
    parse: |name| {
        (name == "evade").then(|| {
            let description = "two agents meet where an adversary does not wait";
            let adversarial = Adversarial { value, guaranteed };
            Ok(Simulation::new(name, description, Evade::new).with_adversary(adversarial))
        })
    },
};

/// What a team is certain of at best, with a shared seed of so many symbols (1: with none).
///
/// With every symbol the agents are independent: they meet at 0 with probability α and at 1 with at
/// most (1 − √α)². Symbols at which both are sure of one place serve it wholly; half of them for
/// either is best, and the odd one is played for 1/4 of each.
fn value(symbols: u8) -> f64 {
    let symbols = f64::from(symbols);
    let pairs = (symbols / 2.0).floor();
    let odd = symbols - 2.0 * pairs;
    (pairs + odd / 4.0) / symbols
}

/// What a team is certain of: `policies[z][i][a]` is the probability with which agent i does a at
/// symbol z; symbols are equally probable.
fn guaranteed(policies: &[Vec<Vec<f64>>]) -> f64 {
    let met = |place: usize| {
        let at = |agents: &Vec<Vec<f64>>| agents.iter().map(|own| own[place]).product::<f64>();
        policies.iter().map(at).sum::<f64>() / policies.len() as f64
    };
    met(0).min(met(1))
}

/// Episodes of one step against an adversary that remembers them. Agents see nothing: a constant 1.
pub struct Evade {
    spec: TeamSpec,
    past: Past,
}

/// The last episodes: where the team met, if it did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Past {
    met: [Option<u8>; MEMORY],
    /// The episode that is overwritten next.
    oldest: usize,
}

impl Past {
    fn add(&mut self, met: Option<u8>) {
        self.met[self.oldest] = met;
        self.oldest = (self.oldest + 1) % MEMORY;
    }

    /// Where the adversary waits: the team's favourite; a toss where it has none.
    fn answer(&self, rng: &mut Stream) -> u8 {
        let count = |place| self.met.iter().filter(|&&met| met == Some(place)).count();
        // Tossed always, so that what the team does shifts nobody's numbers.
        let toss = u8::from(rng.uniform() < 0.5);
        match count(0).cmp(&count(1)) {
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Less => 1,
            std::cmp::Ordering::Equal => toss,
        }
    }
}

impl Evade {
    /// Against an adversary that has seen nothing yet.
    pub fn new() -> Self {
        Self {
            spec: TeamSpec::new(vec![AgentSpec::discrete(1, 2); 2], 1),
            past: Past::default(),
        }
    }
}

impl Default for Evade {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for Evade {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, _: &mut Stream, observations: &mut [f32]) {
        observations.fill(1.0);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        rng: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        let waits = self.past.answer(rng);
        let met = match action.discrete() {
            &[one, other] if one == other => Some(one as u8),
            _ => None,
        };
        self.past.add(met);
        observations.fill(1.0);
        Transition {
            reward: f32::from(met.is_some_and(|place| place != waits)),
            terminated: true,
            truncated: false,
        }
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.past).expect("numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let past: Past = postcard::from_bytes(saved)?;
        if past.oldest >= MEMORY {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        self.past = past;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Task;
    use consort_runtime::{Per, Seeding};

    /// Mean reward of `play` against the adversary, whose dice do not favour it.
    fn earned(mut play: impl FnMut(&mut Stream) -> [u32; 2]) -> f64 {
        let (mut nature, mut dice) = (Stream::new(0, "nature", 0), Stream::new(0, "dice", 0));
        let mut environment = Evade::new();
        let mut observations = [0.0; 2];
        let (episodes, mut sum) = (40_000, 0.0);
        for _ in 0..episodes {
            environment.reset(&mut nature, &mut observations);
            assert_eq!(observations, [1.0; 2]);
            let actions = play(&mut dice);
            let action = JointAction::Discrete(&actions);
            let transition = environment.step(action, &mut nature, &mut observations);
            sum += f64::from(transition.reward);
            let saved = environment.save();
            environment = Evade::new();
            environment.restore(&saved).unwrap();
        }
        sum / f64::from(episodes)
    }

    #[test]
    fn the_adversary_leaves_a_team_what_it_is_certain_of() {
        // Five standard deviations of a share of 40,000.
        let bound = 5.0 * 0.5 / 200.0;
        // Always the same place: after one episode the adversary waits there.
        assert!(earned(|_| [1, 1]) < 1e-4);
        let fair = |dice: &mut Stream| u32::from(dice.uniform() < 0.5);
        // Independent and fair: 1/4 each, whatever the adversary does.
        let alone = earned(|dice| [fair(dice), fair(dice)]);
        assert!((alone - 0.25).abs() < bound, "{alone}");
        // One coin for both: they always meet, and half of the time elsewhere.
        let together = earned(|dice| [fair(dice); 2]);
        assert!((together - 0.5).abs() < bound, "{together}");
        // Meeting at 0 nine times as often: at best what is seldom, 1/10, and what the adversary
        // overlooks: with 16 episodes of memory it errs with P(B(16, .1) ≥ 8) < .001, halves tied.
        let skewed = earned(|dice| [u32::from(dice.uniform() < 0.1); 2]);
        assert!((skewed - 0.1).abs() < bound, "{skewed}");
    }

    #[test]
    fn values_are_those_of_the_best_policies() {
        let half = vec![0.5, 0.5];
        let (zero, one) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let fair = vec![half.clone(), half.clone()];
        let sure = [vec![zero.clone(), zero], vec![one.clone(), one]];
        assert_eq!(
            (value(1), guaranteed(std::slice::from_ref(&fair))),
            (0.25, 0.25)
        );
        assert_eq!((value(2), guaranteed(&sure)), (0.5, 0.5));
        let three = [&sure[..], &[fair]].concat();
        assert!((value(3) - 5.0 / 12.0).abs() < 1e-12);
        assert!((guaranteed(&three) - value(3)).abs() < 1e-12);
        assert_eq!(guaranteed(&sure[..1]), 0.0);
        // No pair of independent agents does better: over a grid of all of them.
        for (x, y) in (0..=100).flat_map(|x| (0..=100).map(move |y| (x, y))) {
            let of = |p: i32| vec![f64::from(p) / 100.0, 1.0 - f64::from(p) / 100.0];
            assert!(guaranteed(&[vec![of(x), of(y)]]) <= 0.25 + 1e-12);
        }
    }

    #[test]
    fn the_optimum_is_that_of_the_seed_there_is() {
        let task = Task::find("evade").unwrap();
        assert_eq!(task.optimum(), Some(0.25));
        let seeding = Seeding {
            symbols: 2,
            per: Per::Step,
        };
        assert_eq!(task.with_shared_seed(seeding).optimum(), Some(0.5));
        // Where all agents want the same and nobody is against them, it raises nothing.
        let climbing = Task::find("climbing-private").unwrap();
        let optimum = climbing.optimum();
        assert_eq!(climbing.with_shared_seed(seeding).optimum(), optimum);
    }
}
