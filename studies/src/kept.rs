//! What studies have made, kept: a JSON file each, so that a study that was killed goes on where it
//! was.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use consort_trainer::atomic;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Hash of the sources that decide a run's result, taken when this was built.
pub(crate) const SOURCES: &str = env!("CONSORT_SOURCES");

/// What is kept at `path`, if anything is.
pub(crate) fn find<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path)?;
    let found = serde_json::from_str(&text);
    found
        .map(Some)
        .with_context(|| format!("{}: not a study's cell; delete it", path.display()))
}

/// Keeps `made` at `path`. It is read back, so that a study in one go and one that was resumed work
/// on the same bits.
pub(crate) fn keep<T: Serialize + DeserializeOwned>(path: &Path, made: &T) -> Result<T> {
    let text = serde_json::to_string(made)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    atomic::write(path, text.as_bytes())?;
    Ok(serde_json::from_str(&text)?)
}

/// Removes what is kept at `path`, if anything is.
pub(crate) fn forget(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_file(path).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
