//! What can be wrong with what an image is made from.

use thiserror::Error;

use super::{ImageError, ShapeError};

/// Why [`ImageRepr::emit`](crate::ImageRepr::emit) writes no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// What is to be issued anew is no image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A policy that no image may describe.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A layer with too few or too many weights.
    #[error("layer {layer} has {found} weights: inputs × outputs is {expected}")]
    Weights {
        /// Index of the layer.
        layer: usize,
        /// Inputs × outputs.
        expected: usize,
        /// Weights given.
        found: usize,
    },
    /// A layer with too few or too many biases.
    #[error("layer {layer} has {found} biases for {expected} outputs")]
    Biases {
        /// Index of the layer.
        layer: usize,
        /// Its outputs.
        expected: usize,
        /// Biases given.
        found: usize,
    },
    /// A weight is infinite or not a number.
    #[error("layer {layer}: the weight from input {input} to output {output} is not finite")]
    NonFiniteWeight {
        /// Index of the layer.
        layer: usize,
        /// The output it leads to.
        output: usize,
        /// The input it leads from.
        input: usize,
    },
    /// A bias is infinite or not a number.
    #[error("layer {layer}: the bias of output {output} is not finite")]
    NonFiniteBias {
        /// Index of the layer.
        layer: usize,
        /// The output it belongs to.
        output: usize,
    },
    /// A part of a recurrent layer with too few or too many values.
    #[error("layer {layer} has {found} values in `{part}`: its shape asks for {expected}")]
    GruLength {
        /// Index of the layer.
        layer: usize,
        /// The field of [`GruRepr`](crate::GruRepr).
        part: &'static str,
        /// Values that inputs and units ask for.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value of a recurrent layer is infinite or not a number.
    #[error("layer {layer}: value {index} of `{part}` is not finite")]
    NonFiniteGru {
        /// Index of the layer.
        layer: usize,
        /// The field of [`GruRepr`](crate::GruRepr).
        part: &'static str,
        /// Its index there.
        index: usize,
    },
    /// A part of an integer layer with too few or too many values.
    #[error("layer {layer} has {found} values in `{part}`: its shape asks for {expected}")]
    IntegerLength {
        /// Index of the layer.
        layer: usize,
        /// The field.
        part: &'static str,
        /// Values that inputs and outputs ask for.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value of an integer layer is out of its range.
    #[error("layer {layer}: value {index} of `{part}` is out of its range")]
    IntegerParameter {
        /// Index of the layer.
        layer: usize,
        /// The field.
        part: &'static str,
        /// Its index there.
        index: usize,
    },
    /// A shift or an exponent of an integer layer is out of its range.
    #[error("layer {layer}: `{part}` is out of its range")]
    IntegerShift {
        /// Index of the layer.
        layer: usize,
        /// The field.
        part: &'static str,
    },
    /// An integer layer whose sums some observation could make overflow.
    #[error(
        "layer {layer}: row {row} could overflow: its weights times 256, and its bias, must stay below 2²³, and times its multiplier below 2³¹"
    )]
    IntegerOverflow {
        /// Index of the layer.
        layer: usize,
        /// The row: an output, or a gate's unit in the order r, z, n, q.
        row: usize,
    },
    /// A logarithm of a standard deviation is infinite or not a number.
    #[error("the logarithm of dimension {dimension}'s standard deviation is not finite")]
    NonFiniteLogStd {
        /// The dimension of the action.
        dimension: usize,
    },
    /// The image's length would not fit 32 bits.
    #[error("the image would be 4 GiB or longer")]
    TooLong,
    /// The buffer is too short.
    #[error("the image has {expected} bytes, the buffer {found}")]
    Buffer {
        /// The image's length, in bytes.
        expected: usize,
        /// The buffer's length, in bytes.
        found: usize,
    },
}
