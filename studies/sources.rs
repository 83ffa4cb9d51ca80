//! The sources that a training run's result depends on, in one number; for the build and for the studies.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Where they lie in the workspace.
pub(crate) const PATHS: [&str; 3] = ["Cargo.lock", "runtime/src", "trainer/src"];

/// Hash of the names and bytes of all files of [`PATHS`] in `workspace`.
pub(crate) fn hash(workspace: &Path) -> io::Result<String> {
    let mut files = BTreeSet::new();
    for path in PATHS {
        collect(&workspace.join(path), &mut files)?;
    }
    let mut hasher = DefaultHasher::new();
    for file in files {
        let name = file.strip_prefix(workspace).expect("below the workspace");
        hasher.write(name.as_os_str().as_encoded_bytes());
        hasher.write(&fs::read(file)?);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Adds the file at `path`, or every file below it.
fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.insert(path.to_owned());
    }
    Ok(())
}
