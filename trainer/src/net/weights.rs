#![allow(missing_docs)]
//! Host copies of one agent's network (stub until the runtime's branch).
use super::mlp::DenseWeights;
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Activation {
    Identity,
    Tanh,
    Relu,
}
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GruWeights {
    pub inputs: usize,
    pub hidden: usize,
    pub input: Vec<f32>,
    pub recurrent: Vec<f32>,
    pub input_bias: Vec<f32>,
    pub recurrent_bias_n: Vec<f32>,
}
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum LayerWeights {
    Dense(DenseWeights, Activation),
    Gru(GruWeights),
}
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum HeadWeights {
    Categorical,
    Gaussian { log_std: Vec<f32> },
}
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NetworkWeights {
    pub layers: Vec<LayerWeights>,
    pub head: HeadWeights,
}
impl LayerWeights {
    pub fn fold_constant(&mut self, index: usize) {
        let (inputs, weights, biases) = match self {
            Self::Dense(d, _) => (d.inputs, &d.weights, &mut d.biases),
            Self::Gru(g) => (g.inputs, &g.input, &mut g.input_bias),
        };
        for (row, bias) in weights.chunks_exact(inputs).zip(biases) {
            *bias += row[index];
        }
    }
    pub fn keep_inputs(&mut self, inputs: usize) {
        match self {
            Self::Dense(d, _) => d.keep_inputs(inputs),
            Self::Gru(g) => {
                g.input = g
                    .input
                    .chunks_exact(g.inputs)
                    .flat_map(|r| r[..inputs].iter().copied())
                    .collect();
                g.inputs = inputs;
            }
        }
    }
}
