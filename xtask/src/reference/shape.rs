//! The layers of reference policies, and the numbers that they are made of.

use consort_runtime::{
    Activation, DenseRepr, GruRepr, IntegerDenseRepr, IntegerGruRepr, LayerRepr,
};

use Activation::Silu;
use Shape::{Dense, Gru};

/// A layer to make.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Dense(usize, Activation),
    Gru(usize),
}

impl Shape {
    pub(super) fn outputs(&self) -> usize {
        match *self {
            Dense(outputs, _) | Gru(outputs) => outputs,
        }
    }

    /// Weights, recurrent weights, biases, recurrent biases: as many as the layer has of each.
    pub(super) fn parameters(&self, inputs: usize, numbers: &mut Numbers) -> [Vec<f32>; 4] {
        let scale = 1.5 / (inputs as f32).sqrt();
        match *self {
            Dense(outputs, _) => [
                numbers.take(outputs * inputs, scale),
                Vec::new(),
                numbers.take(outputs, 0.5),
                Vec::new(),
            ],
            Gru(hidden) => [
                numbers.take(3 * hidden * inputs, scale),
                numbers.take(3 * hidden * hidden, 1.5 / (hidden as f32).sqrt()),
                numbers.take(3 * hidden, 0.5),
                numbers.take(hidden, 0.5),
            ],
        }
    }

    pub(super) fn repr<'a>(
        &self,
        inputs: usize,
        [weights, recurrent, biases, recurrent_biases]: &'a [Vec<f32>; 4],
    ) -> LayerRepr<'a> {
        match *self {
            Dense(outputs, activation) => LayerRepr::Dense(DenseRepr {
                inputs,
                outputs,
                activation,
                weights,
                biases,
            }),
            Gru(hidden) => LayerRepr::Gru(GruRepr {
                inputs,
                hidden,
                input: weights,
                recurrent,
                input_bias: biases,
                recurrent_bias_n: recurrent_biases,
            }),
        }
    }

    /// The same layer's whole numbers. Weights are drawn between −scale and scale, which become −127 and 127; a
    /// bias of 0.5 is as much as half of the sum's unit.
    pub(super) fn integers(
        &self,
        inputs: usize,
        [weights, recurrent, biases, more_biases]: &[Vec<f32>; 4],
    ) -> Integers {
        let whole = |values: &[f32], most: f32| -> Vec<i32> {
            let largest = values
                .iter()
                .fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            values
                .iter()
                .map(|value| (value / largest * most) as i32)
                .collect()
        };
        let weights_of = |values: &[f32]| {
            whole(values, 127.0)
                .into_iter()
                .map(|value| value as i8)
                .collect()
        };
        let biases: Vec<f32> = biases.iter().chain(more_biases).copied().collect();
        let multipliers = biases
            .iter()
            .enumerate()
            .map(|(row, _)| 128 + (row * 37 % 128) as u8);
        // Of so many weights and lanes, both drawn evenly, a sum spreads by about 73 × 148 × √inputs: so many
        // bits, and 8 of a multiplier, less the 9 of a table's unit.
        let bits = (73.0 * 148.0 * (inputs as f32).sqrt()).log2() as u8;
        Integers {
            weights: weights_of(weights),
            recurrent: weights_of(recurrent),
            multipliers: multipliers.collect(),
            biases: whole(&biases, 20_000.0),
            shift: bits + 8 - 9,
        }
    }

    pub(super) fn integer_repr<'a>(
        &self,
        inputs: usize,
        integers: &'a Integers,
        last: bool,
    ) -> LayerRepr<'a> {
        let Integers {
            weights,
            recurrent,
            biases,
            multipliers,
            shift,
        } = integers;
        match *self {
            Dense(outputs, activation) => LayerRepr::IntegerDense(IntegerDenseRepr {
                inputs,
                outputs,
                activation,
                shift: *shift,
                exponent: match (last, activation) {
                    (true, _) => 8,
                    (false, Silu) => 17,
                    _ => 0,
                },
                weights,
                biases,
                multipliers,
            }),
            Gru(hidden) => LayerRepr::IntegerGru(IntegerGruRepr {
                inputs,
                hidden,
                shifts: [*shift, *shift, *shift + 1],
                input: weights,
                recurrent,
                biases,
                multipliers,
            }),
        }
    }
}

/// A layer's whole numbers.
pub(super) struct Integers {
    weights: Vec<i8>,
    recurrent: Vec<i8>,
    biases: Vec<i32>,
    multipliers: Vec<u8>,
    shift: u8,
}

/// A linear congruential generator: the same policies for ever.
pub(super) struct Numbers(pub(super) u32);

impl Numbers {
    /// Numbers between −scale and scale.
    pub(super) fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            scale * ((self.0 >> 8) as f32 / 8_388_608.0 - 1.0)
        };
        (0..count).map(|_| next()).collect()
    }
}
