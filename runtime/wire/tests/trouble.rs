//! A line on which bytes are lost: the device gets over it.

mod common;

use std::collections::VecDeque;

use common::frame;
use consort_wire::{
    Board, Ended, Ram, Receiver, Reply, Request, ServeError, Unmetered, decode, serve,
};
use embedded_io::{ErrorKind, ErrorType, Read, Write};

/// What happens at a serial port.
enum Heard {
    Bytes(Vec<u8>),
    Failed(ErrorKind),
}

struct Port {
    heard: VecDeque<Heard>,
    said: Vec<u8>,
    /// What comes of every other write: an error, or no byte taken.
    trouble: Option<Result<usize, ErrorKind>>,
    writes: usize,
}

impl ErrorType for Port {
    type Error = ErrorKind;
}

impl Read for Port {
    fn read(&mut self, place: &mut [u8]) -> Result<usize, ErrorKind> {
        match self.heard.pop_front() {
            None => Ok(0),
            Some(Heard::Failed(error)) => Err(error),
            Some(Heard::Bytes(mut bytes)) => {
                let len = bytes.len().min(place.len());
                place[..len].copy_from_slice(&bytes[..len]);
                if len < bytes.len() {
                    self.heard.push_front(Heard::Bytes(bytes.split_off(len)));
                }
                Ok(len)
            }
        }
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.writes += 1;
        if let Some(trouble) = self.trouble.filter(|_| self.writes.is_multiple_of(2)) {
            return trouble;
        }
        // A few at a time, as buffers have it.
        let len = bytes.len().min(1000);
        self.said.extend(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

fn served(
    heard: Vec<Heard>,
    trouble: Option<Result<usize, ErrorKind>>,
) -> (Result<Ended, ServeError<ErrorKind>>, usize) {
    let mut port = Port {
        heard: heard.into(),
        said: Vec::new(),
        trouble,
        writes: 0,
    };
    let board = Board {
        target: "test",
        flash: &mut Ram::<8192>::new(),
        base: 0,
        slot_len: 4096,
        memory: &mut [0.0; 64],
        values: &mut [0.0; 64],
    };
    let ended = serve::<_, _, _, 512>(&mut port, board, &mut Unmetered);
    let mut receiver = Receiver::<512>::new();
    let mut answers = 0;
    for byte in port.said {
        if let Some(Ok(body)) = receiver.push(byte) {
            answers += usize::from(decode::<Reply<'_>>(body).is_ok());
        }
    }
    (ended, answers)
}

#[test]
fn an_overrun_costs_the_frame_it_strikes_and_no_other() {
    let hello = |sequence| frame(7, sequence, Request::Hello);
    let (first, rest) = (hello(2)[..4].to_vec(), hello(2)[6..].to_vec());
    let heard = vec![
        Heard::Bytes(hello(1)),
        Heard::Bytes(first),
        Heard::Failed(ErrorKind::Other),
        Heard::Failed(ErrorKind::InvalidData),
        Heard::Bytes(rest),
        Heard::Bytes(hello(2)),
    ];
    assert_eq!(served(heard, None), (Ok(Ended::Closed), 2));
}

#[test]
fn an_answer_that_cannot_be_written_is_asked_for_again() {
    for trouble in [Err(ErrorKind::Other), Ok(0)] {
        let hello = || Heard::Bytes(frame(7, 1, Request::Hello));
        let heard = vec![hello(), hello(), hello()];
        assert_eq!(served(heard, Some(trouble)), (Ok(Ended::Closed), 2));
    }
}

#[test]
fn a_line_that_is_gone_is_the_end() {
    for error in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
        let heard = vec![
            Heard::Failed(error),
            Heard::Bytes(frame(7, 1, Request::Hello)),
        ];
        assert_eq!(served(heard, None), (Err(ServeError::Stream(error)), 0));
    }
}
