//! What can be wrong with an image, and with a policy whether parsed or emitted.

use thiserror::Error;

use crate::format::{FORMAT_VERSION, MAGIC, MAX_LAYERS, SIGNATURE_LEN};

/// Why [`Image::new_checked`](crate::Image::new_checked) refuses some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The bytes do not start like an image.
    #[error("not a policy image: starts with {found:02x?}, not {MAGIC:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// An image of another format version.
    #[error("format version {found}: this runtime reads version {FORMAT_VERSION}")]
    Version {
        /// The version declared.
        found: u16,
    },
    /// Bytes are missing at the end.
    #[error("truncated: {found} bytes of {expected}")]
    Truncated {
        /// Bytes the image says it has, or the least any image has.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// There are bytes after the image.
    #[error("trailing bytes: the image has {expected}, {found} were given")]
    TrailingBytes {
        /// Bytes the image says it has.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The signature is neither absent nor 64 bytes.
    #[error("a signature of {found} bytes: must be 0 or {SIGNATURE_LEN}")]
    SignatureLength {
        /// The length declared, in bytes.
        found: u16,
    },
    /// The prefix names no shared seed that there is.
    #[error(
        "the bytes at offset 14 hold {found:?}: must be 0, 0 (no shared seed), or 2 to 255 symbols \
         and 1 (one a step) or 2 (one an episode)"
    )]
    Seeding {
        /// What they hold.
        found: [u8; 2],
    },
    /// The image was damaged.
    #[error("damaged: the image carries CRC-32 {stored:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// The CRC-32 the image carries.
        stored: u32,
        /// The CRC-32 of its bytes.
        computed: u32,
    },
    /// Prefix, header, padding and signature are longer than the image.
    #[error("a header of {found} bytes does not fit the {body} bytes before the CRC")]
    HeaderLength {
        /// The header's length declared, in bytes.
        found: u16,
        /// Bytes before the CRC.
        body: usize,
    },
    /// A byte between header and weights is not zero.
    #[error("the padding at offset {offset} is not 0")]
    Padding {
        /// Its offset in the image, in bytes.
        offset: usize,
    },
    /// The header ends before the layer table, or holds a number out of range there.
    #[error("the header ends, or holds a number out of range, before its layer table")]
    Header,
    /// The header ends within a layer's record, or holds a number out of range there.
    #[error("the header ends, or holds a number out of range, in the record of layer {layer}")]
    LayerRecord {
        /// Index of the layer.
        layer: usize,
    },
    /// There are bytes between the layer table and the end of the header.
    #[error("{found} bytes between the layer table and the end of the header: must be none")]
    HeaderTrailing {
        /// How many bytes.
        found: usize,
    },
    /// A head this version does not know.
    #[error(
        "unknown head, tag {found}: version {FORMAT_VERSION} has 1 (categorical), \
         2 (deterministic), 3 (gaussian), 4 (multi-discrete)"
    )]
    HeadTag {
        /// The tag found.
        found: u8,
    },
    /// A kind of layer this version does not know.
    #[error(
        "layer {layer} is of unknown kind, tag {found}: version {FORMAT_VERSION} has 1 (dense), \
         2 (gru) and, of integer images, 3 (quantise), 4 (integer dense), 5 (integer gru)"
    )]
    LayerTag {
        /// Index of the layer.
        layer: usize,
        /// The tag found.
        found: u8,
    },
    /// An activation this version does not know.
    #[error(
        "layer {layer} has an unknown activation, tag {found}: \
         version {FORMAT_VERSION} has 1 (identity), 2 (relu), 3 (tanh), 4 (sigmoid), 5 (silu)"
    )]
    ActivationTag {
        /// Index of the layer.
        layer: usize,
        /// The tag found.
        found: u8,
    },
    /// A kind of layer or head that this build leaves out, to be smaller.
    #[error("the image needs the feature `{feature}` of consort-runtime: this build is without it")]
    LeftOut {
        /// The crate's feature that brings the kind in.
        feature: &'static str,
    },
    /// A policy that no image may describe.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The memory declared is not what the layers need.
    #[error("the header declares {found} values of memory: its layers need {expected}")]
    Memory {
        /// `f32` values the layers need.
        expected: usize,
        /// `f32` values declared.
        found: u32,
    },
    /// The weights do not lie at a multiple of four bytes in memory.
    #[error("the weights lie {found} bytes after a multiple of 16: must lie at a multiple of 4")]
    Misaligned {
        /// Their address modulo 16.
        found: usize,
    },
    /// The image ends before a layer's weights do.
    #[error("layer {layer} has {expected} weights and biases: the image has {found} left")]
    MissingWeights {
        /// Index of the layer.
        layer: usize,
        /// `f32` values the layer has.
        expected: usize,
        /// `f32` values left in the image.
        found: usize,
    },
    /// The image ends before the head's own parameters do.
    #[error("the head has {expected} parameters: the image has {found} left")]
    MissingHead {
        /// Words the head has.
        expected: usize,
        /// Words left in the image.
        found: usize,
    },
    /// A logarithm of a standard deviation is infinite or not a number.
    #[error("the logarithm of dimension {dimension}'s standard deviation is not finite")]
    NonFiniteLogStd {
        /// The dimension of the action.
        dimension: usize,
    },
    /// There are bytes after the last parameter.
    #[error("{found} bytes after the last parameter: must be none")]
    TrailingWeights {
        /// How many bytes.
        found: usize,
    },
    /// A weight or bias is infinite or not a number.
    #[error("layer {layer}: the weight at offset {offset} is not finite")]
    NonFiniteWeight {
        /// Index of the layer.
        layer: usize,
        /// Its offset in the image, in bytes.
        offset: usize,
    },
    /// A word of an integer layer is no parameter: a weight of −128, a multiplier or an input's scale out
    /// of its range, or padding that is not zero.
    #[error(
        "layer {layer}: the word at offset {offset} has a weight, a multiplier or padding out of range"
    )]
    IntegerParameter {
        /// Index of the layer.
        layer: usize,
        /// Its offset in the image, in bytes.
        offset: usize,
    },
    /// A shift or an exponent of an integer layer is out of its range.
    #[error(
        "layer {layer} has a shift or exponent of {found}: shifts are 8 to 30, exponents 0 to 100, and 0 where they have no use"
    )]
    IntegerShift {
        /// Index of the layer.
        layer: usize,
        /// What was found.
        found: u8,
    },
    /// An integer layer whose sums some observation could make overflow.
    #[error(
        "layer {layer}: row {row} could overflow: its weights times 256, and its bias, must stay below 2²³, and times its multiplier below 2³¹"
    )]
    IntegerOverflow {
        /// Index of the layer.
        layer: usize,
        /// The row, counted as the image has them.
        row: usize,
    },
}

/// Why a policy can be no image's, whether parsed or emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A shared seed of fewer than two symbols, or of more than the observation has values.
    #[error(
        "a shared seed of {symbols} symbols in an observation of {observations} values: must be 2 \
         symbols or more, whose one-hot vector is the observation's end"
    )]
    Symbols {
        /// The symbols.
        symbols: u8,
        /// Values in an observation.
        observations: usize,
    },
    /// The agent's index is not below the number of agents.
    #[error("agent {agent} of {agents}: the index must be below the number of agents")]
    Agent {
        /// The agent's index.
        agent: u16,
        /// Agents in the team.
        agents: u16,
    },
    /// No layers, or more than [`MAX_LAYERS`].
    #[error("{found} layers: must be 1 to {MAX_LAYERS}")]
    Layers {
        /// How many layers.
        found: usize,
    },
    /// A layer's inputs are not the observation (layer 0) or the outputs of the layer before it.
    #[error("layer {layer} takes {found} values but {} gives {expected}", before(*layer))]
    Inputs {
        /// Index of the layer.
        layer: usize,
        /// What it is given.
        expected: usize,
        /// What it says it takes.
        found: usize,
    },
    /// A layer's inputs or outputs are none, or more than 65,535.
    #[error("layer {layer} is {inputs} to {outputs} wide: each must be 1 to 65535")]
    Size {
        /// Index of the layer.
        layer: usize,
        /// Its inputs.
        inputs: usize,
        /// Its outputs.
        outputs: usize,
    },
    /// A group of a multi-discrete head without an action, or with more than 65,535.
    #[error("group {group} of the head has {found} actions: must be 1 to 65535")]
    Group {
        /// Index of the group.
        group: usize,
        /// Its actions.
        found: u32,
    },
    /// The last layer's outputs are not what the head takes.
    #[error("the head takes {expected} values but the last layer gives {found}")]
    Head {
        /// What the head takes.
        expected: usize,
        /// The last layer's outputs.
        found: usize,
    },
    /// Layers in whole numbers and others in one image, or a quantising layer that is not the first.
    #[error(
        "layer {layer}: layers in whole numbers follow a quantising one, which is the first, and others do not"
    )]
    Precision {
        /// Index of the layer.
        layer: usize,
    },
    /// An integer image whose last layer gives no numbers to act by.
    #[error(
        "the last layer of an integer image must be an integer dense one with activation identity"
    )]
    IntegerOutput,
}

fn before(layer: usize) -> &'static str {
    if layer == 0 {
        "the observation"
    } else {
        "the layer before it"
    }
}
