//! The hidden activation, shared with the device.
//!
//! On the CPU the trainer evaluates the very function `consort-runtime` specifies, so a hidden
//! unit has the same nonlinearity in training and in flight (and, being branch-free, it
//! vectorises where libm's does not). On other devices candle's own kernel stands in.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::fused::{vectorised, with_values};

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
        let mut values = storage.as_slice::<f32>()?[start..end].to_vec();
        vectorised(|| {
            for value in &mut values {
                *value = consort_runtime::math::tanh(*value);
            }
        });
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    /// d tanh(x)/dx = 1 − tanh²(x).
    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !gradient.device().is_cpu() {
            return Ok(Some((gradient - (gradient * result.sqr()?)?)?));
        }
        let gradient = gradient.contiguous()?;
        let slopes = with_values(result, |result| {
            with_values(&gradient, |gradient| {
                let mut slopes = gradient.to_vec();
                vectorised(|| {
                    for (slope, y) in slopes.iter_mut().zip(result) {
                        *slope -= *slope * (y * y);
                    }
                });
                Ok(slopes)
            })
        })?;
        Tensor::from_vec(slopes, result.shape(), result.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn hidden_units_have_the_bits_of_the_runtime_and_the_slope_of_tanh() {
        let inputs: Vec<f32> = (-40..=40).map(|x| x as f32 / 8.0).collect();
        let x = Var::new(inputs.as_slice(), &Device::Cpu).unwrap();
        let y = tanh(&x).unwrap();
        let bits = |values: Vec<f32>| -> Vec<u32> { values.iter().map(|v| v.to_bits()).collect() };
        let expected = inputs
            .iter()
            .map(|&x| consort_runtime::math::tanh(x))
            .collect();
        assert_eq!(bits(y.to_vec1().unwrap()), bits(expected));

        let gradients = y.sum_all().unwrap().backward().unwrap();
        let slopes: Vec<f32> = gradients.get(&x).unwrap().to_vec1().unwrap();
        for (&x, slope) in inputs.iter().zip(slopes) {
            // d tanh/dx = 1/cosh².
            let exact = 1.0 / f64::from(x).cosh().powi(2);
            assert!(
                (f64::from(slope) - exact).abs() < 3e-6,
                "{x}: {slope} {exact}"
            );
        }
    }
}
