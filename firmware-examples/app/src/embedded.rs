//! The agent this firmware was built for: `CONSORT_AGENT` of the team in `CONSORT_TEAM_DIR` (see `build.rs`).

#[allow(
    unused_imports,
    reason = "only a sequence with a shared seed names the second"
)]
use crate::sequence::{Expected, Sequence, SequenceSeed};

/// The agent's image, as exported.
pub static IMAGE: &[u8] = consort_runtime::include_image!(concat!(env!("OUT_DIR"), "/agent.image"));

/// Its golden sequence.
pub static SEQUENCE: Sequence<'_> = include!(concat!(env!("OUT_DIR"), "/sequence.rs"));

/// What it made of that on the workstation.
pub static EXPECTED: Expected<'_> = include!(concat!(env!("OUT_DIR"), "/expected.rs"));
