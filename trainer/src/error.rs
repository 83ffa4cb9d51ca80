//! What can go wrong in a command, and whose fault it is.

use crate::atomic::WriteError;
use crate::compare::CompareError;
use crate::config::{ConfigError, DeviceError};
use crate::env::TaskError;
use crate::env::decpomdp::solve::TooLarge;
use crate::env::solve::SolveError;
use crate::export::ExportError;
use crate::flash::FlashError;
use crate::hil::HilError;
use crate::keys::KeyError;
use crate::run_folder::FolderError;
use crate::team::TeamError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no such task.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The device cannot be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The run cannot be written there.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A team cannot be loaded.
    #[error(transparent)]
    Team(#[from] TeamError),
    /// A team cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A comparison's folder cannot be used.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// An agent does not come onto a board.
    #[error(transparent)]
    Flash(#[from] FlashError),
    /// A fleet cannot be tried.
    #[error(transparent)]
    Hil(#[from] HilError),
    /// A key cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The game is too large to solve.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// The Dec-POMDP is too large to solve.
    #[error(transparent)]
    Plan(#[from] TooLarge),
    /// The task has no table to solve.
    #[error(
        "task `{task}`: found no tables, expected a one-shot game or a Dec-POMDP, which can be solved"
    )]
    NotEnumerable {
        /// The task.
        task: String,
    },
    /// The machine refused to write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A run among several failed.
    #[error("{run}: {source}")]
    OfRun {
        /// Which: its task, method and seed.
        run: String,
        /// How.
        source: Box<Error>,
    },
    /// The arithmetic failed: memory, device, or numbers that were none any more.
    #[error("training failed: {0}")]
    Learning(#[from] candle_core::Error),
}

impl Error {
    /// The exit code: 2 for bad input, 1 for failures of the machine.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Task(_)
            | Self::Device(_)
            | Self::Team(_)
            | Self::Compare(_)
            | Self::Solve(_)
            | Self::Plan(_)
            | Self::NotEnumerable { .. } => 2,
            Self::OfRun { source, .. } => source.exit_code(),
            Self::Folder(FolderError::Write(error)) | Self::Write(error)
                if !error.is_bad_path() =>
            {
                1
            }
            Self::Folder(_) | Self::Write(_) => 2,
            Self::Export(error) if error.is_bad_input() => 2,
            Self::Key(error) if error.is_bad_input() => 2,
            Self::Hil(error) if error.is_bad_input() => 2,
            Self::Flash(error) if error.is_bad_input() => 2,
            Self::Hil(_) | Self::Flash(_) | Self::Export(_) | Self::Key(_) | Self::Learning(_) => 1,
        }
    }
}
