use super::critic::counterfactual;
use super::*;
use crate::algo::ArmKind;
use crate::algo::factored::FactoredConfig;
use crate::algo::testing::{learn, learn_from, prefer};
use crate::config::Config;
use crate::env::Task;
use crate::net::counterfactual::CounterfactualCritic;
use crate::net::{MarginalOutput, Normalisation, Rows};
use crate::rollout::Runner;

/// On assurance, R = [[0, −5], [−5, 10]]. Both dare: a = (1, 1). Agent 0 plays action 0 with
/// probability 1/4, so its baseline is ¼·R(0, 1) + ¾·R(1, 1) = −1.25 + 7.5 = 6.25; agent 1 with
/// probability 1/2: ½·(−5) + ½·10 = 2.5.
#[test]
fn the_baseline_is_what_the_agent_would_have_got_by_its_own_policy() {
    let device = Device::Cpu;
    let q = Tensor::new(&[[[[-5.0_f32, 10.0], [-5.0, 10.0]]]], &device).unwrap();
    let probs = Tensor::new(&[[[0.25_f32, 0.75, 0.5, 0.5]]], &device).unwrap();
    let output = MarginalOutput::Categorical {
        log_probs: probs.log().unwrap(),
        agents: 2,
    };
    let found = |actions: [u32; 2]| -> Vec<f32> {
        let actions = Tensor::new(&[[actions]], &device).unwrap();
        let found = counterfactual(&q, &output, &actions).unwrap();
        found.flatten_all().unwrap().to_vec1().unwrap()
    };
    assert_eq!(found([1, 1]), [10.0 - 6.25, 10.0 - 2.5]);
    // Weighted with what it would have done, every agent's advantages cancel:
    // ¼ (−5 − 6.25) + ¾ (10 − 6.25) = 0, so the baseline changes no expected gradient.
    assert_eq!(found([0, 0]), [-5.0 - 6.25, -5.0 - 2.5]);
}

/// The critic is told whose turn it is and what the *others* do, never the agent's own action.
#[test]
fn the_critic_sees_the_others_actions_and_not_the_own() {
    let spec = Task::find("assurance").unwrap().spec();
    let network = NetworkConfig::default();
    let mut streams = [Stream::new(0, "test", 0)];
    let critic = CounterfactualCritic::new(&spec, &network, &mut streams, &Device::Cpu).unwrap();
    let rows = Rows::unrelated(1, 1);
    let seen = critic.seen(&[1.0, 1.0], &[], &[0, 1], &rows, &Device::Cpu);
    let seen: Vec<Vec<f32>> = seen.unwrap().get(0).unwrap().to_vec2().unwrap();
    // Two constants, whose turn, agent 0's two actions, agent 1's two.
    assert_eq!(seen[0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(seen[1], [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
}

fn coma() -> ArmKind {
    ArmKind::Coma(ComaConfig {
        learning_rate: 0.02,
        temperature: Temperature::None,
        ..ComaConfig::default()
    })
}

#[test]
fn an_even_start_on_assurance_ends_at_the_optimum() {
    for values in learn(&coma(), &Task::find("assurance").unwrap(), 200) {
        assert!(values.product > 9.0, "{values:?}");
    }
}

/// Each agent moves towards action 0 while the other plays it more than three times in four: the
/// proposal's basin. COMA subtracts a baseline that does not depend on the own action, so on either
/// side of q = ¾ it ends where plain policy gradient ends.
#[test]
fn the_basin_on_assurance_is_that_of_plain_policy_gradient() {
    let task = Task::find("assurance").unwrap();
    let plain = ArmKind::Factored(FactoredConfig {
        learning_rate: 0.02,
        ..FactoredConfig::default()
    });
    let network = NetworkConfig {
        hidden: Vec::new(),
        ..NetworkConfig::default()
    };
    for (first, expected) in [(0.6, 10.0), (0.9, 0.0)] {
        for kind in [&plain, &coma()] {
            for values in learn_from(kind, &task, &network, 300, prefer(first)) {
                assert_eq!(values.greedy, expected, "{kind:?} from {first}");
                assert!((values.product - expected).abs() < 1.0, "{values:?}");
            }
        }
    }
}

/// What a critic has not learned from rewards yet is noise. Where it counts as much as what it has, by being standardised over
/// the batch, two players of two (entropy 2 ln 6 = 3.58 at first) always did the same after as many steps, and never met.
#[test]
fn agents_do_not_settle_before_they_are_rewarded() {
    let task = Task::find("lbf-8x8-2p-2f-coop").unwrap();
    let (config, spec) = (Config::for_kind(task.kind()), task.spec());
    let mut learner = Coma::new(
        &config.coma.unwrap(),
        &spec,
        &config.network,
        &config.update,
        &[0],
        &Device::Cpu,
    )
    .unwrap();
    let streams = vec![Stream::new(0, "test", 0)];
    let mut runner = Runner::new(&[task], 32, streams, Normalisation::default());
    let updates = 24;
    let mut entropy = 0.0;
    for update in 0..updates {
        let batch = runner.collect(128, |seen| learner.act(seen)).unwrap();
        let metrics = learner.update(&batch, f64::from(update) / 1000.0);
        entropy = metrics.unwrap()[0].product_entropy;
    }
    assert!(entropy > 1.0, "{entropy}");
}
