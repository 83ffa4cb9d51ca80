//! Dense layers one after another as one operation.
//!
//! ```text
//! y_0 = x;   y_l = φ_l(y_{l−1} W_l + b_l)
//! ```
//!
//! The same bits as one [`dense`] a layer, in less time: some rows go through all layers, forward and
//! backward, before the next do, so that every layer finds what the one before it wrote in the nearest
//! caches, and gradients between layers are never written down.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::buffers::Buffer;
use super::dense::{Activation, ROWS, check, dense};
use super::outer::add_outer_products;
use super::rows::{Then, Weights, finish};
use super::{add_column_sums, part, part_mut, values, with_values};

/// G dense layers of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// `[G, I, O]`.
    pub weight: &'a Tensor,
    /// `[G, 1, O]`.
    pub bias: &'a Tensor,
    /// φ.
    pub activation: Activation,
}

/// G stacks of layers: x `[G, S, I]` → `[G, S, O]` of the last; x where there is none.
///
/// The gradient of x is computed only where x depends on a variable.
///
/// # Errors
///
/// If the shapes do not fit or a tensor is not `f32`.
pub fn stack(x: &Tensor, layers: &[Layer]) -> Result<Tensor> {
    let one_by_one = |x: &Tensor| {
        layers.iter().try_fold(x.clone(), |y, layer| {
            dense(&y, layer.weight, layer.bias, layer.activation)
        })
    };
    let (groups, samples, mut inputs) = x.dims3()?;
    // Few rows lie in the caches anyway; then gathering the parameters costs more than it saves.
    if !x.device().is_cpu() || layers.len() < 2 || samples <= ROWS {
        return one_by_one(x);
    }
    let mut widths = vec![inputs];
    let mut parameters = Vec::with_capacity(2 * layers.len());
    for layer in layers {
        check([groups, inputs], layer.weight, layer.bias)?;
        inputs = layer.weight.dims3()?.2;
        widths.push(inputs);
        parameters.push(layer.weight.reshape((groups, ()))?);
        parameters.push(layer.bias.reshape((groups, ()))?);
    }
    // candle's operations have three inputs at most; that of gathering is small beside the products.
    let parameters = Tensor::cat(&parameters, 1)?;
    let keep = x.track_op() || parameters.track_op();
    let op = Stack {
        activations: layers.iter().map(|layer| layer.activation).collect(),
        widths,
        hidden: keep.then(|| Mutex::new(Buffer::new(0))),
    };
    let x = x.contiguous()?;
    match keep {
        true => x.apply_op2(&parameters, op),
        false => x.apply_op2_no_bwd(&parameters, &op),
    }
}

struct Stack {
    /// φ of every layer.
    activations: Vec<Activation>,
    /// I, then O of every layer.
    widths: Vec<usize>,
    /// The outputs of all layers but the last, if there will be a backward pass: for every group, for
    /// every run of [`ROWS`] samples, layer after layer.
    hidden: Option<Mutex<Buffer>>,
}

impl Stack {
    /// Lengths of the layers' outputs but the last, together.
    fn hidden_width(&self) -> usize {
        self.widths[1..self.widths.len() - 1].iter().sum()
    }

    /// Inputs, outputs and where the parameters begin, of every layer.
    fn layers(&self) -> Vec<(usize, usize, usize)> {
        let mut start = 0;
        let layer = |pair: &[usize]| {
            let begin = start;
            start += (pair[0] + 1) * pair[1];
            (pair[0], pair[1], begin)
        };
        self.widths.windows(2).map(layer).collect()
    }

    fn forward(&self, groups: usize, samples: usize, x: &[f32], parameters: &[f32]) -> Vec<f32> {
        let layers = self.layers();
        let (first, last) = (self.widths[0], self.widths[layers.len()]);
        let hidden_width = self.hidden_width();
        let size = parameters.len() / groups;
        let mut y = Vec::with_capacity(groups * samples * last);
        let mut all_hidden = Buffer::new(match self.hidden {
            Some(_) => groups * samples * hidden_width,
            None => ROWS.min(samples) * hidden_width,
        });
        for group in 0..groups {
            let parameters = part(parameters, group, size);
            let packed: Vec<Weights> = (layers.iter())
                .map(|&(inputs, outputs, begin)| {
                    let layer = &parameters[begin..begin + (inputs + 1) * outputs];
                    let (weight, bias) = layer.split_at(inputs * outputs);
                    Weights::new(weight, bias, inputs, samples)
                })
                .collect();
            for start in (0..samples).step_by(ROWS) {
                let rows = ROWS.min(samples - start);
                let row = group * samples + start;
                let at = self.hidden.as_ref().map_or(0, |_| row * hidden_width);
                let mut hidden = &mut all_hidden[at..at + rows * hidden_width];
                let mut seen = &x[row * first..(row + rows) * first];
                for (index, weights) in packed.iter().enumerate() {
                    let activation = self.activations[index];
                    if index + 1 == packed.len() {
                        weights.append(seen, Then::Activate(activation), &mut y);
                    } else {
                        let own = std::mem::take(&mut hidden);
                        let (own, rest) = own.split_at_mut(rows * self.widths[index + 1]);
                        weights.apply(seen, Then::Activate(activation), own);
                        (seen, hidden) = (own, rest);
                    }
                }
            }
        }
        if let Some(kept) = &self.hidden {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = all_hidden;
        }
        y
    }

    /// Gradients of x, where it is wanted, and of the parameters.
    #[allow(clippy::too_many_arguments, reason = "each is one of the op's tensors")]
    fn backward(
        &self,
        (groups, samples): (usize, usize),
        x: &[f32],
        parameters: &[f32],
        hidden: &[f32],
        y: &[f32],
        gradient: &[f32],
        wants_x: bool,
    ) -> (Option<Vec<f32>>, Vec<f32>) {
        let layers = self.layers();
        let (first, last) = (self.widths[0], self.widths[layers.len()]);
        let hidden_width = self.hidden_width();
        let size = parameters.len() / groups;
        let mut dx = wants_x.then(|| Vec::with_capacity(x.len()));
        let mut d_parameters = vec![0.0; parameters.len()];
        let widest = self.widths.iter().max().map_or(0, |&width| width);
        // What comes from above and what goes on below, in turns.
        let [mut above, mut below] = [(); 2].map(|()| Buffer::new(ROWS.min(samples) * widest));
        let mut outer = Vec::new();
        for group in 0..groups {
            let parameters = part(parameters, group, size);
            let d_parameters = part_mut(&mut d_parameters, group, size);
            let packed: Vec<Weights> = (layers.iter().enumerate())
                .map(|(index, &(inputs, outputs, begin))| {
                    let weight = &parameters[begin..begin + inputs * outputs];
                    // No rows go back through the first layer where nobody asks for their gradient.
                    let rows = if index > 0 || wants_x { samples } else { 0 };
                    Weights::transposed(weight, [inputs, outputs], rows)
                })
                .collect();
            for start in (0..samples).step_by(ROWS) {
                let rows = ROWS.min(samples - start);
                let row = group * samples + start;
                let mut rest = &hidden[row * hidden_width..(row + rows) * hidden_width];
                let span = row * last..(row + rows) * last;
                let dz = &mut above[..rows * last];
                dz.copy_from_slice(&gradient[span.clone()]);
                let activation = self.activations[layers.len() - 1];
                finish(Then::Slope(activation, &y[span]), dz);
                for (index, &(inputs, outputs, begin)) in layers.iter().enumerate().rev() {
                    let dz = &above[..rows * outputs];
                    let seen = match index {
                        0 => &x[row * first..(row + rows) * first],
                        _ => {
                            let (before, own) = rest.split_at(rest.len() - rows * inputs);
                            rest = before;
                            own
                        }
                    };
                    let end = begin + (inputs + 1) * outputs;
                    let (dw, db) = d_parameters[begin..end].split_at_mut(inputs * outputs);
                    add_column_sums(dz, db);
                    add_outer_products([seen, dz], [inputs, outputs], dw, &mut outer);
                    match (index.checked_sub(1), &mut dx) {
                        (Some(before), _) => {
                            let then = Then::Slope(self.activations[before], seen);
                            packed[index].apply(dz, then, &mut below[..rows * inputs]);
                            std::mem::swap(&mut above, &mut below);
                        }
                        (None, Some(dx)) => {
                            packed[index].append(dz, Then::Activate(Activation::Identity), dx);
                        }
                        (None, None) => {}
                    }
                }
            }
        }
        (dx, d_parameters)
    }
}

impl CustomOp2 for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (groups, samples, _) = x_layout.shape().dims3()?;
        let x = values(x, x_layout)?;
        let parameters = values(parameters, parameters_layout)?;
        let y = self.forward(groups, samples, x, parameters);
        let shape = (groups, samples, self.widths[self.widths.len() - 1]);
        Ok((CpuStorage::F32(y), Shape::from(shape)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(hidden) = &self.hidden else {
            bail!("stack: nothing was kept for the backward pass");
        };
        let hidden = hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let (groups, samples, _) = x.dims3()?;
        let gradient = gradient.contiguous()?;
        let wants_x = x.track_op();
        let (dx, d_parameters) = with_values(x, |x| {
            with_values(parameters, |parameters| {
                with_values(y, |y| {
                    with_values(&gradient, |gradient| {
                        let sizes = (groups, samples);
                        Ok(self.backward(sizes, x, parameters, &hidden, y, gradient, wants_x))
                    })
                })
            })
        })?;
        let device = x.device();
        let dx = dx.map(|dx| Tensor::from_vec(dx, x.shape(), device));
        let d_parameters = Tensor::from_vec(d_parameters, parameters.shape(), device)?;
        Ok((dx.transpose()?, Some(d_parameters)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::net::fused::testing::{bits, variable};

    /// Layers of the widths, and what they see.
    fn case(groups: usize, samples: usize, widths: &[usize]) -> (Var, Vec<[Var; 2]>) {
        let layers = widths.windows(2).map(|pair| {
            [
                variable("w", (groups, pair[0], pair[1])),
                variable("b", (groups, 1, pair[1])),
            ]
        });
        (
            variable("x", (groups, samples, widths[0])),
            layers.collect(),
        )
    }

    /// The same activation after all of them but the last, which has none.
    fn layers<'a>(layers: &'a [[Tensor; 2]], activation: Activation) -> Vec<Layer<'a>> {
        let mut layers: Vec<Layer> = (layers.iter())
            .map(|[weight, bias]| Layer {
                weight,
                bias,
                activation,
            })
            .collect();
        if let Some(last) = layers.last_mut() {
            last.activation = Activation::Identity;
        }
        layers
    }

    /// The tensors themselves, or the same held constant.
    fn tensors(variables: &[[Var; 2]], constant: bool) -> Vec<[Tensor; 2]> {
        let of = |variable: &Var| match constant {
            true => variable.detach(),
            false => variable.as_tensor().clone(),
        };
        variables
            .iter()
            .map(|pair| pair.each_ref().map(of))
            .collect()
    }

    /// The output, then the gradients of x and of all parameters.
    fn results(x: &Tensor, layers: &[[Var; 2]], y: Tensor) -> Vec<Vec<u32>> {
        // Unequal weights, so that no gradient is a plain sum.
        let mix = variable("mix", y.shape()).detach();
        let gradients = (&y * &mix).unwrap().sum_all().unwrap().backward().unwrap();
        let mut results = vec![bits(&y)];
        let of = |tensor: &Tensor| gradients.get(tensor).map_or(Vec::new(), bits);
        results.push(of(x));
        results.extend(layers.iter().flatten().map(|variable| of(variable)));
        results
    }

    #[test]
    fn a_stack_has_the_bits_of_its_layers_one_by_one() {
        // All but the last cross a border between runs of rows with a part of one.
        for (groups, samples, widths) in [
            (1, 257, &[1, 1, 1][..]),
            (3, 300, &[7, 9, 5]),
            (1, 700, &[13, 64, 64, 6]),
            (2, 512, &[4, 32, 3]),
        ] {
            for activation in [Activation::Identity, Activation::Tanh, Activation::Relu] {
                let (x, variables) = case(groups, samples, widths);
                let own = tensors(&variables, false);
                let stacked = layers(&own, activation);
                for x in [x.as_tensor().clone(), x.detach()] {
                    let mut y = x.clone();
                    for layer in &stacked {
                        y = dense(&y, layer.weight, layer.bias, layer.activation).unwrap();
                    }
                    let expected = results(&x, &variables, y);
                    let found = results(&x, &variables, stack(&x, &stacked).unwrap());
                    assert_eq!(found, expected, "{widths:?} {activation:?}");
                }
                // Without a graph nothing is kept, and the same comes out.
                let constants = tensors(&variables, true);
                let x = x.detach();
                let acting = stack(&x, &layers(&constants, activation)).unwrap();
                assert_eq!(bits(&acting), bits(&stack(&x, &stacked).unwrap()));
            }
        }
    }

    #[test]
    fn layers_that_do_not_fit_are_named() {
        let (x, variables) = case(2, 300, &[3, 4, 6]);
        let mut wrong = tensors(&variables, false);
        wrong[1] = wrong[0].clone();
        let error = stack(&x, &layers(&wrong, Activation::Tanh)).unwrap_err();
        assert!(error.to_string().contains("[2, 3, 4]"), "{error}");
        let mut wrong = tensors(&variables, false);
        wrong[1][1] = wrong[0][1].clone();
        assert!(stack(&x, &layers(&wrong, Activation::Tanh)).is_err());
    }
}
