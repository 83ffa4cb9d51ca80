//! Same seed, same bits: alone or beside others, on one thread or two.

use candle_core::Device;
use consort_tests::{config, run, task};
use consort_trainer::config::Method;
use consort_trainer::train::train;

#[test]
fn a_run_gives_the_same_bits_alone_and_beside_others() {
    // Forty seeds and twenty arms fill many jobs; seed 3 alone fills none.
    let config = config(Method::Annealed, 12_000);
    for name in ["climbing-xor", "weak-link-3x4"] {
        let task = task(name);
        let many = run(&config, &task, &(0..40).collect::<Vec<_>>());
        let alone = run(&config, &task, &[3]);
        assert_eq!(many[3], alone[0], "{name}");
        assert_ne!(many[3].arms[0].marginals, many[4].arms[0].marginals);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let config = config(Method::Annealed, 12_000);
    let tasks = vec![task("xor-safe"); 3];
    let on = |threads| train(&config, &tasks, &[7, 8, 9], &Device::Cpu, threads, &|_| ()).unwrap();
    assert_eq!(on(1), on(4));
}

#[test]
fn progress_adds_up_to_the_steps_taken_within_the_budget() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let config = config(Method::Annealed, 30_000);
    let counted = AtomicU64::new(0);
    let tasks = [task("assurance")];
    let progress = |steps| {
        counted.fetch_add(steps, Ordering::Relaxed);
    };
    let outcomes = train(&config, &tasks, &[0], &Device::Cpu, 2, &progress).unwrap();
    assert_eq!(outcomes[0].env_steps(), counted.into_inner());
    assert!((29_000..=30_000).contains(&outcomes[0].env_steps()));
}
