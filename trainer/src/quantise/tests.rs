use consort_runtime::{Head, ImageRepr, Policy, TeamId};

use super::real::RealNetwork;
use super::*;

/// A linear congruential generator's numbers between −scale and scale.
fn numbers(state: &mut u32, count: usize, scale: f32) -> Vec<f32> {
    let mut next = || {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        scale * ((*state >> 8) as f32 / 8_388_608.0 - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

fn dense(state: &mut u32, inputs: usize, outputs: usize) -> DenseWeights {
    DenseWeights {
        inputs,
        outputs,
        weights: numbers(state, inputs * outputs, 1.5 / (inputs as f32).sqrt()),
        biases: numbers(state, outputs, 0.5),
    }
}

fn gru(state: &mut u32, inputs: usize, hidden: usize) -> GruWeights {
    GruWeights {
        inputs,
        hidden,
        input: numbers(state, 3 * hidden * inputs, 1.0),
        recurrent: numbers(state, 3 * hidden * hidden, 0.5),
        input_bias: numbers(state, 3 * hidden, 0.5),
        recurrent_bias_n: numbers(state, hidden, 0.5),
    }
}

/// Observations away from 0, about it, constant, and of two values.
fn seen(state: &mut u32) -> Vec<Seen> {
    observed(state, 400)
}

/// So many steps of them.
fn observed(state: &mut u32, steps: usize) -> Vec<Seen> {
    (0..steps)
        .map(|t| {
            let noise = numbers(state, 3, 1.0);
            Seen {
                observation: vec![
                    4.0 + noise[0],
                    3.0 * noise[1],
                    2.0,
                    f32::from(noise[2] > 0.0),
                ],
                start: t % 20 == 0,
                mask: None,
            }
        })
        .collect()
}

/// What an image of these layers gives at every step.
fn played(layers: &[LayerRepr<'_>], outputs: usize, seen: &[Seen]) -> Vec<Vec<f32>> {
    let repr = ImageRepr {
        team: TeamId([0; 16]),
        agent: 0,
        agents: 1,
        revision: 1,
        period_us: 0,
        seeding: None,
        head: Head::Deterministic { outputs },
        layers,
    };
    let mut bytes = vec![0; repr.emitted_len().unwrap()];
    repr.emit(&mut bytes).unwrap();
    let image = crate::team::AlignedImage::new(&bytes).unwrap();
    let policy = Policy::new(image.view());
    let mut memory = vec![0.0; policy.image().memory_len()];
    let step = |step: &Seen| {
        if step.start {
            policy.reset(&mut memory).unwrap();
        }
        policy
            .outputs(&step.observation, &mut memory)
            .unwrap()
            .to_vec()
    };
    seen.iter().map(step).collect()
}

/// What the network's image gives, and what its image in whole numbers does.
fn both(network: &NetworkWeights, seen: &[Seen]) -> [Vec<Vec<f32>>; 2] {
    let exact: Vec<_> = network.layers.iter().map(crate::export::layer).collect();
    let rounded = IntegerNetwork::new(network, seen).unwrap();
    [exact, rounded.layers()].map(|layers| played(&layers, network.outputs(), seen))
}

/// The largest difference of two sequences of outputs, and the first one's largest magnitude.
fn furthest(one: &[Vec<f32>], other: &[Vec<f32>]) -> [f32; 2] {
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    pairs.fold([0.0, 0.0], |[error, most]: [f32; 2], (a, b)| {
        [error.max((a - b).abs()), most.max(a.abs())]
    })
}

fn mean_distance(one: &[Vec<f32>], other: &[Vec<f32>]) -> f32 {
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    let count = pairs.clone().count();
    pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / count as f32
}

/// The largest difference between the network and its image in whole numbers, and the outputs' largest magnitude.
fn worst(network: &NetworkWeights, seen: &[Seen]) -> [f32; 2] {
    let [exact, rounded] = both(network, seen);
    furthest(&exact, &rounded)
}

/// Weights are off by at most 1/254 of a row's largest, lanes by 1/512 of what they span: over a few layers
/// of some ten inputs whose errors add up like random ones, outputs stay within 3 % of their largest.
#[test]
fn every_kind_of_layer_stays_near_its_network() {
    for activation in Activation::ALL {
        let state = &mut 1;
        let seen = seen(state);
        let network = dense_network(state, activation);
        let [error, most] = worst(&network, &seen);
        assert!(error < 0.03 * most, "{activation:?}: {error} of {most}");
    }
    let state = &mut 2;
    let seen = seen(state);
    let [error, most] = worst(&recurrent_network(state), &seen);
    assert!(error < 0.03 * most, "recurrent: {error} of {most}");
}

fn recurrent_network(state: &mut u32) -> NetworkWeights {
    NetworkWeights {
        layers: vec![
            LayerWeights::Dense(dense(state, 4, 8), Activation::Tanh),
            LayerWeights::Gru(gru(state, 8, 7)),
            LayerWeights::Gru(gru(state, 7, 6)),
            LayerWeights::Dense(dense(state, 6, 5), Activation::Identity),
        ],
        head: HeadWeights::Categorical,
    }
}

/// Two hidden layers of one activation.
fn dense_network(state: &mut u32, activation: Activation) -> NetworkWeights {
    NetworkWeights {
        layers: vec![
            LayerWeights::Dense(dense(state, 4, 9), activation),
            LayerWeights::Dense(dense(state, 9, 11), activation),
            LayerWeights::Dense(dense(state, 11, 3), Activation::Identity),
        ],
        head: HeadWeights::Categorical,
    }
}

/// What fine-tuning learns through is what the image computes. A lane may come to lie on the other side of a half now and then,
/// so it is the mean that tells.
#[test]
fn the_network_in_real_numbers_gives_what_the_image_does() {
    let state = &mut 4;
    let seen = seen(state);
    let kinds = Activation::ALL.map(|activation| dense_network(state, activation));
    for network in kinds.into_iter().chain([recurrent_network(state)]) {
        let real = IntegerNetwork::new(&network, &seen).unwrap().real();
        let mut states = real.states();
        let near: Vec<Vec<f32>> = (seen.iter())
            .map(|step| {
                if step.start {
                    states = real.states();
                }
                real.step(&step.observation, &mut states, &mut Vec::new())
            })
            .collect();
        let [exact, rounded] = both(&network, &seen);
        let [far, error] = [&exact, &near].map(|outputs| mean_distance(outputs, &rounded));
        assert!(error < 0.1 * far, "{error}, the network {far}");
    }
}

/// Every derivative against a central difference, where nothing is rounded: a network whose layers give no lanes.
#[test]
fn gradients_are_those_of_the_network() {
    let state = &mut 5;
    let seen = &seen(state)[..6];
    let kinds = Activation::ALL.map(|activation| dense_network(state, activation));
    for network in kinds.into_iter().chain([recurrent_network(state)]) {
        let mut real = IntegerNetwork::new(&network, seen).unwrap().real();
        real.lanes.truncate(1);
        let weights: Vec<Vec<f32>> = (seen.iter())
            .map(|_| numbers(state, network.outputs(), 1.0))
            .collect();
        let run = |real: &RealNetwork| {
            let (mut states, mut traces) = (real.states(), Vec::new());
            let outputs: Vec<Vec<f32>> = (seen.iter())
                .map(|step| real.step(&step.observation, &mut states, &mut traces))
                .collect();
            let outputs = outputs.iter().flatten().zip(weights.iter().flatten());
            let loss: f64 = outputs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            (loss, traces)
        };
        let mut gradient = fine_tune::zeros(&network);
        real.back(&run(&real).1, &weights, &mut gradient);
        let blocks = fine_tune::blocks(&mut gradient).len();
        for block in 0..blocks {
            let len = fine_tune::blocks(&mut gradient)[block].len();
            for place in (0..len).step_by(1 + len / 7) {
                let step = 1e-2;
                let mut at = |distance: f32| {
                    let slot = &mut fine_tune::blocks(&mut real.network)[block][place];
                    let before = *slot;
                    *slot += distance;
                    let loss = run(&real).0;
                    fine_tune::blocks(&mut real.network)[block][place] = before;
                    loss
                };
                let difference = (at(step) - at(-step)) / f64::from(2.0 * step);
                let found = f64::from(fine_tune::blocks(&mut gradient)[block][place]);
                let bound = 0.02 * difference.abs() + 0.01;
                assert!(
                    (found - difference).abs() < bound,
                    "block {block}, {place}: {found} for {difference}"
                );
            }
        }
    }
}

/// How often two networks take the same greedy action.
fn agreement(one: &[Vec<f32>], other: &[Vec<f32>]) -> f64 {
    let same = (one.iter().zip(other))
        .filter(|(a, b)| consort_runtime::head::greedy(a) == consort_runtime::head::greedy(b))
        .count();
    same as f64 / one.len() as f64
}

/// Makes what a layer gives third hardly change, and every weight on it forty times what it was, which the biases make up for:
/// eight bits of that weight leave few for those that decide.
fn lopsided(mut network: NetworkWeights) -> NetworkWeights {
    for index in 1..network.layers.len() {
        let (below, above) = network.layers.split_at_mut(index);
        let Some(LayerWeights::Dense(dense, activation)) = below.last_mut() else {
            continue;
        };
        let row = &mut dense.weights[2 * dense.inputs..][..dense.inputs];
        row.iter_mut().for_each(|weight| *weight *= 0.02);
        dense.biases[2] = 0.4;
        let mut constant = [0.4];
        activation.apply(&mut constant);
        let (matrix, inputs, biases) = match &mut above[0] {
            LayerWeights::Dense(dense, _) => (&mut dense.weights, dense.inputs, &mut dense.biases),
            LayerWeights::Gru(gru) => (&mut gru.input, gru.inputs, &mut gru.input_bias),
        };
        for (row, bias) in matrix.chunks_exact_mut(inputs).zip(biases) {
            let before = row[2];
            row[2] *= 40.0;
            *bias -= constant[0] * (row[2] - before);
        }
    }
    network
}

/// Rounding alone changes every fourth to sixth action, on steps that neither calibrated nor taught.
#[test]
fn fine_tuning_brings_back_much_of_what_rounding_lost() {
    type Make = fn(&mut u32) -> NetworkWeights;
    // Seeds of networks that take several actions. Where a network remembers, its errors add up.
    let dense = |state: &mut u32| dense_network(state, Activation::Tanh);
    let cases: [(u32, Make, f64); 4] = [
        (9, dense, 0.25),
        (37, dense, 0.25),
        (10, recurrent_network, 0.75),
        (13, recurrent_network, 0.75),
    ];
    for (mut state, make, left) in cases {
        let state = &mut state;
        let (seen, unseen) = (observed(state, 2_000), observed(state, 2_000));
        let network = lopsided(make(state));
        let exact: Vec<_> = network.layers.iter().map(crate::export::layer).collect();
        let exact = played(&exact, network.outputs(), &unseen);
        let lost = |network: &NetworkWeights| {
            let rounded = IntegerNetwork::new(network, &seen).unwrap();
            let rounded = played(&rounded.layers(), network.outputs(), &unseen);
            1.0 - agreement(&exact, &rounded)
        };
        let tuned = fine_tune(&network, &seen, 1, 0).unwrap();
        let [before, after] = [&network, &tuned].map(lost);
        assert!(
            before > 0.15 && after < left * before,
            "{before} lost, then {after}"
        );
        assert_eq!(tuned, fine_tune(&network, &seen, 1, 0).unwrap());
        assert_ne!(tuned, fine_tune(&network, &seen, 2, 0).unwrap());
    }
}

/// Outputs of groups, of vectors, and under a mask: the derivatives of their losses vanish at the teacher's outputs and pull
/// towards them.
#[test]
fn losses_pull_towards_the_teacher() {
    let target = [0.5, -0.5, 1.0, 0.0];
    let outputs = [1.0, -0.5, 0.0, 0.0];
    let heads = [
        HeadWeights::Categorical,
        HeadWeights::MultiDiscrete { sizes: vec![2, 2] },
        HeadWeights::Gaussian {
            log_std: vec![0.0; 4],
        },
        HeadWeights::Deterministic,
    ];
    for head in heads {
        let there = fine_tune::derivative(&head, &target, &target, None);
        assert_eq!(there, [0.0; 4]);
        let found = fine_tune::derivative(&head, &outputs, &target, None);
        assert!(found[0] > 0.0 && found[2] < 0.0, "{head:?}: {found:?}");
    }
    // What is forbidden is not learnt, and what is allowed as if there were nothing else.
    let mask = [true, true, false, false];
    let masked = fine_tune::derivative(&HeadWeights::Categorical, &outputs, &target, Some(&mask));
    let groups = HeadWeights::MultiDiscrete { sizes: vec![2, 2] };
    let group = fine_tune::derivative(&groups, &outputs, &target, None);
    assert_eq!(masked[2..], [0.0; 2]);
    assert_eq!(masked[..2], group[..2]);
}

#[test]
fn scales_meet_what_was_seen() {
    // −1 … 1: 255 lanes a unit, 127 × 2 of them at most.
    let (scale, unit) = input_scale(-1.0, 1.0);
    assert_eq!((scale.multiplier, scale.base, scale.zero), (127, 148, 0));
    assert_eq!(unit.unit, 1.0 / 254.0);
    // 0 or 1: 510 lanes a unit become 127 × 4, half of them below 0.
    let (scale, _) = input_scale(0.0, 1.0);
    assert_eq!((scale.multiplier, scale.base, scale.zero), (127, 147, 254));
    // Far from 0, the zero has 15 bits, and the scale is as coarse as that asks for.
    let (scale, unit) = input_scale(1e6, 1e6 + 1.0);
    assert!(scale.zero > 16_000 && (unit.unit * unit.zero - 1e6).abs() < 1e6 / 16_000.0);
}

#[test]
fn networks_that_whole_numbers_cannot_hold_are_refused() {
    let state = &mut 3;
    let seen = seen(state);
    let mut large = dense(state, 4, 2);
    large.weights.iter_mut().for_each(|weight| *weight *= 1e6);
    let network = |layers| NetworkWeights {
        layers,
        head: HeadWeights::Categorical,
    };
    let first = LayerWeights::Dense(large, Activation::Tanh);
    let last = LayerWeights::Dense(dense(state, 2, 2), Activation::Identity);
    let refused = |layers| IntegerNetwork::new(&network(layers), &seen).unwrap_err();
    assert_eq!(
        refused(vec![first, last]),
        QuantiseError::Range { layer: 0 }
    );
    let recurrent = LayerWeights::Gru(gru(state, 4, 2));
    assert_eq!(refused(vec![recurrent]), QuantiseError::Last);
    let relu = LayerWeights::Dense(dense(state, 4, 2), Activation::Relu);
    assert_eq!(refused(vec![relu]), QuantiseError::Last);
}
