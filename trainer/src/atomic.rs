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
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether the path given is at fault, not the machine: nothing can be written there, or not by us.
    pub fn is_bad_path(&self) -> bool {
        matches!(
            self.source.kind(),
            ErrorKind::InvalidInput
                | ErrorKind::InvalidFilename
                | ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
        )
    }
}

/// Writes a file, replacing what was there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let named = WriteError::at(path);
    let (temporary, file) = match temporary(path, |name| File::create_new(name)) {
        Ok(made) => made,
        Err(error) => return Err(named(error)),
    };
    write_flushed(file, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| flush_folder(parent(path)))
        .map_err(|error| {
            // Best effort: the error to report is the one that came first.
            let _ = fs::remove_file(&temporary);
            named(error)
        })
}

/// Whether [`write()`] can do its work: makes the temporary file, and removes it.
pub fn try_out(path: &Path) -> Result<(), WriteError> {
    temporary(path, |name| File::create_new(name))
        .and_then(|(name, _)| fs::remove_file(name))
        .map_err(WriteError::at(path))
}

/// Writes a file that only its owner may read, where no file of that name is:
/// [`ErrorKind::AlreadyExists`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let named = WriteError::at(path);
    let (temporary, file) = match temporary(path, create_secret) {
        Ok(made) => made,
        Err(error) => return Err(named(error)),
    };
    // A rename would replace what is there; a second name for the file does not.
    let written = write_flushed(file, bytes)
        .and_then(|()| fs::hard_link(&temporary, path))
        .and_then(|()| flush_folder(parent(path)));
    // Best effort: what is left over is readable by its owner alone.
    let _ = fs::remove_file(&temporary);
    written.map_err(named)
}

/// Creates a file that only its owner may read, where the system knows owners.
fn create_secret(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A folder under its temporary name; [`commit`](Self::commit) gives it its own, dropping it
/// removes it.
///
/// Where an empty folder has that name already (a mount point, the working folder, one behind a
/// link), it stays what it is and is filled, file by file in the order of writing.
pub struct PendingFolder {
    temporary: PathBuf,
    destination: PathBuf,
    /// Files written, where they go into a folder that is there.
    fills: Option<Vec<String>>,
}

impl PendingFolder {
    /// Starts a folder that is to be called `destination`; missing parents are made.
    /// [`ErrorKind::AlreadyExists`] when something else than an empty folder has that name.
    pub fn new(destination: &Path) -> Result<Self, WriteError> {
        // Without the `.`s that the system would look up and no rename takes.
        let destination: PathBuf = destination.components().collect();
        let make = || {
            let entries = fs::read_dir(&destination).map(Iterator::count);
            let fills = match entries {
                Ok(0) => Some(Vec::new()),
                Err(_) if destination.symlink_metadata().is_err() => None,
                _ => return Err(ErrorKind::AlreadyExists.into()),
            };
            let beside = if fills.is_some() {
                destination.join("folder")
            } else {
                fs::create_dir_all(parent(&destination))?;
                destination.clone()
            };
            Ok((fills, temporary(&beside, |name| fs::create_dir(name))?.0))
        };
        let (fills, temporary) = make().map_err(WriteError::at(&destination))?;
        Ok(Self {
            temporary,
            destination,
            fills,
        })
    }

    /// Writes the file called `name` into the folder.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        self.put(name, bytes, |path| File::create_new(path))
    }

    /// The same for a file that only its owner may read.
    pub fn write_secret(&mut self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        self.put(name, bytes, create_secret)
    }

    fn put(
        &mut self,
        name: &str,
        bytes: &[u8],
        create: impl FnOnce(&Path) -> io::Result<File>,
    ) -> Result<(), WriteError> {
        self.fills
            .iter_mut()
            .for_each(|names| names.push(name.to_owned()));
        create(&self.temporary.join(name))
            .and_then(|file| write_flushed(file, bytes))
            .map_err(WriteError::at(&self.destination.join(name)))
    }

    /// Gives the folder its name, if nothing but an empty folder has it: else
    /// [`ErrorKind::AlreadyExists`].
    pub fn commit(self) -> Result<(), WriteError> {
        let make = || {
            flush_folder(&self.temporary)?;
            for name in self.fills.iter().flatten() {
                let file = self.destination.join(name);
                if file.exists() {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                fs::rename(self.temporary.join(name), file)?;
            }
            if self.fills.is_some() {
                return flush_folder(&self.destination);
            }
            fs::rename(&self.temporary, &self.destination).map_err(taken)?;
            flush_folder(parent(&self.destination))
        };
        make().map_err(WriteError::at(&self.destination))
    }
}

impl Drop for PendingFolder {
    fn drop(&mut self) {
        // After a rename there is nothing under the temporary name.
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// Whether `name` is a temporary one of the file or folder called `of`: `.<of>.<digits>.tmp`,
/// left by a process that was killed.
pub fn is_temporary_of(name: &str, of: &str) -> bool {
    let numbers = || {
        let rest = name.strip_prefix('.')?.strip_prefix(of)?;
        rest.strip_prefix('.')?.strip_suffix(".tmp")
    };
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers().is_some_and(|numbers| numbers.split('.').all(number))
}

/// One kind for all the ways in which systems say that a name is in use.
fn taken(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => ErrorKind::AlreadyExists.into(),
        _ => error,
    }
}

/// Creates something new beside `path`, under a name that no other process has: processes in
/// different containers may share their number, and what another has made is not ours to remove.
fn temporary<T>(path: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    let nameless = || {
        io::Error::new(
            ErrorKind::InvalidInput,
            "expected a path that ends in a name",
        )
    };
    let own = path.file_name().ok_or_else(nameless)?;
    let mut number = 0_u64;
    loop {
        let mut name = OsString::from(".");
        name.push(own);
        name.push(format!(".{}.{number}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        match create(&temporary) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            result => return result.map(|made| (temporary, made)),
        }
    }
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().unwrap_or(path);
    if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }
}

fn write_flushed(mut file: File, bytes: &[u8]) -> io::Result<()> {
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
    fn trying_out_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        try_out(&path).unwrap();
        assert!(names(folder.path()).is_empty());
        write(&path, b"one").unwrap();
        try_out(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["file"]);
        let error = try_out(&folder.path().join("absent/file")).unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_secret_is_its_owners_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_secret(&path, b"one").unwrap();
        let error = write_secret(&path, b"two").unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["key"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep").join("team");
        let mut pending = PendingFolder::new(&path).unwrap();
        pending.write("a", b"1").unwrap();
        assert!(!path.exists());
        assert!(
            names(path.parent().unwrap())
                .iter()
                .all(|name| is_temporary_of(name, "team"))
        );
        drop(pending);
        assert!(names(path.parent().unwrap()).is_empty());

        let mut pending = PendingFolder::new(&path).unwrap();
        pending.write("a", b"1").unwrap();
        pending.commit().unwrap();
        assert_eq!(names(path.parent().unwrap()), ["team"]);
        assert_eq!(fs::read(path.join("a")).unwrap(), b"1");
    }

    #[test]
    fn a_folder_never_replaces_what_holds_something() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("team");
        let refused = |result: Result<(), WriteError>| {
            assert_eq!(result.unwrap_err().source.kind(), ErrorKind::AlreadyExists);
        };
        let start = || PendingFolder::new(&path);
        fs::create_dir(&path).unwrap();
        let mut pending = start().unwrap();
        pending.write("new", b"").unwrap();
        pending.commit().expect("an empty folder is filled");
        assert_eq!(names(&path), ["new"]);
        refused(start().map(drop));
        fs::remove_dir_all(&path).unwrap();

        let pending = start().unwrap();
        fs::create_dir_all(path.join("meanwhile")).unwrap();
        refused(pending.commit());
        fs::remove_dir_all(&path).unwrap();

        fs::write(&path, b"a file").unwrap();
        refused(start().map(drop));
        assert_eq!(names(root.path()), ["team"]);
    }

    #[test]
    fn two_processes_of_one_number_keep_out_of_each_others_way() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("team");
        let (mut first, second) = (
            PendingFolder::new(&path).unwrap(),
            PendingFolder::new(&path).unwrap(),
        );
        drop(second);
        first.write("a", b"").unwrap();
        first.commit().unwrap();
        assert_eq!(names(root.path()), ["team"]);
    }

    #[test]
    fn names_that_are_none_are_the_callers_fault() {
        let root = tempfile::tempdir().unwrap();
        for name in ["absent/..", &"x".repeat(300)] {
            let error = PendingFolder::new(&root.path().join(name)).err().unwrap();
            assert!(error.is_bad_path(), "{error}");
        }
        assert!(
            PendingFolder::new(Path::new(""))
                .err()
                .unwrap()
                .is_bad_path()
        );
    }

    #[test]
    fn only_our_own_leavings_are_temporary() {
        for ours in [".team.1.tmp", ".team.123.0.tmp"] {
            assert!(is_temporary_of(ours, "team"), "{ours}");
        }
        for other in [
            "team",
            ".team.tmp",
            ".team..tmp",
            ".team.x.tmp",
            ".team.1.tmp~",
            ".thesis.1.tmp",
        ] {
            assert!(!is_temporary_of(other, "team"), "{other}");
        }
    }
}
