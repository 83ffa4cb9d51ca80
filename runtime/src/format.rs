//! The byte layout of `docs/image.md`, written once for the parser and the emitter.
//!
//! ```text
//! prefix 16 B │ header │ zeros to 16 B │ weights │ signature, 0 or 64 B │ CRC-32
//! ```

mod chain;
mod records;
mod tags;

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::{Deserialize, Serialize};

use crate::error::ImageError;
use crate::seed::Seeding;

pub(crate) use chain::{Chain, Memory, check_groups};
pub(crate) use records::{DenseRecord, Fields, GruRecord, LayerRecord};
pub(crate) use tags::HeadKind;

/// The version of the layout *and* of the arithmetic this crate reads, emits and computes.
pub const FORMAT_VERSION: u16 = 1;
/// The most layers a policy may have: bounds what [`Image`](crate::Image) holds on the stack.
pub const MAX_LAYERS: usize = 8;
/// Bytes of the optional signature: the size of Ed25519 and of ECDSA P-256.
pub const SIGNATURE_LEN: usize = 64;

pub(crate) const MAGIC: [u8; 4] = *b"CNSI";
pub(crate) const PREFIX_LEN: usize = 16;
pub(crate) const CRC_LEN: usize = 4;
/// Weights start at a multiple of this many bytes: whole words, whole vectors, whole flash lines.
pub(crate) const WEIGHTS_ALIGN: usize = 16;
/// The longest header: every varint at its longest, [`MAX_LAYERS`] layers.
pub(crate) const MAX_HEADER_LEN: usize = 16 + 3 + 3 + 5 + 5 + 3 + 5 + 1 + 3 + 1 + MAX_LAYERS * 10;

/// Names a team: its images carry the same identifier. Shown as 32 hexadecimal digits.
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
    /// Whether the image has a signature.
    pub(crate) signature: bool,
    /// The shared seed that the policy expects, if it does.
    pub(crate) seeding: Option<Seeding>,
}

impl Prefix {
    /// Reads the prefix of `bytes` and checks that it describes exactly `bytes.len()` bytes.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let found = bytes.len();
        let Some(prefix) = bytes.first_chunk::<PREFIX_LEN>() else {
            return Err(ImageError::Truncated {
                expected: PREFIX_LEN + CRC_LEN,
                found,
            });
        };
        let &[
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
        ] = prefix;
        let magic = [m0, m1, m2, m3];
        if magic != MAGIC {
            return Err(ImageError::Magic { found: magic });
        }
        let version = u16::from_le_bytes([v0, v1]);
        if version != FORMAT_VERSION {
            return Err(ImageError::Version { found: version });
        }
        let total_len = u32::from_le_bytes([t0, t1, t2, t3]);
        let expected = total_len as usize;
        if found < expected {
            return Err(ImageError::Truncated { expected, found });
        }
        if found > expected {
            return Err(ImageError::TrailingBytes { expected, found });
        }
        let signature = match u16::from_le_bytes([s0, s1]) {
            0 => false,
            len if usize::from(len) == SIGNATURE_LEN => true,
            found => return Err(ImageError::SignatureLength { found }),
        };
        let seeding = match [r0, r1] {
            [0, 0] => None,
            found => Some(Seeding::from_bytes(found).ok_or(ImageError::Seeding { found })?),
        };
        Ok(Prefix {
            header_len: u16::from_le_bytes([h0, h1]),
            total_len,
            signature,
            seeding,
        })
    }

    pub(crate) fn to_bytes(self) -> [u8; PREFIX_LEN] {
        let signature_len = if self.signature {
            SIGNATURE_LEN as u16
        } else {
            0
        };
        let [m0, m1, m2, m3] = MAGIC;
        let [v0, v1] = FORMAT_VERSION.to_le_bytes();
        let [h0, h1] = self.header_len.to_le_bytes();
        let [t0, t1, t2, t3] = self.total_len.to_le_bytes();
        let [s0, s1] = signature_len.to_le_bytes();
        let [z0, z1] = self.seeding.map_or([0; 2], Seeding::to_bytes);
        [
            m0, m1, m2, m3, v0, v1, h0, h1, t0, t1, t2, t3, s0, s1, z0, z1,
        ]
    }
}

/// The postcard header. As many layer records as `layers` says follow it, in postcard too and
/// within the header's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Header<'a> {
    /// The identifier's bytes where they lie.
    pub(crate) team: &'a [u8; 16],
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

impl<'a> Header<'a> {
    /// Reads a header and returns what follows it.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (team, rest) = bytes.split_first_chunk()?;
        let mut fields = Fields(rest);
        let header = Header {
            team,
            agent: fields.u16()?,
            agents: fields.u16()?,
            revision: fields.u32()?,
            period_us: fields.u32()?,
            observations: fields.u16()?,
            memory: fields.u32()?,
            head: fields.u8()?,
            head_size: fields.u16()?,
            layers: fields.u8()?,
        };
        Some((header, fields.0))
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
    use crate::layer::Activation;
    use crate::quantised::record::{IntegerDenseRecord, IntegerGruRecord, QuantiseRecord};

    #[test]
    fn crc_gives_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_longest_header_fits() {
        let header = Header {
            team: &[0xff; 16],
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
        let record = IntegerDenseRecord::new(u16::MAX, u16::MAX, Activation::Tanh, [30, 100]);
        let mut buffer = [0; MAX_HEADER_LEN];
        let fixed = postcard::to_slice(&header, &mut buffer).unwrap().len();
        let layer = postcard::to_slice(&record, &mut buffer).unwrap().len();
        assert_eq!(fixed + MAX_LAYERS * layer, MAX_HEADER_LEN);
        let dense = DenseRecord::new(u16::MAX, u16::MAX, Activation::Tanh);
        assert!(postcard::to_slice(&dense, &mut buffer).unwrap().len() <= layer);
        let gru = GruRecord::new(u16::MAX, u16::MAX);
        assert!(postcard::to_slice(&gru, &mut buffer).unwrap().len() <= layer);
        let gru = IntegerGruRecord::new(u16::MAX, u16::MAX, [30; 3]);
        assert!(postcard::to_slice(&gru, &mut buffer).unwrap().len() <= layer);
        let quantise = QuantiseRecord::new(u16::MAX);
        assert!(postcard::to_slice(&quantise, &mut buffer).unwrap().len() <= layer);
    }

    /// The fields of a header behind the team, by which postcard reads them.
    type Fixed = (u16, u16, u32, u32, u16, u32, u8, u16, u8);

    fn in_parts(header: Header<'_>) -> (TeamId, Fixed) {
        let Header {
            team,
            agent,
            agents,
            revision,
            period_us,
            observations,
            memory,
            head,
            head_size,
            layers,
        } = header;
        let fixed = (
            agent,
            agents,
            revision,
            period_us,
            observations,
            memory,
            head,
            head_size,
            layers,
        );
        (TeamId(*team), fixed)
    }

    #[test]
    fn headers_and_records_are_read_as_postcard_reads_them() {
        let mut state = 1u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let (mut accepted, mut refused) = (0, 0);
        for _ in 0..200_000 {
            let mut bytes = [0u8; 48];
            // Small bytes, large ones and those at the edges of a varint, in any mixture.
            let edges = [0x00, 0x01, 0x03, 0x04, 0x0f, 0x10, 0x7f, 0x80, 0x81, 0xff];
            bytes.iter_mut().for_each(|byte| {
                *byte = match number() % 3 {
                    0 => number() as u8,
                    1 => (number() % 128) as u8,
                    _ => edges[number() as usize % edges.len()],
                }
            });
            let bytes = &bytes[..number() as usize % 48];
            let header = postcard::take_from_bytes::<(TeamId, Fixed)>(bytes).ok();
            let read = Header::read(bytes).map(|(header, rest)| (in_parts(header), rest));
            assert_eq!(read, header, "{bytes:02x?}");
            let dense = postcard::take_from_bytes::<DenseRecord>(bytes).ok();
            assert_eq!(DenseRecord::read(bytes), dense, "{bytes:02x?}");
            let gru = postcard::take_from_bytes::<GruRecord>(bytes).ok();
            assert_eq!(GruRecord::read(bytes), gru, "{bytes:02x?}");
            let quantise = postcard::take_from_bytes::<QuantiseRecord>(bytes).ok();
            assert_eq!(QuantiseRecord::read(bytes), quantise, "{bytes:02x?}");
            let dense = postcard::take_from_bytes::<IntegerDenseRecord>(bytes).ok();
            assert_eq!(IntegerDenseRecord::read(bytes), dense, "{bytes:02x?}");
            let gru = postcard::take_from_bytes::<IntegerGruRecord>(bytes).ok();
            assert_eq!(IntegerGruRecord::read(bytes), gru, "{bytes:02x?}");
            match header {
                Some(_) => accepted += 1,
                None => refused += 1,
            }
        }
        assert!(accepted > 1_000 && refused > 1_000, "{accepted} {refused}");
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
