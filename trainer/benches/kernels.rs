//! What training is made of, one piece at a time:
//!
//! ```text
//! cargo bench --package consort-trainer --bench kernels            # all of them
//! cargo bench --package consort-trainer --bench kernels -- dense   # those with this in their name
//! ```
//!
//! One thread; beside each fused operation of `net::fused` the same from candle's own operations, where there is one.

use std::hint::black_box;

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use consort_trainer::env::{JointAction, Task};
use consort_trainer::net::fused::gemm::{Into, Matrix, multiply};
use consort_trainer::net::fused::{Activation, Adam, AdamConfig, dense, gru, log_softmax};
use consort_trainer::rng::Stream;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Samples of a batch: as few as an update of sixteen environments has, and as many as one of hundreds.
const BATCHES: [usize; 2] = [512, 4096];
/// Width of a layer's input, its output, and of a categorical distribution.
const WIDTH: usize = 64;
const ACTIONS: usize = 6;
/// Steps of the sequences that a recurrent batch consists of.
const STEPS: usize = 32;

criterion_group!(
    kernels,
    products,
    dense_layer,
    recurrent_layer,
    distributions,
    optimiser,
    environments
);
criterion_main!(kernels);

/// The matrix product alone.
fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    for samples in BATCHES {
        let (a, b) = (
            vec![0.5_f32; samples * WIDTH],
            vec![0.25_f32; WIDTH * WIDTH],
        );
        let mut c = vec![0.0_f32; samples * WIDTH];
        group.throughput(Throughput::Elements(samples as u64));
        group.bench_function(format!("{WIDTH}x{WIDTH}/{samples}"), |bencher| {
            bencher.iter(|| {
                let (a, b) = (
                    Matrix::new(&a, samples, WIDTH),
                    Matrix::new(&b, WIDTH, WIDTH),
                );
                multiply(a, b, black_box(&mut c), Into::Replace);
            });
        });
    }
}

/// A layer of 64 × 64 with tanh.
fn dense_layer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dense");
    for samples in BATCHES {
        let x = variable("x", (1, samples, WIDTH));
        let weight = variable("weight", (1, WIDTH, WIDTH));
        let bias = variable("bias", (1, 1, WIDTH));
        let fused = |[x, weight, bias]: [&Tensor; 3]| dense(x, weight, bias, Activation::Tanh);
        let plain = |[x, weight, bias]: [&Tensor; 3]| x.matmul(weight)?.broadcast_add(bias)?.tanh();
        let tensors = [x.as_tensor(), &weight, &bias];
        passes(&mut group, "fused", samples, tensors, fused);
        passes(&mut group, "candle", samples, tensors, plain);
    }
}

/// 64 units over sequences of 32 steps.
fn recurrent_layer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gru");
    for samples in BATCHES {
        let batch = samples / STEPS;
        let gates = variable("gates", (1, samples, 3 * WIDTH));
        let recurrent = variable("recurrent", (1, WIDTH + 1, 3 * WIDTH));
        let start = variable("start", (1, batch, WIDTH));
        let first = vec![false; samples];
        let tensors = [gates.as_tensor(), &recurrent, &start];
        passes(
            &mut group,
            "fused",
            samples,
            tensors,
            |[gates, recurrent, start]| gru(gates, recurrent, &start.detach(), &first),
        );
    }
}

/// Log-probabilities of six actions.
fn distributions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log-softmax");
    for samples in BATCHES {
        let logits = variable("logits", (samples, ACTIONS));
        let fused = |[logits]: [&Tensor; 1]| log_softmax(logits);
        let plain = |[logits]: [&Tensor; 1]| candle_nn::ops::log_softmax(logits, 1);
        passes(&mut group, "fused", samples, [logits.as_tensor()], fused);
        passes(&mut group, "candle", samples, [logits.as_tensor()], plain);
    }
}

/// A step of Adam of the variables of 32 → 64 → 64 → 6.
fn optimiser(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("adam");
    let shapes = [
        (1, 32, 64),
        (1, 1, 64),
        (1, 64, 64),
        (1, 1, 64),
        (1, 64, 6),
        (1, 1, 6),
    ];
    let variables: Vec<Var> = shapes.map(|shape| variable("weight", shape)).to_vec();
    let mut sum = Tensor::new(0.0_f32, &Device::Cpu).unwrap();
    for variable in &variables {
        sum = (sum + variable.sqr().unwrap().sum_all().unwrap()).unwrap();
    }
    let gradients = sum.backward().unwrap();
    let count = variables.iter().map(|variable| variable.elem_count());
    group.throughput(Throughput::Elements(count.sum::<usize>() as u64));
    let clipped = AdamConfig {
        max_norm: Some(1.0),
        ..AdamConfig::default()
    };
    let mut ours = Adam::new(variables.clone(), 1, clipped).unwrap();
    group.bench_function("fused, clipped", |bencher| {
        bencher.iter(|| ours.step(&gradients).unwrap());
    });
    let mut candles = AdamW::new(variables, ParamsAdamW::default()).unwrap();
    group.bench_function("candle", |bencher| {
        bencher.iter(|| candles.step(&gradients).unwrap());
    });
}

/// A step of an environment, resets included, in steps of agents.
fn environments(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("environment");
    for name in ["lbf-8x8-2p-2f-coop", "rware-tiny-4ag", "mpe-spread"] {
        let task = Task::find(name).unwrap();
        let spec = task.spec();
        let mut choices = Stream::new(1, "choices", 0);
        let drawn = spec.agents.iter().cycle().take(1000 * spec.agents.len());
        let draw = |size: usize, choices: &mut Stream| (choices.uniform() * size as f64) as u32;
        let actions: Vec<u32> = drawn
            .map(|agent| draw(agent.actions.size(), &mut choices))
            .collect();
        let mut environment = task.make_environment();
        let mut draws = Stream::new(1, "draws", 0);
        let mut observations = vec![0.0; spec.joint_observation()];
        environment.reset(&mut draws, &mut observations);
        group.throughput(Throughput::Elements(spec.agents.len() as u64));
        let mut joint = actions.chunks_exact(spec.agents.len()).cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let action = JointAction::Discrete(joint.next().expect("a cycle never ends"));
                let transition = environment.step(action, &mut draws, &mut observations);
                if transition.terminated || transition.truncated {
                    environment.reset(&mut draws, &mut observations);
                }
            });
        });
    }
}

/// Forward, and forward and backward from the sum of what came of it.
fn passes<const N: usize>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    samples: usize,
    variables: [&Tensor; N],
    forward: impl Fn([&Tensor; N]) -> Result<Tensor>,
) {
    group.throughput(Throughput::Elements(samples as u64));
    let constants = variables.map(Tensor::detach);
    group.bench_function(format!("{name} forward/{samples}"), |bencher| {
        bencher.iter(|| forward(constants.each_ref()).unwrap());
    });
    group.bench_function(format!("{name} backward/{samples}"), |bencher| {
        bencher.iter(|| {
            let y = forward(variables).unwrap();
            y.sum_all().unwrap().backward().unwrap()
        });
    });
}

/// Small numbers in the given shape.
fn variable<S: std::convert::Into<candle_core::Shape>>(name: &str, shape: S) -> Var {
    let shape = shape.into();
    let mut stream = Stream::new(1, name, 0);
    let values = (0..shape.elem_count()).map(|_| (0.3 * stream.normal()) as f32);
    Var::from_vec(values.collect(), shape, &Device::Cpu).unwrap()
}
