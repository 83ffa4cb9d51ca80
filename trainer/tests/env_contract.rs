//! What every environment owes: each built-in task is played, whatever its kind.

use std::collections::HashMap;

use allocation_counter::measure;
use consort_trainer::env::common;
use consort_trainer::env::{ActionSpace, Environment, JointAction, Task, TeamSpec, Transition};
use consort_trainer::rng::Stream;

/// Steps for which a task is played, in as many episodes as that takes.
const STEPS: usize = 1_200;

/// An environment under random play, with everything it is asked for along the way.
struct Play {
    task: String,
    environment: Box<dyn Environment>,
    spec: TeamSpec,
    /// The environment's draws.
    draws: Stream,
    /// The players' draws.
    choices: Stream,
    observations: Vec<f32>,
    state: Vec<f32>,
    mask: Vec<bool>,
    discrete: Vec<u32>,
    continuous: Vec<f32>,
    /// Steps of the episode under way.
    played: usize,
}

impl Play {
    fn new(task: &Task, seed: u64) -> Self {
        let spec = task.spec();
        Self {
            task: task.name().to_owned(),
            environment: task.make_environment(),
            draws: Stream::new(seed, "draws", 0),
            choices: Stream::new(seed, "choices", 0),
            observations: vec![f32::NAN; spec.joint_observation()],
            state: vec![f32::NAN; spec.state],
            mask: vec![false; spec.joint_actions()],
            discrete: vec![0; spec.agents.len()],
            continuous: vec![0.0; spec.joint_actions()],
            played: 0,
            spec,
        }
    }

    /// The numbers from here on, whatever was drawn before.
    fn reseed(&mut self, seed: u64) {
        self.draws = Stream::new(seed, "draws", 1);
        self.choices = Stream::new(seed, "choices", 1);
    }

    fn reset(&mut self) {
        self.environment
            .reset(&mut self.draws, &mut self.observations);
        self.played = 0;
        self.look();
    }

    /// Lets each agent do something that it may do.
    fn step(&mut self) -> Transition {
        self.choose();
        let action = match self.spec.is_continuous() {
            true => JointAction::Continuous(&self.continuous),
            false => JointAction::Discrete(&self.discrete),
        };
        let transition = self
            .environment
            .step(action, &mut self.draws, &mut self.observations);
        self.played += 1;
        self.look();
        transition
    }

    fn look(&mut self) {
        self.environment.state(&mut self.state);
        self.environment.mask(&mut self.mask);
    }

    fn choose(&mut self) {
        let (mut masks, mut vectors) = (&self.mask[..], &mut self.continuous[..]);
        for (agent, action) in self.spec.agents.iter().zip(&mut self.discrete) {
            let size = agent.actions.size();
            let (mask, other_masks) = masks.split_at(size);
            let (vector, other_vectors) = vectors.split_at_mut(size);
            (masks, vectors) = (other_masks, other_vectors);
            match agent.actions {
                ActionSpace::Discrete(_) | ActionSpace::Product(_) => {
                    let allowed = mask.iter().filter(|&&allowed| allowed).count();
                    let rank = (self.choices.uniform() * allowed as f64) as usize;
                    let mut among = (0..size).filter(|&index| mask[index]);
                    *action = among.nth(rank).expect("an allowed action") as u32;
                }
                ActionSpace::Continuous(_) => {
                    vector.fill_with(|| (2.0 * self.choices.uniform() - 1.0) as f32);
                }
            }
        }
    }

    /// What there is to see is what the spec says.
    fn check(&self) {
        let task = &self.task;
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        assert!(finite(&self.observations), "{task}: observations");
        assert!(finite(&self.state), "{task}: state");
        let mut rest = &self.mask[..];
        for agent in &self.spec.agents {
            let (mask, others) = rest.split_at(agent.actions.size());
            assert!(mask.contains(&true), "{task}: an agent may do nothing");
            assert!(
                self.spec.masked || !mask.contains(&false),
                "{task}: forbids, unannounced"
            );
            rest = others;
        }
    }
}

/// Everything that playing `task` shows, as bits; checked on the way.
fn record(task: &Task, seed: u64, steps: usize) -> Vec<u32> {
    let mut play = Play::new(task, seed);
    let mut record = Vec::new();
    let mut over = true;
    for _ in 0..steps {
        if over {
            play.reset();
            play.check();
            record.extend(play.observations.iter().map(|value| value.to_bits()));
        }
        let transition = play.step();
        play.check();
        let (reward, name) = (transition.reward, task.name());
        assert!(reward.is_finite(), "{name}: reward {reward}");
        assert!(
            !(transition.terminated && transition.truncated),
            "{name}: an end is one or the other"
        );
        over = transition.terminated || transition.truncated;
        let last = play.played == play.spec.horizon;
        assert!(
            over || !last,
            "{name}: no end at step {}, the horizon",
            play.played
        );
        record.push(reward.to_bits());
        record.extend(play.observations.iter().map(|value| value.to_bits()));
        record.extend(play.state.iter().map(|value| value.to_bits()));
    }
    record
}

#[test]
fn specs_name_a_team_that_can_act() {
    for task in Task::all_builtin() {
        let (spec, name) = (task.spec(), task.name());
        assert_eq!(task.make_environment().spec(), &spec, "{name}");
        assert!(!spec.agents.is_empty() && spec.horizon > 0, "{name}");
        for agent in &spec.agents {
            assert!(agent.observation > 0 && agent.actions.size() > 0, "{name}");
            assert_eq!(agent.actions.is_continuous(), spec.is_continuous());
        }
        assert!((1..90).contains(&task.description().len()), "{name}");
        assert_eq!(Task::find(name).expect("a built-in task").name(), name);
    }
}

#[test]
fn play_follows_from_the_seed_alone() {
    for task in Task::all_builtin() {
        let name = task.name();
        let first = record(&task, 1, STEPS);
        assert!(
            first == record(&task, 1, STEPS),
            "{name}: the same seed plays twice"
        );
        assert!(
            first != record(&task, 2, STEPS),
            "{name}: the seed is ignored"
        );
    }
}

/// What [`Play::choose`] keeps to: a task that says it forbids something does, and some task says so.
#[test]
fn masked_tasks_forbid_something() {
    let masked: Vec<Task> = Task::all_builtin()
        .into_iter()
        .filter(|task| task.spec().masked)
        .collect();
    assert!(!masked.is_empty());
    for task in masked {
        let mut play = Play::new(&task, 1);
        play.reset();
        let mut forbidden = 0;
        for _ in 0..task.spec().horizon {
            forbidden += play.mask.iter().filter(|&&allowed| !allowed).count();
            let transition = play.step();
            if transition.terminated || transition.truncated {
                break;
            }
        }
        assert!(forbidden > 0, "{}", task.name());
    }
}

#[test]
fn a_saved_environment_plays_on_as_it_would_have() {
    for task in Task::all_builtin() {
        let name = task.name();
        let horizon = task.spec().horizon;
        // At the start, early, and in the middle of an episode that lasts so long.
        for at in [0, 1.min(horizon - 1), horizon / 2] {
            let mut first = Play::new(&task, 1);
            first.reset();
            while first.played < at {
                let transition = first.step();
                if transition.terminated || transition.truncated {
                    first.reset();
                    break;
                }
            }
            let saved = first.environment.save();

            // Into an environment that was up to something else.
            let mut second = Play::new(&task, 2);
            second.reset();
            second.step();
            second
                .environment
                .restore(&saved)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(
                second.environment.save() == saved,
                "{name}: saves as it was saved"
            );
            second.observations.copy_from_slice(&first.observations);
            second.look();
            assert_eq!(first.state, second.state, "{name}: state after {at} steps");
            assert_eq!(first.mask, second.mask, "{name}: mask after {at} steps");

            for play in [&mut first, &mut second] {
                play.reseed(3);
            }
            for _ in 0..STEPS / 4 {
                let (transition, other) = (first.step(), second.step());
                assert_eq!(transition, other, "{name}: saved after {at} steps");
                assert!(first.observations == second.observations, "{name}");
                assert!(first.state == second.state && first.mask == second.mask);
                if transition.terminated || transition.truncated {
                    first.reset();
                    second.reset();
                    assert!(first.observations == second.observations, "{name}");
                }
            }
        }
    }
}

/// What a group has in common is the same whenever a member sees the same: each of them can tell.
#[test]
fn common_knowledge_is_what_every_member_can_tell() {
    let mut telling = 0;
    for task in Task::all_builtin() {
        let spec = task.spec();
        if spec.common == 0 {
            continue;
        }
        telling += 1;
        let groups = common::groups(spec.agents.len());
        let mut features = vec![f32::NAN; groups.len() * spec.common];
        let mut told: HashMap<(usize, usize, Vec<u32>), Vec<f32>> = HashMap::new();
        let mut play = Play::new(&task, 1);
        play.reset();
        for _ in 0..STEPS {
            common::write(play.environment.as_ref(), &groups, &mut features);
            for (group, known) in features.chunks_exact(spec.common).enumerate() {
                assert!(known.iter().all(|x| x.is_finite()), "{}", task.name());
                let mut rest = &play.observations[..];
                for (agent, own) in spec.agents.iter().enumerate() {
                    let (seen, others) = rest.split_at(own.observation);
                    rest = others;
                    if groups[group].contains(&agent) {
                        let seen = seen.iter().map(|value| value.to_bits()).collect();
                        let before = told.entry((group, agent, seen));
                        let before = before.or_insert_with(|| known.to_vec());
                        assert_eq!(before, known, "{}: agent {agent}", task.name());
                    }
                }
            }
            let transition = play.step();
            if transition.terminated || transition.truncated {
                play.reset();
            }
        }
    }
    assert!(telling >= 6, "{telling} tasks tell of common knowledge");
}

#[test]
fn nothing_is_allocated_per_step() {
    let counted = measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!(counted.count_total, 1, "the counter counts");
    for task in Task::all_builtin() {
        let mut play = Play::new(&task, 1);
        play.reset();
        for _ in 0..STEPS {
            let mut over = false;
            let allocated = measure(|| {
                let transition = play.step();
                over = transition.terminated || transition.truncated;
            });
            assert_eq!(allocated.count_total, 0, "{}: allocations", task.name());
            if over {
                play.reset();
            }
        }
    }
}

#[test]
fn bytes_that_are_no_save_are_survived() {
    for task in Task::all_builtin() {
        let mut play = Play::new(&task, 1);
        let saved = play.environment.save();
        for junk in [&[0xFF; 40][..], &[], &saved[..saved.len() / 2]] {
            // An error, or a state that can be: never a panic, now or later.
            let _ = play.environment.restore(junk);
            play.reset();
            play.step();
            play.check();
        }
    }
}
