use super::*;
use crate::algo::ArmKind;
use crate::algo::testing::{learn, learn_from};
use crate::env::Task;

fn taken(guider: f64, learner: f64, acted: f64) -> Taken {
    let log = |p: f64| Tensor::new(&[[[p.ln() as f32]]], &Device::Cpu).unwrap();
    Taken {
        guider: log(guider),
        learner: log(learner),
        acted: log(acted),
    }
}

fn number(tensor: &Tensor) -> f32 {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
}

/// δ = 1.5; the learner has .4, so the guider is free from .2667 to .6.
#[test]
fn the_divergence_counts_outside_the_ratio_only() {
    for (guider, expected) in [
        (0.59, 0.0),
        (0.61, 1.0),
        (0.4, 0.0),
        (0.27, 0.0),
        (0.26, 1.0),
    ] {
        let mask = taken(guider, 0.4, 0.5).outside(1.5).unwrap();
        assert_eq!(number(&mask), expected, "{guider}");
    }
}

/// A = 2, ε = .2, and when acting the guider had .5.
#[test]
fn beyond_the_ratio_a_good_action_gains_nothing_more() {
    let advantage = Tensor::new(&[[[2.0_f32]]], &Device::Cpu).unwrap();
    let gain = |guider, learner| {
        let taken = taken(guider, learner, 0.5);
        let gain = taken.guided_gain(&advantage, 1.5, &UpdateConfig::default());
        number(&gain.unwrap())
    };
    // Inside both: ρ = 1.1.
    assert!((gain(0.55, 0.4) - 2.2).abs() < 1e-5);
    // ρ = 1.3 is clipped to 1.2 as in PPO.
    assert!((gain(0.65, 0.6) - 2.4).abs() < 1e-5);
    // The learner has .3: the guider counts for no more than .45, a ratio of .9 to when it acted.
    assert!((gain(0.55, 0.3) - 1.8).abs() < 1e-5);
    // A bad action: the larger loss counts, as in PPO.
    let bad = Tensor::new(&[[[-2.0_f32]]], &Device::Cpu).unwrap();
    let found = taken(0.55, 0.3, 0.5).guided_gain(&bad, 1.5, &UpdateConfig::default());
    assert!((number(&found.unwrap()) + 2.2).abs() < 1e-5);
}

/// KL((.5, .5) ‖ (.25, .75)) = ½ ln 2 + ½ ln ⅔ = .143841.
#[test]
fn divergences_are_those_of_the_conditionals() {
    let log = |p: [f32; 2]| Tensor::new(&[[[p]]], &Device::Cpu).unwrap().log().unwrap();
    let found = divergence(&log([0.5, 0.5]), &log([0.25, 0.75])).unwrap();
    assert!((number(&found) - 0.143_841).abs() < 1e-5);
}

#[test]
fn the_learner_follows_its_guider_to_the_optimum_of_assurance() {
    let config = MagpoConfig {
        learning_rate: 0.01,
        ..MagpoConfig::default()
    };
    for values in learn(
        &ArmKind::Magpo(config),
        &Task::find("assurance").unwrap(),
        400,
    ) {
        assert!(values.joint.unwrap() > 9.0, "{values:?}");
        assert!(values.greedy == 10.0 && values.product > 9.0, "{values:?}");
    }
}

#[test]
fn the_guider_is_told_of_all_histories_unless_asked_to_be_told_less() {
    let learned = |sees| {
        let network = NetworkConfig {
            joint: JointConfig {
                sees,
                ..JointConfig::default()
            },
            ..NetworkConfig::default()
        };
        // A game in which agents see apart.
        let task = Task::find("climbing-xor").unwrap();
        let kind = ArmKind::Magpo(MagpoConfig::default());
        format!("{:?}", learn_from(&kind, &task, &network, 3, |_| {}))
    };
    assert_eq!(learned(Sees::Auto), learned(Sees::JointHistory));
    assert_ne!(learned(Sees::Auto), learned(Sees::OwnHistory));
}
