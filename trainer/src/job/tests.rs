//! What the trainer thinks that a team is worth is what its images earn.

use std::time::Duration;

use candle_core::Device;
use consort_runtime::Head;

use super::*;
use crate::config::ArmName;
use crate::export;
use crate::train::{NoStore, train};

/// Each side's, of each policy.
const EPISODES: usize = 2000;

/// The defaults of the task's kind in one annealed arm, with few steps.
fn config(task: &Task, steps: u64) -> Config {
    let mut config = Config {
        steps,
        batch: 16,
        ..Config::for_kind(task.kind())
    };
    config.portfolio.arms = vec![ArmName::Annealed];
    config
}

/// A team with memory, one of Gaussian policies whose observations are normalised, and one that shares its
/// networks and is at times forbidden something: after a short run
/// the trainer's networks and the exported images play other episodes of the same task, by their most
/// probable actions and by their dice. The difference of two independent means has the variance
/// (σ₁² + σ₂²)/n, with σ₁ ≈ σ₂ taken from the images; four deviations are exceeded by chance once in 16,000.
#[test]
fn images_earn_what_the_trainer_says_of_its_product() {
    let memory = Task::find("dec-tiger-h4").unwrap();
    let mut remembers = config(&memory, 60_000);
    remembers.normalise_observations = false;
    assert!(remembers.network.memory > 0);
    let vectors = Task::find("mpe-spread-continuous").unwrap();
    let mut moves = config(&vectors, 40_000);
    moves.normalise_observations = true;
    moves.network.memory = 8;
    let masked = Task::find("lbf-8x8-2p-3f-masked").unwrap();
    let forages = config(&masked, 40_000);
    assert!(masked.spec().masked && forages.network.share);
    for (task, config) in [(memory, remembers), (vectors, moves), (masked, forages)] {
        let tasks = [task];
        let [task] = &tasks;
        let (spec, arms) = (task.spec(), config.arms());
        let job = Job::new(&arms[0], &[Lane { run: 0, arm: 0 }], &tasks, &[3]);
        let training = Training {
            config: &config,
            device: &Device::Cpu,
            threads: 1,
            progress: &|_| (),
            store: &NoStore,
            keep_every: Duration::MAX,
        };
        let trained = job.train(config.budget(&spec).updates, &training).unwrap();
        let (learner, _) = job.take_up("nothing", &training).unwrap();
        let player = Player::new(&tasks, &spec, EPISODES);
        let valued = player.values(&learner.runner, learner.algorithm.as_ref(), &[5], 0);
        let valued = valued.unwrap()[0].0.unwrap();

        let networks = &trained[0].1.latest(0).snapshot.marginals;
        let team = export::actors(networks).unwrap();
        let continuous = spec.is_continuous();
        for image in team.images() {
            let head = image.view().head();
            assert_eq!(
                matches!(head, Head::Gaussian { .. }),
                continuous,
                "{head:?}"
            );
        }
        for choice in [Choice::Greedy, Choice::Sampled] {
            let played = team.play(task, EPISODES, 7, choice).unwrap();
            let deviation = (2.0 * played.variance.unwrap() / EPISODES as f64).sqrt();
            let difference = played.mean - valued.of(choice);
            let what = format!("{}, {choice:?}: {difference} ({deviation})", task.name());
            assert!(deviation > 0.0, "{what}");
            assert!(difference.abs() < 4.0 * deviation, "{what}");
        }
    }
}

/// With steps that no float survives a run of one arm ends at the first record; one of two goes on with the other.
#[test]
fn a_run_that_diverges_ends_where_it_does() {
    let task = Task::find("lbf-8x8-2p-2f-coop").unwrap();
    let mut config = config(&task, 1_000_000);
    config.portfolio.arms = vec![ArmName::ExploreMild];
    config.portfolio.explore_mild.learning_rate = 1e38;
    let taken = std::sync::atomic::AtomicU64::new(0);
    let count = |steps| {
        taken.fetch_add(steps, std::sync::atomic::Ordering::Relaxed);
    };
    let tasks = [task];
    let error = train(&config, &tasks, &[0], &Device::Cpu, 1, &count).unwrap_err();
    assert!(error.to_string().contains("diverged"), "{error}");
    let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
    // A hundredth, in whole batches of 16 episodes of at most 50 steps.
    assert!(taken < 10_800, "{taken}");

    config.portfolio.arms.push(ArmName::Factored);
    config.steps = 120_000;
    for race in [0.0, 0.3] {
        config.portfolio.race = race;
        let runs = train(&config, &tasks, &[0], &Device::Cpu, 1, &count).unwrap();
        assert_eq!(runs[0].selection.chosen, 1, "race {race}");
    }
}
