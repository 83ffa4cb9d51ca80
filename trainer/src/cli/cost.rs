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

impl Cost {
    /// The slowest clock by which a step is done before the next one is due, if nothing else had to be done; none where no cycles are
    /// modelled or the task is not periodic.
    pub(super) fn least_clock_hz(&self, period_us: u32) -> Option<u64> {
        let cycles = self.cycles.filter(|_| period_us > 0)?;
        Some((cycles * 1_000_000).div_ceil(u64::from(period_us)))
    }
}

/// A core's coefficients.
struct Model {
    core: &'static str,
    /// Instructions for each layer, panel of recurrent units, multiply-add and evaluation of tanh.
    instructions: [f64; 4],
    /// Cycles for each instruction, multiply-add and evaluation of tanh.
    cycles: Option<[f64; 3]>,
    /// Of an integer image: instructions for each layer, input, row of weights, word of weights and pair of recurrent units.
    integer: [f64; 5],
    /// Of an integer image: cycles for each instruction.
    integer_cycles: Option<f64>,
}

const MODELS: [Model; 5] = [
    Model {
        core: "Cortex-M0",
        instructions: [0.0, 6996.81, 185.0, 2041.88],
        cycles: Some([1.547, 0.0, 0.0]),
        integer: [0.0, 198.75, 68.44, 20.89, 276.78],
        integer_cycles: Some(1.432),
    },
    Model {
        core: "Cortex-M3",
        instructions: [0.0, 3207.56, 116.32, 1210.75],
        cycles: Some([1.451, 0.0, 0.0]),
        integer: [113.07, 89.38, 32.42, 13.29, 232.19],
        integer_cycles: Some(1.586),
    },
    Model {
        core: "Cortex-M4F",
        instructions: [290.29, 288.76, 1.08, 23.07],
        cycles: Some([1.894, 2.144, 0.0]),
        integer: [176.97, 80.74, 15.62, 2.95, 263.58],
        integer_cycles: Some(1.568),
    },
    Model {
        core: "Cortex-M33",
        instructions: [300.44, 286.32, 1.08, 23.09],
        cycles: None,
        integer: [75.08, 89.71, 37.64, 12.91, 259.86],
        integer_cycles: None,
    },
    Model {
        core: "RV32IMAC",
        instructions: [0.0, 3600.93, 105.46, 1061.21],
        cycles: None,
        integer: [12.88, 148.67, 56.73, 17.07, 212.71],
        integer_cycles: None,
    },
];

/// The costs of a step on every core there are counts of.
pub(super) fn of(image: &Image<'_>) -> impl Iterator<Item = Cost> {
    let integer = image.is_integer();
    let (terms, integer_terms, head) = (terms(image), integer_terms(image), head_tanhs(image));
    let [_, _, multiply_adds, activations] = terms;
    MODELS.iter().map(move |model| {
        let (instructions, cycles) = if integer {
            // The means of a gaussian head go through the tanh of f32.
            let [.., tanh] = model.instructions;
            let instructions = dot(model.integer, integer_terms) + tanh * head;
            let cycles = model.integer_cycles.map(|cycles| cycles * instructions);
            (instructions, cycles)
        } else {
            let instructions = dot(model.instructions, terms);
            let of = |cycles| dot(cycles, [instructions, multiply_adds, activations]);
            (instructions, model.cycles.map(of))
        };
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
            "least_clock_hz": cost.least_clock_hz(image.period_us()),
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
    activations += head_tanhs(image) as usize;
    [layers, panels, image.multiply_adds() as usize, activations].map(|term| term as f64)
}

/// The terms of an integer image: layers, inputs, rows of weights, words of weights (two rows by two inputs each), pairs of recurrent
/// units. Rows, inputs and units are padded to even numbers.
fn integer_terms(image: &Image<'_>) -> [f64; 5] {
    let (mut layers, mut rows, mut words, mut pairs) = (0, 0, 0, 0);
    for layer in image.layers() {
        layers += 1;
        let (inputs, outputs) = (layer.inputs.div_ceil(2), layer.outputs.div_ceil(2));
        match layer.kind {
            LayerKind::IntegerDense(_) => {
                rows += 2 * outputs;
                words += outputs * inputs;
            }
            LayerKind::IntegerGru => {
                // Of two units the gates' four rows over inputs and state, and two over each for n.
                rows += 8 * outputs;
                words += 3 * outputs * (inputs + outputs);
                pairs += outputs;
            }
            LayerKind::Quantise | LayerKind::Dense(_) | LayerKind::Gru => {}
        }
    }
    [layers, image.observation_len(), rows, words, pairs].map(|term| term as f64)
}

/// Evaluations of tanh by the head: one a dimension of a gaussian one.
fn head_tanhs(image: &Image<'_>) -> f64 {
    match image.head() {
        Head::Gaussian { log_std } => log_std.len() as f64,
        _ => 0.0,
    }
}

fn dot<const N: usize>(a: [f64; N], b: [f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use consort_runtime::{
        AlignedBytes, GruRepr, ImageRepr, InputScale, IntegerDenseRepr, IntegerGruRepr, LayerRepr,
        QuantiseRepr, TeamId,
    };

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
        // docs/device.md: 9,791 instructions and 27,893 cycles; the fit is within a twentieth of both.
        let near = |found: u64, counted: f64| (found as f64 / counted - 1.0).abs() < 0.05;
        assert!(near(m4f.instructions, 9791.0), "{}", m4f.instructions);
        assert!(near(m4f.cycles.unwrap(), 27893.0), "{:?}", m4f.cycles);
        let m33 = costs.iter().find(|cost| cost.core == "Cortex-M33").unwrap();
        assert_eq!(m33.cycles, None);
    }

    #[test]
    fn a_clock_takes_a_step_in_a_period() {
        let cost = |cycles| Cost {
            core: "Cortex-M0",
            instructions: 1,
            cycles,
        };
        // Ten steps a second.
        assert_eq!(
            cost(Some(4_800_001)).least_clock_hz(100_000),
            Some(48_000_010)
        );
        // Rounded up: a third of a step a microsecond.
        assert_eq!(cost(Some(1)).least_clock_hz(3), Some(333_334));
        assert_eq!(cost(Some(4_800_001)).least_clock_hz(0), None);
        assert_eq!(cost(None).least_clock_hz(100_000), None);
    }

    /// The same policy in whole numbers.
    #[test]
    fn the_model_is_near_what_was_counted_of_whole_numbers() {
        const BYTES: usize = 10_000;
        let scale = InputScale {
            multiplier: 85,
            base: 149,
            zero: 0,
        };
        let (weights, biases, multipliers) = ([0; 3 * 32 * 32], [0; 4 * 32], [1; 4 * 32]);
        let layers = [
            LayerRepr::Quantise(QuantiseRepr {
                scales: &[scale; 13],
            }),
            LayerRepr::IntegerGru(IntegerGruRepr {
                inputs: 13,
                hidden: 32,
                shifts: [12; 3],
                input: &weights[..3 * 32 * 13],
                recurrent: &weights,
                biases: &biases,
                multipliers: &multipliers,
            }),
            LayerRepr::IntegerDense(IntegerDenseRepr {
                inputs: 32,
                outputs: 4,
                activation: Activation::Identity,
                shift: 8,
                exponent: 0,
                weights: &weights[..4 * 32],
                biases: &biases[..4],
                multipliers: &multipliers[..4],
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
        // 8 rows a pair of units and 4 of the head; 16 (2 (7 + 16) + 7 + 16) + 2 * 16 words.
        assert_eq!(integer_terms(&image), [3.0, 13.0, 132.0, 1136.0, 16.0]);
        let costs: Vec<_> = of(&image).collect();
        // docs/device.md: counted on the M0 and the M4F; the fit is within a tenth.
        for (core, counted, cycles) in [
            ("Cortex-M0", 40_547.0, 58_540.0),
            ("Cortex-M4F", 10_992.0, 17_136.0),
        ] {
            let cost = costs.iter().find(|cost| cost.core == core).unwrap();
            let near = |found: u64, counted: f64| (found as f64 / counted - 1.0).abs() < 0.1;
            assert!(
                near(cost.instructions, counted),
                "{core}: {}",
                cost.instructions
            );
            assert!(
                near(cost.cycles.unwrap(), cycles),
                "{core}: {:?}",
                cost.cycles
            );
        }
    }
}
