//! Learners on one-shot games, for tests: trained and valued exactly.

use std::sync::Arc;

use candle_core::Device;

use super::{Algorithm, ArmKind, UpdateConfig, set_values};
use crate::env::Task;
use crate::eval::{Enumeration, Values};
use crate::net::{NetworkConfig, Normalisation};
use crate::rng::Stream;
use crate::rollout::Runner;

/// Batches of 64 episodes of `task`, two replicas; what the policies are worth after them.
pub(crate) fn learn(kind: &ArmKind, task: &Task, updates: usize) -> Vec<Values> {
    let network = NetworkConfig {
        output_spread: 0.0,
        ..NetworkConfig::default()
    };
    learn_from(kind, task, &network, updates, |_| {})
}

/// The same from marginals that `prepare` has set.
pub(crate) fn learn_from(
    kind: &ArmKind,
    task: &Task,
    network: &NetworkConfig,
    updates: usize,
    prepare: impl FnOnce(&dyn Algorithm),
) -> Vec<Values> {
    let (spec, update, seeds) = (task.spec(), UpdateConfig::default(), [1, 2]);
    let mut learner = kind
        .make(&spec, network, &update, &seeds, &Device::Cpu)
        .unwrap();
    prepare(learner.as_ref());
    let tasks = vec![task.clone(); seeds.len()];
    let streams = seeds.iter().map(|&seed| Stream::new(seed, "test", 0));
    let mut runner = Runner::new(&tasks, 64, streams.collect(), Normalisation::default());
    if learner.asks_common_knowledge() {
        runner = runner.with_common_knowledge();
    }
    for done in 0..updates {
        let batch = runner.collect(1, |seen| learner.act(seen)).unwrap();
        let time = done as f64 / updates as f64;
        let metrics = learner.update(&batch, time).unwrap();
        assert!(metrics.iter().all(|m| m.product_entropy.is_finite()));
    }
    let games = tasks.iter().map(|task| Arc::clone(task.game().unwrap()));
    let enumeration = Enumeration::new(games.collect()).unwrap();
    enumeration.values(&runner, learner.as_ref()).unwrap()
}

/// Networks without hidden layers, whose every agent prefers action 0 of two with probability
/// `first`, whatever it sees.
pub(crate) fn prefer(first: f64) -> impl FnOnce(&dyn Algorithm) {
    move |learner| {
        let logit = (first / (1.0 - first)).ln() as f32;
        let [weight, bias] = &learner.marginals().variables()[..] else {
            panic!("one layer has a weight and a bias");
        };
        let biases = [logit, 0.0].repeat(bias.elem_count() / 2);
        let weights = vec![0.0; weight.elem_count()];
        set_values(&[weight.clone(), bias.clone()], &[weights, biases]).unwrap();
    }
}
