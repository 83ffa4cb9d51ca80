//! Into a session and to the beginning of an episode: a greeting, the image if the device lacks it, and the key.

use std::time::Instant;

use consort_wire::{Key, PROTOCOL, Refused, Request};

use super::{Answer, Device, Hello, REJOINS};
use crate::hil::HilError;
use crate::hil::link::PATIENCE;

/// Sessions that are tried before a device that does not answer counts as dead, and greetings in each.
const SESSIONS: usize = 6;
const GREETINGS: usize = 3;

/// Bytes of an image that are sent at once, if the device's frames are as long.
const CHUNK: usize = 1024;

/// What surrounds an image's bytes in a frame, generously.
const AROUND: usize = 32;

impl Device {
    pub(super) fn join_patiently(&mut self) -> Result<(), HilError> {
        for _ in 0..REJOINS {
            if self.join()? {
                return Ok(());
            }
        }
        Err(self.hung("it does not come into the session"))
    }

    /// Brings the device into a session and to the beginning of the episode: false when it restarted meanwhile.
    ///
    /// What the agent has seen of the episode it is then shown again by [`step`](Self::step): its own observations, nothing
    /// else, and so it comes to the state it had.
    fn join(&mut self) -> Result<bool, HilError> {
        self.joined = false;
        self.shown = 0;
        let mut hello = self.greet()?;
        self.hello = Some(hello.clone());
        if hello.image != Some(self.hash) {
            if hello.trial {
                // What is in use must be settled before the other slot can be written.
                self.granted(&Request::Confirm)?;
            }
            if !self.upload(&hello)? {
                return Ok(false);
            }
            hello = self.greet()?;
            if hello.image != Some(self.hash) {
                return Err(self.hung("it does not act from the image that it was sent"));
            }
        }
        if hello.trial && !self.granted(&Request::Confirm)? {
            return Ok(false);
        }
        self.hello = Some(hello);
        if let Some(key) = self.key
            && !self.granted(&Request::Key { key: Key(key) })?
        {
            return Ok(false);
        }
        match self.reset_episode()? {
            Answer::Done => self.joined = true,
            Answer::Refused(Refused::Session) => {}
            other => return Err(self.unexpected(&other)),
        }
        Ok(self.joined)
    }

    /// Begins a session. The device may be in that of a host that is gone: numbers are drawn, and another where it stays silent, as
    /// it takes what has its session's number and comes before its last request for late.
    fn greet(&mut self) -> Result<Hello, HilError> {
        let start = Instant::now();
        let since =
            |why: &str| format!("no answer to hello in {} s{why}", start.elapsed().as_secs());
        match self.greeted() {
            Ok(Some(hello)) => Ok(hello),
            Ok(None) => Err(self.hung(&since(""))),
            // A line that ends while it is waited for; what ends at once says so itself.
            Err(HilError::Hung { what, .. }) if start.elapsed() >= PATIENCE => {
                Err(self.hung(&since(&format!(": {what}"))))
            }
            Err(error) => Err(error),
        }
    }

    /// Greets until there is an answer, or patience ends.
    fn greeted(&mut self) -> Result<Option<Hello>, HilError> {
        for trial in 0..SESSIONS {
            self.session = drawn()?;
            self.sequence = 0;
            match self.ask(PROTOCOL, &Request::Hello, GREETINGS)? {
                Some(Answer::Hello(hello)) => return Ok(Some(hello)),
                Some(other) => return Err(self.unexpected(&other)),
                // Firmware of protocols before 3 answers none but its own.
                None if trial == 1 => {
                    for version in 1..3 {
                        self.ask(version, &Request::Hello, 1)?;
                    }
                }
                None => {}
            }
        }
        Ok(None)
    }

    fn upload(&mut self, hello: &Hello) -> Result<bool, HilError> {
        let image = self.image.clone();
        let length = image.len() as u32;
        if length > hello.room {
            return Err(self.unfit(format!(
                "the image has {length} bytes, a slot {}",
                hello.room
            )));
        }
        self.tally.uploads += 1;
        if !self.granted(&Request::Begin { length })? {
            return Ok(false);
        }
        let chunk = CHUNK.min(hello.frame.saturating_sub(AROUND)).max(16);
        for (index, bytes) in image.chunks(chunk).enumerate() {
            let offset = (index * chunk) as u32;
            if !self.granted(&Request::Chunk { offset, bytes })? {
                return Ok(false);
            }
        }
        let hash = self.hash;
        self.granted(&Request::Commit { hash })
    }

    /// Whether the device did it; not when it restarted meanwhile.
    fn granted(&mut self, request: &Request<'_>) -> Result<bool, HilError> {
        match self.exchange(request)? {
            Answer::Done => Ok(true),
            Answer::Refused(Refused::Session | Refused::NoUpload) => Ok(false),
            Answer::Refused(why @ (Refused::Unsuitable | Refused::TooLong { .. })) => {
                Err(self.unfit(why.to_string()))
            }
            Answer::Refused(why @ Refused::Rollback { least }) => Err(self.unfit(format!(
                "{why}: give the team that revision or a higher one (`consort sign --revision {least}`), or erase the board's slots \
                 (`consort flash` does)"
            ))),
            Answer::Refused(why @ Refused::Signature) => Err(self.unfit(format!(
                "{why}: sign the team with the key whose public half it has (`consort sign`)"
            ))),
            other => Err(self.unexpected(&other)),
        }
    }
}

/// A session's number. All have the same length on the wire, so that what a run does to frames does not depend on it.
fn drawn() -> Result<u16, HilError> {
    const THREE_BYTES: u16 = 1 << 14;
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(HilError::Session)?;
    Ok(u16::from_le_bytes(bytes) | THREE_BYTES)
}
