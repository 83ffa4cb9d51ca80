use consort_runtime::{Head, Image, ImageRepr, Policy, TeamId};

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
    (0..400)
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

/// The largest difference of an output between the network and its image in whole numbers, and the
/// outputs' largest magnitude.
fn worst(network: &NetworkWeights, seen: &[Seen]) -> [f32; 2] {
    let images = [false, true].map(|integer| {
        let rounded = integer.then(|| IntegerNetwork::new(network, seen).unwrap());
        let layers = match &rounded {
            Some(rounded) => rounded.layers(),
            None => network.layers.iter().map(crate::export::layer).collect(),
        };
        let repr = ImageRepr {
            team: TeamId([0; 16]),
            agent: 0,
            agents: 1,
            revision: 1,
            period_us: 0,
            seeding: None,
            head: Head::Deterministic {
                outputs: network.outputs(),
            },
            layers: &layers,
        };
        let mut bytes = vec![0; repr.emitted_len().unwrap()];
        repr.emit(&mut bytes).unwrap();
        crate::team::AlignedImage::new(&bytes).unwrap()
    });
    let [exact, rounded] = images
        .each_ref()
        .map(|image| Policy::new(Image::new_checked(image.bytes()).unwrap()));
    let mut memories = [exact, rounded].map(|policy| vec![0.0; policy.image().memory_len()]);
    let mut worst = [0.0_f32; 2];
    for step in seen {
        let [one, other] = &mut memories;
        if step.start {
            exact.reset(one).unwrap();
            rounded.reset(other).unwrap();
        }
        let one = exact.outputs(&step.observation, one).unwrap();
        let other = rounded.outputs(&step.observation, other).unwrap();
        for (&one, &other) in one.iter().zip(&*other) {
            worst = [worst[0].max((one - other).abs()), worst[1].max(one.abs())];
        }
    }
    worst
}

/// Weights are off by at most 1/254 of a row's largest, lanes by 1/512 of what they span: over a few layers
/// of some ten inputs whose errors add up like random ones, outputs stay within 3 % of their largest.
#[test]
fn every_kind_of_layer_stays_near_its_network() {
    for activation in Activation::ALL {
        let state = &mut 1;
        let seen = seen(state);
        let network = NetworkWeights {
            layers: vec![
                LayerWeights::Dense(dense(state, 4, 9), activation),
                LayerWeights::Dense(dense(state, 9, 11), activation),
                LayerWeights::Dense(dense(state, 11, 3), Activation::Identity),
            ],
            head: HeadWeights::Categorical,
        };
        let [error, most] = worst(&network, &seen);
        assert!(error < 0.03 * most, "{activation:?}: {error} of {most}");
    }
    let state = &mut 2;
    let seen = seen(state);
    let network = NetworkWeights {
        layers: vec![
            LayerWeights::Dense(dense(state, 4, 8), Activation::Tanh),
            LayerWeights::Gru(gru(state, 8, 7)),
            LayerWeights::Gru(gru(state, 7, 6)),
            LayerWeights::Dense(dense(state, 6, 5), Activation::Identity),
        ],
        head: HeadWeights::Categorical,
    };
    let [error, most] = worst(&network, &seen);
    assert!(error < 0.03 * most, "recurrent: {error} of {most}");
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
