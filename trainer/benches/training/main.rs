//! What training costs on this machine, as lines of JSON on stdout:
//!
//! ```text
//! cargo bench --package consort-trainer --bench training -- networks
//! ```
//!
//! `cargo xtask bench train` runs the parts of this program beside the same parts in other systems. Everything is measured on
//! one thread unless an option says otherwise, by the processor time of that thread where the system tells it ([`clock`]); a
//! rate is the best of many short stretches, because what else runs on a machine only ever slows it down.

mod clock;
mod environments;
mod learning;
mod networks;

use std::hint::black_box;

use candle_core::Result;
use clap::{Parser, Subcommand};
use clock::Clock;
use consort_trainer::net::fused::gemm::{Into, Matrix, multiply};
use rayon::ThreadPoolBuilder;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long a rate is measured, and in stretches of what length: seconds.
const SECONDS: f64 = 0.8;
const STRETCH: f64 = 0.005;

/// Measures parts of training and prints a JSON object a line.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    part: Part,
    /// Given by `cargo bench` to every bench
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// The arithmetic that one core does at most: large matrix products
    Limit,
    /// Forward, and forward, backward and a step of Adam, of a perceptron and of a recurrent network
    Networks {
        /// Samples a batch, or rows of all sequences
        #[arg(long, value_delimiter = ',', default_values_t = [64, 512, 4096, 16384])]
        batches: Vec<usize>,
    },
    /// Bare steps of an environment under random actions
    Environment {
        /// Name of a task with discrete actions
        task: String,
    },
    /// Training: acting, stepping and learning
    Learn(learning::Learn),
}

fn main() -> Result<()> {
    // Without it candle counts the cores anew at every matrix product.
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        let message = "RAYON_NUM_THREADS: not set, expected 1, as `cargo bench` sets it here";
        return Err(candle_core::Error::msg(message));
    }
    let part = Cli::parse().part;
    // As in training, where every job runs in a pool: from outside, each of candle's operations would be handed to a thread.
    let pool = ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(candle_core::Error::wrap)?;
    pool.install(|| match part {
        Part::Limit => {
            limit();
            Ok(())
        }
        Part::Networks { batches } => networks::run(&batches),
        Part::Environment { task } => environments::run(&task),
        Part::Learn(learn) => learn.run(),
    })
}

/// Products of n × n matrices: 2 n³ operations each.
fn limit() {
    let best = [256_usize, 384, 512, 768].map(|n| {
        let (a, b) = (vec![0.5_f32; n * n], vec![0.25_f32; n * n]);
        let mut c = vec![0.0_f32; n * n];
        let products = rate(1, || {
            let (a, b) = (Matrix::new(&a, n, n), Matrix::new(&b, n, n));
            multiply(a, b, black_box(&mut c), Into::Replace);
        });
        products * 2.0 * (n as f64).powi(3) / 1e9
    });
    let gflops = best.into_iter().fold(0.0, f64::max);
    println!("{}", json!({ "part": "limit", "gflops": gflops }));
}

/// How many things a second `once` does, which does `count` of them.
fn rate(count: usize, mut once: impl FnMut()) -> f64 {
    for _ in 0..3 {
        once();
    }
    let mut best = 0.0_f64;
    let start = Clock::start();
    while start.seconds() < SECONDS {
        let stretch = Clock::start();
        let (mut calls, mut seconds) = (0, 0.0);
        while seconds < STRETCH {
            once();
            calls += 1;
            seconds = stretch.seconds();
        }
        best = best.max((calls * count) as f64 / seconds);
    }
    best
}
