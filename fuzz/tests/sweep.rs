//! A short sweep, the same every time: every target over its corpus, over what its mutator makes of it, and over new inputs.

use std::fs;
use std::path::Path;

use chacha20::{ChaCha8Rng, rand_core::SeedableRng};
use consort_fuzz::{TARGETS, Target};
use rand_core::Rng;

/// Inputs a target beside the corpus: seconds, not minutes.
const CASES: u64 = 30_000;

fn sweep(target: &Target) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}: a corpus", folder.display());
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    corpus.iter().for_each(|data| (target.run)(data));
    let cut = |len: usize, of: u64| of as usize % len;
    for case in 0..CASES {
        // A stream a case: one that fails can be run by itself.
        let mut rng = ChaCha8Rng::seed_from_u64(case);
        let mut data = match rng.next_u32() % 2 {
            0 => corpus[cut(corpus.len(), rng.next_u64())].clone(),
            _ => (target.seed)(&mut rng),
        };
        for _ in 0..rng.next_u32() % 4 {
            (target.mutate)(&mut data, &mut rng);
        }
        let run = std::panic::catch_unwind(|| (target.run)(&data));
        assert!(run.is_ok(), "{}: case {case}: {data:02x?}", target.name);
    }
}

#[test]
fn image() {
    sweep(&TARGETS[0]);
}

#[test]
fn step() {
    sweep(&TARGETS[1]);
}

#[test]
fn update() {
    sweep(&TARGETS[2]);
}

#[test]
fn frames() {
    sweep(&TARGETS[3]);
}

#[test]
fn every_target_is_swept() {
    assert_eq!(
        TARGETS.map(|target| target.name),
        ["image", "step", "update", "frames"]
    );
}
