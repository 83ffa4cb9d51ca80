//! What a layer means, and its parameters in the order an image has them.

use crate::emit::Writer;
use crate::error::EmitError;
use crate::format::Chain;
use crate::layer::{Activation, PANEL_WIDTHS, UNIT_PANEL_WIDTHS};
use crate::quantised::{IntegerDenseRepr, IntegerGruRepr, QuantiseRepr};

/// The meaning of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LayerRepr<'a> {
    /// Every output depends on every input.
    Dense(DenseRepr<'a>),
    /// A gated recurrent unit.
    Gru(GruRepr<'a>),
    /// An integer image's first layer: the observation becomes whole numbers.
    Quantise(QuantiseRepr<'a>),
    /// A dense layer in whole numbers.
    IntegerDense(IntegerDenseRepr<'a>),
    /// A gated recurrent unit in whole numbers.
    IntegerGru(IntegerGruRepr<'a>),
}

/// The meaning of a dense layer: `activation(weights · input + biases)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenseRepr<'a> {
    /// Values it takes, 1 to 65,535.
    pub inputs: usize,
    /// Values it gives, 1 to 65,535.
    pub outputs: usize,
    /// What its outputs go through.
    pub activation: Activation,
    /// `[outputs][inputs]`, row after row.
    pub weights: &'a [f32],
    /// `[outputs]`.
    pub biases: &'a [f32],
}

/// The meaning of a gated recurrent unit: see [`layer`](crate::layer). The gates come in the order
/// r, z, n everywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GruRepr<'a> {
    /// I: values it takes, 1 to 65,535.
    pub inputs: usize,
    /// H: units, and values it gives, 1 to 65,535.
    pub hidden: usize,
    /// W, `[3H][I]`, row after row.
    pub input: &'a [f32],
    /// U, `[3H][H]`, row after row.
    pub recurrent: &'a [f32],
    /// b, `[3H]`.
    pub input_bias: &'a [f32],
    /// c_n, `[H]`: a second bias of n, inside its product with r.
    pub recurrent_bias_n: &'a [f32],
}

impl LayerRepr<'_> {
    pub(crate) fn inputs(&self) -> usize {
        match self {
            LayerRepr::Dense(layer) => layer.inputs,
            LayerRepr::Gru(layer) => layer.inputs,
            LayerRepr::Quantise(layer) => layer.scales.len(),
            LayerRepr::IntegerDense(layer) => layer.inputs,
            LayerRepr::IntegerGru(layer) => layer.inputs,
        }
    }

    /// Adds the layer, number `index`, to the chain; how many parameters it has.
    pub(crate) fn check(&self, index: usize, chain: &mut Chain) -> Result<usize, EmitError> {
        match self {
            LayerRepr::Dense(layer) => {
                let own = chain.dense(layer.inputs, layer.outputs)?;
                layer.check(index).map(|()| own)
            }
            LayerRepr::Gru(layer) => {
                let own = chain.gru(layer.inputs, layer.hidden)?;
                layer.check(index).map(|()| own)
            }
            LayerRepr::Quantise(layer) => layer.check(index, chain),
            LayerRepr::IntegerDense(layer) => layer.check(index, chain),
            LayerRepr::IntegerGru(layer) => layer.check(index, chain),
        }
    }

    /// Writes its parameters.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        match self {
            LayerRepr::Dense(layer) => layer.write(writer),
            LayerRepr::Gru(layer) => layer.write(writer),
            LayerRepr::Quantise(layer) => layer.write(writer),
            LayerRepr::IntegerDense(layer) => layer.write(writer),
            LayerRepr::IntegerGru(layer) => layer.write(writer),
        }
    }
}

impl DenseRepr<'_> {
    fn check(&self, layer: usize) -> Result<(), EmitError> {
        let expected = self.inputs * self.outputs;
        if self.weights.len() != expected {
            return Err(EmitError::Weights {
                layer,
                expected,
                found: self.weights.len(),
            });
        }
        if self.biases.len() != self.outputs {
            let (expected, found) = (self.outputs, self.biases.len());
            return Err(EmitError::Biases {
                layer,
                expected,
                found,
            });
        }
        if let Some(index) = self.weights.iter().position(|weight| !weight.is_finite()) {
            let (output, input) = (index / self.inputs, index % self.inputs);
            return Err(EmitError::NonFiniteWeight {
                layer,
                output,
                input,
            });
        }
        if let Some(output) = self.biases.iter().position(|bias| !bias.is_finite()) {
            return Err(EmitError::NonFiniteBias { layer, output });
        }
        Ok(())
    }

    /// Writes the parameters in the order [`dense`](crate::layer::dense) reads them.
    fn write(&self, writer: &mut Writer<'_>) {
        let (mut biases, mut rows) = (self.biases, self.weights);
        for width in PANEL_WIDTHS {
            while let Some((panel, others)) = biases.split_at_checked(width) {
                let (own, other_rows) = rows.split_at(width * self.inputs);
                (biases, rows) = (others, other_rows);
                writer.floats(panel);
                for input in 0..self.inputs {
                    writer.floats(own.iter().skip(input).step_by(self.inputs));
                }
            }
        }
    }
}

impl GruRepr<'_> {
    fn check(&self, layer: usize) -> Result<(), EmitError> {
        let (inputs, hidden) = (self.inputs, self.hidden);
        let parts = [
            ("input", self.input, [3, hidden, inputs]),
            ("recurrent", self.recurrent, [3, hidden, hidden]),
            ("input_bias", self.input_bias, [3, hidden, 1]),
            ("recurrent_bias_n", self.recurrent_bias_n, [1, hidden, 1]),
        ];
        for (part, values, sizes) in parts {
            // No slice is as long as the number that an overflow ends at.
            let expected = sizes.into_iter().fold(1, usize::saturating_mul);
            let found = values.len();
            if found != expected {
                return Err(EmitError::GruLength {
                    layer,
                    part,
                    expected,
                    found,
                });
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(EmitError::NonFiniteGru { layer, part, index });
            }
        }
        Ok(())
    }

    /// Writes the parameters in the order [`gru`](crate::layer::gru) reads them.
    fn write(&self, writer: &mut Writer<'_>) {
        let mut first = 0;
        for width in UNIT_PANEL_WIDTHS {
            while first + width <= self.hidden {
                for gate in 0..3 {
                    self.column(writer, self.input_bias, 1, 0, gate, first, width);
                }
                self.column(writer, self.recurrent_bias_n, 1, 0, 0, first, width);
                for (weights, from) in [(self.input, self.inputs), (self.recurrent, self.hidden)] {
                    for input in 0..from {
                        for gate in 0..3 {
                            self.column(writer, weights, from, input, gate, first, width);
                        }
                    }
                }
                first += width;
            }
        }
    }

    /// Writes, of a matrix whose rows are `row` long, the values at `place` in the rows of one
    /// gate's units `first` to `first + width`.
    #[allow(clippy::too_many_arguments, reason = "a place in a matrix of panels")]
    fn column(
        &self,
        writer: &mut Writer<'_>,
        matrix: &[f32],
        row: usize,
        place: usize,
        gate: usize,
        first: usize,
        width: usize,
    ) {
        let start = (gate * self.hidden + first) * row + place;
        writer.floats(matrix.iter().skip(start).step_by(row).take(width));
    }
}
