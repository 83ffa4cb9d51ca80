//! That a GPU trains as the processor does: every method, on tasks of every shape of team.
//!
//! Compiled with `--features cuda` only, and needs a GPU to pass:
//! `cargo test --release -p consort-trainer --features cuda --test cuda`. An earlier
//! text of it was compiled with that feature; none has run on a GPU yet.
#![cfg(feature = "cuda")]

use candle_core::Device;
use consort_trainer::config::{Layers, Method};
use consort_trainer::train::{Outcome, train};

/// A one-shot game (of one arm: at most a hundred updates, each of which is recorded), memory, a team that shares
/// its weights and a joint policy of one agent after another, several choices at once, vectors.
const TASKS: [(&str, i64); 5] = [
    ("climbing", 1_600),
    ("dec-tiger-h3", 120_000),
    ("lbf-8x8-2p-2f-coop", 60_000),
    ("mpe-reference", 60_000),
    ("mpe-reference-continuous", 60_000),
];

/// The first update starts from the same weights on the same batch, but for what a GPU rounds otherwise, which
/// a die that falls between two actions can make another action.
const TOLERANCE: f64 = 2e-2;

/// A run of a method, if the method is for such a task.
fn trained(
    method: Method,
    task: &str,
    steps: i64,
    device: &Device,
) -> Option<Result<Outcome, candle_core::Error>> {
    let mut layers = Layers::new();
    layers.task(task).unwrap();
    layers.value("method", method.name()).unwrap();
    layers.value("steps", steps).unwrap();
    if method == Method::Annealed {
        let one = "portfolio.arms = ['annealed']";
        layers.assignment(one).unwrap();
    }
    let (config, task) = match layers.resolve() {
        Ok(resolved) => resolved,
        Err(error) if error.to_string().contains("expected discrete actions") => return None,
        Err(error) => panic!("{}, {task}: {error}", method.name()),
    };
    let runs = train(&config, &[task], &[0], device, 1, &|_| ());
    Some(runs.map(|mut runs| runs.remove(0)))
}

/// What the first update measured, by name, and whether every weight that was learned is a number.
fn told(outcome: &Outcome) -> ([(&'static str, f64); 7], bool) {
    let best = outcome.best();
    let m = best.records[0].metrics;
    let measured = [
        ("return of the batch", m.batch_return),
        ("total correlation", m.total_correlation),
        ("information gap", m.information_gap),
        ("entropy of the joint policy", m.joint_entropy),
        ("entropy of the product", m.product_entropy),
        ("value", m.value),
        ("error of the value", m.value_error),
    ];
    (measured, best.marginals.iter().all(|own| own.is_finite()))
}

#[test]
fn every_method_trains_on_a_gpu_and_begins_as_on_the_processor() {
    let gpu = Device::new_cuda(0).expect("a GPU");
    let mut failures = Vec::new();
    for method in Method::ALL {
        for (task, steps) in TASKS {
            let Some(there) = trained(method, task, steps, &gpu) else {
                continue;
            };
            let mut fails =
                |what: String| failures.push(format!("{}, {task}: {what}", method.name()));
            let there = match there {
                Ok(outcome) => outcome,
                Err(error) => {
                    fails(error.to_string());
                    continue;
                }
            };
            let here = trained(method, task, steps, &Device::Cpu).unwrap().unwrap();
            let ((there, are_numbers), (here, _)) = (told(&there), told(&here));
            if !are_numbers {
                fails("weights that are not finite".to_owned());
            }
            for ((name, there), (_, here)) in std::iter::zip(there, here) {
                let close = (there - here).abs() <= TOLERANCE * here.abs().max(1.0);
                if !close {
                    fails(format!("{name} {there}, expected {here}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
