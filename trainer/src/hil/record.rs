//! A run in one file: what every device was shown and what it did, and the images it acted from.
//!
//! The file is `CONSORTHIL2` and a line break, then `postcard`, then the CRC-32 of all before it; docs/wire.md has the fields.
//! It holds no key: where a team shares a seed, the symbols that were drawn are in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use consort_runtime::{Head, Image};
use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

use super::audit::Audited;
use super::device::{Device, Episode, Sight};
use super::faults::{Faults, Luck};
use super::reference::{Acted, Outcome, Reference};
use super::report::{Divergence, Report, Reporter};
use super::{BoardSpec, HilError, Link, open};
use crate::atomic;
use crate::team::{AlignedImage, Team};

const MAGIC: &[u8] = b"CONSORTHIL2\n";
/// What recordings of every version begin with.
const KIND: &[u8] = b"CONSORTHIL";
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const CRC_LEN: usize = 4;

/// What a file to be replayed is.
const EXPECTED: &str = "expected a file that `consort hil --record` wrote";

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

/// As many bytes of a file as [`KIND`] has, or all there are.
fn start(file: &File) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(KIND.len() as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Whether a step could be this image's: what is wrong with it.
fn fits(image: Image<'_>, sight: &Sight, outcome: &Outcome) -> Result<(), String> {
    let counted = |what: &str, found: usize, expected: usize| match found == expected {
        true => Ok(()),
        false => Err(format!("found {found} {what}, expected {expected}")),
    };
    let symbols = (image.seeding()).map_or(0, |seeding| usize::from(seeding.symbols));
    counted(
        "values",
        sight.values.len(),
        image.observation_len() - symbols,
    )?;
    match sight.symbol.map(usize::from) {
        None if symbols == 0 => {}
        Some(symbol) if symbol < symbols => {}
        _ => return Err("the symbol is none of its shared seed's".to_owned()),
    }
    let outputs = image.output_len();
    if !sight.mask.is_empty() {
        if image.head().is_continuous() {
            return Err("a mask, of actions that are vectors".to_owned());
        }
        counted("bytes of mask", sight.mask.len(), outputs.div_ceil(8))?;
    }
    match (&outcome.action, image.head()) {
        (Acted::Number(number), Head::Categorical { .. }) if (*number as usize) < outputs => Ok(()),
        (Acted::Numbers(numbers), Head::MultiDiscrete { sizes }) => {
            counted("numbers of an action", numbers.len(), sizes.len())
        }
        (Acted::Vector(vector), head) if head.is_continuous() => {
            counted("values of an action", vector.len(), outputs)
        }
        _ => Err("the action is none of the policy's".to_owned()),
    }
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

    /// The seed it was played with.
    pub fn seed(&self) -> u64 {
        self.seed
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

    /// Whether the file at `path` begins as recordings do, whatever its version and whole or not.
    ///
    /// # Errors
    /// When the machine does not let it be read.
    pub fn is_one(path: &Path) -> io::Result<bool> {
        Ok(start(&File::open(path)?)? == KIND)
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
        let unread = |error: io::Error| wrong(format!("cannot be read: {error}; {EXPECTED}"));
        if path.is_dir() {
            return Err(wrong(format!("found a folder, {EXPECTED}")));
        }
        let mut file = File::open(path).map_err(unread)?;
        let mut bytes = start(&file).map_err(unread)?;
        // Before the rest is read: a device may have no end.
        if bytes != KIND {
            return Err(wrong(format!("found no recording, {EXPECTED}")));
        }
        file.read_to_end(&mut bytes).map_err(unread)?;
        Self::parse(&bytes).map_err(wrong)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let no_recording = || "the recording is of another version, or damaged".to_owned();
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
        recording.check()?;
        Ok(recording)
    }

    /// Whether all events fit the images: what is wrong with the first that does not.
    fn check(&self) -> Result<(), String> {
        let image = |(agent, image): (usize, &Vec<u8>)| {
            AlignedImage::new(image).map_err(|error| format!("image of agent {agent}: {error}"))
        };
        let images = self.images.iter().enumerate().map(image);
        let images: Vec<_> = images.collect::<Result<_, _>>()?;
        let mut begun = vec![false; images.len()];
        for (index, (agent, event)) in self.events.iter().enumerate() {
            let wrong = |what: String| format!("event {index}, of agent {agent}: {what}");
            let agent = usize::from(*agent);
            let image = images
                .get(agent)
                .ok_or_else(|| wrong(format!("there are {} agents", images.len())))?;
            match event {
                Event::Begin(_) => begun[agent] = true,
                Event::Step(..) if !begun[agent] => {
                    return Err(wrong("a step before any episode".to_owned()));
                }
                Event::Step(sight, outcome) => {
                    fits(image.view(), sight, outcome).map_err(wrong)?;
                }
            }
        }
        Ok(())
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
        let links = boards.iter().map(|board| open(board, firmware));
        let links = links.collect::<Result<_, _>>()?;
        self.replay_on(boards, links)
    }

    /// [`replay`](Self::replay) on devices whose links are open.
    pub(super) fn replay_on(
        &self,
        boards: Vec<BoardSpec>,
        links: Vec<Box<dyn Link>>,
    ) -> Result<Report, HilError> {
        let devices = links.into_iter().zip(&self.images).enumerate();
        let mut devices: Vec<_> = devices
            .map(|(agent, (link, image))| {
                let luck = Luck::new(&Faults::default(), self.seed, agent);
                Device::new(agent, link, image, None, luck).called(boards.get(agent))
            })
            .collect();
        let images: Vec<_> = (self.images.iter())
            .map(|image| {
                AlignedImage::new(image).expect("checked when it was read, or taken from a team")
            })
            .collect();
        let mut references: Vec<_> = (images.iter())
            .map(|image| Reference::new(image.view()))
            .collect();
        let mut reporter = Reporter::new(devices.len(), None);
        let shown = self.show(&mut devices, &mut references, &mut reporter);
        for device in &devices {
            reporter.sent(Audited::counted(&device.log));
        }
        let hung = match shown {
            Err(error) if error.is_bad_input() => return Err(error),
            Err(error) => Some(error.to_string()),
            Ok(()) => None,
        };
        Ok(reporter.finish(boards, &devices, None, hung))
    }

    fn show(
        &self,
        devices: &mut [Device],
        references: &mut [Reference<'_>],
        reporter: &mut Reporter,
    ) -> Result<(), HilError> {
        // Episode and step, and steps of the whole run, by agent: the team took as many as the agent that took most.
        let mut at = vec![(0, 0, 0); devices.len()];
        for (agent, event) in &self.events {
            let agent = usize::from(*agent);
            let device = &mut devices[agent];
            match event {
                Event::Begin(episode) => {
                    // Without the environment there is nothing to hold it against.
                    reporter.sent(Audited::counted(&std::mem::take(&mut device.log)));
                    device.begin(*episode)?;
                    references[agent].reset(episode.dice);
                    (at[agent].0, at[agent].1) = (episode.number, 0);
                    // Every agent begins it; the first one counts. What it paid was not recorded.
                    reporter.episodes += u64::from(agent == 0);
                }
                Event::Step(sight, expected) => {
                    let done = device.step(sight.clone())?;
                    let host = references[agent].step_seen(sight);
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
                            // The state is not recorded; it is what the host comes to, where it acts as the record says.
                            host_state: match host.same(expected) {
                                true => references[agent].state().to_vec(),
                                false => Vec::new(),
                            },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hil::Bench;

    fn recorded(name: &str) -> Recording {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let team = Team::load(&models.join(name)).unwrap_or_else(|error| panic!("{error}"));
        let report = Bench::new(&team).record().run();
        let recording = report.ok().and_then(|report| report.recording);
        recording.unwrap_or_else(|| panic!("a recording"))
    }

    /// What reading it says after `change` to its first step.
    fn found(name: &str, change: fn(&mut Sight, &mut Outcome)) -> Result<Recording, String> {
        let mut recording = recorded(name);
        let step = recording.events.iter_mut().find_map(|event| match event {
            (_, Event::Step(sight, outcome)) => Some((sight, outcome)),
            _ => None,
        });
        let (sight, outcome) = step.unwrap_or_else(|| panic!("a step"));
        change(sight, outcome);
        Recording::parse(&recording.to_bytes())
    }

    #[test]
    fn a_step_that_no_image_can_take_is_bad_input() {
        for name in ["assurance", "evade-shared", "foraging", "spread-continuous"] {
            assert_eq!(found(name, |_, _| {}), Ok(recorded(name)), "{name}");
        }
        for (name, change, part) in [
            (
                "assurance",
                (|sight, _| sight.values.push(0.0)) as fn(&mut Sight, &mut Outcome),
                "found 2 values, expected 1",
            ),
            ("assurance", |sight, _| sight.symbol = Some(0), "symbol"),
            ("evade-shared", |sight, _| sight.symbol = None, "symbol"),
            (
                "evade-shared",
                |sight, _| sight.symbol = Some(200),
                "symbol",
            ),
            (
                "assurance",
                |sight, _| sight.mask = vec![1, 1],
                "found 2 bytes of mask, expected 1",
            ),
            (
                "spread-continuous",
                |sight, _| sight.mask = vec![1],
                "a mask, of actions that are vectors",
            ),
            (
                "assurance",
                |_, outcome| outcome.action = Acted::Number(9),
                "the action is none",
            ),
            (
                "spread-continuous",
                |_, outcome| outcome.action = Acted::Vector(vec![0.0; 9]),
                "found 9 values of an action",
            ),
        ] {
            let error = found(name, change).expect_err(name);
            assert!(error.contains(part), "{name}: {error}");
        }
        let mut recording = recorded("assurance");
        recording
            .events
            .retain(|(_, event)| !matches!(event, Event::Begin(_)));
        let error = Recording::parse(&recording.to_bytes()).expect_err("no episode");
        assert_eq!(error, "event 0, of agent 0: a step before any episode");
    }
}
