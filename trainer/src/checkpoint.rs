//! Checkpoints: the state of a run's unfinished jobs, kept so that a killed run can go on.
//!
//! ```text
//! checkpoint/<job>.bin    consort-checkpoint 1 <build> <configuration> <state>\n
//!                         the job's state
//! ```
//!
//! The first line is text: the format's version; the version and commit of what wrote it; SHA-256
//! of the run's `config.toml` and of the state. What differs in any of them is not gone on from:
//! another build may learn otherwise, and the run would be repeated by neither.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Result;
use sha2::{Digest, Sha256};

use crate::atomic::WriteError;
use crate::config::Config;
use crate::run_folder::RunFolder;
use crate::train::{Record, Store};

const MAGIC: &str = "consort-checkpoint";

/// The version of the first line's words, and of what follows them.
const FORMAT: &str = "1";

/// Longest first line that is looked for.
const LONGEST_LINE: usize = 512;

/// A run folder's checkpoints.
pub struct Checkpoints<'a> {
    folder: &'a RunFolder,
    /// SHA-256 of the configuration.
    configuration: String,
    /// Told, from any thread, in a line, what was found and what that means.
    note: &'a (dyn Fn(&str) + Sync),
    keep_every: Duration,
    records: Mutex<Records>,
}

/// What arms have recorded so far, and when it was last written down.
struct Records {
    by_arm: BTreeMap<usize, Vec<Record>>,
    written: Option<Instant>,
}

impl<'a> Checkpoints<'a> {
    /// Of the run of `config` in `folder`; `metrics.jsonl` is written at most every `keep_every`.
    pub fn new(
        folder: &'a RunFolder,
        config: &Config,
        keep_every: Duration,
        note: &'a (dyn Fn(&str) + Sync),
    ) -> Self {
        Self {
            folder,
            configuration: sha256(config.to_toml().as_bytes()),
            note,
            keep_every,
            records: Mutex::new(Records {
                by_arm: BTreeMap::new(),
                written: None,
            }),
        }
    }
}

impl Checkpoints<'_> {
    /// Writes down what arms have recorded, however lately that was done: a run that fails leaves all it has.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn flush(&self) -> std::result::Result<(), WriteError> {
        self.written(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self, all: &mut Records) -> std::result::Result<(), WriteError> {
        let lines = all.by_arm.values().flatten().map(Record::line);
        let written = self.folder.write_metrics(lines);
        all.written = Some(Instant::now());
        written
    }
}

impl Store for Checkpoints<'_> {
    fn load(&self, name: &str) -> Option<Vec<u8>> {
        let found = match self.folder.read_checkpoint(name) {
            Ok(found) => found?,
            Err(error) => {
                self.refused(name, &format!("cannot be read: {error}"));
                return None;
            }
        };
        match unseal(&found, &self.configuration) {
            Ok(state) => Some(state.to_vec()),
            Err(why) => {
                self.refused(name, &why);
                None
            }
        }
    }

    fn keep(&self, name: &str, state: &[u8]) -> Result<()> {
        let bytes = seal(state, &self.configuration);
        let written = self.folder.write_checkpoint(name, &bytes);
        written.map_err(candle_core::Error::wrap)
    }

    fn refused(&self, name: &str, why: &str) {
        let path = self.folder.checkpoint(name);
        // candle appends backtraces to its errors.
        let why = why.lines().next().unwrap_or_default();
        (self.note)(&format!("{}: {why}; its arms start over", path.display()));
    }

    fn recorded(&self, arm: usize, records: &[Record]) -> Result<()> {
        let mut all = self.lock();
        all.by_arm.insert(arm, records.to_vec());
        let fresh = |written: Instant| written.elapsed() < self.keep_every;
        if all.written.is_some_and(fresh) {
            return Ok(());
        }
        self.written(&mut all).map_err(candle_core::Error::wrap)
    }
}

/// The state under its first line.
fn seal(state: &[u8], configuration: &str) -> Vec<u8> {
    let (build, hash) = (build(), sha256(state));
    let line = format!("{MAGIC} {FORMAT} {build} {configuration} {hash}\n");
    [line.as_bytes(), state].concat()
}

/// The state, if this build left it in a run of this configuration and it is whole; or what was
/// found and expected.
fn unseal<'a>(bytes: &'a [u8], configuration: &str) -> std::result::Result<&'a [u8], String> {
    let end = bytes.iter().take(LONGEST_LINE).position(|&b| b == b'\n');
    let line = end.and_then(|end| str::from_utf8(&bytes[..end]).ok());
    let words: Vec<&str> = line.unwrap_or_default().split(' ').collect();
    let (Some(end), Some((&MAGIC, words))) = (end, words.split_first()) else {
        return Err("found no checkpoint, expected one".to_owned());
    };
    let state = &bytes[end + 1..];
    let build = build();
    let expected = [FORMAT, build.as_str(), configuration];
    let whats = [
        "a checkpoint of format",
        "a checkpoint by consort",
        "a checkpoint of a run whose config.toml hashes to",
    ];
    let Some((&stated, words)) = words
        .split_last()
        .filter(|(_, rest)| rest.len() == expected.len())
    else {
        let (found, expected) = (1 + words.len(), 2 + expected.len());
        return Err(format!(
            "found {found} words in its first line, expected {expected}"
        ));
    };
    for ((what, found), expected) in whats.iter().zip(words).zip(expected) {
        if *found != expected {
            return Err(format!("found {what} {found}, expected {expected}"));
        }
    }
    let hash = sha256(state);
    if hash != stated {
        return Err(format!(
            "found a damaged state that hashes to {hash}, expected {stated}"
        ));
    }
    Ok(state)
}

/// The version of this crate, and its commit where that is known.
fn build() -> String {
    let version = env!("CARGO_PKG_VERSION");
    option_env!("CONSORT_COMMIT").map_or(version.to_owned(), |commit| format!("{version}+{commit}"))
}

/// In hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_build_left_whole_in_the_same_run_is_taken_up() {
        let mine = sha256(b"mine");
        let sealed = seal(b"state\nof a job", &mine);
        assert_eq!(unseal(&sealed, &mine).unwrap(), b"state\nof a job");
        assert_eq!(unseal(&seal(b"", &mine), &mine).unwrap(), b"");
        for cut in 0..sealed.len() {
            assert!(unseal(&sealed[..cut], &mine).is_err(), "{cut}");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(unseal(&damaged, &mine).is_err(), "{at}");
        }
        let refused = |bytes: &[u8], expected: &str| {
            let message = unseal(bytes, &mine).unwrap_err();
            assert!(message.contains(expected), "{message}");
        };
        refused(&seal(b"state", &sha256(b"other")), "config.toml hashes to");
        let text = String::from_utf8(sealed).unwrap();
        let older = text.replace(&build(), "0.0.1");
        refused(older.as_bytes(), "by consort 0.0.1, expected");
        refused(
            text.replace("t 1 ", "t 2 ").as_bytes(),
            "format 2, expected 1",
        );
        let of_the_right_one = format!("expected {}", sha256(b"state\nof a job"));
        let damaged = text.replace("of a", "or a");
        refused(damaged.as_bytes(), "a damaged state");
        refused(damaged.as_bytes(), &of_the_right_one);
        refused(b"something else", "no checkpoint");
    }
}
