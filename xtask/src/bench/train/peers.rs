//! Other systems, each from PyPI into a virtual environment of its own under `target/`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::program::{lines, pinned};
use crate::{process, root};

/// Packages that are installed together.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    /// The environment's name.
    name: &'static str,
    packages: &'static [&'static str],
}

/// On Linux PyPI's wheel is the one for CUDA; it computes on the CPU alike.
pub(super) const TORCH: Peer = Peer {
    name: "torch",
    packages: &["torch==2.15.0", "numpy"],
};

pub(super) const ORIGINALS: Peer = Peer {
    name: "originals",
    packages: &["lbforaging==2.0.0", "rware==2.0.0", "mpe2==1.1.1"],
};

pub(super) const JAXMARL: Peer = Peer {
    name: "jaxmarl",
    packages: &["jaxmarl==0.2.0"],
};

impl Peer {
    /// Runs a harness of `xtask/comparators` on one core; its lines.
    pub(super) fn run(self, harness: &str, arguments: &[&str]) -> Result<Vec<Value>> {
        let python = self.python()?;
        let harness = root().join("xtask/comparators").join(harness);
        lines(pinned(&python).arg(harness).args(arguments))
    }

    /// The environment's interpreter, with everything installed.
    fn python(self) -> Result<PathBuf> {
        let folder = root()
            .join("target/bench")
            .join(format!("venv-{}", self.name));
        let python = folder.join("bin/python");
        let installed = folder.join("installed");
        let packages = self.packages.join(" ");
        if fs::read_to_string(&installed).is_ok_and(|found| found == packages) {
            return Ok(python);
        }
        let mut create = Command::new("python3");
        process::run(create.args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut install = Command::new(&python);
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        process::run(install.args(self.packages))
            .with_context(|| format!("{packages} cannot be installed from PyPI"))?;
        fs::write(installed, packages)?;
        Ok(python)
    }
}
