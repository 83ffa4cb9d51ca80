//! Why an agent does not come onto a board.

use std::path::PathBuf;

/// Why an agent does not come onto a board.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The team has no such agent.
    #[error("agent {agent}: the team has {agents} agents, counted from 0")]
    Agent {
        /// The agent asked for.
        agent: usize,
        /// How many there are.
        agents: usize,
    },
    /// The firmware's source is not there.
    #[error("{}: not there; the boards' firmware is in Consort's repository, --source names its firmware-examples/real", path.display())]
    Source {
        /// What was looked for.
        path: PathBuf,
    },
    /// A program is missing.
    #[error(
        "{program}: not found; install it, probe-rs by `cargo install probe-rs-tools --locked` or as https://probe.rs says"
    )]
    Missing {
        /// The program.
        program: String,
    },
    /// A step failed.
    #[error("{step}: {message}")]
    Step {
        /// The command.
        step: String,
        /// How it ended.
        message: String,
    },
}

impl FlashError {
    /// Whether the caller asked for what there is not.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Step { .. })
    }
}
