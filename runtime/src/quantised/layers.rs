//! The layers of a checked integer image, and how long they are.

use super::panel::{pair_len, quad_len};
use crate::layer::Activation;

/// A dense layer in whole numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntegerDense {
    pub(crate) outputs: usize,
    pub(crate) activation: Activation,
    pub(crate) shift: u32,
    pub(crate) exponent: u32,
}

/// A gated recurrent unit in whole numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntegerGru {
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    /// Of the gates, of n and of q.
    pub(crate) shifts: [u32; 3],
}

/// Words that so many lanes take.
pub(crate) const fn lane_words(lanes: usize) -> usize {
    lanes.div_ceil(2)
}

/// Rows that so many outputs have in panels.
pub(crate) const fn whole_rows(outputs: usize) -> usize {
    outputs + outputs % 2
}

/// Words of a dense layer's parameters; the largest number where they would not fit in memory.
pub(crate) const fn dense_words(inputs: usize, outputs: usize) -> usize {
    let (input_words, rows) = (lane_words(inputs), whole_rows(outputs));
    let pairs = rows % 4 / 2;
    (rows / 4)
        .saturating_mul(quad_len(input_words))
        .saturating_add(pairs * pair_len(input_words))
}

/// Words of a recurrent layer's parameters; the largest number where they would not fit in memory.
pub(crate) const fn gru_words(inputs: usize, hidden: usize) -> usize {
    let (input, state) = (lane_words(inputs), lane_words(hidden));
    state.saturating_mul(quad_len(input + state) + pair_len(input) + pair_len(state))
}
