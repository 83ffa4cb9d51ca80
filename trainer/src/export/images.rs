//! From networks to images.

use consort_runtime::{DenseRepr, GruRepr, Head, ImageRepr, LayerRepr, Seeding, TeamId};

use super::ExportError;
use crate::net::{HeadWeights, LayerWeights, NetworkWeights};
use crate::quantise::IntegerNetwork;
use crate::team::{Actors, AlignedImage};

/// What the images of a team say alike.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub(super) team: TeamId,
    /// The time between two steps in training, in µs; 0 where the task is not periodic.
    pub(super) period_us: u32,
    pub(super) revision: u32,
    pub(super) seeding: Option<Seeding>,
}

/// Agents that act from images of `networks`, not yet part of any team.
pub fn actors(networks: &[NetworkWeights]) -> Result<Actors, ExportError> {
    actors_for(networks, None)
}

/// The same for a team with a shared seed, if it has one.
pub fn actors_for(
    networks: &[NetworkWeights],
    seeding: Option<Seeding>,
) -> Result<Actors, ExportError> {
    let stamp = Stamp {
        team: TeamId([0; 16]),
        period_us: 0,
        revision: 1,
        seeding,
    };
    Ok(Actors::new(emit(stamp, networks)?))
}

/// One image an agent.
pub(super) fn emit(
    stamp: Stamp,
    networks: &[NetworkWeights],
) -> Result<Vec<AlignedImage>, ExportError> {
    let one = |(agent, network): (usize, &NetworkWeights)| {
        let layers: Vec<LayerRepr<'_>> = network.layers.iter().map(layer).collect();
        let place = [agent, networks.len()];
        image(stamp, place, &network.head, network.outputs(), &layers)
    };
    networks.iter().enumerate().map(one).collect()
}

/// An agent's image in whole numbers.
pub(super) fn emit_integer(
    stamp: Stamp,
    place: [usize; 2],
    network: &IntegerNetwork,
) -> Result<AlignedImage, ExportError> {
    let (head, outputs) = network.head();
    image(stamp, place, head, outputs, &network.layers())
}

/// The image of one agent out of so many.
fn image(
    stamp: Stamp,
    [agent, agents]: [usize; 2],
    head: &HeadWeights,
    outputs: usize,
    layers: &[LayerRepr<'_>],
) -> Result<AlignedImage, ExportError> {
    let wrong = |source| ExportError::Emit { agent, source };
    let repr = ImageRepr {
        team: stamp.team,
        agent: agent as u16,
        agents: agents as u16,
        revision: stamp.revision,
        period_us: stamp.period_us,
        seeding: stamp.seeding,
        head: match head {
            HeadWeights::Categorical => Head::Categorical { actions: outputs },
            HeadWeights::Deterministic => Head::Deterministic { outputs },
            HeadWeights::Gaussian { log_std } => Head::Gaussian { log_std },
            HeadWeights::MultiDiscrete { sizes } => Head::MultiDiscrete { sizes },
        },
        layers,
    };
    let mut bytes = vec![0; repr.emitted_len().map_err(wrong)?];
    repr.emit(&mut bytes).map_err(wrong)?;
    Ok(AlignedImage::new(&bytes).expect("an emitted image passes its own checks"))
}

pub(crate) fn layer(layer: &LayerWeights) -> LayerRepr<'_> {
    match layer {
        LayerWeights::Dense(layer, activation) => LayerRepr::Dense(DenseRepr {
            inputs: layer.inputs,
            outputs: layer.outputs,
            activation: *activation,
            weights: &layer.weights,
            biases: &layer.biases,
        }),
        LayerWeights::Gru(layer) => LayerRepr::Gru(GruRepr {
            inputs: layer.inputs,
            hidden: layer.hidden,
            input: &layer.input,
            recurrent: &layer.recurrent,
            input_bias: &layer.input_bias,
            recurrent_bias_n: &layer.recurrent_bias_n,
        }),
    }
}
