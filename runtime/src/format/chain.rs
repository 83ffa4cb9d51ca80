//! The chain of layers: what every image satisfies, whether parsed or emitted.

use super::MAX_LAYERS;
use crate::error::ShapeError;
use crate::layer::Activation;
use crate::quantised::layers::{dense_words, gru_words, lane_words, whole_rows};

/// How a step divides the memory it is lent: the state, as much again for the next state (none in an
/// integer image), and the two regions that layers write to in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    /// Values of all recurrent layers' states.
    pub(crate) state: usize,
    /// The most outputs of a dense layer at an even index, and at an odd one.
    pub(crate) regions: [usize; 2],
    /// Whether the image is an integer one, whose values are words of two lanes.
    pub(crate) integer: bool,
}

impl Memory {
    pub(crate) fn len(self) -> usize {
        let [even, odd] = self.regions;
        let next = if self.integer { 0 } else { self.state };
        self.state + next + even + odd
    }
}

/// Follows the chain of layers: what every image satisfies, whether parsed or emitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    /// Values that reach the next layer.
    width: usize,
    /// Layers so far.
    len: usize,
    /// Layers that there will be.
    count: usize,
    /// Whether the last layer so far gives `f32` values.
    floats: bool,
    memory: Memory,
}

impl Chain {
    pub(crate) fn new(
        agent: u16,
        agents: u16,
        layers: usize,
        observations: usize,
    ) -> Result<Self, ShapeError> {
        if agent >= agents {
            return Err(ShapeError::Agent { agent, agents });
        }
        if layers == 0 || layers > MAX_LAYERS {
            return Err(ShapeError::Layers { found: layers });
        }
        Ok(Chain {
            width: observations,
            len: 0,
            count: layers,
            floats: true,
            memory: Memory::default(),
        })
    }

    /// Adds a dense layer and returns how many parameters it has. That fits 32 bits: each side
    /// fits 16.
    pub(crate) fn dense(&mut self, inputs: usize, outputs: usize) -> Result<usize, ShapeError> {
        self.integer(false)?;
        self.reserve(self.len, outputs);
        self.link(inputs, outputs)?;
        Ok(outputs * (inputs + 1))
    }

    /// Adds a recurrent layer and returns how many parameters it has, or the largest number where
    /// they would not fit in memory: then none has so many.
    pub(crate) fn gru(&mut self, inputs: usize, hidden: usize) -> Result<usize, ShapeError> {
        self.integer(false)?;
        self.link(inputs, hidden)?;
        self.memory.state += hidden;
        Ok(hidden.saturating_mul(4 + 3 * (inputs + hidden)))
    }

    /// Adds the layer that makes an image an integer one and returns how many words it has.
    pub(crate) fn quantise(&mut self, inputs: usize) -> Result<usize, ShapeError> {
        let layer = self.len;
        if layer != 0 {
            return Err(ShapeError::Precision { layer });
        }
        self.memory.integer = true;
        self.floats = false;
        self.reserve(layer, lane_words(inputs));
        self.link(inputs, inputs)?;
        Ok(inputs)
    }

    /// Adds a dense layer in whole numbers and returns how many words it has.
    pub(crate) fn integer_dense(
        &mut self,
        inputs: usize,
        outputs: usize,
        activation: Activation,
    ) -> Result<usize, ShapeError> {
        self.integer(true)?;
        let last = self.is_at_last();
        self.floats = last && activation == Activation::Identity;
        let own = if last {
            whole_rows(outputs)
        } else {
            lane_words(outputs)
        };
        self.reserve(self.len, own);
        self.link(inputs, outputs)?;
        Ok(dense_words(inputs, outputs))
    }

    /// Adds a recurrent layer in whole numbers and returns how many words it has.
    pub(crate) fn integer_gru(
        &mut self,
        inputs: usize,
        hidden: usize,
    ) -> Result<usize, ShapeError> {
        self.integer(true)?;
        self.floats = false;
        let state = lane_words(hidden);
        // Behind the inputs lies the state, as lanes.
        self.reserve(self.len + 1, lane_words(inputs) + state);
        self.reserve(self.len, state);
        self.link(inputs, hidden)?;
        self.memory.state += state;
        Ok(gru_words(inputs, hidden))
    }

    /// Whether the next layer is the last.
    pub(crate) fn is_at_last(&self) -> bool {
        self.len + 1 == self.count
    }

    /// Layers in whole numbers and others do not mix.
    fn integer(&self, expected: bool) -> Result<(), ShapeError> {
        match self.memory.integer == expected {
            true => Ok(()),
            false => Err(ShapeError::Precision { layer: self.len }),
        }
    }

    /// Makes the region of layers at places like `place` so long at least.
    fn reserve(&mut self, place: usize, len: usize) {
        let [even, odd] = &mut self.memory.regions;
        let region = if place.is_multiple_of(2) { even } else { odd };
        *region = len.max(*region);
    }

    fn link(&mut self, inputs: usize, outputs: usize) -> Result<(), ShapeError> {
        let layer = self.len;
        if inputs != self.width {
            return Err(ShapeError::Inputs {
                layer,
                expected: self.width,
                found: inputs,
            });
        }
        let sizes = 1..=usize::from(u16::MAX);
        if !sizes.contains(&inputs) || !sizes.contains(&outputs) {
            return Err(ShapeError::Size {
                layer,
                inputs,
                outputs,
            });
        }
        self.width = outputs;
        self.len += 1;
        Ok(())
    }

    /// Ends the chain at a head of `expected` inputs and returns the memory it computes in.
    pub(crate) fn finish(self, expected: usize) -> Result<Memory, ShapeError> {
        let found = self.width;
        if found != expected {
            return Err(ShapeError::Head { expected, found });
        }
        if !self.floats {
            return Err(ShapeError::IntegerOutput);
        }
        Ok(self.memory)
    }
}

/// Every group of a multi-discrete head has an action, and no more than 16 bits count.
pub(crate) fn check_groups(sizes: &[u32]) -> Result<(), ShapeError> {
    let wrong = |&size: &u32| size == 0 || size > u32::from(u16::MAX);
    match sizes.iter().position(wrong) {
        None => Ok(()),
        Some(group) => Err(ShapeError::Group {
            group,
            found: sizes.get(group).copied().unwrap_or_default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_parameters_than_memory_holds_do_not_wrap() {
        let mut chain = Chain::new(0, 1, 1, 65_535).unwrap();
        let exact = 65_535_u64 * (4 + 6 * 65_535);
        let expected = usize::try_from(exact).unwrap_or(usize::MAX);
        assert_eq!(chain.gru(65_535, 65_535), Ok(expected));
    }
}
