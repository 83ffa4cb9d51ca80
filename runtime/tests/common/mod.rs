//! What the tests of images share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use consort_runtime::{Activation, DenseRepr, GruRepr, Head, ImageRepr, LayerRepr, TeamId};

/// The image of the worked example in `docs/image.md`.
pub(crate) const EXAMPLE: ImageRepr<'_> = ImageRepr {
    team: TeamId([
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
        0xff,
    ]),
    agent: 1,
    agents: 2,
    revision: 7,
    period_us: 20_000,
    seeding: None,
    head: Head::Categorical { actions: 3 },
    layers: &[
        LayerRepr::Dense(DenseRepr {
            inputs: 2,
            outputs: 1,
            activation: Activation::Relu,
            weights: &[1.0, -2.0],
            biases: &[0.5],
        }),
        LayerRepr::Dense(DenseRepr {
            inputs: 1,
            outputs: 3,
            activation: Activation::Identity,
            weights: &[1.0, 2.0, -1.0],
            biases: &[0.0, -1.0, 4.0],
        }),
    ],
};

/// The recurrent image of the second worked example in `docs/image.md`.
pub(crate) const RECURRENT: ImageRepr<'_> = ImageRepr {
    agent: 0,
    agents: 1,
    head: Head::Gaussian {
        log_std: &[-1.0, 0.0],
    },
    layers: &[
        LayerRepr::Gru(GruRepr {
            inputs: 1,
            hidden: 1,
            input: &[0.0, 0.0, 1.0],
            recurrent: &[0.0, 0.0, 2.0],
            input_bias: &[0.0, 0.0, 0.25],
            recurrent_bias_n: &[0.5],
        }),
        LayerRepr::Dense(DenseRepr {
            inputs: 1,
            outputs: 2,
            activation: Activation::Identity,
            weights: &[1.0, -2.0],
            biases: &[0.0, 0.5],
        }),
    ],
    ..EXAMPLE
};

/// The image of the third worked example: groups of two, one and three actions, whose logits are x₀, x₁; 5;
/// x₀ + x₁, x₀ − x₁ and 1.
pub(crate) const GROUPS: ImageRepr<'_> = ImageRepr {
    agent: 0,
    agents: 1,
    head: Head::MultiDiscrete { sizes: &[2, 1, 3] },
    layers: &[LayerRepr::Dense(DenseRepr {
        inputs: 2,
        outputs: 6,
        activation: Activation::Identity,
        weights: &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0, 0.0, 0.0],
        biases: &[0.0, 0.0, 5.0, 0.0, 0.0, 1.0],
    })],
    ..EXAMPLE
};

/// Bytes aligned to 16 whatever their number, starting `offset` bytes into an aligned place.
pub(crate) struct Aligned {
    blocks: Vec<[u64; 2]>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// A copy of `bytes` at an address that is `offset` modulo 16.
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

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[self.start..self.start + self.len]
    }
}

/// The image of `repr`, aligned.
pub(crate) fn emit(repr: &ImageRepr<'_>) -> Aligned {
    let mut buffer = vec![0; repr.emitted_len().unwrap()];
    assert_eq!(repr.emit(&mut buffer), Ok(buffer.len()));
    Aligned::copy(&buffer, 0)
}

/// Writes the CRC-32 that `image` should end with.
pub(crate) fn seal(image: &mut [u8]) {
    let body = image.len() - 4;
    let mut crc = u32::MAX;
    for &byte in &image[..body] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    image[body..].copy_from_slice(&(!crc).to_le_bytes());
}
