//! A recurrent image: what it says, and every refusal that only such a one has.

mod common;

use common::{RECURRENT, emit, seal};
use consort_runtime::{Head, Image, ImageError, LayerInfo, LayerKind, ShapeError};

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
