//! What the caller got wrong, where only a task can tell: exit code 2, as for arguments that cannot be read.

use std::fs;
use std::path::{Path, PathBuf};

/// Arguments with which a task cannot be done.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The exit code of an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    match error.is::<Usage>() {
        true => 2,
        false => 1,
    }
}

/// A folder that holds teams, as an argument.
pub(crate) fn teams(text: &str) -> Result<PathBuf, String> {
    let folder = Path::new(text);
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    match folders.any(|team| team.join("team.toml").is_file()) {
        true => Ok(folder.to_owned()),
        false => Err("no team in it; `consort export` writes one".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn what_the_caller_got_wrong_keeps_its_code_within_a_step() {
        let wrong = Err::<(), _>(anyhow::Error::new(Usage("nothing".to_owned())));
        let error = wrong.context("step `first` failed").unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert_eq!(exit_code(&anyhow::anyhow!("a full disk")), 1);
    }

    #[test]
    fn a_folder_of_teams_has_one() {
        assert!(teams(&crate::models().to_string_lossy()).is_ok());
        let empty = tempfile::tempdir().unwrap();
        let error = teams(&empty.path().to_string_lossy()).unwrap_err();
        assert!(error.starts_with("no team in it"), "{error}");
        assert!(teams(&empty.path().join("absent").to_string_lossy()).is_err());
    }
}
