//! What can be wrong with an image, with what it is made from, and with a step: where, and what would be right.

use core::error::Error;
use core::fmt;

use crate::format::{FORMAT_VERSION, MAGIC, MAX_LAYERS, SIGNATURE_LEN};

/// A policy that no image may describe, whether parsed or emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShapeError {
    /// The agent's index is not below the number of agents.
    Agent {
        /// The agent's index.
        agent: u16,
        /// Agents in the team.
        agents: u16,
    },
    /// No layers, or more than [`MAX_LAYERS`].
    Layers {
        /// Layers found.
        found: usize,
    },
    /// A layer with a side of zero or of more than 65,535.
    Size {
        /// Index of the layer.
        layer: usize,
        /// Its inputs.
        inputs: usize,
        /// Its outputs.
        outputs: usize,
    },
    /// A layer whose inputs are not the observation (layer 0) or the outputs of the layer before it.
    Inputs {
        /// Index of the layer.
        layer: usize,
        /// What it is given.
        expected: usize,
        /// What it says it takes.
        found: usize,
    },
    /// The last layer's outputs are not what the head takes.
    Head {
        /// What the head takes.
        expected: usize,
        /// The last layer's outputs.
        found: usize,
    },
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Agent { agent, agents } => write!(
                f,
                "agent {agent} of a team of {agents}: the index must be below the number of agents"
            ),
            Self::Layers { found } => write!(f, "{found} layers: a policy has 1 to {MAX_LAYERS}"),
            Self::Size {
                layer,
                inputs,
                outputs,
            } => {
                write!(
                    f,
                    "layer {layer} has {inputs} inputs and {outputs} outputs: each must be 1 to 65535"
                )
            }
            Self::Inputs {
                layer: 0,
                expected,
                found,
            } => write!(
                f,
                "layer 0 takes {found} inputs but the observation has {expected}"
            ),
            Self::Inputs {
                layer,
                expected,
                found,
            } => {
                write!(
                    f,
                    "layer {layer} takes {found} inputs but the layer before it gives {expected}"
                )
            }
            Self::Head { expected, found } => write!(
                f,
                "the last layer gives {found} outputs but the head takes {expected}"
            ),
        }
    }
}

impl Error for ShapeError {}

/// Why [`Image::new_checked`](crate::Image::new_checked) refuses some bytes. Offsets and lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageError {
    /// The bytes do not start like an image.
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// An image of another format version.
    Version {
        /// The version found.
        found: u16,
    },
    /// Bytes are missing at the end.
    Truncated {
        /// Bytes the image says it has, or the least any image has.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// There are bytes after the image.
    TrailingBytes {
        /// Bytes the image says it has.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The prefix's reserved bytes are not zero.
    Reserved {
        /// What they hold.
        found: u16,
    },
    /// The signature is neither absent nor 64 bytes.
    SignatureLength {
        /// The length declared.
        found: u16,
    },
    /// The CRC-32 does not match: the image was damaged.
    Checksum {
        /// The checksum the image carries.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// The image ends within the parts its prefix declares: prefix, header, padding and signature.
    HeaderLength {
        /// The header length declared.
        found: u16,
        /// Bytes there are for all of them.
        body: usize,
    },
    /// The header ends, or holds a number out of range, before its fields are complete.
    Header {
        /// The layer whose record is malformed; `None` for the fields before the layer table.
        layer: Option<usize>,
    },
    /// There are bytes between the layer table and the end of the header.
    HeaderTrailing {
        /// How many.
        found: usize,
    },
    /// A policy no image may describe.
    Shape(ShapeError),
    /// A head this version does not know.
    HeadTag {
        /// The tag found.
        found: u8,
    },
    /// A kind of layer this version does not know.
    LayerTag {
        /// Index of the layer.
        layer: usize,
        /// The tag found.
        found: u8,
    },
    /// An activation this version does not know.
    ActivationTag {
        /// Index of the layer.
        layer: usize,
        /// The tag found.
        found: u8,
    },
    /// The memory the header asks for is not what its layers need. In `f32` values.
    Memory {
        /// What the layers need.
        expected: usize,
        /// What the header declares.
        found: u32,
    },
    /// A byte between header and weights is not zero.
    Padding {
        /// Its offset in the image.
        offset: usize,
    },
    /// A layer's weights reach beyond the image. In `f32` values, from the layer's first.
    MissingWeights {
        /// Index of the layer.
        layer: usize,
        /// What the layer needs.
        expected: usize,
        /// What is left in the image.
        found: usize,
    },
    /// There are bytes between the last layer's weights and the end of the image's body.
    TrailingWeights {
        /// How many.
        found: usize,
    },
    /// The weights do not lie at a multiple of four bytes in memory.
    Misaligned {
        /// The address of its weights modulo 16.
        found: usize,
    },
    /// A weight or bias is infinite or not a number.
    NonFiniteWeight {
        /// Index of the layer.
        layer: usize,
        /// Offset in the image.
        offset: usize,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic { found } => write!(
                f,
                "not a policy image: starts with {found:02x?}, not {MAGIC:02x?}"
            ),
            Self::Version { found } => write!(
                f,
                "format version {found}: this runtime reads version {FORMAT_VERSION}"
            ),
            Self::Truncated { expected, found } => {
                write!(f, "truncated: {found} bytes of {expected}")
            }
            Self::TrailingBytes { expected, found } => write!(
                f,
                "trailing bytes: the image has {expected}, {found} were given"
            ),
            Self::Reserved { found } => write!(
                f,
                "reserved bytes at offset 14 hold {found:#06x}: they must be zero"
            ),
            Self::SignatureLength { found } => write!(
                f,
                "signature of {found} bytes: must be 0 or {SIGNATURE_LEN}"
            ),
            Self::Checksum { stored, computed } => {
                write!(
                    f,
                    "damaged: the image carries CRC-32 {stored:08x}, its bytes give {computed:08x}"
                )
            }
            Self::HeaderLength { found, body } => {
                write!(
                    f,
                    "a header of {found} bytes does not fit an image of {body} before its CRC"
                )
            }
            Self::Header { layer: None } => {
                f.write_str("header: incomplete, or a number out of range, before the layer table")
            }
            Self::Header { layer: Some(layer) } => write!(
                f,
                "header: incomplete, or a number out of range, in layer {layer}"
            ),
            Self::HeaderTrailing { found } => write!(
                f,
                "header: {found} bytes after the layer table, there must be none"
            ),
            Self::Shape(ref error) => error.fmt(f),
            Self::HeadTag { found } => write!(
                f,
                "unknown head, tag {found}: format version {FORMAT_VERSION} knows 1 (categorical)"
            ),
            Self::LayerTag { layer, found } => {
                write!(
                    f,
                    "layer {layer}: unknown kind, tag {found}: format version {FORMAT_VERSION} knows 1 (dense)"
                )
            }
            Self::ActivationTag { layer, found } => {
                write!(
                    f,
                    "layer {layer}: unknown activation, tag {found}: known are 1 (identity), 2 (relu), 3 (tanh)"
                )
            }
            Self::Memory { expected, found } => write!(
                f,
                "header asks for {found} values of memory: its layers need {expected}"
            ),
            Self::Padding { offset } => {
                write!(f, "the padding byte at offset {offset} is not zero")
            }
            Self::MissingWeights {
                layer,
                expected,
                found,
            } => {
                write!(
                    f,
                    "layer {layer} needs {expected} weights and biases: {found} are left in the image"
                )
            }
            Self::TrailingWeights { found } => write!(
                f,
                "{found} bytes after the last layer's weights, there must be none"
            ),
            Self::Misaligned { found } => write!(
                f,
                "weights lie {found} bytes beyond a multiple of 16: they must lie at a multiple of 4"
            ),
            Self::NonFiniteWeight { layer, offset } => write!(
                f,
                "layer {layer}: the weight at offset {offset} is not finite"
            ),
        }
    }
}

impl Error for ImageError {}

impl From<ShapeError> for ImageError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

/// Why [`ImageRepr::emit`](crate::ImageRepr::emit) writes no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmitError {
    /// A policy no image may describe.
    Shape(ShapeError),
    /// `weights` is not `outputs * inputs` long.
    Weights {
        /// Index of the layer.
        layer: usize,
        /// `outputs * inputs`.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// `biases` is not `outputs` long.
    Biases {
        /// Index of the layer.
        layer: usize,
        /// `outputs`.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A weight is infinite or not a number.
    NonFiniteWeight {
        /// Index of the layer.
        layer: usize,
        /// The output it leads to.
        output: usize,
        /// The input it comes from.
        input: usize,
    },
    /// A bias is infinite or not a number.
    NonFiniteBias {
        /// Index of the layer.
        layer: usize,
        /// The output it belongs to.
        output: usize,
    },
    /// The image would be longer than a `u32` can say.
    TooLong,
    /// The buffer is shorter than the image. In bytes.
    Buffer {
        /// The image's length.
        expected: usize,
        /// The buffer's length.
        found: usize,
    },
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Shape(ref error) => error.fmt(f),
            Self::Weights {
                layer,
                expected,
                found,
            } => write!(
                f,
                "layer {layer}: {found} weights, outputs × inputs is {expected}"
            ),
            Self::Biases {
                layer,
                expected,
                found,
            } => write!(f, "layer {layer}: {found} biases for {expected} outputs"),
            Self::NonFiniteWeight {
                layer,
                output,
                input,
            } => {
                write!(
                    f,
                    "layer {layer}: the weight from input {input} to output {output} is not finite"
                )
            }
            Self::NonFiniteBias { layer, output } => write!(
                f,
                "layer {layer}: the bias of output {output} is not finite"
            ),
            Self::TooLong => f.write_str("the image would be longer than 4 GiB"),
            Self::Buffer { expected, found } => write!(
                f,
                "the image takes {expected} bytes, the buffer has {found}"
            ),
        }
    }
}

impl Error for EmitError {}

impl From<ShapeError> for EmitError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

/// Why a step gives no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepError {
    /// The observation has the wrong length.
    ObservationLength {
        /// What the image takes.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The lent memory is shorter than [`Image::memory_len`](crate::Image::memory_len). In `f32` values.
    Memory {
        /// What the image needs.
        expected: usize,
        /// What was lent.
        found: usize,
    },
    /// A value of the observation is infinite or not a number.
    NonFiniteObservation {
        /// Its index.
        index: usize,
    },
    /// The observation is so large that a logit overflowed.
    NonFiniteLogit {
        /// The first such action.
        index: usize,
    },
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ObservationLength { expected, found } => {
                write!(
                    f,
                    "observation of {found} values: the policy takes {expected}"
                )
            }
            Self::Memory { expected, found } => {
                write!(f, "{found} values of memory: the policy needs {expected}")
            }
            Self::NonFiniteObservation { index } => write!(f, "observation[{index}] is not finite"),
            Self::NonFiniteLogit { index } => write!(
                f,
                "logit {index} overflowed: the observation is far too large"
            ),
        }
    }
}

impl Error for StepError {}
