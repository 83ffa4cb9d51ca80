//! Integer images: against a plain reading of `docs/image.md` in wide arithmetic, and against bad bytes.

mod common;

use common::{EXAMPLE, emit, seal};
use consort_runtime::{
    Activation, EmitError, Head, Image, ImageError, ImageRepr, InputScale, IntegerDenseRepr,
    IntegerGruRepr, LayerRepr, Policy, QuantiseRepr, ShapeError,
};

/// Draws for networks and observations.
struct Draws(u32);

impl Draws {
    fn number(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn between(&mut self, low: i32, high: i32) -> i32 {
        low + (self.number() % (high - low + 1) as u32) as i32
    }
}

/// A layer's numbers, as the document has them.
enum Layer {
    Dense {
        inputs: usize,
        outputs: usize,
        activation: Activation,
        shift: u8,
        exponent: u8,
        weights: Vec<i8>,
        biases: Vec<i32>,
        multipliers: Vec<u8>,
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

impl Layer {
    fn dense(
        draws: &mut Draws,
        inputs: usize,
        outputs: usize,
        activation: Activation,
        exponent: u8,
    ) -> Self {
        Layer::Dense {
            inputs,
            outputs,
            activation,
            shift: 15,
            exponent,
            weights: (0..inputs * outputs)
                .map(|_| draws.between(-127, 127) as i8)
                .collect(),
            biases: (0..outputs).map(|_| draws.between(-9_000, 9_000)).collect(),
            multipliers: (0..outputs).map(|_| draws.between(1, 255) as u8).collect(),
        }
    }

    fn gru(draws: &mut Draws, inputs: usize, hidden: usize) -> Self {
        Layer::Gru {
            inputs,
            hidden,
            shifts: [15, 14, 16],
            input: (0..3 * hidden * inputs)
                .map(|_| draws.between(-127, 127) as i8)
                .collect(),
            recurrent: (0..3 * hidden * hidden)
                .map(|_| draws.between(-127, 127) as i8)
                .collect(),
            biases: (0..4 * hidden)
                .map(|_| draws.between(-9_000, 9_000))
                .collect(),
            multipliers: (0..4 * hidden)
                .map(|_| draws.between(1, 255) as u8)
                .collect(),
        }
    }

    fn repr(&self) -> LayerRepr<'_> {
        match self {
            Layer::Dense {
                inputs,
                outputs,
                activation,
                shift,
                exponent,
                weights,
                biases,
                multipliers,
            } => LayerRepr::IntegerDense(IntegerDenseRepr {
                inputs: *inputs,
                outputs: *outputs,
                activation: *activation,
                shift: *shift,
                exponent: *exponent,
                weights,
                biases,
                multipliers,
            }),
            Layer::Gru {
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

/// ⌊x / 2ˢ + 1/2⌋.
fn rounded(x: i64, shift: u8) -> i64 {
    (x as f64 / f64::from(shift).exp2() + 0.5).floor() as i64
}

fn row(weights: &[i8], lanes: &[i64]) -> i64 {
    weights
        .iter()
        .zip(lanes)
        .map(|(&weight, lane)| i64::from(weight) * lane)
        .sum()
}

fn chord(p: i64) -> i64 {
    let p = p.clamp(-4096, 4095);
    let value = |i: i64| {
        let exact = 32_768.0 * (i as f64 / 16.0 - 8.0).tanh();
        (exact.round() as i64).clamp(-32_767, 32_767)
    };
    let i = p.div_euclid(32) + 128;
    32 * value(i) + p.rem_euclid(32) * (value(i + 1) - value(i))
}

fn sigmoid(p: i64) -> i64 {
    rounded(chord(p) + (1 << 20), 6)
}

fn activated(y: i64, activation: Activation, exponent: u8) -> i64 {
    match activation {
        Activation::Identity => y.clamp(-256, 255),
        Activation::Relu => y.clamp(0, 255),
        Activation::Tanh => rounded(chord(y), 12),
        Activation::Sigmoid => rounded(chord(y) + (1 << 20), 13),
        Activation::Silu => {
            let p = y.clamp(-4096, 4095);
            rounded(p * sigmoid(p), exponent).clamp(-256, 255)
        }
    }
}

/// A step by the document, from lanes; what the last layer gives.
fn step(layers: &[Layer], mut lanes: Vec<i64>, states: &mut [Vec<i64>]) -> Vec<f32> {
    for (index, layer) in layers.iter().enumerate() {
        match layer {
            Layer::Dense {
                inputs,
                outputs,
                activation,
                shift,
                exponent,
                weights,
                biases,
                multipliers,
            } => {
                let y = |j: usize| {
                    let sum = i64::from(biases[j]) + row(&weights[j * inputs..][..*inputs], &lanes);
                    rounded(sum * i64::from(multipliers[j]), *shift)
                };
                if index + 1 == layers.len() {
                    let unit = (-f64::from(*exponent)).exp2();
                    return (0..*outputs).map(|j| (y(j) as f64 * unit) as f32).collect();
                }
                lanes = (0..*outputs)
                    .map(|j| activated(y(j), *activation, *exponent))
                    .collect();
            }
            Layer::Gru {
                inputs,
                hidden,
                shifts,
                input,
                recurrent,
                biases,
                multipliers,
            } => {
                let state = &mut states[index];
                let old: Vec<i64> = state.iter().map(|&h| rounded(h, 7)).collect();
                let from_input = |j: usize| row(&input[j * inputs..][..*inputs], &lanes);
                let from_state = |j: usize| row(&recurrent[j * hidden..][..*hidden], &old);
                let y = |j: usize, sum: i64, shift: u8| {
                    rounded(
                        (i64::from(biases[j]) + sum) * i64::from(multipliers[j]),
                        shift,
                    )
                };
                let next = |unit: usize| {
                    let [r, z, n, q] = [0, 1, 2, 3].map(|gate| gate * hidden + unit);
                    let reset = sigmoid(y(r, from_input(r) + from_state(r), shifts[0]));
                    let update = sigmoid(y(z, from_input(z) + from_state(z), shifts[0]));
                    let product = y(q, from_state(n), shifts[2]).clamp(-32_767, 32_767);
                    let argument = y(n, from_input(n), shifts[1]) + rounded(reset * product, 15);
                    let new = rounded(chord(argument), 5);
                    new + rounded(update * (state[unit] - new), 15)
                };
                let next: Vec<i64> = (0..*hidden).map(next).collect();
                lanes = next.iter().map(|&h| rounded(h, 7)).collect();
                *state = next;
            }
        }
    }
    Vec::new()
}

fn repr<'a>(layers: &'a [LayerRepr<'a>], outputs: usize) -> ImageRepr<'a> {
    ImageRepr {
        head: Head::Deterministic { outputs },
        layers,
        ..EXAMPLE
    }
}

/// 256 lanes a unit.
const SCALE: InputScale = InputScale {
    multiplier: 64,
    base: 147,
    zero: 0,
};

#[test]
fn images_compute_what_the_document_says() {
    use Activation::{Identity, Relu, Sigmoid, Silu, Tanh};
    // Every remainder of outputs by 4, inputs odd and even, chains of recurrent layers.
    for (seed, kinds) in [
        vec![
            (5, Some(Tanh), 0),
            (4, Some(Relu), 0),
            (3, Some(Identity), 8),
        ],
        vec![
            (7, Some(Sigmoid), 0),
            (2, Some(Silu), 17),
            (1, Some(Identity), 0),
        ],
        vec![
            (6, Some(Identity), 0),
            (5, None, 0),
            (4, Some(Identity), 20),
        ],
        vec![
            (1, None, 0),
            (8, None, 0),
            (9, Some(Tanh), 0),
            (6, Some(Identity), 100),
        ],
        vec![(2, Some(Identity), 3)],
    ]
    .into_iter()
    .enumerate()
    {
        let draws = &mut Draws(seed as u32 + 1);
        let observed = 3 + seed % 2;
        let (mut inputs, mut layers) = (observed, Vec::new());
        for (outputs, activation, exponent) in kinds {
            layers.push(match activation {
                Some(activation) => Layer::dense(draws, inputs, outputs, activation, exponent),
                None => Layer::gru(draws, inputs, outputs),
            });
            inputs = outputs;
        }
        let scales = vec![SCALE; observed];
        let mut reprs = vec![LayerRepr::Quantise(QuantiseRepr { scales: &scales })];
        reprs.extend(layers.iter().map(Layer::repr));
        let bytes = emit(&repr(&reprs, inputs));
        let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
        let mut memory = vec![f32::NAN; policy.image().memory_len()];
        let mut states = Vec::new();
        for t in 0..300 {
            if t % 60 == 0 {
                policy.reset(&mut memory).unwrap();
                states = layers
                    .iter()
                    .map(|layer| match layer {
                        Layer::Dense { .. } => Vec::new(),
                        Layer::Gru { hidden, .. } => vec![0; *hidden],
                    })
                    .collect();
            }
            let lanes: Vec<i64> = (0..observed)
                .map(|_| i64::from(draws.between(-256, 255)))
                .collect();
            let observation: Vec<f32> = lanes.iter().map(|&lane| lane as f32 / 256.0).collect();
            let expected = step(&layers, lanes, &mut states);
            let found = policy.outputs(&observation, &mut memory).unwrap();
            assert_eq!(found, expected, "network {seed}, step {t}");
        }
    }
}

/// One input, two relu outputs, a unit, two outputs: small enough to name every word.
fn small() -> [LayerRepr<'static>; 4] {
    [
        LayerRepr::Quantise(QuantiseRepr { scales: &[SCALE] }),
        LayerRepr::IntegerDense(IntegerDenseRepr {
            inputs: 1,
            outputs: 2,
            activation: Activation::Relu,
            shift: 8,
            exponent: 0,
            weights: &[100, -50],
            biases: &[0, 256],
            multipliers: &[2, 1],
        }),
        LayerRepr::IntegerGru(IntegerGruRepr {
            inputs: 2,
            hidden: 1,
            shifts: [8, 8, 8],
            input: &[1, 2, 3, 4, 5, 6],
            recurrent: &[7, 8, 9],
            biases: &[1, 2, 3, 4],
            multipliers: &[1, 2, 3, 4],
        }),
        LayerRepr::IntegerDense(IntegerDenseRepr {
            inputs: 1,
            outputs: 2,
            activation: Activation::Identity,
            shift: 8,
            exponent: 4,
            weights: &[127, -127],
            biases: &[0, 512],
            multipliers: &[128, 255],
        }),
    ]
}

/// Where the small image's parameters begin, in words from the first weight: see the layout.
const DENSE: usize = 1;
const GRU: usize = DENSE + 2 + 1 + 1;
const LAST: usize = GRU + (4 + 1 + 2 * 2) + (2 + 1 + 1) + (2 + 1 + 1);

#[test]
fn an_integer_image_says_what_it_was_made_from() {
    let layers = small();
    let bytes = emit(&repr(&layers, 2));
    let image = Image::new_checked(bytes.bytes()).unwrap();
    assert!(image.is_integer());
    // A state of one unit and one of padding is a word. Region 0: layer 2's lane, a word. Region 1: layer
    // 1's lanes and behind them the state's, and later two outputs: two words.
    assert_eq!((image.state_len(), image.memory_len()), (1, 1 + 1 + 2));
    let words: Vec<usize> = image.layers().map(|layer| layer.weight_bytes / 4).collect();
    assert_eq!(words, [DENSE, GRU - DENSE, LAST - GRU, 4]);
    assert_eq!(image.multiply_adds(), 2 + 3 * 3 + 2);
}

#[test]
fn every_refusal_of_an_integer_image_says_what_and_where() {
    use ImageError as E;
    let layers = small();
    let whole = emit(&repr(&layers, 2));
    let weights = whole.bytes().len() - 4 - 4 * (LAST + 4);
    let forged = |offset: usize, bytes: &[u8]| {
        let mut image = emit(&repr(&layers, 2));
        image.bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        seal(image.bytes_mut());
        Image::new_checked(image.bytes()).map(|image| image.crc())
    };
    let word =
        |index: usize, value: u32| forged(weights + 4 * index, &value.to_le_bytes()).unwrap_err();
    let parameter = |layer: usize, index: usize| E::IntegerParameter {
        layer,
        offset: weights + 4 * index,
    };
    // The input's multiplier is 64 to 127, its base 32 or more.
    assert_eq!(word(0, 147 << 7 | 63), parameter(0, 0));
    assert_eq!(word(0, 31 << 7 | 64), parameter(0, 0));
    // A multiplier of 0, one of a row that is not there, a weight of −128 in either row, and a weight from
    // an input that is not there.
    assert_eq!(word(DENSE + 2, 1 << 8), parameter(1, DENSE + 2));
    assert_eq!(
        word(DENSE + 2, 1 << 16 | 1 << 8 | 2),
        parameter(1, DENSE + 2)
    );
    assert_eq!(word(DENSE + 3, 0x8000), parameter(1, DENSE + 3));
    assert_eq!(word(DENSE + 3, 0x0080), parameter(1, DENSE + 3));
    assert_eq!(word(DENSE + 3, 0x0001_0000), parameter(1, DENSE + 3));
    // The unit that pads has no bias, no multiplier and no weight.
    assert_eq!(word(GRU + 2, 1), parameter(2, GRU + 2));
    assert_eq!(word(GRU + 4, 0x0001_0201), parameter(2, GRU + 4));
    assert_eq!(word(GRU + 6, 1), parameter(2, GRU + 6));
    // Row 0's weight, 100, times 256 and this bias are 2²³, the next less than that; row 1's multiplier of
    // 255 makes its product 2³¹ and more from a sum of 8,421,505 on, which is no sum: 2²³ comes first.
    let overflow = |layer, row| E::IntegerOverflow { layer, row };
    assert_eq!(word(DENSE, (1 << 23) - 25_600), overflow(1, 0));
    assert!(forged(weights + 4 * DENSE, &((1u32 << 23) - 25_601).to_le_bytes()).is_ok());
    // With the largest shift, half of what it takes leaves a product 2³¹ − 2²⁹: at 255, sums of 6,316,128.
    let sum = |bias: u32| {
        let mut image = emit(&repr(&layers, 2));
        let bias = (bias - 256 * 127).to_le_bytes();
        let offset = weights + 4 * (LAST + 1);
        image.bytes_mut()[offset..offset + 4].copy_from_slice(&bias);
        let record = [4, 1, 2, 1, 8, 4];
        let last = whole
            .bytes()
            .windows(6)
            .position(|window| window == record)
            .unwrap();
        image.bytes_mut()[last + 4] = 30;
        seal(image.bytes_mut());
        Image::new_checked(image.bytes()).map(|image| image.crc())
    };
    assert_eq!(sum(6_316_129), Err(overflow(3, 1)));
    assert!(sum(6_316_128).is_ok());
    for shifts in [7, 31] {
        let record = |layer: &[u8]| {
            let header = whole.bytes()[..weights]
                .windows(layer.len())
                .position(|window| window == layer);
            header.unwrap()
        };
        let dense = record(&[4, 1, 2, 2, 8, 0]);
        assert_eq!(
            forged(dense + 4, &[shifts]),
            Err(E::IntegerShift {
                layer: 1,
                found: shifts
            })
        );
        let gru = record(&[5, 2, 1, 8, 8, 8]);
        for place in 3..6 {
            assert_eq!(
                forged(gru + place, &[shifts]),
                Err(E::IntegerShift {
                    layer: 2,
                    found: shifts
                })
            );
        }
        assert_eq!(
            forged(dense + 5, &[1]),
            Err(E::IntegerShift { layer: 1, found: 1 })
        );
        let last = record(&[4, 1, 2, 1, 8, 4]);
        assert_eq!(
            forged(last + 5, &[101]),
            Err(E::IntegerShift {
                layer: 3,
                found: 101
            })
        );
        assert_eq!(
            forged(last + 3, &[3]),
            Err(E::Shape(ShapeError::IntegerOutput))
        );
        assert_eq!(
            forged(last + 3, &[9]),
            Err(E::ActivationTag { layer: 3, found: 9 })
        );
        // A layer in f32 among integer ones, and a quantising one that is not the first.
        assert_eq!(
            forged(dense, &[1]),
            Err(E::Shape(ShapeError::Precision { layer: 1 }))
        );
        assert_eq!(
            forged(dense, &[3, 1]),
            Err(E::Shape(ShapeError::Precision { layer: 1 }))
        );
    }
    // One bit flipped anywhere is found, and every byte of the parameters set to anything gives an image or
    // an error, and an image steps.
    for found in 0..whole.bytes().len() {
        let error = Image::new_checked(&whole.bytes()[..found]).unwrap_err();
        assert!(matches!(error, E::Truncated { .. }), "{found}: {error}");
    }
    for offset in 16..whole.bytes().len() - 4 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut image = emit(&repr(&layers, 2));
            image.bytes_mut()[offset] = value;
            seal(image.bytes_mut());
            let Ok(image) = Image::new_checked(image.bytes()) else {
                continue;
            };
            let policy = Policy::new(image);
            let mut memory = vec![f32::from_bits(0x8000_7fff); image.memory_len()];
            for observed in [f32::MAX, f32::MIN, 0.0] {
                let observation = vec![observed; image.observation_len()];
                policy.outputs(&observation, &mut memory).unwrap();
            }
        }
    }
}

#[test]
fn bad_observations_are_refused_and_change_no_state() {
    let layers = small();
    let bytes = emit(&repr(&layers, 2));
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [0.0; 4];
    policy.outputs(&[0.5], &mut memory).unwrap();
    let before = memory.map(f32::to_bits);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(policy.outputs(&[bad], &mut memory).is_err());
        assert_eq!(memory.map(f32::to_bits), before);
    }
    assert!(policy.outputs(&[0.5], &mut memory[..3]).is_err());
}

#[test]
fn emitting_refuses_what_no_integer_image_may_say() {
    use EmitError as E;
    let refused = |change: &dyn Fn(&mut IntegerDenseRepr<'static>)| {
        let mut layers = small();
        let LayerRepr::IntegerDense(dense) = &mut layers[1] else {
            panic!("a dense layer")
        };
        change(dense);
        repr(&layers, 2).emitted_len().unwrap_err()
    };
    let length = |part, expected, found| E::IntegerLength {
        layer: 1,
        part,
        expected,
        found,
    };
    assert_eq!(
        refused(&|layer| layer.weights = &[1]),
        length("weights", 2, 1)
    );
    assert_eq!(
        refused(&|layer| layer.biases = &[1]),
        length("biases", 2, 1)
    );
    assert_eq!(
        refused(&|layer| layer.multipliers = &[1]),
        length("multipliers", 2, 1)
    );
    let parameter = |part, index| E::IntegerParameter {
        layer: 1,
        part,
        index,
    };
    assert_eq!(
        refused(&|layer| layer.weights = &[1, -128]),
        parameter("weights", 1)
    );
    assert_eq!(
        refused(&|layer| layer.multipliers = &[1, 0]),
        parameter("multipliers", 1)
    );
    let shift = |part| E::IntegerShift { layer: 1, part };
    assert_eq!(refused(&|layer| layer.shift = 7), shift("shift"));
    assert_eq!(refused(&|layer| layer.exponent = 1), shift("exponent"));
    let overflow = E::IntegerOverflow { layer: 1, row: 1 };
    assert_eq!(refused(&|layer| layer.biases = &[0, i32::MIN]), overflow);
    let layers = small();
    let precision = |layer| Err(E::Shape(ShapeError::Precision { layer }));
    assert_eq!(repr(&layers[1..], 2).emitted_len(), precision(0));
    let output = Err(E::Shape(ShapeError::IntegerOutput));
    assert_eq!(repr(&layers[..3], 1).emitted_len(), output);
    let scale = InputScale {
        multiplier: 128,
        ..SCALE
    };
    let first = LayerRepr::Quantise(QuantiseRepr { scales: &[scale] });
    let layers = [first, layers[3]];
    let scales = E::IntegerParameter {
        layer: 0,
        part: "scales",
        index: 0,
    };
    assert_eq!(repr(&layers, 2).emitted_len(), Err(scales));
}
