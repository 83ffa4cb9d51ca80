//! What an image means, and its bytes.

use serde::Serialize;

use crate::error::EmitError;
use crate::format::{
    CRC_LEN, Chain, DenseRecord, GruRecord, Header, MAX_HEADER_LEN, PREFIX_LEN, Prefix,
    SIGNATURE_LEN, TeamId, WEIGHTS_ALIGN, crc32, padding_len,
};
use crate::head::Head;
use crate::layer::{Activation, PANEL_WIDTHS, UNIT_PANEL_WIDTHS};

/// The meaning of an image: what the trainer knows, before it is bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageRepr<'a> {
    /// The team the agent was trained with.
    pub team: TeamId,
    /// The agent's index in its team.
    pub agent: u16,
    /// Agents in the team.
    pub agents: u16,
    /// Counts up with every image released for the team.
    pub revision: u32,
    /// The time between two steps in training, in µs; 0 when the task is not periodic.
    pub period_us: u32,
    /// How the outputs become an action.
    pub head: Head<'a>,
    /// The layers, from observation to head: 1 to [`MAX_LAYERS`](crate::MAX_LAYERS).
    pub layers: &'a [LayerRepr<'a>],
}

/// The meaning of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LayerRepr<'a> {
    /// Every output depends on every input.
    Dense(DenseRepr<'a>),
    /// A gated recurrent unit.
    Gru(GruRepr<'a>),
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

impl ImageRepr<'_> {
    /// Bytes that [`emit`](Self::emit) writes; a signature adds [`SIGNATURE_LEN`].
    ///
    /// # Errors
    ///
    /// Every [`EmitError`] but `Buffer`.
    pub fn emitted_len(&self) -> Result<usize, EmitError> {
        let prefix = self.encode_header()?.prefix(false)?;
        Ok(prefix.total_len as usize)
    }

    /// Writes the image at the start of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// An [`EmitError`]; `buffer` is then unchanged.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        self.write(buffer, None::<fn(&[u8]) -> [u8; SIGNATURE_LEN]>)
    }

    /// Like [`emit`](Self::emit), with the signature that `sign` gives for all bytes before it.
    ///
    /// # Errors
    ///
    /// An [`EmitError`]; `buffer` is then unchanged.
    pub fn emit_signed(
        &self,
        buffer: &mut [u8],
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN],
    ) -> Result<usize, EmitError> {
        self.write(buffer, Some(sign))
    }

    fn write(
        &self,
        buffer: &mut [u8],
        sign: Option<impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN]>,
    ) -> Result<usize, EmitError> {
        let header = self.encode_header()?;
        let prefix = header.prefix(sign.is_some())?;
        let (expected, found) = (prefix.total_len as usize, buffer.len());
        let buffer = buffer
            .get_mut(..expected)
            .ok_or(EmitError::Buffer { expected, found })?;

        let mut writer = Writer { buffer, len: 0 };
        writer.put(&prefix.to_bytes());
        writer.put(header.bytes());
        let padding = padding_len(writer.len);
        writer.put([0; WEIGHTS_ALIGN].get(..padding).unwrap_or_default());
        self.layers
            .iter()
            .for_each(|layer| layer.write(&mut writer));
        writer.floats(self.head.parameters());
        if let Some(sign) = sign {
            let signature = sign(writer.written());
            writer.put(&signature);
        }
        let crc = crc32(writer.written());
        writer.put(&crc.to_le_bytes());
        Ok(writer.len)
    }

    /// Checks everything the image says, and encodes its header.
    fn encode_header(&self) -> Result<EncodedHeader, EmitError> {
        let observations = self.layers.first().map_or(0, LayerRepr::inputs);
        let mut chain = Chain::new(self.agent, self.agents, self.layers.len(), observations)?;
        let mut parameters = 0usize;
        for (index, layer) in self.layers.iter().enumerate() {
            let own = layer.check(index, &mut chain)?;
            parameters = parameters.checked_add(own).ok_or(EmitError::TooLong)?;
        }
        let memory = chain.finish(self.head.inputs())?;
        let own = self.head.parameters();
        if let Some(dimension) = own.iter().position(|value| !value.is_finite()) {
            return Err(EmitError::NonFiniteLogStd { dimension });
        }
        parameters = parameters
            .checked_add(own.len())
            .ok_or(EmitError::TooLong)?;

        // The chain has bounded every size to 16 bits, so no cast below loses anything.
        let mut encoded = EncodedHeader {
            buffer: [0; MAX_HEADER_LEN],
            len: 0,
            parameters,
        };
        encoded.put(&Header {
            team: self.team,
            agent: self.agent,
            agents: self.agents,
            revision: self.revision,
            period_us: self.period_us,
            observations: observations as u16,
            memory: memory.len() as u32,
            head: self.head.tag(),
            head_size: self.head.inputs() as u16,
            layers: self.layers.len() as u8,
        });
        for layer in self.layers {
            match layer {
                LayerRepr::Dense(dense) => encoded.put(&DenseRecord::new(
                    dense.inputs as u16,
                    dense.outputs as u16,
                    dense.activation,
                )),
                LayerRepr::Gru(gru) => {
                    encoded.put(&GruRecord::new(gru.inputs as u16, gru.hidden as u16));
                }
            }
        }
        Ok(encoded)
    }
}

impl<'a> Head<'a> {
    /// Its own parameters, which follow the last layer's.
    fn parameters(self) -> &'a [f32] {
        match self {
            Head::Categorical { .. } | Head::Deterministic { .. } => &[],
            Head::Gaussian { log_std } => log_std,
        }
    }
}

impl LayerRepr<'_> {
    fn inputs(&self) -> usize {
        match self {
            LayerRepr::Dense(layer) => layer.inputs,
            LayerRepr::Gru(layer) => layer.inputs,
        }
    }

    /// Adds the layer, number `index`, to the chain; how many parameters it has.
    fn check(&self, index: usize, chain: &mut Chain) -> Result<usize, EmitError> {
        match self {
            LayerRepr::Dense(layer) => {
                let own = chain.dense(layer.inputs, layer.outputs)?;
                layer.check(index).map(|()| own)
            }
            LayerRepr::Gru(layer) => {
                let own = chain.gru(layer.inputs, layer.hidden)?;
                layer.check(index).map(|()| own)
            }
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            LayerRepr::Dense(layer) => layer.write(writer),
            LayerRepr::Gru(layer) => layer.write(writer),
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

/// A header, and what must be known to frame it.
struct EncodedHeader {
    buffer: [u8; MAX_HEADER_LEN],
    len: usize,
    /// Weights and biases of all layers.
    parameters: usize,
}

impl EncodedHeader {
    fn put(&mut self, part: &impl Serialize) {
        // A test holds MAX_HEADER_LEN to the longest header there is, so there always is room.
        let room = self.buffer.get_mut(self.len..).unwrap_or_default();
        self.len += postcard::to_slice(part, room).map_or(0, |written| written.len());
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    fn prefix(&self, signature: bool) -> Result<Prefix, EmitError> {
        let header_end = PREFIX_LEN + self.len;
        let tail = CRC_LEN + if signature { SIGNATURE_LEN } else { 0 };
        let total_len = self
            .parameters
            .checked_mul(size_of::<f32>())
            .and_then(|weights| weights.checked_add(header_end + padding_len(header_end) + tail))
            .and_then(|total| u32::try_from(total).ok())
            .ok_or(EmitError::TooLong)?;
        Ok(Prefix {
            header_len: self.len as u16,
            total_len,
            signature,
        })
    }
}

/// Fills a buffer that is known to be long enough.
struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let room = self.buffer.iter_mut().skip(self.len);
        room.zip(bytes).for_each(|(slot, &byte)| *slot = byte);
        self.len += bytes.len();
    }

    fn floats<'f>(&mut self, values: impl IntoIterator<Item = &'f f32>) {
        values
            .into_iter()
            .for_each(|value| self.put(&value.to_le_bytes()));
    }

    fn written(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}
