//! A team folder, checked as it is loaded: what a workstation hands over and what acts.
//!
//! ```text
//! team.toml             what the team is and what it earned: the manifest
//! agent-<i>.image       one policy image an agent
//! agent-<i>.golden.json observations with the logits and actions that every device must give
//! weights.safetensors   the same networks for other tools, by names such as agent.0.layer.1.weight
//! config.toml           everything needed to train it again
//! README.md             the card
//! shared-seed.key       the key of its shared seed, where it has one
//! ```

mod actor;
mod actors;
mod controller;
#[cfg(test)]
pub(crate) mod episodes;
mod key;
mod manifest;
mod traces;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use consort_runtime::{Head, Image, ImageError, Per, Seeding};

pub use actor::{Actor, Decision};
pub use actors::{Actors, AlignedImage, Choice, EpisodeReturns};
pub use key::{KEY, TeamKey};
pub use manifest::{AgentEntry, FORMAT, Manifest, Returns, SharedSeedEntry, Versions};
pub use traces::Seen;

use crate::env::{ActionSpace, Task, TaskError};

/// File name of a run's configuration, and of the copy in its team.
pub const CONFIG: &str = "config.toml";
/// The weights' file name.
pub const WEIGHTS: &str = "weights.safetensors";
/// The manifest's file name.
pub const MANIFEST: &str = "team.toml";

/// Why a folder is not a team.
#[derive(Debug, thiserror::Error)]
pub enum TeamError {
    /// Nothing is there.
    #[error("{}: no such file or folder, expected a run or a team", path.display())]
    Missing {
        /// The path given.
        path: PathBuf,
    },
    /// Nothing is there, where an image would do as well.
    #[error("{}: no such file or folder, expected an image, a run or a team", path.display())]
    MissingImage {
        /// The path given.
        path: PathBuf,
    },
    /// A file of the team is not there.
    #[error("{}: no such file, expected {role} beside the rest of its team", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What it is to the team.
        role: String,
    },
    /// The folder is neither a run nor a team.
    #[error("{}: found neither `team.toml` nor `team/`, expected a run or a team", path.display())]
    NotATeam {
        /// The path given.
        path: PathBuf,
    },
    /// The run has no team yet.
    #[error(
        "{}: the run is unfinished; `consort train --config {}/config.toml --out {}` goes on with it",
        path.display(), path.display(), path.display()
    )]
    Unfinished {
        /// The run's folder.
        path: PathBuf,
    },
    /// A file of the team cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest is damaged.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        message: String,
    },
    /// An image is damaged.
    #[error("{}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The first check that fails.
        source: ImageError,
    },
    /// Two things that must agree do not.
    #[error("{}: found {what} {found}, expected {expected}", path.display())]
    Disagrees {
        /// The file.
        path: PathBuf,
        /// What is compared.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What the rest of the team says.
        expected: String,
    },
    /// The team's task is unknown.
    #[error("{}: {source}", path.display())]
    Task {
        /// The manifest.
        path: PathBuf,
        /// Why there is no such task.
        source: Box<TaskError>,
    },
}

/// A team, checked: every image parses and agrees with the manifest and with the task's spaces.
pub struct Team {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is.
    pub manifest: Manifest,
    /// What it was trained on.
    pub task: Task,
    /// Its agents.
    pub actors: Actors,
    /// The key of its shared seed, where it has one.
    pub key: Option<TeamKey>,
}

impl Team {
    /// Loads the team at `path`: a team's folder, or a run's that has finished.
    pub fn load(path: &Path) -> Result<Self, TeamError> {
        let folder = find(path)?;
        let manifest = Manifest::read(&folder.join(MANIFEST));
        let manifest = part(manifest, || "the manifest".to_owned())?;
        let task = manifest.task().map_err(|source| TeamError::Task {
            path: folder.join(MANIFEST),
            source: Box::new(source),
        })?;
        let entry = manifest.shared_seed.as_ref();
        let key = entry
            .map(|entry| {
                let key = TeamKey::read(&folder, &entry.fingerprint);
                part(key, || "the key of its shared seed".to_owned())
            })
            .transpose()?;
        let task = match key {
            Some(key) => task.with_team_key(key.seed()),
            None => task,
        };
        let agents = task.spec().agents.len();
        if manifest.agents.len() != agents {
            return Err(TeamError::Disagrees {
                path: folder.join(MANIFEST),
                what: "agents",
                found: manifest.agents.len().to_string(),
                expected: format!("{agents}, as in the task `{}`", manifest.task),
            });
        }
        let mut images = Vec::new();
        for (agent, entry) in manifest.agents.iter().enumerate() {
            let path = folder.join(&entry.image);
            let image = part(read_image(&path), || format!("the image of agent {agent}"))?;
            check_image(&path, &image.view(), &manifest, &task, agent)?;
            images.push(image);
        }
        Ok(Self {
            folder,
            manifest,
            task,
            actors: Actors::new(images),
            key,
        })
    }
}

/// The team's own folder: `path` or the `team/` in it. That its manifest can be read is left to
/// the reading.
fn find(path: &Path) -> Result<PathBuf, TeamError> {
    let owned = || path.to_owned();
    let holds = |name| path.join(name).exists();
    if !path.exists() {
        Err(TeamError::Missing { path: owned() })
    } else if holds(MANIFEST) || holds(WEIGHTS) {
        Ok(owned())
    } else if holds("team") {
        Ok(path.join("team"))
    } else if holds(CONFIG) {
        Err(TeamError::Unfinished { path: owned() })
    } else {
        Err(TeamError::NotATeam { path: owned() })
    }
}

/// Reads and checks one image.
pub fn read_image(path: &Path) -> Result<AlignedImage, TeamError> {
    AlignedImage::new(&read(path)?).map_err(|source| TeamError::Image {
        path: path.to_owned(),
        source,
    })
}

/// What was read from a file of a team, which is said to be that where it is not there.
pub(crate) fn part<T>(
    read: Result<T, TeamError>,
    role: impl FnOnce() -> String,
) -> Result<T, TeamError> {
    read.map_err(|error| match error {
        TeamError::Missing { path } => TeamError::Incomplete { path, role: role() },
        other => other,
    })
}

/// A file's bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TeamError> {
    fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => TeamError::Missing {
            path: path.to_owned(),
        },
        _ => TeamError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })
}

/// A shared seed, in words.
pub fn seeding_words(seeding: Option<Seeding>) -> String {
    match seeding {
        None => "none".to_owned(),
        Some(Seeding { symbols, per }) => {
            let per = match per {
                Per::Step => "a step",
                Per::Episode => "an episode",
            };
            format!("{symbols} symbols, one {per}")
        }
    }
}

/// Checks that an image is the one the manifest lists as agent `agent` of this task.
fn check_image(
    path: &Path,
    image: &Image<'_>,
    manifest: &Manifest,
    task: &Task,
    agent: usize,
) -> Result<(), TeamError> {
    let spec = task.spec().agents[agent];
    let entry = &manifest.agents[agent];
    let same = |what, found: String, expected: String| {
        if found == expected {
            return Ok(());
        }
        Err(TeamError::Disagrees {
            path: path.to_owned(),
            what,
            found,
            expected,
        })
    };
    same("team", image.team().to_string(), manifest.team.clone())?;
    same("agent", image.agent().to_string(), agent.to_string())?;
    same(
        "agents",
        image.agents().to_string(),
        manifest.agents.len().to_string(),
    )?;
    same(
        "checksum",
        format!("{:08x}", image.crc()),
        entry.crc.clone(),
    )?;
    let observation = image.observation_len().to_string();
    same(
        "observations of length",
        observation.clone(),
        spec.observation.to_string(),
    )?;
    let listed = entry.observation.to_string();
    same("observations of length", observation, listed)?;
    same(
        "outputs",
        image.output_len().to_string(),
        spec.actions.outputs().to_string(),
    )?;
    let actions = spec.actions.size().to_string();
    same("actions", actions, entry.actions.to_string())?;
    let of_image = match image.head() {
        Head::MultiDiscrete { sizes } => sizes.iter().map(|&size| size as usize).collect(),
        _ => Vec::new(),
    };
    let of_spec = match spec.actions {
        ActionSpace::Product(factors) => factors.sizes().to_vec(),
        _ => Vec::new(),
    };
    let of_image = format!("{of_image:?}");
    same(
        "groups of actions",
        of_image.clone(),
        format!("{of_spec:?}"),
    )?;
    same(
        "groups of actions",
        of_image,
        format!("{:?}", entry.factors),
    )?;
    same(
        "a shared seed of",
        seeding_words(image.seeding()),
        seeding_words(task.seeding()),
    )?;
    let continuous = |continuous| if continuous { "vectors" } else { "numbers" }.to_owned();
    let spec_continuous = continuous(spec.actions.is_continuous());
    let image_continuous = continuous(image.head().is_continuous());
    same(
        "actions that are",
        image_continuous.clone(),
        spec_continuous,
    )?;
    let listed = continuous(entry.continuous);
    same("actions that are", image_continuous, listed)?;
    let precision = |integer| if integer { "i8" } else { "f32" }.to_owned();
    let listed = precision(manifest.quantisation.is_some());
    same("precision", precision(image.is_integer()), listed)?;
    let recurrent = |recurrent| if recurrent { "a state" } else { "no state" }.to_owned();
    let found = recurrent(image.state_len() > 0);
    same("a policy with", found, recurrent(entry.recurrent))?;
    match entry.memory {
        Some(memory) => same(
            "values of memory",
            image.memory_len().to_string(),
            memory.to_string(),
        ),
        None => Ok(()),
    }
}
