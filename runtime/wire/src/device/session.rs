//! A session: from one hello to the next, with one image or without.

use core::num::NonZeroU32;

use consort_runtime::{Moment, Policy, SeedClock, SharedSeed};
use embedded_io::{Read, Write};

use super::Meter;
use super::link::Link;
use super::step::{Dice, Step};
use crate::frame::PROTOCOL;
use crate::message::{HelloReply, Observe, Rate, Refused, Reply, Request};

/// What is not for the session itself to do.
pub(super) enum Exit {
    Closed,
    Restart,
    Confirm,
    Upload(u32),
}

/// What the device knows besides its images.
pub(super) struct Session<'b> {
    target: &'b str,
    room: u32,
    rate: Rate,
    memory: &'b mut [f32],
    values: &'b mut [f32],
    /// The hash of the image in use.
    pub(super) image: Option<u64>,
    /// Whether that image is on trial.
    pub(super) trial: bool,
    key: Option<SharedSeed>,
    episode: Option<Episode>,
}

/// The episode under way.
struct Episode {
    /// The team's next step, as the agent counts.
    clock: SeedClock,
    dice: Option<Dice>,
}

impl<'b> Session<'b> {
    pub(super) fn new(
        target: &'b str,
        room: u32,
        rate: Rate,
        memory: &'b mut [f32],
        values: &'b mut [f32],
    ) -> Self {
        Session {
            target,
            room,
            rate,
            memory,
            values,
            image: None,
            trial: false,
            key: None,
            episode: None,
        }
    }

    /// Answers requests, acting by `policy`, up to one that is not for the session.
    pub(super) fn live<S: Read + Write, M: Meter, const N: usize>(
        &mut self,
        link: &mut Link<'_, S, N>,
        policy: Option<Policy<'_>>,
        meter: &mut M,
    ) -> Result<Exit, S::Error> {
        loop {
            if !link.wait()? {
                return Ok(Exit::Closed);
            }
            let reply = match link.request() {
                Request::Hello => {
                    (self.key, self.episode) = (None, None);
                    Ok(Reply::Hello(self.hello(policy.as_ref(), N)))
                }
                Request::Key { key } => {
                    self.key = Some(SharedSeed::new(key.0));
                    Ok(Reply::Done)
                }
                Request::Begin { length } => return Ok(Exit::Upload(length)),
                Request::Chunk { .. } | Request::Commit { .. } => Err(Refused::NoUpload),
                Request::Confirm => return Ok(Exit::Confirm),
                Request::Restart => return Ok(Exit::Restart),
                Request::Reset {
                    episode,
                    ticks,
                    dice,
                } => self.reset(policy.as_ref(), episode, ticks, dice),
                Request::Resync { episode, tick } => match &mut self.episode {
                    Some(under_way) => {
                        under_way.clock.resync(Moment::new(episode, tick));
                        Ok(Reply::Done)
                    }
                    None => Err(Refused::NoEpisode),
                },
                Request::Observe(observe) => self.observe(policy.as_ref(), observe, meter),
                Request::State => self.state(policy.as_ref()),
            };
            let reply = reply.unwrap_or_else(Reply::Refused);
            link.reply(&reply)?;
        }
    }

    /// Gives the episode up.
    pub(super) fn end_episode(&mut self) {
        self.episode = None;
    }

    fn hello(&self, policy: Option<&Policy<'_>>, frame: usize) -> HelloReply<'b> {
        let image = policy.map(Policy::image);
        let length = |of: Option<usize>| of.unwrap_or(0) as u32;
        HelloReply {
            protocol: PROTOCOL,
            target: self.target,
            frame: frame.saturating_sub(2) as u32,
            room: self.room,
            memory: self.memory.len() as u32,
            rate: self.rate,
            image: self.image,
            trial: self.trial,
            agent: image.map_or(0, |image| image.agent()),
            agents: image.map_or(0, |image| image.agents()),
            observation: length(image.map(|image| image.observation_len())),
            outputs: length(image.map(|image| image.output_len())),
            state: length(image.map(|image| image.state_len())),
        }
    }

    fn reset(
        &mut self,
        policy: Option<&Policy<'_>>,
        episode: u64,
        ticks: u32,
        seed: Option<u64>,
    ) -> Result<Reply<'static>, Refused> {
        let policy = policy.ok_or(Refused::NoImage)?;
        policy.reset(self.memory).map_err(|_| Refused::Unsuitable)?;
        let ticks = NonZeroU32::new(ticks).unwrap_or(NonZeroU32::MIN);
        // An episode's moments are its own: those of an earlier one cannot be meant by any frame of this session.
        let mut clock = SeedClock::new(ticks, u32::MAX);
        clock.resync(Moment::new(episode, 0));
        self.episode = Some(Episode {
            clock,
            dice: seed.map(Dice::new),
        });
        Ok(Reply::Done)
    }

    fn observe<M: Meter>(
        &mut self,
        policy: Option<&Policy<'_>>,
        observe: Observe<'_>,
        meter: &mut M,
    ) -> Result<Reply<'_>, Refused> {
        let policy = policy.ok_or(Refused::NoImage)?;
        let episode = self.episode.as_mut().ok_or(Refused::NoEpisode)?;
        let asked = Moment::new(observe.episode, observe.tick);
        // Time passes with a step, not with a question about another one.
        let mut clock = episode.clock;
        let next = clock.step();
        // A clock that was led back to what it has used, or has run out, knows of no next step, as before a reset.
        let next = next.map_err(|_| Refused::NoEpisode)?;
        if next != asked {
            return Err(Refused::Moment {
                episode: next.episode,
                tick: next.tick,
            });
        }
        let step = Step::new(policy, &observe, asked, self.key.as_ref(), self.values)?;
        episode.clock = clock;
        Ok(Reply::Act(step.act(
            policy,
            asked,
            episode.dice.as_mut(),
            self.memory,
            self.values,
            meter,
        )))
    }

    fn state(&self, policy: Option<&Policy<'_>>) -> Result<Reply<'_>, Refused> {
        let policy = policy.ok_or(Refused::NoImage)?;
        let state = self.memory.get(..policy.image().state_len());
        Ok(Reply::State {
            values: bytemuck::cast_slice(state.unwrap_or_default()),
        })
    }
}
