//! A policy image: checked once, then used where it lies.

use crate::error::ImageError;
use crate::format::{
    CRC_LEN, Chain, DenseRecord, Header, KIND_DENSE, MAX_LAYERS, PREFIX_LEN, Prefix, SIGNATURE_LEN,
    TeamId, crc32, padding_len,
};
use crate::head::Head;
use crate::layer::{Activation, Dense};

/// One agent's policy, borrowed from its image. Every check is made by [`Image::new_checked`]; nothing fails on shapes after it.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    bytes: &'a [u8],
    crc: u32,
    signature: Option<&'a [u8; SIGNATURE_LEN]>,
    header: Header,
    head: Head,
    /// Sizes of the two regions that the outputs of even and odd layers use in turn.
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
    /// Checks that `bytes` are exactly one whole, undamaged, well-formed image whose weights can be used where they lie.
    ///
    /// Reads every byte once for the checksum and every weight once more: some milliseconds on a microcontroller, at boot.
    ///
    /// # Errors
    ///
    /// The first [`ImageError`] met, in the order of `docs/image.md`, section "Checks".
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let prefix = Prefix::read(bytes)?;
        let too_short = ImageError::Truncated {
            expected: PREFIX_LEN + CRC_LEN,
            found: bytes.len(),
        };
        let (body, stored) = bytes.split_last_chunk().ok_or(too_short)?;
        let crc = u32::from_le_bytes(*stored);
        let computed = crc32(body);
        if computed != crc {
            return Err(ImageError::Checksum {
                stored: crc,
                computed,
            });
        }
        let body = body.get(PREFIX_LEN..).ok_or(too_short)?;
        let (body, signature) = match prefix.signature_len {
            0 => (body, None),
            found => body
                .split_last_chunk()
                .map(|(body, signature)| (body, Some(signature)))
                .ok_or(ImageError::SignatureLength { found })?,
        };
        let header_len = usize::from(prefix.header_len);
        let no_room = ImageError::HeaderLength {
            found: prefix.header_len,
            limit: body.len(),
        };
        let (header, body) = body.split_at_checked(header_len).ok_or(no_room)?;
        let (padding, weights) = body
            .split_at_checked(padding_len(PREFIX_LEN + header_len))
            .ok_or(no_room)?;
        if let Some((index, &found)) = padding.iter().enumerate().find(|&(_, &byte)| byte != 0) {
            return Err(ImageError::Padding {
                offset: PREFIX_LEN + header_len + index,
                found,
            });
        }

        let (header, records) = postcard::take_from_bytes::<Header>(header)
            .map_err(|_| ImageError::Header { layer: None })?;
        let head = Head::from_tag(header.head, usize::from(header.head_size))
            .ok_or(ImageError::HeadTag { found: header.head })?;
        let (layers, regions) = read_layers(&header, head, records, bytes, weights)?;
        Ok(Image {
            bytes,
            crc,
            signature,
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

    /// Counts up with every image released for a team; a device that remembers it can refuse to go back.
    pub fn revision(&self) -> u32 {
        self.header.revision
    }

    /// The time between two steps in training, in µs; 0 when the task is not periodic (a one-shot game).
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

    /// How many values of that memory must be kept from one step to the next: none, as no layer of this version is recurrent.
    pub fn state_len(&self) -> usize {
        0
    }

    /// How the outputs become an action.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl Iterator<Item = LayerInfo> + use<'a> {
        self.dense_layers().map(|layer| LayerInfo {
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

    /// The signature, where the image has one. It covers [`Image::signed_bytes`]; checking it is the caller's business.
    pub fn signature(&self) -> Option<&'a [u8; SIGNATURE_LEN]> {
        self.signature
    }

    /// What a signature covers: every byte before it, or before the checksum in an image without one.
    pub fn signed_bytes(&self) -> &'a [u8] {
        let tail = CRC_LEN + self.signature.map_or(0, |signature| signature.len());
        self.bytes
            .get(..self.bytes.len().saturating_sub(tail))
            .unwrap_or_default()
    }

    /// The CRC-32 of the image: tells images apart, protects against nothing but accidents.
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// The whole image.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn regions(&self) -> [usize; 2] {
        self.regions
    }

    pub(crate) fn dense_layers(&self) -> impl Iterator<Item = Dense<'a>> + use<'a> {
        self.layers
            .into_iter()
            .take(usize::from(self.header.layers))
    }
}

type Layers<'a> = [Dense<'a>; MAX_LAYERS];

/// Reads the layer table in `records` and gives every layer its part of `weights`, both parts of `image`.
fn read_layers<'a>(
    header: &Header,
    head: Head,
    mut records: &[u8],
    image: &'a [u8],
    weights: &'a [u8],
) -> Result<(Layers<'a>, [usize; 2]), ImageError> {
    let (whole, rest) = weights.as_chunks::<4>();
    let mut parameters: &[f32] =
        bytemuck::try_cast_slice(whole).map_err(|_| ImageError::Misaligned {
            found: image.as_ptr().addr() % 16,
        })?;
    let mut offset = image.as_ptr().addr();
    offset = weights.as_ptr().addr().wrapping_sub(offset);

    let mut layers = [Dense::EMPTY; MAX_LAYERS];
    let count = usize::from(header.layers);
    let mut chain = Chain::new(
        header.agent,
        header.agents,
        count,
        usize::from(header.observations),
    )?;
    for (layer, slot) in layers.iter_mut().enumerate().take(count) {
        let malformed = ImageError::Header { layer: Some(layer) };
        let (&tag, record) = records.split_first().ok_or(malformed)?;
        if tag != KIND_DENSE {
            return Err(ImageError::LayerTag { layer, found: tag });
        }
        let (record, rest) =
            postcard::take_from_bytes::<DenseRecord>(record).map_err(|_| malformed)?;
        records = rest;
        let activation =
            Activation::from_tag(record.activation).ok_or(ImageError::ActivationTag {
                layer,
                found: record.activation,
            })?;
        let (inputs, outputs) = (usize::from(record.inputs), usize::from(record.outputs));
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
        offset += size_of_val(own);
        parameters = rest;
        *slot = Dense {
            inputs,
            outputs,
            activation,
            parameters: own,
        };
    }
    let regions = chain.finish(head)?;
    if !records.is_empty() {
        return Err(ImageError::HeaderTrailing {
            found: records.len(),
        });
    }
    let trailing = size_of_val(parameters) + rest.len();
    if trailing != 0 {
        return Err(ImageError::TrailingWeights { found: trailing });
    }
    let [even, odd] = regions;
    if header.memory as usize != even + odd {
        return Err(ImageError::Memory {
            expected: even + odd,
            found: header.memory,
        });
    }
    Ok((layers, regions))
}
