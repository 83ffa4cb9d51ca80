//! Sums over the agents asked before: p_i = Σ_{j before i} e_j.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Exclusive running sums over axis 2, in an order. e: `[R, S, N, H]`; order: the N agents, first
/// asked first.
pub fn prefix_sum(e: &Tensor, order: &[u32]) -> Result<Tensor> {
    let running = RunningSum {
        order: order.to_vec(),
    };
    if e.device().is_cpu() {
        return e.contiguous()?.apply_op1(running);
    }
    running.compose(e)
}

struct RunningSum {
    order: Vec<u32>,
}

impl RunningSum {
    /// The same from candle's own operations.
    fn compose(&self, e: &Tensor) -> Result<Tensor> {
        let mut parts: Vec<Option<Tensor>> = vec![None; self.order.len()];
        let mut sum = e.narrow(2, 0, 1)?.zeros_like()?;
        for &agent in &self.order {
            parts[agent as usize] = Some(sum.clone());
            sum = (sum + e.narrow(2, agent as usize, 1)?)?;
        }
        let parts: Vec<Tensor> = parts.into_iter().flatten().collect();
        Tensor::cat(&parts, 2)
    }
}

impl CustomOp1 for RunningSum {
    fn name(&self) -> &'static str {
        "prefix-sum"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, _, agents, width) = layout.shape().dims4()?;
        let (start, end) = layout
            .contiguous_offsets()
            .ok_or_else(|| candle_core::Error::msg("prefix sums expect a contiguous tensor"))?;
        let values = &storage.as_slice::<f32>()?[start..end];
        let mut sums = vec![0.0_f32; values.len()];
        let row = (agents * width).max(1);
        let mut sum = vec![0.0_f32; width];
        for (values, sums) in values.chunks_exact(row).zip(sums.chunks_exact_mut(row)) {
            sum.fill(0.0);
            for &agent in &self.order {
                let own = agent as usize * width..(agent as usize + 1) * width;
                sums[own.clone()].copy_from_slice(&sum);
                for (sum, value) in sum.iter_mut().zip(&values[own]) {
                    *sum += value;
                }
            }
        }
        Ok((CpuStorage::F32(sums), layout.shape().clone()))
    }

    /// e_j reaches all that come later: the same sums in the opposite order.
    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let backwards: Vec<u32> = self.order.iter().rev().copied().collect();
        Ok(Some(prefix_sum(gradient, &backwards)?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn agents_hear_of_those_before_them() {
        let e = Var::from_vec(vec![1.0_f32, 10.0, 100.0], (1, 1, 3, 1), &Device::Cpu).unwrap();
        let order = [2, 0, 1];
        // Agent 2 is first; agent 0 hears 100, agent 1 hears 100 + 1.
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let sums = prefix_sum(&e, &order).unwrap();
        assert_eq!(flat(&sums), [100.0, 101.0, 0.0]);
        let running = RunningSum {
            order: order.to_vec(),
        };
        assert_eq!(flat(&running.compose(&e).unwrap()), flat(&sums));
        // Weighted 1, 2, 4: agent 2 is heard by 0 and 1, agent 0 by 1, agent 1 by nobody.
        let weights = Tensor::from_vec(vec![1.0_f32, 2.0, 4.0], (1, 1, 3, 1), &Device::Cpu);
        let loss = (sums * weights.unwrap()).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        assert_eq!(flat(gradients.get(&e).unwrap()), [2.0, 0.0, 3.0]);
    }
}
