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
    use crate::layer::{each, sigmoid as sigmoid_of};
    use crate::math;

    pub(crate) use crate::layer::{dense, gru};

    pub(crate) fn tanh(values: &mut [f32]) {
        each(values, math::tanh);
    }

    pub(crate) fn sigmoid(values: &mut [f32]) {
        each(values, sigmoid_of);
    }
}

#[cfg(not(all(
    feature = "kernels",
    target_arch = "arm",
    target_os = "none",
    target_abi = "eabihf"
)))]
pub(crate) use portable::*;
