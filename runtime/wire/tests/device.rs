//! A device at the other end of a stream that is written before it is read.

use std::collections::VecDeque;
use std::convert::Infallible;

use consort_runtime::{Image, include_image};
use consort_wire::{
    Act, Board, Cost, Ended, Fault, Frame, Header, HelloReply, Meter, Observe, PROTOCOL, Ram, Rate,
    Receiver, Refused, Reply, Request, Unit, decode, encode, hash, serve,
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

/// What a new device answers, frame by frame.
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
        let Reply::Hello(HelloReply {
            target,
            room,
            image,
            ..
        }) = reply
        else {
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

/// Agent 0 of a team without a shared seed.
static IMAGE: &[u8] = include_image!("../../../models/assurance/agent-0.image");

/// Agent 0 of a team with a shared seed.
static SEEDED: &[u8] = include_image!("../../../models/evade-shared/agent-0.image");

/// Requests of session 7, one after another.
#[derive(Default)]
struct Script {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Script {
    fn ask(&mut self, request: Request<'_>) -> &mut Self {
        self.sequence += 1;
        self.bytes.extend(frame(7, self.sequence, request));
        self
    }

    /// A hello and an upload that is confirmed.
    fn upload(image: &[u8]) -> Self {
        let mut script = Self::default();
        let length = image.len() as u32;
        script.ask(Request::Hello).ask(Request::Begin { length });
        for (index, bytes) in image.chunks(100).enumerate() {
            let offset = 100 * index as u32;
            script.ask(Request::Chunk { offset, bytes });
        }
        script.ask(Request::Commit { hash: hash(image) });
        script.ask(Request::Confirm);
        script
    }

    fn reset(&mut self) -> &mut Self {
        self.ask(Request::Reset {
            episode: 4,
            ticks: 8,
            dice: None,
        })
    }

    fn observe(&mut self, tick: u32, values: &[f32]) -> &mut Self {
        let values: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.ask(Request::Observe(Observe {
            episode: 4,
            tick,
            symbol: None,
            mask: &[],
            values: &values,
        }))
    }

    /// The last answers.
    fn last(&self, count: usize, mut each: impl FnMut(usize, u32, Reply<'_>)) {
        let mut all = 0;
        answers(&self.bytes, |_, _| all += 1);
        let mut index = 0;
        answers(&self.bytes, |header, reply| {
            if index + count >= all {
                each(index + count - all, header.sequence, reply);
            }
            index += 1;
        });
        assert!(index >= count, "{index} answers");
    }
}

fn observation(image: &[u8]) -> Vec<f32> {
    let image = Image::new_checked(image).unwrap();
    let symbols = image
        .seeding()
        .map_or(0, |seeding| usize::from(seeding.symbols));
    vec![0.5; image.observation_len() - symbols]
}

#[test]
fn an_uploaded_image_acts() {
    let mut script = Script::upload(IMAGE);
    script.ask(Request::Hello);
    script.last(1, |_, _, reply| {
        let Reply::Hello(hello) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(
            (hello.image, hello.trial, hello.agents),
            (Some(hash(IMAGE)), false, 2)
        );
    });
    script.reset().observe(0, &observation(IMAGE));
    script.last(1, |_, _, reply| {
        assert!(
            matches!(
                reply,
                Reply::Act(Act {
                    episode: 4,
                    tick: 0,
                    fault: None,
                    ..
                })
            ),
            "{reply:?}"
        );
    });
}

#[test]
fn a_request_that_comes_again_is_answered_and_not_done_again() {
    let mut script = Script::upload(IMAGE);
    script.reset().observe(0, &observation(IMAGE));
    let sequence = script.sequence;
    // The same frame twice more, an older one, and the next step: were step 0 taken again, step 1 would be refused.
    let mut again = Script {
        sequence: sequence - 1,
        ..Script::default()
    };
    again.observe(0, &observation(IMAGE));
    script
        .bytes
        .extend([again.bytes.clone(), again.bytes].concat());
    script
        .bytes
        .extend(frame(7, 2, Request::Begin { length: 9 }));
    script.observe(1, &observation(IMAGE));
    let mut seen = Vec::new();
    script.last(4, |_, sequence, reply| {
        let Reply::Act(act) = reply else {
            panic!("{reply:?}")
        };
        seen.push((sequence, act.tick));
    });
    assert_eq!(
        seen,
        [
            (sequence, 0),
            (sequence, 0),
            (sequence, 0),
            (sequence + 1, 1)
        ]
    );
}

/// Late, of the session before: it is refused, and what was answered last is still there to be asked for again.
#[test]
fn a_late_frame_of_another_session_does_not_take_the_place_of_the_last_answer() {
    let mut script = Script::upload(IMAGE);
    script.reset().observe(0, &observation(IMAGE));
    let sequence = script.sequence;
    script.bytes.extend(frame(6, 9, Request::State));
    let mut again = Script {
        sequence: sequence - 1,
        ..Script::default()
    };
    again.observe(0, &observation(IMAGE));
    script.bytes.extend(again.bytes);
    let mut seen = Vec::new();
    script.last(3, |index, sequence, reply| {
        seen.push((index, sequence, matches!(reply, Reply::Act(_))));
    });
    assert_eq!(
        seen,
        [(0, sequence, true), (1, 9, false), (2, sequence, true)]
    );
}

#[test]
fn a_wrong_moment_is_refused_until_it_is_set_right() {
    let mut script = Script::upload(IMAGE);
    script.reset().observe(3, &observation(IMAGE));
    script.ask(Request::Resync {
        episode: 4,
        tick: 3,
    });
    script.observe(3, &observation(IMAGE));
    script.last(3, |index, _, reply| match index {
        0 => assert_eq!(
            reply,
            Reply::Refused(Refused::Moment {
                episode: 4,
                tick: 0
            })
        ),
        1 => assert_eq!(reply, Reply::Done),
        _ => assert!(matches!(reply, Reply::Act(Act { tick: 3, .. }))),
    });
}

#[test]
fn an_upload_is_what_was_announced_or_nothing() {
    let refusal = |script: &Script| {
        let mut found = None;
        script.last(1, |_, _, reply| {
            let Reply::Refused(refused) = reply else {
                panic!("{reply:?}")
            };
            found = Some(refused);
        });
        found.unwrap()
    };
    let begin = |length| {
        let mut script = Script::default();
        script.ask(Request::Hello).ask(Request::Begin { length });
        script
    };
    assert_eq!(refusal(&begin(4000)), Refused::TooLong { room: 4096 - 256 });
    let mut script = begin(8);
    script.ask(Request::Chunk {
        offset: 4,
        bytes: &[1],
    });
    assert_eq!(refusal(&script), Refused::Offset { expected: 0 });
    let mut script = begin(8);
    script.ask(Request::Chunk {
        offset: 0,
        bytes: &[1; 9],
    });
    assert_eq!(refusal(&script), Refused::Upload);
    let mut script = begin(8);
    script.ask(Request::Chunk {
        offset: 0,
        bytes: &[1; 8],
    });
    script.ask(Request::Commit { hash: 5 });
    assert_eq!(refusal(&script), Refused::Upload);
    let mut script = begin(8);
    script.ask(Request::Chunk {
        offset: 0,
        bytes: &[1; 8],
    });
    script.ask(Request::Commit {
        hash: hash(&[1; 8]),
    });
    assert_eq!(refusal(&script), Refused::Image);
    // A request of another kind gives it up.
    let mut script = begin(8);
    script.ask(Request::Reset {
        episode: 0,
        ticks: 1,
        dice: None,
    });
    assert_eq!(refusal(&script), Refused::NoImage);
    script.ask(Request::Chunk {
        offset: 0,
        bytes: &[],
    });
    assert_eq!(refusal(&script), Refused::NoUpload);
}

#[test]
fn an_image_in_use_is_updated_over_the_wire() {
    let mut script = Script::upload(IMAGE);
    let length = SEEDED.len() as u32;
    let (first, rest) = SEEDED.split_at(400);
    script.ask(Request::Begin { length });
    script.ask(Request::Chunk {
        offset: 0,
        bytes: first,
    });
    script.ask(Request::Chunk {
        offset: 400,
        bytes: rest,
    });
    script.ask(Request::Commit { hash: hash(SEEDED) });
    script.ask(Request::Hello);
    script.last(1, |_, _, reply| {
        let Reply::Hello(hello) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!((hello.image, hello.trial), (Some(hash(SEEDED)), true));
    });
}

#[test]
fn a_shared_seed_needs_its_key() {
    let mut script = Script::upload(SEEDED);
    script.reset().observe(0, &observation(SEEDED));
    script.last(1, |_, _, reply| {
        assert_eq!(reply, Reply::Refused(Refused::NoKey))
    });
    script
        .ask(Request::Key { key: [3; 16] })
        .observe(0, &observation(SEEDED));
    let image = Image::new_checked(SEEDED).unwrap();
    let moment = consort_runtime::Moment::new(4, 0);
    let symbol = consort_runtime::SharedSeed::new([3; 16]).draw(image.seeding().unwrap(), moment);
    script.last(1, |_, _, reply| {
        let Reply::Act(act) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(act.symbol.map(usize::from), Some(symbol.index()));
    });
}

#[test]
fn a_sensor_that_fails_is_a_safe_action_with_its_reason() {
    let mut broken = observation(IMAGE);
    *broken.last_mut().unwrap() = f32::NAN;
    let index = broken.len() as u32 - 1;
    let mut script = Script::upload(IMAGE);
    script
        .reset()
        .observe(0, &broken)
        .observe(1, &observation(IMAGE));
    script.last(2, |place, _, reply| {
        let Reply::Act(act) = reply else {
            panic!("{reply:?}")
        };
        let fault = (place == 0).then_some(Fault::Observation { index });
        assert_eq!((act.tick, act.fault), (place as u32, fault));
    });
    // What is no observation at all is no step either.
    script.observe(2, &[0.5; 3]);
    script.last(1, |_, _, reply| {
        assert_eq!(reply, Reply::Refused(Refused::Shape))
    });
}
