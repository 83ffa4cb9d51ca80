//! What an integer layer means, and its parameters in the order an image has them.

use super::check::{INPUT_BASES, INPUT_MULTIPLIERS, SHIFTS, bounded, exponents};
use super::layers::lane_words;
use crate::emit::Writer;
use crate::error::EmitError;
use crate::format::Chain;
use crate::layer::Activation;

/// How one input of an observation becomes a lane, a whole number from −256 to 256: about
/// `multiplier` × 2^(149 − `base`) × input − `zero`, rounded and held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputScale {
    /// 64 to 127.
    pub multiplier: u8,
    /// 32 to 511.
    pub base: u16,
    /// What is taken away after scaling, so that inputs far from 0 have all the lane's values too.
    pub zero: i16,
}

/// The meaning of an integer image's first layer: every input of the observation becomes a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantiseRepr<'a> {
    /// One an input, 1 to 65,535 of them.
    pub scales: &'a [InputScale],
}

/// The meaning of a dense layer in whole numbers: of output j, `activation(⌊y × multipliers[j] /
/// 2^shift + 1/2⌋)` with `y = biases[j] + weights[j] · lanes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegerDenseRepr<'a> {
    /// Lanes it takes, 1 to 65,535.
    pub inputs: usize,
    /// Values it gives, 1 to 65,535.
    pub outputs: usize,
    /// What its outputs go through; identity in the last layer, where nothing is held to a lane.
    pub activation: Activation,
    /// 8 to 30.
    pub shift: u8,
    /// Of the last layer: an output y means y × 2^−exponent, 0 to 100. Of a silu: the shift of its own
    /// product, 8 to 27. Of all else 0.
    pub exponent: u8,
    /// `[outputs][inputs]`, row after row, −127 to 127.
    pub weights: &'a [i8],
    /// `[outputs]`.
    pub biases: &'a [i32],
    /// `[outputs]`, 1 to 255.
    pub multipliers: &'a [u8],
}

/// The meaning of a gated recurrent unit in whole numbers: see `docs/image.md`. Matrices have their
/// gates in the order r, z, n; biases and multipliers in the order r, z, n, q, where q is n's product
/// with the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegerGruRepr<'a> {
    /// I: lanes it takes, 1 to 65,535.
    pub inputs: usize,
    /// H: units, and lanes it gives, 1 to 65,535.
    pub hidden: usize,
    /// Of r and z, of n, of q: each 8 to 30.
    pub shifts: [u8; 3],
    /// W, `[3H][I]`, row after row, −127 to 127.
    pub input: &'a [i8],
    /// U, `[3H][H]`, row after row, −127 to 127.
    pub recurrent: &'a [i8],
    /// `[4H]`.
    pub biases: &'a [i32],
    /// `[4H]`, 1 to 255.
    pub multipliers: &'a [u8],
}

/// A row of a panel: up to two parts of weights, a bias and a multiplier; nothing where it is padding.
#[derive(Clone, Copy, Default)]
struct Row<'a> {
    parts: [&'a [i8]; 2],
    bias: i32,
    multiplier: u8,
}

/// Writes a panel of 4 or 2 rows over matrices of so many inputs.
fn write_panel<const ROWS: usize>(
    writer: &mut Writer<'_>,
    inputs: [usize; 2],
    rows: [Row<'_>; ROWS],
) {
    rows.iter().for_each(|row| writer.word(row.bias));
    let mut multipliers = [0; 4];
    multipliers
        .iter_mut()
        .zip(&rows)
        .for_each(|(slot, row)| *slot = row.multiplier);
    writer.word(i32::from_le_bytes(multipliers));
    let (pairs, _) = rows.as_chunks::<2>();
    for (part, inputs) in inputs.into_iter().enumerate() {
        for input in (0..inputs).step_by(2) {
            for pair in pairs {
                let weight = |row: &Row<'_>, input: usize| {
                    let part = row.parts.get(part).copied().unwrap_or_default();
                    i32::from(part.get(input).copied().unwrap_or_default())
                };
                let number = |input| {
                    let [a, b] =
                        [0, 1].map(|row| pair.get(row).map_or(0, |row| weight(row, input)));
                    256 * a + b
                };
                writer.word(number(input) & 0xffff | number(input + 1) << 16);
            }
        }
    }
}

fn row(matrix: &[i8], width: usize, index: usize) -> &[i8] {
    matrix
        .chunks_exact(width.max(1))
        .nth(index)
        .unwrap_or_default()
}

impl QuantiseRepr<'_> {
    pub(crate) fn check(&self, layer: usize, chain: &mut Chain) -> Result<usize, EmitError> {
        let bad = |scale: &InputScale| {
            !(INPUT_MULTIPLIERS.contains(&scale.multiplier) && INPUT_BASES.contains(&scale.base))
        };
        let own = chain.quantise(self.scales.len())?;
        match self.scales.iter().position(bad) {
            Some(index) => Err(EmitError::IntegerParameter {
                layer,
                part: "scales",
                index,
            }),
            None => Ok(own),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        for scale in self.scales {
            let fields = i32::from(scale.base) << 7 | i32::from(scale.multiplier);
            writer.word(i32::from(scale.zero) << 16 | fields);
        }
    }
}

impl IntegerDenseRepr<'_> {
    pub(crate) fn check(&self, layer: usize, chain: &mut Chain) -> Result<usize, EmitError> {
        let last = chain.is_at_last();
        let own = chain.integer_dense(self.inputs, self.outputs, self.activation)?;
        let (rows, inputs) = (self.outputs, self.inputs);
        length(
            layer,
            "weights",
            rows.saturating_mul(inputs),
            self.weights.len(),
        )?;
        length(layer, "biases", rows, self.biases.len())?;
        length(layer, "multipliers", rows, self.multipliers.len())?;
        weights(layer, "weights", self.weights)?;
        multipliers(layer, self.multipliers)?;
        shift(layer, SHIFTS.contains(&self.shift), "shift")?;
        shift(
            layer,
            exponents(self.activation, last).contains(&self.exponent),
            "exponent",
        )?;
        for index in 0..rows {
            let parts = [row(self.weights, inputs, index), &[]];
            overflow(layer, index, self.shift, self.row_of(index), parts)?;
        }
        Ok(own)
    }

    fn row_of(&self, index: usize) -> Row<'_> {
        Row {
            parts: [row(self.weights, self.inputs, index), &[]],
            bias: self.biases.get(index).copied().unwrap_or_default(),
            multiplier: self.multipliers.get(index).copied().unwrap_or_default(),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let inputs = [self.inputs, 0];
        let mut first = 0;
        while first + 2 < self.outputs {
            write_panel(
                writer,
                inputs,
                [0, 1, 2, 3].map(|row| self.row_of(first + row)),
            );
            first += 4;
        }
        if first < self.outputs {
            write_panel(writer, inputs, [0, 1].map(|row| self.row_of(first + row)));
        }
    }
}

impl IntegerGruRepr<'_> {
    pub(crate) fn check(&self, layer: usize, chain: &mut Chain) -> Result<usize, EmitError> {
        let own = chain.integer_gru(self.inputs, self.hidden)?;
        let (inputs, hidden) = (self.inputs, self.hidden);
        let matrix = |width| 3usize.saturating_mul(hidden).saturating_mul(width);
        length(layer, "input", matrix(inputs), self.input.len())?;
        length(layer, "recurrent", matrix(hidden), self.recurrent.len())?;
        length(layer, "biases", 4 * hidden, self.biases.len())?;
        length(layer, "multipliers", 4 * hidden, self.multipliers.len())?;
        weights(layer, "input", self.input)?;
        weights(layer, "recurrent", self.recurrent)?;
        multipliers(layer, self.multipliers)?;
        for found in self.shifts {
            shift(layer, SHIFTS.contains(&found), "shifts")?;
        }
        let [gates, new, recurrent] = self.shifts;
        for unit in 0..hidden {
            for (gate, shift) in [gates, gates, new, recurrent].into_iter().enumerate() {
                let row = self.row_of(gate, unit);
                overflow(layer, gate * hidden + unit, shift, row, row.parts)?;
            }
        }
        Ok(own)
    }

    /// The row of a unit's gate: r, z, n or q.
    fn row_of(&self, gate: usize, unit: usize) -> Row<'_> {
        if unit >= self.hidden {
            return Row::default();
        }
        let index = gate * self.hidden + unit;
        let from_input = || row(self.input, self.inputs, index);
        let from_state = |gate: usize| row(self.recurrent, self.hidden, gate * self.hidden + unit);
        Row {
            parts: match gate {
                2 => [from_input(), &[]],
                3 => [from_state(2), &[]],
                _ => [from_input(), from_state(gate)],
            },
            bias: self.biases.get(index).copied().unwrap_or_default(),
            multiplier: self.multipliers.get(index).copied().unwrap_or_default(),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        for unit in (0..2 * lane_words(self.hidden)).step_by(2) {
            let gates = [(0, unit), (1, unit), (0, unit + 1), (1, unit + 1)];
            let both = [self.inputs, self.hidden];
            write_panel(
                writer,
                both,
                gates.map(|(gate, unit)| self.row_of(gate, unit)),
            );
            let two = [unit, unit + 1];
            write_panel(
                writer,
                [self.inputs, 0],
                two.map(|unit| self.row_of(2, unit)),
            );
            write_panel(
                writer,
                [self.hidden, 0],
                two.map(|unit| self.row_of(3, unit)),
            );
        }
    }
}

fn length(
    layer: usize,
    part: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), EmitError> {
    match found == expected {
        true => Ok(()),
        false => Err(EmitError::IntegerLength {
            layer,
            part,
            expected,
            found,
        }),
    }
}

fn weights(layer: usize, part: &'static str, weights: &[i8]) -> Result<(), EmitError> {
    match weights.iter().position(|&weight| weight == i8::MIN) {
        Some(index) => Err(EmitError::IntegerParameter { layer, part, index }),
        None => Ok(()),
    }
}

fn multipliers(layer: usize, multipliers: &[u8]) -> Result<(), EmitError> {
    let part = "multipliers";
    match multipliers.iter().position(|&multiplier| multiplier == 0) {
        Some(index) => Err(EmitError::IntegerParameter { layer, part, index }),
        None => Ok(()),
    }
}

fn shift(layer: usize, good: bool, part: &'static str) -> Result<(), EmitError> {
    match good {
        true => Ok(()),
        false => Err(EmitError::IntegerShift { layer, part }),
    }
}

fn overflow(
    layer: usize,
    row: usize,
    shift: u8,
    Row {
        bias, multiplier, ..
    }: Row<'_>,
    parts: [&[i8]; 2],
) -> Result<(), EmitError> {
    let weights = parts.into_iter().flatten();
    let sum = weights.map(|weight| u64::from(weight.unsigned_abs())).sum();
    match bounded(sum, bias, multiplier, shift) {
        true => Ok(()),
        false => Err(EmitError::IntegerOverflow { layer, row }),
    }
}
