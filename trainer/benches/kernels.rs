//! How many samples a second the fused operations of `net::fused` make, beside the same networks
//! from candle's own operations, on one thread:
//!
//! ```text
//! cargo bench --package consort-trainer --bench kernels
//! ```

use std::hint::black_box;
use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use consort_trainer::net::fused::{Activation, Adam, AdamConfig, dense, gru};
use consort_trainer::rng::Stream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Width of an observation, of the hidden layers and of the output.
const WIDTHS: [usize; 4] = [32, 64, 64, 6];
/// Units of the recurrent layer, fed by an observation and read by an output layer.
const UNITS: usize = 64;
/// Time rows of a recurrent batch.
const ROWS: usize = 32;
/// How long each figure is measured, in stretches of this length: seconds.
const SECONDS: f64 = 0.6;
const STRETCH: f64 = 0.005;

fn main() -> Result<()> {
    // A filter for profiling: `kernels fused-train`, for example.
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let wanted = |name: &str| filter.as_deref().is_none_or(|filter| name.contains(filter));
    println!("thousands of samples a second, RAYON_NUM_THREADS=1\n");
    println!("{:28}{:>9}{:>9}{:>9}{:>9}", "", 64, 512, 4096, 16384);
    for (name, case) in [
        (
            "mlp candle-forward",
            mlp as fn(usize, bool, bool) -> Result<f64>,
        ),
        ("mlp fused-forward", mlp),
        ("mlp candle-train", mlp),
        ("mlp fused-train", mlp),
        ("gru candle-forward", recurrent),
        ("gru fused-forward", recurrent),
        ("gru candle-train", recurrent),
        ("gru fused-train", recurrent),
    ] {
        if !wanted(name) {
            continue;
        }
        print!("{name:28}");
        for samples in [64, 512, 4096, 16384] {
            let rate = case(samples, name.contains("fused"), name.contains("train"))?;
            print!("{:9.0}", rate / 1e3);
        }
        println!();
    }
    Ok(())
}

/// Samples a second of the perceptron.
fn mlp(samples: usize, fused: bool, train: bool) -> Result<f64> {
    let mut stream = Stream::new(1, "bench", 0);
    let mut layers = Vec::new();
    for pair in WIDTHS.windows(2) {
        layers.push(layer(&mut stream, pair[0], pair[1])?);
    }
    let x = normal(&mut stream, (1, samples, WIDTHS[0]), 1.0)?;
    let forward = |layers: &[(Tensor, Tensor)]| -> Result<Tensor> {
        let mut h = x.clone();
        for (index, (weight, bias)) in layers.iter().enumerate() {
            let last = index + 1 == layers.len();
            h = apply(&h, weight, bias, last, fused)?;
        }
        Ok(h)
    };
    measure(
        samples,
        layers.into_iter().flatten().collect(),
        fused,
        train,
        |all| {
            let pairs: Vec<_> = all
                .chunks(2)
                .map(|p| (p[0].clone(), p[1].clone()))
                .collect();
            forward(&pairs)
        },
    )
}

/// Time rows a second of the recurrent network.
fn recurrent(samples: usize, fused: bool, train: bool) -> Result<f64> {
    let batch = samples.div_ceil(ROWS);
    let rows = samples / batch;
    let mut stream = Stream::new(1, "bench", 1);
    let input = layer(&mut stream, WIDTHS[0], 3 * UNITS)?;
    let recurrent = Var::from_tensor(&normal(&mut stream, (1, UNITS + 1, 3 * UNITS), 0.1)?)?;
    let output = layer(&mut stream, UNITS, WIDTHS[3])?;
    let x = normal(&mut stream, (1, rows * batch, WIDTHS[0]), 1.0)?;
    let start = Tensor::zeros((1, batch, UNITS), x.dtype(), x.device())?;
    let first = vec![false; rows * batch];
    let variables = [input.to_vec(), vec![recurrent], output.to_vec()].concat();
    measure(rows * batch, variables, fused, train, |all| {
        let gates = apply(&x, &all[0], &all[1], true, fused)?;
        let states = if fused {
            gru(&gates, &all[2], &start, &first)?
        } else {
            plain_gru(&gates, &all[2], &start, batch)?
        };
        apply(&states, &all[3], &all[4], true, fused)
    })
}

fn apply(x: &Tensor, weight: &Tensor, bias: &Tensor, linear: bool, fused: bool) -> Result<Tensor> {
    if fused {
        let activation = if linear {
            Activation::Identity
        } else {
            Activation::Tanh
        };
        return dense(x, weight, bias, activation);
    }
    let sums = x.matmul(weight)?.broadcast_add(bias)?;
    if linear { Ok(sums) } else { sums.tanh() }
}

fn plain_gru(gates: &Tensor, recurrent: &Tensor, start: &Tensor, batch: usize) -> Result<Tensor> {
    let weights = recurrent.narrow(1, 0, UNITS)?;
    let bias = recurrent.narrow(1, UNITS, 1)?;
    let mut state = start.clone();
    let mut states = Vec::new();
    for t in 0..gates.dim(1)? / batch {
        let gates = gates.narrow(1, t * batch, batch)?;
        let sums = state.matmul(&weights)?.broadcast_add(&bias)?;
        let gate = |of: &Tensor, index: usize| of.narrow(2, index * UNITS, UNITS);
        let r = candle_nn::ops::sigmoid(&(gate(&gates, 0)? + gate(&sums, 0)?)?)?;
        let z = candle_nn::ops::sigmoid(&(gate(&gates, 1)? + gate(&sums, 1)?)?)?;
        let n = (gate(&gates, 2)? + (r * gate(&sums, 2)?)?)?.tanh()?;
        state = (&n + (z * (state - &n)?)?)?;
        states.push(state.clone());
    }
    Tensor::cat(&states, 1)
}

/// Samples a second of `forward`, or of a whole step of training on the sum of its squares.
fn measure(
    samples: usize,
    variables: Vec<Var>,
    fused: bool,
    train: bool,
    forward: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<f64> {
    let tensors: Vec<Tensor> = variables
        .iter()
        .map(|v| {
            if train {
                v.as_tensor().clone()
            } else {
                v.as_tensor().detach()
            }
        })
        .collect();
    let config = AdamConfig {
        max_norm: Some(1e9),
        ..AdamConfig::default()
    };
    let mut ours = Adam::new(variables.clone(), 1, config)?;
    let mut theirs = AdamW::new(variables, ParamsAdamW::default())?;
    let mut once = || -> Result<()> {
        let y = forward(&tensors)?;
        if train {
            let gradients = y.sqr()?.mean_all()?.backward()?;
            if fused {
                black_box(ours.step(&gradients)?);
            } else {
                theirs.step(&gradients)?;
            }
        } else {
            black_box(y);
        }
        Ok(())
    };
    for _ in 0..3 {
        once()?;
    }
    // The best of many short stretches: what else runs on the machine only ever slows it down.
    let mut best = 0.0_f64;
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < SECONDS {
        let stretch = Instant::now();
        let mut count = 0;
        while count == 0 || stretch.elapsed().as_secs_f64() < STRETCH {
            once()?;
            count += 1;
        }
        best = best.max((count * samples) as f64 / stretch.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn layer(stream: &mut Stream, inputs: usize, outputs: usize) -> Result<[Var; 2]> {
    let spread = 1.0 / (inputs as f64).sqrt();
    Ok([
        Var::from_tensor(&normal(stream, (1, inputs, outputs), spread)?)?,
        Var::from_tensor(&normal(stream, (1, 1, outputs), 0.1)?)?,
    ])
}

fn normal(stream: &mut Stream, shape: (usize, usize, usize), spread: f64) -> Result<Tensor> {
    let count = shape.0 * shape.1 * shape.2;
    let values: Vec<f32> = (0..count)
        .map(|_| (spread * stream.normal()) as f32)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}
