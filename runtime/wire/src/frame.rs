//! From messages to bytes on a wire, and back.
//!
//! A frame is `00`, then the COBS encoding of `body ‖ CRC-32 of the body`, then `00`. Zero appears nowhere else, so a receiver
//! that has lost its place finds it at the next one; the zero in front costs a byte, and keeps rubbish before a frame from
//! spoiling it.

use crc::{CRC_32_ISO_HDLC, Crc};
use postcard::ser_flavors::{Flavor as _, crc::CrcModifier};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cobs::{Encoder, decode_in_place};

/// The version of the protocol: the first byte of every frame's body. Version 1 had no actions of several numbers, version 2
/// no answer to other versions.
pub const PROTOCOL: u8 = 3;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const CRC_LEN: usize = 4;

/// What every frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`PROTOCOL`].
    pub version: u8,
    /// The host's number for its conversation with the device: from [`Request::Hello`](crate::Request::Hello) to the next one.
    pub session: u16,
    /// The request's number in the session, counting up; a reply has its request's.
    pub sequence: u32,
}

/// A frame's body: who talks about what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Frame<M> {
    /// Where it belongs.
    pub header: Header,
    /// What it says.
    pub message: M,
}

/// The frame does not fit the place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the frame is longer than the {room} bytes there are for it")]
pub struct EncodeError {
    /// Bytes there are.
    pub room: usize,
}

/// Why bytes between two zeros are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// More bytes than the receiver has room for.
    #[error("more bytes between two zeros than a frame may have")]
    TooLong,
    /// The bytes are no COBS encoding, or shorter than a checksum.
    #[error("the bytes are no COBS encoding of a body and its checksum")]
    Cobs,
    /// The checksum does not fit the body.
    #[error("the checksum does not fit the body")]
    Checksum,
    /// The body is another version's.
    #[error("protocol {found}, expected {PROTOCOL}")]
    Version {
        /// The body's first byte.
        found: u8,
    },
    /// The body is no message.
    #[error("the body is no message")]
    Message,
}

/// Writes a frame to the start of `place`; its length.
///
/// # Errors
///
/// [`EncodeError`] when `place` is too short for it.
pub fn encode<M: Serialize>(frame: &Frame<M>, place: &mut [u8]) -> Result<usize, EncodeError> {
    let short = EncodeError { room: place.len() };
    let (first, rest) = place.split_first_mut().ok_or(short)?;
    *first = 0;
    let mut serializer = postcard::Serializer {
        output: CrcModifier::new(Encoder::new(rest), CRC.digest()),
    };
    frame.serialize(&mut serializer).map_err(|_| short)?;
    let written = serializer.output.finalize().map_err(|_| short)?;
    Ok(written.saturating_add(1))
}

/// Reads a body that a [`Receiver`] gave.
///
/// # Errors
///
/// [`FrameError::Version`] or [`FrameError::Message`].
pub fn decode<'a, M: Deserialize<'a>>(body: &'a [u8]) -> Result<Frame<M>, FrameError> {
    match body.first() {
        Some(&PROTOCOL) => {}
        Some(&found) => return Err(FrameError::Version { found }),
        None => return Err(FrameError::Message),
    }
    match postcard::take_from_bytes(body) {
        Ok((frame, [])) => Ok(frame),
        _ => Err(FrameError::Message),
    }
}

/// The header of a body of whatever version: it is the same in all, so that both sides can say that they do not understand each
/// other. None where there is none.
pub fn header(body: &[u8]) -> Option<Header> {
    postcard::take_from_bytes(body)
        .ok()
        .map(|(header, _)| header)
}

/// Finds frames of up to `N` bytes, encoded and without their zeros, in a stream of bytes.
#[derive(Debug, Default)]
pub struct Receiver<const N: usize> {
    bytes: heapless::Vec<u8, N>,
    /// More came than there is room for.
    overflow: bool,
    /// What is held was given away.
    given: bool,
}

impl<const N: usize> Receiver<N> {
    /// A receiver that has heard nothing yet.
    pub const fn new() -> Self {
        Receiver {
            bytes: heapless::Vec::new(),
            overflow: false,
            given: false,
        }
    }

    /// Takes the stream's next byte: a body whose checksum fits, or why what came since the last zero is none; nothing where
    /// there is more to come.
    ///
    /// After an error it goes on with the next byte: whatever came before a zero, what follows it is read.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        if core::mem::take(&mut self.given) {
            self.bytes.clear();
        }
        if byte != 0 {
            self.overflow |= self.bytes.push(byte).is_err();
            return None;
        }
        if core::mem::take(&mut self.overflow) {
            self.bytes.clear();
            return Some(Err(FrameError::TooLong));
        }
        if self.bytes.is_empty() {
            return None;
        }
        self.given = true;
        Some(open(&mut self.bytes))
    }

    /// The body that [`push`](Self::push) gave last, until the next byte.
    pub fn body(&self) -> &[u8] {
        self.bytes
            .get(..self.bytes.len().saturating_sub(CRC_LEN))
            .unwrap_or_default()
    }
}

/// Decodes in place; the body, whose checksum fits. What is behind it is cut off but for the checksum.
fn open<const N: usize>(bytes: &mut heapless::Vec<u8, N>) -> Result<&[u8], FrameError> {
    let len = decode_in_place(bytes).ok_or(FrameError::Cobs)?;
    bytes.truncate(len);
    let (body, sum) = bytes
        .split_last_chunk::<CRC_LEN>()
        .ok_or(FrameError::Cobs)?;
    match CRC.checksum(body).to_le_bytes() == *sum {
        true => Ok(body),
        false => Err(FrameError::Checksum),
    }
}
