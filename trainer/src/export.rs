//! From trained networks to a team folder.
//!
//! The team's identifier is made of what the team is: the first 16 bytes of the SHA-256 of
//! `config.toml` followed by `weights.safetensors`. So `cat config.toml weights.safetensors |
//! sha256sum` names the team in its folder, and a changed weight or setting is a different team.

mod card;
mod golden;
mod images;
mod round;
mod sign;
mod weights;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use consort_runtime::{EmitError, FORMAT_VERSION, StepError, TeamId};
use sha2::{Digest, Sha256};

use crate::atomic::{PendingFolder, WriteError};
use crate::config::{ArmName, Config, Method};
use crate::env::{ActionSpace, Game, Task};
use crate::net::NetworkWeights;
use crate::quantise::QuantiseError;
use crate::team::{
    Actors, AgentEntry, AlignedImage, CONFIG, Choice, FORMAT, KEY, MANIFEST, Manifest, Returns,
    SharedSeedEntry, Team, TeamError, TeamKey, Versions, WEIGHTS, part, read,
};

pub use images::{actors, actors_for};
pub use round::{FineTuned, FineTuning};
pub use sign::sign;
pub use weights::{WeightsError, activation_word};

use images::Stamp;
#[cfg(test)]
pub(crate) use images::layer;
use round::{Rounded, round};

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
    /// Fine-tuning was asked for where nothing is rounded.
    #[error(
        "--fine-tune: found a team in f32, expected one in whole numbers: add `--precision i8`"
    )]
    NothingToTune,
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
    #[error("{}: found bytes that are not UTF-8, expected TOML", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
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
            | Self::NotText { .. }
            | Self::Weights { .. }
            | Self::NoSharedSeed
            | Self::NothingToTune
            | Self::Quantise { .. } => true,
            Self::Write(error) => error.is_bad_path(),
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
    let origin = Origin {
        settings: config.to_toml(),
        task: config.task.clone(),
        method: config.method,
        seed: config.seed,
        command: config.command(),
        act: config.act,
        horizon: config.horizon,
        model: config.model.clone(),
        game: config.game.clone(),
        commit: option_env!("CONSORT_COMMIT").map(str::to_owned),
        facts,
    };
    let form = Form {
        precision: Precision::F32,
        fine_tuning: FineTuning::default(),
        period_us: task.spec().period_us,
        revision: 1,
        key: task.seeding().map(|_| TeamKey::of_run(config.seed)),
    };
    write(destination, &origin, task, networks, form)
}

/// Where a team comes from: what an export only repeats.
struct Origin {
    /// The text of its `config.toml`.
    settings: String,
    task: String,
    method: Method,
    seed: u64,
    command: String,
    act: Choice,
    horizon: Option<usize>,
    model: Option<String>,
    game: Option<Game>,
    commit: Option<String>,
    facts: Facts,
}

/// What its images are made to be.
#[derive(Clone, Copy)]
struct Form {
    precision: Precision,
    fine_tuning: FineTuning,
    period_us: u32,
    revision: u32,
    key: Option<TeamKey>,
}

fn write(
    destination: &Path,
    origin: &Origin,
    task: &Task,
    networks: &[NetworkWeights],
    form: Form,
) -> Result<Team, ExportError> {
    let key = form.key;
    // What is judged and recorded is what devices with this key see.
    let task = &match key {
        Some(key) => task.clone().with_team_key(key.seed()),
        None => task.clone(),
    };
    let weights = weights::serialise(networks);
    let stamp = Stamp {
        team: team_id(origin.settings.as_bytes(), &weights),
        period_us: form.period_us,
        revision: form.revision,
        seeding: task.seeding(),
    };
    let exact = Actors::new(images::emit(stamp, networks)?);
    let (actors, quantisation, fine_tuned) = match form.precision {
        Precision::F32 => (exact, None, None),
        Precision::I8 => {
            let (act, seed) = (origin.act, origin.seed);
            let Rounded {
                actors,
                comparison,
                fine_tuned,
            } = round(stamp, &exact, networks, task, act, seed, form.fine_tuning)?;
            (actors, Some(comparison), fine_tuned)
        }
    };
    let manifest = Manifest {
        quantisation,
        fine_tuned,
        ..manifest(origin, task, stamp.team, &actors, key)?
    };

    let mut folder = PendingFolder::new(destination).map_err(taken)?;
    folder.write(CONFIG, origin.settings.as_bytes())?;
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

/// What is to change when a team is exported again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    /// The images' numbers.
    pub precision: Option<Precision>,
    /// When networks in whole numbers are fine-tuned; where nothing is said, again where they were.
    pub fine_tuning: Option<FineTuning>,
    /// The time between two steps that the images state, in µs; 0: the task is not periodic.
    pub period_us: Option<u32>,
    /// Whether its shared seed gets a key that nobody can foresee.
    pub new_key: bool,
}

/// Writes the team at `source`, a finished run or a team, to `destination`, from its weights: the same team, and where nothing changes
/// the same images, of the same revision, but not signed. Its settings are copied and not read, so that they may be those of another version.
pub fn export_again(
    source: &Path,
    destination: &Path,
    changes: Changes,
) -> Result<Team, ExportError> {
    let Team {
        folder,
        manifest,
        task,
        actors,
        key,
    } = Team::load(source)?;
    let precision = changes.precision.unwrap_or(match manifest.quantisation {
        Some(_) => Precision::I8,
        None => Precision::F32,
    });
    if precision == Precision::F32 && changes.fine_tuning.is_some() {
        return Err(ExportError::NothingToTune);
    }
    let form = Form {
        precision,
        fine_tuning: changes.fine_tuning.unwrap_or(match manifest.fine_tuned {
            Some(_) => FineTuning::Always,
            None => FineTuning::Needed,
        }),
        period_us: (changes.period_us).unwrap_or_else(|| actors.period_us()),
        // Devices do not go back from the highest they have had.
        revision: actors.revision(),
        key: match (key, changes.new_key) {
            (None, true) => return Err(ExportError::NoSharedSeed),
            (Some(_), true) => Some(TeamKey::fresh().map_err(ExportError::Key)?),
            (key, false) => key,
        },
    };
    let settings = folder.join(CONFIG);
    let text = part(read(&settings), || "its settings".to_owned())?;
    let path = folder.join(WEIGHTS);
    let weights = part(read(&path), || "its weights".to_owned())?;
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
    let text = String::from_utf8(text).map_err(|_| ExportError::NotText { path: settings })?;
    let networks = weights::parse(&weights, &task.spec())
        .map_err(|source| ExportError::Weights { path, source })?;
    let Returns {
        joint,
        product,
        greedy,
        ..
    } = manifest.returns;
    let origin = Origin {
        settings: text,
        task: manifest.task,
        method: manifest.method,
        seed: manifest.seed,
        command: manifest.command,
        act: manifest.act,
        horizon: manifest.horizon,
        model: manifest.model,
        game: manifest.game,
        commit: manifest.commit,
        facts: Facts {
            arm: manifest.arm,
            arm_index: manifest.arm_index,
            env_steps: manifest.env_steps,
            joint,
            product: Some([product, greedy]),
        },
    };
    write(destination, &origin, &task, &networks, form)
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

fn manifest(
    origin: &Origin,
    task: &Task,
    id: TeamId,
    actors: &Actors,
    key: Option<TeamKey>,
) -> Result<Manifest, StepError> {
    let facts = origin.facts;
    let episodes = judging_episodes(task.spec().horizon);
    let value = |choice| match actors.exact_value(task, choice)? {
        Some(exact) => Ok((exact, None)),
        None => (actors.play(task, episodes, origin.seed, choice))
            .map(|returns| (returns.mean, returns.interval())),
    };
    let (exported, exported_interval) = value(origin.act)?;
    let [product, greedy] = match (facts.product, origin.act) {
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
        task: origin.task.clone(),
        method: origin.method,
        seed: origin.seed,
        env_steps: facts.env_steps,
        arm: facts.arm,
        arm_index: facts.arm_index,
        command: origin.command.clone(),
        act: origin.act,
        optimum: task.optimum(),
        horizon: origin.horizon,
        model: origin.model.clone(),
        commit: origin.commit.clone(),
        returns: Returns {
            joint: facts.joint,
            product,
            greedy,
            exported,
            exported_interval,
        },
        quantisation: None,
        fine_tuned: None,
        versions: Versions {
            consort: env!("CARGO_PKG_VERSION").to_owned(),
            image_format: FORMAT_VERSION,
        },
        shared_seed: (key.zip(task.seeding())).map(|(key, seeding)| SharedSeedEntry {
            symbols: seeding.symbols.into(),
            per: seeding.per.into(),
            fingerprint: key.fingerprint(),
        }),
        agents: actors.images().iter().enumerate().map(entry).collect(),
        game: origin.game.clone(),
    })
}
