//! A build without some kinds refuses their images by name. Most of it runs where features are off:
//! `cargo test --package consort-runtime --no-default-features --test left_out`.

use consort_runtime::{
    Activation, AlignedBytes, DenseRepr, GruRepr, Head, Image, ImageError, ImageRepr, LayerRepr,
    TeamId,
};

const DENSE: LayerRepr<'_> = LayerRepr::Dense(DenseRepr {
    inputs: 1,
    outputs: 2,
    activation: Activation::Identity,
    weights: &[1.0, -1.0],
    biases: &[0.0, 2.0],
});
const GRU: LayerRepr<'_> = LayerRepr::Gru(GruRepr {
    inputs: 1,
    hidden: 1,
    input: &[0.0; 3],
    recurrent: &[0.0; 3],
    input_bias: &[0.0; 3],
    recurrent_bias_n: &[0.0],
});

/// What checking an image of one layer says.
fn checked(head: Head<'_>, layer: LayerRepr<'_>) -> Result<(), ImageError> {
    let layers = [layer];
    let repr = ImageRepr {
        team: TeamId([0; 16]),
        agent: 0,
        agents: 1,
        revision: 1,
        period_us: 0,
        seeding: None,
        head,
        layers: &layers,
    };
    let mut buffer = AlignedBytes([0; 256]);
    let len = repr.emit(&mut buffer.0).unwrap();
    Image::new_checked(&buffer.0[..len]).map(|_| ())
}

/// Fine with the feature, refused by its name without.
fn expected(feature: &'static str, on: bool) -> Result<(), ImageError> {
    match on {
        true => Ok(()),
        false => Err(ImageError::LeftOut { feature }),
    }
}

#[test]
fn what_is_left_out_is_named() {
    let outputs = Head::Deterministic { outputs: 1 };
    assert_eq!(
        checked(outputs, GRU),
        expected("gru", cfg!(feature = "gru"))
    );
    let head = Head::Gaussian {
        log_std: &[0.0, 0.0],
    };
    assert_eq!(
        checked(head, DENSE),
        expected("gaussian", cfg!(feature = "gaussian"))
    );
    let head = Head::MultiDiscrete { sizes: &[1, 1] };
    assert_eq!(
        checked(head, DENSE),
        expected("multi-discrete", cfg!(feature = "multi-discrete"))
    );
}

#[test]
fn dense_layers_and_plain_heads_always_run() {
    assert_eq!(checked(Head::Categorical { actions: 2 }, DENSE), Ok(()));
    assert_eq!(checked(Head::Deterministic { outputs: 2 }, DENSE), Ok(()));
}
