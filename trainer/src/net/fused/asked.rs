//! What agents that are asked one after the other make of what those before them did.
//!
//! ```text
//! u_i = tanh(z_i + Σ_{j before i} E_j[a_j])
//! ```
//!
//! From candle's operations this takes four walks over values as many as u's (the vectors of all actions, their running sums, a
//! sum, tanh), some views, and a gradient for each. Here it is one, with the same bits of u and z's gradient.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::dense::Activation;
use super::rows::{Then, finish};
use super::{values, vectorised, with_values};
use crate::net::activation;

/// What a team of N agents did, in R replicas of S samples, and who was asked when.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// `[R, S, N]`, `u32`.
    pub actions: &'a Tensor,
    /// The N agents, first asked first.
    pub order: &'a [u32],
}

/// How the rows of N agents lie in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Those of a sample beside each other, `[R, S, N, …]`.
    BySample,
    /// Those of an agent beside each other, `[R, N, S, …]`.
    ByAgent,
}

impl Lie {
    /// How far from one agent's row to the next agent's, and from one sample's to the next.
    fn steps(self, samples: usize, agents: usize) -> [usize; 2] {
        match self {
            Self::BySample => [1, agents],
            Self::ByAgent => [samples, 1],
        }
    }
}

/// u of z, R·S·N rows of H values that lie as the first of `lie` says; as the second says it is given, in the shape `[.., .., H]`
/// of one group a replica where that is by sample, of one an agent where it is by agent. embedding: E, `[R, N·A, H]`.
///
/// # Errors
///
/// If shapes do not fit, a tensor is of the wrong type, `order` does not name every agent once, or an action is not below A.
pub fn asked(z: &Tensor, embedding: &Tensor, asked: Asked, lie: [Lie; 2]) -> Result<Tensor> {
    let (replicas, samples, agents) = asked.actions.dims3()?;
    let (of, vectors, width) = embedding.dims3()?;
    let rows = replicas * samples * agents;
    let mut named = vec![false; agents];
    for &agent in asked.order {
        if let Some(named) = named.get_mut(agent as usize) {
            *named = true;
        }
    }
    let fits = z.elem_count() == rows * width
        && of == replicas
        && vectors.is_multiple_of(agents.max(1))
        && asked.order.len() == agents
        && !named.contains(&false);
    if !fits {
        bail!(
            "asked: actions {:?} of agents in order {:?} do not fit z {:?} and vectors {:?}",
            asked.actions.dims(),
            asked.order,
            z.dims(),
            embedding.dims()
        );
    }
    if !z.device().is_cpu() {
        return compose(z, embedding, asked, lie);
    }
    let actions: Vec<u32> = asked.actions.flatten_all()?.to_vec1()?;
    let each = vectors / agents.max(1);
    if let Some(action) = actions.iter().find(|&&action| action as usize >= each) {
        bail!("asked: action {action} is not below {each}");
    }
    z.contiguous()?.apply_op2(
        &embedding.contiguous()?,
        Running {
            actions,
            order: asked.order.to_vec(),
            lie,
            sizes: [replicas, samples, agents],
        },
    )
}

/// The shape of u.
fn shape([replicas, samples, agents]: [usize; 3], width: usize, lie: Lie) -> Shape {
    match lie {
        Lie::BySample => Shape::from((replicas, samples * agents, width)),
        Lie::ByAgent => Shape::from((replicas * agents, samples, width)),
    }
}

/// The same from candle's own operations.
fn compose(z: &Tensor, embedding: &Tensor, asked: Asked, [from, to]: [Lie; 2]) -> Result<Tensor> {
    let (replicas, samples, agents) = asked.actions.dims3()?;
    let (_, vectors, width) = embedding.dims3()?;
    let each = vectors / agents.max(1);
    let z = match from {
        Lie::BySample => z.reshape((replicas, samples, agents, width))?,
        Lie::ByAgent => (z.reshape((replicas, agents, samples, width))?).transpose(1, 2)?,
    };
    let starts: Vec<u32> = (0..replicas)
        .flat_map(|r| (0..agents).map(move |i| (r * vectors + i * each) as u32))
        .collect();
    let starts = Tensor::from_vec(starts, (replicas, 1, agents), z.device())?;
    let rows = asked.actions.broadcast_add(&starts)?.flatten_all()?;
    let e = embedding
        .reshape((replicas * vectors, width))?
        .index_select(&rows, 0)?
        .reshape((replicas, samples, agents, width))?;
    let mut parts: Vec<Option<Tensor>> = vec![None; agents];
    let mut sum = e.narrow(2, 0, 1)?.zeros_like()?;
    for &agent in asked.order {
        parts[agent as usize] = Some(sum.clone());
        sum = (sum + e.narrow(2, agent as usize, 1)?)?;
    }
    let parts: Vec<Tensor> = parts.into_iter().flatten().collect();
    let u = activation::tanh(&(z + Tensor::cat(&parts, 2)?)?)?;
    let u = match to {
        Lie::BySample => u,
        Lie::ByAgent => u.transpose(1, 2)?.contiguous()?,
    };
    u.reshape(shape([replicas, samples, agents], width, to))
}

/// Values that are summed before tanh goes over them: few enough to be in the nearest cache still.
const SUMMED: usize = 1 << 13;

struct Running {
    /// `[R, S, N]`.
    actions: Vec<u32>,
    order: Vec<u32>,
    /// Of z and of u.
    lie: [Lie; 2],
    /// R, S and N.
    sizes: [usize; 3],
}

impl Running {
    /// z and E `[R, N·A, H]` → u.
    fn forward(&self, z: &[f32], embedding: &[f32]) -> Vec<f32> {
        let [replicas, samples, agents] = self.sizes;
        let width = z.len() / (replicas * samples * agents).max(1);
        let table = embedding.len() / replicas.max(1);
        let each = table / agents.max(1);
        let [from, to] = self.lie.map(|lie| lie.steps(samples, agents));
        let mut u = vec![0.0; z.len()];
        let mut sum = vec![0.0; width];
        let of_replica = samples * agents * width;
        let block = (SUMMED / (agents * width).max(1)).max(1);
        for r in 0..replicas {
            let z = &z[r * of_replica..][..of_replica];
            let u = &mut u[r * of_replica..][..of_replica];
            let embedding = &embedding[r * table..][..table];
            let actions = &self.actions[r * samples * agents..][..samples * agents];
            for start in (0..samples).step_by(block) {
                let end = samples.min(start + block);
                for s in start..end {
                    sum.fill(0.0);
                    for &agent in &self.order {
                        let agent = agent as usize;
                        let [z_at, u_at] = [from, to].map(|[a, b]| (agent * a + s * b) * width);
                        let action = actions[s * agents + agent] as usize;
                        let e = &embedding[agent * each + action * width..][..width];
                        let (z, u) = (&z[z_at..][..width], &mut u[u_at..][..width]);
                        vectorised(|| {
                            for (((u, z), sum), e) in u.iter_mut().zip(z).zip(&mut sum).zip(e) {
                                *u = z + *sum;
                                *sum += e;
                            }
                        });
                    }
                }
                let [_, step] = to;
                let spans = match self.lie[1] {
                    Lie::BySample => 1,
                    Lie::ByAgent => agents,
                };
                for span in 0..spans {
                    let first = (span * samples + start * step) * width;
                    let span = &mut u[first..][..(end - start) * step * width];
                    finish(Then::Activate(Activation::Tanh), span);
                }
            }
        }
        u
    }

    /// Gradients of z and E, given u and its gradient: what an agent did reaches all that are asked later.
    fn backward(&self, u: &[f32], gradient: &[f32], table: usize) -> [Vec<f32>; 2] {
        let [replicas, samples, agents] = self.sizes;
        let width = u.len() / (replicas * samples * agents).max(1);
        let each = table / agents.max(1);
        let [from, to] = self.lie.map(|lie| lie.steps(samples, agents));
        let [mut dz, mut de] = [vec![0.0; u.len()], vec![0.0; replicas * table]];
        let mut sum = vec![0.0; width];
        let of_replica = samples * agents * width;
        for r in 0..replicas {
            let span = r * of_replica..(r + 1) * of_replica;
            let (u, gradient) = (&u[span.clone()], &gradient[span.clone()]);
            let dz = &mut dz[span];
            let de = &mut de[r * table..][..table];
            let actions = &self.actions[r * samples * agents..][..samples * agents];
            for s in 0..samples {
                sum.fill(0.0);
                for &agent in self.order.iter().rev() {
                    let agent = agent as usize;
                    let [z_at, u_at] = [from, to].map(|[a, b]| (agent * a + s * b) * width);
                    let action = actions[s * agents + agent] as usize;
                    let de = &mut de[agent * each + action * width..][..width];
                    let (u, gradient) = (&u[u_at..][..width], &gradient[u_at..][..width]);
                    let dz = &mut dz[z_at..][..width];
                    let sum = &mut sum[..width];
                    vectorised(|| {
                        for i in 0..width {
                            // As candle's operations round it.
                            dz[i] = gradient[i] - gradient[i] * (u[i] * u[i]);
                            de[i] += sum[i];
                            sum[i] += dz[i];
                        }
                    });
                }
            }
        }
        [dz, de]
    }
}

impl CustomOp2 for Running {
    fn name(&self) -> &'static str {
        "asked"
    }

    fn cpu_fwd(
        &self,
        z: &CpuStorage,
        z_layout: &Layout,
        embedding: &CpuStorage,
        embedding_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (z, embedding) = (values(z, z_layout)?, values(embedding, embedding_layout)?);
        let width = embedding_layout.shape().dims3()?.2;
        let u = self.forward(z, embedding);
        Ok((CpuStorage::F32(u), shape(self.sizes, width, self.lie[1])))
    }

    fn bwd(
        &self,
        z: &Tensor,
        embedding: &Tensor,
        u: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (_, vectors, width) = embedding.dims3()?;
        let [dz, de] = with_values(u, |u| {
            with_values(&gradient, |gradient| {
                Ok(self.backward(u, gradient, vectors * width))
            })
        })?;
        Ok((
            Some(Tensor::from_vec(dz, z.shape(), z.device())?),
            Some(Tensor::from_vec(de, embedding.shape(), z.device())?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::net::fused::testing::{assert_close, bits, flat, variable};
    use crate::rng::Stream;

    #[test]
    fn who_is_asked_later_hears_of_all_before() {
        // One unit, small enough that tanh is hardly bent: agent 2 is asked first, then 0, then 1.
        let z = Var::zeros((1, 3, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
        let e = Var::from_vec(vec![1e-3_f32, 1e-2, 1e-1], (1, 3, 1), &Device::Cpu).unwrap();
        let actions = Tensor::zeros((1, 1, 3), candle_core::DType::U32, &Device::Cpu).unwrap();
        let heard = |order| {
            let asked_in = Asked {
                actions: &actions,
                order,
            };
            flat(&asked(&z, &e, asked_in, [Lie::BySample; 2]).unwrap())
        };
        let tanh = consort_runtime::math::tanh;
        assert_eq!(heard(&[2, 0, 1]), [tanh(0.1), tanh(0.1 + 1e-3), 0.0]);
        assert_eq!(heard(&[0, 1, 2]), [0.0, tanh(1e-3), tanh(1e-3 + 1e-2)]);
    }

    #[test]
    fn values_and_gradients_are_those_of_candles_operations() {
        let all = [Lie::BySample, Lie::ByAgent];
        for ([replicas, samples, agents, each], width) in [
            ([1, 1, 1, 1], 1),
            ([2, 5, 3, 4], 7),
            ([1, 70, 4, 6], 128),
            ([3, 2, 2, 2], 16),
        ] {
            let mut stream = Stream::new(3, "actions", 0);
            let actions: Vec<u32> = (0..replicas * samples * agents)
                .map(|_| (stream.uniform() * each as f64) as u32)
                .collect();
            let actions =
                Tensor::from_vec(actions, (replicas, samples, agents), &Device::Cpu).unwrap();
            let mut order: Vec<u32> = (0..agents as u32).collect();
            order.rotate_left(1);
            let z = variable("z", (replicas, samples * agents, width));
            let e = variable("e", (replicas, agents * each, width));
            let mix = variable("mix", replicas * samples * agents * width);
            for lie in all.iter().flat_map(|&from| all.map(|to| [from, to])) {
                let asked_in = Asked {
                    actions: &actions,
                    order: &order,
                };
                let [ours, candles] = [asked, compose].map(|op| {
                    let u = op(&z, &e, asked_in, lie).unwrap();
                    let mix = mix.detach().reshape(u.shape()).unwrap();
                    let loss = (&u * mix).unwrap().sum_all().unwrap();
                    let gradients = loss.backward().unwrap();
                    // Where there is one agent, candle finds that nothing depends on E.
                    let of = |variable: &Var| match gradients.get(variable) {
                        Some(gradient) => gradient.clone(),
                        None => variable.zeros_like().unwrap(),
                    };
                    (u, of(&z), of(&e))
                });
                assert_eq!(ours.0.dims(), candles.0.dims());
                assert_eq!(bits(&ours.0), bits(&candles.0), "{lie:?}, {width}");
                assert_eq!(bits(&ours.1), bits(&candles.1), "{lie:?}, {width}");
                // Candle adds up what the later agents send back in another order.
                assert_close(&ours.2, &candles.2, 1e-5);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let z = variable("z", (1, 4, 3));
        let e = variable("e", (1, 4, 3));
        let of = |actions: Vec<u32>, order: &[u32]| {
            let actions = Tensor::from_vec(actions, (1, 2, 2), &Device::Cpu).unwrap();
            let asked_in = Asked {
                actions: &actions,
                order,
            };
            asked(&z, &e, asked_in, [Lie::BySample; 2])
        };
        assert!(of(vec![0, 1, 1, 0], &[1, 0]).is_ok());
        let refused = |actions, order| of(actions, order).unwrap_err().to_string();
        assert!(refused(vec![0, 1, 2, 0], &[1, 0]).contains("action 2 is not below 2"));
        for order in [&[0_u32, 0][..], &[0, 2], &[0], &[0, 1, 1]] {
            assert!(
                refused(vec![0; 4], order).contains("do not fit"),
                "{order:?}"
            );
        }
    }
}
