//! Virtual environments of Python under `target/bench`, each with packages of PyPI.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, root};

/// Packages that are installed together.
#[derive(Clone, Copy)]
pub(crate) struct Environment {
    pub(crate) name: &'static str,
    pub(crate) packages: &'static [&'static str],
    /// Installed after them without what they ask for themselves: where that is stricter than it has to be.
    pub(crate) alone: &'static [&'static str],
}

impl Environment {
    /// The environment's interpreter, with everything installed.
    ///
    /// # Errors
    ///
    /// Where `python3` has no `venv`, or a package cannot be installed: PyPI may have no wheel of it for this Python.
    pub(crate) fn python(self) -> Result<PathBuf> {
        let folder = root()
            .join("target/bench")
            .join(format!("venv-{}", self.name));
        let python = folder.join("bin/python");
        let installed = folder.join("installed");
        let version = process::stdout(Command::new("python3").arg("--version"))?;
        let asked = format!(
            "{} {} alone: {}",
            version.trim(),
            self.packages.join(" "),
            self.alone.join(" ")
        );
        if fs::read_to_string(&installed).is_ok_and(|found| found == asked) {
            return Ok(python);
        }
        let mut create = Command::new("python3");
        process::run(create.args(["-m", "venv", "--clear"]).arg(&folder))?;
        let install = |options: &[&str], packages: &[&str]| {
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet"]);
            pip.arg("--disable-pip-version-check").args(options);
            process::run(pip.args(packages)).with_context(|| {
                format!(
                    "{} cannot be installed from PyPI for {}",
                    packages.join(" "),
                    version.trim()
                )
            })
        };
        install(&[], self.packages)?;
        if !self.alone.is_empty() {
            install(&["--no-deps", "--no-build-isolation"], self.alone)?;
        }
        fs::write(installed, asked)?;
        Ok(python)
    }
}
