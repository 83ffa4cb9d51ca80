use super::*;
use crate::env::decpomdp::parse::parse;
use crate::env::decpomdp::problems::{DEC_TIGER, GRID_SMALL};

/// Two agents, two states, nothing symmetrical, rewards by everything.
const SKEWED: &str = "agents: 2
discount: 1
values: reward
states: 2
start: 0.3 0.7
actions:
2
1
observations:
1
3
T: 0 : 0.2 0.8 0.5 0.5
T: 1 : 0.9 0.1 0.0 1.0
O: 0 : 0.2 0.3 0.5 0.6 0.3 0.1
O: 1 : 0.0 0.5 0.5 1.0 0.0 0.0
R: 0 : 0 : 1 2 3 4 5 6
R: 0 : 1 : 7 8 9 10 11 12
R: 1 : 0 : 13 14 15 16 17 18
R: 1 : 1 : 19 20 21 22 23 24";

fn environment(model: crate::env::decpomdp::DecPomdp, horizon: usize) -> DecPomdpEnvironment {
    DecPomdpEnvironment::new(Arc::new(FiniteHorizon {
        name: "test".to_owned(),
        model,
        horizon,
        source: None,
    }))
}

fn state_of(environment: &DecPomdpEnvironment) -> usize {
    let mut state = vec![f32::NAN; environment.spec().state];
    environment.state(&mut state);
    assert_eq!(state.iter().sum::<f32>(), 1.0);
    state.iter().position(|&value| value == 1.0).unwrap()
}

#[test]
fn steps_have_the_models_frequencies_and_rewards() {
    let model = parse(SKEWED).unwrap();
    let mut environment = environment(model.clone(), 1);
    let mut stream = Stream::new(1, "test", 0);
    let mut seen = vec![0.0; environment.spec().joint_observation()];
    for action in 0..2 {
        let episodes = 40_000;
        // By s, s' and o.
        let mut counts = [[[0_u32; 3]; 2]; 2];
        for _ in 0..episodes {
            environment.reset(&mut stream, &mut seen);
            let before = state_of(&environment);
            let actions = [action as u32, 0];
            let step = environment.step(JointAction::Discrete(&actions), &mut stream, &mut seen);
            let after = state_of(&environment);
            // Agent 0: two actions, one observation, time; agent 1: one action, three observations.
            let o = seen[5..8].iter().position(|&value| value == 1.0).unwrap();
            counts[before][after][o] += 1;
            assert_eq!(step.reward, model.reward(before, action, after, o) as f32);
        }
        for (s, counts) in counts.iter().enumerate() {
            for (next, counts) in counts.iter().enumerate() {
                for (o, &count) in counts.iter().enumerate() {
                    let find = |row: crate::env::decpomdp::model::Row<'_>, at| {
                        row.iter().find(|(i, _)| *i == at).map_or(0.0, |(_, p)| p)
                    };
                    let p = model.start()[s]
                        * find(model.transition(s, action), next)
                        * find(model.observation(action, next), o);
                    let mean = p * f64::from(episodes);
                    // Five standard deviations of a binomial count.
                    let limit = 5.0 * (mean * (1.0 - p)).sqrt() + 1e-9;
                    let off = (f64::from(count) - mean).abs();
                    assert!(
                        off <= limit,
                        "{action} {s} {next} {o}: {count} is not {mean}"
                    );
                }
            }
        }
    }
}

#[test]
fn agents_see_their_last_action_and_observation_and_the_time() {
    let mut environment = environment(DEC_TIGER.model(), 4);
    let spec = environment.spec().clone();
    assert_eq!(
        (spec.horizon, spec.state, spec.joint_observation()),
        (4, 2, 12)
    );
    assert!(spec.agents.iter().all(|agent| agent.observation == 6));
    let mut stream = Stream::new(3, "test", 0);
    let mut seen = vec![f32::NAN; 12];
    environment.reset(&mut stream, &mut seen);
    assert_eq!(seen, [0.0; 12]);
    for step in 1..=4 {
        let transition = environment.step(JointAction::Discrete(&[0, 2]), &mut stream, &mut seen);
        assert_eq!(seen[..3], [1.0, 0.0, 0.0]);
        assert_eq!(seen[6..9], [0.0, 0.0, 1.0]);
        for own in [&seen[..6], &seen[6..]] {
            assert_eq!(own[3] + own[4], 1.0);
            assert_eq!(own[5], step as f32 / 4.0);
        }
        assert!([9.0, -101.0].contains(&transition.reward));
        assert_eq!(
            (transition.terminated, transition.truncated),
            (step == 4, false)
        );
    }
}

#[test]
fn a_restored_episode_goes_on_as_the_saved_one() {
    let (mut one, mut other) = (
        environment(GRID_SMALL.model(), 9),
        environment(GRID_SMALL.model(), 9),
    );
    let mut stream = Stream::new(5, "test", 0);
    let mut seen = vec![0.0; one.spec().joint_observation()];
    one.reset(&mut stream, &mut seen);
    let mut play = |environment: &mut DecPomdpEnvironment, seed| {
        let mut stream = Stream::new(seed, "test", 1);
        let step = environment.step(JointAction::Discrete(&[2, 0]), &mut stream, &mut seen);
        (step, seen.clone(), state_of(environment))
    };
    for _ in 0..3 {
        play(&mut one, 6);
    }
    other.restore(&one.save()).unwrap();
    for seed in 7..13 {
        assert_eq!(play(&mut one, seed), play(&mut other, seed));
    }
    // 16 states, 9 steps: nothing else is taken.
    for (state, step, fits) in [(15, 9, true), (16, 0, false), (0, 10, false)] {
        let saved = postcard::to_stdvec(&Some(Episode { state, step })).unwrap();
        assert_eq!(other.restore(&saved).is_ok(), fits);
    }
    assert!(other.restore(&[1]).is_err());
}

#[test]
#[should_panic(expected = "a reset before every episode")]
fn a_step_after_the_last_needs_a_reset() {
    let mut environment = environment(DEC_TIGER.model(), 1);
    let (mut stream, mut seen) = (Stream::new(0, "test", 0), [0.0; 12]);
    environment.reset(&mut stream, &mut seen);
    for _ in 0..2 {
        environment.step(JointAction::Discrete(&[0, 0]), &mut stream, &mut seen);
    }
}
