//! A device at the other end of a stream that is written before it is read.

use std::collections::VecDeque;
use std::convert::Infallible;

use consort_wire::{
    Board, Cost, Ended, Frame, Header, HelloReply, Meter, PROTOCOL, Ram, Rate, Receiver, Refused,
    Reply, Request, Unit, decode, encode, serve,
};
use embedded_io::{ErrorType, Read, Write};

/// What the host has sent, and what the device has.
#[derive(Default)]
struct Stream {
    sent: VecDeque<u8>,
    got: Vec<u8>,
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

struct NoMeter;

impl Meter for NoMeter {
    fn rate(&self) -> Rate {
        Rate {
            unit: Unit::Nanoseconds,
            units: 1,
            ticks: 1,
        }
    }

    fn measure<R>(&mut self, work: impl FnOnce() -> R) -> (Cost, R) {
        let cost = Cost {
            ticks: 0,
            stack: None,
        };
        (cost, work())
    }
}

fn frame(session: u16, sequence: u32, message: Request<'_>) -> Vec<u8> {
    let mut place = [0; 512];
    let header = Header {
        version: PROTOCOL,
        session,
        sequence,
    };
    let len = encode(&Frame { header, message }, &mut place).unwrap();
    place[..len].to_vec()
}

/// What a device with these many bytes of slot answers, frame by frame, as (session, sequence, check).
fn answers(sent: &[u8], mut each: impl FnMut(Header, Reply<'_>)) {
    let mut stream = Stream {
        sent: sent.iter().copied().collect(),
        got: Vec::new(),
    };
    let board = Board {
        target: "test",
        flash: &mut Ram::<8192>::new(),
        base: 0,
        slot_len: 4096,
        memory: &mut [0.0; 64],
        values: &mut [0.0; 64],
    };
    let ended = serve::<_, _, _, 512>(&mut stream, board, &mut NoMeter);
    assert_eq!(ended, Ok(Ended::Closed));
    let mut receiver = Receiver::<512>::new();
    for byte in stream.got {
        if let Some(body) = receiver.push(byte) {
            let frame = decode::<Reply<'_>>(body.unwrap()).unwrap();
            each(frame.header, frame.message);
        }
    }
}

#[test]
fn a_new_device_says_what_it_is() {
    let mut seen = 0;
    answers(&frame(7, 1, Request::Hello), |header, reply| {
        seen += 1;
        assert_eq!((header.session, header.sequence), (7, 1));
        let Reply::Hello(HelloReply { target, room, image, .. }) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!((target, room, image), ("test", 4096 - 256, None));
    });
    assert_eq!(seen, 1);
}

#[test]
fn before_hello_there_is_no_session() {
    answers(&frame(7, 1, Request::State), |_, reply| {
        assert_eq!(reply, Reply::Refused(Refused::Session));
    });
}
