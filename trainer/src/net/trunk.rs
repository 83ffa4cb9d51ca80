//! The part of a network that reads observations: dense layers, then memory.
//!
//! ```text
//! e_0 = x;   e_l = tanh(e_{l−1} W_l + b_l)
//! h_t = GRU(e_L, h_{t−1})             with memory; h = 0 before an episode's first row
//! ```
//!
//! The features are h, or e_L without memory. `G` networks of one shape go through each operation
//! together; G = R × something, so that replicas lie one after another.

use candle_core::{Device, Result, Tensor, Var};

use super::fused::{self, Activation};
use super::mlp::DenseWeights;
use super::weights::GruWeights;
use super::{NetworkConfig, Rows};
use crate::rng::Stream;

/// `G` dense layers of one shape: y = act(x W + b).
pub struct Dense {
    /// `[G, inputs, outputs]`.
    weight: Var,
    /// `[G, 1, outputs]`.
    bias: Var,
}

impl Dense {
    /// One layer a stream: weights normal with deviation `gain`/√inputs, biases with `spread`.
    pub fn new(
        [inputs, outputs]: [usize; 2],
        [gain, spread]: [f64; 2],
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let groups = streams.len();
        let scale = gain / (inputs as f64).sqrt();
        let mut weights = Vec::with_capacity(groups * inputs * outputs);
        let mut biases = Vec::with_capacity(groups * outputs);
        for stream in streams.iter_mut() {
            weights.extend((0..inputs * outputs).map(|_| (scale * stream.normal()) as f32));
            biases.extend((0..outputs).map(|_| (spread * stream.normal()) as f32));
        }
        Ok(Self {
            weight: Var::from_vec(weights, (groups, inputs, outputs), device)?,
            bias: Var::from_vec(biases, (groups, 1, outputs), device)?,
        })
    }

    /// x `[G, S, inputs]` → `[G, S, outputs]`.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        fused::dense(x, &self.weight, &self.bias, activation)
    }

    /// The layer for [`fused::stack`].
    fn layer(&self, activation: Activation) -> fused::Layer<'_> {
        fused::Layer {
            weight: &self.weight,
            bias: &self.bias,
            activation,
        }
    }

    /// Length of an output vector.
    pub fn outputs(&self) -> usize {
        self.bias.dims()[2]
    }

    /// Weight, then bias.
    pub fn variables(&self) -> [Var; 2] {
        [self.weight.clone(), self.bias.clone()]
    }

    /// Host copy of layer `group`.
    pub fn weights(&self, group: usize) -> Result<DenseWeights> {
        let (_, inputs, outputs) = self.weight.dims3()?;
        let row_major = self.weight.get(group)?.t()?.contiguous()?;
        Ok(DenseWeights {
            inputs,
            outputs,
            weights: row_major.flatten_all()?.to_vec1()?,
            biases: self.bias.get(group)?.flatten_all()?.to_vec1()?,
        })
    }
}

/// `G` gated recurrent units (Cho et al. 2014, in the variant of cuDNN): see [`fused::gru`].
struct Gru {
    /// The input's part of the gates, order r, z, n: `[G, inputs, 3H]` and `[G, 1, 3H]`.
    input: Dense,
    /// The state's part: `[G, H+1, 3H]`, biases in the last row.
    recurrent: Var,
}

impl Gru {
    fn new(inputs: usize, width: usize, streams: &mut [Stream], device: &Device) -> Result<Self> {
        let input = Dense::new([inputs, 3 * width], [1.0, 0.0], streams, device)?;
        let scale = 1.0 / (width as f64).sqrt();
        let mut recurrent = Vec::with_capacity(streams.len() * (width + 1) * 3 * width);
        for stream in streams.iter_mut() {
            recurrent.extend((0..width * 3 * width).map(|_| (scale * stream.normal()) as f32));
            recurrent.extend(std::iter::repeat_n(0.0, 3 * width));
        }
        let shape = (streams.len(), width + 1, 3 * width);
        Ok(Self {
            input,
            recurrent: Var::from_vec(recurrent, shape, device)?,
        })
    }

    fn weights(&self, group: usize) -> Result<GruWeights> {
        let DenseWeights {
            inputs,
            outputs,
            weights,
            biases,
        } = self.input.weights(group)?;
        let hidden = outputs / 3;
        let table: Vec<Vec<f32>> = self.recurrent.get(group)?.t()?.to_vec2()?;
        // The reset and update gates see the sum of both biases only.
        let both = |gate: usize| {
            biases[gate]
                + if gate < 2 * hidden {
                    table[gate][hidden]
                } else {
                    0.0
                }
        };
        Ok(GruWeights {
            inputs,
            hidden,
            input: weights,
            recurrent: table
                .iter()
                .flat_map(|row| &row[..hidden])
                .copied()
                .collect(),
            input_bias: (0..outputs).map(both).collect(),
            recurrent_bias_n: table[2 * hidden..].iter().map(|row| row[hidden]).collect(),
        })
    }
}

/// Dense layers, then memory, `G` at a time.
pub struct Trunk {
    encoder: Vec<Dense>,
    gru: Option<Gru>,
    inputs: usize,
}

/// Host copy of one trunk.
pub struct TrunkWeights {
    /// Dense layers, tanh after each.
    pub encoder: Vec<DenseWeights>,
    /// The memory.
    pub gru: Option<GruWeights>,
}

impl Trunk {
    /// Draws one trunk of `network`'s widths from each stream: dense layers, then a GRU if it has memory.
    pub fn new(
        inputs: usize,
        network: &NetworkConfig,
        streams: &mut [Stream],
        device: &Device,
    ) -> Result<Self> {
        let mut width = inputs;
        let mut encoder = Vec::with_capacity(network.hidden.len());
        for &next in &network.hidden {
            let gains = [1.0, network.hidden_spread / (width as f64).sqrt()];
            encoder.push(Dense::new([width, next], gains, streams, device)?);
            width = next;
        }
        let gru = match network.memory {
            0 => None,
            memory => Some(Gru::new(width, memory, streams, device)?),
        };
        Ok(Self {
            encoder,
            gru,
            inputs,
        })
    }

    /// Length of a feature vector.
    pub fn outputs(&self) -> usize {
        match (&self.gru, self.encoder.last()) {
            (Some(gru), _) => gru.input.outputs() / 3,
            (None, Some(last)) => last.outputs(),
            (None, None) => self.inputs,
        }
    }

    /// Whether features depend on earlier rows.
    pub fn has_memory(&self) -> bool {
        self.gru.is_some()
    }

    /// x `[G, T·B, inputs]` → features `[G, T·B, outputs]`. `start`: the memory before the first
    /// row, `[G, B, outputs]` (none: empty).
    pub fn forward(&self, x: &Tensor, rows: &Rows, start: Option<&Tensor>) -> Result<Tensor> {
        let h = fused::stack(x, &self.layers())?;
        let Some(gru) = &self.gru else { return Ok(h) };
        let gates = gru.input.forward(&h, Activation::Identity)?;
        let empty;
        let start = match start {
            Some(start) => start,
            None => {
                let shape = (x.dim(0)?, rows.parallel, self.outputs());
                empty = Tensor::zeros(shape, x.dtype(), x.device())?;
                &empty
            }
        };
        fused::gru(&gates, &gru.recurrent, start, &rows.first)
    }

    /// The same through `head`, `[G, T·B, outputs of the head]`, for whoever does not need the features: without memory all of it
    /// is one operation.
    pub fn forward_through(
        &self,
        x: &Tensor,
        rows: &Rows,
        start: Option<&Tensor>,
        head: &Dense,
    ) -> Result<Tensor> {
        if self.has_memory() {
            return head.forward(&self.forward(x, rows, start)?, Activation::Identity);
        }
        let mut layers = self.layers();
        layers.push(head.layer(Activation::Identity));
        fused::stack(x, &layers)
    }

    /// The dense layers.
    fn layers(&self) -> Vec<fused::Layer<'_>> {
        let layers = self.encoder.iter();
        layers.map(|layer| layer.layer(Activation::Tanh)).collect()
    }

    /// The memory after the last row, `[G, B, outputs]`, of features `[G, T·B, outputs]`; none
    /// where there is no memory.
    pub fn memory(&self, features: &Tensor, rows: &Rows) -> Result<Option<Tensor>> {
        if !self.has_memory() {
            return Ok(None);
        }
        let last = (rows.time - 1) * rows.parallel;
        let memory = features.detach().narrow(1, last, rows.parallel)?;
        Ok(Some(memory.contiguous()?))
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        let mut variables: Vec<Var> = self.encoder.iter().flat_map(Dense::variables).collect();
        if let Some(gru) = &self.gru {
            variables.extend(gru.input.variables());
            variables.push(gru.recurrent.clone());
        }
        variables
    }

    /// Host copy of trunk `group`.
    pub fn weights(&self, group: usize) -> Result<TrunkWeights> {
        Ok(TrunkWeights {
            encoder: self
                .encoder
                .iter()
                .map(|layer| layer.weights(group))
                .collect::<Result<_>>()?,
            gru: self
                .gru
                .as_ref()
                .map(|gru| gru.weights(group))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thresholds lie as far apart as asked, in units of the weights' deviation; nothing else changes.
    #[test]
    fn hidden_biases_are_spread_and_nothing_else_is() {
        let drawn = |hidden_spread| {
            let network = NetworkConfig {
                hidden: vec![16, 4096],
                memory: 4,
                hidden_spread,
                ..NetworkConfig::default()
            };
            let streams = &mut [Stream::new(3, "trunk", 0)];
            let trunk = Trunk::new(4, &network, streams, &Device::Cpu).unwrap();
            trunk.weights(0).unwrap()
        };
        let (together, apart) = (drawn(0.0), drawn(1.5));
        for (together, apart) in together.encoder.iter().zip(&apart.encoder) {
            assert_eq!(together.weights, apart.weights);
            assert!(together.biases.iter().all(|&bias| bias == 0.0));
        }
        assert_eq!(together.gru, apart.gru);
        // 1.5/√16 in the second layer; the deviation of 4,096 normal numbers is within 4/√(2 · 4,096), or
        // 4.4 %, of theirs.
        let square: f32 = apart.encoder[1].biases.iter().map(|bias| bias * bias).sum();
        let deviation = (square / 4096.0).sqrt();
        assert!((deviation / 0.375 - 1.0).abs() < 0.044, "{deviation}");
    }
}
