//! Whether marl-eval reads what `consort compare` writes for it, and comes to the same figures.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::python::Environment;
use crate::report::Report;
use crate::{process, root};

/// Its own requirements name releases of 2022, of which Python 3.11 has no wheels. These have, and rliable works with
/// them, as with arch 7 and 8 it does not; other Pythons have not been tried.
const MARL_EVAL: Environment = Environment {
    name: "marl-eval",
    packages: &[
        "setuptools==79.0.1",
        "wheel==0.45.1",
        "absl-py==2.1.0",
        "arch==5.4.0",
        "colorama==0.4.6",
        "colorcet==3.1.0",
        "matplotlib==3.9.4",
        "numpy==1.26.4",
        "pandas==2.0.3",
        "scipy==1.11.4",
        "seaborn==0.13.2",
    ],
    alone: &["id-marl-eval==0.0.4", "rliable==1.2.0"],
};

/// A comparison of seconds in which methods come to different scores.
const COMPARISON: [&str; 11] = [
    "compare",
    "assurance",
    "climbing",
    "--methods",
    "annealed,factored",
    "--seeds",
    "3",
    "--steps",
    "20000",
    "--quiet",
    "--out",
];

/// Makes a comparison, and has marl-eval read and draw it.
///
/// # Errors
///
/// Also where its interquartile means are not ours.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("comparison");
    let mut program = PathBuf::new();
    report.step("build consort", || {
        program = process::consort()?;
        Ok("release")
    })?;
    report.step("compare", || {
        process::stdout(Command::new(&program).args(COMPARISON).arg(&out))?;
        Ok("two methods on two games")
    })?;
    report.step("marl-eval", || {
        let own = own_scores(&out)?;
        let theirs = their_scores(&out, folder.path())?;
        let scores: Vec<f64> = own.iter().map(|(_, score)| *score).collect();
        ensure!(
            scores.iter().any(|score| score != &scores[0]),
            "all methods score {scores:?}: the comparison compares nothing"
        );
        for (name, score) in &own {
            let found = theirs[name]
                .as_f64()
                .with_context(|| format!("{theirs}: no {name}"))?;
            // It rounds to six places.
            ensure!(
                (score - found).abs() < 1e-6,
                "{name}: {found} by marl-eval, {score} by consort compare"
            );
        }
        let told = own.iter().map(|(name, score)| format!("{name} {score:.6}"));
        Ok(format!(
            "the same interquartile means: {}",
            told.collect::<Vec<_>>().join(", ")
        ))
    })?;
    Ok(())
}

/// Method and interquartile mean over all tasks, as `consort compare` has them.
fn own_scores(out: &Path) -> Result<Vec<(String, f64)>> {
    let path = out.join("comparison.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let page: Value = serde_json::from_str(&text)?;
    let list = |key: &str| page[key].as_array().with_context(|| format!("no {key}"));
    list("methods")?
        .iter()
        .zip(list("overall")?)
        .map(|(name, score)| {
            let name = name.as_str().context("a method without a name")?;
            let score = score["value"]
                .as_f64()
                .context("a method without a score")?;
            Ok((name.to_owned(), score))
        })
        .collect()
}

/// The same by marl-eval.
fn their_scores(out: &Path, scratch: &Path) -> Result<Value> {
    let mut reader = Command::new(MARL_EVAL.python()?);
    reader
        .arg("-W")
        .arg("ignore")
        .arg(root().join("xtask/comparators/read_marl_eval.py"));
    reader
        .arg(out.join("marl-eval.json"))
        .arg(scratch.join("scores"));
    let text = process::stdout(&mut reader)?;
    let line = text.lines().last().context("marl-eval said nothing")?;
    serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))
}
