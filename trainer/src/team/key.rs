//! `shared-seed.key`: the key of a team's shared seed, in a file of its own.
//!
//! Whoever has it foresees every symbol, so it lies in no image and in no manifest; of what a
//! team's folder holds, this file and the golden sequences are not to be published. The manifest
//! holds a fingerprint, so that a wrong key is noticed. See docs/shared-seed.md.

use std::fmt::Write as _;
use std::path::Path;

use consort_runtime::SharedSeed;
use rand_core::Rng as _;
use sha2::{Digest, Sha256};

use super::{TeamError, read};
use crate::rng::Stream;

/// The file's name.
pub const KEY: &str = "shared-seed.key";

/// A team's key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TeamKey([u8; 16]);

impl TeamKey {
    /// The key of the team that a run makes: the same whenever the run is repeated, and so as secret
    /// as the run's seed. Good for trying out, not for an adversary.
    pub fn of_run(seed: u64) -> Self {
        let mut key = [0; 16];
        Stream::new(seed, "team-key", 0).fill_bytes(&mut key);
        Self(key)
    }

    /// A key that nobody can foresee, from the operating system.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// The file's text: 32 hexadecimal digits and a line break.
    pub(crate) fn text(&self) -> String {
        format!("{}\n", hexadecimal(&self.0))
    }

    /// The first 8 hexadecimal digits of the key's SHA-256.
    pub fn fingerprint(&self) -> String {
        hexadecimal(&Sha256::digest(self.0)[..4])
    }

    /// What a device is given to draw by.
    pub(crate) fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// What devices and environments draw by.
    pub fn seed(&self) -> SharedSeed {
        SharedSeed::new(self.0)
    }

    /// Reads the key in a team's folder.
    pub(crate) fn read(folder: &Path, fingerprint: &str) -> Result<Self, TeamError> {
        let path = folder.join(KEY);
        let bytes = read(&path)?;
        let disagrees = |what, found: String, expected: &str| TeamError::Disagrees {
            path: path.clone(),
            what,
            found,
            expected: expected.to_owned(),
        };
        let text = String::from_utf8(bytes).unwrap_or_default();
        let key = parse(text.trim()).ok_or_else(|| {
            let found = format!("{} characters", text.trim().chars().count());
            disagrees("something of", found, "32 hexadecimal digits")
        })?;
        match key.fingerprint() {
            found if found == fingerprint => Ok(key),
            found => Err(disagrees("a key with the fingerprint", found, fingerprint)),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(text: &str) -> Option<TeamKey> {
    if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; 16];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(TeamKey(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = TeamKey::of_run(3);
        let write = |text: &str| std::fs::write(folder.path().join(KEY), text).unwrap();
        let message = |fingerprint: &str| {
            let read = TeamKey::read(folder.path(), fingerprint);
            read.err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(message(&key.fingerprint()).contains("no such file"));
        write(&key.text());
        assert_eq!(message(&key.fingerprint()), "");
        assert!(TeamKey::read(folder.path(), &key.fingerprint()).is_ok_and(|read| read == key));
        assert!(message("00000000").contains("expected 00000000"));
        for wrong in ["", "0123", &"x".repeat(32), &"é".repeat(16)] {
            write(wrong);
            assert!(message("00000000").contains("expected 32 hexadecimal digits"));
        }
        assert!(TeamKey::of_run(4) != key && TeamKey::of_run(3) == key);
        assert!(TeamKey::fresh().unwrap() != TeamKey::fresh().unwrap());
    }
}
