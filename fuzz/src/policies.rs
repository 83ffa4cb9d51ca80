//! Images of random shape: every kind of layer and head, in `f32` or in whole numbers, some with a shared seed.

use std::iter::repeat_with;

use chacha20::ChaCha8Rng;
use consort_runtime::{
    Activation, DenseRepr, GruRepr, Head, ImageRepr, InputScale, IntegerDenseRepr, IntegerGruRepr,
    LayerRepr, Per, QuantiseRepr, Seeding, TeamId,
};
use rand_core::Rng;

use crate::{below, one_of};

/// An image whose numbers `number` makes, where they are not whole.
pub(crate) fn policy(rng: &mut ChaCha8Rng, number: fn(&mut ChaCha8Rng) -> f32) -> Vec<u8> {
    let observations = 1 + below(rng, 5);
    let integer = below(rng, 3) == 0;
    let mut shapes = Vec::new();
    let (mut width, count) = (observations, 1 + below(rng, 4));
    for index in 0..count {
        let shape = Shape {
            // An integer image ends in a dense layer.
            recurrent: below(rng, 3) == 0 && !(integer && index + 1 == count),
            inputs: width,
            outputs: 1 + below(rng, 17),
            activation: match integer && index + 1 == count {
                true => Activation::Identity,
                false => one_of(rng, &Activation::ALL),
            },
        };
        width = shape.outputs;
        shapes.push(shape);
    }
    let log_std = finite(rng, number, width);
    let sizes = groups(rng, width);
    let head = match below(rng, 4) {
        0 => Head::Categorical { actions: width },
        1 => Head::Deterministic { outputs: width },
        2 => Head::Gaussian { log_std: &log_std },
        _ => Head::MultiDiscrete { sizes: &sizes },
    };
    let seeding = (observations >= 2 && below(rng, 4) == 0).then(|| Seeding {
        symbols: 2 + below(rng, observations - 1) as u8,
        per: one_of(rng, &[Per::Step, Per::Episode]),
    });
    if integer {
        let scales: Vec<InputScale> = repeat_with(|| InputScale {
            multiplier: 64 + below(rng, 64) as u8,
            base: 32 + below(rng, 480) as u16,
            zero: rng.next_u32() as i16,
        })
        .take(observations)
        .collect();
        let parameters: Vec<Whole> = (shapes.iter())
            .map(|shape| shape.whole_numbers(rng))
            .collect();
        let mut layers = vec![LayerRepr::Quantise(QuantiseRepr { scales: &scales })];
        layers.extend(parameters.iter().zip(&shapes).enumerate().map(
            |(index, (parameters, shape))| shape.integer(parameters, index + 1 == shapes.len()),
        ));
        return emit(rng, head, seeding, &layers);
    }
    let parameters: Vec<[Vec<f32>; 4]> = (shapes.iter())
        .map(|shape| shape.counts().map(|count| finite(rng, number, count)))
        .collect();
    let layers: Vec<LayerRepr<'_>> = (shapes.iter().zip(&parameters))
        .map(|(shape, parameters)| shape.float(parameters))
        .collect();
    emit(rng, head, seeding, &layers)
}

fn emit(
    rng: &mut ChaCha8Rng,
    head: Head<'_>,
    seeding: Option<Seeding>,
    layers: &[LayerRepr<'_>],
) -> Vec<u8> {
    let repr = ImageRepr {
        team: TeamId([0xee; 16]),
        agent: 0,
        agents: 1 + below(rng, 300) as u16,
        revision: rng.next_u32() >> below(rng, 32),
        period_us: rng.next_u32() >> below(rng, 32),
        seeding,
        head,
        layers,
    };
    let mut bytes = vec![0; repr.emitted_len().unwrap() + 64];
    let len = match below(rng, 3) {
        0 => repr.emit_signed(&mut bytes, |_| [0x11; 64]),
        _ => repr.emit(&mut bytes),
    };
    bytes.truncate(len.unwrap());
    bytes
}

/// Sizes of groups that are `total` actions together.
fn groups(rng: &mut ChaCha8Rng, total: usize) -> Vec<u32> {
    let mut sizes = Vec::new();
    let mut left = total;
    while left > 0 {
        let size = 1 + below(rng, left);
        sizes.push(size as u32);
        left -= size;
    }
    sizes
}

fn finite(rng: &mut ChaCha8Rng, number: fn(&mut ChaCha8Rng) -> f32, count: usize) -> Vec<f32> {
    repeat_with(|| number(rng))
        .filter(|value| value.is_finite())
        .take(count)
        .collect()
}

/// A layer to make.
struct Shape {
    recurrent: bool,
    inputs: usize,
    outputs: usize,
    /// Of a dense one.
    activation: Activation,
}

/// An integer layer's numbers.
struct Whole {
    weights: Vec<i8>,
    recurrent: Vec<i8>,
    biases: Vec<i32>,
    multipliers: Vec<u8>,
    shifts: [u8; 3],
    exponent: u8,
}

impl Shape {
    /// Values of weights, recurrent weights, biases, recurrent biases.
    fn counts(&self) -> [usize; 4] {
        let (inputs, outputs) = (self.inputs, self.outputs);
        match self.recurrent {
            true => [
                3 * outputs * inputs,
                3 * outputs * outputs,
                3 * outputs,
                outputs,
            ],
            false => [outputs * inputs, 0, outputs, 0],
        }
    }

    fn float<'a>(
        &self,
        [weights, recurrent, biases, recurrent_biases]: &'a [Vec<f32>; 4],
    ) -> LayerRepr<'a> {
        match self.recurrent {
            true => LayerRepr::Gru(GruRepr {
                inputs: self.inputs,
                hidden: self.outputs,
                input: weights,
                recurrent,
                input_bias: biases,
                recurrent_bias_n: recurrent_biases,
            }),
            false => LayerRepr::Dense(DenseRepr {
                inputs: self.inputs,
                outputs: self.outputs,
                activation: self.activation,
                weights,
                biases,
            }),
        }
    }

    /// Numbers of which no sum overflows: 34 weights of 127 make 256 × 4,318 at most, which with a bias of four
    /// millions and 255 times is below 2³¹ less the half of 2³⁰.
    fn whole_numbers(&self, rng: &mut ChaCha8Rng) -> Whole {
        let weight = |rng: &mut ChaCha8Rng| match below(rng, 4) {
            0 => one_of(rng, &[-127, 127]),
            _ => (below(rng, 255) as i32 - 127) as i8,
        };
        let [weights, recurrent, biases, more_biases] = self.counts();
        let rows = biases + more_biases;
        Whole {
            weights: repeat_with(|| weight(rng)).take(weights).collect(),
            recurrent: repeat_with(|| weight(rng)).take(recurrent).collect(),
            biases: repeat_with(|| below(rng, 8_000_001) as i32 - 4_000_000)
                .take(rows)
                .collect(),
            multipliers: repeat_with(|| 1 + below(rng, 255) as u8)
                .take(rows)
                .collect(),
            shifts: [(); 3].map(|()| 8 + below(rng, 23) as u8),
            exponent: below(rng, 101) as u8,
        }
    }

    fn integer<'a>(&self, parameters: &'a Whole, last: bool) -> LayerRepr<'a> {
        let Whole {
            weights,
            recurrent,
            biases,
            multipliers,
            shifts,
            exponent,
        } = parameters;
        match self.recurrent {
            true => LayerRepr::IntegerGru(IntegerGruRepr {
                inputs: self.inputs,
                hidden: self.outputs,
                shifts: *shifts,
                input: weights,
                recurrent,
                biases,
                multipliers,
            }),
            false => LayerRepr::IntegerDense(IntegerDenseRepr {
                inputs: self.inputs,
                outputs: self.outputs,
                activation: self.activation,
                shift: shifts[0],
                exponent: match (last, self.activation) {
                    (true, _) => *exponent,
                    (false, Activation::Silu) => 8 + exponent % 20,
                    (false, _) => 0,
                },
                weights,
                biases,
                multipliers,
            }),
        }
    }
}
