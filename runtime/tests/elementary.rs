//! The errors that `math` states, measured against f64. Those of tanh and exp at every f32, which takes a minute or
//! two; `--nocapture` shows them. A build that is not optimised, which would take ten, looks at every 61st: it is there for what
//! overflows.

use consort_runtime::math::{exp, sigmoid, silu, tanh};

/// How many f32 lie from one that is looked at to the next.
const STRIDE: usize = if cfg!(debug_assertions) { 61 } else { 1 };

/// Every `stride`-th f32 from 0 up to `limit`, in order, and the limit.
fn positive(limit: f32, stride: usize) -> impl Iterator<Item = f32> {
    (0..limit.to_bits())
        .step_by(stride)
        .map(f32::from_bits)
        .chain([limit])
}

#[test]
fn tanh_is_as_close_as_it_says_everywhere() {
    let (mut absolute, mut relative, mut ripple, mut highest) = (0f64, 0f64, 0f32, 0f32);
    for x in positive(f32::MAX, STRIDE) {
        let y = tanh(x);
        assert_eq!(tanh(-x).to_bits(), (-y).to_bits(), "odd at {x}");
        assert!((0.0..=1.0).contains(&y), "tanh {x} = {y}");
        let exact = f64::from(x).tanh();
        let error = (f64::from(y) - exact).abs();
        absolute = absolute.max(error);
        if x.is_normal() {
            relative = relative.max(error / exact);
        }
        ripple = ripple.max(highest - y);
        highest = highest.max(y);
    }
    println!("tanh: absolute {absolute:.2e}, relative {relative:.2e}, ripple {ripple:.2e}");
    assert!(absolute < 6e-7 && relative < 6e-7 && ripple < 6e-7);
}

#[test]
fn exp_is_as_close_as_it_says_everywhere() {
    let mut relative = 0f64;
    for x in positive(87.0, STRIDE)
        .map(|x| -x)
        .chain(positive(88.0, STRIDE))
    {
        let exact = f64::from(x).exp();
        relative = relative.max((f64::from(exp(x)) - exact).abs() / exact);
    }
    println!("exp: relative {relative:.2e}");
    assert!(relative < 1e-7);
}

#[test]
fn special_values() {
    assert_eq!(tanh(0.0).to_bits(), 0.0f32.to_bits());
    assert_eq!(tanh(-0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(tanh(f32::INFINITY), tanh(7.9));
    assert!(tanh(f32::NAN).is_nan());
    assert_eq!(exp(0.0), 1.0);
    assert_eq!(exp(-0.0), 1.0);
    assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    assert_eq!(exp(-87.000_01), 0.0);
    assert_eq!(exp(f32::INFINITY), exp(88.0));
    assert!(exp(f32::NAN).is_nan());
}

#[test]
fn sigmoid_and_silu_are_as_close_as_they_say() {
    let mut worst = 0f64;
    for x in positive(f32::MAX, 4_099) {
        for x in [x, -x] {
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let y = sigmoid(x);
            assert!((0.0..=1.0).contains(&y), "sigmoid {x} = {y}");
            worst = worst.max((f64::from(y) - exact).abs());
            assert_eq!(silu(x), x * y);
        }
    }
    println!("sigmoid: absolute {worst:.2e}");
    assert!(worst < 3.6e-7);
    assert_eq!((sigmoid(0.0), silu(0.0)), (0.5, 0.0));
    assert!(sigmoid(f32::NAN).is_nan() && silu(f32::NAN).is_nan());
}
