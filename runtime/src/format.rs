//! The byte layout of `docs/image.md`, written once for the parser and the emitter.
//!
//! ```text
//! prefix 16 B │ header │ zeros to 16 B │ weights │ signature, 0 or 64 B │ CRC-32
//! ```

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::{Deserialize, Serialize};

use crate::error::{ImageError, ShapeError};
use crate::head::Head;
use crate::layer::Activation;
use crate::quantised::layers::{dense_words, gru_words, lane_words, whole_rows};
use crate::quantised::record::{IntegerDenseRecord, IntegerGruRecord, QuantiseRecord};
use crate::seed::Seeding;

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
#[cfg_attr(test, derive(serde::Deserialize))]
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

impl Header {
    /// Reads a header and returns what follows it.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&team, rest) = bytes.split_first_chunk()?;
        let mut fields = Fields(rest);
        let header = Header {
            team: TeamId(team),
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

/// What is left to read of a header or a record.
///
/// postcard writes them; reading by serde's visitors would be a third of the code of a firmware that
/// runs one small network. A test holds the two to the same bytes.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.varint(16).map(|value| value as u16)
    }

    fn u32(&mut self) -> Option<u32> {
        self.varint(32)
    }

    /// A number of at most so many bits, 32 or fewer: seven of them a byte, lowest first, the top bit
    /// of every byte but the last set.
    #[inline(never)]
    fn varint(&mut self, bits: u32) -> Option<u32> {
        let (mut value, mut shift) = (0, 0);
        while shift < bits {
            let byte = u32::from(self.u8()?);
            let payload = byte & 0x7f;
            if shift + 7 > bits && payload >> (bits - shift) != 0 {
                return None;
            }
            value |= payload << shift;
            if byte == payload {
                return Some(value);
            }
            shift += 7;
        }
        None
    }
}

/// A layer's record, of whichever kind its first byte names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerRecord {
    Dense(DenseRecord),
    Gru(GruRecord),
    Quantise(QuantiseRecord),
    IntegerDense(IntegerDenseRecord),
    IntegerGru(IntegerGruRecord),
}

impl LayerRecord {
    /// Reads the record of layer `layer` and returns what follows it.
    pub(crate) fn read(layer: usize, records: &[u8]) -> Result<(Self, &[u8]), ImageError> {
        let malformed = ImageError::LayerRecord { layer };
        fn of<T>(
            kind: fn(T) -> LayerRecord,
            read: Option<(T, &[u8])>,
        ) -> Option<(LayerRecord, &[u8])> {
            read.map(|(record, rest)| (kind(record), rest))
        }
        let read = match records.first() {
            Some(&DenseRecord::KIND) => of(LayerRecord::Dense, DenseRecord::read(records)),
            Some(&GruRecord::KIND) => of(LayerRecord::Gru, GruRecord::read(records)),
            Some(&QuantiseRecord::KIND) => of(LayerRecord::Quantise, QuantiseRecord::read(records)),
            Some(&IntegerDenseRecord::KIND) => {
                of(LayerRecord::IntegerDense, IntegerDenseRecord::read(records))
            }
            Some(&IntegerGruRecord::KIND) => {
                of(LayerRecord::IntegerGru, IntegerGruRecord::read(records))
            }
            Some(&found) => return Err(ImageError::LayerTag { layer, found }),
            None => None,
        };
        read.ok_or(malformed)
    }
}

/// A dense layer's record. Tags are bytes, not postcard enums, so that an unknown one can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct DenseRecord {
    kind: u8,
    pub(crate) inputs: u16,
    pub(crate) outputs: u16,
    pub(crate) activation: u8,
}

impl DenseRecord {
    const KIND: u8 = 1;

    /// Reads a record and returns what follows it.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut fields = Fields(bytes);
        let record = DenseRecord {
            kind: fields.u8()?,
            inputs: fields.u16()?,
            outputs: fields.u16()?,
            activation: fields.u8()?,
        };
        Some((record, fields.0))
    }

    pub(crate) fn new(inputs: u16, outputs: u16, activation: Activation) -> Self {
        DenseRecord {
            kind: Self::KIND,
            inputs,
            outputs,
            activation: activation.tag(),
        }
    }
}

/// A gated recurrent unit's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct GruRecord {
    kind: u8,
    pub(crate) inputs: u16,
    pub(crate) hidden: u16,
}

impl GruRecord {
    const KIND: u8 = 2;

    /// Reads a record and returns what follows it.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut fields = Fields(bytes);
        let record = GruRecord {
            kind: fields.u8()?,
            inputs: fields.u16()?,
            hidden: fields.u16()?,
        };
        Some((record, fields.0))
    }

    pub(crate) fn new(inputs: u16, hidden: u16) -> Self {
        GruRecord {
            kind: Self::KIND,
            inputs,
            hidden,
        }
    }
}

impl Activation {
    pub(crate) fn tag(self) -> u8 {
        match self {
            Activation::Identity => 1,
            Activation::Relu => 2,
            Activation::Tanh => 3,
            Activation::Sigmoid => 4,
            Activation::Silu => 5,
        }
    }

    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Activation::Identity),
            2 => Some(Activation::Relu),
            3 => Some(Activation::Tanh),
            4 => Some(Activation::Sigmoid),
            5 => Some(Activation::Silu),
            _ => None,
        }
    }
}

impl<'a> Head<'a> {
    const CATEGORICAL: u8 = 1;
    const DETERMINISTIC: u8 = 2;
    const GAUSSIAN: u8 = 3;

    pub(crate) fn tag(self) -> u8 {
        match self {
            Head::Categorical { .. } => Self::CATEGORICAL,
            Head::Deterministic { .. } => Self::DETERMINISTIC,
            Head::Gaussian { .. } => Self::GAUSSIAN,
        }
    }

    /// How many parameters of its own the head with this tag has; none where there is no such head.
    pub(crate) fn parameters_of(tag: u8, size: usize) -> Option<usize> {
        match tag {
            Self::CATEGORICAL | Self::DETERMINISTIC => Some(0),
            Self::GAUSSIAN => Some(size),
            _ => None,
        }
    }

    /// The head with this tag; `parameters` are as many as [`parameters_of`](Self::parameters_of)
    /// says.
    pub(crate) fn from_tag(tag: u8, size: usize, parameters: &'a [f32]) -> Option<Self> {
        match tag {
            Self::CATEGORICAL => Some(Head::Categorical { actions: size }),
            Self::DETERMINISTIC => Some(Head::Deterministic { outputs: size }),
            Self::GAUSSIAN => Some(Head::Gaussian {
                log_std: parameters,
            }),
            _ => None,
        }
    }
}

/// How a step divides the memory it is lent: the state, as much again for the next state (none in an
/// integer image), and the two regions that layers write to in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    /// Values of all recurrent layers' states.
    pub(crate) state: usize,
    /// The most outputs of a dense layer at an even index, and at an odd one.
    pub(crate) regions: [usize; 2],
    /// Whether the image is an integer one, whose values are words of two lanes.
    pub(crate) integer: bool,
}

impl Memory {
    pub(crate) fn len(self) -> usize {
        let [even, odd] = self.regions;
        let next = if self.integer { 0 } else { self.state };
        self.state + next + even + odd
    }
}

/// Follows the chain of layers: what every image satisfies, whether parsed or emitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    /// Values that reach the next layer.
    width: usize,
    /// Layers so far.
    len: usize,
    /// Layers that there will be.
    count: usize,
    /// Whether the last layer so far gives `f32` values.
    floats: bool,
    memory: Memory,
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
            len: 0,
            count: layers,
            floats: true,
            memory: Memory::default(),
        })
    }

    /// Adds a dense layer and returns how many parameters it has. That fits 32 bits: each side
    /// fits 16.
    pub(crate) fn dense(&mut self, inputs: usize, outputs: usize) -> Result<usize, ShapeError> {
        self.integer(false)?;
        self.reserve(self.len, outputs);
        self.link(inputs, outputs)?;
        Ok(outputs * (inputs + 1))
    }

    /// Adds a recurrent layer and returns how many parameters it has, or the largest number where
    /// they would not fit in memory: then none has so many.
    pub(crate) fn gru(&mut self, inputs: usize, hidden: usize) -> Result<usize, ShapeError> {
        self.integer(false)?;
        self.link(inputs, hidden)?;
        self.memory.state += hidden;
        Ok(hidden.saturating_mul(4 + 3 * (inputs + hidden)))
    }

    /// Adds the layer that makes an image an integer one and returns how many words it has.
    pub(crate) fn quantise(&mut self, inputs: usize) -> Result<usize, ShapeError> {
        let layer = self.len;
        if layer != 0 {
            return Err(ShapeError::Precision { layer });
        }
        self.memory.integer = true;
        self.floats = false;
        self.reserve(layer, lane_words(inputs));
        self.link(inputs, inputs)?;
        Ok(inputs)
    }

    /// Adds a dense layer in whole numbers and returns how many words it has.
    pub(crate) fn integer_dense(
        &mut self,
        inputs: usize,
        outputs: usize,
        activation: Activation,
    ) -> Result<usize, ShapeError> {
        self.integer(true)?;
        let last = self.is_at_last();
        self.floats = last && activation == Activation::Identity;
        let own = if last {
            whole_rows(outputs)
        } else {
            lane_words(outputs)
        };
        self.reserve(self.len, own);
        self.link(inputs, outputs)?;
        Ok(dense_words(inputs, outputs))
    }

    /// Adds a recurrent layer in whole numbers and returns how many words it has.
    pub(crate) fn integer_gru(
        &mut self,
        inputs: usize,
        hidden: usize,
    ) -> Result<usize, ShapeError> {
        self.integer(true)?;
        self.floats = false;
        let state = lane_words(hidden);
        // Behind the inputs lies the state, as lanes.
        self.reserve(self.len + 1, lane_words(inputs) + state);
        self.reserve(self.len, state);
        self.link(inputs, hidden)?;
        self.memory.state += state;
        Ok(gru_words(inputs, hidden))
    }

    /// Whether the next layer is the last.
    pub(crate) fn is_at_last(&self) -> bool {
        self.len + 1 == self.count
    }

    /// Layers in whole numbers and others do not mix.
    fn integer(&self, expected: bool) -> Result<(), ShapeError> {
        match self.memory.integer == expected {
            true => Ok(()),
            false => Err(ShapeError::Precision { layer: self.len }),
        }
    }

    /// Makes the region of layers at places like `place` so long at least.
    fn reserve(&mut self, place: usize, len: usize) {
        let [even, odd] = &mut self.memory.regions;
        let region = if place.is_multiple_of(2) { even } else { odd };
        *region = len.max(*region);
    }

    fn link(&mut self, inputs: usize, outputs: usize) -> Result<(), ShapeError> {
        let layer = self.len;
        if inputs != self.width {
            return Err(ShapeError::Inputs {
                layer,
                expected: self.width,
                found: inputs,
            });
        }
        let sizes = 1..=usize::from(u16::MAX);
        if !sizes.contains(&inputs) || !sizes.contains(&outputs) {
            return Err(ShapeError::Size {
                layer,
                inputs,
                outputs,
            });
        }
        self.width = outputs;
        self.len += 1;
        Ok(())
    }

    /// Ends the chain at a head of `expected` inputs and returns the memory it computes in.
    pub(crate) fn finish(self, expected: usize) -> Result<Memory, ShapeError> {
        let found = self.width;
        if found != expected {
            return Err(ShapeError::Head { expected, found });
        }
        if !self.floats {
            return Err(ShapeError::IntegerOutput);
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
            let header = postcard::take_from_bytes::<Header>(bytes).ok();
            assert_eq!(Header::read(bytes), header, "{bytes:02x?}");
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
    fn tags_name_what_they_were_made_from() {
        for tag in 0..=u8::MAX {
            assert!(Activation::from_tag(tag).is_none_or(|activation| activation.tag() == tag));
            let head = Head::from_tag(tag, 3, &[0.0; 3]);
            assert!(head.is_none_or(|head| head.tag() == tag));
            assert_eq!(head.is_some(), Head::parameters_of(tag, 3).is_some());
        }
        for activation in Activation::ALL {
            assert_eq!(Activation::from_tag(activation.tag()), Some(activation));
        }
        for head in [
            Head::Categorical { actions: 3 },
            Head::Deterministic { outputs: 3 },
            Head::Gaussian {
                log_std: &[-1.0; 3],
            },
        ] {
            assert_eq!(Head::from_tag(head.tag(), 3, &[-1.0; 3]), Some(head));
        }
    }

    #[test]
    fn more_parameters_than_memory_holds_do_not_wrap() {
        let mut chain = Chain::new(0, 1, 1, 65_535).unwrap();
        let exact = 65_535_u64 * (4 + 6 * 65_535);
        let expected = usize::try_from(exact).unwrap_or(usize::MAX);
        assert_eq!(chain.gru(65_535, 65_535), Ok(expected));
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
