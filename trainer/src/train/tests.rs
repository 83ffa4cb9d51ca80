use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::algo::maddpg::MaddpgConfig;
use crate::algo::value::ValueConfig;
use crate::config::{ArmName, Method};
use crate::env::{ActionSpace, TaskKind};
use crate::net::joint::{HeadChoice, Order, Sees};
use crate::rollout::testing::Signs;

/// Holds states in memory, and breaks down when it has kept as many as it may.
#[derive(Default)]
struct Fragile {
    kept: Mutex<HashMap<String, Vec<u8>>>,
    left: AtomicU64,
}

impl Store for Fragile {
    fn load(&self, name: &str) -> Option<Vec<u8>> {
        self.kept.lock().unwrap().get(name).cloned()
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(candle_core::Error::msg("the power is gone"));
        }
        self.left.store(left - 1, Ordering::SeqCst);
        let mut kept = self.kept.lock().unwrap();
        kept.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
}

/// Small networks and few steps, in two arms of which one goes on.
fn config(steps: u64) -> Config {
    let mut config = Config::for_kind(TaskKind::TimeLimit);
    config.steps = steps;
    config.batch = 4;
    config.network.hidden = vec![6];
    config.network.memory = 5;
    config.update.epochs = 2;
    config.update.minibatches = 2;
    config.normalise_observations = true;
    config.portfolio.arms = vec![ArmName::Annealed, ArmName::ExploreMild];
    config
}

fn cases() -> Vec<(&'static str, Config, Signs)> {
    let own = config(9000);
    let mut enumerated = own.clone();
    enumerated.network.joint.head = HeadChoice::Enumerated;
    let mut all = own.clone();
    all.network.joint.sees = Sees::JointHistory;
    all.network.joint.head = HeadChoice::Autoregressive;
    let mut autoregressive = own.clone();
    autoregressive.network.joint.head = HeadChoice::Autoregressive;
    autoregressive.network.joint.order = Order::Shuffled;
    autoregressive.portfolio.finalists = 2;
    let pair = Signs::new(&[(2, ActionSpace::Discrete(3)); 2], 4);
    let spec = pair.clone().task().spec();
    assert!(enumerated.network.joint.enumerates(&spec));
    assert!(own.network.joint.sees_own(&spec) && !own.network.joint.enumerates(&spec));
    vec![
        ("enumerated", enumerated, pair.clone().masked()),
        ("own histories", own.clone(), pair.clone().masked()),
        ("all histories", all, pair),
        (
            "autoregressive",
            autoregressive,
            Signs::mixed(4).ending(0.2),
        ),
        ("vectors", own, Signs::vectors(4).with_state()),
    ]
}

fn training<'a>(
    config: &'a Config,
    threads: usize,
    progress: &'a (dyn Fn(u64) + Sync),
    store: &'a dyn Store,
) -> Training<'a> {
    Training {
        keep_every: Duration::ZERO,
        config,
        device: &Device::Cpu,
        threads,
        progress,
        store,
    }
}

/// Learners that remember episodes, from every rule.
fn off_policy_cases() -> Vec<(&'static str, Config, Signs)> {
    let of = |method| {
        let mut config = config(4200);
        config.method = method;
        let (mut value, mut maddpg) = (ValueConfig::default(), MaddpgConfig::default());
        for settings in [&mut value.off_policy, &mut maddpg.off_policy] {
            settings.replay.episodes = 6;
            settings.replay.steps = 400;
            settings.target.interval = 7;
        }
        (config.value, config.maddpg) = (Some(value), Some(maddpg));
        config
    };
    vec![
        (
            "qmix",
            of(Method::Qmix),
            Signs::mixed(4).masked().with_state(),
        ),
        ("qtran", of(Method::Qtran), Signs::mixed(4).ending(0.2)),
        ("maddpg", of(Method::Maddpg), Signs::vectors(4).with_state()),
        (
            "maddpg, discrete",
            of(Method::Maddpg),
            Signs::mixed(4).masked(),
        ),
    ]
}

#[test]
fn a_run_that_is_interrupted_everywhere_ends_as_if_it_had_not_been() {
    for (name, config, signs) in [cases(), off_policy_cases()].concat() {
        let tasks = [signs.task()];
        let whole = training(&config, 1, &|_| (), &NoStore).run(&tasks, &[4]);
        let whole = whole.unwrap();
        let on_two = training(&config, 2, &|_| (), &NoStore).run(&tasks, &[4]);
        assert!(whole == on_two.unwrap(), "{name}, on two threads");

        let store = Fragile::default();
        let (mut interruptions, mut result) = (0, None);
        while result.is_none() {
            store.left.store(23, Ordering::SeqCst);
            let told = AtomicU64::new(0);
            let tell = |steps| {
                told.fetch_add(steps, Ordering::Relaxed);
            };
            match training(&config, 1, &tell, &store).run(&tasks, &[4]) {
                Ok(outcomes) => result = Some((outcomes, told.into_inner())),
                Err(error) => assert!(error.to_string().contains("power"), "{error}"),
            }
            interruptions += 1;
        }
        let (resumed, told) = result.unwrap();
        assert!(interruptions > 8, "{name}: {interruptions}");
        assert!(whole == resumed, "{name}");
        assert_eq!(told, whole[0].env_steps(), "{name}");
    }
}

/// Every step that any environment takes, for training, curves or selection, is counted, and all of
/// them together stay within what was asked for, wherever the steps are spent.
#[test]
fn every_step_counts_and_none_is_taken_beyond_the_budget() {
    for race in [0.0, 0.3, 0.6] {
        for (name, mut config, signs) in cases() {
            for signs in [signs.clone().ending(0.0), signs.clone().ending(0.3), signs] {
                config.portfolio.race = race;
                config.portfolio.finalists = 1;
                config.portfolio.arms = vec![ArmName::ExploreMild; 3];
                let (taken, before) = (signs.taken.clone(), signs.taken.load(Ordering::Relaxed));
                let outcomes = training(&config, 1, &|_| (), &NoStore).run(&[signs.task()], &[0]);
                let outcome = &outcomes.unwrap()[0];
                let counted = outcome.env_steps();
                let all = taken.load(Ordering::Relaxed) - before;
                assert_eq!(all, counted, "{name}, {race}");
                assert!(counted <= config.steps, "{name}, {race}: {counted}");
                assert!(counted > config.steps / 3, "{name}, {race}: {counted}");
            }
        }
    }
}

#[test]
fn of_arms_that_earn_alike_one_without_a_joint_policy_goes_on() {
    let names = [
        ArmName::Annealed,
        ArmName::ExploreMild,
        ArmName::ExploreStrong,
    ];
    assert_eq!(winner(&[0.2, 0.1, 0.1], &names), 0);
    assert_eq!(winner(&[0.0, 0.0, 0.0], &names), 1);
    assert_eq!(winner(&[0.0, 0.0, 0.1], &names), 2);
    assert_eq!(winner(&[0.1, 0.1, 0.2], &names), 2);
    assert_eq!(winner(&[f64::NEG_INFINITY; 3], &names), 1);
}

#[test]
fn one_shot_arms_race_too() {
    let mut config = Config {
        steps: 20_000,
        ..Config::default()
    };
    config.portfolio.race = 0.3;
    config.portfolio.arms.truncate(6);
    let tasks = vec![Task::find("climbing").unwrap(); 2];
    let outcomes = training(&config, 1, &|_| (), &NoStore).run(&tasks, &[0, 1]);
    for outcome in outcomes.unwrap() {
        assert!((15_000..=20_000).contains(&outcome.env_steps()));
    }
}

/// One-shot games are learned side by side: what a run remembers and learns is its own.
#[test]
fn off_policy_runs_are_the_same_alone_and_beside_others() {
    for method in [Method::Iql, Method::Qmix, Method::Qtran, Method::Maddpg] {
        let config = Config {
            method,
            steps: 1600,
            ..Config::default()
        };
        let tasks = vec![Task::find("climbing-private").unwrap(); 3];
        let run = |seeds: &[u64]| {
            let training = training(&config, 1, &|_| (), &NoStore);
            training.run(&tasks[..seeds.len()], seeds).unwrap()
        };
        let (beside, alone) = (run(&[5, 6, 7]), run(&[6]));
        assert!(beside[1] == alone[0], "{method}");
        assert!(beside[0].arms[0].marginals != beside[1].arms[0].marginals);
    }
}

/// What a trace is for is tested where returns are made; here, that every learner with values asks for them.
#[test]
fn every_learner_with_values_learns_from_traces() {
    for method in [Method::Iql, Method::Vdn, Method::Qmix, Method::Qtran] {
        let learned = |trace| {
            let mut config = config(4200);
            let mut value = ValueConfig {
                trace,
                ..ValueConfig::default()
            };
            value.off_policy.replay.episodes = 6;
            (config.method, config.value) = (method, Some(value));
            let tasks = [Signs::mixed(4).task()];
            let outcomes = training(&config, 1, &|_| (), &NoStore).run(&tasks, &[4]);
            outcomes.unwrap()[0].arms[0].marginals.clone()
        };
        assert!(learned(0.0) == learned(0.0), "{method}");
        assert!(learned(0.0) != learned(0.6), "{method}");
    }
}
