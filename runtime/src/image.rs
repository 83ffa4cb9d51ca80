//! A policy image: checked once, then used where it lies.

use crate::error::ImageError;
use crate::format::{
    CRC_LEN, Chain, DenseRecord, Header, MAX_LAYERS, PREFIX_LEN, Prefix, SIGNATURE_LEN, TeamId,
    WEIGHTS_ALIGN, crc32, padding_len,
};
use crate::head::Head;
use crate::layer::{Activation, Dense};

/// One agent's policy, borrowed from its image.
///
/// [`Image::new_checked`] makes every check there is; nothing fails on shapes after it.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    bytes: &'a [u8],
    crc: u32,
    signature: Option<&'a [u8; SIGNATURE_LEN]>,
    header: Header,
    head: Head,
    regions: [usize; 2],
    /// The first `header.layers` are the policy's, the rest are empty.
    layers: [Dense<'a>; MAX_LAYERS],
}

/// What a layer is and costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerInfo {
    /// What it computes.
    pub kind: LayerKind,
    /// Values it takes.
    pub inputs: usize,
    /// Values it gives.
    pub outputs: usize,
    /// What its outputs go through.
    pub activation: Activation,
    /// Bytes of weights and biases in the image.
    pub weight_bytes: usize,
}

/// The kinds of layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// Every output depends on every input: [`layer::dense`](crate::layer::dense).
    Dense,
}

impl<'a> Image<'a> {
    /// Checks that `bytes` are exactly one whole, undamaged, well-formed image whose weights can be
    /// used where they lie.
    ///
    /// Reads every byte for the checksum and every weight once more: milliseconds on a
    /// microcontroller, once, at boot.
    ///
    /// # Errors
    ///
    /// An [`ImageError`]: the first of the checks in `docs/image.md` that fails.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let prefix = Prefix::read(bytes)?;
        let (body, crc) = check_crc(bytes)?;
        let parts = Parts::cut(body, prefix)?;
        let (header, records) =
            postcard::take_from_bytes::<Header>(parts.header).map_err(|_| ImageError::Header)?;
        let head = Head::from_tag(header.head, usize::from(header.head_size))
            .ok_or(ImageError::HeadTag { found: header.head })?;
        let (layers, regions) = read_layers(&header, head, records, &parts)?;
        Ok(Image {
            bytes,
            crc,
            signature: parts.signature,
            header,
            head,
            regions,
            layers,
        })
    }

    /// The team this agent was trained with.
    pub fn team(&self) -> TeamId {
        self.header.team
    }

    /// This agent's index in its team, below [`Image::agents`].
    pub fn agent(&self) -> u16 {
        self.header.agent
    }

    /// Agents in the team.
    pub fn agents(&self) -> u16 {
        self.header.agents
    }

    /// Counts up with every image released for a team; a device that remembers it can refuse to go
    /// back.
    pub fn revision(&self) -> u32 {
        self.header.revision
    }

    /// The time between two steps in training, in µs; 0 when the task is not periodic (a one-shot
    /// game).
    pub fn period_us(&self) -> u32 {
        self.header.period_us
    }

    /// Values in an observation.
    pub fn observation_len(&self) -> usize {
        usize::from(self.header.observations)
    }

    /// Values the network gives: the logits of a categorical head.
    pub fn output_len(&self) -> usize {
        self.head.inputs()
    }

    /// `f32` values of memory the caller lends to a step.
    pub fn memory_len(&self) -> usize {
        let [even, odd] = self.regions;
        even + odd
    }

    /// How many of those values must be kept from one step to the next: none, as no layer of this
    /// format version is recurrent.
    pub fn state_len(&self) -> usize {
        0
    }

    /// How the outputs become an action.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl Iterator<Item = LayerInfo> {
        self.dense_layers().iter().map(|layer| LayerInfo {
            kind: LayerKind::Dense,
            inputs: layer.inputs,
            outputs: layer.outputs,
            activation: layer.activation,
            weight_bytes: size_of_val(layer.parameters),
        })
    }

    /// Multiplications (and as many additions) in a step, activations aside.
    pub fn multiply_adds(&self) -> u64 {
        self.layers()
            .map(|layer| layer.inputs as u64 * layer.outputs as u64)
            .sum()
    }

    /// The signature, where the image has one. It covers [`Image::signed_bytes`]; checking it is the
    /// caller's business.
    pub fn signature(&self) -> Option<&'a [u8; SIGNATURE_LEN]> {
        self.signature
    }

    /// What a signature covers: every byte before it, or before the checksum where there is none.
    pub fn signed_bytes(&self) -> &'a [u8] {
        let tail = CRC_LEN + self.signature.map_or(0, |signature| signature.len());
        self.bytes
            .get(..self.bytes.len().saturating_sub(tail))
            .unwrap_or_default()
    }

    /// The checksum the image carries. It tells images apart; it protects against accidents only.
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// The whole image.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Sizes of the two regions of memory that the outputs of even and odd layers use in turn.
    pub(crate) fn regions(&self) -> [usize; 2] {
        self.regions
    }

    pub(crate) fn dense_layers(&self) -> &[Dense<'a>] {
        self.layers
            .get(..usize::from(self.header.layers))
            .unwrap_or_default()
    }
}

/// Checks the CRC that ends the image; returns what lies before it, and the CRC.
fn check_crc(bytes: &[u8]) -> Result<(&[u8], u32), ImageError> {
    let too_short = ImageError::Truncated {
        expected: PREFIX_LEN + CRC_LEN,
        found: bytes.len(),
    };
    let (body, stored) = bytes.split_last_chunk().ok_or(too_short)?;
    let (stored, computed) = (u32::from_le_bytes(*stored), crc32(body));
    if stored != computed {
        return Err(ImageError::Checksum { stored, computed });
    }
    Ok((body, stored))
}

/// The image's parts whose lengths the prefix declares.
struct Parts<'a> {
    header: &'a [u8],
    weights: &'a [u8],
    /// Where the weights start in the image.
    weights_offset: usize,
    signature: Option<&'a [u8; SIGNATURE_LEN]>,
}

impl<'a> Parts<'a> {
    /// Cuts everything but the checksum into parts.
    fn cut(body: &'a [u8], prefix: Prefix) -> Result<Self, ImageError> {
        let header_len = usize::from(prefix.header_len);
        let header_end = PREFIX_LEN + header_len;
        let weights_offset = header_end + padding_len(header_end);
        let no_room = ImageError::HeaderLength {
            found: prefix.header_len,
            body: body.len(),
        };

        let (body, signature) = match prefix.signature {
            false => (body, None),
            true => {
                let (body, signature) = body.split_last_chunk().ok_or(no_room)?;
                (body, Some(signature))
            }
        };
        let header = body.get(PREFIX_LEN..header_end).ok_or(no_room)?;
        let padding = body.get(header_end..weights_offset).ok_or(no_room)?;
        let weights = body.get(weights_offset..).ok_or(no_room)?;
        if let Some(index) = padding.iter().position(|&byte| byte != 0) {
            return Err(ImageError::Padding {
                offset: header_end + index,
            });
        }
        Ok(Parts {
            header,
            weights,
            weights_offset,
            signature,
        })
    }
}

type Layers<'a> = [Dense<'a>; MAX_LAYERS];

/// Reads the layer table in `records` and gives every layer its share of the weights. Also returns
/// the sizes of the two regions of memory.
fn read_layers<'a>(
    header: &Header,
    head: Head,
    mut records: &[u8],
    parts: &Parts<'a>,
) -> Result<(Layers<'a>, [usize; 2]), ImageError> {
    let (weights, stray) = parts.weights.as_chunks::<4>();
    let mut parameters: &[f32] =
        bytemuck::try_cast_slice(weights).map_err(|_| ImageError::Misaligned {
            found: weights.as_ptr().addr() % WEIGHTS_ALIGN,
        })?;
    let mut offset = parts.weights_offset;
    let count = usize::from(header.layers);
    let observations = usize::from(header.observations);
    let mut chain = Chain::new(header.agent, header.agents, count, observations)?;
    let mut layers = [Dense::EMPTY; MAX_LAYERS];
    for (layer, slot) in layers.iter_mut().enumerate().take(count) {
        let (record, rest) = DenseRecord::read(layer, records)?;
        records = rest;
        let (inputs, outputs) = (usize::from(record.inputs), usize::from(record.outputs));
        let activation =
            Activation::from_tag(record.activation).ok_or(ImageError::ActivationTag {
                layer,
                found: record.activation,
            })?;
        let expected = chain.push(inputs, outputs)?;
        let missing = ImageError::MissingWeights {
            layer,
            expected,
            found: parameters.len(),
        };
        let (own, rest) = parameters.split_at_checked(expected).ok_or(missing)?;
        if let Some(index) = own.iter().position(|value| !value.is_finite()) {
            return Err(ImageError::NonFiniteWeight {
                layer,
                offset: offset + 4 * index,
            });
        }
        offset += 4 * expected;
        parameters = rest;
        *slot = Dense {
            inputs,
            outputs,
            activation,
            parameters: own,
        };
    }
    let regions @ [even, odd] = chain.finish(head)?;
    if !records.is_empty() {
        return Err(ImageError::HeaderTrailing {
            found: records.len(),
        });
    }
    if !parameters.is_empty() || !stray.is_empty() {
        return Err(ImageError::TrailingWeights {
            found: 4 * parameters.len() + stray.len(),
        });
    }
    if header.memory as usize != even + odd {
        return Err(ImageError::Memory {
            expected: even + odd,
            found: header.memory,
        });
    }
    Ok((layers, regions))
}
