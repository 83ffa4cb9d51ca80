//! A folder to run commands in, and what every test needs to look at what they leave.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to run commands in.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consort"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that succeeds; its last line as JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|text| str::from_utf8(text).unwrap());
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
        serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
    }

    /// Runs a command that fails with `code` and one line on stderr, which it returns.
    #[track_caller]
    pub(crate) fn error(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    }
}

/// A short run of one arm.
pub(crate) const SHORT: [&str; 6] = [
    "train", "xor-safe", "--method", "factored", "--steps", "3200",
];

pub(crate) fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [SHORT.as_slice(), more].concat()
}

/// Every file below `folder` by name.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let inner = self::files(&entry.path());
            files.extend(
                inner
                    .into_iter()
                    .map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)),
            );
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[track_caller]
pub(crate) fn assert_same_files(left: &Path, right: &Path) {
    let (left, right) = (files(left), files(right));
    assert_eq!(
        left.keys().collect::<Vec<_>>(),
        right.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "{name} differs");
    }
}

/// Two short arms of a task of many steps, with a checkpoint after every update.
pub(crate) fn sequential<'a>(task: &'a str, steps: &'a str, out: &'a str) -> Vec<&'a str> {
    let arms = "portfolio.arms=['annealed', 'explore-mild']";
    let sizes = "network={hidden=[16], memory=16}";
    let sets = ["--set", arms, "--set", "batch=2", "--set", "rollout=25"];
    let sets = [&sets[..], &["--set", sizes]].concat();
    let rest = ["--checkpoint-seconds", "0", "--out", out];
    [&["train", task, "--steps", steps], &sets[..], &rest].concat()
}
