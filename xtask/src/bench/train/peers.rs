//! Other systems, each from PyPI into a virtual environment of its own under `target/`.

use anyhow::Result;
use serde_json::Value;

use super::program::{lines, pinned};
use crate::python::Environment;
use crate::root;

/// A system, by its packages.
#[derive(Clone, Copy)]
pub(super) struct Peer(Environment);

const fn peer(name: &'static str, packages: &'static [&'static str]) -> Peer {
    Peer(Environment {
        name,
        packages,
        alone: &[],
    })
}

/// On Linux PyPI's wheel is the one for CUDA; it computes on the CPU alike.
pub(super) const TORCH: Peer = peer("torch", &["torch==2.15.0", "numpy"]);

pub(super) const ORIGINALS: Peer = peer(
    "originals",
    &["lbforaging==2.0.0", "rware==2.0.0", "mpe2==1.1.1"],
);

pub(super) const JAXMARL: Peer = peer("jaxmarl", &["jaxmarl==0.2.0"]);

impl Peer {
    /// Runs a harness of `xtask/comparators` on one core; its lines.
    pub(super) fn run(self, harness: &str, arguments: &[&str]) -> Result<Vec<Value>> {
        let python = self.0.python()?;
        let harness = root().join("xtask/comparators").join(harness);
        lines(pinned(&python).arg(harness).args(arguments))
    }
}
