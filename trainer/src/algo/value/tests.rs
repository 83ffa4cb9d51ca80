use candle_core::Device;

use super::*;
use crate::algo::UpdateConfig;
use crate::config::{Config, Method};
use crate::env::{AgentSpec, Task, TaskKind, TeamSpec};
use crate::eval::Enumeration;
use crate::net::Normalisation;
use crate::rollout::Runner;
use crate::train::train;

/// Two agents that see nothing, with two actions each, for one step: a sample of every joint
/// action, rewards `rewards`.
fn sample(marginals: &Marginals, rewards: [f32; 4]) -> Sample {
    // Row 0 of four episodes, and the row after.
    let rows = Rows {
        replicas: 1,
        time: 2,
        parallel: 4,
        first: [vec![true; 4], vec![false; 4]].concat(),
    };
    let device = &Device::Cpu;
    let joint = vec![1.0; 8 * 2];
    let table = |values: &[f32]| Tensor::from_slice(values, (1, 4), device).unwrap();
    Sample {
        own: marginals.pack(&joint, &rows, device).unwrap(),
        central: Tensor::from_vec(joint, (1, 8, 2), device).unwrap(),
        forbidden: marginals.padding().clone(),
        actions: Tensor::from_vec(vec![0_u32, 0, 0, 1, 1, 0, 1, 1], (1, 4, 2), device).unwrap(),
        rewards: table(&rewards),
        discounts: table(&[0.0, 0.0, 0.5, 0.0]),
        weights: table(&[0.25; 4]),
        rows,
    }
}

/// Marginals without hidden layers whose outputs are their biases.
fn marginals(making: &Making<'_>, values: [f32; 4]) -> Marginals {
    let marginals = making.marginals("marginals").unwrap();
    set(&marginals, values);
    marginals
}

fn set(marginals: &Marginals, values: [f32; 4]) {
    let variables = marginals.variables();
    let zero = variables[0].zeros_like().unwrap();
    variables[0].set(&zero).unwrap();
    let biases = Tensor::from_slice(&values, (2, 1, 2), &Device::Cpu).unwrap();
    variables[1].set(&biases).unwrap();
}

/// Agents' values (0, 1) and (2, −1); targets' (10, 20) and (30, 40). Rewards 0, −5, −5, 10; only
/// the third step goes on, at γ = ½. Chosen by the learning networks, a⁺ = (1, 0); valued by the
/// others: 20 and 30.
///
/// - VDN: sums 2, −1, 3, 0; target of the third −5 + ½ · 50 = 20: errors 2, 4, −17, −10, loss
///   (4 + 16 + 289 + 100)/4. Without double Q a⁺ = (1, 1): target −5 + ½ · 60 = 25, error −22.
/// - IQL: agent 0 has 0, 0, 1, 1 against 0, −5, −5 + 10, 10: errors 0, 5, −4, −9; agent 1 has 2,
///   −1, 2, −1 against 0, −5, −5 + 15, 10: errors 2, 4, −8, −11. Halves of both, in the mean.
#[test]
fn the_losses_are_those_of_hand_made_values() {
    let spec = TeamSpec::new(vec![AgentSpec::discrete(1, 2); 2], 1);
    let network = NetworkConfig {
        hidden: Vec::new(),
        ..NetworkConfig::default()
    };
    let making = Making {
        spec: &spec,
        network: &network,
        update: &UpdateConfig::default(),
        seeds: &[0],
        device: &Device::Cpu,
    };
    let learning = marginals(&making, [0.0, 1.0, 2.0, -1.0]);
    let sample = sample(&learning, [0.0, -5.0, -5.0, 10.0]);
    let loss = |mixing, double| {
        let config = ValueConfig {
            double,
            ..ValueConfig::default()
        };
        let rule = Value::new(mixing, &config, &making).unwrap();
        set(&rule.late, [10.0, 20.0, 30.0, 40.0]);
        let loss = rule.loss(0, &learning, &sample, &mut []).unwrap();
        loss.total.to_scalar::<f32>().unwrap()
    };
    let sum = (4.0 + 16.0 + 289.0 + 100.0) / 4.0;
    assert!((loss(Mixing::Sum, true) - sum).abs() < 1e-3);
    let single = sum + (22.0_f32.powi(2) - 289.0) / 4.0;
    assert!((loss(Mixing::Sum, false) - single).abs() < 1e-3);
    let own = (25.0 + 16.0 + 81.0 + 4.0 + 16.0 + 64.0 + 121.0) / 8.0;
    assert!((loss(Mixing::Independent, true) - own).abs() < 1e-3);
}

/// A run of `method` with settings for a small task, and the greedy return at its end.
fn greedy(method: Method, task: &str, steps: u64, change: impl Fn(&mut Config)) -> f64 {
    let task = Task::find(task).unwrap();
    let mut value = ValueConfig::default();
    value.exploration.end = 1.0;
    value.off_policy.learning_rate = 0.003;
    value.off_policy.target.interval = 100;
    let mut config = Config {
        method,
        steps,
        batch: 16,
        value: Some(value),
        ..Config::for_kind(TaskKind::OneShot)
    };
    change(&mut config);
    let outcomes = train(&config, &[task], &[0], &Device::Cpu, 1, &|_| ()).unwrap();
    outcomes[0].best().values.unwrap().greedy
}

/// Rashid et al. 2018, section 5.1: under uniform play (their ε = 1) VDN values the risky game by
/// its best sum, which is at most 6.5 where it pays 8, and takes the safe 7; QMIX represents both.
#[test]
fn qmix_dares_in_the_two_step_game_and_vdn_does_not() {
    assert_eq!(greedy(Method::Vdn, "two-step", 12_000, |_| ()), 7.0);
    assert_eq!(greedy(Method::Qmix, "two-step", 12_000, |_| ()), 8.0);
}

/// Where agents explore evenly, the best fits of assurance, additive and monotonic (see
/// [`super::super::fit`]), are largest where the table is: both are wrong about what it pays, and
/// right about what to do.
#[test]
fn even_exploration_finds_assurances_optimum() {
    for method in [Method::Vdn, Method::Qmix] {
        assert_eq!(greedy(method, "assurance", 8_000, |_| ()), 10.0);
    }
}

/// Episodes go on in a restored learner as in the saved one: with memory, masks and a state.
#[test]
fn a_restored_learner_goes_on_to_the_same_bits() {
    use crate::rollout::testing::Signs;
    let signs = Signs::mixed(5).masked().with_state().ending(0.1);
    let network = NetworkConfig {
        hidden: vec![6],
        memory: 5,
        share: true,
        ..NetworkConfig::default()
    };
    let mut config = ValueConfig::default();
    config.off_policy.replay.episodes = 4;
    config.off_policy.replay.steps = 90;
    config.off_policy.target.interval = 3;
    let update = UpdateConfig::default();
    for mixing in [Mixing::Independent, Mixing::Sum, Mixing::Monotonic] {
        let learner = || {
            let making = Making {
                spec: &signs.spec,
                network: &network,
                update: &update,
                seeds: &[3, 4],
                device: &Device::Cpu,
            };
            make(mixing, &config, &making).unwrap()
        };
        let tasks = vec![signs.clone().task(); 2];
        let streams = streams(&[3, 4], "environment");
        let mut runner = Runner::new(&tasks, 6, streams, Normalisation::default());
        let (mut one, mut other) = (learner(), learner());
        let go_on = |learner: &mut Box<dyn Algorithm>, runner: &mut Runner, times| {
            let mut metrics = Vec::new();
            for _ in 0..times {
                let batch = runner.collect(4, |seen| learner.act(seen)).unwrap();
                metrics.push(learner.update(&batch, 0.05).unwrap());
            }
            (metrics, learner.save().unwrap())
        };
        let (metrics, saved) = go_on(&mut one, &mut runner, 6);
        assert!(metrics[5][0].value_error > 0.0 && metrics[5][0].epsilon == 0.525);
        let state = runner.save();
        let on = go_on(&mut one, &mut runner, 5);
        other.restore(&saved).unwrap();
        runner.restore(state).unwrap();
        assert!(on == go_on(&mut other, &mut runner, 5), "{mixing:?}");
    }
}

/// What is learned of assurance under even play is the best fit of each class: the sum's is −5, 0, 0,
/// 5 and the monotonic function's −10/3 three times, then 10 ([`super::super::fit`] derives them).
/// Told in units of rewards, whether they are standardised or not.
#[test]
fn learned_values_are_the_best_fit_of_their_class() {
    let task = Task::find("assurance").unwrap();
    let network = NetworkConfig::default();
    let update = UpdateConfig::default();
    let third = -10.0 / 3.0;
    for (mixing, expected, standardise_rewards) in [
        (Mixing::Sum, [-5.0, 0.0, 0.0, 5.0], true),
        (Mixing::Sum, [-5.0, 0.0, 0.0, 5.0], false),
        (Mixing::Monotonic, [third, third, third, 10.0], true),
    ] {
        let mut config = ValueConfig::default();
        config.exploration.end = 1.0;
        config.off_policy.learning_rate = 0.003;
        config.off_policy.standardise_rewards = standardise_rewards;
        let making = Making {
            spec: &task.spec(),
            network: &network,
            update: &update,
            seeds: &[3],
            device: &Device::Cpu,
        };
        let mut learner = make(mixing, &config, &making).unwrap();
        let streams = streams(&[3], "environment");
        let tasks = [task.clone()];
        let mut runner = Runner::new(&tasks, 16, streams, Normalisation::default());
        for _ in 0..250 {
            let batch = runner.collect(1, |seen| learner.act(seen)).unwrap();
            learner.update(&batch, 0.0).unwrap();
        }
        let game = std::sync::Arc::clone(task.game().unwrap());
        let enumeration = Enumeration::new(vec![game]).unwrap();
        let seen = enumeration.seen(&runner, learner.as_ref());
        let learned = learner.joint_values(&seen).unwrap().unwrap();
        let found: Vec<f32> = learned.team.flatten_all().unwrap().to_vec1().unwrap();
        // The replay holds some 250 episodes of each cell: their shares, and so the fit, vary.
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1.0, "{mixing:?} {found}");
        }
    }
}
