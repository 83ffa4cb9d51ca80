//! The hidden activation, shared with the device.
//!
//! On the CPU the trainer evaluates the very function `consort-runtime` specifies, so a hidden
//! unit has the same nonlinearity in training and in flight (and, being branch-free, it
//! vectorises where libm's does not). On other devices candle's own kernel stands in.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Hyperbolic tangent, element by element; any shape.
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.contiguous()?.apply_op1(SpecifiedTanh)
    } else {
        x.tanh()
    }
}

struct SpecifiedTanh;

impl CustomOp1 for SpecifiedTanh {
    fn name(&self) -> &'static str {
        "specified-tanh"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (start, end) = layout
            .contiguous_offsets()
            .ok_or_else(|| candle_core::Error::msg("tanh expects a contiguous tensor"))?;
        let values = storage.as_slice::<f32>()?[start..end]
            .iter()
            .map(|&x| consort_runtime::math::tanh(x))
            .collect();
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    /// d tanh(x)/dx = 1 − tanh²(x).
    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((gradient - (gradient * result.sqr()?)?)?))
    }
}
