use super::*;
use crate::env::builtin::RANDOM_FAMILIES;
use crate::env::{AgentSpec, Environment, JointAction, TeamSpec, Transition};
use crate::rng::Stream;

/// Every task that can be named, with a random game of each family.
fn tasks() -> Vec<Task> {
    let random = RANDOM_FAMILIES
        .iter()
        .map(|family| format!("{}-3", family.name));
    let random = random.map(|name| Task::find(&name).unwrap());
    Task::all_builtin().into_iter().chain(random).collect()
}

/// What one environment does under random play: observations, actions, transitions.
fn play(task: &Task, seed: u64, episodes: usize) -> Vec<(Vec<f32>, Vec<u32>, f32)> {
    let spec = task.spec();
    let mut environment = task.make_environment();
    let mut stream = Stream::new(seed, "play", 0);
    let mut record = Vec::new();
    for _ in 0..episodes {
        let mut observations = vec![f32::NAN; spec.joint_observation()];
        environment.reset(&mut stream, &mut observations);
        for step in 1..=spec.horizon {
            let actions: Vec<u32> = spec
                .agents
                .iter()
                .map(|agent| (stream.uniform() * agent.actions.size() as f64) as u32)
                .collect();
            let before = observations.clone();
            let degrees = vec![stream.uniform() as f32; spec.joint_actions()];
            let action = if spec.is_continuous() {
                JointAction::Continuous(&degrees)
            } else {
                JointAction::Discrete(&actions)
            };
            let transition = environment.step(action, &mut stream, &mut observations);
            record.push((before, actions, transition.reward));
            if transition.terminated || transition.truncated {
                break;
            }
            assert!(
                step < spec.horizon,
                "{}: an episode outlasts its horizon",
                task.name()
            );
        }
    }
    record
}

#[test]
fn every_task_keeps_the_contract_of_an_environment() {
    for task in tasks() {
        let spec = task.spec();
        assert_eq!(task.make_environment().spec(), &spec);
        assert!(!spec.agents.is_empty() && spec.horizon > 0);
        assert!(
            spec.agents
                .iter()
                .all(|agent| agent.observation > 0 && agent.actions.size() > 0)
        );
        assert!(!task.description().is_empty() && task.description().len() < 90);
        assert_eq!(Task::find(task.name()).unwrap().name(), task.name());

        let record = play(&task, 1, 50);
        assert_eq!(
            record,
            play(&task, 1, 50),
            "{}: same seed, same play",
            task.name()
        );
        assert_ne!(
            record,
            play(&task, 2, 50),
            "{}: the seed is ignored",
            task.name()
        );
    }
}

#[test]
fn games_show_one_hot_observations_and_pay_their_table() {
    for task in tasks() {
        let Some(game) = task.game() else { continue };
        let (episodes, joint) = (5_000, game.observations().count());
        let mut drawn = vec![0_u32; joint];
        let record = play(&task, 1, episodes);
        assert_eq!(record.len(), episodes, "one step an episode");
        for (observations, actions, reward) in record {
            let mut rest = &observations[..];
            let mut seen = Vec::new();
            for &size in game.observations().sizes() {
                let (vector, others) = rest.split_at(size);
                seen.push(vector.iter().position(|&value| value == 1.0).unwrap());
                assert_eq!(vector.iter().sum::<f32>(), 1.0);
                assert!(vector.iter().all(|&value| value == 0.0 || value == 1.0));
                rest = others;
            }
            let o = game.observations().join(seen);
            let a = game
                .actions()
                .join(actions.iter().map(|&action| action as usize));
            assert_eq!(reward, game.payoff(o, a) as f32);
            drawn[o] += 1;
        }
        for (&count, &p) in drawn.iter().zip(game.probability()) {
            // Five standard deviations of a binomial count.
            let mean = p * episodes as f64;
            let limit = 5.0 * (mean * (1.0 - p)).sqrt() + 1e-9;
            assert!(
                (f64::from(count) - mean).abs() <= limit,
                "{}: {drawn:?}",
                task.name()
            );
        }
    }
}

#[test]
#[should_panic(expected = "a reset before every step")]
fn a_second_step_needs_a_reset() {
    let mut environment = Task::find("assurance").unwrap().make_environment();
    let (mut stream, mut observations) = (Stream::new(0, "play", 0), [0.0; 2]);
    environment.reset(&mut stream, &mut observations);
    environment.step(
        JointAction::Discrete(&[0, 1]),
        &mut stream,
        &mut observations,
    );
    environment.step(
        JointAction::Discrete(&[0, 1]),
        &mut stream,
        &mut observations,
    );
}

#[test]
fn optima_are_known_where_they_are_cheap() {
    assert_eq!(Task::find("xor-safe").unwrap().optimum(), Some(3.0));
    let joint = vec![1.0 / 4096.0; 4096];
    let mut stream = Stream::new(0, "test", 0);
    let hard = Game::from_fn("hard", &[2; 3], &[16; 3], joint, |_, _| stream.normal());
    assert_eq!(Task::from_game(hard.unwrap()).unwrap().optimum(), None);
}

#[test]
fn names_that_are_none_say_what_would_be() {
    let message = |name| Task::find(name).unwrap_err().to_string();
    let cases = [
        (
            "climbin",
            "unknown task `climbin` (did you mean `climbing`?); expected one of assu",
        ),
        ("tiger", "unknown task `tiger`; expected"),
        ("tiger", "random-heavy-<seed>, random-normal-<seed>"),
        (
            "random-heavy",
            "`random-heavy-` and a whole number in plain digits, as in `random-heavy-7`",
        ),
        (
            "random-normal-x",
            "task `random-normal-x`: expected `random-normal-`",
        ),
        ("random-normal--1", "task `random-normal--1`"),
        ("random-heavy-007", "a whole number in plain digits"),
        ("random-heavy-+7", "a whole number in plain digits"),
        ("random-heavyweight", "unknown task `random-heavyweight`"),
        ("absent.toml", "absent.toml: no such file"),
        ("absent/game", "no such file"),
        (".", "found a directory"),
    ];
    for (name, expected) in cases {
        let message = message(name);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn a_path_is_read_as_a_game() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    std::fs::write(
        &path,
        "name = 'mine'\nactions = [2, 2]\npayoff = [[0, -5], [-5, 9]]",
    )
    .unwrap();
    let task = Task::find(path.to_str().unwrap()).unwrap();
    assert_eq!((task.name(), task.optimum()), ("mine", Some(9.0)));
    assert_eq!(task.own_game(), task.game().map(AsRef::as_ref));
    assert_eq!(Task::find("random-heavy-7").unwrap().own_game(), None);
}

#[test]
fn no_game_of_ones_own_goes_by_anothers_name() {
    let named = |name| Game::from_fn(name, &[2], &[1], vec![1.0], |_, a| a[0] as f64).unwrap();
    for name in [
        "climbing",
        "random-heavy",
        "random-normal-7",
        "random-normal-x",
    ] {
        let message = Task::from_game(named(name)).unwrap_err().to_string();
        assert!(message.contains("expected a name of its own"), "{message}");
    }
    for name in ["climbing-2", "random-heavyweight", "climbing.toml"] {
        assert_eq!(Task::from_game(named(name)).unwrap().name(), name);
    }
}

/// An environment that ends at once, of a team as it is told.
struct Nothing(TeamSpec);

impl Environment for Nothing {
    fn spec(&self) -> &TeamSpec {
        &self.0
    }

    fn reset(&mut self, _: &mut Stream, _: &mut [f32]) {}

    fn step(&mut self, _: JointAction<'_>, _: &mut Stream, _: &mut [f32]) -> Transition {
        Transition {
            reward: 0.0,
            terminated: true,
            truncated: false,
        }
    }

    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), postcard::Error> {
        Ok(())
    }
}

#[test]
fn a_team_of_ones_own_has_agents_and_steps() {
    let agent = AgentSpec::discrete(1, 2);
    let task = |agents: &[AgentSpec], horizon| {
        let spec = TeamSpec::new(agents.to_vec(), horizon);
        Task::from_simulation(Simulation::new("nothing", "nothing", move || {
            Nothing(spec.clone())
        }))
    };
    assert!(task(std::slice::from_ref(&agent), 1).is_ok());
    let message = task(&[], 12).unwrap_err().to_string();
    assert_eq!(
        message,
        "task `nothing`: found a team of 0 agents and episodes of 12 steps, expected at least one of each"
    );
    let message = task(&[agent], 0).unwrap_err().to_string();
    assert!(message.contains("episodes of 0 steps"), "{message}");
}
