//! Files and folders that are either not there or whole.
//!
//! Everything is written under a temporary name beside its destination, flushed to the disk and
//! then renamed: a kill or a power cut at any moment leaves nothing half-written that a later
//! command would trust.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The machine refused to write.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {source}", path.display())]
pub struct WriteError {
    /// What was to be written.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl WriteError {
    /// Names `path` in a system's error.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self {
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes a file, replacing what was there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let temporary = temporary_beside(path);
    write_flushed(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| flush_folder(parent(path)))
        .map_err(|error| {
            // Best effort: the error to report is the one that came first.
            let _ = fs::remove_file(&temporary);
            WriteError::at(path)(error)
        })
}

/// A folder under its temporary name; [`commit`](Self::commit) gives it its own, dropping it
/// removes it.
pub struct PendingFolder {
    temporary: PathBuf,
    destination: PathBuf,
}

impl PendingFolder {
    /// Starts a folder that is to be called `destination`; missing parents are made.
    pub fn new(destination: &Path) -> Result<Self, WriteError> {
        let temporary = temporary_beside(destination);
        let make = || {
            fs::create_dir_all(parent(destination))?;
            if temporary.exists() {
                // Of a killed process that had the same number.
                fs::remove_dir_all(&temporary)?;
            }
            fs::create_dir(&temporary)
        };
        make().map_err(WriteError::at(destination))?;
        Ok(Self {
            temporary,
            destination: destination.to_owned(),
        })
    }

    /// Writes the file called `name` into the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        write_flushed(&self.temporary.join(name), bytes)
            .map_err(WriteError::at(&self.destination.join(name)))
    }

    /// Gives the folder its name, if nothing but an empty folder has it: else
    /// [`ErrorKind::AlreadyExists`].
    pub fn commit(self) -> Result<(), WriteError> {
        let make = || {
            flush_folder(&self.temporary)?;
            match fs::remove_dir(&self.destination) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(taken(error));
                }
                _ => {}
            }
            fs::rename(&self.temporary, &self.destination).map_err(taken)?;
            flush_folder(parent(&self.destination))
        };
        make().map_err(WriteError::at(&self.destination))
    }
}

impl Drop for PendingFolder {
    fn drop(&mut self) {
        // After a commit there is nothing under the temporary name.
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// Whether `name` is a temporary one, left by a process that was killed.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// One kind for all the ways in which systems say that a name is in use.
fn taken(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => ErrorKind::AlreadyExists.into(),
        _ => error,
    }
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().unwrap_or(path);
    if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }
}

fn write_flushed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes new names in a folder last. Only Unix opens folders as files.
fn flush_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep").join("team");
        let pending = PendingFolder::new(&path).unwrap();
        pending.write("a", b"1").unwrap();
        assert!(!path.exists());
        assert!(
            names(path.parent().unwrap())
                .iter()
                .all(|name| is_temporary(name))
        );
        drop(pending);
        assert!(names(path.parent().unwrap()).is_empty());

        let pending = PendingFolder::new(&path).unwrap();
        pending.write("a", b"1").unwrap();
        pending.commit().unwrap();
        assert_eq!(names(path.parent().unwrap()), ["team"]);
        assert_eq!(fs::read(path.join("a")).unwrap(), b"1");
    }

    #[test]
    fn a_folder_never_replaces_what_holds_something() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("team");
        fs::create_dir(&path).unwrap();
        let commit = || {
            let pending = PendingFolder::new(&path).unwrap();
            pending.write("new", b"").unwrap();
            pending.commit()
        };
        commit().expect("an empty folder gives way");
        let error = commit().unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::AlreadyExists);
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, b"a file").unwrap();
        assert_eq!(
            commit().unwrap_err().source.kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(names(root.path()), ["team"]);
    }
}
