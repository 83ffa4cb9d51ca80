//! Multi-layer perceptrons, `G` of one shape at a time.
//!
//! ```text
//! h_0 = x;   h_l = tanh(h_{l−1} W_l + b_l);   y = h_L W_y + b_y
//! ```
//!
//! Shapes: x `[G, S, inputs]`, W_l `[G, in, out]`, b_l `[G, 1, out]`, y `[G, S, outputs]`,
//! where S counts samples.

use candle_core::{Device, Result, Tensor, Var};

use super::activation::tanh;
use crate::rng::Stream;

/// Sizes of one network and how it starts.
#[derive(Clone, Debug)]
pub struct MlpShape {
    /// Length of an input vector.
    pub inputs: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Length of an output vector.
    pub outputs: usize,
    /// Standard deviation of the output layer's initial biases. Its weights start near
    /// zero, so this is the spread of the first outputs.
    pub output_spread: f64,
}

/// Host copy of one dense layer of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseWeights {
    /// Input length.
    pub inputs: usize,
    /// Output length.
    pub outputs: usize,
    /// Row-major `[outputs][inputs]`.
    pub weights: Vec<f32>,
    /// `[outputs]`.
    pub biases: Vec<f32>,
}

/// `G` independent perceptrons of one shape.
pub struct GroupedMlp {
    layers: Vec<(Var, Var)>,
}

/// Scale of the output layer's initial weights: small beside the biases, yet enough to break
/// the symmetry between observations.
const OUTPUT_GAIN: f64 = 0.1;

impl GroupedMlp {
    /// Draws one network from each stream (`G` = `streams.len()`): weights normal with
    /// variance 1/inputs (output layer: scaled down), hidden biases zero.
    pub fn new(shape: &MlpShape, streams: &mut [Stream], device: &Device) -> Result<Self> {
        let groups = streams.len();
        let widths: Vec<usize> = std::iter::once(shape.inputs)
            .chain(shape.hidden.iter().copied())
            .chain(std::iter::once(shape.outputs))
            .collect();
        let last = widths.len() - 2;
        let mut layers = Vec::with_capacity(widths.len() - 1);
        for (index, pair) in widths.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let (gain, spread) = if index == last {
                (OUTPUT_GAIN, shape.output_spread)
            } else {
                (1.0, 0.0)
            };
            let scale = gain / (inputs as f64).sqrt();
            let mut weights = Vec::with_capacity(groups * inputs * outputs);
            let mut biases = Vec::with_capacity(groups * outputs);
            for stream in streams.iter_mut() {
                weights.extend((0..inputs * outputs).map(|_| (scale * stream.normal()) as f32));
                biases.extend((0..outputs).map(|_| (spread * stream.normal()) as f32));
            }
            layers.push((
                Var::from_vec(weights, (groups, inputs, outputs), device)?,
                Var::from_vec(biases, (groups, 1, outputs), device)?,
            ));
        }
        Ok(Self { layers })
    }

    /// x `[G, S, inputs]` → `[G, S, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = x.clone();
        for (index, (weight, bias)) in self.layers.iter().enumerate() {
            h = h.matmul(weight)?.broadcast_add(bias)?;
            if index + 1 < self.layers.len() {
                h = tanh(&h)?;
            }
        }
        Ok(h)
    }

    /// All parameters, in a fixed order.
    pub fn variables(&self) -> Vec<Var> {
        self.layers
            .iter()
            .flat_map(|(weight, bias)| [weight.clone(), bias.clone()])
            .collect()
    }

    /// Host copy of every layer of network `group`.
    pub fn weights(&self, group: usize) -> Result<Vec<DenseWeights>> {
        self.layers
            .iter()
            .map(|(weight, bias)| {
                let (_, inputs, outputs) = weight.dims3()?;
                let row_major = weight.get(group)?.t()?.contiguous()?;
                Ok(DenseWeights {
                    inputs,
                    outputs,
                    weights: row_major.flatten_all()?.to_vec1()?,
                    biases: bias.get(group)?.flatten_all()?.to_vec1()?,
                })
            })
            .collect()
    }
}

impl DenseWeights {
    /// Keeps the first `inputs` inputs.
    pub fn keep_inputs(&mut self, inputs: usize) {
        self.weights = self
            .weights
            .chunks_exact(self.inputs)
            .flat_map(|row| row[..inputs].iter().copied())
            .collect();
        self.inputs = inputs;
    }

    /// Keeps the first `outputs` outputs.
    pub fn keep_outputs(&mut self, outputs: usize) {
        self.weights.truncate(outputs * self.inputs);
        self.biases.truncate(outputs);
        self.outputs = outputs;
    }
}
