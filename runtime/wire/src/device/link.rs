//! A device's end of the stream: each request once, and its reply as often as it is asked for.

use embedded_io::{Error as _, ErrorKind, Read, Write};

use crate::frame::{Frame, FrameError, Header, PROTOCOL, Receiver, decode, encode, header};
use crate::message::{Refused, Reply, Request};

/// Bytes that are read at once.
const READ: usize = 64;

/// Room for a refusal: a header of at most 9 bytes, 2 of the message, 4 of the checksum, and what COBS adds.
const REFUSAL: usize = 32;

/// A stream, the frame that came last, and the last reply.
pub(super) struct Link<'s, S, const N: usize> {
    stream: &'s mut S,
    receiver: Receiver<N>,
    /// What was read and is not looked at yet: from `next` up to `end`.
    read: [u8; READ],
    next: usize,
    end: usize,
    /// The request that is answered next.
    header: Option<Header>,
    /// A request that whoever waited for it did not want: it is waited for once more.
    kept: bool,
    /// The last answer, encoded: a repeated request gets it again.
    answer: [u8; N],
    answer_len: usize,
}

impl<'s, S: Read + Write, const N: usize> Link<'s, S, N> {
    pub(super) fn new(stream: &'s mut S) -> Self {
        Link {
            stream,
            receiver: Receiver::new(),
            read: [0; READ],
            next: 0,
            end: 0,
            header: None,
            kept: false,
            answer: [0; N],
            answer_len: 0,
        }
    }

    /// Waits for a request that is new: none when the stream has ended. [`request`](Self::request) then has it.
    ///
    /// Of the others, the last one is answered once more, those before it are dropped: they were answered when they came.
    pub(super) fn wait(&mut self) -> Result<bool, S::Error> {
        if core::mem::take(&mut self.kept) {
            return Ok(true);
        }
        while self.frame()? {
            let body = self.receiver.body();
            let frame = match decode::<Request<'_>>(body) {
                Ok(frame) => frame,
                Err(FrameError::Version { .. }) => {
                    // Silence would be taken for a board that is dead.
                    if let Some(header) = header(body) {
                        self.refuse(header, Refused::Version)?;
                    }
                    continue;
                }
                Err(_) => continue,
            };
            let (header, hello) = (frame.header, frame.message == Request::Hello);
            let last = self.header.filter(|last| last.session == header.session);
            match last {
                None if hello => {}
                None => {
                    self.refuse(header, Refused::Session)?;
                    continue;
                }
                Some(last) if header.sequence == last.sequence => {
                    let answer = self.answer.get(..self.answer_len).unwrap_or_default();
                    write(self.stream, answer)?;
                    continue;
                }
                Some(last) if header.sequence < last.sequence => continue,
                Some(_) => {}
            }
            self.header = Some(header);
            self.answer_len = 0;
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads up to the end of a frame; false when the stream has ended.
    fn frame(&mut self) -> Result<bool, S::Error> {
        loop {
            while let Some(&byte) = self.read.get(self.next..self.end).and_then(<[u8]>::first) {
                self.next = self.next.saturating_add(1);
                if let Some(Ok(_)) = self.receiver.push(byte) {
                    return Ok(true);
                }
            }
            (self.next, self.end) = (0, 0);
            match self.stream.read(&mut self.read) {
                Ok(0) => return Ok(false),
                Ok(len) => self.end = len,
                Err(error) if is_end(error.kind()) => return Err(error),
                // A byte that was overrun, a parity that was wrong: the frame fails its checksum, and is asked for again.
                Err(_) => {}
            }
        }
    }

    /// The request that was waited for.
    pub(super) fn request(&self) -> Request<'_> {
        // It was one a moment ago.
        decode(self.receiver.body()).map_or(Request::Hello, |frame| frame.message)
    }

    /// The request that was waited for is for someone else.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Answers the request that was waited for.
    pub(super) fn reply(&mut self, reply: &Reply<'_>) -> Result<(), S::Error> {
        match self.header {
            Some(header) => self.send(header, reply),
            None => Ok(()),
        }
    }

    /// Says that there is no such session, or protocol. Not kept as the last answer: a frame that comes late, of a session before,
    /// must not take the place of what the host may yet ask for again.
    fn refuse(&mut self, header: Header, why: Refused) -> Result<(), S::Error> {
        let header = Header {
            version: PROTOCOL,
            ..header
        };
        let message = Reply::Refused(why);
        let mut place = [0; REFUSAL];
        let len = encode(&Frame { header, message }, &mut place).unwrap_or(0);
        write(self.stream, place.get(..len).unwrap_or_default())
    }

    fn send(&mut self, header: Header, message: &Reply<'_>) -> Result<(), S::Error> {
        let header = Header {
            version: PROTOCOL,
            ..header
        };
        let message = *message;
        let len = encode(&Frame { header, message }, &mut self.answer).or_else(|_| {
            let message = Reply::Refused(Refused::Reply);
            encode(&Frame { header, message }, &mut self.answer)
        });
        self.answer_len = len.unwrap_or(0);
        write(
            self.stream,
            self.answer.get(..self.answer_len).unwrap_or_default(),
        )
    }
}

/// Writes all that the stream takes: what it does not is an answer that was lost, and is asked for again.
fn write<S: Write>(stream: &mut S, mut bytes: &[u8]) -> Result<(), S::Error> {
    let mut done = || {
        while let len @ 1.. = stream.write(bytes)? {
            bytes = bytes.get(len..).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
        }
        stream.flush()
    };
    match done() {
        Err(error) if is_end(error.kind()) => Err(error),
        _ => Ok(()),
    }
}

/// Whether nobody is at the other end of the stream any more. Any other error is a line's, and costs bytes.
fn is_end(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
    )
}
