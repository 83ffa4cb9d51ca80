//! What the tests of this module share.

use candle_core::{Device, Shape, Tensor, Var};

use crate::rng::Stream;

/// `count` numbers uniform in [−1, 1), the same for the same name.
pub(super) fn uniform(name: &str, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(7, name, 0);
    (0..count)
        .map(|_| (2.0 * stream.uniform() - 1.0) as f32)
        .collect()
}

/// A variable of such numbers.
pub(super) fn variable<S: Into<Shape>>(name: &str, shape: S) -> Var {
    let shape = shape.into();
    Var::from_vec(uniform(name, shape.elem_count()), shape, &Device::Cpu).unwrap()
}

/// All values of a tensor.
pub(super) fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Asserts that two tensors have one shape and agree within `tolerance`.
#[track_caller]
pub(super) fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims());
    for (index, (found, expected)) in flat(found).iter().zip(flat(expected)).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance,
            "value {index}: {found}, expected {expected} ± {tolerance}"
        );
    }
}

/// The bits of a tensor.
pub(super) fn bits(tensor: &Tensor) -> Vec<u32> {
    flat(tensor).iter().map(|v| v.to_bits()).collect()
}
