//! A run in one file: what every device was shown and what it did, and the images it acted from.
//!
//! The file is `CONSORTHIL2` and a line break, then `postcard`, then the CRC-32 of all before it; docs/wire.md has the fields.
//! It holds no key: where a team shares a seed, the symbols that were drawn are in it.

use std::path::{Path, PathBuf};

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

use super::device::{Device, Episode, Sight};
use super::faults::{Faults, Luck};
use super::reference::Outcome;
use super::report::{Divergence, Report, Reporter};
use super::{BoardSpec, HilError, open};
use crate::atomic;
use crate::team::{AlignedImage, Team};

const MAGIC: &[u8] = b"CONSORTHIL2\n";
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const CRC_LEN: usize = 4;

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct RecordingError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub message: String,
}

/// A recorded run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// The task's name.
    task: String,
    /// The team's id.
    team: String,
    /// The run's seed.
    seed: u64,
    /// The images, in agent order.
    images: Vec<Vec<u8>>,
    /// What happened, in order: whose it is, and what.
    events: Vec<(u16, Event)>,
}

/// What happens to a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Event {
    /// An episode begins.
    Begin(Episode),
    /// A step: what the agent was shown and what it did.
    Step(Sight, Outcome),
}

/// A recording in the making.
pub(super) struct Recorder(Recording);

impl Recorder {
    pub(super) fn new(team: &Team, seed: u64) -> Self {
        let images = team.actors.images().iter();
        Self(Recording {
            task: team.manifest.task.clone(),
            team: team.manifest.team.clone(),
            seed,
            images: images.map(|image| image.bytes().to_vec()).collect(),
            events: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, agent: usize, event: Event) {
        self.0.events.push((agent as u16, event));
    }

    pub(super) fn finish(self) -> Recording {
        self.0
    }
}

impl Recording {
    /// The task that was played.
    pub fn task(&self) -> &str {
        &self.task
    }

    /// How many agents there were.
    pub fn agents(&self) -> usize {
        self.images.len()
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(postcard::to_stdvec(self).expect("numbers are serialised"));
        let sum = CRC.checksum(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn write(&self, path: &Path) -> Result<(), atomic::WriteError> {
        atomic::write(path, &self.to_bytes())
    }

    /// Reads the file at `path`, and checks that everything in it fits the images in it.
    ///
    /// # Errors
    /// A [`RecordingError`].
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let wrong = |message: String| RecordingError {
            path: path.to_owned(),
            message,
        };
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&bytes).map_err(wrong)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let no_recording = || "not a recording of `consort hil --record`".to_owned();
        let (covered, sum) = bytes
            .split_last_chunk::<CRC_LEN>()
            .ok_or_else(no_recording)?;
        let body = covered.strip_prefix(MAGIC).ok_or_else(no_recording)?;
        if CRC.checksum(covered).to_le_bytes() != *sum {
            return Err("the recording is damaged: its checksum does not fit".to_owned());
        }
        let recording: Self = match postcard::take_from_bytes(body) {
            Ok((recording, [])) => recording,
            _ => return Err("the recording is damaged: its contents are none".to_owned()),
        };
        for (agent, image) in recording.images.iter().enumerate() {
            AlignedImage::new(image).map_err(|error| format!("image of agent {agent}: {error}"))?;
        }
        let agents = recording.images.len();
        match recording
            .events
            .iter()
            .find(|(agent, _)| usize::from(*agent) >= agents)
        {
            None => Ok(recording),
            Some((agent, _)) => Err(format!("an event of agent {agent}: there are {agents}")),
        }
    }

    /// Shows the devices on `boards` (one for all, or one an agent) what the recorded ones were shown, and compares what they
    /// do. The recorded action takes the host's place in the report.
    ///
    /// # Errors
    /// What keeps the fleet from starting.
    pub fn replay(
        &self,
        boards: &[BoardSpec],
        firmware: Option<&Path>,
    ) -> Result<Report, HilError> {
        let agents = self.images.len();
        let boards = match boards {
            [one] => vec![one.clone(); agents],
            many => many.to_vec(),
        };
        if boards.len() != agents {
            return Err(HilError::Boards {
                found: boards.len(),
                agents,
            });
        }
        let mut devices = Vec::new();
        for (agent, (board, image)) in boards.iter().zip(&self.images).enumerate() {
            let luck = Luck::new(&Faults::default(), self.seed, agent);
            devices.push(Device::new(
                agent,
                open(board, firmware)?,
                image,
                None,
                luck,
            ));
        }
        let mut reporter = Reporter::new(agents, None);
        let hung = match self.show(&mut devices, &mut reporter) {
            Err(error) if error.is_bad_input() => return Err(error),
            Err(error) => Some(error.to_string()),
            Ok(()) => None,
        };
        Ok(reporter.finish(boards, &devices, None, hung))
    }

    fn show(&self, devices: &mut [Device], reporter: &mut Reporter) -> Result<(), HilError> {
        // Episode and step, and steps of the whole run, by agent: the team took as many as the agent that took most.
        let mut at = vec![(0, 0, 0); devices.len()];
        for (agent, event) in &self.events {
            let agent = usize::from(*agent);
            let device = &mut devices[agent];
            match event {
                Event::Begin(episode) => {
                    // What was sent has nothing left to be held against.
                    device.log.clear();
                    device.begin(*episode)?;
                    (at[agent].0, at[agent].1) = (episode.number, 0);
                    // Every agent begins it; the first one counts. What it paid was not recorded.
                    reporter.episodes += u64::from(agent == 0);
                }
                Event::Step(sight, expected) => {
                    let done = device.step(sight.clone())?;
                    reporter.step(agent, &done, expected);
                    let (episode, step, all) = &mut at[agent];
                    *all += 1;
                    reporter.steps = reporter.steps.max(*all);
                    if !done.outcome.same(expected) {
                        reporter.divergence = Some(Divergence {
                            agent,
                            episode: *episode,
                            step: *step,
                            device: done.outcome,
                            host: expected.clone(),
                            device_state: device.state()?,
                            host_state: Vec::new(),
                        });
                        return Ok(());
                    }
                    *step += 1;
                }
            }
        }
        Ok(())
    }
}
