//! From a network in `f32` to one in whole numbers: int8 weights, and scales that its own rollouts ask for.
//!
//! Every row of weights has a unit of its own, α, so that its largest weight is 127 of them or a little
//! less; α is a whole number of 2⁻ˢ times the unit of what the row gives, because that number, 1 to 255, is
//! the row's multiplier. So multipliers have few bits and cost no accuracy: the weights are rounded in the
//! unit that they will be multiplied by. Inputs of the first layer have a scale and a zero each, hidden
//! outputs that no activation bounds a scale each; both come from the extremes that were seen.

mod compare;
mod fine_tune;
mod forward;
mod gradient;
mod real;
mod rows;

use consort_runtime::{
    Activation, InputScale, IntegerDenseRepr, IntegerGruRepr, LayerRepr, QuantiseRepr,
};

pub use compare::{Comparison, TOLERATED, compare};
pub use fine_tune::fine_tune;

use crate::net::{DenseWeights, GruWeights, HeadWeights, LayerWeights, NetworkWeights};
use crate::team::Seen;
use forward::Ranges;
use rows::{Row, Scaled, scale};

/// Steps of the team's own episodes by which its networks are calibrated, drawn and greedy ones each.
pub const CALIBRATION_STEPS: usize = 4_096;

/// Why a network cannot be one in whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum QuantiseError {
    /// A layer's weights are so large that one unit of them is more than one of what the layer gives.
    #[error("layer {layer}: its weights are too large for whole numbers")]
    Range {
        /// The layer, counted without the quantising one.
        layer: usize,
    },
    /// An image that ends in a recurrent layer or an activation gives no whole numbers to act by.
    #[error(
        "the last layer is recurrent or ends in an activation (MADDPG's vectors end in tanh), expected a dense \
         layer without one; such a team is exported with --precision f32"
    )]
    Last,
}

/// A network in whole numbers.
#[derive(Clone, Debug)]
pub struct IntegerNetwork {
    scales: Vec<InputScale>,
    /// What the lanes mean that reach each layer.
    lanes: Vec<Vec<Unit>>,
    layers: Vec<IntegerLayer>,
    head: HeadWeights,
    outputs: usize,
}

#[derive(Clone, Debug)]
enum IntegerLayer {
    Dense {
        inputs: usize,
        outputs: usize,
        activation: Activation,
        exponent: u8,
        rows: Scaled,
        /// What one of a row's results counts.
        arguments: Vec<f64>,
    },
    Gru {
        inputs: usize,
        hidden: usize,
        shifts: [u8; 3],
        input: Vec<i8>,
        recurrent: Vec<i8>,
        biases: Vec<i32>,
        multipliers: Vec<u8>,
    },
}

/// What a value means: unit × (lane + zero).
#[derive(Clone, Copy, Debug)]
struct Unit {
    unit: f64,
    zero: f64,
}

/// The unit of what tanh, a sigmoid or a state gives.
const BOUNDED: Unit = Unit {
    unit: 1.0 / 256.0,
    zero: 0.0,
};
/// Units of the arguments of tables.
const TANH_ARGUMENT: f64 = 1.0 / 512.0;
const SIGMOID_ARGUMENT: f64 = 1.0 / 256.0;

impl IntegerNetwork {
    /// Calibrates `network` on what its agent saw.
    ///
    /// # Errors
    /// [`QuantiseError`], which no network that training keeps in bounds gives.
    pub fn new(network: &NetworkWeights, seen: &[Seen]) -> Result<Self, QuantiseError> {
        Self::within(network, &Ranges::of(network, seen))
    }

    /// The network in whole numbers whose lanes lie within `ranges`.
    fn within(network: &NetworkWeights, ranges: &Ranges) -> Result<Self, QuantiseError> {
        let (scales, mut units): (Vec<_>, Vec<_>) = ranges
            .inputs
            .iter()
            .map(|&[low, high]| input_scale(low, high))
            .unzip();
        let last = network.layers.len() - 1;
        let (mut layers, mut lanes) = (Vec::new(), Vec::new());
        for (index, layer) in network.layers.iter().enumerate() {
            let range = QuantiseError::Range { layer: index };
            let (integer, given) = match layer {
                LayerWeights::Dense(dense, activation) if index == last => {
                    let (Activation::Identity, true) = (*activation, index == last) else {
                        return Err(QuantiseError::Last);
                    };
                    (output(dense, &units).ok_or(range)?, Vec::new())
                }
                LayerWeights::Gru(_) if index == last => return Err(QuantiseError::Last),
                LayerWeights::Dense(dense, activation) => {
                    hidden(dense, *activation, &units, &ranges.outputs[index]).ok_or(range)?
                }
                LayerWeights::Gru(gru) => (
                    recurrent(gru, &units).ok_or(range)?,
                    vec![BOUNDED; gru.hidden],
                ),
            };
            layers.push(integer);
            lanes.push(std::mem::replace(&mut units, given));
        }
        Ok(Self {
            scales,
            lanes,
            layers,
            head: network.head.clone(),
            outputs: network.outputs(),
        })
    }

    /// What its head is, and how many values it takes.
    pub fn head(&self) -> (&HeadWeights, usize) {
        (&self.head, self.outputs)
    }

    /// Its layers as an image says them.
    pub fn layers(&self) -> Vec<LayerRepr<'_>> {
        let first = LayerRepr::Quantise(QuantiseRepr {
            scales: &self.scales,
        });
        std::iter::once(first)
            .chain(self.layers.iter().map(IntegerLayer::repr))
            .collect()
    }
}

impl IntegerLayer {
    fn repr(&self) -> LayerRepr<'_> {
        match self {
            Self::Dense {
                inputs,
                outputs,
                activation,
                exponent,
                rows,
                ..
            } => LayerRepr::IntegerDense(IntegerDenseRepr {
                inputs: *inputs,
                outputs: *outputs,
                activation: *activation,
                shift: rows.shift,
                exponent: *exponent,
                weights: &rows.weights,
                biases: &rows.biases,
                multipliers: &rows.multipliers,
            }),
            Self::Gru {
                inputs,
                hidden,
                shifts,
                input,
                recurrent,
                biases,
                multipliers,
            } => LayerRepr::IntegerGru(IntegerGruRepr {
                inputs: *inputs,
                hidden: *hidden,
                shifts: *shifts,
                input,
                recurrent,
                biases,
                multipliers,
            }),
        }
    }
}

/// The scale of an input that was seen between `low` and `high`, and what its lanes mean.
fn input_scale(low: f32, high: f32) -> (InputScale, Unit) {
    let (low, high) = (f64::from(low), f64::from(high));
    let (centre, half) = ((low + high) / 2.0, (high - low) / 2.0);
    // What never changed is as large as it was; what was always 0 may be 1.
    let half = match (half > 0.0, centre == 0.0) {
        (true, _) => half,
        (false, false) => centre.abs(),
        (false, true) => 1.0,
    };
    let most = (255.0 / half).min(if centre == 0.0 {
        f64::MAX
    } else {
        32_767.0 / centre.abs()
    });
    let most = most.clamp(2.0_f64.powi(-110), 2.0_f64.powi(110));
    let exponent = (most / 64.0).log2().floor();
    let multiplier = (most / exponent.exp2()).floor().clamp(64.0, 127.0);
    let scale = multiplier * exponent.exp2();
    let zero = (centre * scale).round();
    (
        InputScale {
            multiplier: multiplier as u8,
            base: (149.0 - exponent) as u16,
            zero: zero as i16,
        },
        Unit {
            unit: 1.0 / scale,
            zero,
        },
    )
}

/// A layer between others, and what its lanes mean. `ranges`: the least and the most every output was.
fn hidden(
    dense: &DenseWeights,
    activation: Activation,
    units: &[Unit],
    ranges: &[[f32; 2]],
) -> Option<(IntegerLayer, Vec<Unit>)> {
    let most: Vec<f64> = (ranges.iter())
        .map(|[low, high]| f64::from(low.abs().max(high.abs())))
        .collect();
    let rows = dense_rows(dense, units);
    // An output that was hardly ever anything has no finer unit than an eighth of what one lane of its
    // largest input changes.
    let own = |(most, row): (&f64, &Row)| (most / 255.0).max(16.0 * row.least_unit());
    let (exponent, arguments, given) = match activation {
        Activation::Identity | Activation::Relu => {
            let units: Vec<f64> = most.iter().zip(&rows).map(own).collect();
            let given = units.iter().map(|&unit| Unit { unit, zero: 0.0 });
            (0, units.clone(), given.collect())
        }
        Activation::Tanh => (
            0,
            vec![TANH_ARGUMENT; most.len()],
            vec![BOUNDED; most.len()],
        ),
        Activation::Sigmoid => (
            0,
            vec![SIGMOID_ARGUMENT; most.len()],
            vec![BOUNDED; most.len()],
        ),
        Activation::Silu => {
            let largest = most
                .iter()
                .copied()
                .fold(f64::MIN_POSITIVE.sqrt(), f64::max);
            let exponent = (largest / 255.0).log2().ceil() + 23.0;
            let exponent = exponent.clamp(8.0, 27.0);
            let unit = (exponent - 23.0).exp2();
            let given = vec![Unit { unit, zero: 0.0 }; most.len()];
            (exponent as u8, vec![SIGMOID_ARGUMENT; most.len()], given)
        }
    };
    let rows = scale(&rows, &arguments)?;
    let layer = IntegerLayer::Dense {
        inputs: dense.inputs,
        outputs: dense.outputs,
        activation,
        exponent,
        rows,
        arguments,
    };
    Some((layer, given))
}

/// The last layer, whose outputs have the finest unit 2⁻ᵉ that leaves a shift of 8.
fn output(dense: &DenseWeights, units: &[Unit]) -> Option<IntegerLayer> {
    let rows = dense_rows(dense, units);
    let coarsest = rows
        .iter()
        .map(Row::least_unit)
        .fold(f64::MIN_POSITIVE, f64::max);
    let exponent = (-(coarsest * 256.0 / 255.0 * 1.001).log2())
        .floor()
        .clamp(0.0, 100.0);
    // Where a sum could overflow in that unit, a coarser one is taken.
    (0..=exponent as u8).rev().take(12).find_map(|exponent| {
        let arguments = vec![(-f64::from(exponent)).exp2(); dense.outputs];
        let rows = scale(&rows, &arguments)?;
        Some(IntegerLayer::Dense {
            inputs: dense.inputs,
            outputs: dense.outputs,
            activation: Activation::Identity,
            exponent,
            rows,
            arguments,
        })
    })
}

fn dense_rows(dense: &DenseWeights, units: &[Unit]) -> Vec<Row> {
    let rows = dense.weights.chunks_exact(dense.inputs);
    (rows.zip(&dense.biases))
        .map(|(weights, &bias)| Row::new(f64::from(bias), [(weights, units)]))
        .collect()
}

fn recurrent(gru: &GruWeights, units: &[Unit]) -> Option<IntegerLayer> {
    let (inputs, hidden) = (gru.inputs, gru.hidden);
    let state = vec![BOUNDED; hidden];
    let from_input = |row: usize| (&gru.input[row * inputs..][..inputs], units);
    let from_state = |row: usize| (&gru.recurrent[row * hidden..][..hidden], state.as_slice());
    let bias = |row: usize| f64::from(gru.input_bias[row]);
    let gates: Vec<Row> = (0..2 * hidden)
        .map(|row| Row::new(bias(row), [from_input(row), from_state(row)]))
        .collect();
    let new: Vec<Row> = (2 * hidden..3 * hidden)
        .map(|row| Row::new(bias(row), [from_input(row)]))
        .collect();
    let product: Vec<Row> = (0..hidden)
        .map(|unit| {
            let bias = f64::from(gru.recurrent_bias_n[unit]);
            Row::new(bias, [from_state(2 * hidden + unit)])
        })
        .collect();
    let gates = scale(&gates, &vec![SIGMOID_ARGUMENT; 2 * hidden])?;
    let new = scale(&new, &vec![TANH_ARGUMENT; hidden])?;
    let product = scale(&product, &vec![TANH_ARGUMENT; hidden])?;
    let (mut input, mut recurrent) = (Vec::new(), Vec::new());
    for row in gates.weights.chunks_exact(inputs + hidden) {
        let (own, from_state) = row.split_at(inputs);
        input.extend(own);
        recurrent.extend(from_state);
    }
    input.extend(&new.weights);
    recurrent.extend(&product.weights);
    Some(IntegerLayer::Gru {
        inputs,
        hidden,
        shifts: [gates.shift, new.shift, product.shift],
        input,
        recurrent,
        biases: [gates.biases, new.biases, product.biases].concat(),
        multipliers: [gates.multipliers, new.multipliers, product.multipliers].concat(),
    })
}

#[cfg(test)]
mod tests;
