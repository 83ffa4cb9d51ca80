//! CoordSum: N agents whose actions have to add up to a number all of them see, while an opponent
//! guesses what agent 0 does.
//!
//! From the suite of MAGPO (Li, Xie & Lu, arXiv 2507.18059), by its published program.

use serde::{Deserialize, Serialize};

use super::family::Family;
use super::{AgentSpec, Environment, JointAction, Simulation, TeamSpec, Transition};
use crate::rng::Stream;

/// Steps an episode; the last ends it for good, as in the original.
const STEPS: u32 = 100;
/// The largest team, and the largest set of actions of one agent.
const MOST: usize = 32;
const MOST_ACTIONS: usize = 100;
/// The suite's sizes, and the number its targets stay below: agents, actions, targets.
const SUITE: [[usize; 3]; 4] = [[3, 10, 30], [3, 30, 50], [5, 20, 80], [8, 15, 100]];

/// `coordsum-<N>x<A>`.
pub(super) const FAMILY: Family = Family {
    pattern: "coordsum-<N>x<A>",
    description: "N agents pick numbers below A that add up to a target, and not the obvious ones",
    members: &[
        "coordsum-3x10",
        "coordsum-3x30",
        "coordsum-5x20",
        "coordsum-8x15",
    ],
    parse,
};

fn parse(name: &str) -> Option<Result<Simulation, String>> {
    let size = name.strip_prefix("coordsum-")?;
    let number = |digits: &str, most: usize| {
        let number: usize = digits.parse().ok()?;
        ((1..=most).contains(&number) && number.to_string() == digits).then_some(number)
    };
    let sizes = size.split_once('x');
    let sizes = sizes.and_then(|(n, a)| Some((number(n, MOST)?, number(a, MOST_ACTIONS)?)));
    let Some((agents, actions)) = sizes else {
        return Some(Err(format!(
            "found the size `{size}`, expected 1 to {MOST} agents x 1 to {MOST_ACTIONS} actions in \
             plain digits, as in `coordsum-3x10`"
        )));
    };
    let listed = SUITE.iter().find(|row| row[..2] == [agents, actions]);
    let targets = listed.map_or(agents * actions, |row| row[2]);
    let description =
        format!("{agents} numbers below {actions} add up to a target below {targets}, unguessed");
    Some(Ok(Simulation::new(name, description, move || {
        CoordSum::new(agents, actions, targets)
    })))
}

/// Episodes of 100 steps.
///
/// In every step a target is drawn, uniform below `targets`, and shown to every agent as one
/// number. Actions that add up to it pay 2, or 1 if the opponent guessed agent 0's; others pay
/// nothing. The opponent guesses what agent 0 did most often in this episode when the same target
/// was up, the lowest such action, 0 if there is none.
///
/// The original keeps one row of that memory an *action*, and what does not fit is clamped: all
/// targets from A − 1 up share the last row. Its published figures were earned so, and so it is
/// here.
///
/// Nothing of an agent's past matters much, so the task is of the kind with a time limit, although
/// that ends an episode for good: networks without memory, as where it comes from.
pub struct CoordSum {
    actions: usize,
    targets: usize,
    spec: TeamSpec,
    now: Episode,
}

/// What changes in the course of an episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Episode {
    steps: u32,
    target: u32,
    /// How often agent 0 took each action, by row of the opponent's memory, `[A, A]`.
    counts: Vec<u32>,
}

impl CoordSum {
    /// Episodes of `agents` agents with `actions` actions each and targets below `targets`.
    pub fn new(agents: usize, actions: usize, targets: usize) -> Self {
        Self {
            actions,
            targets,
            spec: TeamSpec {
                state: 2 + actions,
                // All see the target.
                common: 1,
                ..TeamSpec::new(
                    vec![AgentSpec::discrete(1, actions); agents],
                    STEPS as usize,
                )
            },
            now: Episode {
                steps: 0,
                target: 0,
                counts: vec![0; actions * actions],
            },
        }
    }

    /// Where the opponent's memory for the target that is up begins.
    fn row(&self) -> usize {
        self.actions * (self.now.target as usize).min(self.actions - 1)
    }

    /// What the opponent expects of agent 0: the first of its most frequent actions.
    fn guess(&self) -> usize {
        let counts = &self.now.counts[self.row()..][..self.actions];
        (1..self.actions).fold(0, |best, action| {
            if counts[action] > counts[best] {
                action
            } else {
                best
            }
        })
    }

    fn draw(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        self.now.target = (rng.uniform() * self.targets as f64) as u32;
        observations.fill(self.now.target as f32);
    }
}

impl Environment for CoordSum {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        self.now.steps = 0;
        self.now.counts.fill(0);
        self.draw(rng, observations);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        rng: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        debug_assert!(self.now.steps < STEPS, "a reset before the next episode");
        let actions = action.discrete();
        let reward = match actions.iter().sum::<u32>() == self.now.target {
            false => 0.0,
            true if self.guess() == actions[0] as usize => 1.0,
            true => 2.0,
        };
        let row = self.row();
        self.now.counts[row + actions[0] as usize] += 1;
        self.now.steps += 1;
        self.draw(rng, observations);
        Transition {
            reward,
            terminated: self.now.steps >= STEPS,
            truncated: false,
        }
    }

    /// The target, the part of the episode that is over, the opponent's guess one-hot: `[2 + A]`.
    fn state(&self, state: &mut [f32]) {
        state[0] = self.now.target as f32;
        state[1] = self.now.steps as f32 / STEPS as f32;
        state[2..].fill(0.0);
        state[2 + self.guess()] = 1.0;
    }

    fn common_knowledge(&self, _: &[usize], features: &mut [f32]) {
        features.fill(self.now.target as f32);
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.now).expect("numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let now: Episode = postcard::from_bytes(saved)?;
        let fits = now.counts.len() == self.now.counts.len()
            && (now.target as usize) < self.targets
            && now.steps <= STEPS
            && now.counts.iter().all(|&count| count <= STEPS);
        if !fits {
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

    /// An environment in which `target` is up.
    fn at(target: u32) -> CoordSum {
        let mut environment = CoordSum::new(3, 10, 30);
        environment.reset(&mut Stream::new(0, "reset", 0), &mut [0.0; 3]);
        environment.now.target = target;
        environment
    }

    /// What `actions` are paid when `target` is up.
    fn paid(environment: &mut CoordSum, target: u32, actions: [u32; 3]) -> f32 {
        environment.now.target = target;
        let mut stream = Stream::new(0, "step", 0);
        environment
            .step(JointAction::Discrete(&actions), &mut stream, &mut [0.0; 3])
            .reward
    }

    /// The opponent's memory for a target: nothing (guess 0); 3 (guess 3); 3, 1 (a tie: 1); 3, 1, 3
    /// (guess 3). It remembers sums that were wrong, and each target below 9 by itself.
    #[test]
    fn the_opponent_guesses_the_most_frequent_action() {
        let mut environment = at(5);
        for (target, actions, reward) in [
            (5, [3, 1, 1], 2.0),
            (5, [1, 2, 1], 0.0),
            (5, [1, 2, 2], 1.0),
            (5, [1, 4, 0], 1.0),
            (5, [3, 1, 1], 2.0),
            (4, [0, 2, 2], 1.0),
            (4, [1, 2, 1], 2.0),
            (4, [1, 0, 3], 2.0),
            (4, [1, 0, 3], 1.0),
        ] {
            assert_eq!(
                paid(&mut environment, target, actions),
                reward,
                "{target} {actions:?}"
            );
        }
    }

    /// Targets 9 and up share a row in the original (10 actions): what was done at 9 is guessed at 20.
    #[test]
    fn high_targets_share_the_opponents_memory() {
        let mut environment = at(9);
        assert_eq!(paid(&mut environment, 9, [7, 1, 1]), 2.0);
        assert_eq!(paid(&mut environment, 20, [7, 8, 5]), 1.0);
        assert_eq!(paid(&mut environment, 8, [7, 1, 0]), 2.0);
        let mut state = [f32::NAN; 12];
        environment.now.target = 29;
        environment.state(&mut state);
        assert_eq!((state[0], state[1]), (29.0, 0.03));
        assert_eq!(state[2..].iter().position(|&x| x == 1.0), Some(7));
        assert_eq!(state[2..].iter().sum::<f32>(), 1.0);
    }

    /// What a fixed table of actions earns, for docs/tasks.md. The same table earned 156.91 ± 0.10
    /// (standard error of 4,000 episodes) in the original program; five of the difference's.
    #[test]
    fn a_memoryless_team_earns_what_the_documentation_says() {
        let mut environment = CoordSum::new(3, 10, 30);
        let mut stream = Stream::new(1, "play", 0);
        let mut seen = [0.0; 3];
        let (episodes, mut total) = (4_000, 0.0);
        for _ in 0..episodes {
            environment.reset(&mut stream, &mut seen);
            for step in 1..=100 {
                let paid = environment.step(
                    JointAction::Discrete(&memoryless(seen[0] as u32)),
                    &mut stream,
                    &mut seen,
                );
                total += f64::from(paid.reward);
                assert_eq!(paid.terminated, step == 100);
            }
        }
        let mean = total / f64::from(episodes);
        println!("{mean:.2}");
        assert!((mean - 156.91).abs() < 0.7, "{mean}");
    }

    /// A joint action that reaches the target t, if any does. Below 9 agent 0 does all of it; above,
    /// it does 7t mod 10 or what is nearest to that of what the others can make up for.
    fn memoryless(target: u32) -> [u32; 3] {
        let least = target.saturating_sub(18);
        let most = target.min(9);
        let first = if target < 9 {
            most
        } else {
            (target * 7 % 10).clamp(least.min(9), most)
        };
        let second = (target - first).min(9);
        [first, second, (target - first - second).min(9)]
    }

    /// Uniform below 30: mean 14.5, variance (30² − 1)/12 = 74.9; five standard errors.
    #[test]
    fn targets_are_uniform_and_seen_by_all() {
        let mut environment = CoordSum::new(3, 10, 30);
        let mut stream = Stream::new(2, "targets", 0);
        let mut seen = [f32::NAN; 3];
        let mut counts = [0_u32; 30];
        for _ in 0..300 {
            environment.reset(&mut stream, &mut seen);
            for _ in 0..100 {
                assert!(seen == [seen[0]; 3]);
                counts[seen[0] as usize] += 1;
                environment.step(JointAction::Discrete(&[0; 3]), &mut stream, &mut seen);
            }
        }
        // 30,000 draws of 1/30 each: 1,000 ± 5 · √(1000 · 29/30) = ± 155.
        assert!(
            counts.iter().all(|count| count.abs_diff(1000) < 156),
            "{counts:?}"
        );
    }

    #[test]
    fn a_restored_episode_goes_on_as_the_saved_one() {
        let mut one = CoordSum::new(3, 10, 30);
        let mut other = CoordSum::new(3, 10, 30);
        let mut seen = [0.0; 3];
        let mut stream = Stream::new(4, "play", 0);
        one.reset(&mut stream, &mut seen);
        let play = |environment: &mut CoordSum, seed, steps| {
            let (mut stream, mut seen) = (Stream::new(seed, "play", 1), [0.0; 3]);
            let mut record = Vec::new();
            for _ in 0..steps {
                let actions = [0; 3].map(|_: u32| (stream.uniform() * 10.0) as u32);
                let action = JointAction::Discrete(&actions);
                let transition = environment.step(action, &mut stream, &mut seen);
                record.push((seen, transition));
            }
            record
        };
        play(&mut one, 5, 60);
        let saved = one.save();
        other.restore(&saved).unwrap();
        assert_eq!(play(&mut one, 6, 40), play(&mut other, 6, 40));
        assert_eq!(one.now, other.now);
        assert!(other.restore(&saved[..50]).is_err());
        assert!(CoordSum::new(3, 9, 30).restore(&saved).is_err());
    }

    #[test]
    fn names_give_the_suites_sizes() {
        for (name, agents, actions, targets) in [
            ("coordsum-3x10", 3, 10, 30),
            ("coordsum-8x15", 8, 15, 100),
            ("coordsum-2x4", 2, 4, 8),
        ] {
            let task = Task::find(name).unwrap();
            let spec = task.spec();
            assert_eq!((spec.agents.len(), spec.horizon), (agents, 100));
            assert_eq!(spec.agents[0], AgentSpec::discrete(1, actions));
            assert!(
                task.description()
                    .contains(&format!("target below {targets},")),
                "{}",
                task.description()
            );
        }
        for name in [
            "coordsum-3",
            "coordsum-0x4",
            "coordsum-3x010",
            "coordsum-3x1000",
        ] {
            let message = Task::find(name).unwrap_err().to_string();
            assert!(message.contains("as in `coordsum-3x10`"), "{message}");
        }
    }
}
