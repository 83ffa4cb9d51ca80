//! Lower triangular systems L y = x, one a row of a batch.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

/// y = L⁻¹ x. factor: L, `[R, S, P·P]` row by row, what lies above the diagonal is not read;
/// x: `[R, S, P]`.
pub fn forward_substitution(factor: &Tensor, x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return factor
            .contiguous()?
            .apply_op2(&x.contiguous()?, Substitution);
    }
    let p = x.dim(2)?;
    let mut solved: Vec<Tensor> = Vec::with_capacity(p);
    for row in 0..p {
        let mut rest = x.narrow(2, row, 1)?;
        for (column, y) in solved.iter().enumerate() {
            rest = (rest - (factor.narrow(2, row * p + column, 1)? * y)?)?;
        }
        solved.push((rest / factor.narrow(2, row * p + row, 1)?)?);
    }
    Tensor::cat(&solved, 2)
}

struct Substitution;

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::msg("substitution expects contiguous tensors"))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

impl CustomOp2 for Substitution {
    fn name(&self) -> &'static str {
        "forward-substitution"
    }

    fn cpu_fwd(
        &self,
        factor: &CpuStorage,
        of_factor: &Layout,
        x: &CpuStorage,
        of_x: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let p = of_x.shape().dims3()?.2;
        let (factors, mut solved) = (slice(factor, of_factor)?, slice(x, of_x)?.to_vec());
        for (y, factor) in solved.chunks_exact_mut(p).zip(factors.chunks_exact(p * p)) {
            for row in 0..p {
                let line = &factor[row * p..][..p];
                let known: f32 = line[..row].iter().zip(&*y).map(|(l, y)| l * y).sum();
                y[row] = (y[row] - known) / line[row];
            }
        }
        Ok((CpuStorage::F32(solved), of_x.shape().clone()))
    }

    /// With g = ∂/∂y: ∂/∂x = L⁻ᵀ g and ∂/∂L = −(L⁻ᵀ g) yᵀ, below and on the diagonal.
    fn bwd(
        &self,
        factor: &Tensor,
        _: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (replicas, samples, p) = y.dims3()?;
        let factors: Vec<f32> = factor.flatten_all()?.to_vec1()?;
        let ys: Vec<f32> = y.flatten_all()?.to_vec1()?;
        let mut of_x: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
        let mut of_factor = vec![0.0_f32; factors.len()];
        let rows = of_x.chunks_exact_mut(p).zip(ys.chunks_exact(p));
        let tables = factors
            .chunks_exact(p * p)
            .zip(of_factor.chunks_exact_mut(p * p));
        for ((g, y), (factor, of_factor)) in rows.zip(tables) {
            for row in (0..p).rev() {
                let known: f32 = (row + 1..p).map(|k| factor[k * p + row] * g[k]).sum();
                g[row] = (g[row] - known) / factor[row * p + row];
            }
            for row in 0..p {
                for column in 0..=row {
                    of_factor[row * p + column] = -g[row] * y[column];
                }
            }
        }
        let of_factor = Tensor::from_vec(of_factor, (replicas, samples, p * p), y.device())?;
        let of_x = Tensor::from_vec(of_x, (replicas, samples, p), y.device())?;
        Ok((Some(of_factor), Some(of_x)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn a_system_of_two_by_hand_and_its_gradients_by_differences() {
        // [[2, ·], [1, 4]] y = (6, 11): y = (3, 2).
        let (l, x) = ([2.0_f32, 99.0, 1.0, 4.0], [6.0_f32, 11.0]);
        let solve = |l: [f32; 4], x: [f32; 2]| {
            let factor = Var::from_slice(&l, (1, 1, 4), &Device::Cpu).unwrap();
            let right = Var::from_slice(&x, (1, 1, 2), &Device::Cpu).unwrap();
            let y = forward_substitution(&factor, &right).unwrap();
            (factor, right, y)
        };
        let (factor, right, y) = solve(l, x);
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(flat(&y), [3.0, 2.0]);
        let value = |l, x| -> f32 {
            let y = flat(&solve(l, x).2);
            y[0] * y[0] + 3.0 * y[1]
        };
        let weights = Tensor::new(&[[[0.0_f32, 3.0]]], &Device::Cpu).unwrap();
        let first = y.narrow(2, 0, 1).unwrap().sqr().unwrap().sum_all().unwrap();
        let loss = (first + (&y * weights).unwrap().sum_all().unwrap()).unwrap();
        let gradients = loss.backward().unwrap();
        let (of_l, of_x) = (
            flat(gradients.get(&factor).unwrap()),
            flat(gradients.get(&right).unwrap()),
        );
        for index in [0, 2, 3] {
            let (mut up, mut down) = (l, l);
            (up[index], down[index]) = (up[index] + 0.01, down[index] - 0.01);
            let slope = (value(up, x) - value(down, x)) / 0.02;
            assert!(
                (of_l[index] - slope).abs() < 1e-2,
                "{index}: {} {slope}",
                of_l[index]
            );
        }
        assert_eq!(of_l[1], 0.0);
        for index in 0..2 {
            let (mut up, mut down) = (x, x);
            (up[index], down[index]) = (up[index] + 0.01, down[index] - 0.01);
            let slope = (value(l, up) - value(l, down)) / 0.02;
            assert!((of_x[index] - slope).abs() < 1e-2);
        }
    }
}
