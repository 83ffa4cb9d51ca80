//! Where a run's files go: looked at before any device is touched, as what a run has shown cannot be had again.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use consort_trainer::atomic::{self, WriteError};
use consort_trainer::hil::{HilError, Recording};

/// What is to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Recording,
    Picture,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Picture => "picture (SVG)",
        }
    }

    /// Whether the file at `path` begins as those of this kind that are written here.
    fn is_of(self, path: &Path) -> io::Result<bool> {
        match self {
            Self::Recording => Recording::is_one(path),
            Self::Picture => {
                const START: &[u8] = b"<svg";
                let mut start = Vec::with_capacity(START.len());
                let file = fs::File::open(path)?;
                file.take(START.len() as u64).read_to_end(&mut start)?;
                Ok(start == START)
            }
        }
    }
}

/// A file that can be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// Where it lies, behind all links.
    path: PathBuf,
}

impl Output {
    /// At `given`, or where a link of that name leads.
    ///
    /// # Errors
    /// When something is there that is not to be replaced (anything but a file; a file of another kind), or nothing can be written there.
    pub(super) fn new(given: &Path, kind: Kind) -> Result<Self, HilError> {
        let wrong = |message: String| HilError::Output {
            path: given.to_owned(),
            message,
        };
        let unwritable = |error: &io::Error| {
            wrong(format!(
                "cannot be written: {error}; expected a file's name in a folder that is there and may be written to"
            ))
        };
        match fs::metadata(given) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritable(&error)),
            // Nothing, or a link to nothing yet.
            Err(_) => {}
            Ok(there) if there.is_dir() => {
                return Err(wrong("found a folder, expected a file's name".to_owned()));
            }
            Ok(there) if !there.is_file() => {
                return Err(wrong(
                    "found a device or a pipe, expected a file's name".to_owned(),
                ));
            }
            Ok(_) if kind.is_of(given).map_err(|error| unwritable(&error))? => {}
            Ok(_) => {
                let name = kind.name();
                return Err(wrong(format!(
                    "found a file that is no {name}; expected a {name}, which is replaced, or a name that is free"
                )));
            }
        }
        let path = located(&followed(given)).map_err(|error| unwritable(&error))?;
        atomic::try_out(&path).map_err(|error| unwritable(&error.source))?;
        Ok(Self { path })
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the machine refuses.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), WriteError> {
        atomic::write(&self.path, bytes)
    }
}

/// Where links lead, whether anything is there or not.
fn followed(path: &Path) -> PathBuf {
    /// Longer chains no system follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(link) = fs::read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    path
}

/// The one name of a file that may not be there yet.
fn located(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    Ok(fs::canonicalize(folder)?.join(name))
}
