//! Every random draw in the trainer comes from here: named streams derived from one seed.
//!
//! A stream is ChaCha8 keyed by (seed, name, index). Two streams with different keys are
//! independent, so adding a consumer never shifts the draws of another, and a replica gives
//! the same numbers whether it is trained alone or beside a hundred others.

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A seeded source of randomness for one purpose. Saved and loaded, it goes on where it was.
pub struct Stream(ChaCha8Rng);

impl Clone for Stream {
    fn clone(&self) -> Self {
        Position(self.0.get_seed(), self.0.get_word_pos()).stream()
    }
}

/// What a generator is made of: its key and how many words it has given.
#[derive(Serialize, Deserialize)]
struct Position([u8; 32], u128);

impl Position {
    fn stream(&self) -> Stream {
        let mut generator = ChaCha8Rng::from_seed(self.0);
        generator.set_word_pos(self.1);
        Stream(generator)
    }
}

impl Serialize for Stream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Position(self.0.get_seed(), self.0.get_word_pos()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Position::deserialize(deserializer)?.stream())
    }
}

impl Stream {
    /// The stream called `name`, number `index`, of the run seeded with `seed`.
    pub fn new(seed: u64, name: &str, index: u64) -> Self {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(name).to_le_bytes());
        key[16..24].copy_from_slice(&index.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A stream of its own for part `index` of this stream's work.
    pub fn fork(&mut self, index: u64) -> Self {
        let seed = self.0.next_u64();
        Self::new(seed, "fork", index)
    }

    /// Uniform in [0, 1) with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A standard normal number (Box–Muller, cosine branch).
    pub fn normal(&mut self) -> f64 {
        // 1 − u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// An index drawn in proportion to `weights` (non-negative, not all zero).
    ///
    /// Rounding can leave the target a hair above the running sum; the last index with
    /// positive weight is returned then, never one of weight zero.
    pub fn categorical<W: Copy + Into<f64>>(&mut self, weights: &[W]) -> usize {
        let total: f64 = weights.iter().map(|&w| w.into()).sum();
        let mut target = self.uniform() * total;
        let mut last = 0;
        for (index, &weight) in weights.iter().enumerate() {
            let weight: f64 = weight.into();
            if weight > 0.0 {
                last = index;
                if target < weight {
                    return index;
                }
                target -= weight;
            }
        }
        last
    }
}

impl rand_core::TryRng for Stream {
    type Error = rand_core::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

/// FNV-1a, 64 bits: turns a stream's name into part of its key.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_name_and_index() {
        let first = |seed, name, index| Stream::new(seed, name, index).0.next_u64();
        let draws = [
            first(0, "weights", 0),
            first(1, "weights", 0),
            first(0, "actions", 0),
            first(0, "weights", 1),
        ];
        for (i, a) in draws.iter().enumerate() {
            assert!(draws[i + 1..].iter().all(|b| a != b));
        }
        assert_eq!(first(7, "weights", 3), first(7, "weights", 3));
    }

    #[test]
    fn categorical_follows_its_weights_and_skips_zeros() {
        let mut stream = Stream::new(3, "test", 0);
        let mut counts = [0_u32; 4];
        for _ in 0..40_000 {
            counts[stream.categorical(&[0.0_f64, 1.0, 3.0, 0.0])] += 1;
        }
        assert_eq!((counts[0], counts[3]), (0, 0));
        // 40,000 draws at 3/4: standard deviation √(40000·.75·.25) = 87; five of them.
        assert!(counts[2].abs_diff(30_000) < 435, "{counts:?}");
    }

    #[test]
    fn normal_has_unit_moments() {
        let mut stream = Stream::new(5, "test", 0);
        let draws: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        // Standard errors: mean 1/√1e5 = .0032, variance √(2/1e5) = .0045; five of each.
        assert!(
            mean.abs() < 0.016 && (variance - 1.0).abs() < 0.023,
            "{mean} {variance}"
        );
    }
}
