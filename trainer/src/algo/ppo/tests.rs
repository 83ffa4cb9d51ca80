use candle_core::{Device, Tensor};

use super::*;
use crate::algo::common::Packed;
use crate::algo::factored::{self, FactoredConfig};
use crate::algo::testing::learn;
use crate::algo::{ArmKind, UpdateConfig, set_values};
use crate::env::Task;
use crate::net::{Choices, MarginalOutput, Marginals, NetworkConfig, Rows};
use crate::rng::Stream;
use crate::rollout::Batch;
use crate::target::{Baseline, Targets};

/// Two episodes of assurance that paid 10 and −5. When they were played each agent's actions had
/// probability ½.
fn batch() -> Batch {
    let half = 0.5_f32.ln();
    Batch {
        rows: Rows {
            replicas: 1,
            time: 2,
            parallel: 2,
            first: vec![true; 4],
        },
        joint: vec![1.0; 8],
        state: Vec::new(),
        forbidden: Vec::new(),
        common: Vec::new(),
        actions: Choices::Discrete(vec![1, 1, 0, 1]),
        drawn: None,
        log_prob: vec![half; 4],
        rewards: vec![10.0, -5.0],
        terminated: vec![true; 2],
        valid: vec![true; 4],
        returns: vec![vec![10.0, -5.0]],
    }
}

fn network() -> NetworkConfig {
    NetworkConfig {
        hidden: Vec::new(),
        ..NetworkConfig::default()
    }
}

/// What the batch teaches over critics of one layer whose values are these.
fn targets(view: View, values: &[f32]) -> Targets {
    let (spec, update) = (
        Task::find("assurance").unwrap().spec(),
        UpdateConfig::default(),
    );
    let mut streams = [Stream::new(0, "test", 0)];
    let mut baseline = Baseline::new(
        &spec,
        &network(),
        view,
        &update,
        0.1,
        &mut streams,
        &Device::Cpu,
    )
    .unwrap();
    let [weight, bias] = &baseline.variables()[..] else {
        panic!("one layer has a weight and a bias");
    };
    let weights = vec![0.0; weight.elem_count()];
    set_values(&[weight.clone(), bias.clone()], &[weights, values.to_vec()]).unwrap();
    baseline.targets(&batch(), &update, 1).unwrap().0
}

/// The returns' range is [−5, 10]: the rewards are 1 and 0 of it.
#[test]
fn advantages_are_the_agents_own_or_the_teams() {
    let local = targets(View::Local, &[0.25, 0.5]);
    assert_eq!(local.advantages, [0.75, 0.5, -0.25, -0.5]);
    assert_eq!(local.values, [1.0, 1.0, 0.0, 0.0]);
    let central = targets(View::Central, &[0.25]);
    assert_eq!(central.advantages, [0.75, -0.25]);
    assert_eq!(central.weights, [0.5, 0.5]);
}

/// The policies have moved: agent 0 now plays 1 with probability .8, agent 1 with .3. Ratios: in
/// the first episode 1.6 and .6, in the second (agent 0 did 0) .4 and .6; clipped to [.8, 1.2].
#[test]
fn each_agents_ratio_is_clipped_by_itself() {
    let task = Task::find("assurance").unwrap();
    let mut streams = [Stream::new(0, "test", 0)];
    let device = &Device::Cpu;
    let marginals = Marginals::new(&task.spec(), &network(), &mut streams, device).unwrap();
    let probs = [0.2_f32, 0.8, 0.7, 0.3].repeat(2);
    let output = MarginalOutput::Categorical {
        log_probs: Tensor::from_vec(probs, (1, 2, 4), device)
            .unwrap()
            .log()
            .unwrap(),
        agents: 2,
    };
    let gains = |loss: &Loss, targets: &Targets, batch: &Batch| -> Vec<f32> {
        let memory = Default::default();
        let mut packed = Packed::new(batch, targets, &marginals, memory, device).unwrap();
        // What one row alone counts for.
        let mut of = |weights: [f32; 2]| -> f32 {
            packed.weights = Tensor::new(&[weights], device).unwrap();
            let (update, by_agent) = (UpdateConfig::default(), loss.by_agent);
            let found = packed.surrogate(&output, by_agent, &[2, 2], &[0.0], &update);
            -found.unwrap().0.to_scalar::<f32>().unwrap()
        };
        vec![of([1.0, 0.0]), of([0.0, 1.0])]
    };
    let close = |found: Vec<f32>, expected: [f32; 2]| {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(
            found.iter().zip(&expected).all(near),
            "{found:?} {expected:?}"
        );
    };
    // MAPPO, A = .75 and −.25: min(1.6, 1.2)·.75 + .6·.75 = 1.35, and the larger of each ratio and
    // .8 counts against −.25: −.25 (.8 + .8) = −.4.
    let central = targets(View::Central, &[0.25]);
    close(
        gains(&loss(View::Central), &central, &batch()),
        [1.35, -0.4],
    );
    // IPPO: 1.2·.75 + .6·.5 = 1.2, and .8·(−.25) + .8·(−.5) = −.6.
    let local = targets(View::Local, &[0.25, 0.5]);
    close(gains(&loss(View::Local), &local, &batch()), [1.2, -0.6]);
    // Factored: the product's ratios are .96 and .24: .96·.75 and .8·(−.25).
    let joint = Batch {
        log_prob: vec![0.25_f32.ln(); 2],
        ..batch()
    };
    close(gains(&factored::LOSS, &central, &joint), [0.72, -0.2]);
}

#[test]
fn an_even_start_on_assurance_ends_at_the_optimum() {
    for view in [View::Local, View::Central] {
        let config = FactoredConfig {
            learning_rate: 0.02,
            ..FactoredConfig::default()
        };
        for values in learn(
            &ArmKind::Ppo(view, config),
            &Task::find("assurance").unwrap(),
            300,
        ) {
            assert!(values.product > 9.0, "{view:?}: {values:?}");
        }
    }
}
