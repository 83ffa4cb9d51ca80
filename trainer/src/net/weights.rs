//! Host copies of one agent's whole network, as it leaves the workstation.

use consort_runtime::Activation;
use serde::{Deserialize, Serialize};

use super::DenseWeights;
use super::Normaliser;

/// One agent's network: layers from observation to head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkWeights {
    /// The layers, first to last.
    pub layers: Vec<LayerWeights>,
    /// What the last layer's outputs mean.
    pub head: HeadWeights,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LayerWeights {
    /// A dense layer, and what its outputs go through.
    Dense(DenseWeights, #[serde(with = "ActivationNames")] Activation),
    /// A gated recurrent unit.
    Gru(GruWeights),
}

/// The runtime's activations by name, for files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Activation")]
enum ActivationNames {
    Identity,
    Relu,
    Tanh,
    Sigmoid,
    Silu,
}

/// A gated recurrent unit (Cho et al. 2014, in cuDNN's variant):
///
/// ```text
/// r = σ(b_r + W_r x + U_r h)      n = tanh(b_n + W_n x + r ∘ (c_n + U_n h))
/// z = σ(b_z + W_z x + U_z h)      h' = (1 − z) ∘ n + z ∘ h
/// ```
///
/// The gates come in the order r, z, n in every matrix and vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GruWeights {
    /// I: input length.
    pub inputs: usize,
    /// H: units.
    pub hidden: usize,
    /// W, row-major `[3H][I]`.
    pub input: Vec<f32>,
    /// U, row-major `[3H][H]`.
    pub recurrent: Vec<f32>,
    /// b, `[3H]`.
    pub input_bias: Vec<f32>,
    /// c_n, `[H]`.
    pub recurrent_bias_n: Vec<f32>,
}

/// How outputs become an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum HeadWeights {
    /// They are logits of discrete actions.
    Categorical,
    /// They are logits of choices, one of every group, one group's after another's.
    MultiDiscrete {
        /// Choices of each group, `[K]`.
        sizes: Vec<u32>,
    },
    /// They are the means of a Gaussian that is squashed by tanh.
    Gaussian {
        /// Logarithm of each dimension's standard deviation, `[D]`.
        log_std: Vec<f32>,
    },
    /// They are the action's vector.
    Deterministic,
}

impl NetworkWeights {
    /// A perceptron with tanh between its layers and a categorical head.
    pub fn mlp(layers: Vec<DenseWeights>) -> Self {
        let last = layers.len().saturating_sub(1);
        let dense = |(index, layer)| {
            let activation = if index == last {
                Activation::Identity
            } else {
                Activation::Tanh
            };
            LayerWeights::Dense(layer, activation)
        };
        Self {
            layers: layers.into_iter().enumerate().map(dense).collect(),
            head: HeadWeights::Categorical,
        }
    }

    /// Makes a policy of vectors one without chance: the last layer's tanh is the action, the bits those
    /// of the most probable one before.
    pub fn squash(&mut self) {
        if let Some(LayerWeights::Dense(_, activation)) = self.layers.last_mut() {
            *activation = Activation::Tanh;
        }
        self.head = HeadWeights::Deterministic;
    }

    /// Length of the last layer's output: actions, or dimensions of an action's vector.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, LayerWeights::outputs)
    }

    /// Whether every weight, bias and deviation is a finite number.
    pub fn is_finite(&self) -> bool {
        let of_head: &[f32] = match &self.head {
            HeadWeights::Gaussian { log_std } => log_std,
            _ => &[],
        };
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        finite(of_head)
            && self.layers.iter().all(|layer| match layer {
                LayerWeights::Dense(layer, _) => finite(&layer.weights) && finite(&layer.biases),
                LayerWeights::Gru(layer) => {
                    finite(&layer.input)
                        && finite(&layer.recurrent)
                        && finite(&layer.input_bias)
                        && finite(&layer.recurrent_bias_n)
                }
            })
    }

    /// Makes a network that reads normalised observations one that reads raw ones: the normalisation
    /// of the components from `start` on is folded into the first layer.
    pub fn fold_in(&mut self, normaliser: &Normaliser, start: usize) {
        match self.layers.first_mut() {
            Some(LayerWeights::Dense(first, _)) => normaliser.fold_into(first, start),
            Some(LayerWeights::Gru(first)) => {
                let GruWeights {
                    inputs,
                    input,
                    input_bias,
                    ..
                } = first;
                normaliser.fold_into_rows(input, input_bias, *inputs, start);
            }
            None => {}
        }
    }
}

impl LayerWeights {
    /// Adds what input number `index` contributes when it is 1 to the biases.
    pub fn fold_constant(&mut self, index: usize) {
        let (inputs, weights, biases) = match self {
            Self::Dense(layer, _) => (layer.inputs, &layer.weights, &mut layer.biases),
            Self::Gru(layer) => (layer.inputs, &layer.input, &mut layer.input_bias),
        };
        for (row, bias) in weights.chunks_exact(inputs).zip(biases) {
            *bias += row[index];
        }
    }

    /// Keeps the first `inputs` inputs.
    pub fn keep_inputs(&mut self, inputs: usize) {
        match self {
            Self::Dense(layer, _) => layer.keep_inputs(inputs),
            Self::Gru(layer) => {
                let rows = layer.input.chunks_exact(layer.inputs);
                layer.input = rows.flat_map(|row| &row[..inputs]).copied().collect();
                layer.inputs = inputs;
            }
        }
    }

    /// Length of the layer's output.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Dense(layer, _) => layer.outputs,
            Self::Gru(layer) => layer.hidden,
        }
    }
}
