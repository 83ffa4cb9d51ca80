//! A dense layer with its activation.
//!
//! ```text
//! z = x W + b;   y = φ(z)
//! ```
//!
//! The derivatives of the three activations are functions of y, so z is not kept:
//! tanh' = 1 − y², relu' = 1 where y > 0 and 0 elsewhere.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use consort_runtime::math;

use super::outer::add_outer_products;
use super::rows::{Then, Weights, finish};
use super::{add_column_sums, part, part_mut, values, with_values};

/// What a layer does to its sums, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// The hyperbolic tangent; on the CPU the very function of `consort-runtime`.
    Tanh,
    /// max(0, z).
    Relu,
}

/// φ(x W + b) for G layers: x `[G, S, I]`, W `[G, I, O]`, b `[G, 1, O]` → `[G, S, O]`.
///
/// The gradient of x is computed only where x depends on a variable.
///
/// # Errors
///
/// If the shapes do not fit or a tensor is not `f32`.
pub fn dense(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    let (groups, _, inputs) = x.dims3()?;
    check([groups, inputs], weight, bias)?;
    if !x.device().is_cpu() {
        let sums = x.matmul(weight)?.broadcast_add(bias)?;
        return match activation {
            Activation::Identity => Ok(sums),
            Activation::Tanh => sums.tanh(),
            Activation::Relu => sums.relu(),
        };
    }
    x.contiguous()?.apply_op3(
        &weight.contiguous()?,
        &bias.contiguous()?,
        Dense { activation },
    )
}

/// Refuses weights and biases that do not fit inputs `[groups, S, inputs]`.
pub(super) fn check([groups, inputs]: [usize; 2], weight: &Tensor, bias: &Tensor) -> Result<()> {
    let outputs = weight.dims3()?.2;
    if weight.dims() != [groups, inputs, outputs] || bias.dims() != [groups, 1, outputs] {
        bail!(
            "dense: inputs [{groups}, S, {inputs}] need weights [{groups}, {inputs}, O] and biases [{groups}, 1, O], found {:?} and {:?}",
            weight.dims(),
            bias.dims()
        );
    }
    Ok(())
}

/// Rows that go through product and activation together: few enough that the second finds what
/// the first wrote in the nearest caches.
pub(super) const ROWS: usize = 256;

struct Dense {
    activation: Activation,
}

impl CustomOp3 for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (groups, samples, inputs) = x_layout.shape().dims3()?;
        let outputs = weight_layout.shape().dims3()?.2;
        let x = values(x, x_layout)?;
        let weight = values(weight, weight_layout)?;
        let bias = values(bias, bias_layout)?;
        let mut y = Vec::with_capacity(groups * samples * outputs);
        for group in 0..groups {
            let x = part(x, group, samples * inputs);
            let weight = part(weight, group, inputs * outputs);
            let bias = part(bias, group, outputs);
            let weights = Weights::new(weight, bias, inputs, samples);
            for start in (0..samples).step_by(ROWS) {
                let end = samples.min(start + ROWS);
                let x = &x[start * inputs..end * inputs];
                weights.append(x, Then::Activate(self.activation), &mut y);
            }
        }
        Ok((CpuStorage::F32(y), Shape::from((groups, samples, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let shape = x.dims3()?;
        let outputs = weight.dims3()?.2;
        let gradient = gradient.contiguous()?;
        let wants_x = x.track_op();
        let (dx, dw, db) = with_values(x, |x| {
            with_values(weight, |weight| {
                with_values(y, |y| {
                    with_values(&gradient, |gradient| {
                        Ok(self.backward(shape, outputs, x, weight, y, gradient, wants_x))
                    })
                })
            })
        })?;
        let dx = match dx {
            Some(dx) => Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            None => None,
        };
        Ok((
            dx,
            Some(Tensor::from_vec(dw, weight.shape(), x.device())?),
            Some(Tensor::from_vec(db, bias.shape(), x.device())?),
        ))
    }
}

impl Dense {
    /// Gradients of x (where wanted), W and b, given that of y.
    #[allow(clippy::too_many_arguments, reason = "each is one of the op's tensors")]
    fn backward(
        &self,
        (groups, samples, inputs): (usize, usize, usize),
        outputs: usize,
        x: &[f32],
        weight: &[f32],
        y: &[f32],
        gradient: &[f32],
        wants_x: bool,
    ) -> (Option<Vec<f32>>, Vec<f32>, Vec<f32>) {
        let mut dx = wants_x.then(|| Vec::with_capacity(x.len()));
        let mut dw = vec![0.0; weight.len()];
        let mut db = vec![0.0; groups * outputs];
        let [mut dz, mut outer] = [const { Vec::new() }; 2];
        for group in 0..groups {
            let weight = part(weight, group, inputs * outputs);
            let weight = wants_x.then(|| Weights::transposed(weight, [inputs, outputs], samples));
            let dw = part_mut(&mut dw, group, inputs * outputs);
            let db = part_mut(&mut db, group, outputs);
            for start in (0..samples).step_by(ROWS) {
                let rows = ROWS.min(samples - start);
                let row = group * samples + start;
                let span = row * outputs..(row + rows) * outputs;
                dz.clear();
                dz.extend_from_slice(&gradient[span.clone()]);
                finish(Then::Slope(self.activation, &y[span]), &mut dz);
                add_column_sums(&dz, db);
                let x = &x[row * inputs..(row + rows) * inputs];
                add_outer_products([x, &dz], [inputs, outputs], dw, &mut outer);
                if let (Some(dx), Some(weight)) = (&mut dx, &weight) {
                    weight.append(&dz, Then::Activate(Activation::Identity), dx);
                }
            }
        }
        (dx, dw, db)
    }
}

/// φ in place, compiled as what it is called from.
#[inline(always)]
pub(super) fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Identity => {}
        Activation::Tanh => {
            for value in values {
                *value = math::tanh(*value);
            }
        }
        Activation::Relu => {
            for value in values {
                *value = if *value > 0.0 { *value } else { 0.0 };
            }
        }
    }
}

/// Makes dL/dz of dL/dy, given y; compiled as what it is called from.
#[inline(always)]
pub(super) fn slope(activation: Activation, y: &[f32], gradient: &mut [f32]) {
    let both = gradient.iter_mut().zip(y);
    match activation {
        Activation::Identity => {}
        Activation::Tanh => both.for_each(|(gradient, y)| *gradient *= 1.0 - y * y),
        Activation::Relu => both.for_each(|(gradient, y)| {
            *gradient = if *y > 0.0 { *gradient } else { 0.0 };
        }),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::net::fused::testing::{assert_close, bits, flat, uniform, variable};

    const ALL: [Activation; 3] = [Activation::Identity, Activation::Tanh, Activation::Relu];

    fn composed(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Tensor {
        let sums = x.matmul(weight).unwrap().broadcast_add(bias).unwrap();
        match activation {
            Activation::Identity => sums,
            Activation::Tanh => sums.tanh().unwrap(),
            Activation::Relu => sums.relu().unwrap(),
        }
    }

    #[test]
    fn layers_and_their_gradients_are_those_of_candles_operations() {
        // 300 samples cross the border between two runs of rows.
        for (g, s, i, o) in [
            (1, 1, 1, 1),
            (3, 5, 7, 9),
            (2, 300, 13, 17),
            (1, 64, 32, 64),
        ] {
            for activation in ALL {
                let x = variable("x", (g, s, i));
                let weight = variable("w", (g, i, o));
                let bias = variable("b", (g, 1, o));
                // Unequal weights, so that no gradient is a plain sum.
                let mix = variable("mix", (g, s, o)).detach();
                let fused = dense(&x, &weight, &bias, activation).unwrap();
                let plain = composed(&x, &weight, &bias, activation);
                assert_close(&fused, &plain, 2e-6);
                let gradients = |y: &Tensor| (y * &mix).unwrap().sum_all().unwrap().backward();
                let fused = gradients(&fused).unwrap();
                let plain = gradients(&plain).unwrap();
                for variable in [&x, &weight, &bias] {
                    let (fused, plain) = (fused.get(variable), plain.get(variable));
                    assert_close(fused.unwrap(), plain.unwrap(), 3e-5);
                }
            }
        }
    }

    #[test]
    fn gradients_are_the_slopes_of_a_reference_in_double_precision() {
        let (s, i, o) = (4, 3, 2);
        let x = variable("x", (1, s, i));
        let weight = variable("w", (1, i, o));
        let bias = variable("b", (1, 1, o));
        let loss = |x: &[f64], w: &[f64], b: &[f64]| -> f64 {
            (0..s * o)
                .map(|index| {
                    let (row, column) = (index / o, index % o);
                    let sum: f64 = (0..i).map(|k| x[row * i + k] * w[k * o + column]).sum();
                    (sum + b[column]).tanh().powi(2)
                })
                .sum()
        };
        let wide = |t: &Tensor| -> Vec<f64> { flat(t).iter().map(|&v| f64::from(v)).collect() };
        let points = [wide(&x), wide(&weight), wide(&bias)];
        let y = dense(&x, &weight, &bias, Activation::Tanh).unwrap();
        let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for (which, variable) in [&x, &weight, &bias].into_iter().enumerate() {
            let found = flat(gradients.get(variable).unwrap());
            for (index, found) in found.into_iter().enumerate() {
                let at = |step: f64| {
                    let mut points = points.clone();
                    points[which][index] += step;
                    loss(&points[0], &points[1], &points[2])
                };
                // Central differences: an error of order 10⁻¹⁰ beside f32's 10⁻⁶.
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((f64::from(found) - slope).abs() < 5e-6, "{found} {slope}");
            }
        }
    }

    #[test]
    fn a_group_has_the_same_bits_alone_and_beside_others() {
        let (s, i, o) = (300, 7, 9);
        let x = variable("x", (3, s, i));
        let weight = variable("w", (3, i, o));
        let bias = variable("b", (3, 1, o));
        let run = |x: &Tensor, weight: &Tensor, bias: &Tensor| {
            let variables = [x, weight, bias].map(|t| candle_core::Var::from_tensor(t).unwrap());
            let [x, weight, bias] = &variables;
            let y = dense(x, weight, bias, Activation::Tanh).unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let mut results = vec![y];
            results.extend(variables.iter().map(|v| gradients.get(v).unwrap().clone()));
            results
        };
        let together = run(&x, &weight, &bias);
        for group in 0..3 {
            let one = |t: &Tensor| t.narrow(0, group, 1).unwrap();
            let alone = run(&one(&x), &one(&weight), &one(&bias));
            for (alone, together) in alone.iter().zip(&together) {
                assert_eq!(bits(alone), bits(&one(together)));
            }
        }
    }

    #[test]
    fn units_are_the_runtimes_and_constant_inputs_get_no_gradient() {
        let x = Tensor::from_vec(uniform("x", 40), (1, 40, 1), &Device::Cpu).unwrap();
        let weight = candle_core::Var::new(&[[[1.0_f32]]], &Device::Cpu).unwrap();
        let bias = candle_core::Var::new(&[[[0.0_f32]]], &Device::Cpu).unwrap();
        let y = dense(&x, &weight, &bias, Activation::Tanh).unwrap();
        for (x, y) in flat(&x).into_iter().zip(flat(&y)) {
            assert_eq!(y.to_bits(), math::tanh(x).to_bits());
        }
        let gradients = y.sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&x).is_none());
        assert!(gradients.get(&weight).is_some());
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let x = variable("x", (2, 5, 3));
        let (weight, bias) = (variable("w", (2, 3, 4)), variable("b", (1, 1, 4)));
        let error = dense(&x, &weight, &bias, Activation::Relu).unwrap_err();
        assert!(error.to_string().contains("[1, 1, 4]"), "{error}");
        assert!(dense(&x, &variable("w", (2, 4, 4)), &bias, Activation::Relu).is_err());
    }
}
