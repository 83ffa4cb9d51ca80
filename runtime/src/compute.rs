//! What a step calls for its heavy work: the kernels of the target where there are some and the
//! feature `kernels` is on, else the portable functions that define the bits.

use core::slice::from_mut;

#[cfg(all(
    feature = "kernels",
    target_arch = "arm",
    target_os = "none",
    target_abi = "eabihf"
))]
pub(crate) use consort_kernels::float::{dense, gru, sigmoid, tanh};

#[cfg(not(all(
    feature = "kernels",
    target_arch = "arm",
    target_os = "none",
    target_abi = "eabihf"
)))]
mod portable {
    use crate::math;

    pub(crate) use crate::layer::{dense, gru};

    /// One copy, whoever calls it: 30 instructions that nothing should double.
    #[inline(never)]
    pub(crate) fn tanh(values: &mut [f32]) {
        for value in values {
            *value = math::tanh(*value);
        }
    }

    /// As `math::sigmoid`, in three passes.
    pub(crate) fn sigmoid(values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value *= 0.5);
        tanh(values);
        for value in values {
            *value = *value * 0.5 + 0.5;
        }
    }
}

#[cfg(not(all(
    feature = "kernels",
    target_arch = "arm",
    target_os = "none",
    target_abi = "eabihf"
)))]
pub(crate) use portable::*;

/// As `math::silu`, four at a time: a value is needed again beside what became of it.
///
/// Arrays of one length and single values, as a copy of any other length is a call of the compiler's `memcpy`, which is
/// a fifth of a small firmware.
pub(crate) fn silu(values: &mut [f32]) {
    let (fours, rest) = values.as_chunks_mut::<4>();
    for four in fours {
        let inputs = *four;
        sigmoid(four);
        for (weight, x) in four.iter_mut().zip(inputs) {
            *weight *= x;
        }
    }
    for value in rest {
        let x = *value;
        sigmoid(from_mut(value));
        *value *= x;
    }
}
