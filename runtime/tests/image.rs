//! What makes an image, and everything that is refused.

mod common;

use common::{Aligned, EXAMPLE, GROUPS, RECURRENT, emit, seal};
use consort_runtime::{
    Action, Activation, DenseRepr, Head, Image, ImageError, LayerInfo, LayerKind, LayerRepr,
    Policy, ShapeError,
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
    for (repr, weights) in [(EXAMPLE, WEIGHTS), (RECURRENT, WEIGHTS), (GROUPS, WEIGHTS)] {
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
                        Ok(Action::MultiDiscrete(actions)) => {
                            let Head::MultiDiscrete { sizes } = image.head() else {
                                panic!("an action a group of {:?}", image.head())
                            };
                            assert_eq!(actions.len(), sizes.len());
                            assert!(
                                actions
                                    .iter()
                                    .zip(sizes)
                                    .all(|(action, size)| action < size)
                            );
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
