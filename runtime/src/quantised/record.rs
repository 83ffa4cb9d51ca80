//! The records of integer layers.

use serde::Serialize;

use crate::format::Fields;
use crate::layer::Activation;

/// The record of the layer that an integer image begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct QuantiseRecord {
    kind: u8,
    pub(crate) inputs: u16,
}

impl QuantiseRecord {
    pub(crate) const KIND: u8 = 3;

    /// Reads a record and returns what follows it.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut fields = Fields(bytes);
        let record = QuantiseRecord {
            kind: fields.u8()?,
            inputs: fields.u16()?,
        };
        Some((record, fields.0))
    }

    pub(crate) fn new(inputs: u16) -> Self {
        QuantiseRecord {
            kind: Self::KIND,
            inputs,
        }
    }
}

/// The record of a dense layer in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct IntegerDenseRecord {
    kind: u8,
    pub(crate) inputs: u16,
    pub(crate) outputs: u16,
    pub(crate) activation: u8,
    pub(crate) shift: u8,
    pub(crate) exponent: u8,
}

impl IntegerDenseRecord {
    pub(crate) const KIND: u8 = 4;

    /// Reads a record and returns what follows it.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut fields = Fields(bytes);
        let record = IntegerDenseRecord {
            kind: fields.u8()?,
            inputs: fields.u16()?,
            outputs: fields.u16()?,
            activation: fields.u8()?,
            shift: fields.u8()?,
            exponent: fields.u8()?,
        };
        Some((record, fields.0))
    }

    pub(crate) fn new(
        inputs: u16,
        outputs: u16,
        activation: Activation,
        [shift, exponent]: [u8; 2],
    ) -> Self {
        IntegerDenseRecord {
            kind: Self::KIND,
            inputs,
            outputs,
            activation: activation.tag(),
            shift,
            exponent,
        }
    }
}

/// The record of a gated recurrent unit in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct IntegerGruRecord {
    kind: u8,
    pub(crate) inputs: u16,
    pub(crate) hidden: u16,
    /// Of the gates, of n and of q.
    pub(crate) shifts: [u8; 3],
}

impl IntegerGruRecord {
    pub(crate) const KIND: u8 = 5;

    /// Reads a record and returns what follows it.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut fields = Fields(bytes);
        let record = IntegerGruRecord {
            kind: fields.u8()?,
            inputs: fields.u16()?,
            hidden: fields.u16()?,
            shifts: [fields.u8()?, fields.u8()?, fields.u8()?],
        };
        Some((record, fields.0))
    }

    pub(crate) fn new(inputs: u16, hidden: u16, shifts: [u8; 3]) -> Self {
        IntegerGruRecord {
            kind: Self::KIND,
            inputs,
            hidden,
            shifts,
        }
    }
}
