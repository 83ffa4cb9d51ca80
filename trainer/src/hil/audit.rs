//! What went over the wire, read back: each agent was shown its own observations and nothing else.
//!
//! What an agent was to see is cut out of what the environment gave, here and by itself: nothing of it is taken from what was sent.

use std::ops::Range;

use consort_wire::{Key, Observe, PROTOCOL, Receiver, Request, decode, hash};

use super::device::{Episode, Sent, floats};
use super::link::FRAME;
use crate::env::TeamSpec;
use crate::team::AlignedImage;

/// Bits that the harness flips in a frame, at most.
const FLIPPED: u32 = 3;

/// Frames that were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Audited {
    pub(super) frames: u64,
    /// Those of them that showed an observation.
    pub(super) observations: u64,
}

impl Audited {
    /// Counts whole frames that there is nothing to hold against.
    pub(super) fn counted(log: &[Sent]) -> Self {
        let mut counted = Self::default();
        let mut receiver = Box::new(Receiver::<FRAME>::new());
        for sent in log {
            let (Sent::Whole(frame) | Sent::Damaged(_, frame)) = sent;
            counted.frames += 1;
            for &byte in frame {
                let Some(Ok(body)) = receiver.push(byte) else {
                    continue;
                };
                let request = decode::<Request<'_>>(body).map(|frame| frame.message);
                counted.observations += u64::from(matches!(request, Ok(Request::Observe(_))));
            }
        }
        counted
    }
}

/// What each agent may be sent.
pub(super) struct Auditor<'a> {
    agents: Vec<Agent<'a>>,
    masked: bool,
    /// Whether devices draw a shared seed's symbols themselves.
    keyed: bool,
    /// The episode that is played and, as frames can be late, the one before it.
    played: [Option<Played>; 2],
}

/// An agent's parts of what the environment gives, and what else it may be sent.
struct Agent<'a> {
    image: &'a [u8],
    key: Option<Key>,
    observation: Range<usize>,
    /// How many values of it, the last ones, are a shared seed's symbol.
    symbols: usize,
    mask: Range<usize>,
}

/// An episode.
struct Played {
    episodes: Vec<Episode>,
    steps: Vec<Step>,
}

/// What the environment gave at a step, and whose sensors failed.
struct Step {
    observations: Vec<f32>,
    mask: Vec<bool>,
    failed: Vec<Option<usize>>,
}

impl<'a> Auditor<'a> {
    /// Of a team's images and its key.
    pub(super) fn new(spec: &TeamSpec, images: &'a [AlignedImage], key: Option<[u8; 16]>) -> Self {
        let mut agents = Vec::new();
        let (mut observed, mut allowed) = (0, 0);
        for (agent, image) in spec.agents.iter().zip(images) {
            let seeding = image.view().seeding();
            let (observation, actions) = (agent.observation, agent.actions.size());
            agents.push(Agent {
                image: image.bytes(),
                key: key.filter(|_| seeding.is_some()).map(Key),
                observation: observed..observed + observation,
                symbols: seeding.map_or(0, |seeding| usize::from(seeding.symbols)),
                mask: allowed..allowed + actions,
            });
            observed += observation;
            allowed += actions;
        }
        Self {
            agents,
            masked: spec.masked,
            keyed: key.is_some(),
            played: [None, None],
        }
    }

    /// An episode begins, of which agents are told so.
    pub(super) fn begin(&mut self, episodes: Vec<Episode>) {
        let steps = Vec::new();
        let now = Played { episodes, steps };
        self.played = [Some(now), self.played[0].take()];
    }

    /// The environment gives this to all agents at the next step.
    pub(super) fn step(&mut self, observations: &[f32], mask: &[bool]) {
        let step = Step {
            observations: observations.to_vec(),
            mask: mask.to_vec(),
            failed: vec![None; self.agents.len()],
        };
        let [now, _] = &mut self.played;
        if let Some(now) = now {
            now.steps.push(step);
        }
    }

    /// At the last step a sensor of an agent fails.
    pub(super) fn fails(&mut self, agent: usize, index: usize) {
        let [now, _] = &mut self.played;
        if let Some(step) = now.as_mut().and_then(|now| now.steps.last_mut()) {
            step.failed[agent] = Some(index);
        }
    }

    /// Reads back what went out to an agent: its own, all of it, or what is not.
    pub(super) fn audit(&self, agent: usize, log: &[Sent]) -> Result<Audited, String> {
        let mut audited = Audited::default();
        let mut receiver = Box::new(Receiver::<FRAME>::new());
        for sent in log {
            let frame = match sent {
                Sent::Whole(frame) => frame,
                // Its bits are another frame's but for a few, and no receiver takes it.
                Sent::Damaged(damaged, frame) => {
                    let flipped = damaged.iter().zip(frame).map(|(a, b)| (a ^ b).count_ones());
                    if damaged.len() != frame.len() || flipped.sum::<u32>() > FLIPPED {
                        return Err("a damaged frame that was none of its own".to_owned());
                    }
                    frame
                }
            };
            let mut bodies = 0;
            for &byte in frame {
                let Some(body) = receiver.push(byte) else {
                    continue;
                };
                bodies += 1;
                let body = body.map_err(|error| error.to_string())?;
                // A greeting may be in another version, to learn what the device speaks: it is the same in all.
                let (mut body, other) = (body.to_vec(), body.first() != Some(&PROTOCOL));
                body.iter_mut()
                    .take(1)
                    .for_each(|version| *version = PROTOCOL);
                let request = decode::<Request<'_>>(&body).map_err(|error| error.to_string())?;
                let request = request.message;
                if other && request != Request::Hello {
                    return Err(format!("{request:?} in another protocol"));
                }
                self.check(agent, &request)?;
                audited.observations += u64::from(matches!(request, Request::Observe(_)));
            }
            if bodies != 1 {
                return Err(format!("{bodies} frames in the place of one"));
            }
            audited.frames += 1;
        }
        Ok(audited)
    }

    /// Whether an agent may be sent this.
    fn check(&self, agent: usize, request: &Request<'_>) -> Result<(), String> {
        let own = &self.agents[agent];
        let of_episode = |number: u64| {
            let mut played = self.played.iter().flatten();
            played.find(|played| played.episodes[agent].number == number)
        };
        let allowed = match request {
            Request::Hello | Request::Confirm | Request::State | Request::Restart => true,
            Request::Key { key } => own.key.as_ref() == Some(key),
            Request::Begin { length } => *length as usize == own.image.len(),
            Request::Chunk { offset, bytes } => {
                let rest = own.image.get(*offset as usize..).unwrap_or_default();
                rest.starts_with(bytes)
            }
            Request::Commit { hash: sum } => *sum == hash(own.image),
            Request::Reset {
                episode,
                ticks,
                dice,
            } => of_episode(*episode).is_some_and(|played| {
                let own = &played.episodes[agent];
                (own.ticks, own.dice) == (*ticks, *dice)
            }),
            Request::Resync { episode, .. } => of_episode(*episode).is_some(),
            Request::Observe(observe) => of_episode(observe.episode)
                .and_then(|played| played.steps.get(observe.tick as usize))
                .is_some_and(|step| self.is_own(agent, step, observe)),
            _ => false,
        };
        match allowed {
            true => Ok(()),
            false => Err(format!("{request:?}")),
        }
    }

    /// Whether a frame shows an agent what it was to see at that step.
    fn is_own(&self, agent: usize, step: &Step, observe: &Observe<'_>) -> bool {
        let own = &self.agents[agent];
        let mut seen = step.observations[own.observation.clone()].to_vec();
        let tail = seen.split_off(seen.len() - own.symbols);
        let symbol = match self.keyed {
            true => None,
            false => tail.iter().position(|&value| value == 1.0),
        };
        if let Some(index) = step.failed[agent] {
            seen[index] = f32::NAN;
        }
        let bits = |values: &[f32]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        let may = &step.mask[own.mask.clone()];
        let masked = match self.masked {
            false => observe.mask.is_empty(),
            true => {
                let bit = |index: usize| observe.mask[index / 8] >> (index % 8) & 1 == 1;
                observe.mask.len() == may.len().div_ceil(8)
                    && (0..8 * observe.mask.len())
                        .all(|index| bit(index) == may.get(index).copied().unwrap_or(false))
            }
        };
        bits(&floats(observe.values)) == bits(&seen)
            && masked
            && observe.symbol.map(usize::from) == symbol
    }
}

#[cfg(test)]
mod tests {
    use consort_wire::{Frame, Header, encode};

    use super::*;
    use crate::env::AgentSpec;
    use crate::team::Team;

    const EPISODE: u64 = 4;

    fn frame(message: Request<'_>) -> Sent {
        let mut place = vec![0; FRAME];
        let header = Header {
            version: PROTOCOL,
            session: 1,
            sequence: 1,
        };
        let len = encode(&Frame { header, message }, &mut place);
        place.truncate(len.unwrap_or_else(|error| panic!("{error}")));
        Sent::Whole(place)
    }

    fn shows(episode: u64, tick: u32, values: &[f32], mask: &[u8]) -> Sent {
        frame(Request::Observe(Observe {
            episode,
            tick,
            symbol: None,
            mask,
            values: bytemuck::cast_slice(values),
        }))
    }

    fn team() -> Team {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        Team::load(&models.join("assurance")).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Two agents, of two and three values, of two and three actions; at the second step a sensor of agent 1 fails.
    fn auditor(team: &Team) -> Auditor<'_> {
        let spec = TeamSpec {
            masked: true,
            ..TeamSpec::new(
                vec![AgentSpec::discrete(2, 2), AgentSpec::discrete(3, 3)],
                2,
            )
        };
        let mut auditor = Auditor::new(&spec, team.actors.images(), None);
        let episode = |dice| Episode {
            number: EPISODE,
            ticks: 2,
            dice,
        };
        auditor.begin(vec![episode(Some(7)), episode(Some(8))]);
        auditor.step(
            &[1.0, 2.0, 3.0, 4.0, 5.0],
            &[true, false, true, true, false],
        );
        auditor.step(
            &[6.0, 7.0, 8.0, 9.0, 10.0],
            &[true, true, false, false, true],
        );
        auditor.fails(1, 1);
        auditor
    }

    #[test]
    fn an_agents_own_part_passes_however_often_it_is_shown() {
        let team = team();
        let mut auditor = auditor(&team);
        let log = [
            shows(EPISODE, 0, &[3.0, 4.0, 5.0], &[0b011]),
            shows(EPISODE, 1, &[8.0, f32::NAN, 10.0], &[0b100]),
            shows(EPISODE, 0, &[3.0, 4.0, 5.0], &[0b011]),
            frame(Request::State),
        ];
        let expected = Audited {
            frames: 4,
            observations: 3,
        };
        assert_eq!(auditor.audit(1, &log), Ok(expected));
        assert_eq!(Audited::counted(&log), expected);
        // Late, in the episode after.
        let next = Episode {
            number: EPISODE + 1,
            ticks: 2,
            dice: None,
        };
        auditor.begin(vec![next; 2]);
        assert_eq!(auditor.audit(1, &log), Ok(expected));
        auditor.begin(vec![next; 2]);
        assert!(auditor.audit(1, &log).is_err());
    }

    #[test]
    fn anything_else_does_not() {
        let team = team();
        let auditor = auditor(&team);
        for (agent, sent) in [
            // The other agent's observation, or mask, or both as one vector.
            (0, shows(EPISODE, 0, &[3.0, 4.0, 5.0], &[0b011])),
            (0, shows(EPISODE, 0, &[3.0, 4.0], &[0b01])),
            (0, shows(EPISODE, 0, &[1.0, 2.0], &[0b11])),
            (0, shows(EPISODE, 0, &[1.0, 2.0, 3.0, 4.0, 5.0], &[0b01])),
            // A bit of mask behind the last action, and none.
            (0, shows(EPISODE, 0, &[1.0, 2.0], &[0b101])),
            (0, shows(EPISODE, 0, &[1.0, 2.0], &[])),
            // A sensor that did not fail, a step that has not come, another episode.
            (0, shows(EPISODE, 1, &[6.0, f32::NAN], &[0b11])),
            (1, shows(EPISODE, 1, &[8.0, 9.0, 10.0], &[0b100])),
            (0, shows(EPISODE, 2, &[1.0, 2.0], &[0b01])),
            (0, shows(EPISODE + 1, 0, &[1.0, 2.0], &[0b01])),
            // The other's dice, another image, a key where there is none.
            (
                0,
                frame(Request::Reset {
                    episode: EPISODE,
                    ticks: 2,
                    dice: Some(8),
                }),
            ),
            (
                0,
                frame(Request::Commit {
                    hash: hash(team.actors.images()[1].bytes()),
                }),
            ),
            (
                0,
                frame(Request::Chunk {
                    offset: 0,
                    bytes: &[1, 2, 3],
                }),
            ),
            (0, frame(Request::Key { key: Key([7; 16]) })),
        ] {
            let found = auditor.audit(agent, std::slice::from_ref(&sent));
            assert!(found.is_err(), "{sent:?}");
        }
    }

    #[test]
    fn a_damaged_frame_was_one_of_its_own() {
        let team = team();
        let auditor = auditor(&team);
        let Sent::Whole(own) = shows(EPISODE, 0, &[1.0, 2.0], &[0b01]) else {
            unreachable!()
        };
        let damaged = |flips: usize| {
            let mut bytes = own.clone();
            bytes[2..2 + flips].iter_mut().for_each(|byte| *byte ^= 1);
            Sent::Damaged(bytes, own.clone())
        };
        assert!(auditor.audit(0, &[damaged(3)]).is_ok());
        assert!(auditor.audit(0, &[damaged(4)]).is_err());
    }
}
