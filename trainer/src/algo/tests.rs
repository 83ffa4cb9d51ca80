//! What every learner owes, whatever its loss: on teams with memory, masks, mixed and shared
//! networks, with episodes that end either way in the middle of a batch.

use candle_core::Device;

use super::anneal::{AnnealConfig, Variant};
use super::*;
use crate::env::{ActionSpace, Task};
use crate::net::{NetworkConfig, Normalisation};
use crate::rng::Stream;
use crate::rollout::Runner;
use crate::rollout::testing::Signs;

fn kinds() -> Vec<(&'static str, ArmKind)> {
    let factored = FactoredConfig::default;
    vec![
        (
            "annealed",
            ArmKind::Annealed(Variant::Annealed, AnnealConfig::default()),
        ),
        ("factored", ArmKind::Factored(factored())),
        ("ippo", ArmKind::Ppo(View::Local, factored())),
        ("mappo", ArmKind::Ppo(View::Central, factored())),
        (
            "coma",
            ArmKind::Coma(ComaConfig {
                critic_epochs: 2,
                target_interval: 3,
                ..ComaConfig::default()
            }),
        ),
        ("magpo", ArmKind::Magpo(MagpoConfig::default())),
        ("mackrl", ArmKind::Mackrl(factored())),
    ]
}

fn cases() -> Vec<(&'static str, Task, NetworkConfig)> {
    let network = |memory, share| NetworkConfig {
        hidden: vec![7],
        memory,
        share,
        ..NetworkConfig::default()
    };
    let pair = || Signs::new(&[(3, ActionSpace::Discrete(3)); 2], 4);
    vec![
        ("no memory", pair().task(), network(0, false)),
        (
            "masked, shared, with a state",
            pair().masked().with_state().ending(0.2).task(),
            network(5, true),
        ),
        (
            "mixed, masked, shared",
            Signs::mixed(5).masked().ending(0.2).task(),
            network(4, true),
        ),
        (
            "mixed, apart",
            Signs::mixed(3).masked().task(),
            network(4, false),
        ),
        (
            "three agents",
            Signs::new(&[(2, ActionSpace::Discrete(3)); 3], 3).task(),
            network(4, true),
        ),
    ]
}

/// A learner of these seeds and its environments, three sequences each.
fn set_up(
    kind: &ArmKind,
    task: &Task,
    network: &NetworkConfig,
    seeds: &[u64],
) -> (Box<dyn Algorithm>, Runner) {
    let update = UpdateConfig {
        minibatches: 2,
        discount: 0.97,
        ..UpdateConfig::clipped()
    };
    let spec = task.spec();
    let learner = kind.make(&spec, network, &update, seeds, &Device::Cpu);
    let learner = learner.unwrap();
    let tasks = vec![task.clone(); seeds.len()];
    let streams = seeds.iter().map(|&seed| Stream::new(seed, "test", 0));
    let mut runner = Runner::new(&tasks, 3, streams.collect(), Normalisation::default());
    if learner.asks_common_knowledge() {
        runner = runner.with_common_knowledge();
    }
    (learner, runner)
}

fn step(learner: &mut Box<dyn Algorithm>, runner: &mut Runner, time: f64) -> Vec<Metrics> {
    let batch = runner.collect(5, |seen| learner.act(seen)).unwrap();
    learner.update(&batch, time).unwrap()
}

#[test]
fn what_was_saved_goes_on_bit_for_bit() {
    for (name, kind) in kinds() {
        for (case, task, network) in cases() {
            let (mut learner, mut runner) = set_up(&kind, &task, &network, &[5, 6]);
            for update in 0..6 {
                let time = f64::from(update) / 6.0;
                // Another learner, and other environments, take over.
                let (mut other, mut others) = set_up(&kind, &task, &network, &[5, 6]);
                other.restore(&learner.save().unwrap()).unwrap();
                others.restore(runner.save()).unwrap();
                let one = step(&mut learner, &mut runner, time);
                let same = one == step(&mut other, &mut others, time)
                    && learner.save().unwrap() == other.save().unwrap();
                assert!(same, "{name}, {case}, {update}");
                let finite = |m: &Metrics| m.product_entropy.is_finite() && m.beta.is_finite();
                assert!(one.iter().all(finite), "{name}, {case}: {one:?}");
            }
        }
    }
}

#[test]
fn a_replica_learns_alone_as_beside_another() {
    for (name, kind) in kinds() {
        for (case, task, network) in cases() {
            let learn = |seeds: &[u64]| {
                let (mut learner, mut runner) = set_up(&kind, &task, &network, seeds);
                let metrics: Vec<Metrics> = (0..5)
                    .map(|update| step(&mut learner, &mut runner, f64::from(update) / 5.0)[0])
                    .collect();
                (metrics, learner.marginals().weights(0, 1).unwrap())
            };
            assert!(learn(&[1]) == learn(&[1, 2]), "{name}, {case}");
        }
    }
}

/// Before anything is learned from a batch, its actions are as likely as they were when acting: every
/// ratio is 1, and one step a batch is the same under a clip of a fifth as under one of next to
/// nothing. (A guider's other bounds, and a learner that did not act, are left out.)
#[test]
fn acting_and_learning_find_the_same_probabilities() {
    for (name, mut kind) in kinds() {
        if let ArmKind::Magpo(config) = &mut kind {
            (config.ratio, config.auxiliary) = (1e9, 0.0);
        }
        for (case, task, network) in cases() {
            let learn = |clip| {
                let update = UpdateConfig {
                    clip,
                    epochs: 1,
                    ..UpdateConfig::clipped()
                };
                let (_, mut runner) = set_up(&kind, &task, &network, &[7]);
                let learner = kind.make(&task.spec(), &network, &update, &[7], &Device::Cpu);
                let mut learner = learner.unwrap();
                for update in 0..4 {
                    step(&mut learner, &mut runner, f64::from(update) / 4.0);
                }
                learner.marginals().weights(0, 1).unwrap()
            };
            assert!(learn(0.2) == learn(1e-4), "{name}, {case}");
        }
    }
}
