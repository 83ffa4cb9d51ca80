//! Running other programs.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use anyhow::{Context, Result, bail};

use crate::root;

/// The cargo that runs us, in `folder`.
pub(crate) fn cargo(folder: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).arg(subcommand);
    command
}

/// Whether `program` can be started.
pub(crate) fn exists(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// Runs `command` with our own input and output.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", line(command));
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    succeeded(command, status)
}

/// Runs `command` and returns its stdout; its stderr is ours.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = output.with_context(|| format!("cannot start `{}`", line(command)))?;
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` did not print UTF-8", line(command)))
}

/// What a program with a time limit left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` for at most `limit` and returns how it ended and what it printed.
pub(crate) fn run_limited(command: &mut Command, limit: Duration) -> Result<Finished> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    // Both pipes are drained while the child runs: a full one would stop it.
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, limit)?;
    let [stdout, stderr] =
        [stdout, stderr].map(|text| text.join().expect("a reader does not panic"));
    match status {
        Some(status) => Ok(Finished {
            status,
            stdout,
            stderr,
        }),
        None => bail!(
            "`{}` was stopped after {} s:\n{stdout}{stderr}",
            line(command),
            limit.as_secs_f64()
        ),
    }
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Builds `consort` as it is released; where it lies.
pub(crate) fn consort() -> Result<PathBuf> {
    let mut build = cargo(root(), "build");
    build
        .args(["--release", "--package", "consort-trainer"])
        .args(["--bin", "consort"])
        .args(["--message-format", "json-render-diagnostics"]);
    executables(&stdout(&mut build)?)?
        .remove("consort")
        .context("the build names no binary `consort`")
}

/// The executables among cargo's JSON messages, by target.
pub(crate) fn executables(messages: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line).context("cargo's message")?;
        if let (Some(name), Some(path)) = (
            message["target"]["name"].as_str(),
            message["executable"].as_str(),
        ) {
            found.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(found)
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before a broken pipe still helps whoever reads the error.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The child's status, or none when it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"consort_replay"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"replay"},"executable":"/somewhere/release/replay"}
{"reason":"build-finished","success":true}"#;
        let expected = BTreeMap::from([(
            "replay".to_owned(),
            PathBuf::from("/somewhere/release/replay"),
        )]);
        assert_eq!(executables(messages).unwrap(), expected);
        assert!(executables("not JSON").is_err());
    }

    #[test]
    fn output_larger_than_a_pipe_does_not_block() {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 300000 /dev/zero; echo bad >&2; exit 3"]);
        let finished = run_limited(&mut command, Duration::from_secs(20)).unwrap();
        assert_eq!(
            (
                finished.stdout.len(),
                finished.stderr.as_str(),
                finished.status.code()
            ),
            (300_000, "bad\n", Some(3))
        );
    }

    #[test]
    fn a_program_past_its_limit_is_stopped_and_named() {
        let mut command = Command::new("sleep");
        let error = run_limited(command.arg("60"), Duration::from_millis(50)).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`sleep 60` was stopped after 0.05 s"),
            "{error}"
        );
    }
}
