//! The byte layout of `docs/image.md`, written once for the parser and the emitter.
//!
//! ```text
//! prefix 16 B │ header, postcard │ zeros to 16 B │ weights, f32 LE │ signature, 0 or 64 B │ CRC-32
//! ```

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::{Deserialize, Serialize};

use crate::error::{ImageError, ShapeError};
use crate::head::Head;
use crate::layer::Activation;

/// The version of the layout *and* of the arithmetic this crate reads, emits and computes.
pub const FORMAT_VERSION: u16 = 1;
/// The most layers a policy may have: bounds what [`Image`](crate::Image) holds on the stack.
pub const MAX_LAYERS: usize = 8;
/// Bytes of the optional signature: the size of Ed25519 and of ECDSA P-256.
pub const SIGNATURE_LEN: usize = 64;

pub(crate) const MAGIC: [u8; 4] = *b"CNSI";
pub(crate) const PREFIX_LEN: usize = 16;
pub(crate) const CRC_LEN: usize = 4;
/// Weights start at a multiple of this many bytes, so that wide loads and flash lines are met whole.
pub(crate) const WEIGHTS_ALIGN: usize = 16;
/// The longest header: every varint at its longest, [`MAX_LAYERS`] layers.
pub(crate) const MAX_HEADER_LEN: usize = 16 + 3 + 3 + 5 + 5 + 3 + 5 + 1 + 3 + 1 + MAX_LAYERS * 8;

pub(crate) const KIND_DENSE: u8 = 1;

/// Names a team: the images of one training run carry the same identifier. Shown as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TeamId(
    /// The identifier's bytes, in the order they are stored and shown.
    pub [u8; 16],
);

impl fmt::Display for TeamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The fixed part: enough to find every other part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) header_len: u16,
    pub(crate) total_len: u32,
    pub(crate) signature_len: u16,
}

impl Prefix {
    /// Reads the prefix of `bytes` and checks that it describes exactly `bytes.len()` bytes.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let Some(
            &[
                m0,
                m1,
                m2,
                m3,
                v0,
                v1,
                h0,
                h1,
                t0,
                t1,
                t2,
                t3,
                s0,
                s1,
                r0,
                r1,
            ],
        ) = bytes.first_chunk()
        else {
            return Err(ImageError::Truncated {
                expected: PREFIX_LEN,
                found: bytes.len(),
            });
        };
        let magic = [m0, m1, m2, m3];
        if magic != MAGIC {
            return Err(ImageError::Magic { found: magic });
        }
        let version = u16::from_le_bytes([v0, v1]);
        if version != FORMAT_VERSION {
            return Err(ImageError::Version { found: version });
        }
        let prefix = Prefix {
            header_len: u16::from_le_bytes([h0, h1]),
            total_len: u32::from_le_bytes([t0, t1, t2, t3]),
            signature_len: u16::from_le_bytes([s0, s1]),
        };
        let expected = prefix.total_len as usize;
        if bytes.len() < expected {
            return Err(ImageError::Truncated {
                expected,
                found: bytes.len(),
            });
        }
        if bytes.len() > expected {
            return Err(ImageError::TrailingBytes {
                expected,
                found: bytes.len(),
            });
        }
        let reserved = u16::from_le_bytes([r0, r1]);
        if reserved != 0 {
            return Err(ImageError::Reserved { found: reserved });
        }
        if prefix.signature_len != 0 && usize::from(prefix.signature_len) != SIGNATURE_LEN {
            return Err(ImageError::SignatureLength {
                found: prefix.signature_len,
            });
        }
        Ok(prefix)
    }

    pub(crate) fn to_bytes(self) -> [u8; PREFIX_LEN] {
        let [m0, m1, m2, m3] = MAGIC;
        let [v0, v1] = FORMAT_VERSION.to_le_bytes();
        let [h0, h1] = self.header_len.to_le_bytes();
        let [t0, t1, t2, t3] = self.total_len.to_le_bytes();
        let [s0, s1] = self.signature_len.to_le_bytes();
        [m0, m1, m2, m3, v0, v1, h0, h1, t0, t1, t2, t3, s0, s1, 0, 0]
    }
}

/// The postcard header; `layers` layer records follow it, still in postcard and within the header's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) team: TeamId,
    pub(crate) agent: u16,
    pub(crate) agents: u16,
    pub(crate) revision: u32,
    pub(crate) period_us: u32,
    pub(crate) observations: u16,
    pub(crate) memory: u32,
    pub(crate) head: u8,
    pub(crate) head_size: u16,
    pub(crate) layers: u8,
}

/// A dense layer's record, after its kind's tag. Tags are raw bytes, not postcard enums, so that an unknown one can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DenseRecord {
    pub(crate) inputs: u16,
    pub(crate) outputs: u16,
    pub(crate) activation: u8,
}

impl Activation {
    pub(crate) fn tag(self) -> u8 {
        match self {
            Activation::Identity => 1,
            Activation::Relu => 2,
            Activation::Tanh => 3,
        }
    }

    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        [Activation::Identity, Activation::Relu, Activation::Tanh]
            .into_iter()
            .find(|activation| activation.tag() == tag)
    }
}

impl Head {
    pub(crate) fn tag(self) -> u8 {
        match self {
            Head::Categorical { .. } => 1,
        }
    }

    pub(crate) fn from_tag(tag: u8, size: usize) -> Option<Self> {
        let head = Head::Categorical { actions: size };
        (head.tag() == tag).then_some(head)
    }
}

/// Follows the chain of layers: what every image satisfies, parsed or emitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    width: usize,
    layers: usize,
    /// The longest output of the layers 0, 2, 4, … and of the layers 1, 3, 5, …
    pub(crate) memory: [usize; 2],
}

impl Chain {
    pub(crate) fn new(
        agent: u16,
        agents: u16,
        layers: usize,
        observations: usize,
    ) -> Result<Self, ShapeError> {
        if agent >= agents {
            return Err(ShapeError::Agent { agent, agents });
        }
        if layers == 0 || layers > MAX_LAYERS {
            return Err(ShapeError::Layers { found: layers });
        }
        Ok(Chain {
            width: observations,
            layers: 0,
            memory: [0; 2],
        })
    }

    /// Adds a layer and returns how many parameters it has: `outputs * (inputs + 1)`.
    pub(crate) fn push(&mut self, inputs: usize, outputs: usize) -> Result<usize, ShapeError> {
        let layer = self.layers;
        if inputs != self.width {
            return Err(ShapeError::Inputs {
                layer,
                expected: self.width,
                found: inputs,
            });
        }
        let limit = usize::from(u16::MAX);
        if inputs == 0 || outputs == 0 || inputs > limit || outputs > limit {
            return Err(ShapeError::Size {
                layer,
                inputs,
                outputs,
            });
        }
        let parameters = inputs
            .checked_add(1)
            .and_then(|rows| rows.checked_mul(outputs));
        let [even, odd] = &mut self.memory;
        let region = if layer.is_multiple_of(2) { even } else { odd };
        *region = outputs.max(*region);
        self.width = outputs;
        self.layers += 1;
        parameters.ok_or(ShapeError::Size {
            layer,
            inputs,
            outputs,
        })
    }

    pub(crate) fn finish(self, head: Head) -> Result<[usize; 2], ShapeError> {
        if self.width != head.inputs() {
            return Err(ShapeError::Head {
                expected: head.inputs(),
                found: self.width,
            });
        }
        Ok(self.memory)
    }
}

/// The bytes of zeros between a header that ends at `offset` and the weights.
pub(crate) fn padding_len(offset: usize) -> usize {
    offset.wrapping_neg() % WEIGHTS_ALIGN
}

/// CRC-32/ISO-HDLC, bit by bit: an image is checked once, and a table would cost 1 KB of flash.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_gives_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_longest_header_fits() {
        let header = Header {
            team: TeamId([0xff; 16]),
            agent: u16::MAX - 1,
            agents: u16::MAX,
            revision: u32::MAX,
            period_us: u32::MAX,
            observations: u16::MAX,
            memory: u32::MAX,
            head: u8::MAX,
            head_size: u16::MAX,
            layers: u8::MAX,
        };
        let record = DenseRecord {
            inputs: u16::MAX,
            outputs: u16::MAX,
            activation: u8::MAX,
        };
        let mut buffer = [0; MAX_HEADER_LEN];
        let fixed = postcard::to_slice(&header, &mut buffer).unwrap().len();
        let layer = postcard::to_slice(&(KIND_DENSE, record), &mut buffer)
            .unwrap()
            .len();
        assert_eq!(fixed + MAX_LAYERS * layer, MAX_HEADER_LEN);
    }

    #[test]
    fn padding_reaches_the_next_multiple() {
        assert_eq!(
            [
                padding_len(16),
                padding_len(17),
                padding_len(31),
                padding_len(32)
            ],
            [0, 15, 1, 0]
        );
    }
}
