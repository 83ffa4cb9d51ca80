//! Scratch memory that is used again: a fresh block of this size is memory that the system must first clear, which for large
//! batches costs as much as what is computed in it.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Blocks that a thread keeps for later, at most.
const IDLE: usize = 8;

thread_local! {
    static BLOCKS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Values that hold anything until they are written: the first of a block, which keeps its length, as what is cut off would have to
/// be written when it is used again.
pub(super) struct Buffer {
    block: Vec<f32>,
    length: usize,
}

impl Buffer {
    /// `length` values, from a block that lies idle where one is large enough.
    pub(super) fn new(length: usize) -> Self {
        if length == 0 {
            let block = Vec::new();
            return Self { block, length };
        }
        let idle = BLOCKS.with_borrow_mut(|blocks| {
            let fits = |&index: &usize| blocks[index].len() >= length;
            let smallest = (0..blocks.len())
                .filter(fits)
                .min_by_key(|&index| blocks[index].len());
            smallest.map(|index| blocks.swap_remove(index))
        });
        let block = idle.unwrap_or_else(|| vec![0.0; length]);
        Self { block, length }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.block);
        if block.is_empty() {
            return;
        }
        // A thread that ends has no blocks any more.
        let _ = BLOCKS.try_with(|blocks| {
            let mut blocks = blocks.borrow_mut();
            blocks.push(block);
            if blocks.len() > IDLE {
                let smallest = (0..blocks.len()).min_by_key(|&index| blocks[index].len());
                smallest.map(|index| blocks.swap_remove(index));
            }
        });
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.block[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.block[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_and_one_too_small_is_not() {
        let first = Buffer::new(1000);
        let at = first.as_ptr();
        drop(first);
        let larger = Buffer::new(2000);
        assert_eq!(larger.len(), 2000);
        let again = Buffer::new(10);
        assert_eq!((again.as_ptr(), again.len()), (at, 10));
    }

    #[test]
    fn a_thread_keeps_the_largest_of_its_blocks() {
        drop(
            (1..=2 * IDLE)
                .map(|size| Buffer::new(size * 100))
                .collect::<Vec<_>>(),
        );
        let kept: Vec<usize> = BLOCKS.with_borrow(|blocks| blocks.iter().map(Vec::len).collect());
        assert_eq!(kept.len(), IDLE);
        assert!(kept.iter().all(|&size| size > IDLE * 100), "{kept:?}");
    }
}
