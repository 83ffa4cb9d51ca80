//! A network's values along what was seen: between which of them its lanes must lie.

use consort_runtime::Activation;

use crate::net::{DenseWeights, GruWeights, LayerWeights, NetworkWeights};
use crate::team::Seen;

/// The least and the most of values.
pub(super) struct Ranges {
    /// Of every input.
    pub(super) inputs: Vec<[f32; 2]>,
    /// Of every output of every layer.
    pub(super) outputs: Vec<Vec<[f32; 2]>>,
}

const NOTHING: [f32; 2] = [f32::INFINITY, f32::NEG_INFINITY];

impl Ranges {
    /// Runs `network` over the steps and reads extremes off.
    pub(super) fn of(network: &NetworkWeights, seen: &[Seen]) -> Self {
        let inputs = seen.first().map_or(0, |step| step.observation.len());
        let outputs = network
            .layers
            .iter()
            .map(|layer| vec![NOTHING; layer.outputs()]);
        let mut ranges = Self {
            inputs: vec![NOTHING; inputs],
            outputs: outputs.collect(),
        };
        for step in seen {
            widen(&mut ranges.inputs, &step.observation);
        }
        run(network, seen, |layer, values| {
            widen(&mut ranges.outputs[layer], values);
        });
        ranges
    }
}

/// What `network` gives at every step.
pub(super) fn outputs(network: &NetworkWeights, seen: &[Seen]) -> Vec<Vec<f32>> {
    let last = network.layers.len() - 1;
    let mut outputs = Vec::with_capacity(seen.len());
    run(network, seen, |layer, values| {
        if layer == last {
            outputs.push(values.to_vec());
        }
    });
    outputs
}

/// Runs `network` over the steps, in `f32` and in plain sums, and shows what every layer gives.
fn run(network: &NetworkWeights, seen: &[Seen], mut show: impl FnMut(usize, &[f32])) {
    let mut states: Vec<Vec<f32>> = network
        .layers
        .iter()
        .map(|layer| vec![0.0; layer.outputs()])
        .collect();
    for step in seen {
        if step.start {
            states.iter_mut().for_each(|state| state.fill(0.0));
        }
        let mut values = step.observation.clone();
        for (index, (layer, state)) in network.layers.iter().zip(&mut states).enumerate() {
            values = match layer {
                LayerWeights::Dense(layer, activation) => dense(layer, *activation, &values),
                LayerWeights::Gru(layer) => {
                    *state = gru(layer, &values, state);
                    state.clone()
                }
            };
            show(index, &values);
        }
    }
}

fn widen(ranges: &mut [[f32; 2]], values: &[f32]) {
    for ([low, high], &value) in ranges.iter_mut().zip(values) {
        (*low, *high) = (low.min(value), high.max(value));
    }
}

fn product(matrix: &[f32], vector: &[f32], row: usize) -> f32 {
    let weights = &matrix[row * vector.len()..][..vector.len()];
    weights
        .iter()
        .zip(vector)
        .map(|(weight, value)| weight * value)
        .sum()
}

fn dense(layer: &DenseWeights, activation: Activation, values: &[f32]) -> Vec<f32> {
    let mut outputs: Vec<f32> = (0..layer.outputs)
        .map(|row| layer.biases[row] + product(&layer.weights, values, row))
        .collect();
    activation.apply(&mut outputs);
    outputs
}

fn gru(layer: &GruWeights, values: &[f32], state: &[f32]) -> Vec<f32> {
    let hidden = layer.hidden;
    let gate = |gate: usize, unit: usize| {
        let row = gate * hidden + unit;
        layer.input_bias[row] + product(&layer.input, values, row)
    };
    let back = |gate: usize, unit: usize| product(&layer.recurrent, state, gate * hidden + unit);
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    (0..hidden)
        .map(|unit| {
            let r = sigmoid(gate(0, unit) + back(0, unit));
            let z = sigmoid(gate(1, unit) + back(1, unit));
            let q = layer.recurrent_bias_n[unit] + back(2, unit);
            let n = (gate(2, unit) + r * q).tanh();
            (1.0 - z) * n + z * state[unit]
        })
        .collect()
}
