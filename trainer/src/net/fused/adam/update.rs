//! The arithmetic of one step, on slices.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, bail};

use crate::net::fused::{values, vectorised};

/// Factors of one step.
#[derive(Clone, Copy)]
pub(super) struct Rates {
    pub(super) beta_1: f32,
    pub(super) beta_2: f32,
    /// α / (1 − β₁ᵗ).
    pub(super) rate: f32,
    /// 1 / (1 − β₂ᵗ).
    pub(super) correction: f32,
    pub(super) epsilon: f32,
}

/// The step of one variable.
pub(super) struct Update<'a> {
    pub(super) rates: Rates,
    /// What each replica's gradient is multiplied by.
    pub(super) scales: &'a [f32],
    /// Which replicas step.
    pub(super) active: &'a [bool],
    pub(super) moments: RefCell<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        if layout.shape() != gradient_layout.shape() {
            bail!(
                "adam: a gradient of shape {:?} for a variable of shape {:?}",
                gradient_layout.shape(),
                layout.shape()
            );
        }
        let gradient = values(gradient, gradient_layout)?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("adam: a variable is not contiguous");
        };
        let CpuStorage::F32(parameter) = parameter else {
            bail!("adam: a variable is not f32");
        };
        let parameter = &mut parameter[start..end];
        let mut moments = self.moments.borrow_mut();
        let (first, second) = &mut *moments;
        let size = (gradient.len() / self.scales.len()).max(1);
        let parts = parameter
            .chunks_exact_mut(size)
            .zip(gradient.chunks_exact(size))
            .zip(first.chunks_exact_mut(size))
            .zip(second.chunks_exact_mut(size));
        let replicas = self.scales.iter().zip(self.active);
        for ((((parameter, gradient), first), second), (&scale, &active)) in parts.zip(replicas) {
            if active {
                vectorised(|| update(self.rates, scale, parameter, gradient, first, second));
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn update(
    rates: Rates,
    scale: f32,
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let length = parameter.len();
    let (gradient, first, second) = (
        &gradient[..length],
        &mut first[..length],
        &mut second[..length],
    );
    for i in 0..length {
        let g = gradient[i] * scale;
        let m = rates.beta_1 * first[i] + (1.0 - rates.beta_1) * g;
        let v = rates.beta_2 * second[i] + (1.0 - rates.beta_2) * (g * g);
        first[i] = m;
        second[i] = v;
        parameter[i] -= rates.rate * m / ((v * rates.correction).sqrt() + rates.epsilon);
    }
}

/// In double precision, in eight interleaved sums that are added in order.
pub(super) fn sum_of_squares(values: &[f32]) -> f64 {
    vectorised(|| {
        let mut sums = [0.0_f64; 8];
        let chunks = values.chunks_exact(8);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (sum, &value) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(value) * f64::from(value);
            }
        }
        for (sum, &value) in sums.iter_mut().zip(rest) {
            *sum += f64::from(value) * f64::from(value);
        }
        sums.iter().sum()
    })
}
