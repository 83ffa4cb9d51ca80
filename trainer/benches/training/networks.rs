//! The networks that systems are compared on: a perceptron 32 → 64 → 64 → 6 with tanh, and 64 gated recurrent units between an
//! input of 32 and an output of 6.

use std::hint::black_box;

use candle_core::{Device, Result, Tensor, Var};
use consort_trainer::net::fused::{Activation, Adam, AdamConfig, Layer, dense, gru, stack};
use consort_trainer::rng::Stream;
use serde_json::json;

use super::rate;

/// Width of an observation, of the hidden layers and of the output.
const WIDTHS: [usize; 4] = [32, 64, 64, 6];
/// Units of the recurrent layer.
const UNITS: usize = 64;
/// Steps of the sequences that a recurrent batch consists of.
const STEPS: usize = 32;

/// From variables to what the network says of its batch.
type Forward = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// A network with its batch.
struct Case {
    name: &'static str,
    samples: usize,
    variables: Vec<Var>,
    forward: Forward,
    /// Multiplications and additions of a sample, forward and with both gradients.
    operations: [usize; 2],
}

pub(super) fn run(batches: &[usize]) -> Result<()> {
    for make in [perceptron as fn(usize) -> Result<Case>, recurrent] {
        for &batch in batches {
            let case = make(batch)?;
            for train in [false, true] {
                let per_second = case.measure(train)?;
                let line = json!({
                    "part": "networks",
                    "network": case.name,
                    "pass": if train { "train" } else { "forward" },
                    "batch": batch,
                    "per_second": per_second,
                    "gflops": per_second * case.operations[usize::from(train)] as f64 / 1e9,
                });
                println!("{line}");
            }
        }
    }
    Ok(())
}

fn perceptron(samples: usize) -> Result<Case> {
    let mut stream = Stream::new(1, "bench", 0);
    let mut variables = Vec::new();
    for pair in WIDTHS.windows(2) {
        variables.extend(layer(&mut stream, pair[0], pair[1])?);
    }
    let x = normal(&mut stream, (1, samples, WIDTHS[0]), 1.0)?;
    let products = WIDTHS.windows(2).map(|pair| pair[0] * pair[1]);
    Ok(Case {
        name: "mlp",
        samples,
        variables,
        forward: Box::new(move |all| {
            let mut layers: Vec<Layer> = (all.chunks_exact(2))
                .map(|pair| Layer {
                    weight: &pair[0],
                    bias: &pair[1],
                    activation: Activation::Tanh,
                })
                .collect();
            let last = layers.last_mut().expect("three layers");
            last.activation = Activation::Identity;
            stack(&x, &layers)
        }),
        operations: operations(products.sum(), WIDTHS[0] * WIDTHS[1]),
    })
}

/// `samples` rows in sequences of [`STEPS`], or of fewer where there are not as many.
fn recurrent(samples: usize) -> Result<Case> {
    let [inputs, .., outputs] = WIDTHS;
    let batch = samples.div_ceil(STEPS);
    let rows = batch * (samples / batch);
    let mut stream = Stream::new(1, "bench", 1);
    let input = layer(&mut stream, inputs, 3 * UNITS)?;
    let recurrent = Var::from_tensor(&normal(&mut stream, (1, UNITS + 1, 3 * UNITS), 0.1)?)?;
    let output = layer(&mut stream, UNITS, outputs)?;
    let x = normal(&mut stream, (1, rows, inputs), 1.0)?;
    let start = Tensor::zeros((1, batch, UNITS), x.dtype(), x.device())?;
    let first = vec![false; rows];
    Ok(Case {
        name: "gru",
        samples: rows,
        variables: [input.to_vec(), vec![recurrent], output.to_vec()].concat(),
        forward: Box::new(move |all| {
            let gates = dense(&x, &all[0], &all[1], Activation::Identity)?;
            let states = gru(&gates, &all[2], &start, &first)?;
            dense(&states, &all[3], &all[4], Activation::Identity)
        }),
        operations: operations(
            (inputs + UNITS) * 3 * UNITS + UNITS * outputs,
            inputs * 3 * UNITS,
        ),
    })
}

/// Of a sample that passes `products` weights, `first` of them from the observation, whose gradient nobody needs. Activations
/// and Adam come on top and are not counted.
fn operations(products: usize, first: usize) -> [usize; 2] {
    [2 * products, 2 * (3 * products - first)]
}

impl Case {
    /// Samples a second of a forward pass, or of a whole step of training on the mean of its squares.
    fn measure(&self, train: bool) -> Result<f64> {
        let of = |variable: &Var| match train {
            true => variable.as_tensor().clone(),
            false => variable.as_tensor().detach(),
        };
        let tensors: Vec<Tensor> = self.variables.iter().map(of).collect();
        let mut adam = Adam::new(self.variables.clone(), 1, AdamConfig::default())?;
        let mut once = || -> Result<()> {
            let y = (self.forward)(&tensors)?;
            match train {
                true => {
                    black_box(adam.step(&y.sqr()?.mean_all()?.backward()?)?);
                }
                false => {
                    black_box(y);
                }
            }
            Ok(())
        };
        once()?;
        Ok(rate(self.samples, || once().expect("it went well once")))
    }
}

/// Weight and bias.
fn layer(stream: &mut Stream, inputs: usize, outputs: usize) -> Result<[Var; 2]> {
    let spread = 1.0 / (inputs as f64).sqrt();
    Ok([
        Var::from_tensor(&normal(stream, (1, inputs, outputs), spread)?)?,
        Var::from_tensor(&normal(stream, (1, 1, outputs), 0.1)?)?,
    ])
}

fn normal(stream: &mut Stream, shape: (usize, usize, usize), spread: f64) -> Result<Tensor> {
    let count = shape.0 * shape.1 * shape.2;
    let values = (0..count).map(|_| (spread * stream.normal()) as f32);
    Tensor::from_vec(values.collect(), shape, &Device::Cpu)
}
