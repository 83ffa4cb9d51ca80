//! Frames: the documented bytes, every damage, every place to start at.

use consort_wire::{
    Act, Action, Frame, FrameError, Header, Observe, PROTOCOL, Receiver, Reply, Request, decode,
    encode,
};

const DOCUMENT: &str = include_str!("../../../docs/wire.md");

fn header(sequence: u32) -> Header {
    Header {
        version: PROTOCOL,
        session: 7,
        sequence,
    }
}

fn bytes<M: serde::Serialize>(sequence: u32, message: M) -> Vec<u8> {
    let mut place = [0; 2048];
    let header = header(sequence);
    let len = encode(&Frame { header, message }, &mut place).unwrap();
    place[..len].to_vec()
}

fn observe<'a>(values: &'a [u8]) -> Request<'a> {
    Request::Observe(Observe {
        episode: 0,
        tick: 3,
        symbol: None,
        mask: &[0b11],
        values,
    })
}

/// 1 and −0.5.
const VALUES: [u8; 8] = [0, 0, 0x80, 0x3f, 0, 0, 0, 0xbf];

/// The bodies that a receiver makes of a stream, and its complaints.
fn received<const N: usize>(stream: &[u8]) -> (Vec<Vec<u8>>, Vec<FrameError>) {
    let mut receiver = Receiver::<N>::new();
    let (mut bodies, mut errors) = (Vec::new(), Vec::new());
    for &byte in stream {
        match receiver.push(byte) {
            Some(Ok(body)) => bodies.push(body.to_vec()),
            Some(Err(error)) => errors.push(error),
            None => {}
        }
    }
    (bodies, errors)
}

#[test]
fn the_documented_frames_are_ours() {
    let act = Reply::Act(Act {
        episode: 0,
        tick: 3,
        action: Action::Discrete(1),
        symbol: None,
        hash: 0x0123_4567_89ab_cdef,
        ticks: 300,
        stack: Some(904),
        fault: None,
    });
    for frame in [
        bytes(1, Request::Hello),
        bytes(5, observe(&VALUES)),
        bytes(5, act),
    ] {
        let hex: Vec<_> = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("\n    {}\n", hex.join(" "));
        assert!(DOCUMENT.contains(&line), "{line}");
    }
}

#[test]
fn what_is_sent_is_what_is_read() {
    // Lengths around 254, where COBS begins another block; zeros, ones, anything.
    for len in [0, 4, 100, 232, 236, 240, 248, 252, 256, 260, 512, 1000] {
        for fill in [0_u8, 1, 0xff] {
            let values: Vec<u8> = (0..len)
                .map(|index| fill.wrapping_mul(index as u8 | 1))
                .collect();
            let message = observe(&values);
            let (bodies, errors) = received::<2048>(&bytes(9, message));
            assert!(errors.is_empty());
            let frame = decode::<Request<'_>>(&bodies[0]).unwrap();
            assert_eq!((frame.header, frame.message), (header(9), message));
        }
    }
}

#[test]
fn a_frame_that_is_cut_or_damaged_is_refused_and_the_next_is_read() {
    let whole = bytes(5, observe(&VALUES));
    let next = bytes(6, Request::State);
    let is_next = |bodies: &[Vec<u8>]| {
        let frame = decode::<Request<'_>>(bodies.last().unwrap()).unwrap();
        (frame.header.sequence, frame.message) == (6, Request::State)
    };
    for cut in 1..whole.len() - 1 {
        let (bodies, _) = received::<256>(&[&whole[..cut], &next].concat());
        assert!(bodies.len() == 1 && is_next(&bodies), "cut at {cut}");
    }
    for bit in 0..8 * whole.len() {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (bodies, _) = received::<256>(&[&damaged[..], &next].concat());
        assert!(bodies.len() == 1 && is_next(&bodies), "bit {bit}");
    }
}

#[test]
fn rubbish_of_any_length_costs_no_frame_behind_it() {
    let next = bytes(6, Request::State);
    for len in 0..600 {
        let rubbish: Vec<u8> = (0..len).map(|index| (index * 37 % 256) as u8).collect();
        let (bodies, _) = received::<256>(&[&rubbish[..], &next].concat());
        assert_eq!(bodies.len(), 1, "after {len} bytes");
    }
    // More than there is room for, without a zero: one complaint.
    let (bodies, errors) = received::<64>(&[&[1; 500][..], &next].concat());
    assert_eq!((bodies.len(), errors), (1, vec![FrameError::TooLong]));
}

#[test]
fn another_version_and_another_message_are_refused() {
    let (bodies, _) = received::<256>(&bytes(1, Request::Hello));
    let mut body = bodies[0].clone();
    body[0] = PROTOCOL - 1;
    assert_eq!(
        decode::<Request<'_>>(&body),
        Err(FrameError::Version {
            found: PROTOCOL - 1
        })
    );
    // Who speaks it can be told all the same.
    let found = consort_wire::header(&body).unwrap();
    assert_eq!(
        (found.version, found.session, found.sequence),
        (PROTOCOL - 1, 7, 1)
    );
    assert_eq!(consort_wire::header(&body[..1]), None);
    // A message that there is not, one that is longer than it says, and none.
    for body in [
        &[PROTOCOL, 7, 1, 99][..],
        &[PROTOCOL, 7, 1, 0, 0],
        &[PROTOCOL, 7, 1],
        &[],
    ] {
        assert_eq!(
            decode::<Request<'_>>(body),
            Err(FrameError::Message),
            "{body:?}"
        );
    }
}

#[test]
fn a_frame_without_room_is_refused() {
    let header = header(1);
    let message = observe(&VALUES);
    let len = bytes(1, message).len();
    for room in 0..len {
        assert!(encode(&Frame { header, message }, &mut vec![0; room]).is_err());
    }
    assert_eq!(
        encode(&Frame { header, message }, &mut vec![0; len]),
        Ok(len)
    );
}
