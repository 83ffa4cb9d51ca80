//! What a step calls for its heavy work: the kernels of the target where there are some and the
//! feature `kernels` is on, else the portable functions that define the bits.

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
pub(crate) fn silu(values: &mut [f32]) {
    for values in values.chunks_mut(4) {
        let mut weights = [0.0; 4];
        for (weight, &mut x) in weights.iter_mut().zip(&mut *values) {
            *weight = x;
        }
        sigmoid(&mut weights);
        values
            .iter_mut()
            .zip(weights)
            .for_each(|(x, weight)| *x *= weight);
    }
}
