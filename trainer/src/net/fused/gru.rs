//! A gated recurrent unit over whole sequences, with backpropagation through time.
//!
//! Cho et al. 2014 (arXiv:1406.1078), in the variant of cuDNN and PyTorch, where the reset gate
//! multiplies the recurrent sum and that sum has a bias of its own:
//!
//! ```text
//! r = σ(g_r + h W_r + b_r)
//! z = σ(g_z + h W_z + b_z)
//! n = tanh(g_n + r ∘ (h W_n + b_n))
//! h' = (1 − z) ∘ n + z ∘ h
//! ```
//!
//! g is the part of the input, x W_i + b_i, which needs no recurrence and is one
//! [`dense`](super::dense()) for all rows together. Gates lie in the order r, z, n.

mod kernel;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use kernel::{Scratch, backward, forward};

use super::buffers::Buffer;
use super::{part, part_mut, values, with_values};

/// The states of G units after every row, `[G, T·B, H]`.
///
/// - `gates` `[G, T·B, 3H]`: the part of the input.
/// - `recurrent` `[G, H + 1, 3H]`: weights from the state in rows 0 to H − 1, biases in row H.
/// - `start` `[G, B, H]`: the states before the first row. A constant: gradients end here.
/// - `first`, R·T·B flags for R replicas of G/R groups each: true where a row begins an episode,
///   so that the state before it is zero and no gradient passes.
///
/// # Errors
///
/// If the shapes do not fit, `first` has not one flag for each row of each replica, or a tensor
/// is not `f32`.
pub fn gru(gates: &Tensor, recurrent: &Tensor, start: &Tensor, first: &[bool]) -> Result<Tensor> {
    let shape = GruShape::new(gates, recurrent, start, first.len())?;
    if !gates.device().is_cpu() {
        return composed(gates, recurrent, start, first, shape);
    }
    let (gates, recurrent, start) = (
        gates.contiguous()?,
        recurrent.contiguous()?,
        start.contiguous()?,
    );
    let keep = gates.track_op() || recurrent.track_op();
    let op = Gru {
        shape,
        first: first.into(),
        activations: keep.then(|| Mutex::new(Buffer::new(0))),
    };
    if keep {
        gates.apply_op3(&recurrent, &start, op)
    } else {
        gates.apply_op3_no_bwd(&recurrent, &start, &op)
    }
}

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
struct GruShape {
    groups: usize,
    /// T.
    rows: usize,
    /// B.
    batch: usize,
    /// H.
    hidden: usize,
    /// Groups that share the flags of a replica.
    groups_per_replica: usize,
}

impl GruShape {
    fn new(gates: &Tensor, recurrent: &Tensor, start: &Tensor, flags: usize) -> Result<Self> {
        let (groups, samples, _) = gates.dims3()?;
        let (_, batch, hidden) = start.dims3()?;
        if batch == 0 || hidden == 0 || samples % batch != 0 {
            bail!(
                "gru: {samples} rows and start states {:?}, expected a multiple of B and [G, B, H]",
                start.dims()
            );
        }
        let fits = gates.dims() == [groups, samples, 3 * hidden]
            && recurrent.dims() == [groups, hidden + 1, 3 * hidden]
            && start.dims() == [groups, batch, hidden];
        if !fits {
            bail!(
                "gru: start states {:?} need gates [{groups}, T·{batch}, {width}] and recurrent weights [{groups}, {}, {width}], found {:?} and {:?}",
                start.dims(),
                hidden + 1,
                gates.dims(),
                recurrent.dims(),
                width = 3 * hidden
            );
        }
        let replicas = flags.checked_div(samples).unwrap_or(1);
        if flags != replicas * samples || replicas == 0 || groups % replicas != 0 {
            bail!(
                "gru: {flags} flags of first rows for {groups} groups of {samples} rows, expected {samples} for each of R replicas, R a divisor of {groups}"
            );
        }
        Ok(Self {
            groups,
            rows: samples / batch,
            batch,
            hidden,
            groups_per_replica: groups / replicas,
        })
    }

    fn samples(&self) -> usize {
        self.rows * self.batch
    }

    /// The flags of the replica that `group` belongs to.
    fn flags<'a>(&self, first: &'a [bool], group: usize) -> &'a [bool] {
        part(first, group / self.groups_per_replica, self.samples())
    }
}

struct Gru {
    shape: GruShape,
    first: Arc<[bool]>,
    /// What the backward pass needs of the forward pass, if there will be one: for every sample
    /// of every group r, z, n and the recurrent sum h W_n + b_n, `[G, T·B, 4H]`.
    activations: Option<Mutex<Buffer>>,
}

impl CustomOp3 for Gru {
    fn name(&self) -> &'static str {
        "gru"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        gates_layout: &Layout,
        recurrent: &CpuStorage,
        recurrent_layout: &Layout,
        start: &CpuStorage,
        start_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = self.shape;
        let GruShape { groups, hidden, .. } = shape;
        let gates = values(gates, gates_layout)?;
        let recurrent = values(recurrent, recurrent_layout)?;
        let start = values(start, start_layout)?;
        let mut states = vec![0.0; groups * shape.samples() * hidden];
        let mut kept = match &self.activations {
            Some(_) => Buffer::new(states.len() * 4),
            None => Buffer::new(0),
        };
        let mut scratch = Scratch::forward(&shape);
        for group in 0..groups {
            let kept = match &self.activations {
                Some(_) => part_mut(&mut kept, group, shape.samples() * 4 * hidden),
                None => &mut [],
            };
            forward(
                &shape,
                part(gates, group, shape.samples() * 3 * hidden),
                part(recurrent, group, (hidden + 1) * 3 * hidden),
                part(start, group, shape.batch * hidden),
                shape.flags(&self.first, group),
                part_mut(&mut states, group, shape.samples() * hidden),
                kept,
                &mut scratch,
            );
        }
        if let Some(activations) = &self.activations {
            *activations.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        }
        Ok((
            CpuStorage::F32(states),
            Shape::from((groups, shape.samples(), hidden)),
        ))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        recurrent: &Tensor,
        start: &Tensor,
        states: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let shape = self.shape;
        let GruShape { groups, hidden, .. } = shape;
        let Some(activations) = &self.activations else {
            bail!("gru: no activations were kept for the backward pass");
        };
        let kept = activations.lock().unwrap_or_else(PoisonError::into_inner);
        let gradient = gradient.contiguous()?;
        let mut d_gates = vec![0.0; groups * shape.samples() * 3 * hidden];
        let mut d_recurrent = vec![0.0; groups * (hidden + 1) * 3 * hidden];
        with_values(recurrent, |recurrent| {
            with_values(start, |start| {
                with_values(states, |states| {
                    with_values(&gradient, |gradient| {
                        let mut scratch = Scratch::backward(&shape);
                        for group in 0..groups {
                            backward(
                                &shape,
                                part(recurrent, group, (hidden + 1) * 3 * hidden),
                                part(start, group, shape.batch * hidden),
                                shape.flags(&self.first, group),
                                part(states, group, shape.samples() * hidden),
                                part(&kept, group, shape.samples() * 4 * hidden),
                                part(gradient, group, shape.samples() * hidden),
                                part_mut(&mut d_gates, group, shape.samples() * 3 * hidden),
                                part_mut(&mut d_recurrent, group, (hidden + 1) * 3 * hidden),
                                &mut scratch,
                            );
                        }
                        Ok(())
                    })
                })
            })
        })?;
        Ok((
            Some(Tensor::from_vec(d_gates, gates.shape(), gates.device())?),
            Some(Tensor::from_vec(
                d_recurrent,
                recurrent.shape(),
                gates.device(),
            )?),
            None,
        ))
    }
}

/// The same from candle's own operations.
fn composed(
    gates: &Tensor,
    recurrent: &Tensor,
    start: &Tensor,
    first: &[bool],
    shape: GruShape,
) -> Result<Tensor> {
    let GruShape {
        groups,
        rows,
        batch,
        hidden,
        groups_per_replica,
    } = shape;
    let open: Vec<f32> = first.iter().map(|&f| if f { 0.0 } else { 1.0 }).collect();
    let open = Tensor::from_vec(
        open,
        (groups / groups_per_replica, 1, shape.samples(), 1),
        gates.device(),
    )?
    .broadcast_as((
        groups / groups_per_replica,
        groups_per_replica,
        shape.samples(),
        1,
    ))?
    .reshape((groups, shape.samples(), 1))?;
    let weights = recurrent.narrow(1, 0, hidden)?.contiguous()?;
    let bias = recurrent.narrow(1, hidden, 1)?;
    let sigmoid = |x: Tensor| ((x * 0.5)?.tanh()? * 0.5)? + 0.5;
    let mut state = start.detach();
    let mut states = Vec::with_capacity(rows);
    for t in 0..rows {
        let before = state.broadcast_mul(&open.narrow(1, t * batch, batch)?)?;
        let sums = before.matmul(&weights)?.broadcast_add(&bias)?;
        let gates = gates.narrow(1, t * batch, batch)?;
        let gate = |of: &Tensor, index: usize| of.narrow(2, index * hidden, hidden);
        let r = sigmoid((gate(&gates, 0)? + gate(&sums, 0)?)?)?;
        let z = sigmoid((gate(&gates, 1)? + gate(&sums, 1)?)?)?;
        let n = (gate(&gates, 2)? + (r * gate(&sums, 2)?)?)?.tanh()?;
        state = (&n + (z * (before - &n)?)?)?;
        states.push(state.clone());
    }
    if states.is_empty() {
        return Tensor::zeros((groups, 0, hidden), gates.dtype(), gates.device());
    }
    Tensor::cat(&states, 1)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use consort_runtime::math;

    use super::*;
    use crate::net::fused::testing::{assert_close, bits, flat, variable};

    /// Tensors of one case: G groups in R replicas, T rows of B sequences, H units.
    struct Case {
        gates: Var,
        recurrent: Var,
        start: Var,
        first: Vec<bool>,
        mix: Tensor,
    }

    impl Case {
        fn new(g: usize, r: usize, t: usize, b: usize, h: usize) -> Self {
            Self {
                gates: variable("gates", (g, t * b, 3 * h)),
                recurrent: variable("recurrent", (g, h + 1, 3 * h)),
                start: variable("start", (g, b, h)),
                // About a third of the rows begin an episode, differently in each replica.
                first: variable("first", r * t * b)
                    .to_vec1::<f32>()
                    .unwrap()
                    .iter()
                    .map(|&x| x < -0.33)
                    .collect(),
                mix: variable("mix", (g, t * b, h)).detach(),
            }
        }

        fn fused(&self) -> Tensor {
            gru(&self.gates, &self.recurrent, &self.start, &self.first).unwrap()
        }

        fn gradients(&self, states: &Tensor) -> [Tensor; 2] {
            let loss = (states * &self.mix).unwrap().sum_all().unwrap();
            let gradients = loss.backward().unwrap();
            assert!(gradients.get(&self.start).is_none());
            [&self.gates, &self.recurrent].map(|v| gradients.get(v).unwrap().clone())
        }
    }

    #[test]
    fn states_and_gradients_are_those_of_candles_operations() {
        for (g, r, t, b, h) in [
            (1, 1, 1, 1, 1),
            (1, 1, 5, 1, 3),
            (4, 2, 1, 3, 5),
            (6, 2, 7, 3, 5),
            (2, 1, 9, 4, 16),
            (1, 1, 6, 33, 64),
        ] {
            let case = Case::new(g, r, t, b, h);
            let fused = case.fused();
            let shape =
                GruShape::new(&case.gates, &case.recurrent, &case.start, case.first.len()).unwrap();
            let plain = composed(
                &case.gates,
                &case.recurrent,
                &case.start,
                &case.first,
                shape,
            )
            .unwrap();
            assert_close(&fused, &plain, 5e-6);
            let found = case.gradients(&fused);
            let expected = case.gradients(&plain);
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(found, expected, 1e-4);
            }
        }
    }

    /// The equations of the module's head, one value at a time, in double precision.
    fn reference(
        gates: &[f64],
        recurrent: &[f64],
        start: &[f64],
        case: (usize, usize, usize),
    ) -> Vec<f64> {
        let (t_count, b_count, h_count) = case;
        let first = Case::new(1, 1, t_count, b_count, h_count).first;
        let width = 3 * h_count;
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let mut states = Vec::new();
        for t in 0..t_count {
            for b in 0..b_count {
                let row = t * b_count + b;
                let before: Vec<f64> = (0..h_count)
                    .map(|i| match (first[row], t) {
                        (true, _) => 0.0,
                        (false, 0) => start[b * h_count + i],
                        (false, _) => states[(row - b_count) * h_count + i],
                    })
                    .collect();
                let sum = |column: usize| -> f64 {
                    let products = (0..h_count).map(|k| before[k] * recurrent[k * width + column]);
                    products.sum::<f64>() + recurrent[h_count * width + column]
                };
                for i in 0..h_count {
                    let g = &gates[row * width..];
                    let r = logistic(g[i] + sum(i));
                    let z = logistic(g[h_count + i] + sum(h_count + i));
                    let n = (g[2 * h_count + i] + r * sum(2 * h_count + i)).tanh();
                    states.push((1.0 - z) * n + z * before[i]);
                }
            }
        }
        states
    }

    #[test]
    fn states_and_gradients_are_those_of_the_equations_in_double_precision() {
        let sizes = (6, 2, 3);
        let case = Case::new(1, 1, 6, 2, 3);
        assert!(case.first[2..].contains(&true) && case.first.contains(&false));
        let wide = |t: &Tensor| -> Vec<f64> { flat(t).iter().map(|&v| f64::from(v)).collect() };
        let points = [wide(&case.gates), wide(&case.recurrent)];
        let (start, mix) = (wide(&case.start), wide(&case.mix));
        let states = case.fused();
        let expected = reference(&points[0], &points[1], &start, sizes);
        for (found, expected) in flat(&states).into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 3e-6);
        }
        for (which, gradient) in case.gradients(&states).iter().enumerate() {
            for (index, found) in flat(gradient).into_iter().enumerate() {
                let at = |step: f64| -> f64 {
                    let mut points = points.clone();
                    points[which][index] += step;
                    let states = reference(&points[0], &points[1], &start, sizes);
                    states.iter().zip(&mix).map(|(s, m)| s * m).sum()
                };
                // Central differences: an error of order 10⁻¹⁰ beside f32's 10⁻⁶.
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((f64::from(found) - slope).abs() < 1e-5, "{found} {slope}");
            }
        }
    }

    #[test]
    fn nothing_passes_the_beginning_of_an_episode() {
        let mut case = Case::new(1, 1, 4, 1, 3);
        case.first = vec![false, false, true, false];
        let later = case.fused().narrow(1, 2, 2).unwrap();
        let gradients = later.sum_all().unwrap().backward().unwrap();
        let of_gates = flat(gradients.get(&case.gates).unwrap());
        assert!(of_gates[..2 * 9].iter().all(|&g| g == 0.0));
        assert!(of_gates[2 * 9..].iter().all(|&g| g != 0.0));
        case.start = variable("another start", (1, 1, 3));
        assert_eq!(bits(&later), bits(&case.fused().narrow(1, 2, 2).unwrap()));
    }

    #[test]
    fn a_group_has_the_same_bits_alone_and_beside_others() {
        let (g, r, t, b, h) = (4, 2, 7, 3, 5);
        let case = Case::new(g, r, t, b, h);
        let states = case.fused();
        let gradients = case.gradients(&states);
        for group in 0..g {
            let one = |t: &Tensor| t.narrow(0, group, 1).unwrap();
            let alone = Case {
                gates: Var::from_tensor(&one(&case.gates)).unwrap(),
                recurrent: Var::from_tensor(&one(&case.recurrent)).unwrap(),
                start: Var::from_tensor(&one(&case.start)).unwrap(),
                first: part(&case.first, group / (g / r), t * b).to_vec(),
                mix: one(&case.mix).contiguous().unwrap(),
            };
            let states_alone = alone.fused();
            assert_eq!(bits(&states_alone), bits(&one(&states)));
            let gradients_alone = alone.gradients(&states_alone);
            for (alone, together) in gradients_alone.iter().zip(&gradients) {
                assert_eq!(bits(alone), bits(&one(together)));
            }
        }
    }

    #[test]
    fn without_variables_the_states_are_the_same() {
        let case = Case::new(1, 1, 5, 3, 16);
        let untracked = gru(
            &case.gates.detach(),
            &case.recurrent.detach(),
            &case.start.detach(),
            &case.first,
        )
        .unwrap();
        assert_eq!(bits(&untracked), bits(&case.fused()));
    }

    #[test]
    fn the_logistic_function_is_within_a_millionth() {
        for step in -400..=400 {
            let x = step as f32 / 20.0;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(math::sigmoid(x)) - exact).abs() < 1e-6, "{x}");
        }
        assert_eq!(math::sigmoid(0.0), 0.5);
        assert!(math::sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let case = Case::new(4, 2, 3, 2, 5);
        let call = |first: &[bool]| gru(&case.gates, &case.recurrent, &case.start, first);
        for flags in [0, 5, 11, 18] {
            let error = call(&vec![false; flags]).unwrap_err().to_string();
            assert!(
                error.contains("flags of first rows for 4 groups of 6 rows"),
                "{error}"
            );
        }
        let zeros = Tensor::zeros((4, 5, 15), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(gru(&case.gates, &zeros, &case.start, &case.first).is_err());
        assert!(gru(&zeros, &case.recurrent, &case.start, &case.first).is_err());
    }
}
