//! Rules by hand-derived numbers, spawns by their moments; parity with the originals is tested
//! where the recordings lie.

use super::*;
use crate::env::Task;

const SCENARIOS: [Scenario; 4] = [
    Scenario::Spread { agents: 3 },
    Scenario::Spread { agents: 5 },
    Scenario::SpeakerListener,
    Scenario::Reference,
];

fn placed(scenario: Scenario, continuous: bool, world: World) -> (ParticleEnvironment, Vec<f32>) {
    let mut environment = ParticleEnvironment::new(scenario, continuous);
    let mut seen = vec![f32::NAN; environment.spec().joint_observation()];
    environment.place(world, &mut seen).unwrap();
    (environment, seen)
}

/// A step without anything to draw.
fn step(
    environment: &mut ParticleEnvironment,
    action: JointAction<'_>,
    seen: &mut [f32],
) -> Transition {
    environment.step(action, &mut Stream::new(0, "unused", 0), seen)
}

/// Landmarks at (1, 0), (0, 1), (−1, 0); all agents at the origin, at rest, as `empty` has them.
fn coloured(scenario: Scenario, goals: &[u32]) -> World {
    World {
        landmarks: vec![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]],
        goals: goals.to_vec(),
        ..scenario.empty()
    }
}

/// mpe2's shapes: spread 18 and Discrete(5), speaker 3 and Discrete(3), listener 11 and Discrete(5),
/// reference 21 and Discrete(50); continuous boxes of 5, of 3, of 5, of 15.
#[test]
fn spaces_are_the_originals() {
    let cases: [(_, &[[usize; 3]]); 3] = [
        (Scenario::Spread { agents: 3 }, &[[18, 5, 5]; 3]),
        (Scenario::SpeakerListener, &[[3, 3, 3], [11, 5, 5]]),
        (Scenario::Reference, &[[21, 50, 15]; 2]),
    ];
    for (scenario, agents) in cases {
        for continuous in [false, true] {
            let spec = ParticleEnvironment::new(scenario, continuous)
                .spec()
                .clone();
            assert_eq!((spec.horizon, spec.agents.len()), (25, agents.len()));
            // A tenth of a second a step.
            assert_eq!(spec.period_us, 100_000);
            for (agent, &[observation, discrete, box_]) in spec.agents.iter().zip(agents) {
                assert_eq!(agent.observation, observation);
                assert!(continuous || agent.actions.size() == discrete);
                assert_eq!(
                    agent.actions,
                    if continuous {
                        ActionSpace::Continuous(box_)
                    } else if scenario == Scenario::Reference {
                        // push + 5 × word
                        ActionSpace::Product(Factors::new(&[5, 10]).unwrap())
                    } else {
                        ActionSpace::Discrete(discrete)
                    }
                );
            }
        }
    }
}

/// Agents at (0, 0), (.2, 0), (0, .5), landmarks at (0, 0), (1, 0), (0, 1): nearest 0, .8 and .5;
/// only the first two touch (.2 < .3). mpe2 pays them ½·(−1.3) + ½·(−1) each and the third
/// ½·(−1.3): together −1.95 − 1. Positions do not move in the first step from rest.
#[test]
fn spread_pays_for_gaps_and_touches() {
    let scenario = Scenario::Spread { agents: 3 };
    let world = World {
        positions: vec![[0.0, 0.0], [0.2, 0.0], [0.0, 0.5]],
        landmarks: vec![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
        ..scenario.empty()
    };
    let (mut environment, mut seen) = placed(scenario, false, world);
    // Agent 1: at rest, at (.2, 0), landmarks and then agents 0 and 2 from there, then silence.
    assert_eq!(
        seen[18..36],
        [
            0.0, 0.0, 0.2, 0.0, -0.2, 0.0, 0.8, 0.0, -0.2, 1.0, -0.2, 0.0, -0.2, 0.5, 0.0, 0.0,
            0.0, 0.0
        ]
    );
    let paid = step(
        &mut environment,
        JointAction::Discrete(&[0, 0, 4]),
        &mut seen,
    );
    assert!((paid.reward + 2.95).abs() < 1e-6, "{paid:?}");
    // Ten newtons apart for the first two, five up for the third: 1 and .5 m/s.
    let velocities = [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.5]];
    for (velocity, expected) in environment.world().velocities.iter().zip(velocities) {
        assert!(length_between(*velocity, expected) < 1e-9, "{velocity:?}");
    }
}

fn length_between(a: Vector, b: Vector) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The listener at the origin, goal 2 at (−1, 0): each agent is paid −1, and −(1.05)² = −1.1025
/// after a step at .5 m/s away from it.
#[test]
fn the_speaker_is_heard_and_the_listener_moves() {
    let scenario = Scenario::SpeakerListener;
    let (mut environment, mut seen) = placed(scenario, false, coloured(scenario, &[2]));
    assert_eq!(seen[..3], [0.15, 0.15, 0.65]);
    assert_eq!(
        seen[3..],
        [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0]
    );
    let paid = step(&mut environment, JointAction::Discrete(&[1, 2]), &mut seen);
    assert_eq!(paid.reward, -2.0);
    assert_eq!(seen[3..5], [0.5, 0.0]);
    assert_eq!(seen[11..], [0.0, 1.0, 0.0]);
    let paid = step(&mut environment, JointAction::Discrete(&[0, 0]), &mut seen);
    assert!((paid.reward + 2.205).abs() < 1e-6, "{paid:?}");
    assert_eq!(seen[11..], [1.0, 0.0, 0.0]);
    assert_eq!(environment.world().velocities[0], [0.0; 2]);
}

/// Agent 0 knows that agent 1 has to go to landmark 1, which is at a distance of 1 from the origin;
/// agent 1 that agent 0, at (0, −1), has to go to landmark 0: √2. Action 43 is push 3 and word 8.
#[test]
fn each_speaks_of_the_others_goal() {
    let scenario = Scenario::Reference;
    let mut world = coloured(scenario, &[1, 0]);
    world.positions[0] = [0.0, -1.0];
    let (mut environment, mut seen) = placed(scenario, false, world);
    assert_eq!(seen[8..11], [0.25, 0.75, 0.25]);
    assert_eq!(seen[21 + 8..21 + 11], [0.75, 0.25, 0.25]);
    let paid = step(&mut environment, JointAction::Discrete(&[43, 4]), &mut seen);
    assert!((f64::from(paid.reward) + 1.0 + 2_f64.sqrt()).abs() < 1e-6);
    // Agent 1 hears word 8 of agent 0, agent 0 word 0 of agent 1.
    let heard = |seen: &[f32]| seen.iter().position(|&word| word == 1.0);
    assert_eq!(heard(&seen[11..21]), Some(0));
    assert_eq!(heard(&seen[21 + 11..]), Some(8));
    assert_eq!(environment.world().velocities, [[0.0, -0.5], [0.0, 0.5]]);
}

/// Ours in [−1, 1] is the original's (x + 1)/2: left .25 and right 1 push with 5 · .75 newtons,
/// down .5 and up 0 with −5 · .5; the word −.5 is said at .25. Beyond the box is its edge.
#[test]
fn continuous_actions_push_by_their_differences() {
    let scenario = Scenario::SpeakerListener;
    let (mut environment, mut seen) = placed(scenario, true, coloured(scenario, &[0]));
    let actions = [-0.5, 1.0, -1.0, 0.7, -0.5, 1.0, 0.0, -1.0];
    step(
        &mut environment,
        JointAction::Continuous(&actions),
        &mut seen,
    );
    assert_eq!(environment.world().velocities[1], [0.375, -0.25]);
    assert_eq!(seen[11..], [0.25, 1.0, 0.0]);
    let mut beyond = [0.0; 8];
    beyond[5] = 9.0;
    step(
        &mut environment,
        JointAction::Continuous(&beyond),
        &mut seen,
    );
    // .75 · .375 + .1 · 5 · (1 − .5).
    assert!((environment.world().velocities[1][0] - 0.53125).abs() < 1e-12);
}

/// Coordinates are uniform in [−1, 1]: mean 0, variance 1/3, fourth moment 1/5; goals are uniform
/// over three. Five standard errors each.
#[test]
fn spawns_are_uniform() {
    for scenario in SCENARIOS {
        let mut environment = ParticleEnvironment::new(scenario, false);
        let mut seen = vec![0.0; environment.spec().joint_observation()];
        let mut stream = Stream::new(11, "spawn", 0);
        let (mut first, mut second, mut drawn) = (0.0, 0.0, 0.0);
        let mut goals = [0.0_f64; 3];
        let episodes = 5_000;
        for _ in 0..episodes {
            environment.reset(&mut stream, &mut seen);
            let world = environment.world();
            assert!(
                world
                    .velocities
                    .iter()
                    .all(|&velocity| velocity == [0.0; 2])
            );
            for &place in world.positions.iter().chain(&world.landmarks) {
                for x in place {
                    assert!((-1.0..1.0).contains(&x));
                    first += x;
                    second += x * x;
                    drawn += 1.0;
                }
            }
            // The goals of one episode are independent: count the pair's sum modulo 3 too.
            if !world.goals.is_empty() {
                goals[world.goals.iter().sum::<u32>() as usize % 3] += 1.0;
            }
        }
        assert!((first / drawn).abs() < 5.0 * (1.0_f64 / 3.0 / drawn).sqrt());
        let spread = (1.0_f64 / 5.0 - 1.0 / 9.0) / drawn;
        assert!((second / drawn - 1.0 / 3.0).abs() < 5.0 * spread.sqrt());
        if scenario.goals() > 0 {
            let expected = f64::from(episodes) / 3.0;
            let error = (expected * 2.0 / 3.0).sqrt();
            for count in goals {
                assert!((count - expected).abs() < 5.0 * error, "{goals:?}");
            }
        }
    }
}

/// Random joint actions of a team, as `step` takes them.
fn act(spec: &TeamSpec, stream: &mut Stream, discrete: &mut Vec<u32>, degrees: &mut Vec<f32>) {
    discrete.clear();
    degrees.clear();
    for agent in &spec.agents {
        match agent.actions {
            ActionSpace::Discrete(_) | ActionSpace::Product(_) => {
                discrete.push((stream.uniform() * agent.actions.size() as f64) as u32);
            }
            ActionSpace::Continuous(size) => {
                degrees.extend((0..size).map(|_| 2.0 * stream.uniform() as f32 - 1.0));
            }
        }
    }
}

/// What an episode from here on gives: observations, state and transitions, bit for bit.
fn rest(environment: &mut ParticleEnvironment, steps: usize) -> Vec<(Vec<u32>, Transition)> {
    let spec = environment.spec().clone();
    let mut stream = Stream::new(3, "rest", 0);
    let (mut discrete, mut degrees) = (Vec::new(), Vec::new());
    let mut seen = vec![0.0; spec.joint_observation()];
    let mut state = vec![f32::NAN; spec.state];
    let mut record = Vec::new();
    for _ in 0..steps {
        act(&spec, &mut stream, &mut discrete, &mut degrees);
        let action = if spec.is_continuous() {
            JointAction::Continuous(&degrees)
        } else {
            JointAction::Discrete(&discrete)
        };
        let transition = environment.step(action, &mut stream, &mut seen);
        environment.state(&mut state);
        let bits = seen.iter().chain(&state).map(|x| x.to_bits()).collect();
        record.push((bits, transition));
    }
    record
}

#[test]
fn a_restored_environment_goes_on_as_the_saved_one() {
    for scenario in SCENARIOS {
        for continuous in [false, true] {
            let mut one = ParticleEnvironment::new(scenario, continuous);
            let mut seen = vec![0.0; one.spec().joint_observation()];
            one.reset(&mut Stream::new(5, "reset", 0), &mut seen);
            rest(&mut one, 7);
            let saved = one.save();
            let mut other = ParticleEnvironment::new(scenario, continuous);
            other.restore(&saved).unwrap();
            let (expected, found) = (rest(&mut one, 18), rest(&mut other, 18));
            assert_eq!(expected, found);
            let ends: Vec<_> = found
                .iter()
                .map(|(_, end)| (end.terminated, end.truncated))
                .collect();
            assert_eq!(ends[16..], [(false, false), (false, true)]);
            // Neither a stump nor another scenario's state is taken, and nothing changes then.
            assert!(other.restore(&saved[..saved.len() - 1]).is_err());
            let mut third = ParticleEnvironment::new(Scenario::Spread { agents: 2 }, continuous);
            assert!(third.restore(&saved).is_err());
            assert_eq!(other.world(), one.world());
        }
    }
}

#[test]
fn names_stand_for_scenarios() {
    let agents = |name: &str| Task::find(name).unwrap().spec().agents.len();
    assert_eq!(agents("mpe-spread"), 3);
    assert_eq!(agents("mpe-spread-32-continuous"), 32);
    assert!(
        Task::find("mpe-reference-continuous")
            .unwrap()
            .spec()
            .is_continuous()
    );
    for (name, expected) in [
        ("mpe-spread-0", "found `0` agents, expected 1 to 32"),
        ("mpe-spread-03", "in plain digits"),
        ("mpe-spread-33-continuous", "found `33` agents"),
        (
            "mpe-sprea",
            "unknown task `mpe-sprea` (did you mean `mpe-spread`?)",
        ),
        ("mpe-spread-3.toml", "no such file"),
    ] {
        let message = Task::find(name).unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

/// Mean return of `episodes` episodes and its standard error.
fn mean_return(
    scenario: Scenario,
    episodes: usize,
    mut policy: impl FnMut(&World, &mut Stream) -> Vec<u32>,
) -> (f64, f64) {
    let mut environment = ParticleEnvironment::new(scenario, false);
    let mut seen = vec![0.0; environment.spec().joint_observation()];
    let mut stream = Stream::new(7, "returns", 0);
    let (mut sum, mut squares) = (0.0, 0.0);
    for _ in 0..episodes {
        environment.reset(&mut stream, &mut seen);
        let mut earned = 0.0;
        for _ in 0..CYCLES {
            let actions = policy(environment.world(), &mut stream);
            let action = JointAction::Discrete(&actions);
            earned += f64::from(environment.step(action, &mut stream, &mut seen).reward);
        }
        sum += earned;
        squares += earned * earned;
    }
    let (count, mean) = (episodes as f64, sum / episodes as f64);
    (mean, ((squares / count - mean * mean) / count).sqrt())
}

/// The returns in docs/tasks.md. Uniform play of the originals, 300 episodes each, summed over
/// agents, earned −81.7 ± 1.5, −79.3 ± 3.9 and −58.0 ± 1.1 (standard errors): ours agrees within
/// four of them.
#[test]
fn uniform_play_earns_what_it_does_in_the_originals() {
    for (scenario, expected, error) in [
        (Scenario::Spread { agents: 3 }, -81.7, 1.5),
        (Scenario::SpeakerListener, -79.3, 3.9),
        (Scenario::Reference, -58.0, 1.1),
    ] {
        let spec = ParticleEnvironment::new(scenario, false).spec().clone();
        let (mean, own) = mean_return(scenario, 5_000, |_, stream| {
            let sizes = spec.agents.iter().map(|agent| agent.actions.size());
            sizes
                .map(|size| (stream.uniform() * size as f64) as u32)
                .collect()
        });
        println!("{scenario:?}: {mean:.2} ± {own:.2}");
        let limit = 4.0 * f64::hypot(error, own);
        assert!((mean - expected).abs() < limit, "{scenario:?}: {mean}");
    }
}
