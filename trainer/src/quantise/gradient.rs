//! A network's values as its image in whole numbers has them, nearly, and the gradient of a loss of its outputs.
//!
//! Weights and biases are the image's own; what flows between layers, arguments and chords of the table, and the states that
//! matrices see are rounded and held as it does. Left out is what is finer by far: a state's rounding to 2⁻¹⁵, and the last layer's
//! to its unit.
//!
//! Backwards, rounding counts as the identity where a value is not held at a limit: the straight-through estimator of Bengio,
//! Léonard and Courville (arXiv:1308.3432).

use std::sync::LazyLock;

use consort_runtime::Activation;

use super::real::RealNetwork;
use super::{BOUNDED, SIGMOID_ARGUMENT, TANH_ARGUMENT, Unit};
use crate::net::{DenseWeights, GruWeights, LayerWeights, NetworkWeights};

/// The arguments that a table has.
const TABLE: f32 = 4096.0;
/// The lanes that there are, and those of what tanh, the logistic function and a state give.
const LANES: [f32; 2] = [-256.0, 255.0];
const BOUNDED_LANES: [f32; 2] = [-256.0, 256.0];

/// What a step of one layer leaves for the way back.
pub(super) enum Trace {
    /// Its inputs, and how much each output changes with its sum.
    Dense {
        input: Vec<f32>,
        slope: Vec<f32>,
    },
    Gru(Box<GruTrace>),
}

/// Of every unit: its state before the step, as it is and as matrices see it, gates, and both parts of n.
pub(super) struct GruTrace {
    input: Vec<f32>,
    state: Vec<f32>,
    seen: Vec<f32>,
    r: Vec<f32>,
    z: Vec<f32>,
    n: Vec<f32>,
    q: Vec<f32>,
}

/// Along an episode: the states of all layers, empty ones of dense layers.
pub(super) type States = Vec<Vec<f32>>;

impl RealNetwork {
    /// The states that an episode begins with.
    pub(super) fn states(&self) -> States {
        let state = |layer: &LayerWeights| match layer {
            LayerWeights::Dense(..) => Vec::new(),
            LayerWeights::Gru(gru) => vec![0.0; gru.hidden],
        };
        self.network.layers.iter().map(state).collect()
    }

    /// A step: the outputs, and in `traces` what every layer leaves for the way back.
    pub(super) fn step(
        &self,
        observation: &[f32],
        states: &mut States,
        traces: &mut Vec<Trace>,
    ) -> Vec<f32> {
        let mut values = self.observed(observation);
        for (index, layer) in self.network.layers.iter().enumerate() {
            // The last layer's outputs are no lanes.
            let lanes = self.lanes.get(index + 1).map(Vec::as_slice);
            let (given, trace) = match layer {
                LayerWeights::Dense(dense, activation) => {
                    dense_step(dense, *activation, lanes, values)
                }
                LayerWeights::Gru(gru) => {
                    gru_step(gru, lanes.is_some(), &mut states[index], values)
                }
            };
            values = given;
            traces.push(trace);
        }
        values
    }

    /// What the first layer sees of an observation.
    fn observed(&self, observation: &[f32]) -> Vec<f32> {
        let lane = |(&value, unit): (&f32, &Unit)| {
            let lane = (f64::from(value) / unit.unit).round() - unit.zero;
            let [low, high] = LANES.map(f64::from);
            (unit.unit * (lane.clamp(low, high) + unit.zero)) as f32
        };
        observation.iter().zip(&self.lanes[0]).map(lane).collect()
    }

    /// The way back along an episode whose steps left `traces`, one a layer and step. Adds to `gradient` that of a loss whose
    /// derivatives with respect to the outputs are `derivatives`, step after step.
    pub(super) fn back(
        &self,
        traces: &[Trace],
        derivatives: &[Vec<f32>],
        gradient: &mut NetworkWeights,
    ) {
        let layers = self.network.layers.len();
        let mut carried = self.states();
        for (traces, derivative) in traces.chunks_exact(layers).zip(derivatives).rev() {
            let mut above = derivative.clone();
            for index in (0..layers).rev() {
                let slot = &mut gradient.layers[index];
                above = match (&self.network.layers[index], &traces[index], slot) {
                    (
                        LayerWeights::Dense(dense, _),
                        Trace::Dense { input, slope },
                        LayerWeights::Dense(slot, _),
                    ) => dense_back(dense, input, slope, &above, slot),
                    (LayerWeights::Gru(gru), Trace::Gru(trace), LayerWeights::Gru(slot)) => {
                        gru_back(gru, trace, &above, &mut carried[index], slot)
                    }
                    _ => unreachable!("a trace and a gradient have the network's layers"),
                };
            }
        }
    }
}

/// The nearest whole number, the upper one of two, as shifts round.
fn nearest(x: f32) -> f32 {
    (x + 0.5).floor()
}

/// A value as a lane of that unit holds it, of `limits`, and whether it lies within them.
fn held(value: f32, unit: f64, [low, high]: [f32; 2]) -> (f32, bool) {
    let lane = nearest((f64::from(value) / unit) as f32);
    let within = (low..=high).contains(&lane);
    ((f64::from(lane.clamp(low, high)) * unit) as f32, within)
}

/// tanh and the logistic function: by the table of integer images, or exact where nothing is rounded.
#[derive(Clone, Copy)]
struct Curves {
    rounded: bool,
}

impl Curves {
    fn tanh(self, x: f32) -> f32 {
        match self.rounded {
            true => chord(x / TANH_ARGUMENT as f32),
            false => x.tanh(),
        }
    }

    fn sigmoid(self, x: f32) -> f32 {
        match self.rounded {
            true => 0.5 + 0.5 * chord(x / SIGMOID_ARGUMENT as f32),
            false => 1.0 / (1.0 + (-x).exp()),
        }
    }

    /// The factor beside silu's logistic function, which is that function's argument.
    fn silu_argument(self, x: f32) -> f32 {
        let unit = SIGMOID_ARGUMENT as f32;
        match self.rounded {
            true => nearest(x / unit).clamp(-TABLE, TABLE - 1.0) * unit,
            false => x,
        }
    }
}

/// tanh(p / 512) by the chords of `docs/image.md`, p rounded and held.
fn chord(p: f32) -> f32 {
    static KNOTS: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let knot = |place: i32| 32_768.0 * (place as f32 / 16.0 - 8.0).tanh();
        let knots = (0..=256).map(|place| knot(place).round().clamp(-32_767.0, 32_767.0));
        knots.map(|knot| knot / 32_768.0).collect()
    });
    let p = nearest(p).clamp(-TABLE, TABLE - 1.0) + TABLE;
    let place = (p / 32.0) as usize;
    let (from, to) = (KNOTS[place], KNOTS[place + 1]);
    from + (p / 32.0).fract() * (to - from)
}

fn dense_step(
    dense: &DenseWeights,
    activation: Activation,
    lanes: Option<&[Unit]>,
    input: Vec<f32>,
) -> (Vec<f32>, Trace) {
    let mut output = dense.biases.clone();
    add_product(&dense.weights, &input, &mut output);
    let mut slope = vec![1.0; output.len()];
    let curves = Curves {
        rounded: lanes.is_some(),
    };
    let mut limits = LANES;
    if let Activation::Tanh | Activation::Sigmoid = activation {
        limits = BOUNDED_LANES;
    }
    for (row, (value, slope)) in output.iter_mut().zip(&mut slope).enumerate() {
        let y = *value;
        (*value, *slope) = match activation {
            Activation::Identity => (y, 1.0),
            Activation::Relu => (y.max(0.0), f32::from(y > 0.0)),
            Activation::Tanh => (curves.tanh(y), 1.0 - y.tanh().powi(2)),
            Activation::Sigmoid => {
                let weight = curves.sigmoid(y);
                (weight, weight * (1.0 - weight))
            }
            Activation::Silu => {
                let y = curves.silu_argument(y);
                let weight = curves.sigmoid(y);
                (y * weight, weight + y * weight * (1.0 - weight))
            }
        };
        if let Some(lanes) = lanes {
            let (lane, within) = held(*value, lanes[row].unit, limits);
            *value = lane;
            *slope *= f32::from(within);
        }
    }
    (output, Trace::Dense { input, slope })
}

fn dense_back(
    dense: &DenseWeights,
    input: &[f32],
    slope: &[f32],
    above: &[f32],
    gradient: &mut DenseWeights,
) -> Vec<f32> {
    let sums: Vec<f32> = above.iter().zip(slope).map(|(a, b)| a * b).collect();
    add(&mut gradient.biases, &sums);
    add_outer(&mut gradient.weights, &sums, input);
    let mut below = vec![0.0; input.len()];
    add_transposed(&dense.weights, &sums, &mut below);
    below
}

fn gru_step(
    gru: &GruWeights,
    rounded: bool,
    state: &mut Vec<f32>,
    input: Vec<f32>,
) -> (Vec<f32>, Trace) {
    let hidden = gru.hidden;
    let lanes = |state: &[f32]| -> Vec<f32> {
        let lane = |&value: &f32| match rounded {
            true => held(value, BOUNDED.unit, BOUNDED_LANES).0,
            false => value,
        };
        state.iter().map(lane).collect()
    };
    let curves = Curves { rounded };
    let seen = lanes(state);
    let mut sums = gru.input_bias.clone();
    add_product(&gru.input, &input, &mut sums);
    let mut back = vec![0.0; 3 * hidden];
    back[2 * hidden..].copy_from_slice(&gru.recurrent_bias_n);
    add_product(&gru.recurrent, &seen, &mut back);
    let gate = |row: usize| curves.sigmoid(sums[row] + back[row]);
    let (r, z): (Vec<f32>, Vec<f32>) = (0..hidden)
        .map(|unit| (gate(unit), gate(hidden + unit)))
        .unzip();
    // Both parts of n's argument are rounded for themselves.
    let part = |x: f32| match rounded {
        true => nearest(x / TANH_ARGUMENT as f32) * TANH_ARGUMENT as f32,
        false => x,
    };
    let q = back.split_off(2 * hidden);
    let q: Vec<f32> = q.into_iter().map(part).collect();
    let n: Vec<f32> = (0..hidden)
        .map(|unit| curves.tanh(part(sums[2 * hidden + unit]) + part(r[unit] * q[unit])))
        .collect();
    let next = (0..hidden).map(|unit| (1.0 - z[unit]) * n[unit] + z[unit] * state[unit]);
    let next: Vec<f32> = next.collect();
    let given = lanes(&next);
    let state = std::mem::replace(state, next);
    let trace = GruTrace {
        input,
        state,
        seen,
        r,
        z,
        n,
        q,
    };
    (given, Trace::Gru(Box::new(trace)))
}

/// `carried`: the derivative with respect to the state behind the step, and then that before it.
fn gru_back(
    gru: &GruWeights,
    trace: &GruTrace,
    above: &[f32],
    carried: &mut Vec<f32>,
    gradient: &mut GruWeights,
) -> Vec<f32> {
    let hidden = gru.hidden;
    // Of the sums from the input and of those from the state: the last gate's differ by r.
    let (mut sums, mut back) = (vec![0.0; 3 * hidden], vec![0.0; 3 * hidden]);
    let mut before = vec![0.0; hidden];
    for unit in 0..hidden {
        let (r, z, n) = (trace.r[unit], trace.z[unit], trace.n[unit]);
        let next = above[unit] + carried[unit];
        before[unit] = next * z;
        let of_new = next * (1.0 - z) * (1.0 - n * n);
        let of_update = next * (trace.state[unit] - n) * z * (1.0 - z);
        let of_reset = of_new * trace.q[unit] * r * (1.0 - r);
        (sums[unit], back[unit]) = (of_reset, of_reset);
        (sums[hidden + unit], back[hidden + unit]) = (of_update, of_update);
        (sums[2 * hidden + unit], back[2 * hidden + unit]) = (of_new, of_new * r);
    }
    add(&mut gradient.input_bias, &sums);
    add(&mut gradient.recurrent_bias_n, &back[2 * hidden..]);
    add_outer(&mut gradient.input, &sums, &trace.input);
    add_outer(&mut gradient.recurrent, &back, &trace.seen);
    add_transposed(&gru.recurrent, &back, &mut before);
    *carried = before;
    let mut below = vec![0.0; trace.input.len()];
    add_transposed(&gru.input, &sums, &mut below);
    below
}

/// `sums` += matrix × `vector`, the matrix row after row.
fn add_product(matrix: &[f32], vector: &[f32], sums: &mut [f32]) {
    for (row, sum) in matrix.chunks_exact(vector.len()).zip(sums) {
        *sum += row.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
    }
}

/// `sums` += matrixᵀ × `vector`.
fn add_transposed(matrix: &[f32], vector: &[f32], sums: &mut [f32]) {
    for (row, &value) in matrix.chunks_exact(sums.len()).zip(vector) {
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += weight * value;
        }
    }
}

/// `matrix` += `column` × `row`.
fn add_outer(matrix: &mut [f32], column: &[f32], row: &[f32]) {
    for (own, &value) in matrix.chunks_exact_mut(row.len()).zip(column) {
        for (slot, x) in own.iter_mut().zip(row) {
            *slot += value * x;
        }
    }
}

fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
