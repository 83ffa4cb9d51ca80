//! From the agents' values to the team's: what value decomposition is made of.
//!
//! VDN (Sunehag et al. 2018) adds them. QMIX (Rashid et al. 2018, section 4) feeds them through a
//! network of one hidden layer whose weights are made by hypernetworks from the state s, and are
//! not negative, so that the team's value never falls when an agent's rises:
//!
//! ```text
//! Q_tot = |W_2(s)| · elu( |W_1(s)|ᵀ (Q_1 … Q_N) + b_1(s) ) + V(s)
//! ```
//!
//! W_1, W_2: two layers with relu between; b_1: one layer; V: two layers with relu between.

use candle_core::{D, Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::fused::Activation;
use super::marginal::OUTPUT_GAIN;
use super::trunk::Dense;
use crate::rng::Stream;

/// Sizes of QMIX's mixing network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixerConfig {
    /// Width of the mixing network's hidden layer.
    pub embedding: usize,
    /// Width of the hidden layer of the hypernetworks that make its weights.
    pub hypernetwork: usize,
}

impl Default for MixerConfig {
    fn default() -> Self {
        Self {
            embedding: 32,
            hypernetwork: 64,
        }
    }
}

/// How agents' values become the team's.
pub enum Mixer {
    /// They do not: every agent's value is held against the team's return (IQL).
    None,
    /// Their sum (VDN).
    Sum,
    /// A monotonic network of them, conditioned on the state (QMIX).
    Monotonic(Box<Monotonic>),
}

impl Mixer {
    /// Agents' values `[R, S, N]` and states `[R, S, D]` → the team's `[R, S, 1]`, or the agents'
    /// own `[R, S, N]`.
    pub fn mix(&self, values: &Tensor, state: &Tensor) -> Result<Tensor> {
        match self {
            Self::None => Ok(values.clone()),
            Self::Sum => values.sum_keepdim(2),
            Self::Monotonic(network) => network.forward(values, state),
        }
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        match self {
            Self::None | Self::Sum => Vec::new(),
            Self::Monotonic(network) => network.variables(),
        }
    }
}

/// QMIX's mixing network, one a replica.
pub struct Monotonic {
    first_weights: [Dense; 2],
    first_bias: Dense,
    last_weights: [Dense; 2],
    last_bias: [Dense; 2],
    agents: usize,
    embedding: usize,
}

impl Monotonic {
    /// Draws a network a replica for `agents` agents and states of `state` numbers; `streams`: one
    /// a replica.
    pub fn new(
        agents: usize,
        state: usize,
        config: &MixerConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let MixerConfig {
            embedding,
            hypernetwork,
        } = *config;
        let mut layer = |(sizes, gain)| Dense::new(sizes, [gain, 0.0], streams, device);
        let first = |outputs| ([state, outputs], 1.0);
        // What is mixed starts small whatever the state's units: a large first value of the team
        // would be bootstrapped from for a long time.
        let last = |inputs, outputs| ([inputs, outputs], OUTPUT_GAIN);
        Ok(Self {
            first_weights: [
                layer(first(hypernetwork))?,
                layer(last(hypernetwork, agents * embedding))?,
            ],
            first_bias: layer(last(state, embedding))?,
            last_weights: [
                layer(first(hypernetwork))?,
                layer(last(hypernetwork, embedding))?,
            ],
            last_bias: [layer(first(embedding))?, layer(last(embedding, 1))?],
            agents,
            embedding,
        })
    }

    /// Agents' values `[R, S, N]` and states `[R, S, D]` → `[R, S, 1]`.
    fn forward(&self, values: &Tensor, state: &Tensor) -> Result<Tensor> {
        let (replicas, samples, _) = values.dims3()?;
        let two = |layers: &[Dense; 2]| {
            layers[1].forward(
                &layers[0].forward(state, Activation::Relu)?,
                Activation::Identity,
            )
        };
        let shape = (replicas, samples, self.agents, self.embedding);
        let weights = two(&self.first_weights)?.abs()?.reshape(shape)?;
        let bias = self.first_bias.forward(state, Activation::Identity)?;
        let sums = values.unsqueeze(D::Minus1)?.broadcast_mul(&weights)?;
        let hidden = (sums.sum(2)? + bias)?.elu(1.0)?;
        let mixed = (hidden * two(&self.last_weights)?.abs()?)?.sum_keepdim(2)?;
        mixed + two(&self.last_bias)?
    }

    fn variables(&self) -> Vec<Var> {
        let pairs = [&self.first_weights, &self.last_weights, &self.last_bias];
        let mut variables: Vec<Var> = pairs
            .into_iter()
            .flatten()
            .flat_map(Dense::variables)
            .collect();
        variables.extend(self.first_bias.variables());
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(replicas: u64) -> Mixer {
        let mut streams: Vec<Stream> = (0..replicas).map(|r| Stream::new(r, "mixer", 0)).collect();
        let config = MixerConfig {
            embedding: 8,
            hypernetwork: 16,
        };
        let network = Monotonic::new(3, 4, &config, &mut streams, &Device::Cpu).unwrap();
        Mixer::Monotonic(Box::new(network))
    }

    fn numbers(name: &str, count: usize) -> Vec<f32> {
        let mut stream = Stream::new(3, name, 0);
        (0..count).map(|_| stream.normal() as f32).collect()
    }

    fn tensor(values: Vec<f32>, width: usize) -> Tensor {
        let samples = values.len() / (2 * width);
        Tensor::from_vec(values, (2, samples, width), &Device::Cpu).unwrap()
    }

    fn mixed(mixer: &Mixer, values: &[f32], state: &Tensor) -> Vec<f32> {
        let values = tensor(values.to_vec(), 3);
        let total = mixer.mix(&values, state).unwrap();
        total.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// ∂Q_tot/∂Q_i ≥ 0 in random networks, states and values: by the graph's gradient, and by
    /// raising an agent's value a little and a lot. The graph's agrees with the differences.
    #[test]
    fn the_teams_value_never_falls_when_an_agents_rises() {
        let mixer = network(2);
        let state = tensor(numbers("state", 2 * 50 * 4), 4);
        let values = numbers("values", 2 * 50 * 3);
        let variable = Var::from_tensor(&tensor(values.clone(), 3)).unwrap();
        let total = mixer.mix(&variable, &state).unwrap().sum_all().unwrap();
        let gradients = total.backward().unwrap();
        let slopes = gradients.get(&variable).unwrap().flatten_all().unwrap();
        let slopes: Vec<f32> = slopes.to_vec1().unwrap();
        assert!(slopes.iter().all(|&slope| slope >= 0.0));
        assert!(slopes.iter().filter(|&&slope| slope > 1e-3).count() > 290);
        for agent in 0..3 {
            for rise in [0.01, 5.0] {
                let raised = |by: f32| {
                    let own = |(index, &v): (usize, &f32)| {
                        if index % 3 == agent { v + by } else { v }
                    };
                    values.iter().enumerate().map(own).collect::<Vec<f32>>()
                };
                let (low, high) = (raised(-rise), raised(rise));
                let below = mixed(&mixer, &low, &state);
                let above = mixed(&mixer, &high, &state);
                for (row, (below, above)) in below.iter().zip(&above).enumerate() {
                    assert!(above >= below, "{below} {above}");
                    let slope = slopes[row * 3 + agent];
                    let difference = (above - below) / (2.0 * rise);
                    // elu bends: the second derivative jumps by at most the weights' product.
                    let tolerance = 0.02 + 0.02 * slope.abs();
                    assert!(
                        rise > 1.0 || (slope - difference).abs() < tolerance,
                        "{slope} {difference}"
                    );
                }
            }
        }
    }

    /// With all hypernetworks' outputs set by their last biases: W_1 = −2 for every agent,
    /// b_1 = −1, W_2 = −3, V = 5. |·| makes 2 and 3: values (1, 0, −1) give the hidden sum −1,
    /// elu(−1) = e⁻¹ − 1, and Q_tot = 8 · 3 · (e⁻¹ − 1) + 5; values (1, 1, 1) give 8 · 3 · 5 + 5.
    #[test]
    fn the_network_computes_what_it_says() {
        let mixer = network(2);
        for (index, variable) in mixer.variables().iter().enumerate() {
            // Weight and bias in turns; layers in pairs, the second one last.
            let value = match index {
                3 => -2.0,
                7 => -3.0,
                11 => 5.0,
                13 => -1.0,
                _ => 0.0,
            };
            variable
                .set(&(variable.ones_like().unwrap() * value).unwrap())
                .unwrap();
        }
        let state = tensor(numbers("state", 16), 4);
        let rows = [[1.0_f32, 0.0, -1.0], [1.0, 1.0, 1.0]];
        let found = mixed(&mixer, &[rows, rows].concat().concat(), &state);
        let low = 24.0 * ((-1.0_f32).exp() - 1.0) + 5.0;
        for (found, expected) in found.iter().zip([low, 125.0, low, 125.0]) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn a_sum_is_the_sum_and_nothing_is_nothing() {
        let state = tensor(numbers("state", 8), 4);
        let values = [1.0, -2.0, 4.0, 0.5, 0.25, 0.125];
        assert_eq!(mixed(&Mixer::Sum, &values, &state), [3.0, 0.875]);
        assert_eq!(mixed(&Mixer::None, &values, &state), values);
        assert!(Mixer::Sum.variables().is_empty());
    }
}
