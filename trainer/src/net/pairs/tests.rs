use super::*;
use crate::env::AgentSpec;

fn log(values: &[f64], shape: impl Into<candle_core::Shape>) -> Tensor {
    let logs: Vec<f32> = values.iter().map(|p| p.ln() as f32).collect();
    Tensor::from_vec(logs, shape, &Device::Cpu).unwrap()
}

fn hierarchy(sizes: &[usize]) -> Hierarchy {
    let agents = sizes.iter().map(|&size| AgentSpec::discrete(1, size));
    let spec = TeamSpec::new(agents.collect(), 1);
    let mut streams = [Stream::new(3, "test", 0)];
    let network = NetworkConfig::default();
    Hierarchy::new(&spec, &network, &mut streams, &Device::Cpu).unwrap()
}

/// A pair: c = (.1, .2, .3, .15) over (0,0) … (1,1), .25 to delegate; π_0 = (.6, .4),
/// π_1 = (.9, .1). P(0, 1) = .2 + .25·.6·.1 = .215; P(1, 0) = .3 + .25·.4·.9 = .39.
#[test]
fn a_joint_actions_probability_is_summed_over_the_hierarchy() {
    let pair = hierarchy(&[2, 2]);
    let commands = Commands {
        selector: Tensor::zeros((1, 2, 1), DType::F32, &Device::Cpu).unwrap(),
        controllers: log(&[0.1, 0.2, 0.3, 0.15, 0.25].repeat(2), (1, 2, 1, 5)),
    };
    let own = log(&[0.6, 0.1, 0.4, 0.9], (1, 2, 2));
    let actions = Tensor::new(&[[[0_u32, 1], [1, 0]]], &Device::Cpu).unwrap();
    let found = pair.log_prob(&commands, &own, &actions).unwrap();
    let found: Vec<f32> = found
        .exp()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    for (found, expected) in found.iter().zip([0.215, 0.39]) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

/// Three agents with two, three and two actions: three matchings, each with an agent left over.
/// Whatever the networks say, the twelve joint actions' probabilities sum to 1, and one of them is
/// what the levels come to when followed by hand.
#[test]
fn all_joint_actions_together_have_probability_one() {
    let three = hierarchy(&[2, 3, 2]);
    let rows = Rows::unrelated(1, 12);
    let seen = three.seen(&[], &rows, &Device::Cpu).unwrap();
    let (commands, _) = three.forward(&seen, None, &rows, &[]).unwrap();
    let policies = [vec![0.3, 0.7], vec![0.2, 0.5, 0.3], vec![0.6, 0.4]];
    let mut actions = Vec::new();
    let mut own = Vec::new();
    for k in 0..12_usize {
        let joint = [k / 6, k / 2 % 3, k % 2];
        for (agent, &action) in joint.iter().enumerate() {
            actions.push(action as u32);
            own.push(policies[agent][action]);
        }
    }
    let actions = Tensor::from_vec(actions, (1, 12, 3), &Device::Cpu).unwrap();
    let found = three.log_prob(&commands, &log(&own, (1, 12, 3)), &actions);
    let found: Vec<f32> = found
        .unwrap()
        .exp()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let sum: f32 = found.iter().sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");

    // Joint action (1, 2, 0), which is k = 10.
    let numbers = |tensor: &Tensor| -> Vec<f64> {
        let numbers: Vec<f32> = tensor
            .exp()
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        numbers.into_iter().map(f64::from).collect()
    };
    let selector = numbers(&commands.selector.narrow(1, 10, 1).unwrap());
    let chosen = numbers(&commands.controllers.narrow(1, 10, 1).unwrap());
    let played = [1_usize, 2, 0];
    let own = [0.7, 0.3, 0.6];
    let mut expected = 0.0;
    for (matching, (pairs, left)) in three.matchings.all.iter().enumerate() {
        let mut way = selector[matching] * left.map_or(1.0, |agent| own[agent]);
        for &pair in pairs {
            let [a, b] = three.matchings.pairs[pair];
            let of_pair = &chosen[pair * 10..][..10];
            way *= of_pair[played[a] * 3 + played[b]] + of_pair[9] * own[a] * own[b];
        }
        expected += way;
    }
    assert!(
        (f64::from(found[10]) - expected).abs() < 1e-6,
        "{} {expected}",
        found[10]
    );
    // No pair is commanded what one of it cannot do: agent 0 has no action 2.
    assert!(chosen[6..9].iter().all(|&p| p == 0.0));
}
