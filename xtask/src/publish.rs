//! Whether the libraries could be published as they are, and what a new version would have to be called.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::process::{self, cargo, run};
use crate::report::Report;
use crate::root;
use crate::usage::Usage;

/// What is published, each after those that it needs.
pub(crate) const LIBRARIES: [&str; 5] = [
    "consort-kernels",
    "consort-runtime",
    "consort-update",
    "consort-wire",
    "consort-trainer",
];

/// Warnings that are as they should be: the tests need the repository around them.
const EXPECTED: [&str; 2] = ["aborting upload due to dry run", "ignoring test"];

/// With candle compiled once more.
const LIMIT: Duration = Duration::from_secs(3600);

/// Packages the libraries and does all but upload them, without a warning. All but the trainer are compiled from their packages;
/// with `verify` the trainer is too, which compiles candle once more.
pub(crate) fn check(report: &mut Report, verify: bool) -> Result<()> {
    let [kernels, runtime, update, wire, _] = LIBRARIES;
    if !verify {
        report.step(
            format!("publish {kernels}, {runtime}, {update}, {wire}"),
            || dry_run(&[kernels, runtime, update, wire], true),
        )?;
    }
    report
        .step("publish all", || dry_run(&LIBRARIES, verify))
        .map(|_| ())
}

fn dry_run(packages: &[&str], verify: bool) -> Result<&'static str> {
    let mut publish = cargo(root(), "publish");
    publish
        .args(["--dry-run", "--allow-dirty"])
        .args(packages.iter().flat_map(|package| ["--package", package]));
    if !verify {
        publish.arg("--no-verify");
    }
    eprintln!("$ {}", process::line(&publish));
    let finished = process::run_limited(&mut publish, LIMIT)?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    match unexpected(&finished.stderr) {
        Some(warning) => bail!("{warning}\n{}", finished.stderr),
        None if verify => Ok("as packaged it compiles; no warnings"),
        None => Ok("packaged; no warnings"),
    }
}

/// The first warning that should not be there.
fn unexpected(stderr: &str) -> Option<&str> {
    stderr.lines().find(|line| {
        let warning = line.strip_prefix("warning: ");
        warning.is_some_and(|what| !EXPECTED.iter().any(|expected| what.starts_with(expected)))
    })
}

/// Compares `package`'s public interface with what it was at `baseline`, a commit or tag; by default the last tag.
pub(crate) fn semver(report: &mut Report, package: &str, baseline: Option<&str>) -> Result<()> {
    let baseline = match baseline {
        Some(baseline) => known(baseline)?,
        None => last_tag()?,
    };
    report.step("cargo-semver-checks", || {
        if process::exists("cargo-semver-checks") {
            return Ok("installed");
        }
        run(cargo(root(), "install").args(["--locked", "cargo-semver-checks"]))?;
        Ok("installed now")
    })?;
    report.step(format!("{package} since {baseline}"), || {
        let mut checks = cargo(root(), "semver-checks");
        run(checks.args(["--package", package, "--baseline-rev", &baseline]))?;
        Ok("its version says what changed")
    })?;
    Ok(())
}

/// A commit or tag as it was named, if there is such a one.
fn known(name: &str) -> Result<String> {
    let commit = format!("{name}^{{commit}}");
    let found = git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &commit,
    ]);
    found.map(|_| name.to_owned()).map_err(|_| {
        let what = format!("--baseline {name}: this repository has no such commit or tag");
        Usage(what).into()
    })
}

fn git(arguments: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    process::stdout(git.current_dir(root()).args(arguments))
}

fn last_tag() -> Result<String> {
    let tag = git(&["describe", "--tags", "--abbrev=0"]).map_err(|_| {
        Usage("nothing has been released: name a commit with --baseline".to_owned())
    })?;
    Ok(tag.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_that_is_nothing_is_the_callers_mistake() {
        assert_eq!(known("HEAD").unwrap(), "HEAD");
        for name in ["no-such-tag", "--help", ""] {
            let error = known(name).unwrap_err();
            assert!(error.is::<Usage>(), "{error}");
        }
    }

    #[test]
    fn only_warnings_that_mean_something_count() {
        let stderr = "   Packaging x\nwarning: ignoring test `a` as it is not included\n\
                      warning: aborting upload due to dry run\n";
        assert_eq!(unexpected(stderr), None);
        let more = format!("{stderr}warning: manifest has no documentation\n");
        assert_eq!(
            unexpected(&more),
            Some("warning: manifest has no documentation")
        );
    }
}
