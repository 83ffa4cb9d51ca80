//! A fleet on the bench: a team's agents act on devices of their own, in lock-step with the task's environment on the host.
//!
//! Every device has one link, to the host, and is shown its own agent's observations alone. At every step its action and the
//! hash of its state are compared with the host's own, to the last bit.
//!
//! ```no_run
//! use consort_trainer::hil::Bench;
//! use consort_trainer::team::Team;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let team = Team::load("models/assurance".as_ref())?;
//! let report = Bench::new(&team).boards(["host", "qemu:m4f"])?.episodes(10).run()?;
//! assert_eq!(report.divergences, 0);
//! # Ok(()) }
//! ```
//!
//! The bytes on the wire are specified in docs/wire.md, the command is described in docs/hil.md.

mod audit;
mod device;
mod drive;
mod emulator;
mod faults;
mod host;
mod joint;
mod link;
mod record;
mod reference;
mod report;
mod show;
mod spec;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use device::{Episode, Sight};
pub use faults::{Faults, Kill};
pub use link::Link;
pub use record::{Recording, RecordingError};
pub use reference::{Acted, Outcome};
pub use report::{AgentReport, Distribution, Divergence, Report};
pub use show::{Picture, Scene, Seat, Terminal, View};
pub use spec::{BAUD, BoardSpec};

use consort_wire::PROTOCOL;

use crate::team::Team;

/// Why a fleet cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum HilError {
    /// The boards are not as many as the agents.
    #[error("found {found} boards, expected one, or {agents}: one for each agent")]
    Boards {
        /// Boards given.
        found: usize,
        /// Agents of the team.
        agents: usize,
    },
    /// A board's name cannot be read.
    #[error("{0}")]
    Spec(String),
    /// The firmware was not built.
    #[error(
        "the emulated boards' firmware is not there, looked for {}; `cargo xtask firmware` builds it in Consort's repository, --firmware names its folder",
        list(searched)
    )]
    NoFirmware {
        /// The files that were looked for, any of which would do.
        searched: Vec<PathBuf>,
    },
    /// Other boards' firmware was built, this one's not.
    #[error(
        "{}: found firmware for {}, none for qemu:{name}; `cargo xtask firmware --board {name}` adds it in Consort's repository",
        path.display(), built.join(", ")
    )]
    NotBuilt {
        /// The list.
        path: PathBuf,
        /// The board wanted.
        name: String,
        /// The boards it lists.
        built: Vec<String>,
    },
    /// The list of boards cannot be read.
    #[error("{}: {message}; `cargo xtask firmware` writes it", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such emulated board.
    #[error("board `qemu:{name}`: expected {known}")]
    UnknownBoard {
        /// The name given.
        name: String,
        /// The boards there are.
        known: String,
    },
    /// The emulator does not start.
    #[error(
        "{program}: {source}; is QEMU for Arm and RISC-V installed? (Debian: qemu-system-arm, qemu-system-misc)"
    )]
    Emulator {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A port or a socket cannot be opened.
    #[error("board `{board}`: {source}; expected {}", match board {
        BoardSpec::Serial { .. } => "a serial port that may be opened, such as /dev/ttyACM0 or COM3",
        _ => "an address and a port where something listens",
    })]
    Open {
        /// The board.
        board: BoardSpec,
        /// What the system said.
        source: io::Error,
    },
    /// The device speaks another protocol.
    #[error(
        "agent {agent}: the device speaks protocol {found}, this host {PROTOCOL}: {}",
        if *found < PROTOCOL { "rebuild its firmware" } else { "this host is older than its firmware" }
    )]
    Protocol {
        /// The agent.
        agent: usize,
        /// What the device speaks.
        found: u8,
    },
    /// The system has no random bytes to tell sessions apart by.
    #[error("random bytes: {0}")]
    Session(getrandom::Error),
    /// The image does not fit the device, or is not to act on it.
    #[error("agent {agent} on {target}: {what}")]
    Fit {
        /// The agent.
        agent: usize,
        /// The device: the board asked for, and what it calls itself where that is another name.
        target: String,
        /// What does not fit.
        what: String,
    },
    /// A device does not do what it should any more.
    #[error("agent {agent}, episode {episode}, step {tick}: {what}")]
    Hung {
        /// The agent.
        agent: usize,
        /// The episode.
        episode: u64,
        /// The step of it.
        tick: usize,
        /// What it does, or does not.
        what: String,
    },
    /// What a run is to write cannot be written there.
    #[error("{}: {message}", path.display())]
    Output {
        /// The path given.
        path: PathBuf,
        /// What is there, and what would be right.
        message: String,
    },
    /// A recording cannot be used.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// Files, one after another.
fn list(files: &[PathBuf]) -> String {
    let files: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    files.join(", ")
}

impl HilError {
    /// Whether the caller asked for what there is not.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Hung { .. } | Self::Session(_))
    }
}

/// A fleet to be tried.
pub struct Bench<'t> {
    pub(super) team: &'t Team,
    pub(super) boards: Vec<BoardSpec>,
    pub(super) links: Vec<Box<dyn Link>>,
    pub(super) episodes: u64,
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) deadline_us: Option<u64>,
    pub(super) firmware: Option<PathBuf>,
    pub(super) record: bool,
    pub(super) view: Option<&'t mut dyn View>,
}

impl<'t> Bench<'t> {
    /// Tries `team`; on boards in this process, for one episode, until told otherwise.
    pub fn new(team: &'t Team) -> Self {
        Self {
            team,
            boards: vec![BoardSpec::Host],
            links: Vec::new(),
            episodes: 1,
            seed: 0,
            faults: Faults::default(),
            deadline_us: None,
            firmware: None,
            record: false,
            view: None,
        }
    }

    /// The agents' boards, in agent order; a single one stands for all.
    ///
    /// # Errors
    /// When one cannot be read as a [`BoardSpec`].
    pub fn boards<S: AsRef<str>>(
        mut self,
        boards: impl IntoIterator<Item = S>,
    ) -> Result<Self, HilError> {
        let boards = boards.into_iter().map(|board| board.as_ref().parse());
        self.boards = boards.collect::<Result<_, _>>().map_err(HilError::Spec)?;
        Ok(self)
    }

    /// Episodes to play.
    pub fn episodes(mut self, episodes: u64) -> Self {
        self.episodes = episodes;
        self
    }

    /// Of the episodes, the agents' dice and the faults.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What goes wrong on purpose.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// A step whose round trip takes longer than this, in µs, has missed its deadline.
    pub fn deadline_us(mut self, deadline: u64) -> Self {
        self.deadline_us = Some(deadline);
        self
    }

    /// Where the emulated boards' firmware lies.
    pub fn firmware(mut self, folder: &Path) -> Self {
        self.firmware = Some(folder.to_owned());
        self
    }

    /// Keeps everything that the devices are shown and do: [`Report::recording`].
    pub fn record(mut self) -> Self {
        self.record = true;
        self
    }

    /// Links that are there already, in agent order, in the place of boards.
    pub fn links(mut self, links: Vec<Box<dyn Link>>) -> Self {
        self.links = links;
        self
    }

    /// Who looks on.
    pub fn view(mut self, view: &'t mut dyn View) -> Self {
        self.view = Some(view);
        self
    }

    /// Plays the episodes.
    ///
    /// A difference between a device and the host ends the run, and is in the report; so is a device that hangs.
    ///
    /// # Errors
    /// What keeps the fleet from starting.
    pub fn run(self) -> Result<Report, HilError> {
        drive::run(self)
    }
}

/// Opens the link to a board.
pub(super) fn open(board: &BoardSpec, firmware: Option<&Path>) -> Result<Box<dyn Link>, HilError> {
    let opened = |source| HilError::Open {
        board: board.clone(),
        source,
    };
    Ok(match board {
        BoardSpec::Host => Box::new(host::HostLink::start()),
        BoardSpec::Qemu(name) => Box::new(emulator::Emulator::start(name, firmware)?),
        BoardSpec::Serial { port, baud } => {
            Box::new(link::SerialLink::open(port, *baud).map_err(opened)?)
        }
        BoardSpec::Tcp(address) => Box::new(link::SocketLink::connect(address).map_err(opened)?),
    })
}
