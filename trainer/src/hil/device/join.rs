//! Into a session and to the beginning of an episode: a greeting, the image if the device lacks it, and the key.

use consort_wire::{Refused, Request};

use super::{Answer, Device, Hello, REJOINS};
use crate::hil::HilError;

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
            && !self.granted(&Request::Key { key })?
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

    fn greet(&mut self) -> Result<Hello, HilError> {
        self.session = self.session.wrapping_add(1);
        self.sequence = 0;
        match self.exchange(&Request::Hello)? {
            Answer::Hello(hello) => Ok(hello),
            other => Err(self.unexpected(&other)),
        }
    }

    fn upload(&mut self, hello: &Hello) -> Result<bool, HilError> {
        let image = self.image.clone();
        let length = image.len() as u32;
        if length > hello.room {
            return Err(HilError::Fit {
                agent: self.agent,
                target: hello.target.clone(),
                what: format!("the image has {length} bytes, a slot {}", hello.room),
            });
        }
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
            Answer::Refused(Refused::Unsuitable) => Err(HilError::Fit {
                agent: self.agent,
                target: self
                    .hello
                    .as_ref()
                    .map_or_else(String::new, |hello| hello.target.clone()),
                what: Refused::Unsuitable.to_string(),
            }),
            other => Err(self.unexpected(&other)),
        }
    }
}
