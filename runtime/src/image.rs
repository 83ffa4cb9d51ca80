//! A policy image: checked once, then used where it lies.

use core::mem;

use crate::error::ImageError;
use crate::format::{
    CRC_LEN, Header, Memory, PREFIX_LEN, Prefix, SIGNATURE_LEN, TeamId, crc32, padding_len,
};
use crate::head::Head;
use crate::layer::{Activation, Layer};
use crate::network::Network;
use crate::quantised::layers::{dense_words, gru_words};
use crate::seed::Seeding;
use crate::verify::{Verifier, VerifyError};

/// One agent's policy, borrowed from its image.
///
/// [`Image::new_checked`] makes every check there is; nothing fails on shapes after it.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    bytes: &'a [u8],
    crc: u32,
    signature: Option<&'a [u8; SIGNATURE_LEN]>,
    seeding: Option<Seeding>,
    header: Header<'a>,
    network: Network<'a>,
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
    /// Bytes of weights and biases in the image.
    pub weight_bytes: usize,
}

/// The kinds of layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// Every output depends on every input: [`layer::dense`](crate::layer::dense), and what its
    /// outputs go through.
    Dense(Activation),
    /// A gated recurrent unit, whose outputs are its state: [`layer::gru`](crate::layer::gru).
    Gru,
    /// An integer image's first layer, by which an observation becomes whole numbers.
    Quantise,
    /// A dense layer in whole numbers, and what its outputs go through.
    IntegerDense(Activation),
    /// A gated recurrent unit in whole numbers.
    IntegerGru,
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
        let (parts, crc) = Parts::read(bytes)?;
        Self::from_parts(bytes, &parts, crc)
    }

    /// Like [`new_checked`](Self::new_checked), for an image that whoever holds the verifier's key
    /// must have signed.
    ///
    /// The signature is checked before anything that it covers is read, but for the prefix, which
    /// says where it lies.
    ///
    /// # Errors
    ///
    /// A [`VerifyError`]: what `new_checked` refuses, an image without a signature, a signature that
    /// does not fit.
    pub fn new_verified(
        bytes: &'a [u8],
        verifier: &mut impl Verifier,
    ) -> Result<Self, VerifyError> {
        let (parts, crc) = Parts::read(bytes)?;
        let signature = parts.signature.ok_or(VerifyError::Unsigned)?;
        let tail = CRC_LEN + SIGNATURE_LEN;
        let signed = bytes.get(..bytes.len().saturating_sub(tail));
        if !verifier.verify(signed.unwrap_or_default(), signature) {
            return Err(VerifyError::Signature);
        }
        Ok(Self::from_parts(bytes, &parts, crc)?)
    }

    fn from_parts(bytes: &'a [u8], parts: &Parts<'a>, crc: u32) -> Result<Self, ImageError> {
        let (header, records) = Header::read(parts.header).ok_or(ImageError::Header)?;
        if let Some(seeding) = parts.seeding {
            seeding.check(usize::from(header.observations))?;
        }
        Ok(Image {
            bytes,
            crc,
            signature: parts.signature,
            seeding: parts.seeding,
            header,
            network: Network::read(&header, records, parts)?,
        })
    }

    /// The team this agent was trained with.
    pub fn team(&self) -> TeamId {
        TeamId(*self.header.team)
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

    /// The shared seed that the policy expects, if it does: the one-hot vector of its
    /// [symbol](crate::Symbol) is then the end of every observation.
    pub fn seeding(&self) -> Option<Seeding> {
        self.seeding
    }

    /// Values in an observation, a shared seed's among them.
    pub fn observation_len(&self) -> usize {
        usize::from(self.header.observations)
    }

    /// Values the network gives: the logits of a categorical head or of all groups of a multi-discrete
    /// one, or the dimensions of a vector.
    pub fn output_len(&self) -> usize {
        self.network.head.inputs()
    }

    /// `f32` values of memory the caller lends to a step: the state and what it computes in.
    pub fn memory_len(&self) -> usize {
        self.network.memory.len()
    }

    /// How many of those values, the first ones, must be kept from one step of an episode to the
    /// next: the units of all recurrent layers (two a value in an integer image), 0 where there is none.
    pub fn state_len(&self) -> usize {
        self.network.memory.state
    }

    /// Whether the image computes in whole numbers behind its first layer, not in `f32`.
    ///
    /// Its memory is then words of four bytes all the same, of which a lent `f32` is one; what they hold
    /// are no numbers to read.
    pub fn is_integer(&self) -> bool {
        self.network.memory.integer
    }

    /// How the outputs become an action.
    pub fn head(&self) -> Head<'a> {
        self.network.head
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl Iterator<Item = LayerInfo> {
        let mut inputs = self.observation_len();
        self.network().iter().map(move |&layer| {
            let (kind, outputs, words) = match layer {
                Layer::Dense {
                    outputs,
                    activation,
                } => {
                    let outputs = usize::from(outputs);
                    (
                        LayerKind::Dense(activation),
                        outputs,
                        outputs * (inputs + 1),
                    )
                }
                Layer::Gru { hidden } => {
                    let hidden = usize::from(hidden);
                    (LayerKind::Gru, hidden, hidden * (4 + 3 * (inputs + hidden)))
                }
                Layer::Quantise => (LayerKind::Quantise, inputs, inputs),
                Layer::IntegerDense {
                    outputs,
                    activation,
                    ..
                } => {
                    let outputs = usize::from(outputs);
                    let words = dense_words(inputs, outputs);
                    (LayerKind::IntegerDense(activation), outputs, words)
                }
                Layer::IntegerGru { hidden, .. } => {
                    let hidden = usize::from(hidden);
                    (LayerKind::IntegerGru, hidden, gru_words(inputs, hidden))
                }
            };
            LayerInfo {
                kind,
                inputs: mem::replace(&mut inputs, outputs),
                outputs,
                weight_bytes: words * size_of::<f32>(),
            }
        })
    }

    /// Multiplications (and as many additions) of inputs and states by weights in a step.
    pub fn multiply_adds(&self) -> u64 {
        self.layers()
            .map(|layer| {
                let (inputs, outputs) = (layer.inputs as u64, layer.outputs as u64);
                match layer.kind {
                    LayerKind::Dense(_) | LayerKind::IntegerDense(_) => inputs * outputs,
                    LayerKind::Gru | LayerKind::IntegerGru => 3 * (inputs + outputs) * outputs,
                    LayerKind::Quantise => 0,
                }
            })
            .sum()
    }

    /// The signature, where the image has one. It covers [`Image::signed_bytes`];
    /// [`new_verified`](Self::new_verified) has checked it, `new_checked` has not.
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

    /// How a step divides its memory.
    pub(crate) fn memory(&self) -> Memory {
        self.network.memory
    }

    /// Every layer's parameters and then the head's.
    pub(crate) fn parameters(&self) -> &'a [f32] {
        self.network.parameters
    }

    pub(crate) fn network(&self) -> &[Layer] {
        self.network
            .layers
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
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) weights: &'a [u8],
    /// Where the weights start in the image.
    pub(crate) weights_offset: usize,
    /// What the prefix says of a shared seed.
    pub(crate) seeding: Option<Seeding>,
    signature: Option<&'a [u8; SIGNATURE_LEN]>,
}

impl<'a> Parts<'a> {
    /// Checks prefix, checksum and padding, and reads nothing else; the parts and the checksum.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<(Self, u32), ImageError> {
        let prefix = Prefix::read(bytes)?;
        let (body, crc) = check_crc(bytes)?;
        Ok((Parts::cut(body, prefix)?, crc))
    }

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
            seeding: prefix.seeding,
            signature,
        })
    }
}
