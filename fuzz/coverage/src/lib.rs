//! Hands a target of `consort_fuzz` to libFuzzer, with its own mutator beside libFuzzer's.

use chacha20::ChaCha8Rng;
use consort_fuzz::{TARGETS, Target};
use rand_core::{Rng, SeedableRng};

/// The target of this name.
pub fn target(name: &str) -> &'static Target {
    const { &TARGETS }
        .iter()
        .find(|target| target.name == name)
        .expect("a binary is named as its target")
}

/// libFuzzer's mutation of some bytes and then ours, or one of the two.
pub fn mutate(target: &Target, data: &mut [u8], len: usize, most: usize, seed: u32) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.into());
    let choice = rng.next_u32() % 4;
    let len = if choice < 2 {
        libfuzzer_sys::fuzzer_mutate(data, len, most)
    } else {
        len
    };
    if choice == 0 {
        return len;
    }
    let mut bytes = data[..len].to_vec();
    (target.mutate)(&mut bytes, &mut rng);
    bytes.truncate(most.min(data.len()));
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}

/// The whole of a target's binary.
#[macro_export]
macro_rules! drive {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| ($crate::target($name).run)(data));
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate($crate::target($name), data, size, max_size, seed)
        });
    };
}
