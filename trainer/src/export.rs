//! From trained networks to a team folder.
//!
//! The team's identifier is made of what the team is: the first 16 bytes of the SHA-256 of
//! `config.toml` followed by `weights.safetensors`. So `cat config.toml weights.safetensors |
//! sha256sum` names the team in its folder, and a changed weight or setting is a different team.

mod card;
mod golden;
mod sign;
mod weights;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use consort_runtime::{DenseRepr, EmitError, FORMAT_VERSION, GruRepr, Head, ImageRepr};
use consort_runtime::{LayerRepr, Seeding, StepError, TeamId};
use sha2::{Digest, Sha256};

use crate::atomic::{PendingFolder, WriteError};
use crate::config::{ArmName, Config, ConfigError, Layers};
use crate::env::{ActionSpace, Task};
use crate::net::{HeadWeights, LayerWeights, NetworkWeights};
use crate::quantise::{CALIBRATION_STEPS, Comparison, IntegerNetwork, QuantiseError, compare};
use crate::team::{
    Actors, AgentEntry, AlignedImage, CONFIG, Choice, FORMAT, KEY, MANIFEST, Manifest, Returns,
    SharedSeedEntry, Team, TeamError, TeamKey, Versions, WEIGHTS, read,
};

pub use sign::sign;
pub use weights::{WeightsError, activation_word};

/// Most steps of the episodes by which images are judged where they have no exact value, were all
/// as long as can be; most of those episodes, and fewest whatever their length.
const JUDGED: [usize; 3] = [200_000, 10_000, 100];

/// Episodes by which images are judged where they have no exact value, in a task whose episodes
/// have at most `horizon` steps.
pub fn judging_episodes(horizon: usize) -> usize {
    let [steps, most, fewest] = JUDGED;
    (steps / horizon.max(1)).clamp(fewest, most)
}

/// Why a team cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A network that no image can hold: training diverged.
    #[error("agent {agent}: its network cannot be an image: {source}")]
    Emit {
        /// The agent.
        agent: usize,
        /// What is wrong with it.
        source: EmitError,
    },
    /// A network that no integer image can hold.
    #[error("agent {agent}: its network cannot be in whole numbers: {source}")]
    Quantise {
        /// The agent.
        agent: usize,
        /// What is wrong with it.
        source: QuantiseError,
    },
    /// An exported agent cannot act.
    #[error("an exported agent cannot act: {0}")]
    Step(#[from] StepError),
    /// The destination holds something.
    #[error("--out {}: found something there already, expected a new or an empty folder", path.display())]
    Taken {
        /// The destination.
        path: PathBuf,
    },
    /// A new key was asked for where there is no shared seed.
    #[error(
        "--new-key: found a team without a shared seed, expected one of `consort train --shared-seed`"
    )]
    NoSharedSeed,
    /// The operating system has no random numbers to make a key of.
    #[error("no key can be made: {0}")]
    Key(getrandom::Error),
    /// The run's team is damaged.
    #[error(transparent)]
    Team(#[from] TeamError),
    /// The run's configuration is damaged.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The run's weights are damaged.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: WeightsError,
    },
    /// The machine refused to write.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ExportError {
    /// Whether what was given is at fault, not the machine or the training.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Taken { .. }
            | Self::Team(_)
            | Self::Config(_)
            | Self::Weights { .. }
            | Self::NoSharedSeed
            | Self::Quantise { .. } => true,
            Self::Write(error) => error.is_bad_name(),
            Self::Emit { .. } | Self::Step(_) | Self::Key(_) => false,
        }
    }
}

/// What an image's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// `f32`, as training has them.
    F32,
    /// Whole numbers: int8 weights.
    I8,
}

/// What is known of a team beside its configuration and its networks.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The arm that it comes from.
    pub arm: ArmName,
    /// That arm's place in the portfolio.
    pub arm_index: usize,
    /// Environment steps of the whole run.
    pub env_steps: u64,
    /// J(π_J), where the arm has a joint policy: exact in a game that can be enumerated, else its
    /// mean over the episodes of the curve.
    pub joint: Option<f64>,
    /// J(∏ π_i) and its greedy version by the trainer's arithmetic, where the game can be
    /// enumerated; the images say it themselves in anything else.
    pub product: Option<[f64; 2]>,
}

/// Writes the folder of a freshly trained team: all of it, or nothing.
///
/// `networks`: one an agent.
pub fn export(
    destination: &Path,
    config: &Config,
    task: &Task,
    networks: &[NetworkWeights],
    facts: Facts,
) -> Result<Team, ExportError> {
    let key = task.seeding().map(|_| TeamKey::of_run(config.seed));
    write(
        destination,
        config,
        task,
        networks,
        facts,
        Precision::F32,
        key,
    )
}

#[allow(clippy::too_many_arguments, reason = "what a team is made of")]
fn write(
    destination: &Path,
    config: &Config,
    task: &Task,
    networks: &[NetworkWeights],
    facts: Facts,
    precision: Precision,
    key: Option<TeamKey>,
) -> Result<Team, ExportError> {
    // What is judged and recorded is what devices with this key see.
    let task = &match key {
        Some(key) => task.clone().with_team_key(key.seed()),
        None => task.clone(),
    };
    let weights = weights::serialise(networks);
    let settings = config.to_toml();
    let id = team_id(settings.as_bytes(), &weights);
    let exact = Actors::new(emit(id, networks, task.seeding())?);
    let (actors, quantisation) = match precision {
        Precision::F32 => (exact, None),
        Precision::I8 => {
            let (rounded, comparison) = round(id, &exact, networks, task, config)?;
            (rounded, Some(comparison))
        }
    };
    let manifest = Manifest {
        quantisation,
        ..manifest(config, task, id, &actors, facts, key)?
    };

    let mut folder = PendingFolder::new(destination).map_err(taken)?;
    folder.write(CONFIG, settings.as_bytes())?;
    let goldens = golden::record(&manifest, task, &actors, key)?;
    for (agent, (image, golden)) in std::iter::zip(actors.images(), goldens).enumerate() {
        let name = golden_name(agent);
        match key {
            // It quotes the key.
            Some(_) => folder.write_secret(&name, golden.as_bytes())?,
            None => folder.write(&name, golden.as_bytes())?,
        }
        folder.write(&manifest.agents[agent].image, image.bytes())?;
    }
    folder.write(WEIGHTS, &weights)?;
    if let Some(key) = key {
        folder.write_secret(KEY, key.text().as_bytes())?;
    }
    let card = card::write(&manifest, task, &actors);
    folder.write("README.md", card.as_bytes())?;
    folder.write(MANIFEST, manifest.to_toml().as_bytes())?;
    // The manifest last: where it is, the team is whole.
    folder.commit().map_err(taken)?;
    Ok(Team {
        folder: destination.to_owned(),
        manifest,
        task: task.clone(),
        actors,
        key,
    })
}

/// The file name of an agent's golden sequence.
fn golden_name(agent: usize) -> String {
    format!("agent-{agent}.golden.json")
}

/// Something has the destination's name.
fn taken(error: WriteError) -> ExportError {
    match error.source.kind() {
        ErrorKind::AlreadyExists => ExportError::Taken { path: error.path },
        _ => error.into(),
    }
}

/// Agents of `exact`'s networks in whole numbers, calibrated on that team's own episodes, and what rounding
/// changed.
fn round(
    id: TeamId,
    exact: &Actors,
    networks: &[NetworkWeights],
    task: &Task,
    config: &Config,
) -> Result<(Actors, Comparison), ExportError> {
    let seed = config.seed;
    let drawn = exact.traces(task, CALIBRATION_STEPS, seed, Choice::Sampled)?;
    let greedy = exact.traces(task, CALIBRATION_STEPS, seed, Choice::Greedy)?;
    let mut images = Vec::new();
    for (agent, network) in networks.iter().enumerate() {
        let seen = [drawn[agent].as_slice(), &greedy[agent]].concat();
        let integer = IntegerNetwork::new(network, &seen)
            .map_err(|source| ExportError::Quantise { agent, source })?;
        let (head, outputs) = integer.head();
        let place = Place {
            team: id,
            agent,
            agents: networks.len(),
            seeding: task.seeding(),
        };
        images.push(image(place, head, outputs, &integer.layers())?);
    }
    let rounded = Actors::new(images);
    // Other episodes than those that calibrated.
    let unseen = exact.traces(task, CALIBRATION_STEPS, seed + 1, config.act)?;
    let episodes = judging_episodes(task.spec().horizon);
    let comparison = compare(exact, &rounded, task, config.act, &unseen, episodes, seed)?;
    Ok((rounded, comparison))
}

/// Writes the team at `source`, a finished run or a team, to `destination`, from its weights, as images of
/// this precision, or of the one they have; with a key of its shared seed that nobody can foresee, where `new_key` asks for one.
pub fn export_again(
    source: &Path,
    destination: &Path,
    precision: Option<Precision>,
    new_key: bool,
) -> Result<Team, ExportError> {
    let Team {
        folder,
        manifest,
        key,
        ..
    } = Team::load(source)?;
    let key = match (key, new_key) {
        (None, true) => return Err(ExportError::NoSharedSeed),
        (Some(_), true) => Some(TeamKey::fresh().map_err(ExportError::Key)?),
        (key, false) => key,
    };
    let precision = precision.unwrap_or(match manifest.quantisation {
        Some(_) => Precision::I8,
        None => Precision::F32,
    });
    let path = folder.join(CONFIG);
    let text = read(&path)?;
    let mut layers = Layers::new();
    layers.file(&path)?;
    let (config, task) = layers.resolve()?;

    let path = folder.join(WEIGHTS);
    let weights = read(&path)?;
    let found = team_id(&text, &weights).to_string();
    if found != manifest.team {
        return Err(TeamError::Disagrees {
            path,
            what: "weights and config.toml that hash to",
            found,
            expected: manifest.team,
        }
        .into());
    }
    let networks = weights::parse(&weights, &task.spec())
        .map_err(|source| ExportError::Weights { path, source })?;
    let Returns {
        joint,
        product,
        greedy,
        ..
    } = manifest.returns;
    let facts = Facts {
        arm: manifest.arm,
        arm_index: manifest.arm_index,
        env_steps: manifest.env_steps,
        joint,
        product: Some([product, greedy]),
    };
    write(
        destination,
        &config,
        &task,
        &networks,
        facts,
        precision,
        key,
    )
}

/// The identifier of a team: see the [module](self).
fn team_id(config: &[u8], weights: &[u8]) -> TeamId {
    let hash = Sha256::new()
        .chain_update(config)
        .chain_update(weights)
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    TeamId(id)
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
    Ok(Actors::new(emit(TeamId([0; 16]), networks, seeding)?))
}

/// One image an agent.
fn emit(
    team: TeamId,
    networks: &[NetworkWeights],
    seeding: Option<Seeding>,
) -> Result<Vec<AlignedImage>, ExportError> {
    let agents = networks.len();
    let one = |(agent, network): (usize, &NetworkWeights)| {
        let layers: Vec<LayerRepr<'_>> = network.layers.iter().map(layer).collect();
        let place = Place {
            team,
            agent,
            agents,
            seeding,
        };
        image(place, &network.head, network.outputs(), &layers)
    };
    networks.iter().enumerate().map(one).collect()
}

/// Whose image it is.
#[derive(Clone, Copy)]
struct Place {
    team: TeamId,
    agent: usize,
    agents: usize,
    seeding: Option<Seeding>,
}

fn image(
    place: Place,
    head: &HeadWeights,
    outputs: usize,
    layers: &[LayerRepr<'_>],
) -> Result<AlignedImage, ExportError> {
    let Place {
        team,
        agent,
        agents,
        seeding,
    } = place;
    let wrong = |source| ExportError::Emit { agent, source };
    let repr = ImageRepr {
        team,
        agent: agent as u16,
        agents: agents as u16,
        revision: 1,
        period_us: 0,
        seeding,
        head: match head {
            HeadWeights::Categorical => Head::Categorical { actions: outputs },
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

fn manifest(
    config: &Config,
    task: &Task,
    id: TeamId,
    actors: &Actors,
    facts: Facts,
    key: Option<TeamKey>,
) -> Result<Manifest, StepError> {
    let episodes = judging_episodes(task.spec().horizon);
    let value = |choice| match actors.exact_value(task, choice)? {
        Some(exact) => Ok((exact, None)),
        None => (actors.play(task, episodes, config.seed, choice))
            .map(|returns| (returns.mean, returns.interval())),
    };
    let (exported, exported_interval) = value(config.act)?;
    let [product, greedy] = match (facts.product, config.act) {
        (Some(product), _) => product,
        (None, Choice::Greedy) => [value(Choice::Sampled)?.0, exported],
        (None, Choice::Sampled) => [exported, value(Choice::Greedy)?.0],
    };
    let entry = |(agent, image): (usize, &AlignedImage)| AgentEntry {
        image: format!("agent-{agent}.image"),
        crc: format!("{:08x}", image.view().crc()),
        observation: image.view().observation_len(),
        actions: task.spec().agents[agent].actions.size(),
        factors: match task.spec().agents[agent].actions {
            ActionSpace::Product(factors) => factors.sizes().to_vec(),
            _ => Vec::new(),
        },
        memory: Some(image.view().memory_len()),
        recurrent: image.view().state_len() > 0,
        continuous: image.view().head().is_continuous(),
    };
    Ok(Manifest {
        format: FORMAT,
        team: id.to_string(),
        task: config.task.clone(),
        method: config.method,
        seed: config.seed,
        env_steps: facts.env_steps,
        arm: facts.arm,
        arm_index: facts.arm_index,
        command: config.command(),
        act: config.act,
        optimum: task.optimum(),
        horizon: config.horizon,
        model: config.model.clone(),
        commit: option_env!("CONSORT_COMMIT").map(str::to_owned),
        returns: Returns {
            joint: facts.joint,
            product,
            greedy,
            exported,
            exported_interval,
        },
        quantisation: None,
        versions: Versions {
            consort: env!("CARGO_PKG_VERSION").to_owned(),
            image_format: FORMAT_VERSION,
        },
        shared_seed: key.map(|key| SharedSeedEntry {
            symbols: config.shared_seed.symbols,
            per: config.shared_seed.per,
            fingerprint: key.fingerprint(),
        }),
        agents: actors.images().iter().enumerate().map(entry).collect(),
        game: config.game.clone(),
    })
}
