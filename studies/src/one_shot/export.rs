//! From networks in memory to agents that act from their images.

use anyhow::Result;
use consort_runtime::{Activation, DenseRepr, Head, ImageRepr, TeamId};
use consort_trainer::net::DenseWeights;
use consort_trainer::team::{Actors, AlignedImage};

/// Agents that act from images of `networks`, as an export would write them.
pub(super) fn actors(networks: &[Vec<DenseWeights>]) -> Result<Actors> {
    let agents = networks.iter().enumerate();
    let images: Result<_> = agents
        .map(|(agent, network)| image(networks.len(), agent, network))
        .collect();
    Ok(Actors::new(images?))
}

fn image(agents: usize, agent: usize, network: &[DenseWeights]) -> Result<AlignedImage> {
    let last = network.len() - 1;
    let layers: Vec<DenseRepr<'_>> = network
        .iter()
        .enumerate()
        .map(|(index, layer)| DenseRepr {
            inputs: layer.inputs,
            outputs: layer.outputs,
            activation: if index == last {
                Activation::Identity
            } else {
                Activation::Tanh
            },
            weights: &layer.weights,
            biases: &layer.biases,
        })
        .collect();
    let repr = ImageRepr {
        team: TeamId([0; 16]),
        agent: u16::try_from(agent)?,
        agents: u16::try_from(agents)?,
        revision: 1,
        period_us: 0,
        head: Head::Categorical {
            actions: network[last].outputs,
        },
        layers: &layers,
    };
    let mut bytes = vec![0; repr.emitted_len()?];
    repr.emit(&mut bytes)?;
    Ok(AlignedImage::new(&bytes)?)
}
