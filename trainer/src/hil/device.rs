//! One agent's device, seen from the host: a session over its link, whatever happens to frames and to the device.

mod exchange;
mod join;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use consort_wire::{Observe, Rate, Receiver, Refused, Request, Unit, hash};

pub(super) use exchange::floats;

use super::faults::Luck;
use super::link::{FRAME, Link};
use super::reference::Outcome;
use super::{BoardSpec, HilError};

/// How often a device may have to be brought back within one step.
const REJOINS: usize = 16;

/// A step as an agent was to see it: all that is needed to let it see it again.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sight {
    /// The observation without a symbol of a shared seed.
    pub values: Vec<f32>,
    /// The mask's bits; none where everything is allowed.
    pub mask: Vec<u8>,
    /// The symbol to use, where the device is not to draw it itself.
    pub symbol: Option<u8>,
}

/// An episode, as a device is told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Episode {
    /// Which.
    pub number: u64,
    /// The most steps it can have.
    pub ticks: u32,
    /// By which seed the agent draws; none where it does not.
    pub dice: Option<u64>,
}

/// What a device did at a step, and what it took.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// The symbol that was used.
    pub(super) symbol: Option<u8>,
    /// From the request that was answered to its answer.
    pub(super) round_trip: Duration,
    /// On the device, in its unit.
    pub(super) cost: u64,
    pub(super) stack: Option<u32>,
}

/// Faults, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) injected: u64,
    pub(super) recovered: u64,
    /// Requests that were sent again.
    pub(super) repeated: u64,
    /// How often the device was brought back into an episode.
    pub(super) rejoined: u64,
    /// How often it was sent its image.
    pub(super) uploads: u64,
}

/// A reply that outlives the frame it came in.
#[derive(Debug)]
enum Answer {
    Hello(Hello),
    Done,
    Act(Outcome, Moment, Option<u8>, u32, Option<u32>),
    State(Vec<f32>),
    Refused(Refused),
    /// In another protocol, which is all that is known of it.
    Protocol(u8),
}

/// What went out to a device.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    /// A frame.
    Whole(Vec<u8>),
    /// A frame that was damaged on purpose: what went out, and what it had been.
    Damaged(Vec<u8>, Vec<u8>),
}

type Moment = (u64, u32);

/// What a device says it is.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    pub(super) target: String,
    pub(super) rate: Rate,
    frame: usize,
    room: u32,
    image: Option<u64>,
    trial: bool,
}

impl Hello {
    /// What its counter counts.
    pub(super) fn unit(&self) -> &'static str {
        match self.rate.unit {
            Unit::Instructions => "instructions",
            Unit::Cycles => "cycles",
            Unit::Nanoseconds => "nanoseconds",
            _ => "ticks",
        }
    }
}

/// A device.
pub(super) struct Device {
    agent: usize,
    link: Box<dyn Link>,
    /// The board as it was asked for; none where the link was there already.
    board: Option<String>,
    /// The image that the agent acts from, and its hash.
    image: Vec<u8>,
    hash: u64,
    key: Option<[u8; 16]>,
    receiver: Receiver<FRAME>,
    unread: VecDeque<u8>,
    session: u16,
    sequence: u32,
    luck: Luck,
    /// A request that comes late, and its number.
    late_request: Option<(u32, Vec<u8>)>,
    /// Bodies of answers that come late, or twice.
    late_answers: VecDeque<Vec<u8>>,
    hello: Option<Hello>,
    /// Whether the device is in the session, and knows the episode.
    joined: bool,
    episode: Episode,
    /// What the agent has seen of the episode, and what it did.
    seen: Vec<(Sight, Option<Outcome>)>,
    /// How much of it the device has seen since it joined.
    shown: usize,
    /// Faults that are not recovered from yet.
    pending: u64,
    pub(super) tally: Tally,
    /// All that went out since it was looked at last.
    pub(super) log: Vec<Sent>,
}

impl Device {
    pub(super) fn new(
        agent: usize,
        link: Box<dyn Link>,
        image: &[u8],
        key: Option<[u8; 16]>,
        luck: Luck,
    ) -> Self {
        Self {
            agent,
            link,
            board: None,
            image: image.to_vec(),
            hash: hash(image),
            key,
            receiver: Receiver::new(),
            unread: VecDeque::new(),
            session: 0,
            sequence: 0,
            luck,
            late_request: None,
            late_answers: VecDeque::new(),
            hello: None,
            joined: false,
            episode: Episode::default(),
            seen: Vec::new(),
            shown: 0,
            pending: 0,
            tally: Tally::default(),
            log: Vec::new(),
        }
    }

    /// As somebody asked for it.
    pub(super) fn called(mut self, board: Option<&BoardSpec>) -> Self {
        self.board = board.map(ToString::to_string);
        self
    }

    /// What the device has said it is.
    pub(super) fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Its luck, for what happens to sensors.
    pub(super) fn luck(&mut self) -> &mut Luck {
        &mut self.luck
    }

    /// Counts a fault that is injected elsewhere.
    pub(super) fn injected(&mut self) {
        self.tally.injected += 1;
        self.pending += 1;
    }

    /// The faults up to here were got over: the agent has acted as it should.
    pub(super) fn recovered(&mut self) {
        self.tally.recovered += std::mem::take(&mut self.pending);
    }

    /// Begins an episode.
    pub(super) fn begin(&mut self, episode: Episode) -> Result<(), HilError> {
        self.episode = episode;
        self.seen.clear();
        self.shown = 0;
        if self.joined {
            match self.reset_episode()? {
                Answer::Done => return Ok(()),
                Answer::Refused(Refused::Session) => self.joined = false,
                other => return Err(self.unexpected(&other)),
            }
        }
        self.join_patiently()
    }

    /// Lets the agent take its next step.
    pub(super) fn step(&mut self, sight: Sight) -> Result<Done, HilError> {
        if self.luck.reset() {
            self.injected();
            self.restart()?;
        }
        let desync = self.luck.desync();
        self.seen.push((sight, None));
        if let Some(by) = desync.filter(|_| self.joined) {
            self.injected();
            let tick = (self.seen.len() as u32 - 1).saturating_add(by);
            match self.resync(tick)? {
                Answer::Done => {}
                Answer::Refused(Refused::Session) => self.joined = false,
                other => return Err(self.unexpected(&other)),
            }
        }
        let mut rejoins = 0;
        loop {
            if !self.joined {
                rejoins += 1;
                if rejoins > REJOINS {
                    return Err(self.hung("it does not come back into the session"));
                }
                self.tally.rejoined += 1;
                self.join_patiently()?;
            }
            let tick = self.shown;
            let start = Instant::now();
            match self.observe(tick)? {
                Answer::Act(outcome, moment, symbol, ticks, stack) => {
                    if moment != (self.episode.number, tick as u32) {
                        return Err(self.hung("it answers for another step"));
                    }
                    self.shown += 1;
                    let (_, before) = &mut self.seen[tick];
                    match before {
                        // Its own history, once more: it must act as it did.
                        Some(before) if !before.same(&outcome) => {
                            return Err(self.hung("it acts differently at what it has seen before"));
                        }
                        _ => *before = Some(outcome.clone()),
                    }
                    if self.shown < self.seen.len() {
                        continue;
                    }
                    return Ok(Done {
                        outcome,
                        symbol,
                        round_trip: start.elapsed(),
                        cost: self.hello.as_ref().map_or(0, |hello| hello.rate.of(ticks)),
                        stack,
                    });
                }
                Answer::Refused(Refused::Session | Refused::NoImage | Refused::NoEpisode) => {
                    self.joined = false;
                }
                Answer::Refused(Refused::Moment { .. }) => {
                    rejoins += 1;
                    if rejoins > REJOINS {
                        return Err(self.hung("it does not find to the team's moment"));
                    }
                    match self.resync(tick as u32)? {
                        Answer::Done => {}
                        Answer::Refused(Refused::Session) => self.joined = false,
                        other => return Err(self.unexpected(&other)),
                    }
                }
                other => return Err(self.unexpected(&other)),
            }
        }
    }

    /// Lets the device lose its power, or where nobody can take that, restart.
    fn restart(&mut self) -> Result<(), HilError> {
        match self.link.restart() {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                match self.exchange(&Request::Restart)? {
                    // Asked twice, as its answer was lost: it has restarted, and knows of no session.
                    Answer::Done | Answer::Refused(Refused::Session) => {}
                    other => return Err(self.unexpected(&other)),
                }
            }
            restarted => restarted.map_err(|error| self.io(error))?,
        }
        self.forget_bytes();
        Ok(())
    }

    /// The device's state, for who wants to see where it differs.
    pub(super) fn state(&mut self) -> Result<Vec<f32>, HilError> {
        match self.exchange(&Request::State)? {
            Answer::State(values) => Ok(values),
            other => Err(self.unexpected(&other)),
        }
    }

    fn reset_episode(&mut self) -> Result<Answer, HilError> {
        let Episode {
            number,
            ticks,
            dice,
        } = self.episode;
        self.exchange(&Request::Reset {
            episode: number,
            ticks,
            dice,
        })
    }

    fn resync(&mut self, tick: u32) -> Result<Answer, HilError> {
        let episode = self.episode.number;
        self.exchange(&Request::Resync { episode, tick })
    }

    fn observe(&mut self, tick: usize) -> Result<Answer, HilError> {
        let sight = self.seen[tick].0.clone();
        self.exchange(&Request::Observe(Observe {
            episode: self.episode.number,
            tick: tick as u32,
            symbol: sight.symbol,
            mask: &sight.mask,
            values: bytemuck::cast_slice(&sight.values),
        }))
    }

    fn unexpected(&self, answer: &Answer) -> HilError {
        self.hung(&match answer {
            Answer::Refused(refused) => format!("it refuses: {refused}"),
            other => format!("it gives an answer to something else: {other:?}"),
        })
    }

    fn unfit(&self, what: String) -> HilError {
        let target = self.hello.as_ref().map(|hello| hello.target.as_str());
        let target = target.unwrap_or("its device");
        HilError::Fit {
            agent: self.agent,
            target: match self.board.as_deref() {
                Some(board) if board != target => format!("{board} ({target})"),
                _ => target.to_owned(),
            },
            what,
        }
    }

    fn hung(&self, what: &str) -> HilError {
        HilError::Hung {
            agent: self.agent,
            episode: self.episode.number,
            tick: self.seen.len().saturating_sub(1),
            what: what.to_owned(),
        }
    }

    fn io(&self, error: std::io::Error) -> HilError {
        self.hung(&error.to_string())
    }
}
