//! What an image means, and its bytes.

use serde::Serialize;

use crate::error::{EmitError, ImageError};
use crate::format::{
    CRC_LEN, Chain, DenseRecord, GruRecord, Header, MAX_HEADER_LEN, PREFIX_LEN, Prefix,
    SIGNATURE_LEN, TeamId, WEIGHTS_ALIGN, check_groups, crc32, padding_len,
};
use crate::head::Head;
use crate::image::{Image, Parts};
use crate::quantised::record::{IntegerDenseRecord, IntegerGruRecord, QuantiseRecord};
use crate::repr::LayerRepr;
use crate::seed::Seeding;

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
    /// The shared seed that the policy expects, if it does.
    pub seeding: Option<Seeding>,
    /// How the outputs become an action.
    pub head: Head<'a>,
    /// The layers, from observation to head: 1 to [`MAX_LAYERS`](crate::MAX_LAYERS).
    pub layers: &'a [LayerRepr<'a>],
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
        frame(&header, buffer, sign, |writer| {
            self.layers.iter().for_each(|layer| layer.write(writer));
            writer.floats(self.head.parameters());
        })
    }

    /// Checks everything the image says, and encodes its header.
    fn encode_header(&self) -> Result<EncodedHeader, EmitError> {
        let observations = self.layers.first().map_or(0, LayerRepr::inputs);
        let mut chain = Chain::new(self.agent, self.agents, self.layers.len(), observations)?;
        if let Some(seeding) = self.seeding {
            seeding.check(observations)?;
        }
        let mut parameters = 0usize;
        for (index, layer) in self.layers.iter().enumerate() {
            let own = layer.check(index, &mut chain)?;
            parameters = parameters.checked_add(own).ok_or(EmitError::TooLong)?;
        }
        let memory = chain.finish(self.head.inputs())?;
        match self.head {
            Head::Gaussian { log_std } => {
                if let Some(dimension) = log_std.iter().position(|value| !value.is_finite()) {
                    return Err(EmitError::NonFiniteLogStd { dimension });
                }
            }
            Head::MultiDiscrete { sizes } => check_groups(sizes)?,
            Head::Categorical { .. } | Head::Deterministic { .. } => {}
        }
        let own = self.head.parameters();
        parameters = parameters
            .checked_add(own.len())
            .ok_or(EmitError::TooLong)?;

        // The chain has bounded every size to 16 bits, so no cast below loses anything.
        let mut encoded = EncodedHeader {
            buffer: [0; MAX_HEADER_LEN],
            len: 0,
            parameters,
            seeding: self.seeding,
        };
        encoded.put(&Header {
            team: &self.team.0,
            agent: self.agent,
            agents: self.agents,
            revision: self.revision,
            period_us: self.period_us,
            observations: observations as u16,
            memory: memory.len() as u32,
            head: self.head.kind().tag(),
            head_size: self.head.size() as u16,
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
                LayerRepr::Quantise(layer) => {
                    encoded.put(&QuantiseRecord::new(layer.scales.len() as u16));
                }
                LayerRepr::IntegerDense(dense) => encoded.put(&IntegerDenseRecord::new(
                    dense.inputs as u16,
                    dense.outputs as u16,
                    dense.activation,
                    [dense.shift, dense.exponent],
                )),
                LayerRepr::IntegerGru(gru) => encoded.put(&IntegerGruRecord::new(
                    gru.inputs as u16,
                    gru.hidden as u16,
                    gru.shifts,
                )),
            }
        }
        Ok(encoded)
    }
}

/// Writes an image around the parameters that `parameters` writes.
fn frame(
    header: &EncodedHeader,
    buffer: &mut [u8],
    sign: Option<impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN]>,
    parameters: impl FnOnce(&mut Writer<'_>),
) -> Result<usize, EmitError> {
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
    parameters(&mut writer);
    if let Some(sign) = sign {
        let signature = sign(writer.written());
        writer.put(&signature);
    }
    let crc = crc32(writer.written());
    writer.put(&crc.to_le_bytes());
    Ok(writer.len)
}

/// Writes an image once more, with another revision and signed: the rest, every weight, stays as it
/// is. Returns its length; at most 80 bytes more than `image` has.
///
/// `sign` is given all bytes before the signature.
///
/// # Errors
///
/// An [`EmitError`] when `image` is none or `buffer` is too short; `buffer` is then unchanged.
pub fn reissue_signed(
    image: &[u8],
    revision: u32,
    buffer: &mut [u8],
    sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN],
) -> Result<usize, EmitError> {
    let (parts, _) = Image::new_checked(image).and_then(|image| Parts::read(image.as_bytes()))?;
    let (header, records) = Header::read(parts.header).ok_or(ImageError::Header)?;
    let mut encoded = EncodedHeader {
        buffer: [0; MAX_HEADER_LEN],
        len: 0,
        parameters: parts.weights.len() / size_of::<f32>(),
        seeding: parts.seeding,
    };
    encoded.put(&Header { revision, ..header });
    encoded.put_bytes(records);
    frame(&encoded, buffer, Some(sign), |writer| {
        writer.put(parts.weights);
    })
}

impl<'a> Head<'a> {
    /// Its own parameters, which follow the last layer's.
    fn parameters(self) -> &'a [f32] {
        match self {
            Head::Categorical { .. } | Head::Deterministic { .. } => &[],
            Head::Gaussian { log_std } => log_std,
            // Their bits are what is written.
            Head::MultiDiscrete { sizes } => bytemuck::cast_slice(sizes),
        }
    }
}

/// A header, and what must be known to frame it.
struct EncodedHeader {
    buffer: [u8; MAX_HEADER_LEN],
    len: usize,
    /// Weights and biases of all layers.
    parameters: usize,
    seeding: Option<Seeding>,
}

impl EncodedHeader {
    fn put(&mut self, part: &impl Serialize) {
        // A test holds MAX_HEADER_LEN to the longest header there is, so there always is room.
        let room = self.buffer.get_mut(self.len..).unwrap_or_default();
        self.len += postcard::to_slice(part, room).map_or(0, |written| written.len());
    }

    /// Postcard that a checked header held: there is room for the same reason.
    fn put_bytes(&mut self, bytes: &[u8]) {
        let room = self.buffer.iter_mut().skip(self.len);
        room.zip(bytes).for_each(|(slot, &byte)| *slot = byte);
        self.len += bytes.len();
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
            seeding: self.seeding,
        })
    }
}

/// Fills a buffer that is known to be long enough.
pub(crate) struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let room = self.buffer.iter_mut().skip(self.len);
        room.zip(bytes).for_each(|(slot, &byte)| *slot = byte);
        self.len += bytes.len();
    }

    pub(crate) fn floats<'f>(&mut self, values: impl IntoIterator<Item = &'f f32>) {
        values
            .into_iter()
            .for_each(|value| self.put(&value.to_le_bytes()));
    }

    pub(crate) fn word(&mut self, value: i32) {
        self.put(&value.to_le_bytes());
    }

    fn written(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}
