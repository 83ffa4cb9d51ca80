//! What an image means, and its bytes.

use crate::error::EmitError;
use crate::format::{
    CRC_LEN, Chain, DenseRecord, Header, KIND_DENSE, MAX_HEADER_LEN, PREFIX_LEN, Prefix,
    SIGNATURE_LEN, TeamId, crc32, padding_len,
};
use crate::head::Head;
use crate::layer::{Activation, PANEL};

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
    pub head: Head,
    /// The layers, from observation to head: 1 to [`MAX_LAYERS`](crate::MAX_LAYERS).
    pub layers: &'a [DenseRepr<'a>],
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

impl ImageRepr<'_> {
    /// Bytes that [`emit`](Self::emit) writes. A signature adds [`SIGNATURE_LEN`].
    ///
    /// # Errors
    ///
    /// Every [`EmitError`] but `Buffer`.
    pub fn emitted_len(&self) -> Result<usize, EmitError> {
        Ok(self.encode()?.prefix(0)?.total_len as usize)
    }

    /// Writes the image at the start of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// An [`EmitError`]; `buffer` is then unchanged.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        self.write(buffer, None::<fn(&[u8]) -> [u8; SIGNATURE_LEN]>)
    }

    /// Like [`emit`](Self::emit), with the signature that `sign` gives for the bytes it is shown: all those before it.
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
        let encoded = self.encode()?;
        let prefix = encoded.prefix(if sign.is_some() { SIGNATURE_LEN } else { 0 })?;
        let (expected, found) = (prefix.total_len as usize, buffer.len());
        let mut writer = Writer {
            buffer: buffer
                .get_mut(..expected)
                .ok_or(EmitError::Buffer { expected, found })?,
            len: 0,
        };
        writer.put(&prefix.to_bytes());
        writer.put(encoded.header());
        for _ in 0..padding_len(writer.len) {
            writer.put(&[0]);
        }
        for layer in self.layers {
            layer.emit(&mut writer);
        }
        if let Some(sign) = sign {
            writer.put(&sign(writer.written()));
        }
        writer.put(&crc32(writer.written()).to_le_bytes());
        Ok(writer.len)
    }

    /// Checks everything and encodes the header.
    fn encode(&self) -> Result<Encoded, EmitError> {
        let observations = self.layers.first().map_or(0, |layer| layer.inputs);
        let mut chain = Chain::new(self.agent, self.agents, self.layers.len(), observations)?;
        let mut parameters = 0usize;
        for (index, layer) in self.layers.iter().enumerate() {
            let own = chain.push(layer.inputs, layer.outputs)?;
            layer.check(index)?;
            parameters = parameters.checked_add(own).ok_or(EmitError::TooLong)?;
        }
        let [even, odd] = chain.finish(self.head)?;
        let mut encoded = Encoded {
            bytes: [0; MAX_HEADER_LEN],
            len: 0,
            parameters,
        };
        // Chain has bounded every size to 16 bits, so no cast below can lose anything.
        encoded.push(&Header {
            team: self.team,
            agent: self.agent,
            agents: self.agents,
            revision: self.revision,
            period_us: self.period_us,
            observations: observations as u16,
            memory: (even + odd) as u32,
            head: self.head.tag(),
            head_size: self.head.inputs() as u16,
            layers: self.layers.len() as u8,
        });
        for layer in self.layers {
            let (inputs, outputs) = (layer.inputs as u16, layer.outputs as u16);
            encoded.push(&(
                KIND_DENSE,
                DenseRecord {
                    inputs,
                    outputs,
                    activation: layer.activation.tag(),
                },
            ));
        }
        Ok(encoded)
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
            return Err(EmitError::Biases {
                layer,
                expected: self.outputs,
                found: self.biases.len(),
            });
        }
        if let Some(index) = self.weights.iter().position(|weight| !weight.is_finite()) {
            return Err(EmitError::NonFiniteWeight {
                layer,
                output: index / self.inputs,
                input: index % self.inputs,
            });
        }
        if let Some(output) = self.biases.iter().position(|bias| !bias.is_finite()) {
            return Err(EmitError::NonFiniteBias { layer, output });
        }
        Ok(())
    }

    /// Writes the parameters panel by panel, in the order [`dense`](crate::layer::dense) reads them.
    fn emit(&self, writer: &mut Writer<'_>) {
        for (biases, rows) in self
            .biases
            .chunks(PANEL)
            .zip(self.weights.chunks(PANEL * self.inputs))
        {
            for bias in biases {
                writer.put(&bias.to_le_bytes());
            }
            for input in 0..self.inputs {
                for weight in rows.iter().skip(input).step_by(self.inputs) {
                    writer.put(&weight.to_le_bytes());
                }
            }
        }
    }
}

/// A header and what must be known to frame it.
struct Encoded {
    bytes: [u8; MAX_HEADER_LEN],
    len: usize,
    parameters: usize,
}

impl Encoded {
    fn push(&mut self, part: &impl serde::Serialize) {
        // MAX_HEADER_LEN is the longest header there is (a test holds it to that), so there is always room.
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        self.len += postcard::to_slice(part, room).map_or(0, |written| written.len());
    }

    fn header(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn prefix(&self, signature_len: usize) -> Result<Prefix, EmitError> {
        let weights_start = PREFIX_LEN + self.len + padding_len(PREFIX_LEN + self.len);
        let weights = self.parameters.checked_mul(size_of::<f32>());
        let total = weights
            .and_then(|weights| weights.checked_add(weights_start + signature_len + CRC_LEN));
        let total_len = total
            .and_then(|total| u32::try_from(total).ok())
            .ok_or(EmitError::TooLong)?;
        Ok(Prefix {
            header_len: self.len as u16,
            total_len,
            signature_len: signature_len as u16,
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
        let room = self.buffer.get_mut(self.len..).unwrap_or_default();
        room.iter_mut()
            .zip(bytes)
            .for_each(|(slot, &byte)| *slot = byte);
        self.len += bytes.len();
    }

    fn written(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}
