//! `weights.safetensors`: every agent's layers under ordered names.

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

use crate::env::TeamSpec;
use crate::net::DenseWeights;

/// Why bytes are not a team's weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors file.
    #[error("not safetensors: {0}")]
    Format(#[from] SafeTensorError),
    /// An agent has no network.
    #[error("agent {agent}: found no layer, expected `agent.{agent}.layer.0.weight` and more")]
    NoLayer {
        /// The agent.
        agent: usize,
    },
    /// Tensors that belong to no agent of the team.
    #[error("found {found} tensors, expected {expected}: a weight and a bias a layer and agent")]
    Count {
        /// Tensors in the file.
        found: usize,
        /// Tensors that belong to the team.
        expected: usize,
    },
    /// A tensor of the wrong shape or type.
    #[error("{name}: found {found}, expected {expected}")]
    Tensor {
        /// Its name.
        name: String,
        /// Its type and shape.
        found: String,
        /// What they should be.
        expected: String,
    },
}

/// The file's bytes: `agent.<i>.layer.<l>.weight` `[out, in]` and `….bias` `[out]`, in f32.
pub(super) fn serialise(networks: &[Vec<DenseWeights>]) -> Vec<u8> {
    let mut tensors = Vec::new();
    for (agent, network) in networks.iter().enumerate() {
        for (layer, dense) in network.iter().enumerate() {
            let [weight, bias] = names(agent, layer);
            tensors.push((
                weight,
                vec![dense.outputs, dense.inputs],
                le_bytes(&dense.weights),
            ));
            tensors.push((bias, vec![dense.outputs], le_bytes(&dense.biases)));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name, view.expect("as many bytes as the shape says"))
    });
    safetensors::serialize(views, None).expect("tensors in memory make a file")
}

/// Each agent's layers.
pub(super) fn parse(bytes: &[u8], spec: &TeamSpec) -> Result<Vec<Vec<DenseWeights>>, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut networks = Vec::new();
    for (agent, spec) in spec.agents.iter().enumerate() {
        let mut network = Vec::new();
        let mut inputs = spec.observation;
        while let Ok(weight) = file.tensor(&names(agent, network.len())[0]) {
            let [weight_name, bias_name] = names(agent, network.len());
            let outputs = weight.shape().first().copied().unwrap_or_default();
            network.push(DenseWeights {
                inputs,
                outputs,
                weights: values(&weight_name, &weight, &[outputs, inputs])?,
                biases: values(&bias_name, &file.tensor(&bias_name)?, &[outputs])?,
            });
            inputs = outputs;
        }
        networks.push(network);
    }
    let expected: usize = networks.iter().map(|network| 2 * network.len()).sum();
    if let Some(agent) = networks.iter().position(Vec::is_empty) {
        return Err(WeightsError::NoLayer { agent });
    }
    if file.len() != expected {
        return Err(WeightsError::Count {
            found: file.len(),
            expected,
        });
    }
    Ok(networks)
}

fn names(agent: usize, layer: usize) -> [String; 2] {
    ["weight", "bias"].map(|part| format!("agent.{agent}.layer.{layer}.{part}"))
}

fn values(name: &str, tensor: &TensorView<'_>, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        return Err(WeightsError::Tensor {
            name: name.to_owned(),
            found: format!("{:?} {:?}", tensor.dtype(), tensor.shape()),
            expected: format!("F32 {shape:?}"),
        });
    }
    let (words, _) = tensor.data().as_chunks::<4>();
    Ok(words.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

fn le_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::AgentSpec;

    fn networks() -> (TeamSpec, Vec<Vec<DenseWeights>>) {
        let dense = |inputs: usize, outputs: usize| DenseWeights {
            inputs,
            outputs,
            weights: (0..inputs * outputs).map(|k| k as f32 / 3.0).collect(),
            biases: (0..outputs).map(|k| -(k as f32)).collect(),
        };
        let agent = AgentSpec::discrete;
        let spec = TeamSpec::new(vec![agent(3, 2), agent(1, 4)], 1);
        (
            spec,
            vec![
                vec![dense(3, 5), dense(5, 2)],
                vec![dense(1, 5), dense(5, 4)],
            ],
        )
    }

    #[test]
    fn weights_come_back_bit_for_bit() {
        let (spec, networks) = networks();
        assert_eq!(parse(&serialise(&networks), &spec).unwrap(), networks);
    }

    #[test]
    fn defects_are_named() {
        let (spec, mut networks) = networks();
        let message = |networks: &[Vec<DenseWeights>]| {
            parse(&serialise(networks), &spec).unwrap_err().to_string()
        };
        let whole = serialise(&networks);
        assert!(parse(&whole[..whole.len() - 1], &spec).is_err());
        networks[1][1].inputs = 4;
        networks[1][1].weights.truncate(16);
        assert_eq!(
            message(&networks),
            "agent.1.layer.1.weight: found F32 [4, 4], expected F32 [4, 5]"
        );
        let (_, mut networks) = self::networks();
        networks.push(networks[0].clone());
        assert!(message(&networks).starts_with("found 12 tensors, expected 8"));
        networks.truncate(1);
        assert!(message(&networks).starts_with("agent 1: found no layer"));
    }
}
