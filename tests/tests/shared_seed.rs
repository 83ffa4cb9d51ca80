//! A team that shares a seed, from training to its images: against an adversary it is certain of 1/2,
//! and agents that act apart of no more than 1/4.

use consort_runtime::{Moment, SharedSeed};
use consort_tests::{committed_teams, config, run};
use consort_trainer::config::{Config, Method, SharedSeedConfig};
use consort_trainer::export::actors_for;
use consort_trainer::team::{Actors, Choice, Team};
use serde_json::Value;

/// What the images of a run of `config` on `evade` are certain of, drawing or greedily.
fn certain(config: &Config, choice: Choice) -> f64 {
    let config = Config {
        task: "evade".to_owned(),
        ..config.clone()
    };
    let task = config.task().unwrap();
    let outcome = &run(&config, &task, &[0])[0];
    let team: Actors = actors_for(&outcome.best().marginals, task.seeding()).unwrap();
    let exact = team.exact_value(&task, choice).unwrap();
    exact.expect("a value that is summed up")
}

#[test]
fn a_seed_that_the_adversary_does_not_see_is_worth_a_quarter() {
    let mut shared = config(Method::Annealed, 400_000);
    shared.shared_seed = SharedSeedConfig {
        symbols: 2,
        ..SharedSeedConfig::default()
    };
    let mut alone = config(Method::Factored, 200_000);
    alone.factored.learning_rate = 0.02;
    alone.rollout = 64;
    alone.update.final_rate = 0.0;
    // Both agents do what the symbol says: greedily that is exactly half of the time each.
    assert_eq!(certain(&shared, Choice::Greedy), 0.5);
    // No product is certain of more than 1/4 (docs/tasks.md); this one is nearly.
    let alone_drawn = certain(&alone, Choice::Sampled);
    assert!((0.2..=0.25).contains(&alone_drawn), "{alone_drawn}");
    // Always at the same place, it is found.
    assert_eq!(certain(&alone, Choice::Greedy), 0.0);
}

/// The committed team: certain of 1/2, and the symbols of its golden sequences are those that a device
/// derives from key, episode and tick.
#[test]
fn the_committed_team_agrees_without_a_word() {
    let folder = committed_teams()
        .into_iter()
        .find(|path| path.ends_with("evade-shared"));
    let team = Team::load(&folder.expect("a team for evade")).unwrap();
    let exact = team.actors.exact_value(&team.task, Choice::Greedy).unwrap();
    assert_eq!((exact, team.task.optimum()), (Some(0.5), Some(0.5)));
    let seeding = team.task.seeding().unwrap();
    for (agent, image) in team.actors.images().iter().enumerate() {
        assert_eq!(image.view().seeding(), Some(seeding));
        let path = team.folder.join(format!("agent-{agent}.golden.json"));
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let digits = golden["shared_seed"]["key"].as_str().unwrap();
        let byte = |index: usize| u8::from_str_radix(&digits[2 * index..2 * index + 2], 16);
        let seed = SharedSeed::new(std::array::from_fn(|index| byte(index).unwrap()));
        let steps = golden["steps"].as_array().unwrap();
        assert!(steps.len() >= 300);
        for step in steps {
            let number = |index: usize| step["moment"][index].as_u64().unwrap();
            let moment = Moment::new(number(0), number(1) as u32);
            let index = seed.draw(seeding, moment).index();
            assert_eq!(step["symbol"], index);
            let one = u64::from(1.0_f32.to_bits());
            assert_eq!(step["observation"][1 + index], one);
        }
        let actions: Vec<_> = steps.iter().map(|step| &step["action"]).collect();
        assert!(actions.contains(&&Value::from(0)) && actions.contains(&&Value::from(1)));
    }
}
