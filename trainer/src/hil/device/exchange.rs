//! A request and its answer: once each, whatever happens to their frames on the way.

use std::io::{self, ErrorKind};

use consort_wire::{
    Act, Action, Frame, Header, HelloReply, PROTOCOL, Receiver, Reply, Request, decode, encode,
    header,
};

use super::{Answer, Device, Hello, Sent};
use crate::hil::HilError;
use crate::hil::faults::Fate;
use crate::hil::link::FRAME;
use crate::hil::reference::{Acted, Outcome};

/// How often a request is sent before the device counts as hung.
const ATTEMPTS: usize = 24;

/// What became of an answer.
enum Came {
    Answer(Answer),
    /// The harness lost it.
    Lost,
    /// The device is silent.
    Nothing,
}

impl Device {
    /// Sends a request until it is answered.
    pub(super) fn exchange(&mut self, message: &Request<'_>) -> Result<Answer, HilError> {
        match self.ask(PROTOCOL, message, ATTEMPTS)? {
            Some(answer) => Ok(answer),
            None => Err(self.hung("it does not answer")),
        }
    }

    /// Sends a request of some version of the protocol until it is answered, or as often as the device is silent by itself; those
    /// times do not count that the harness has spoilt.
    pub(super) fn ask(
        &mut self,
        version: u8,
        message: &Request<'_>,
        attempts: usize,
    ) -> Result<Option<Answer>, HilError> {
        self.sequence += 1;
        let header = Header {
            version,
            session: self.session,
            sequence: self.sequence,
        };
        let mut place = vec![0; FRAME];
        let frame = Frame {
            header,
            message: *message,
        };
        let len = encode(&frame, &mut place).map_err(|error| HilError::Fit {
            agent: self.agent,
            target: "this host".to_owned(),
            what: error.to_string(),
        })?;
        place.truncate(len);
        let (mut silent, mut first) = (0, true);
        while silent < attempts {
            self.tally.repeated += u64::from(!std::mem::take(&mut first));
            let [request, answer] = self.luck.frame();
            if !self.transmit(&place, request)? {
                continue;
            }
            match self.answer(answer)? {
                Came::Answer(Answer::Protocol(found)) => {
                    let agent = self.agent;
                    return Err(HilError::Protocol { agent, found });
                }
                Came::Answer(answer) => return Ok(Some(answer)),
                Came::Lost => {}
                Came::Nothing => silent += 1,
            }
        }
        Ok(None)
    }

    /// Sends a frame, as fate has it: whether an answer can be expected.
    fn transmit(&mut self, frame: &[u8], fate: Fate) -> Result<bool, HilError> {
        if fate != Fate::Arrives {
            self.injected();
        }
        // Late is behind a request that was made after it: until then it is as good as lost.
        let late = (self.late_request)
            .take_if(|(sequence, _)| *sequence != self.sequence)
            .map(|(_, frame)| frame);
        let sent = match fate {
            Fate::Arrives => self.send(frame),
            Fate::Dropped => Ok(()),
            Fate::Delayed => {
                self.late_request = Some((self.sequence, frame.to_vec()));
                Ok(())
            }
            Fate::Corrupted => {
                let damaged = self.luck.corrupt(frame);
                self.log
                    .push(Sent::Damaged(damaged.clone(), frame.to_vec()));
                self.link.send(&damaged)
            }
            Fate::Doubled => self.send(frame).and_then(|()| self.send(frame)),
        };
        let sent = sent.and_then(|()| late.map_or(Ok(()), |late| self.send(&late)));
        sent.map_err(|error| self.io(error))?;
        Ok(matches!(fate, Fate::Arrives | Fate::Doubled))
    }

    /// Sends a frame, and remembers that it did.
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.log.push(Sent::Whole(frame.to_vec()));
        self.link.send(frame)
    }

    /// Waits for the answer to the last request, as fate has it.
    fn answer(&mut self, fate: Fate) -> Result<Came, HilError> {
        while let Some(body) = self.late_answers.pop_front() {
            if let Some(answer) = self.read(&body) {
                return Ok(Came::Answer(answer));
            }
        }
        loop {
            let Some(body) = self.body()? else {
                return Ok(Came::Nothing);
            };
            let Some(answer) = self.read(&body) else {
                continue;
            };
            if fate != Fate::Arrives {
                self.injected();
            }
            return Ok(match fate {
                Fate::Arrives => Came::Answer(answer),
                Fate::Dropped => Came::Lost,
                Fate::Delayed => {
                    self.late_answers.push_back(body);
                    Came::Lost
                }
                // Damaged bits are refused by the same receiver; that its checksum notices is asserted.
                Fate::Corrupted => {
                    self.damage(&body);
                    Came::Lost
                }
                Fate::Doubled => {
                    self.late_answers.push_back(body);
                    Came::Answer(answer)
                }
            });
        }
    }

    /// Lets a damaged answer through the receiver, which must refuse it.
    fn damage(&mut self, body: &[u8]) {
        let Ok(frame) = decode::<Reply<'_>>(body) else {
            return;
        };
        let mut place = vec![0; FRAME];
        let Ok(len) = encode(&frame, &mut place) else {
            return;
        };
        let damaged = self.luck.corrupt(&place[..len]);
        let mut receiver = Box::new(Receiver::<FRAME>::new());
        for byte in damaged.into_iter().chain([0]) {
            let heard = receiver.push(byte);
            assert!(
                !matches!(heard, Some(Ok(_))),
                "a damaged frame passed for a whole one"
            );
        }
    }

    /// The next body whose checksum fits; none when the device is silent for long.
    fn body(&mut self) -> Result<Option<Vec<u8>>, HilError> {
        loop {
            while let Some(byte) = self.unread.pop_front() {
                if let Some(Ok(body)) = self.receiver.push(byte) {
                    return Ok(Some(body.to_vec()));
                }
            }
            let mut place = [0; FRAME];
            match self.link.receive(&mut place) {
                Ok(len) => self.unread.extend(&place[..len]),
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(None),
                Err(error) => return Err(self.io(error)),
            }
        }
    }

    /// The answer in a body, if it is to the last request.
    fn read(&self, body: &[u8]) -> Option<Answer> {
        let Header {
            version,
            session,
            sequence,
        } = header(body)?;
        if (session, sequence) != (self.session, self.sequence) {
            return None;
        }
        if version != PROTOCOL {
            return Some(Answer::Protocol(version));
        }
        let frame = decode::<Reply<'_>>(body).ok()?;
        Some(match frame.message {
            Reply::Hello(hello) => Answer::Hello(own(&hello)),
            Reply::Done => Answer::Done,
            Reply::Act(act) => {
                let moment = (act.episode, act.tick);
                Answer::Act(outcome(&act), moment, act.symbol, act.ticks, act.stack)
            }
            Reply::State { values } => Answer::State(floats(values)),
            Reply::Refused(refused) => Answer::Refused(refused),
            // No reply of this protocol.
            _ => return None,
        })
    }

    /// What was on its way is lost with the power.
    pub(super) fn forget_bytes(&mut self) {
        self.unread.clear();
        self.receiver = Receiver::new();
        self.late_request = None;
        self.late_answers.clear();
    }
}

fn own(hello: &HelloReply<'_>) -> Hello {
    Hello {
        target: hello.target.to_owned(),
        rate: hello.rate,
        frame: hello.frame as usize,
        room: hello.room,
        image: hello.image,
        trial: hello.trial,
    }
}

fn outcome(act: &Act<'_>) -> Outcome {
    Outcome {
        action: match act.action {
            Action::Discrete(number) => Acted::Number(number),
            Action::Continuous(bytes) => Acted::Vector(floats(bytes)),
            Action::MultiDiscrete(bytes) => {
                let (words, _) = bytes.as_chunks::<4>();
                Acted::Numbers(words.iter().map(|&word| u32::from_le_bytes(word)).collect())
            }
            // No action of this protocol: none that any agent takes.
            _ => Acted::Numbers(Vec::new()),
        },
        hash: act.hash,
        fault: act.fault,
    }
}

pub(in crate::hil) fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|&word| f32::from_le_bytes(word)).collect()
}
