//! What whole numbers stand for: a network in `f32` that computes what one in whole numbers does, but for the rounding of what
//! flows through it.

use super::{BOUNDED, IntegerLayer, IntegerNetwork, SIGMOID_ARGUMENT, TANH_ARGUMENT, Unit};
use crate::net::{DenseWeights, GruWeights, LayerWeights, NetworkWeights};

/// What a bias is stepped by beside a weight's unit: what a lane in the middle of its range contributes.
const TYPICAL_LANE: f64 = 128.0;

/// A network in whole numbers, in real ones.
pub(super) struct RealNetwork {
    /// What its weights and biases stand for.
    pub(super) network: NetworkWeights,
    /// In the place of every weight what its last digit stands for, in that of a bias what such a digit contributes.
    pub(super) digits: NetworkWeights,
    /// What the lanes mean that reach each layer; of the first they are those of the observation.
    pub(super) lanes: Vec<Vec<Unit>>,
}

impl IntegerNetwork {
    /// What it stands for in real numbers.
    pub(super) fn real(&self) -> RealNetwork {
        let (mut values, mut digits) = (Vec::new(), Vec::new());
        for (layer, lanes) in self.layers.iter().zip(&self.lanes) {
            let (value, digit) = layer.real(lanes);
            values.push(value);
            digits.push(digit);
        }
        let network = |layers| NetworkWeights {
            layers,
            head: self.head.clone(),
        };
        RealNetwork {
            network: network(values),
            digits: network(digits),
            lanes: self.lanes.clone(),
        }
    }
}

impl IntegerLayer {
    /// Its real numbers, and what their last digits stand for.
    fn real(&self, lanes: &[Unit]) -> (LayerWeights, LayerWeights) {
        match self {
            Self::Dense {
                inputs,
                outputs,
                activation,
                rows,
                arguments,
                ..
            } => {
                let mut real = Rows::default();
                for (row, &argument) in arguments.iter().enumerate() {
                    let unit = unit(rows.multipliers[row], rows.shift, argument);
                    let weights = &rows.weights[row * inputs..][..*inputs];
                    real.push(unit, rows.biases[row], &[(weights, lanes)]);
                }
                let dense = |[weights, biases]: [Vec<f32>; 2]| {
                    let dense = DenseWeights {
                        inputs: *inputs,
                        outputs: *outputs,
                        weights,
                        biases,
                    };
                    LayerWeights::Dense(dense, *activation)
                };
                (dense(real.values), dense(real.digits))
            }
            Self::Gru {
                inputs,
                hidden,
                shifts: [of_gates, of_new, of_recurrent],
                input,
                recurrent,
                biases,
                multipliers,
            } => {
                let state = vec![BOUNDED; *hidden];
                let from_input = |row: usize| (&input[row * inputs..][..*inputs], lanes);
                let from_state = |row: usize| (&recurrent[row * hidden..][..*hidden], &state[..]);
                // The rows of both matrices; the last gate's have scales of their own.
                let (mut of_input, mut of_state) = (Rows::default(), Rows::default());
                for row in 0..2 * hidden {
                    let unit = unit(multipliers[row], *of_gates, SIGMOID_ARGUMENT);
                    of_input.push(unit, biases[row], &[from_input(row)]);
                    of_state.push(unit, 0, &[from_state(row)]);
                }
                for row in 2 * hidden..3 * hidden {
                    let unit = unit(multipliers[row], *of_new, TANH_ARGUMENT);
                    of_input.push(unit, biases[row], &[from_input(row)]);
                }
                for row in 2 * hidden..3 * hidden {
                    let place = row + hidden;
                    let unit = unit(multipliers[place], *of_recurrent, TANH_ARGUMENT);
                    of_state.push(unit, biases[place], &[from_state(row)]);
                }
                let gru = |[input, input_bias]: [Vec<f32>; 2], [recurrent, bias]: [Vec<f32>; 2]| {
                    LayerWeights::Gru(GruWeights {
                        inputs: *inputs,
                        hidden: *hidden,
                        input,
                        recurrent,
                        input_bias,
                        recurrent_bias_n: bias[2 * hidden..].to_vec(),
                    })
                };
                (
                    gru(of_input.values, of_state.values),
                    gru(of_input.digits, of_state.digits),
                )
            }
        }
    }
}

/// What one of a row's whole numbers contributes a lane, in what the row's sum is counted in.
fn unit(multiplier: u8, shift: u8, argument: f64) -> f64 {
    f64::from(multiplier) * (-f64::from(shift)).exp2() * argument
}

/// Rows of weights and their biases, and what their digits stand for.
#[derive(Default)]
struct Rows {
    values: [Vec<f32>; 2],
    digits: [Vec<f32>; 2],
}

impl Rows {
    /// Adds a row of whole numbers whose products with lanes count `unit`.
    fn push(&mut self, unit: f64, bias: i32, parts: &[(&[i8], &[Unit])]) {
        let mut constant = f64::from(bias);
        for &(weights, lanes) in parts {
            for (&weight, lane) in weights.iter().zip(lanes) {
                let weight = f64::from(weight);
                constant -= weight * lane.zero;
                self.values[0].push((unit * weight / lane.unit) as f32);
                self.digits[0].push((unit / lane.unit) as f32);
            }
        }
        self.values[1].push((unit * constant) as f32);
        self.digits[1].push((unit * TYPICAL_LANE) as f32);
    }
}
