//! A device at the other end of a stream that is written before it is read.

mod common;

use common::{Script, answers, answers_of, frame};
use consort_runtime::{Image, include_image};
use consort_wire::{
    Act, Admission, Fault, HelloReply, Key, Limits, PROTOCOL, Ram, Refused, Reply, Request, Unfit,
    hash,
};

#[test]
fn a_new_device_says_what_it_is() {
    let mut seen = 0;
    answers(&frame(7, 1, Request::Hello), |header, reply| {
        seen += 1;
        assert_eq!((header.session, header.sequence), (7, 1));
        let Reply::Hello(HelloReply {
            protocol,
            target,
            room,
            image,
            ..
        }) = reply
        else {
            panic!("{reply:?}")
        };
        assert_eq!((target, room, image), ("test", 4096 - 256, None));
        assert_eq!((protocol, header.version), (PROTOCOL, PROTOCOL));
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
fn a_step_that_was_taken_is_not_taken_again_whatever_the_moment_is_said_to_be() {
    let mut script = Script::upload(IMAGE);
    script.reset().observe(0, &observation(IMAGE));
    script.ask(Request::Resync {
        episode: 4,
        tick: 0,
    });
    script.observe(0, &observation(IMAGE));
    script.reset().observe(0, &observation(IMAGE));
    script.last(3, |index, _, reply| match index {
        // No moment that nobody means.
        0 => assert_eq!(reply, Reply::Refused(Refused::NoEpisode)),
        1 => assert_eq!(reply, Reply::Done),
        _ => assert!(matches!(reply, Reply::Act(Act { tick: 0, .. }))),
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

/// Whatever is refused before anything is written: the episode goes on, and no trial is used up.
#[test]
fn an_upload_that_is_refused_at_once_changes_nothing() {
    let mut script = Script::on_trial(IMAGE);
    script.reset();
    for length in [9, 9, 9, 9, 4000] {
        script.ask(Request::Begin { length });
    }
    script.observe(0, &observation(IMAGE)).ask(Request::Hello);
    script.last(7, |index, _, reply| match (index, reply) {
        (..4, reply) => assert_eq!(reply, Reply::Refused(Refused::Unconfirmed)),
        (4, reply) => assert!(matches!(reply, Reply::Refused(Refused::TooLong { .. }))),
        (5, Reply::Act(act)) => assert_eq!((act.tick, act.fault), (0, None)),
        (6, Reply::Hello(hello)) => {
            assert_eq!((hello.image, hello.trial), (Some(hash(IMAGE)), true));
        }
        (_, reply) => panic!("{reply:?}"),
    });
    // The device itself: two starts more are left to the trial, and a third would be too many.
    let mut flash = Ram::new();
    let start = |flash: &mut _, sent: &[u8]| {
        let mut last = None;
        answers_of(flash, Admission::ANYONE, sent, |_, reply| {
            if let Reply::Hello(hello) = reply {
                last = hello.image;
            }
        });
        last
    };
    assert_eq!(start(&mut flash, &script.bytes), Some(hash(IMAGE)));
    let hello = frame(8, 1, Request::Hello);
    let later: Vec<_> = (0..3).map(|_| start(&mut flash, &hello)).collect();
    assert_eq!(later, [Some(hash(IMAGE)), Some(hash(IMAGE)), None]);
}

#[test]
fn an_upload_that_has_begun_ends_the_episode() {
    let mut script = Script::upload(IMAGE);
    script.reset().ask(Request::Begin { length: 9 });
    script.observe(0, &observation(IMAGE));
    script.last(2, |index, _, reply| match index {
        0 => assert_eq!(reply, Reply::Done),
        _ => assert_eq!(reply, Reply::Refused(Refused::NoEpisode)),
    });
}

#[test]
fn another_version_is_told_so_whatever_it_asks() {
    for (version, request) in [
        (PROTOCOL - 1, Request::Hello),
        (PROTOCOL + 1, Request::Hello),
        (PROTOCOL + 1, Request::State),
    ] {
        let mut sent = frame(7, 1, Request::Hello);
        sent.extend(common::frame_of(version, 9, 4, request));
        sent.extend(frame(7, 2, Request::State));
        let mut seen = Vec::new();
        answers(&sent, |header, reply| {
            let version = matches!(reply, Reply::Refused(Refused::Version));
            seen.push((header.version, header.session, header.sequence, version));
        });
        // It answers in its own version, and the session goes on.
        let expected = [(7, 1, false), (9, 4, true), (7, 2, false)];
        let expected =
            expected.map(|(session, sequence, told)| (PROTOCOL, session, sequence, told));
        assert_eq!(seen, expected);
    }
}

#[test]
fn limits_say_what_there_is_too_little_of() {
    let image = Image::new_checked(IMAGE).unwrap();
    let (memory, values) = (image.memory_len(), image.observation_len());
    let enough = Limits {
        memory,
        values,
        frame: 128,
    };
    assert_eq!(enough.check(&image), Ok(()));
    for (limits, expected) in [
        (
            Limits {
                memory: memory - 1,
                ..enough
            },
            Unfit::Memory {
                asked: memory,
                memory: memory - 1,
            },
        ),
        (
            Limits {
                values: values - 1,
                ..enough
            },
            Unfit::Values {
                longest: values,
                values: values - 1,
            },
        ),
        (
            Limits {
                frame: 96,
                ..enough
            },
            Unfit::Frame {
                bytes: 96 + 4 * values,
                frame: 96,
            },
        ),
    ] {
        assert_eq!(limits.check(&image), Err(expected));
    }
}

#[test]
fn a_key_is_not_printed() {
    let shown = format!(
        "{:?}",
        Request::Key {
            key: Key([173; 16])
        }
    );
    assert!(
        shown.contains("Key(..)") && !shown.contains("173"),
        "{shown}"
    );
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
        .ask(Request::Key { key: Key([3; 16]) })
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
