//! What emitting refuses: what no image may say.

mod common;

use common::{EXAMPLE, RECURRENT, emit};
use consort_runtime::{
    Activation, DenseRepr, EmitError, GruRepr, Head, Image, ImageRepr, LayerRepr, ShapeError,
};

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
