//! The agent this firmware was built for: `CONSORT_AGENT` of the team in `CONSORT_TEAM_DIR` (see `build.rs`).

/// The agent's image, as exported.
pub static IMAGE: &[u8] = consort_runtime::include_image!(concat!(env!("OUT_DIR"), "/agent.image"));

/// Observations of its golden sequence, `[T][observation_len]`.
pub static OBSERVATIONS: &[f32] = include!(concat!(env!("OUT_DIR"), "/observations.rs"));
