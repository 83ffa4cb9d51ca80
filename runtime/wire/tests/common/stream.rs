//! A stream that is written before it is read. The fuzzers use it too.

use std::collections::VecDeque;
use std::convert::Infallible;

use consort_wire::{Frame, Header, PROTOCOL, Request, encode};
use embedded_io::{ErrorType, Read, Write};

/// What the host has sent, and what the device has.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) sent: VecDeque<u8>,
    pub(crate) got: Vec<u8>,
}

impl ErrorType for Stream {
    type Error = Infallible;
}

impl Read for Stream {
    fn read(&mut self, place: &mut [u8]) -> Result<usize, Infallible> {
        Ok(std::io::Read::read(&mut self.sent, place).unwrap_or(0))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.got.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A request's bytes.
pub(crate) fn frame(session: u16, sequence: u32, message: Request<'_>) -> Vec<u8> {
    frame_of(PROTOCOL, session, sequence, message)
}

/// The same in another version of the protocol.
pub(crate) fn frame_of(version: u8, session: u16, sequence: u32, message: Request<'_>) -> Vec<u8> {
    let mut place = [0; 1400];
    let header = Header {
        version,
        session,
        sequence,
    };
    let len = encode(&Frame { header, message }, &mut place).expect("room for what tests send");
    place[..len].to_vec()
}
