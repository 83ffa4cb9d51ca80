//! Whole layers as single operations of candle's graph, for the CPU.
//!
//! candle builds a layer from many small operations, each of which allocates and walks its
//! result, and its `tanh` is a scalar library call. For the small networks here that costs
//! several times the arithmetic. Each function of this module is one node of the graph instead,
//! forward and backward written by hand around one matrix product. On any other device the same
//! function composes candle's own operations: the same result, up to rounding.
//!
//! Axis letters: G independent networks (groups), S samples a group, T time rows, B parallel
//! sequences; where S = T·B, sample `t·B + b` is row t of sequence b. All values are `f32`.
//!
//! No operation mixes groups, and a group goes through the same instructions whatever lies beside
//! it: its bits do not depend on its neighbours.

pub mod adam;
pub mod asked;
mod buffers;
pub mod clipped;
pub mod dense;
pub mod error;
pub mod exchanged;
pub mod gemm;
pub mod gru;
pub mod log_softmax;
pub mod outer;
mod rows;
pub mod stack;
pub mod surrogate;

pub use adam::{Adam, AdamConfig, AdamState};
pub use asked::{Asked, Lie, asked};
pub use clipped::clipped;
pub use dense::{Activation, dense};
pub use error::squared_error;
pub use exchanged::exchanged;
pub use gru::gru;
pub use log_softmax::{log_softmax, log_softmax_of};
pub use stack::{Layer, stack};
pub use surrogate::{Acted, surrogate};

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

/// Runs `op` compiled for the widest vectors that this processor has.
///
/// Loops over slices inside it become vector instructions. Which ones does not show in the
/// results: additions, products, quotients and square roots are rounded as IEEE 754 says in any
/// width, and Rust contracts none of them.
///
/// Only what is inlined is compiled so. A closure of a few lines is; a larger `op` is a struct
/// whose `call` is `#[inline(always)]`.
#[inline(always)]
pub(super) fn vectorised<Op: pulp::NullaryFnOnce>(op: Op) -> Op::Output {
    pulp::Arch::new().dispatch(op)
}

/// The values of a contiguous CPU tensor as an operation is given them.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a fused operation expects contiguous tensors, found {layout:?}"),
    }
}

/// Calls `f` with the values of a contiguous CPU tensor.
pub(super) fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(values(storage, layout)?),
        _ => bail!("a fused operation of the CPU was given a tensor of another device"),
    }
}

/// The `index`-th part of `length` values.
#[inline(always)]
fn part<T>(values: &[T], index: usize, length: usize) -> &[T] {
    &values[index * length..(index + 1) * length]
}

/// [`part`], to write to.
#[inline(always)]
fn part_mut<T>(values: &mut [T], index: usize, length: usize) -> &mut [T] {
    &mut values[index * length..(index + 1) * length]
}

/// Values that are copied at once where a row is repeated.
const COPIED: usize = 1024;

/// Writes `row` over all rows of `rows`, several at once: a call for each costs more than what it copies.
fn repeat(row: &[f32], rows: &mut [f32]) {
    let mut filled = row.len().min(rows.len());
    rows[..filled].copy_from_slice(&row[..filled]);
    while filled > 0 && filled < rows.len() {
        let next = filled.min(COPIED / row.len().min(COPIED) * row.len());
        let next = next.min(rows.len() - filled);
        rows.copy_within(..next, filled);
        filled += next;
    }
}

/// Columns that are summed at once: the sums of so many fit the registers.
const SUMMED: usize = 64;

/// Adds to each of `sums` its column of the row-major `rows`, from the first row to the last.
fn add_column_sums(rows: &[f32], sums: &mut [f32]) {
    vectorised(|| {
        let width = sums.len();
        let mut blocks = sums.chunks_exact_mut(SUMMED);
        for (index, block) in blocks.by_ref().enumerate() {
            // So that they stay there: in memory they would be stored and loaded row by row.
            let mut own = [0.0; SUMMED];
            own.copy_from_slice(block);
            for row in rows.chunks_exact(width) {
                let row = &row[index * SUMMED..][..SUMMED];
                for (sum, value) in own.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            block.copy_from_slice(&own);
        }
        let rest = blocks.into_remainder();
        if rest.is_empty() {
            return;
        }
        let start = width - rest.len();
        for row in rows.chunks_exact(width) {
            for (sum, value) in rest.iter_mut().zip(&row[start..]) {
                *sum += value;
            }
        }
    });
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_row_by_row_whatever_their_number() {
        for width in [1, 5, SUMMED - 1, SUMMED, SUMMED + 1, 3 * SUMMED] {
            for rows in [0, 1, 2, 33] {
                let values = testing::uniform("rows", rows * width);
                let mut found = testing::uniform("sums", width);
                let mut expected = found.clone();
                add_column_sums(&values, &mut found);
                for (index, value) in values.iter().enumerate() {
                    expected[index % width] += value;
                }
                assert_eq!(found, expected, "{rows} × {width}");
            }
        }
    }

    #[test]
    fn a_row_is_repeated_whatever_its_length() {
        for width in [1, 5, 64, COPIED - 1, COPIED, COPIED + 1] {
            for rows in [0, 1, 2, 33] {
                let row = testing::uniform("row", width);
                let mut found = vec![f32::NAN; rows * width];
                repeat(&row, &mut found);
                assert_eq!(found, row.repeat(rows), "{rows} × {width}");
            }
        }
    }
}
