//! Dense layers on the host.

/// Host copy of one dense layer of one network.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
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
