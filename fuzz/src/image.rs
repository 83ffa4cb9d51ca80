//! Any bytes as an image: refused with a reason, or a policy that steps.

use chacha20::ChaCha8Rng;
use consort_runtime::{
    Head, Image, ImageError, LayerKind, Policy, StepError, VerifyError, reissue_signed,
};
use rand_core::Rng;

use crate::policies::policy;
use crate::{Target, awkward, below, one_of, scramble, tame};

/// `offset modulo 16 │ bytes at that address`.
pub const TARGET: Target = Target {
    name: "image",
    run,
    seed,
    mutate,
};

/// Images need more memory than a fuzzer has time for only by their own word: what they declare is looked at, not lent.
const MOST_MEMORY: usize = 1 << 16;

fn run(data: &[u8]) {
    let Some((&offset, bytes)) = data.split_first() else {
        return;
    };
    let aligned = Aligned::copy(bytes, usize::from(offset % 16));
    let bytes = aligned.bytes();
    let checked = Image::new_checked(bytes);
    let verified = Image::new_verified(bytes, &mut |_: &[u8], _: &[u8; 64]| true);
    let image = match checked {
        Ok(image) => image,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            if let ImageError::Misaligned { found } = error {
                assert!(offset % 4 != 0 && found % 4 != 0, "{error}");
            }
            let refused = verified.map(|_| ()).unwrap_err();
            // Without a signature that is the first thing to be said of an image with a good checksum.
            assert!(refused == VerifyError::Image(error) || refused == VerifyError::Unsigned);
            return;
        }
    };
    assert_eq!(verified.is_ok(), image.signature().is_some());
    assert_eq!(image.as_bytes(), bytes);
    assert!(image.agent() < image.agents());
    // An integer image's state is replaced in place.
    let copies = if image.is_integer() { 1 } else { 2 };
    assert!(image.state_len() * copies <= image.memory_len());
    assert!((1..=8).contains(&image.layers().count()));
    if let Head::MultiDiscrete { sizes } = image.head() {
        let total: u64 = sizes.iter().map(|&size| u64::from(size)).sum();
        assert_eq!(total, image.output_len() as u64);
        assert!(!sizes.contains(&0));
    }
    issue_anew(&image);
    if image.memory_len() <= MOST_MEMORY {
        steps(&image);
    }
}

/// What is issued anew is an image again, and says the same but for its revision.
fn issue_anew(image: &Image<'_>) {
    let mut buffer = Aligned::copy(&vec![0; image.as_bytes().len() + 80], 0);
    let len = reissue_signed(image.as_bytes(), 12_345, buffer.bytes_mut(), |_| [0x5a; 64]).unwrap();
    let again = Image::new_checked(&buffer.bytes()[..len]).unwrap();
    assert_eq!(
        (again.revision(), again.signature()),
        (12_345, Some(&[0x5a; 64]))
    );
    assert_eq!(again.team(), image.team());
    assert_eq!(again.head(), image.head());
    assert!(again.layers().eq(image.layers()));
}

/// Right lengths and small numbers: an action, or an overflow that the weights explain.
fn steps(image: &Image<'_>) {
    let policy = Policy::new(*image);
    let mut memory = vec![f32::NAN; image.memory_len()];
    policy.reset(&mut memory).unwrap();
    for value in [0.0, 1.0, -3.0] {
        let mut observation = vec![value; image.observation_len()];
        if let Some(seeding) = image.seeding() {
            let symbols = usize::from(seeding.symbols);
            let tail = observation
                .split_at_mut(image.observation_len() - symbols)
                .1;
            tail.fill(0.0);
            tail[symbols / 2] = 1.0;
        }
        match policy.outputs(&observation, &mut memory) {
            Ok(outputs) => {
                assert_eq!(outputs.len(), image.output_len());
                assert!(outputs.iter().all(|value| value.is_finite()));
            }
            Err(StepError::NonFiniteOutput { .. } | StepError::StateOverflow { .. }) => {
                assert!(may_overflow(image), "an overflow that no weight explains");
            }
            Err(error) => panic!("a checked image gave `{error}`"),
        }
        // An integer image's state is words, which are no numbers.
        let state = &memory[..image.state_len()];
        assert!(image.is_integer() || state.iter().all(|value| value.is_finite()));
    }
}

/// Whether observations up to 3 can give sums beyond `f32`, by the largest weight there is.
pub(crate) fn may_overflow(image: &Image<'_>) -> bool {
    let (words, _) = image.as_bytes().as_chunks::<4>();
    // Header and signature too: more than the weights, which is as good for a bound.
    let largest = words
        .iter()
        .map(|&word| f32::from_le_bytes(word))
        .filter(|value| value.is_finite())
        .fold(1.0, |largest: f64, value| {
            largest.max(f64::from(value.abs()))
        });
    let mut bound = 3.0;
    for layer in image.layers() {
        let inputs = (layer.inputs + layer.outputs) as f64;
        bound = largest * (1.0 + inputs * f64::max(bound, 1.0));
        // Gates multiply one sum by at most 1 and add it to another.
        if 2.0 * bound >= f64::from(f32::MAX) {
            return true;
        }
        if layer.kind == LayerKind::Gru {
            bound = 1.0;
        }
    }
    false
}

pub(crate) fn seed(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(policy(rng, tame));
    bytes
}

fn mutate(data: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if data.len() < 25 || below(rng, 50) == 0 {
        *data = seed(rng);
    }
    if below(rng, 30) == 0 {
        data[0] = rng.next_u32() as u8;
    }
    let mut image = data.split_off(1);
    mutate_image(&mut image, rng);
    data.extend(image);
}

/// Changes a field, a number or some bytes of an image, and nearly always repairs length and checksum.
pub(crate) fn mutate_image(image: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    for _ in 0..1 + below(rng, 3) {
        if image.len() < 24 {
            *image = policy(rng, awkward);
        }
        let header_len = usize::from(u16::from_le_bytes([image[6], image[7]]));
        let header = 16..(16 + header_len).clamp(17, image.len());
        match below(rng, 8) {
            // A byte of the header: an index, a size, a tag.
            0..=2 => {
                let place = header.start + below(rng, header.len());
                image[place] = match below(rng, 3) {
                    0 => image[place] ^ 1 << below(rng, 8),
                    1 => one_of(rng, &[0, 1, 2, 3, 4, 5, 6, 8, 9, 0x7f, 0x80, 0xff]),
                    _ => rng.next_u32() as u8,
                };
            }
            // A byte more or less in the header.
            3 => {
                let place = header.start + below(rng, header.len());
                let len = match below(rng, 2) {
                    0 => {
                        image.insert(place, one_of(rng, &[0, 1, 2, 0x80, 0xff]));
                        header_len + 1
                    }
                    _ => {
                        image.remove(place);
                        header_len.saturating_sub(1)
                    }
                };
                image[6..8].copy_from_slice(&(len as u16).to_le_bytes());
            }
            // A field of the prefix.
            4 => {
                let place = 4 + below(rng, 12);
                image[place] = one_of(rng, &[0, 1, 2, 64, 0xff]);
            }
            // A number.
            5 | 6 => {
                let (words, _) = image.as_chunks_mut::<4>();
                let place = below(rng, words.len());
                words[place] = awkward(rng).to_le_bytes();
            }
            _ => scramble(image, rng),
        }
    }
    if image.len() >= 24 && below(rng, 20) != 0 {
        let total = image.len() as u32;
        image[8..12].copy_from_slice(&total.to_le_bytes());
        seal(image);
    }
}

/// Writes the checksum that an image should end with.
pub fn seal(image: &mut [u8]) {
    let Some((body, stored)) = image.split_last_chunk_mut::<4>() else {
        return;
    };
    let mut crc = u32::MAX;
    for &byte in body.iter() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    *stored = (!crc).to_le_bytes();
}

/// Bytes at an address that is what it is to be modulo 16.
pub(crate) struct Aligned {
    blocks: Vec<[u64; 2]>,
    start: usize,
    len: usize,
}

impl Aligned {
    pub(crate) fn copy(bytes: &[u8], offset: usize) -> Self {
        // A block more than needed, as Vec aligns to 8 only.
        let mut blocks = vec![[0u64; 2]; bytes.len().div_ceil(16) + 2];
        let start = blocks.as_ptr().addr().wrapping_neg() % 16 + offset;
        let view: &mut [u8] = bytemuck::cast_slice_mut(&mut blocks);
        view[start..start + bytes.len()].copy_from_slice(bytes);
        Aligned {
            blocks,
            start,
            len: bytes.len(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.blocks)[self.start..self.start + self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[self.start..self.start + self.len]
    }
}
