//! Run folders: where a run is written, and when one may be used again.
//!
//! ```text
//! config.toml     first: everything needed to repeat the run
//! metrics.jsonl   what was measured, arm by arm
//! curve.svg       what was learned, at one glance
//! team/           last, in one rename: where it is, the run is finished
//! ```

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::atomic::{self, PendingFolder, WriteError};
use crate::config::Config;

/// Why a folder cannot hold a run.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It holds something that must not be lost.
    #[error(
        "--out {}: found {holds}, expected a new folder, an empty one, or this very run unfinished",
        path.display()
    )]
    Taken {
        /// The folder.
        path: PathBuf,
        /// What is in it, in words.
        holds: String,
    },
    /// It cannot be there.
    #[error("{}: found a file on the way there, expected folders", path.display())]
    NoWay {
        /// The folder.
        path: PathBuf,
    },
    /// The same run is being made there by another process.
    #[error("--out {}: found this run being trained by another process, expected it alone", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The machine refused to write.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A run's folder, held by this process alone.
pub struct RunFolder {
    path: PathBuf,
    /// Locked until the run is over.
    _lock: File,
}

/// What a path holds already.
enum Found {
    Nothing,
    /// A file where a folder above it should be.
    NoWay,
    /// The same run, unfinished.
    Unfinished,
    Else(String),
}

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const CURVE: &str = "curve.svg";
const TEAM: &str = "team";

impl RunFolder {
    /// The folder of a run: `out`, or else `runs/<task>-<method>-seed<N>` with -2, -3, … where
    /// that name has gone to another run or to a finished one.
    ///
    /// The same run, unfinished (its process was killed), starts over in its own folder.
    pub fn open(config: &Config, out: Option<&Path>) -> Result<Self, FolderError> {
        if let Some(out) = out {
            return Self::claim(config, out);
        }
        let name = format!("{}-{}-seed{}", config.task, config.method, config.seed);
        let runs = Path::new("runs");
        let numbered = (2..).map(|number: u64| runs.join(format!("{name}-{number}")));
        let mut paths = std::iter::once(runs.join(&name)).chain(numbered);
        loop {
            let path = paths.next().expect("numbers do not run out");
            match Self::claim(config, &path) {
                Err(FolderError::Taken { .. } | FolderError::InUse { .. }) => {}
                result => return result,
            }
        }
    }

    fn claim(config: &Config, path: &Path) -> Result<Self, FolderError> {
        let text = config.to_toml();
        let taken = |holds| FolderError::Taken {
            path: path.to_owned(),
            holds,
        };
        match look(path, &text).map_err(WriteError::at(path))? {
            Found::NoWay => {
                let path = path.to_owned();
                return Err(FolderError::NoWay { path });
            }
            Found::Unfinished => {}
            Found::Else(holds) => return Err(taken(holds)),
            // The folder appears with its configuration in it, so that two processes that
            // want it at once cannot both have made it.
            Found::Nothing => {
                let pending = PendingFolder::new(path)?;
                pending.write(CONFIG, text.as_bytes())?;
                match pending.commit() {
                    Err(error) if error.source.kind() == ErrorKind::AlreadyExists => {
                        return Err(taken("another run that has just begun".to_owned()));
                    }
                    result => result?,
                }
            }
        }
        let config = path.join(CONFIG);
        let lock = File::open(&config).map_err(WriteError::at(&config))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = path.to_owned();
                return Err(FolderError::InUse { path });
            }
            Err(TryLockError::Error(error)) => return Err(WriteError::at(&config)(error).into()),
        }
        // Another process may have finished this very run between the look and the lock.
        if path.join(TEAM).exists() {
            return Err(taken("a finished run".to_owned()));
        }
        clear(path).map_err(WriteError::at(path))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its team will be.
    pub fn team(&self) -> PathBuf {
        self.path.join(TEAM)
    }

    /// Writes `metrics.jsonl`, one record a line.
    pub fn write_metrics<R: Serialize>(
        &self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<(), WriteError> {
        let mut text = String::new();
        for record in records {
            text += &serde_json::to_string(&record).expect("records are plain numbers");
            text.push('\n');
        }
        atomic::write(&self.path.join(METRICS), text.as_bytes())
    }

    /// Writes `curve.svg`.
    pub fn write_curve(&self, svg: &str) -> Result<(), WriteError> {
        atomic::write(&self.path.join(CURVE), svg.as_bytes())
    }
}

fn look(path: &Path, config: &str) -> std::io::Result<Found> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if error.kind() == ErrorKind::NotADirectory && path.exists() => {
            return Ok(Found::Else("a file".to_owned()));
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(Found::NoWay),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    let ours = |name: &str| [CONFIG, METRICS, CURVE].contains(&name) || atomic::is_temporary(name);
    if names.iter().any(|name| name == CONFIG) {
        if names.iter().any(|name| name == TEAM) {
            return Ok(Found::Else("a finished run".to_owned()));
        }
        if fs::read_to_string(path.join(CONFIG))? != config {
            return Ok(Found::Else("a run with another configuration".to_owned()));
        }
    } else {
        return Ok(Found::Else(format!("`{}`", names[0])));
    }
    Ok(match names.into_iter().find(|name| !ours(name)) {
        Some(name) => Found::Else(format!("`{name}`")),
        None => Found::Unfinished,
    })
}

/// Removes what an unfinished run left, but for its configuration.
fn clear(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == CONFIG {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(seed: u64) -> Config {
        Config {
            task: "assurance".to_owned(),
            seed,
            ..Config::default()
        }
    }

    fn open(folder: &Path, seed: u64) -> Result<RunFolder, FolderError> {
        RunFolder::open(&config(seed), Some(folder))
    }

    #[track_caller]
    fn refused(result: Result<RunFolder, FolderError>, expected: &str) {
        let message = result.err().expect("a refusal").to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }

    #[test]
    fn an_unfinished_run_starts_over_and_everything_else_stays() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        let run = open(&path, 0).unwrap();
        run.write_metrics([1, 2]).unwrap();
        assert_eq!(fs::read(path.join(METRICS)).unwrap(), b"1\n2\n");
        refused(open(&path, 0), "another process");
        drop(run);
        refused(open(&path, 1), "a run with another configuration");

        // As a kill in the middle of writing the team would leave it.
        fs::create_dir(path.join(".team.1.tmp")).unwrap();
        fs::write(path.join(".team.1.tmp").join("agent-0.image"), b"half").unwrap();
        let run = open(&path, 0).unwrap();
        assert!(!path.join(".team.1.tmp").exists());
        assert!(!path.join(METRICS).exists());
        drop(run);

        fs::write(path.join("notes.txt"), b"mine").unwrap();
        refused(open(&path, 0), "found `notes.txt`");
        fs::remove_file(path.join("notes.txt")).unwrap();
        fs::create_dir(path.join(TEAM)).unwrap();
        refused(open(&path, 0), "a finished run");
    }

    #[test]
    fn strangers_are_refused_and_empty_folders_taken() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        fs::create_dir(&path).unwrap();
        drop(open(&path, 0).unwrap());
        let file = root.path().join("file");
        fs::write(&file, b"").unwrap();
        refused(open(&file, 0), "found a file");
        refused(open(root.path(), 0), "found `file`");
    }
}
