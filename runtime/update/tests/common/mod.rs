//! Flash that loses power, and images for it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use chacha20::{ChaCha8Rng, rand_core::SeedableRng};
use consort_runtime::{
    Activation, AlignedBytes, DenseRepr, Head, Image, ImageRepr, LayerRepr, TeamId,
};
use consort_update::{Refusal, RevisionCounter, View};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use rand_core::Rng;

/// Bytes erased at once: the least that hold a slot's records.
pub(crate) const ERASE: usize = 224;
/// One part for the image, one for the records.
pub(crate) const SLOT: u32 = 2 * ERASE as u32;

/// What is left of the word or the part that the power failed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Torn {
    /// What came before the cut, and nothing of what comes after it; the byte at the cut is as before.
    Prefix,
    /// The other way round: from the end.
    Suffix,
    /// As `Prefix`, but half of the bits of the byte at the cut have changed.
    Bits,
    /// The flash's data sheet: contents undefined. Any mixture of old, new and noise in a word; of old and erased in a
    /// part that was being erased.
    Undefined,
}

/// Why the flash does not do what it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no power.
    Power,
    /// Asked for what no driver allows.
    Misuse,
    /// A word that was written to since it was erased.
    Written,
}

impl NorFlashError for Failure {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// NOR flash that is written by `W` bytes: erased to ones, words written once. Every byte that is written or erased is a step,
/// and the power fails after a number of them.
#[derive(Debug, Clone)]
pub(crate) struct Flash<const W: usize> {
    bytes: AlignedBytes<{ 2 * SLOT as usize }>,
    /// Words that something was begun in since they were erased.
    written: Vec<bool>,
    pub(crate) steps: u64,
    pub(crate) cut_after: Option<u64>,
    torn: Torn,
    /// Worn out: what is written succeeds, and is not there.
    pub(crate) worn: bool,
    /// Words and parts that were cut short: each has noise of its own.
    cuts: u64,
}

impl Torn {
    pub(crate) const ALL: [Torn; 4] = [Torn::Prefix, Torn::Suffix, Torn::Bits, Torn::Undefined];
}

impl<const W: usize> Flash<W> {
    /// Never erased: it holds anything.
    pub(crate) fn new(torn: Torn) -> Self {
        let mut bytes = AlignedBytes([0; 2 * SLOT as usize]);
        ChaCha8Rng::seed_from_u64(0).fill_bytes(&mut bytes.0);
        Flash {
            written: vec![true; bytes.0.len() / W],
            bytes,
            steps: 0,
            cut_after: None,
            torn,
            worn: false,
            cuts: 0,
        }
    }

    /// The power comes back, for good.
    pub(crate) fn revive(&mut self) {
        self.cut_after = None;
    }

    fn powered(&self) -> Result<(), Failure> {
        match self.cut_after {
            Some(cut) if self.steps >= cut => Err(Failure::Power),
            _ => Ok(()),
        }
    }

    /// Spends `wanted` steps or what is left of them; how many that were.
    fn spend(&mut self, wanted: usize) -> usize {
        let left = self.cut_after.map_or(u64::MAX, |cut| cut - self.steps);
        let spent = left.min(wanted as u64);
        self.steps += spent;
        spent as usize
    }

    fn noise(&mut self) -> ChaCha8Rng {
        self.cuts += 1;
        ChaCha8Rng::seed_from_u64(self.cuts ^ self.steps << 20)
    }

    pub(crate) fn flip(&mut self, byte: usize) {
        self.bytes.0[byte] ^= 1;
    }
}

impl<const W: usize> ErrorType for Flash<W> {
    type Error = Failure;
}

impl<const W: usize> ReadNorFlash for Flash<W> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Failure> {
        let found = self.view(offset, bytes.len())?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.0.len()
    }
}

impl<const W: usize> View for Flash<W> {
    fn view(&mut self, offset: u32, len: usize) -> Result<&[u8], Failure> {
        self.powered()?;
        let start = offset as usize;
        self.bytes.0.get(start..start + len).ok_or(Failure::Misuse)
    }
}

impl<const W: usize> NorFlash for Flash<W> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Failure> {
        self.powered()?;
        let (from, to) = (from as usize, to as usize);
        if !from.is_multiple_of(ERASE)
            || !to.is_multiple_of(ERASE)
            || from > to
            || to > self.bytes.0.len()
        {
            return Err(Failure::Misuse);
        }
        let mut noise = self.noise();
        for start in (from..to).step_by(ERASE) {
            let spent = self.spend(ERASE);
            let part = &mut self.bytes.0[start..start + ERASE];
            if spent == ERASE {
                part.fill(0xff);
                self.written[start / W..(start + ERASE) / W].fill(false);
                continue;
            }
            let words = start / W..(start + ERASE) / W;
            match self.torn {
                Torn::Prefix => part[..spent].fill(0xff),
                Torn::Suffix => part[ERASE - spent..].fill(0xff),
                Torn::Bits => {
                    part[..spent].fill(0xff);
                    part[spent] |= 0x55;
                }
                Torn::Undefined => {
                    for byte in part.iter_mut() {
                        *byte |= match noise.next_u32() % 3 {
                            0 => 0,
                            1 => 0xff,
                            _ => noise.next_u32() as u8,
                        };
                    }
                }
            }
            // Most flash lets words that read as blank be written, though they were not erased to the end; by the data
            // sheet their state is nobody's knowledge.
            for (word, bytes) in words.zip(part.chunks(W)) {
                self.written[word] =
                    self.torn == Torn::Undefined || bytes.iter().any(|&byte| byte != 0xff);
            }
            return Err(Failure::Power);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Failure> {
        self.powered()?;
        let start = offset as usize;
        let aligned = start.is_multiple_of(W) && bytes.len().is_multiple_of(W);
        if !aligned || start + bytes.len() > self.bytes.0.len() {
            return Err(Failure::Misuse);
        }
        if self.worn {
            return Ok(());
        }
        let mut noise = self.noise();
        for (index, word) in bytes.chunks(W).enumerate() {
            let start = start + index * W;
            if std::mem::replace(&mut self.written[start / W], true) {
                return Err(Failure::Written);
            }
            let spent = self.spend(W);
            let place = &mut self.bytes.0[start..start + W];
            if spent == W {
                place.copy_from_slice(word);
                continue;
            }
            match self.torn {
                Torn::Prefix => place[..spent].copy_from_slice(&word[..spent]),
                Torn::Suffix => place[W - spent..].copy_from_slice(&word[W - spent..]),
                Torn::Bits => {
                    place[..spent].copy_from_slice(&word[..spent]);
                    place[spent] &= word[spent] | 0xaa;
                }
                Torn::Undefined => {
                    for (byte, &new) in place.iter_mut().zip(word) {
                        *byte = match noise.next_u32() % 3 {
                            0 => *byte,
                            1 => new,
                            _ => noise.next_u32() as u8,
                        };
                    }
                }
            }
            return Err(Failure::Power);
        }
        Ok(())
    }
}

/// A counter that loses power too: advancing it is one step, done or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter {
    pub(crate) value: u32,
    /// Whether it does not answer.
    pub(crate) broken: bool,
    /// Whether it cannot be advanced.
    pub(crate) stuck: bool,
}

impl RevisionCounter for Counter {
    type Error = &'static str;

    fn least(&mut self) -> Result<u32, &'static str> {
        match self.broken {
            true => Err("broken"),
            false => Ok(self.value),
        }
    }

    fn advance(&mut self, revision: u32) -> Result<(), &'static str> {
        assert!(revision > self.value, "a counter goes up only");
        if self.broken || self.stuck {
            return Err("stuck");
        }
        self.value = revision;
        Ok(())
    }
}

/// A signature for tests.
pub(crate) fn sign(message: &[u8]) -> [u8; 64] {
    let mut signature = [0x3c_u8; 64];
    for (index, byte) in message.iter().enumerate() {
        signature[index % 64] = signature[index % 64].rotate_left(3) ^ byte;
    }
    signature
}

/// An image of agent 0 with a revision: 44 bytes of weights, all of them its own.
pub(crate) fn image(revision: u32) -> Vec<u8> {
    let weights = [revision as f32; 8];
    let layers = [LayerRepr::Dense(DenseRepr {
        inputs: 4,
        outputs: 2,
        activation: Activation::Tanh,
        weights: &weights,
        biases: &[0.25, -1.0],
    })];
    let repr = ImageRepr {
        team: TeamId([9; 16]),
        agent: 0,
        agents: 1,
        revision,
        period_us: 10_000,
        seeding: None,
        head: Head::Categorical { actions: 2 },
        layers: &layers,
    };
    let mut bytes = vec![0; repr.emitted_len().unwrap() + 64];
    assert_eq!(repr.emit_signed(&mut bytes, sign), Ok(bytes.len()));
    bytes
}

/// Signed images of agent 0.
pub(crate) fn admit(bytes: &[u8]) -> Result<u32, Refusal> {
    let mut verifier = |message: &[u8], signature: &[u8; 64]| sign(message) == *signature;
    let image = Image::new_verified(bytes, &mut verifier)?;
    match image.agent() {
        0 => Ok(image.revision()),
        _ => Err(Refusal::Unsuitable),
    }
}
