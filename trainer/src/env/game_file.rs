//! Games from files: [`read`] tells a missing file from a folder from a defect in the text.

use std::path::{Path, PathBuf};

use super::Game;
use super::game_text::{GameTextError, parse};

/// Why a file is not a game: which file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum GameFileError {
    /// There is no such file.
    #[error("{}: no such file, expected a game in TOML", path.display())]
    Missing {
        /// The path given.
        path: PathBuf,
    },
    /// The path names a directory.
    #[error("{}: found a directory, expected a game in TOML", path.display())]
    Directory {
        /// The path given.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The path given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something other than UTF-8 text.
    #[error("{}: found a byte that is not UTF-8 on line {line}, expected a game in TOML", path.display())]
    NotText {
        /// The path given.
        path: PathBuf,
        /// The line of the first offending byte, from 1.
        line: usize,
    },
    /// The file is a run's configuration.
    #[error("{}: found a configuration, expected a game in TOML; `--config` takes it, without a task", path.display())]
    Config {
        /// The path given.
        path: PathBuf,
    },
    /// The text does not describe a game.
    #[error("{}: {source}", path.display())]
    Text {
        /// The path given.
        path: PathBuf,
        /// The defect.
        source: GameTextError,
    },
}

/// Reads the game in a TOML file.
pub fn read(path: &Path) -> Result<Game, GameFileError> {
    let path = path.to_path_buf();
    if path.is_dir() {
        return Err(GameFileError::Directory { path });
    }
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(GameFileError::Missing { path });
        }
        Err(source) => return Err(GameFileError::Unreadable { path, source }),
    };
    match str::from_utf8(&bytes) {
        Ok(text) if is_config(text) => Err(GameFileError::Config { path }),
        Ok(text) => parse(text).map_err(|source| GameFileError::Text { path, source }),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            Err(GameFileError::NotText { path, line })
        }
    }
}

/// Whether a run wrote it, or somebody for a run: no game has a task or a method.
fn is_config(text: &str) -> bool {
    let table = text.parse::<toml::Table>();
    table.is_ok_and(|table| {
        !table.contains_key("payoff")
            && ["task", "method"]
                .iter()
                .any(|key| table.contains_key(*key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_none_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("latin.toml"), b"name = 'p'\n# caf\xe9\n").unwrap();
        std::fs::write(at("broken.toml"), "name = ").unwrap();
        let good = "name = 'p'\nactions = [2]\npayoff = [1, 2]";
        std::fs::write(at("good.toml"), good).unwrap();
        let cases: &[(&str, &str)] = &[
            ("absent.toml", "absent.toml: no such file"),
            ("", "found a directory"),
            (
                "latin.toml",
                "latin.toml: found a byte that is not UTF-8 on line 2",
            ),
            ("broken.toml", "broken.toml: line 1, column 8"),
        ];
        for (name, expected) in cases {
            let message = read(&at(name)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
        assert_eq!(read(&at("good.toml")).unwrap(), parse(good).unwrap());
    }
}
