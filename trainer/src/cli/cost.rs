//! What a step is expected to cost on a core: a linear model, fitted to counts in the emulator.
//!
//! `docs/derivations/device.py` fits it to what `cargo xtask bench device` counts, and says what its terms are;
//! `docs/device.md` says how far from the counts it is.

use consort_runtime::{Activation, Head, Image, LayerKind};
use serde_json::{Value, json};

/// What a step costs on one core.
pub(super) struct Cost {
    /// The core's name.
    pub(super) core: &'static str,
    /// Instructions of a step, from observation to action.
    pub(super) instructions: u64,
    /// Cycles by the core's manual, without wait states; none where the manual gives no cycles.
    pub(super) cycles: Option<u64>,
}

/// A core's coefficients.
struct Model {
    core: &'static str,
    /// Instructions for each layer, panel of recurrent units, multiply-add and evaluation of tanh.
    instructions: [f64; 4],
    /// Cycles for each instruction, multiply-add and evaluation of tanh.
    cycles: Option<[f64; 3]>,
}

const MODELS: [Model; 5] = [
    Model {
        core: "Cortex-M0",
        instructions: [0.0, 7132.4, 184.8, 2041.72],
        cycles: Some([1.547, 0.0, 0.0]),
    },
    Model {
        core: "Cortex-M3",
        instructions: [0.0, 3288.83, 116.14, 1211.25],
        cycles: Some([1.451, 0.0, 0.0]),
    },
    Model {
        core: "Cortex-M4F",
        instructions: [310.31, 336.25, 1.05, 23.12],
        cycles: Some([1.86, 2.193, 0.0]),
    },
    Model {
        core: "Cortex-M33",
        instructions: [314.04, 335.44, 1.05, 23.11],
        cycles: None,
    },
    Model {
        core: "RV32IMAC",
        instructions: [0.0, 3666.55, 105.38, 1060.72],
        cycles: None,
    },
];

/// The costs of a step on every core there are counts of; none of an integer image, to whose counts no model
/// is fitted.
pub(super) fn of(image: &Image<'_>) -> impl Iterator<Item = Cost> {
    let terms = terms(image);
    let [_, _, multiply_adds, activations] = terms;
    let models = if image.is_integer() { &[][..] } else { &MODELS };
    models.iter().map(move |model| {
        let instructions = dot(model.instructions, terms);
        let cycles = model
            .cycles
            .map(|cycles| dot(cycles, [instructions, multiply_adds, activations]));
        Cost {
            core: model.core,
            instructions: instructions.round() as u64,
            cycles: cycles.map(|cycles| cycles.round() as u64),
        }
    })
}

/// The costs as JSON: a list, a core each.
pub(super) fn json(image: &Image<'_>) -> Value {
    let cost = |cost: Cost| {
        json!({
            "core": cost.core,
            "instructions": cost.instructions,
            "cycles": cost.cycles,
        })
    };
    of(image).map(cost).collect()
}

/// The model's terms: layers, panels of recurrent units, multiply-adds, evaluations of tanh.
fn terms(image: &Image<'_>) -> [f64; 4] {
    let (mut layers, mut panels, mut activations) = (0, 0, 0);
    for layer in image.layers() {
        layers += 1;
        match layer.kind {
            LayerKind::Dense(Activation::Identity | Activation::Relu) => {}
            LayerKind::Dense(Activation::Tanh | Activation::Sigmoid | Activation::Silu) => {
                activations += layer.outputs;
            }
            LayerKind::Quantise | LayerKind::IntegerDense(_) | LayerKind::IntegerGru => {}
            LayerKind::Gru => {
                // The image format cuts the units into panels of 4, and the rest into one each of 2 and of 1.
                panels += layer.outputs / 4 + (layer.outputs % 4).count_ones() as usize;
                activations += 3 * layer.outputs;
            }
        }
    }
    if let Head::Gaussian { log_std } = image.head() {
        activations += log_std.len();
    }
    [layers, panels, image.multiply_adds() as usize, activations].map(|term| term as f64)
}

fn dot<const N: usize>(a: [f64; N], b: [f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use consort_runtime::{AlignedBytes, GruRepr, ImageRepr, LayerRepr, TeamId};

    use super::*;

    /// The recurrent policy that the bench counts: 13 inputs, 32 units, 4 actions.
    #[test]
    fn the_model_is_near_what_was_counted() {
        const BYTES: usize = 20_000;
        let zeros = [0.0; 3 * 32 * 32];
        let layers = [
            LayerRepr::Gru(GruRepr {
                inputs: 13,
                hidden: 32,
                input: &zeros[..3 * 32 * 13],
                recurrent: &zeros,
                input_bias: &zeros[..3 * 32],
                recurrent_bias_n: &zeros[..32],
            }),
            LayerRepr::Dense(consort_runtime::DenseRepr {
                inputs: 32,
                outputs: 4,
                activation: Activation::Identity,
                weights: &zeros[..4 * 32],
                biases: &zeros[..4],
            }),
        ];
        let repr = ImageRepr {
            team: TeamId([0; 16]),
            agent: 0,
            agents: 1,
            revision: 1,
            period_us: 0,
            seeding: None,
            head: Head::Categorical { actions: 4 },
            layers: &layers,
        };
        let mut buffer = AlignedBytes([0; BYTES]);
        let len = repr.emit(&mut buffer.0).unwrap();
        let image = Image::new_checked(&buffer.0[..len]).unwrap();
        // 8 panels of 4 units; 3 (13 + 32) 32 + 32 * 4 multiply-adds; 3 * 32 evaluations.
        assert_eq!(terms(&image), [2.0, 8.0, 4448.0, 96.0]);
        let costs: Vec<_> = of(&image).collect();
        let [m4f] = costs
            .iter()
            .filter(|cost| cost.core == "Cortex-M4F")
            .collect::<Vec<_>>()[..]
        else {
            panic!("one core is the Cortex-M4F");
        };
        // docs/device.md: 9,738 instructions and 27,731 cycles; the fit is within a twentieth of both.
        let near = |found: u64, counted: f64| (found as f64 / counted - 1.0).abs() < 0.05;
        assert!(near(m4f.instructions, 9738.0), "{}", m4f.instructions);
        assert!(near(m4f.cycles.unwrap(), 27731.0), "{:?}", m4f.cycles);
        let m33 = costs.iter().find(|cost| cost.core == "Cortex-M33").unwrap();
        assert_eq!(m33.cycles, None);
    }
}
