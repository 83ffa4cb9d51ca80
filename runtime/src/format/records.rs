//! The layer table's records, and how headers and records are read.

use serde::Serialize;

use crate::error::ImageError;
use crate::layer::Activation;
use crate::quantised::record::{IntegerDenseRecord, IntegerGruRecord, QuantiseRecord};

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

    pub(super) fn u32(&mut self) -> Option<u32> {
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
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
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
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
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
