use super::*;
use crate::env::ActionSpace;
use crate::rollout::testing::Signs;

/// log π(a | x, a_<i) of everything that each agent could do, by agent, when `joint` is what the team sees.
fn conditionals(
    policy: &Joint,
    marginals: &Marginals,
    spec: &TeamSpec,
    joint: &[f32],
) -> Vec<Vec<f32>> {
    let (device, rows) = (Device::Cpu, Rows::unrelated(1, 1));
    let own = marginals.pack(joint, &rows, &device).unwrap();
    let of_marginals = marginals.features(&own, &rows, &[]).unwrap();
    let seen = Tensor::from_slice(joint, (1, 1, joint.len()), &device).unwrap();
    let features = policy.features(&seen, &own, marginals, &of_marginals, &rows, &[]);
    let agents = spec.agents.len();
    let actions = Tensor::zeros((1, 1, agents), candle_core::DType::U32, &device).unwrap();
    let said = (policy.head()).log_conditionals(&features.unwrap().0, None, &actions);
    let said: Vec<f32> = said
        .unwrap()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let by_agent = said.chunks_exact(spec.widest_actions());
    by_agent.map(<[f32]>::to_vec).collect()
}

/// What agent j sees moves what is said to it, and to another only where all histories are seen.
#[test]
fn of_own_histories_nobody_is_told_what_another_sees() {
    let device = Device::Cpu;
    let pair = Signs::new(&[(3, ActionSpace::Discrete(3)); 3], 4).task();
    let mixed = Signs::mixed(4).task();
    for (task, share) in [
        (&pair, true),
        (&pair, false),
        (&mixed, true),
        (&mixed, false),
    ] {
        let spec = task.spec();
        for (sees, own) in [
            (Sees::OwnHistory, true),
            (Sees::Auto, true),
            (Sees::JointHistory, false),
        ] {
            for (trunk, memory) in [
                (TrunkChoice::Separate, 0),
                (TrunkChoice::Separate, 5),
                (TrunkChoice::Shared, 0),
            ] {
                let network = NetworkConfig {
                    hidden: vec![7],
                    memory,
                    share,
                    joint: JointConfig {
                        head: HeadChoice::Autoregressive,
                        sees,
                        trunk,
                        ..JointConfig::default()
                    },
                    ..NetworkConfig::default()
                };
                let mut streams = [Stream::new(3, "test", 0)];
                let marginals = Marginals::new(&spec, &network, &mut streams, &device).unwrap();
                let policy =
                    Joint::new(&spec, &network, &marginals, &mut streams, &device).unwrap();
                let joint: Vec<f32> = (0..spec.joint_observation())
                    .map(|_| streams[0].normal() as f32)
                    .collect();
                let before = conditionals(&policy, &marginals, &spec, &joint);
                let mut start = 0;
                for (j, agent) in spec.agents.iter().enumerate() {
                    let mut other = joint.clone();
                    other[start..start + agent.observation].fill(0.9);
                    start += agent.observation;
                    let after = conditionals(&policy, &marginals, &spec, &other);
                    for (i, (before, after)) in before.iter().zip(&after).enumerate() {
                        let expected = i == j || !own;
                        let what = format!(
                            "{sees:?}, {trunk:?}, memory {memory}, shared {share}: {j} to {i}"
                        );
                        assert_eq!(before != after, expected, "{what}");
                    }
                }
            }
        }
    }
}
