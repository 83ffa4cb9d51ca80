use super::*;
use crate::algo::ArmKind;
use crate::algo::anneal::{AnnealConfig, Variant};
use crate::algo::temperature::Temperature;
use crate::algo::testing::learn;
use crate::env::Task;
use crate::eval::Values;

fn learned(task: &str, updates: usize) -> Vec<Values> {
    let config = FactoredConfig {
        learning_rate: 0.01,
        temperature: Temperature::Constant { value: 0.01 },
        ..FactoredConfig::default()
    };
    learn(
        &ArmKind::Mackrl(config),
        &Task::find(task).unwrap(),
        updates,
    )
}

/// Everything is common knowledge: the pair's controller climbs as a joint policy does, past the
/// penalties of 30 that keep policies apart from 11.
#[test]
fn where_all_is_common_knowledge_the_controller_finds_the_joint_optimum() {
    for values in learned("climbing", 500) {
        assert!(values.joint.unwrap() > 10.0, "{values:?}");
    }
}

/// A decision that needs common and private knowledge at once: the controller cannot name the
/// agents' own bits, which it has right in one case of four: ¼·11 − ¾·10 = −4.75; the agents
/// themselves can, but climb apart, to 7 at most. The annealed method on the same steps gets 11.
#[test]
fn it_fails_where_one_decision_needs_common_and_private_knowledge_at_once() {
    for values in learned("common-private", 800) {
        assert!(
            values.joint.unwrap() < 7.5 && values.product < 7.5,
            "{values:?}"
        );
    }
    let annealed = ArmKind::Annealed(Variant::Annealed, AnnealConfig::default());
    for values in learn(&annealed, &Task::find("common-private").unwrap(), 800) {
        assert!(values.greedy == 11.0, "{values:?}");
    }
}
