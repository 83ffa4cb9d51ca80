//! The optimiser Adam, one pass over each parameter.
//!
//! Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1, with bias correction:
//!
//! ```text
//! m = β₁ m + (1 − β₁) g;   v = β₂ v + (1 − β₂) g²
//! θ = θ − α · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)
//! ```
//!
//! Before that the gradient of each *replica* is held to a global norm of its own, over all its
//! parameters (Pascanu et al. 2013, arXiv:1211.5063, algorithm 1): replicas never mix.

mod update;

use std::cell::RefCell;

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var, bail};
use update::{Rates, Update, sum_of_squares};

use serde::{Deserialize, Serialize};

use super::with_values;

/// How an [`Adam`] steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// α.
    pub learning_rate: f64,
    /// β₁: how much of the mean of gradients is kept at a step.
    pub beta_1: f64,
    /// β₂: how much of the mean of squared gradients is kept at a step.
    pub beta_2: f64,
    /// ε: keeps quotients finite.
    pub epsilon: f64,
    /// Longest gradient of a replica; a longer one is scaled down to it.
    pub max_norm: Option<f64>,
}

impl Default for AdamConfig {
    /// The defaults of Kingma & Ba, without clipping.
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            max_norm: None,
        }
    }
}

/// What an [`Adam`] remembers, for checkpoints. One entry for each variable, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdamState {
    /// Steps made.
    pub steps: u64,
    /// m of each variable, flat.
    pub first_moments: Vec<Vec<f32>>,
    /// v of each variable, flat.
    pub second_moments: Vec<Vec<f32>>,
}

/// Adam for R replicas.
pub struct Adam {
    parameters: Vec<Parameter>,
    replicas: usize,
    config: AdamConfig,
    steps: u64,
    device: Device,
}

struct Parameter {
    variable: Var,
    moments: Moments,
}

enum Moments {
    Host { first: Vec<f32>, second: Vec<f32> },
    Device { first: Tensor, second: Tensor },
}

impl Adam {
    /// An optimiser of `variables` that has made no step.
    ///
    /// # Errors
    ///
    /// If the first dimension of a variable is not a multiple of `replicas` (groups of one replica
    /// lie together), or variables are not contiguous or lie on several devices.
    pub fn new(variables: Vec<Var>, replicas: usize, config: AdamConfig) -> Result<Self> {
        let device = match variables.first() {
            Some(variable) => variable.device().clone(),
            None => Device::Cpu,
        };
        let mut parameters = Vec::with_capacity(variables.len());
        for (index, variable) in variables.into_iter().enumerate() {
            let groups = variable.dims().first().copied().unwrap_or(1);
            if replicas == 0 || !groups.is_multiple_of(replicas) {
                bail!(
                    "adam: variable {index} has shape {:?}; its first dimension must be a multiple of the {replicas} replicas",
                    variable.dims()
                );
            }
            if !variable.device().same_device(&device) || !variable.is_contiguous() {
                bail!("adam: variable {index} is not contiguous on the device of the others");
            }
            let moments = if device.is_cpu() {
                Moments::Host {
                    first: vec![0.0; variable.elem_count()],
                    second: vec![0.0; variable.elem_count()],
                }
            } else {
                Moments::Device {
                    first: variable.zeros_like()?.detach(),
                    second: variable.zeros_like()?.detach(),
                }
            };
            parameters.push(Parameter { variable, moments });
        }
        Ok(Self {
            parameters,
            replicas,
            config,
            steps: 0,
            device,
        })
    }

    /// Makes one step. Returns the norm of each replica's gradient before clipping, `[R]`, on the
    /// device of the variables.
    ///
    /// A variable without a gradient stays as it is, moments included.
    ///
    /// # Errors
    ///
    /// If a gradient is not `f32` or does not have its variable's shape.
    pub fn step(&mut self, gradients: &GradStore) -> Result<Tensor> {
        self.step_where(gradients, &vec![true; self.replicas])
    }

    /// The same for some of the replicas, `active` (`[R]`); the others stay as they are, moments
    /// included.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn step_where(&mut self, gradients: &GradStore, active: &[bool]) -> Result<Tensor> {
        self.steps += 1;
        if self.device.is_cpu() {
            self.step_on_host(gradients, active)
        } else {
            self.step_on_device(gradients, active)
        }
    }

    /// Changes α from the next step on.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.config.learning_rate = learning_rate;
    }

    /// How it steps.
    pub fn config(&self) -> &AdamConfig {
        &self.config
    }

    /// A copy of what it remembers.
    ///
    /// # Errors
    ///
    /// If a device does not give back its values.
    pub fn state(&self) -> Result<AdamState> {
        let mut state = AdamState {
            steps: self.steps,
            ..AdamState::default()
        };
        for parameter in &self.parameters {
            let (first, second) = match &parameter.moments {
                Moments::Host { first, second } => (first.clone(), second.clone()),
                Moments::Device { first, second } => (
                    first.flatten_all()?.to_vec1()?,
                    second.flatten_all()?.to_vec1()?,
                ),
            };
            state.first_moments.push(first);
            state.second_moments.push(second);
        }
        Ok(state)
    }

    /// Goes on from `state` as if it had made those steps itself.
    ///
    /// # Errors
    ///
    /// If the state is not one of variables with these sizes; nothing is changed then.
    pub fn restore(&mut self, state: &AdamState) -> Result<()> {
        let expected: Vec<usize> = self
            .parameters
            .iter()
            .map(|p| p.variable.elem_count())
            .collect();
        for (name, moments) in [
            ("first", &state.first_moments),
            ("second", &state.second_moments),
        ] {
            let found: Vec<usize> = moments.iter().map(Vec::len).collect();
            if found != expected {
                bail!("adam: {name} moments of {found:?} values, expected {expected:?}");
            }
        }
        let mut restored = Vec::with_capacity(self.parameters.len());
        let pairs = state.first_moments.iter().zip(&state.second_moments);
        for (parameter, (m, v)) in self.parameters.iter().zip(pairs) {
            restored.push(match &parameter.moments {
                Moments::Host { .. } => Moments::Host {
                    first: m.clone(),
                    second: v.clone(),
                },
                Moments::Device { .. } => {
                    let shape = parameter.variable.shape();
                    Moments::Device {
                        first: Tensor::from_slice(m, shape, &self.device)?,
                        second: Tensor::from_slice(v, shape, &self.device)?,
                    }
                }
            });
        }
        for (parameter, moments) in self.parameters.iter_mut().zip(restored) {
            parameter.moments = moments;
        }
        self.steps = state.steps;
        Ok(())
    }

    fn step_on_host(&mut self, gradients: &GradStore, active: &[bool]) -> Result<Tensor> {
        let mut found = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            found.push(match gradients.get(&parameter.variable) {
                Some(gradient) => Some(gradient.contiguous()?),
                None => None,
            });
        }
        let mut squares = vec![0.0_f64; self.replicas];
        for gradient in found.iter().flatten() {
            let size = gradient.elem_count() / self.replicas;
            with_values(gradient, |values| {
                for (square, values) in squares.iter_mut().zip(values.chunks_exact(size.max(1))) {
                    *square += sum_of_squares(values);
                }
                Ok(())
            })?;
        }
        let norms: Vec<f64> = squares.iter().map(|square| square.sqrt()).collect();
        let scales: Vec<f32> = norms
            .iter()
            .map(|&norm| match self.config.max_norm {
                Some(longest) if norm > longest => (longest / norm) as f32,
                _ => 1.0,
            })
            .collect();
        let rates = self.rates();
        for (parameter, gradient) in self.parameters.iter_mut().zip(&found) {
            let (Some(gradient), Moments::Host { first, second }) =
                (gradient, &mut parameter.moments)
            else {
                continue;
            };
            let update = Update {
                rates,
                scales: &scales,
                active,
                moments: RefCell::new((first, second)),
            };
            parameter.variable.inplace_op2(gradient, &update)?;
        }
        let norms: Vec<f32> = norms.iter().map(|&norm| norm as f32).collect();
        Tensor::from_vec(norms, self.replicas, &self.device)
    }

    fn step_on_device(&mut self, gradients: &GradStore, active: &[bool]) -> Result<Tensor> {
        let replicas = self.replicas;
        let mut squares = Tensor::zeros(replicas, candle_core::DType::F32, &self.device)?;
        for parameter in &self.parameters {
            if let Some(gradient) = gradients.get(&parameter.variable) {
                let size = gradient.elem_count() / replicas;
                let gradient = gradient.contiguous()?.reshape((replicas, size))?;
                squares = (squares + gradient.sqr()?.sum(1)?)?;
            }
        }
        let norms = squares.sqrt()?;
        let active: Vec<f32> = active
            .iter()
            .map(|&active| f32::from(u8::from(active)))
            .collect();
        let active = Tensor::from_vec(active, (replicas, 1), &self.device)?;
        let scales = match self.config.max_norm {
            Some(longest) => Some((norms.maximum(longest)?.recip()? * longest)?),
            None => None,
        };
        let Rates {
            beta_1,
            beta_2,
            rate,
            correction,
            epsilon,
        } = self.rates();
        let [beta_1, beta_2, rate] = [beta_1, beta_2, rate].map(f64::from);
        for parameter in &mut self.parameters {
            let (Some(gradient), Moments::Device { first, second }) =
                (gradients.get(&parameter.variable), &mut parameter.moments)
            else {
                continue;
            };
            let shape = parameter.variable.shape();
            let size = gradient.elem_count() / replicas;
            let gradient = match &scales {
                Some(scales) => gradient
                    .contiguous()?
                    .reshape((replicas, size))?
                    .broadcast_mul(&scales.unsqueeze(1)?)?
                    .reshape(shape)?,
                None => gradient.clone(),
            };
            let moved = |from: &Tensor, to: Tensor| -> Result<Tensor> {
                let difference = (to - from)?.reshape((replicas, size))?;
                from + difference.broadcast_mul(&active)?.reshape(shape)?
            };
            let next = ((&*first * beta_1)? + (&gradient * (1.0 - beta_1))?)?;
            *first = moved(first, next)?;
            let next = ((&*second * beta_2)? + (gradient.sqr()? * (1.0 - beta_2))?)?;
            *second = moved(second, next)?;
            let scale = ((&*second * f64::from(correction))?.sqrt()? + f64::from(epsilon))?;
            let change = ((&*first / scale)? * rate)?;
            let old = parameter.variable.as_tensor().detach();
            let value = moved(&old, (&old - change)?)?;
            parameter.variable.set(&value)?;
        }
        Ok(norms)
    }

    /// The factors of the current step.
    fn rates(&self) -> Rates {
        let steps = self.steps as f64;
        let config = &self.config;
        Rates {
            beta_1: config.beta_1 as f32,
            beta_2: config.beta_2 as f32,
            rate: (config.learning_rate / (1.0 - config.beta_1.powf(steps))) as f32,
            correction: (1.0 / (1.0 - config.beta_2.powf(steps))) as f32,
            epsilon: config.epsilon as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_nn::{AdamW, Optimizer, ParamsAdamW};

    use super::*;
    use crate::net::fused::testing::{assert_close, bits, flat, variable};

    fn variables(groups: usize) -> Vec<Var> {
        vec![
            variable("weight", (groups, 5, 7)),
            variable("bias", (groups, 1, 7)),
        ]
    }

    /// Σ over variables of Σ (θ − c)⁴, whose gradients differ in size from value to value.
    fn gradients(variables: &[Var], scale: f64) -> GradStore {
        let mut loss = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu).unwrap();
        for variable in variables {
            let term = ((variable.as_tensor() - 0.3).unwrap()).powf(4.0).unwrap();
            loss = (loss + term.sum_all().unwrap()).unwrap();
        }
        (loss * scale).unwrap().backward().unwrap()
    }

    const CONFIG: AdamConfig = AdamConfig {
        learning_rate: 0.01,
        beta_1: 0.9,
        beta_2: 0.99,
        epsilon: 1e-8,
        max_norm: None,
    };

    #[test]
    fn without_clipping_it_steps_as_candles_does() {
        let (ours, theirs) = (variables(4), variables(4));
        let mut adam = Adam::new(ours.clone(), 2, CONFIG).unwrap();
        let params = ParamsAdamW {
            lr: 0.01,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
        };
        let mut candles = AdamW::new(theirs.clone(), params).unwrap();
        for step in 0..20 {
            if step == 10 {
                adam.set_learning_rate(0.003);
                candles.set_learning_rate(0.003);
            }
            adam.step(&gradients(&ours, 1.0)).unwrap();
            candles.step(&gradients(&theirs, 1.0)).unwrap();
        }
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_close(ours, theirs, 2e-6);
        }
    }

    #[test]
    fn the_step_on_a_device_is_the_step_on_the_host() {
        // The device's way composes candle's operations, which the CPU has too.
        let (host, device) = (variables(4), variables(4));
        let config = AdamConfig {
            max_norm: Some(1.0),
            ..CONFIG
        };
        let mut on_host = Adam::new(host.clone(), 2, config).unwrap();
        let mut on_device = Adam::new(device.clone(), 2, config).unwrap();
        for parameter in &mut on_device.parameters {
            parameter.moments = Moments::Device {
                first: parameter.variable.zeros_like().unwrap(),
                second: parameter.variable.zeros_like().unwrap(),
            };
        }
        for _ in 0..5 {
            let norms = on_host.step(&gradients(&host, 1.0)).unwrap();
            on_device.steps += 1;
            let both = [true; 2];
            let others = on_device
                .step_on_device(&gradients(&device, 1.0), &both)
                .unwrap();
            assert_close(&norms, &others, 1e-5);
        }
        for (host, device) in host.iter().zip(&device) {
            assert_close(host, device, 2e-6);
        }
    }

    #[test]
    fn each_replica_is_clipped_by_its_own_norm() {
        let all = variables(4);
        // Replica 0 (groups 0 and 1) stands at 0.3 + 1, replica 1 at 0.3 + 0.01: gradients of
        // 4 · 1³ and 4 · 0.01³ in each of 2 · (35 + 7) = 84 values.
        for variable in &all {
            let (_, rows, columns) = variable.dims3().unwrap();
            let half = rows * columns * 2;
            let mut values = vec![1.3_f32; half];
            values.extend(vec![0.31_f32; half]);
            let values = Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap();
            variable.set(&values).unwrap();
        }
        let config = AdamConfig {
            max_norm: Some(2.0),
            ..CONFIG
        };
        let mut adam = Adam::new(all.clone(), 2, config).unwrap();
        let norms: Vec<f32> = adam.step(&gradients(&all, 1.0)).unwrap().to_vec1().unwrap();
        let root = 84.0_f32.sqrt();
        assert!((norms[0] - 4.0 * root).abs() < 1e-3);
        assert!((norms[1] - 4e-6 * root).abs() < 1e-8);
        // After one step m is (1 − β₁) g: clipped to a norm of 2 in the first replica only.
        let state = adam.state().unwrap();
        let m = &state.first_moments[1];
        assert!((m[0] - 0.1 * 2.0 / root).abs() < 1e-6);
        assert!((m[14] - 0.1 * 4e-6).abs() < 1e-9);
    }

    #[test]
    fn replicas_have_the_same_bits_alone_and_beside_others() {
        let config = AdamConfig {
            max_norm: Some(1.0),
            ..CONFIG
        };
        let run = |variables: &[Var], replicas: usize| {
            let mut adam = Adam::new(variables.to_vec(), replicas, config).unwrap();
            for _ in 0..4 {
                adam.step(&gradients(variables, 1.0)).unwrap();
            }
        };
        let together = variables(6);
        let alone: Vec<Vec<Var>> = (0..3)
            .map(|replica| {
                let cut = |v: &Var| Var::from_tensor(&v.narrow(0, 2 * replica, 2).unwrap());
                together.iter().map(|v| cut(v).unwrap()).collect()
            })
            .collect();
        run(&together, 3);
        for (replica, alone) in alone.iter().enumerate() {
            run(alone, 1);
            for (alone, together) in alone.iter().zip(&together) {
                let together = together.narrow(0, 2 * replica, 2).unwrap();
                assert_eq!(bits(alone), bits(&together));
            }
        }
    }

    #[test]
    fn a_restored_optimiser_goes_on_with_the_same_bits() {
        let straight = variables(2);
        let mut adam = Adam::new(straight.clone(), 1, CONFIG).unwrap();
        for _ in 0..3 {
            adam.step(&gradients(&straight, 1.0)).unwrap();
        }
        let resumed: Vec<Var> = straight
            .iter()
            .map(|v| Var::from_tensor(&v.copy().unwrap()).unwrap())
            .collect();
        let mut second = Adam::new(resumed.clone(), 1, CONFIG).unwrap();
        second.restore(&adam.state().unwrap()).unwrap();
        assert_eq!(second.state().unwrap(), adam.state().unwrap());
        adam.step(&gradients(&straight, 1.0)).unwrap();
        second.step(&gradients(&resumed, 1.0)).unwrap();
        for (straight, resumed) in straight.iter().zip(&resumed) {
            assert_eq!(flat(straight), flat(resumed));
        }
        let mut short = adam.state().unwrap();
        short.second_moments.pop();
        let error = second.restore(&short).unwrap_err().to_string();
        assert!(error.contains("second moments of [70] values"), "{error}");
    }

    #[test]
    fn groups_that_do_not_divide_into_replicas_are_refused() {
        let error = Adam::new(variables(4), 3, CONFIG).err().unwrap();
        assert!(error.to_string().contains("multiple of the 3 replicas"));
        assert!(Adam::new(variables(4), 0, CONFIG).is_err());
    }
}
