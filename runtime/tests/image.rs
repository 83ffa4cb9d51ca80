//! What makes an image, and everything that is refused.

mod common;

use common::{Aligned, EXAMPLE, RECURRENT, emit, seal};
use consort_runtime::{
    Action, Activation, DenseRepr, EmitError, GruRepr, Head, Image, ImageError, ImageRepr,
    LayerInfo, LayerKind, LayerRepr, Policy, ShapeError,
};

/// Offsets in the example: see the worked example in `docs/image.md`.
const AGENT: usize = 32;
const MEMORY: usize = 39;
const HEAD: usize = 40;
const LAYERS: usize = 42;
const LAYER_0: usize = 43;
const LAYER_1: usize = 47;
const PADDING: usize = 51;
const WEIGHTS: usize = 64;
const CRC: usize = 100;

#[test]
fn an_image_says_what_it_was_made_from() {
    let bytes = emit(&EXAMPLE);
    let image = Image::new_checked(bytes.bytes()).unwrap();
    assert_eq!(image.team(), EXAMPLE.team);
    assert_eq!(image.team().to_string(), "00112233445566778899aabbccddeeff");
    assert_eq!((image.agent(), image.agents(), image.revision()), (1, 2, 7));
    assert_eq!(image.period_us(), 20_000);
    assert_eq!((image.observation_len(), image.output_len()), (2, 3));
    assert_eq!((image.memory_len(), image.state_len()), (4, 0));
    assert_eq!(image.head(), Head::Categorical { actions: 3 });
    let dense = |inputs, outputs, activation, weight_bytes| LayerInfo {
        kind: LayerKind::Dense(activation),
        inputs,
        outputs,
        weight_bytes,
    };
    let expected = [
        dense(2, 1, Activation::Relu, 12),
        dense(1, 3, Activation::Identity, 24),
    ];
    assert!(image.layers().eq(expected));
    assert_eq!(image.multiply_adds(), 2 + 3);
    assert_eq!(image.signature(), None);
    assert_eq!(image.signed_bytes(), &bytes.bytes()[..CRC]);
    assert_eq!(image.crc(), 0xc7e5_b5a6);
    assert_eq!(image.as_bytes(), bytes.bytes());
}

#[test]
fn a_signature_covers_every_byte_before_it() {
    let mut buffer = Aligned::copy(&[0; 200], 0);
    let mut covered = Vec::new();
    let sign = |bytes: &[u8]| {
        covered.extend_from_slice(bytes);
        [0x5a; 64]
    };
    assert_eq!(EXAMPLE.emit_signed(buffer.bytes_mut(), sign), Ok(104 + 64));
    let image = Image::new_checked(&buffer.bytes()[..168]).unwrap();
    assert_eq!(image.signature(), Some(&[0x5a; 64]));
    assert_eq!(image.signed_bytes(), covered);
    assert_eq!(covered.len(), CRC);
    assert_eq!(image.layers().count(), 2);
}

#[test]
fn any_damaged_byte_is_refused() {
    for repr in [EXAMPLE, RECURRENT] {
        let mut bytes = emit(&repr);
        for index in 0..bytes.bytes().len() {
            for mask in (0..8).map(|bit| 1 << bit).chain([0x0f, 0xf0, 0xaa, 0xff]) {
                bytes.bytes_mut()[index] ^= mask;
                assert!(
                    Image::new_checked(bytes.bytes()).is_err(),
                    "byte {index} ^ {mask:#04x}"
                );
                bytes.bytes_mut()[index] ^= mask;
            }
        }
        assert!(Image::new_checked(bytes.bytes()).is_ok());
    }
}

/// A CRC is no defence against whoever can compute one: what then passes is an image all the same.
#[test]
fn any_forged_byte_is_refused_or_gives_a_policy_that_steps() {
    for (repr, weights) in [(EXAMPLE, WEIGHTS), (RECURRENT, WEIGHTS)] {
        let original = emit(&repr);
        for index in 0..original.bytes().len() - 4 {
            for mask in 1..=u8::MAX {
                let mut bytes = Aligned::copy(original.bytes(), 0);
                bytes.bytes_mut()[index] ^= mask;
                seal(bytes.bytes_mut());
                let Ok(image) = Image::new_checked(bytes.bytes()) else {
                    continue;
                };
                let policy = Policy::new(image);
                let mut memory = vec![0.0; image.memory_len()];
                let observation = vec![1.0; image.observation_len()];
                for _ in 0..2 {
                    match policy.step(&observation, &mut memory) {
                        Ok(Action::Discrete(action)) => assert!(action < image.output_len()),
                        Ok(Action::Continuous(action)) => {
                            assert_eq!(action.len(), image.output_len());
                            assert!(action.iter().all(|value| value.is_finite()));
                        }
                        Err(error) => assert!(index >= weights, "{error} after byte {index}"),
                    }
                }
            }
        }
    }
}

#[test]
fn every_other_length_is_refused() {
    let whole = emit(&EXAMPLE);
    for found in 0..whole.bytes().len() {
        let expected = if found < 16 { 20 } else { 104 };
        let error = Image::new_checked(&whole.bytes()[..found]).unwrap_err();
        assert_eq!(error, ImageError::Truncated { expected, found });
    }
    let longer = Aligned::copy(&[whole.bytes(), &[0]].concat(), 0);
    let error = Image::new_checked(longer.bytes()).unwrap_err();
    assert_eq!(
        error,
        ImageError::TrailingBytes {
            expected: 104,
            found: 105
        }
    );
}

#[test]
fn weights_must_be_aligned_to_four() {
    let bytes = emit(&EXAMPLE);
    for offset in 0..16 {
        let moved = Aligned::copy(bytes.bytes(), offset);
        let result = Image::new_checked(moved.bytes()).map(|image| image.crc());
        let misaligned = ImageError::Misaligned { found: offset };
        assert_eq!(
            result,
            if offset % 4 == 0 {
                Ok(0xc7e5_b5a6)
            } else {
                Err(misaligned)
            }
        );
    }
}

/// The error that an example with other bytes at an offset gives, with a CRC that fits.
fn forged(offset: usize, bytes: &[u8]) -> ImageError {
    let mut image = emit(&EXAMPLE);
    image.bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    seal(image.bytes_mut());
    Image::new_checked(image.bytes()).unwrap_err()
}

#[test]
fn every_refusal_says_what_and_where() {
    use ImageError as E;
    use ShapeError as S;
    let crc = E::Checksum {
        stored: 0,
        computed: 0xc7e5_b5a6,
    };
    let mut unsealed = emit(&EXAMPLE);
    unsealed.bytes_mut()[CRC..].fill(0);
    assert_eq!(Image::new_checked(unsealed.bytes()).unwrap_err(), crc);

    assert_eq!(forged(0, b"GGUF"), E::Magic { found: *b"GGUF" });
    assert_eq!(forged(4, &[2]), E::Version { found: 2 });
    assert_eq!(
        forged(8, &[0, 1]),
        E::Truncated {
            expected: 256,
            found: 104
        }
    );
    assert_eq!(
        forged(8, &[64]),
        E::TrailingBytes {
            expected: 64,
            found: 104
        }
    );
    assert_eq!(forged(12, &[32]), E::SignatureLength { found: 32 });
    for found in [[0, 1], [1, 1], [2, 0], [2, 3], [255, 255]] {
        assert_eq!(forged(14, &found), E::Seeding { found });
    }
    let symbols = ShapeError::Symbols {
        symbols: 3,
        observations: 2,
    };
    assert_eq!(forged(14, &[3, 2]), E::Shape(symbols));
    assert_eq!(
        forged(6, &[85]),
        E::HeaderLength {
            found: 85,
            body: 100
        }
    );
    assert_eq!(
        forged(12, &[64]),
        E::HeaderLength {
            found: 35,
            body: 100
        }
    );
    assert_eq!(forged(6, &[20]), E::Padding { offset: 36 });
    assert_eq!(forged(PADDING + 12, &[1]), E::Padding { offset: 63 });
    assert_eq!(forged(AGENT, &[0x80; 4]), E::Header);
    assert_eq!(forged(HEAD, &[9]), E::HeadTag { found: 9 });
    let missing = E::MissingHead {
        expected: 3,
        found: 0,
    };
    assert_eq!(forged(HEAD, &[3]), missing);
    assert_eq!(
        forged(AGENT, &[2, 2]),
        E::Shape(S::Agent {
            agent: 2,
            agents: 2
        })
    );
    assert_eq!(forged(LAYERS, &[0]), E::Shape(S::Layers { found: 0 }));
    assert_eq!(forged(LAYERS, &[9]), E::Shape(S::Layers { found: 9 }));
    assert_eq!(forged(LAYER_1, &[7]), E::LayerTag { layer: 1, found: 7 });
    assert_eq!(forged(LAYERS, &[3]), E::LayerRecord { layer: 2 });
    assert_eq!(forged(LAYER_1 + 1, &[0xff; 3]), E::LayerRecord { layer: 1 });
    assert_eq!(
        forged(LAYER_0 + 3, &[0]),
        E::ActivationTag { layer: 0, found: 0 }
    );
    let inputs = |layer, expected, found| {
        E::Shape(S::Inputs {
            layer,
            expected,
            found,
        })
    };
    assert_eq!(forged(LAYER_0 + 1, &[3]), inputs(0, 2, 3));
    assert_eq!(forged(LAYER_1 + 1, &[2]), inputs(1, 1, 2));
    let size = S::Size {
        layer: 0,
        inputs: 2,
        outputs: 0,
    };
    assert_eq!(forged(LAYER_0 + 2, &[0]), E::Shape(size));
    let missing = E::MissingWeights {
        layer: 1,
        expected: 8,
        found: 6,
    };
    assert_eq!(forged(LAYER_1 + 2, &[4]), missing);
    let (infinite, nan) = (f32::NEG_INFINITY.to_le_bytes(), f32::NAN.to_le_bytes());
    assert_eq!(
        forged(WEIGHTS, &infinite),
        E::NonFiniteWeight {
            layer: 0,
            offset: 64
        }
    );
    assert_eq!(
        forged(WEIGHTS + 32, &nan),
        E::NonFiniteWeight {
            layer: 1,
            offset: 96
        }
    );
    assert_eq!(
        forged(HEAD + 1, &[4]),
        E::Shape(S::Head {
            expected: 4,
            found: 3
        })
    );
    assert_eq!(forged(6, &[36]), E::HeaderTrailing { found: 1 });
    assert_eq!(
        forged(HEAD, &[1, 2, 2, 1, 2, 1, 2, 1, 1, 2]),
        E::TrailingWeights { found: 8 }
    );
    assert_eq!(
        forged(MEMORY, &[5]),
        E::Memory {
            expected: 4,
            found: 5
        }
    );
}

/// An image that declares more weights than any memory holds is refused before they are looked for.
#[test]
fn enormous_sizes_are_missing_weights() {
    let mut image = EXAMPLE;
    let wide = [LayerRepr::Dense(DenseRepr {
        inputs: 128,
        outputs: 128,
        activation: Activation::Identity,
        weights: &[0.0; 128 * 128],
        biases: &[0.0; 128],
    })];
    image.layers = &wide;
    image.head = Head::Categorical { actions: 128 };
    let mut bytes = emit(&image);
    // 128 takes two bytes, 65,535 three: the header grows over zeros that were padding.
    let size = [0xff, 0xff, 0x03];
    let header = [
        &[1, 2, 7, 0xa0, 0x9c, 1][..],
        &size,
        &size,
        &[1],
        &size,
        &[1, 1],
        &size,
        &size,
        &[1],
    ];
    let header = header.concat();
    bytes.bytes_mut()[6] = 16 + header.len() as u8;
    bytes.bytes_mut()[32..32 + header.len()].copy_from_slice(&header);
    seal(bytes.bytes_mut());
    let error = Image::new_checked(bytes.bytes()).unwrap_err();
    let expected = 65_535 * 65_536;
    assert_eq!(
        error,
        ImageError::MissingWeights {
            layer: 0,
            expected,
            found: 129 * 128
        }
    );
}

#[test]
fn noise_is_refused() {
    let mut state = 1u32;
    for len in (0..400).chain(0..400) {
        let mut bytes = Aligned::copy(&vec![0; len], 0);
        for byte in bytes.bytes_mut() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        assert!(Image::new_checked(bytes.bytes()).is_err());
        if len >= 20 {
            // The same behind a prefix that is right.
            let prefix = [
                b'C',
                b'N',
                b'S',
                b'I',
                1,
                0,
                40,
                0,
                len as u8,
                (len >> 8) as u8,
                0,
                0,
            ];
            bytes.bytes_mut()[..12].copy_from_slice(&prefix);
            bytes.bytes_mut()[12..16].fill(0);
            seal(bytes.bytes_mut());
            assert!(Image::new_checked(bytes.bytes()).is_err());
        }
    }
}

#[test]
fn emitting_refuses_what_no_image_may_say() {
    use EmitError as E;
    use ShapeError as S;
    let emitted = |change: &dyn Fn(&mut ImageRepr<'_>)| {
        let mut repr = EXAMPLE;
        change(&mut repr);
        let mut buffer = [0xee; 104];
        let error = repr.emit(&mut buffer).unwrap_err();
        assert_eq!(buffer, [0xee; 104]);
        assert_eq!(repr.emitted_len(), Err(error));
        error
    };
    assert_eq!(
        emitted(&|r| r.agent = 2),
        E::Shape(S::Agent {
            agent: 2,
            agents: 2
        })
    );
    assert_eq!(
        emitted(&|r| r.layers = &[]),
        E::Shape(S::Layers { found: 0 })
    );
    let head = Head::Categorical { actions: 2 };
    assert_eq!(
        emitted(&|r| r.head = head),
        E::Shape(S::Head {
            expected: 2,
            found: 3
        })
    );

    let layer = |change: &dyn Fn(&mut DenseRepr<'_>)| {
        let LayerRepr::Dense(mut last) = EXAMPLE.layers[1] else {
            panic!("a dense layer")
        };
        change(&mut last);
        let layers = [EXAMPLE.layers[0], LayerRepr::Dense(last)];
        let repr = ImageRepr {
            layers: &layers,
            ..EXAMPLE
        };
        repr.emitted_len().unwrap_err()
    };
    let inputs = S::Inputs {
        layer: 1,
        expected: 1,
        found: 2,
    };
    assert_eq!(layer(&|l| l.inputs = 2), E::Shape(inputs));
    let size = |outputs| {
        E::Shape(S::Size {
            layer: 1,
            inputs: 1,
            outputs,
        })
    };
    assert_eq!(layer(&|l| l.outputs = 0), size(0));
    assert_eq!(layer(&|l| l.outputs = 65_536), size(65_536));
    let weights = &[1.0, 2.0];
    assert_eq!(
        layer(&|l| l.weights = weights),
        E::Weights {
            layer: 1,
            expected: 3,
            found: 2
        }
    );
    assert_eq!(
        layer(&|l| l.biases = weights),
        E::Biases {
            layer: 1,
            expected: 3,
            found: 2
        }
    );
    let bad = &[0.0, 0.0, f32::INFINITY];
    let weight = E::NonFiniteWeight {
        layer: 1,
        output: 2,
        input: 0,
    };
    assert_eq!(layer(&|l| l.weights = bad), weight);
    assert_eq!(
        layer(&|l| l.biases = bad),
        E::NonFiniteBias {
            layer: 1,
            output: 2
        }
    );

    let nine = [LayerRepr::Dense(DenseRepr {
        inputs: 1,
        outputs: 1,
        activation: Activation::Identity,
        weights: &[1.0],
        biases: &[0.0],
    }); 9];
    let repr = ImageRepr {
        layers: &nine,
        head: Head::Categorical { actions: 1 },
        ..EXAMPLE
    };
    assert_eq!(repr.emitted_len(), Err(E::Shape(S::Layers { found: 9 })));
    let eight = ImageRepr {
        layers: &nine[..8],
        ..repr
    };
    assert_eq!(
        Image::new_checked(emit(&eight).bytes())
            .unwrap()
            .layers()
            .count(),
        8
    );

    let mut short = [0xee; 103];
    assert_eq!(
        EXAMPLE.emit(&mut short),
        Err(E::Buffer {
            expected: 104,
            found: 103
        })
    );
    assert_eq!(short, [0xee; 103]);
}

#[test]
fn messages_read_well() {
    let error = forged(LAYER_0 + 1, &[3]);
    assert_eq!(
        error.to_string(),
        "layer 0 takes 3 values but the observation gives 2"
    );
    let error = forged(4, &[2]);
    assert_eq!(
        error.to_string(),
        "format version 2: this runtime reads version 1"
    );
    let error = EXAMPLE.emit(&mut []).unwrap_err();
    assert_eq!(error.to_string(), "the image has 104 bytes, the buffer 0");
}

/// Offsets in the recurrent example: see the second worked example in `docs/image.md`.
const GRU_MEMORY: usize = 39;
const GRU_HEAD: usize = 40;
const GRU: usize = 43;
const GRU_WEIGHTS: usize = 64;
const LOG_STD: usize = 64 + 4 * (10 + 4);

#[test]
fn a_recurrent_image_says_what_it_was_made_from() {
    let bytes = emit(&RECURRENT);
    let image = Image::new_checked(bytes.bytes()).unwrap();
    // The state, the next one, and a region for layer 1.
    assert_eq!((image.state_len(), image.memory_len()), (1, 1 + 1 + 2));
    assert_eq!((image.observation_len(), image.output_len()), (1, 2));
    let head = Head::Gaussian {
        log_std: &[-1.0, 0.0],
    };
    assert_eq!(image.head(), head);
    let gru = LayerInfo {
        kind: LayerKind::Gru,
        inputs: 1,
        outputs: 1,
        weight_bytes: 40,
    };
    assert_eq!(image.layers().next(), Some(gru));
    assert_eq!(image.multiply_adds(), 6 + 2);
}

#[test]
fn every_refusal_of_a_recurrent_image_says_what_and_where() {
    use ImageError as E;
    use ShapeError as S;
    let forged = |offset: usize, bytes: &[u8]| {
        let mut image = emit(&RECURRENT);
        image.bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        seal(image.bytes_mut());
        Image::new_checked(image.bytes()).unwrap_err()
    };
    assert_eq!(forged(GRU, &[9]), E::LayerTag { layer: 0, found: 9 });
    assert_eq!(forged(GRU + 1, &[0xff; 3]), E::LayerRecord { layer: 0 });
    let inputs = S::Inputs {
        layer: 0,
        expected: 1,
        found: 2,
    };
    assert_eq!(forged(GRU + 1, &[2]), E::Shape(inputs));
    let size = S::Size {
        layer: 0,
        inputs: 1,
        outputs: 0,
    };
    assert_eq!(forged(GRU + 2, &[0]), E::Shape(size));
    // Two units have 2 (4 + 3 (1 + 2)) parameters; the image has 10 + 4 + 2.
    let missing = E::MissingWeights {
        layer: 0,
        expected: 26,
        found: 16,
    };
    assert_eq!(forged(GRU + 2, &[2]), missing);
    let nan = f32::NAN.to_le_bytes();
    for parameter in 0..10 {
        let offset = GRU_WEIGHTS + 4 * parameter;
        assert_eq!(
            forged(offset, &nan),
            E::NonFiniteWeight { layer: 0, offset }
        );
    }
    for dimension in 0..2 {
        let refused = forged(LOG_STD + 4 * dimension, &nan);
        assert_eq!(refused, E::NonFiniteLogStd { dimension });
    }
    let head = S::Head {
        expected: 3,
        found: 2,
    };
    assert_eq!(forged(GRU_HEAD + 1, &[3]), E::Shape(head));
    for tag in [1, 2] {
        assert_eq!(forged(GRU_HEAD, &[tag]), E::TrailingWeights { found: 8 });
    }
    assert_eq!(
        forged(GRU_MEMORY, &[3]),
        E::Memory {
            expected: 4,
            found: 3
        }
    );
    let whole = emit(&RECURRENT);
    for found in 0..whole.bytes().len() {
        let error = Image::new_checked(&whole.bytes()[..found]).unwrap_err();
        assert!(matches!(error, E::Truncated { .. }), "{found}: {error}");
    }
}

#[test]
fn emitting_refuses_a_recurrent_layer_that_no_image_may_hold() {
    use EmitError as E;
    let LayerRepr::Gru(whole) = RECURRENT.layers[0] else {
        panic!("a recurrent layer")
    };
    let refused = |change: &dyn Fn(&mut GruRepr<'static>)| {
        let mut gru = whole;
        change(&mut gru);
        let layers = [LayerRepr::Gru(gru), RECURRENT.layers[1]];
        let repr = ImageRepr {
            layers: &layers,
            ..RECURRENT
        };
        repr.emitted_len().unwrap_err()
    };
    let length = |part, expected, found| E::GruLength {
        layer: 0,
        part,
        expected,
        found,
    };
    assert_eq!(refused(&|gru| gru.input = &[]), length("input", 3, 0));
    assert_eq!(
        refused(&|gru| gru.recurrent = &[0.0; 4]),
        length("recurrent", 3, 4)
    );
    assert_eq!(
        refused(&|gru| gru.input_bias = &[0.0; 2]),
        length("input_bias", 3, 2)
    );
    assert_eq!(
        refused(&|gru| gru.recurrent_bias_n = &[0.0; 3]),
        length("recurrent_bias_n", 1, 3)
    );
    let infinite = E::NonFiniteGru {
        layer: 0,
        part: "recurrent",
        index: 2,
    };
    assert_eq!(
        refused(&|gru| gru.recurrent = &[0.0, 0.0, f32::INFINITY]),
        infinite
    );
    let size = ShapeError::Size {
        layer: 0,
        inputs: 1,
        outputs: 65_536,
    };
    assert_eq!(refused(&|gru| gru.hidden = 65_536), E::Shape(size));
    assert_eq!(
        refused(&|gru| gru.hidden = 65_535),
        length("input", 3 * 65_535, 3)
    );
    let head = Head::Gaussian {
        log_std: &[0.0, f32::NAN],
    };
    let repr = ImageRepr { head, ..RECURRENT };
    let error = repr.emitted_len().unwrap_err();
    assert_eq!(error, E::NonFiniteLogStd { dimension: 1 });
}
