//! `weights.safetensors`: every agent's layers under ordered names.
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `agent.<i>.layer.<l>.weight`, `.bias` | `[out, in]`, `[out]` | a dense layer |
//! | `agent.<i>.layer.<l>.input_weight`, `.input_bias` | `[3H, in]`, `[3H]` | a gated recurrent unit, its gates in the order r, z, n |
//! | `agent.<i>.layer.<l>.recurrent_weight`, `.recurrent_bias` | `[3H, H]`, `[H]` | the same; the bias is that of n |
//! | `agent.<i>.log_std` | `[D]` | of a gaussian head; without it the head is categorical, multi-discrete where the task's actions are products, or deterministic where they are vectors |
//!
//! Dense layers go through tanh but for the last, which goes through nothing. Where that is not so,
//! the file's metadata says under `activations` what they go through, as in
//! `agent.0.layer.0=relu agent.0.layer.2=identity`.

use std::collections::HashMap;
use std::fmt::Write as _;

use consort_runtime::Activation;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

use crate::env::{ActionSpace, TeamSpec};
use crate::net::{DenseWeights, GruWeights, HeadWeights, LayerWeights, NetworkWeights};

/// The metadata's key.
const ACTIVATIONS: &str = "activations";

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
    /// An activation that is none, or of a layer that is none.
    #[error("activations: found `{found}`, expected a dense layer's, as in `agent.0.layer.1=relu`")]
    Activation {
        /// The entry.
        found: String,
    },
}

/// The file's bytes.
pub(super) fn serialise(networks: &[NetworkWeights]) -> Vec<u8> {
    let mut tensors = Vec::new();
    let mut activations = String::new();
    for (agent, network) in networks.iter().enumerate() {
        let mut put = |name: String, shape: &[usize], values: &[f32]| {
            tensors.push((name, shape.to_vec(), le_bytes(values)));
        };
        let last = network.layers.len().saturating_sub(1);
        for (index, layer) in network.layers.iter().enumerate() {
            let name = |part: &str| format!("{}.{part}", prefix(agent, index));
            match layer {
                LayerWeights::Dense(dense, activation) => {
                    let shape = [dense.outputs, dense.inputs];
                    put(name("weight"), &shape, &dense.weights);
                    put(name("bias"), &shape[..1], &dense.biases);
                    if *activation != usual(index, last) {
                        let space = if activations.is_empty() { "" } else { " " };
                        let word = activation_word(*activation);
                        let _ = write!(activations, "{space}{}={word}", prefix(agent, index));
                    }
                }
                LayerWeights::Gru(gru) => {
                    let gates = 3 * gru.hidden;
                    put(name("input_weight"), &[gates, gru.inputs], &gru.input);
                    put(
                        name("recurrent_weight"),
                        &[gates, gru.hidden],
                        &gru.recurrent,
                    );
                    put(name("input_bias"), &[gates], &gru.input_bias);
                    put(name("recurrent_bias"), &[gru.hidden], &gru.recurrent_bias_n);
                }
            }
        }
        if let HeadWeights::Gaussian { log_std } = &network.head {
            put(format!("agent.{agent}.log_std"), &[log_std.len()], log_std);
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name, view.expect("as many bytes as the shape says"))
    });
    // One entry: a map of several would be written in any order.
    let metadata =
        (!activations.is_empty()).then(|| HashMap::from([(ACTIVATIONS.to_owned(), activations)]));
    safetensors::serialize(views, metadata).expect("tensors in memory make a file")
}

/// Each agent's network.
pub(super) fn parse(bytes: &[u8], spec: &TeamSpec) -> Result<Vec<NetworkWeights>, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut networks = Vec::new();
    let mut expected = 0;
    for (agent, spec) in spec.agents.iter().enumerate() {
        let mut layers = Vec::new();
        let mut inputs = spec.observation;
        while let Some(layer) = parse_layer(&file, &prefix(agent, layers.len()), inputs)? {
            inputs = layer.outputs();
            expected += match layer {
                LayerWeights::Dense(..) => 2,
                LayerWeights::Gru(_) => 4,
            };
            layers.push(layer);
        }
        let last = layers.len().saturating_sub(1);
        for (index, layer) in layers.iter_mut().enumerate() {
            if let LayerWeights::Dense(_, activation) = layer {
                *activation = usual(index, last);
            }
        }
        let name = format!("agent.{agent}.log_std");
        let head = match file.tensor(&name) {
            Ok(tensor) => {
                expected += 1;
                HeadWeights::Gaussian {
                    log_std: values(&name, &tensor, &[inputs])?,
                }
            }
            Err(_) => match spec.actions {
                ActionSpace::Product(factors) => HeadWeights::MultiDiscrete {
                    sizes: factors.sizes().iter().map(|&size| size as u32).collect(),
                },
                ActionSpace::Continuous(_) => HeadWeights::Deterministic,
                ActionSpace::Discrete(_) => HeadWeights::Categorical,
            },
        };
        networks.push(NetworkWeights { layers, head });
    }
    let empty = |network: &NetworkWeights| network.layers.is_empty();
    if let Some(agent) = networks.iter().position(empty) {
        return Err(WeightsError::NoLayer { agent });
    }
    if file.len() != expected {
        return Err(WeightsError::Count {
            found: file.len(),
            expected,
        });
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let metadata = metadata.metadata().as_ref();
    let words = metadata.and_then(|map| map.get(ACTIVATIONS));
    for word in words.into_iter().flat_map(|words| words.split(' ')) {
        set_activation(&mut networks, word).ok_or_else(|| WeightsError::Activation {
            found: word.to_owned(),
        })?;
    }
    Ok(networks)
}

/// The layer whose tensors' names begin with `prefix`, if there is one.
fn parse_layer(
    file: &SafeTensors<'_>,
    prefix: &str,
    inputs: usize,
) -> Result<Option<LayerWeights>, WeightsError> {
    let name = |part: &str| format!("{prefix}.{part}");
    let take = |part: &str, shape: &[usize]| {
        let name = name(part);
        values(&name, &file.tensor(&name)?, shape)
    };
    if let Ok(weight) = file.tensor(&name("weight")) {
        let outputs = weight.shape().first().copied().unwrap_or_default();
        let dense = DenseWeights {
            inputs,
            outputs,
            weights: take("weight", &[outputs, inputs])?,
            biases: take("bias", &[outputs])?,
        };
        return Ok(Some(LayerWeights::Dense(dense, Activation::Identity)));
    }
    if let Ok(weight) = file.tensor(&name("input_weight")) {
        let hidden = weight.shape().first().copied().unwrap_or_default() / 3;
        return Ok(Some(LayerWeights::Gru(GruWeights {
            inputs,
            hidden,
            input: take("input_weight", &[3 * hidden, inputs])?,
            recurrent: take("recurrent_weight", &[3 * hidden, hidden])?,
            input_bias: take("input_bias", &[3 * hidden])?,
            recurrent_bias_n: take("recurrent_bias", &[hidden])?,
        })));
    }
    Ok(None)
}

/// Sets what a word such as `agent.0.layer.1=relu` says; nothing where it says nothing.
fn set_activation(networks: &mut [NetworkWeights], word: &str) -> Option<()> {
    let (place, found) = word.split_once('=')?;
    let [_, agent, _, layer] = place.split('.').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (agent, layer) = (agent.parse().ok()?, layer.parse().ok()?);
    if prefix(agent, layer) != place {
        return None;
    }
    let LayerWeights::Dense(_, activation) = networks.get_mut(agent)?.layers.get_mut(layer)? else {
        return None;
    };
    let known = Activation::ALL.into_iter();
    *activation = known
        .into_iter()
        .find(|&known| activation_word(known) == found)?;
    Some(())
}

fn prefix(agent: usize, layer: usize) -> String {
    format!("agent.{agent}.layer.{layer}")
}

/// What a dense layer's outputs go through where nothing else is said.
fn usual(layer: usize, last: usize) -> Activation {
    if layer == last {
        Activation::Identity
    } else {
        Activation::Tanh
    }
}

/// An activation's name, as everywhere.
pub fn activation_word(activation: Activation) -> &'static str {
    match activation {
        Activation::Identity => "identity",
        Activation::Relu => "relu",
        Activation::Tanh => "tanh",
        Activation::Sigmoid => "sigmoid",
        Activation::Silu => "silu",
    }
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

    fn dense(inputs: usize, outputs: usize) -> DenseWeights {
        DenseWeights {
            inputs,
            outputs,
            weights: (0..inputs * outputs).map(|k| k as f32 / 3.0).collect(),
            biases: (0..outputs).map(|k| -(k as f32)).collect(),
        }
    }

    fn networks() -> (TeamSpec, Vec<NetworkWeights>) {
        let agent = AgentSpec::discrete;
        let spec = TeamSpec::new(vec![agent(3, 2), agent(1, 4)], 1);
        (
            spec,
            vec![
                NetworkWeights::mlp(vec![dense(3, 5), dense(5, 2)]),
                NetworkWeights::mlp(vec![dense(1, 5), dense(5, 4)]),
            ],
        )
    }

    /// An agent with every kind of layer, unusual activations and a gaussian head.
    fn unusual() -> (TeamSpec, Vec<NetworkWeights>) {
        let numbers = |count: usize| (0..count).map(|k| k as f32 / 7.0).collect::<Vec<_>>();
        let gru = GruWeights {
            inputs: 4,
            hidden: 5,
            input: numbers(60),
            recurrent: numbers(75),
            input_bias: numbers(15),
            recurrent_bias_n: numbers(5),
        };
        let network = NetworkWeights {
            layers: vec![
                LayerWeights::Dense(dense(3, 4), Activation::Relu),
                LayerWeights::Gru(gru),
                LayerWeights::Dense(dense(5, 6), Activation::Tanh),
                LayerWeights::Dense(dense(6, 2), Activation::Silu),
            ],
            head: HeadWeights::Gaussian {
                log_std: vec![-1.0, 0.5],
            },
        };
        let agent = AgentSpec {
            observation: 3,
            actions: crate::env::ActionSpace::Continuous(2),
        };
        (TeamSpec::new(vec![agent; 2], 9), vec![network; 2])
    }

    #[test]
    fn weights_come_back_bit_for_bit() {
        let (spec, mut squashed) = unusual();
        squashed.iter_mut().for_each(NetworkWeights::squash);
        for (spec, networks) in [networks(), unusual(), (spec, squashed)] {
            assert_eq!(parse(&serialise(&networks), &spec).unwrap(), networks);
            assert_eq!(serialise(&networks), serialise(&networks));
        }
    }

    #[test]
    fn recurrent_defects_are_named() {
        let message = |change: &dyn Fn(&mut NetworkWeights)| {
            let (spec, mut networks) = unusual();
            change(&mut networks[1]);
            parse(&serialise(&networks), &spec).unwrap_err().to_string()
        };
        let defect = message(&|network| {
            let LayerWeights::Gru(gru) = &mut network.layers[1] else {
                panic!("a recurrent layer")
            };
            gru.inputs = 3;
            gru.input.truncate(45);
        });
        let expected = "agent.1.layer.1.input_weight: found F32 [15, 3], expected F32 [15, 4]";
        assert_eq!(defect, expected);
        let defect = message(&|network| {
            network.head = HeadWeights::Gaussian {
                log_std: vec![0.0; 3],
            };
        });
        assert_eq!(defect, "agent.1.log_std: found F32 [3], expected F32 [2]");
        for (word, sound) in [
            ("agent.0.layer.2=relu", true),
            ("agent.0.layer.1=relu", false),
            ("agent.0.layer.9=relu", false),
            ("agent.2.layer.0=relu", false),
            ("agent.0.layer.0=elu", false),
            ("agent.0.layer.00=relu", false),
            ("", false),
        ] {
            let (_, mut networks) = unusual();
            assert_eq!(
                set_activation(&mut networks, word).is_some(),
                sound,
                "{word}"
            );
        }
    }

    #[test]
    fn defects_are_named() {
        let (spec, mut networks) = networks();
        let message = |networks: &[NetworkWeights]| {
            parse(&serialise(networks), &spec).unwrap_err().to_string()
        };
        let whole = serialise(&networks);
        assert!(parse(&whole[..whole.len() - 1], &spec).is_err());
        let LayerWeights::Dense(last, _) = &mut networks[1].layers[1] else {
            panic!("a dense layer")
        };
        last.inputs = 4;
        last.weights.truncate(16);
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
