//! By what images and states are told apart.

use core::hash::Hasher as _;

use siphasher::sip::SipHasher24;

/// SipHash-2-4 with a key of zeros: it tells accidents from the real thing, not an adversary's work.
#[derive(Debug, Clone)]
pub struct Hash(SipHasher24);

impl Hash {
    /// The hash of nothing, to be continued.
    #[allow(clippy::new_without_default, reason = "nothing is a default here")]
    pub fn new() -> Self {
        Hash(SipHasher24::new())
    }

    /// Takes bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// Takes values, by their bits.
    pub fn values(&mut self, values: &[f32]) {
        self.bytes(bytemuck::cast_slice(values));
    }

    /// The hash of all that was taken.
    pub fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// The hash of `bytes`.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hash = Hash::new();
    hash.bytes(bytes);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_as_the_whole() {
        let whole: [u8; 37] = core::array::from_fn(|index| index as u8);
        for cut in 0..whole.len() {
            let mut parts = Hash::new();
            parts.bytes(&whole[..cut]);
            parts.bytes(&whole[cut..]);
            assert_eq!(parts.finish(), hash(&whole));
        }
        let mut values = Hash::new();
        values.values(&[1.0, -0.0]);
        assert_eq!(values.finish(), hash(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0x80]));
    }
}
