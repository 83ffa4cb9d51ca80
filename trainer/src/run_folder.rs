//! Run folders: where a run is written, and when one may be used again.
//!
//! ```text
//! config.toml     first: everything needed to repeat the run
//! checkpoint/     while the run is unfinished: where its jobs are, to go on from
//! metrics.jsonl   what was measured, arm by arm
//! curve.svg       what was learned, at one glance
//! team/           last, in one rename: where it is, the run is finished
//! ```

use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::atomic::{self, PendingFolder, WriteError};
use crate::config::Config;
use crate::team::CONFIG;

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
    /// A run is being made there by another process.
    #[error("--out {}: found a run being trained by another process, expected a folder of its own", path.display())]
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

pub(crate) const METRICS: &str = "metrics.jsonl";
const CURVE: &str = "curve.svg";
pub(crate) const TEAM: &str = "team";
const CHECKPOINT: &str = "checkpoint";
/// How a job's checkpoint is called.
const JOB: [&str; 2] = ["job-", ".bin"];

impl RunFolder {
    /// Where a run goes that is not told where, if the place is free.
    pub fn usual(config: &Config) -> PathBuf {
        let (task, method, seed) = (&config.task, config.method, config.seed);
        Path::new("runs").join(format!("{task}-{method}-seed{seed}"))
    }

    /// The folder of a run: `out`, or else `runs/<task>-<method>-seed<N>` with -2, -3, … where
    /// that name has gone to another run or to a finished one.
    ///
    /// The same run, unfinished (its process was killed), goes on in its own folder.
    pub fn open(config: &Config, out: Option<&Path>) -> Result<Self, FolderError> {
        if let Some(out) = out {
            return Self::claim(config, out);
        }
        let usual = Self::usual(config);
        let numbered = (2..).map(|number: u64| {
            let mut path = usual.clone().into_os_string();
            path.push(format!("-{number}"));
            PathBuf::from(path)
        });
        let mut paths = std::iter::once(usual.clone()).chain(numbered);
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
        let just_begun = |error: WriteError| match error.source.kind() {
            ErrorKind::AlreadyExists => taken("another run that has just begun".to_owned()),
            _ => error.into(),
        };
        let file = path.join(CONFIG);
        // Of two processes that want the folder at once, one makes its configuration.
        match names(path)? {
            None => {
                let mut pending = PendingFolder::new(path).map_err(just_begun)?;
                pending.write(CONFIG, text.as_bytes())?;
                pending.commit().map_err(just_begun)?;
            }
            Some(names) if names.is_empty() => {
                File::create_new(&file)
                    .map_err(|error| just_begun(WriteError::at(&file)(error)))?;
            }
            Some(names) => stranger(path, &names)?.map_or(Ok(()), |holds| Err(taken(holds)))?,
        }
        let lock = OpenOptions::new().read(true).write(true).open(&file);
        let mut lock = lock.map_err(WriteError::at(&file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = path.to_owned();
                return Err(FolderError::InUse { path });
            }
            Err(TryLockError::Error(error)) => return Err(WriteError::at(&file)(error).into()),
        }
        // Another process may have finished a run between the look and the lock.
        if let Some(holds) = stranger(path, &names(path)?.unwrap_or_default())? {
            return Err(taken(holds));
        }
        if !complete(&mut lock, text.as_bytes()).map_err(WriteError::at(&file))? {
            return Err(taken("a run with another configuration".to_owned()));
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

    /// Whether it holds checkpoints to go on from.
    pub fn has_checkpoints(&self) -> bool {
        let names = names(&self.path.join(CHECKPOINT)).ok().flatten();
        names.is_some_and(|names| names.iter().any(|name| is_checkpoint(name)))
    }

    /// Where the checkpoint called `name` is, or would be.
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.path.join(CHECKPOINT).join(format!("{name}{}", JOB[1]))
    }

    /// The bytes of the checkpoint called `name`, if there is one.
    ///
    /// # Errors
    /// What the system says to reading it.
    pub fn read_checkpoint(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.checkpoint(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the checkpoint called `name`, a job's, over the one before.
    pub fn write_checkpoint(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let folder = self.path.join(CHECKPOINT);
        fs::create_dir_all(&folder).map_err(WriteError::at(&folder))?;
        atomic::write(&self.checkpoint(name), bytes)
    }

    /// Removes every checkpoint: the run is over.
    pub fn remove_checkpoints(&self) -> Result<(), WriteError> {
        let folder = self.path.join(CHECKPOINT);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(WriteError::at(&folder)(error))
            }
            _ => Ok(()),
        }
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

/// The names in a folder, in order; none where there is nothing.
fn names(path: &Path) -> Result<Option<Vec<String>>, FolderError> {
    let collect = |entries: fs::ReadDir| {
        let name = |entry: DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries
            .map(|entry| entry.map(name))
            .collect::<Result<_, _>>()?;
        names.sort();
        Ok(Some(names))
    };
    let error = match fs::read_dir(path).and_then(collect) {
        Ok(names) => return Ok(names),
        Err(error) => error,
    };
    let (path, is_there) = (path.to_owned(), path.symlink_metadata().is_ok());
    match (error.kind(), is_there) {
        (ErrorKind::NotFound, false) => Ok(None),
        (ErrorKind::NotFound, true) => Err(FolderError::Taken {
            path,
            holds: "a link to nothing".to_owned(),
        }),
        (ErrorKind::NotADirectory, true) => Err(FolderError::Taken {
            path,
            holds: "a file".to_owned(),
        }),
        (ErrorKind::NotADirectory, false) => Err(FolderError::NoWay { path }),
        _ => Err(WriteError::at(&path)(error).into()),
    }
}

/// What, of these `names` in the folder `path`, an unfinished run has not left there.
fn stranger(path: &Path, names: &[String]) -> Result<Option<String>, FolderError> {
    let holds = |wanted| names.iter().any(|name| name == wanted);
    if holds(CONFIG) && holds(TEAM) {
        return Ok(Some("a finished run".to_owned()));
    }
    let ours = |name: &str| [CONFIG, CHECKPOINT].contains(&name) || is_leftover(name);
    let mut others = names.iter().filter(|name| !holds(CONFIG) || !ours(name));
    if let Some(name) = others.next() {
        return Ok(Some(format!("`{name}`")));
    }
    let kept = match holds(CHECKPOINT) {
        true => self::names(&path.join(CHECKPOINT))?.unwrap_or_default(),
        false => Vec::new(),
    };
    let mut others = kept
        .iter()
        .filter(|name| !is_checkpoint(name) && !is_checkpoint_leftover(name));
    Ok(others.next().map(|name| format!("`{CHECKPOINT}/{name}`")))
}

/// Whether a file in `checkpoint/` is the state of a job.
fn is_checkpoint(name: &str) -> bool {
    let [start, end] = JOB;
    name.starts_with(start) && name.ends_with(end)
}

/// Whether a file in `checkpoint/` was to become one.
fn is_checkpoint_leftover(name: &str) -> bool {
    let of = name.strip_prefix('.').and_then(|rest| {
        let end = rest.find(JOB[1])? + JOB[1].len();
        rest.get(..end)
    });
    of.is_some_and(|of| is_checkpoint(of) && atomic::is_temporary_of(name, of))
}

/// Whether starting over removes what has this name.
fn is_leftover(name: &str) -> bool {
    let temporary = |of| atomic::is_temporary_of(name, of);
    [METRICS, CURVE].contains(&name) || [CONFIG, METRICS, CURVE, TEAM].into_iter().any(temporary)
}

/// Removes what an unfinished run left, but for its configuration and its checkpoints.
fn clear(path: &Path) -> io::Result<()> {
    clear_of(path, is_leftover)?;
    match clear_of(&path.join(CHECKPOINT), is_checkpoint_leftover) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn clear_of(path: &Path, is_leftover: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !is_leftover(&entry.file_name().to_string_lossy()) {
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

/// Writes `text` to a file that holds the beginning of it, be it nothing or all: a process killed
/// in the middle leaves that. Whether it did; a file that says something else stays as it is.
fn complete(file: &mut File, text: &[u8]) -> io::Result<bool> {
    let mut found = Vec::new();
    file.read_to_end(&mut found)?;
    let Some(rest) = text.strip_prefix(found.as_slice()) else {
        return Ok(false);
    };
    file.write_all(rest)?;
    file.sync_all()?;
    Ok(true)
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
    fn checkpoints_stay_until_the_run_is_over_and_nothing_else_is_taken_for_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        let run = open(&path, 0).unwrap();
        assert!(!run.has_checkpoints());
        assert_eq!(run.read_checkpoint("job-0-0").unwrap(), None);
        run.write_checkpoint("job-0-0", b"one").unwrap();
        run.write_checkpoint("job-0-0", b"two").unwrap();
        drop(run);
        // As a kill while the next was being written would leave it.
        let half = path.join(CHECKPOINT).join(".job-0-0.bin.7.0.tmp");
        fs::write(&half, b"thr").unwrap();
        let run = open(&path, 0).unwrap();
        assert!(run.has_checkpoints() && !half.exists());
        assert_eq!(run.read_checkpoint("job-0-0").unwrap().unwrap(), b"two");
        drop(run);
        refused(open(&path, 1), "another configuration");
        let mine = path.join(CHECKPOINT).join("notes.txt");
        fs::write(&mine, b"mine").unwrap();
        refused(open(&path, 0), "found `checkpoint/notes.txt`");
        fs::remove_file(&mine).unwrap();
        let run = open(&path, 0).unwrap();
        run.remove_checkpoints().unwrap();
        run.remove_checkpoints().unwrap();
        assert!(!path.join(CHECKPOINT).exists());
        drop(run);
        fs::write(path.join(CHECKPOINT), b"mine").unwrap();
        refused(open(&path, 0), "found a file");
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
        // Neither ours nor to be lost, whatever it looks like.
        fs::write(path.join(".thesis.1.tmp"), b"mine").unwrap();
        refused(open(&path, 0), "found `.thesis.1.tmp`");
        fs::remove_file(path.join(".thesis.1.tmp")).unwrap();
        fs::create_dir(path.join(TEAM)).unwrap();
        refused(open(&path, 0), "a finished run");
    }

    #[test]
    fn a_configuration_cut_short_is_completed() {
        let root = tempfile::tempdir().unwrap();
        let text = config(0).to_toml();
        for cut in [0, 1, text.len() - 1, text.len()] {
            let path = root.path().join(cut.to_string());
            fs::create_dir(&path).unwrap();
            fs::write(path.join(CONFIG), &text[..cut]).unwrap();
            drop(open(&path, 0).unwrap());
            assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), text);
        }
    }

    #[test]
    #[cfg(unix)]
    fn an_empty_folder_may_be_behind_a_link() {
        let root = tempfile::tempdir().unwrap();
        let [path, link] = ["run", "link"].map(|name| root.path().join(name));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        refused(open(&link, 0), "a link to nothing");
        fs::create_dir(&path).unwrap();
        drop(open(&link.join("."), 0).unwrap());
        assert!(path.join(CONFIG).is_file() && link.is_symlink());
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
