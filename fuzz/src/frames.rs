//! A stream of anything to a device: it answers in whole frames, and to whoever comes after.

use chacha20::ChaCha8Rng;
use consort_wire::{
    Board, Ended, Key, Observe, PROTOCOL, Ram, Receiver, Reply, Request, Unmetered, decode, hash,
    serve,
};

use crate::{Target, awkward, below, one_of, scramble};
use stream::{Stream, frame, frame_of};

// As the wire's own tests have it.
#[path = "../../runtime/wire/tests/common/stream.rs"]
mod stream;

/// Bytes to a device, frames among them.
pub const TARGET: Target = Target {
    name: "frames",
    run,
    seed,
    mutate,
};

/// Agent 0 of a team without a shared seed, and of one with.
const IMAGES: [&[u8]; 2] = [
    include_bytes!("../../models/assurance/agent-0.image"),
    include_bytes!("../../models/evade-shared/agent-0.image"),
];

/// Bytes of the device's frames: less than some of what is sent to it.
const FRAME: usize = 512;

/// The session that comes after everything else.
const AFTER: u16 = 0xfffe;

fn run(data: &[u8]) {
    let mut stream = Stream {
        sent: data
            .iter()
            .copied()
            .chain(frame(AFTER, 1, Request::Hello))
            .collect(),
        got: Vec::new(),
    };
    let board = Board {
        target: "fuzz",
        flash: &mut Ram::<4096>::new(),
        base: 0,
        slot_len: 2048,
        memory: &mut [0.0; 64],
        values: &mut [0.0; 64],
    };
    let ended = serve::<_, _, _, FRAME>(&mut stream, board, &mut Unmetered).unwrap();
    let mut receiver = Receiver::<FRAME>::new();
    let mut last = None;
    for byte in stream.got {
        if let Some(body) = receiver.push(byte) {
            let reply = decode::<Reply<'_>>(body.expect("whole frames")).expect("a reply");
            if let Reply::Act(act) = &reply.message {
                assert!(act.tick < u32::MAX);
            }
            last = Some((reply.header, matches!(reply.message, Reply::Hello(_))));
        }
    }
    // Unless it was asked to restart, or someone had the session already, whoever comes last is heard.
    let (header, hello) = last.expect("an answer");
    assert!(ended == Ended::Restart || header.session != AFTER || header.sequence != 1 || hello);
}

/// A session: an image, and then anything.
fn seed(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let image = one_of(rng, &IMAGES);
    let length = image.len() as u32;
    let mut sequence = 0;
    let mut bytes = Vec::new();
    let mut ask = |request: Request<'_>, rng: &mut ChaCha8Rng| {
        // Now and then the same number again, or one left out.
        sequence += one_of(rng, &[1, 1, 1, 1, 1, 1, 0, 2]);
        bytes.extend(frame(7, sequence, request));
    };
    ask(Request::Hello, rng);
    ask(Request::Begin { length }, rng);
    for (index, bytes) in image.chunks(300).enumerate() {
        let offset = 300 * index as u32;
        ask(Request::Chunk { offset, bytes }, rng);
    }
    ask(Request::Commit { hash: hash(image) }, rng);
    ask(Request::Confirm, rng);
    let key = [7; 16];
    for _ in 0..below(rng, 12) {
        let values: Vec<u8> = (0..one_of(rng, &[0, 1, 1, 1, 2, 3, 64, 200]))
            .flat_map(|_| awkward(rng).to_le_bytes())
            .collect();
        let (episode, tick) = (
            u64::from(one_of(rng, &[0_u32, 0, 0, 1])),
            below(rng, 4) as u32,
        );
        let symbol = one_of(rng, &[None, None, Some(0), Some(200)]);
        let mask: &[u8] = one_of(rng, &[&[][..], &[], &[3], &[0], &[1, 2]]);
        let dice = one_of(rng, &[None, Some(3)]);
        let request = match below(rng, 12) {
            0 => Request::Key { key: Key(key) },
            1 | 2 => Request::Reset {
                episode,
                ticks: one_of(rng, &[0, 1, 4, u32::MAX]),
                dice,
            },
            3 => Request::Resync { episode, tick },
            4 => Request::State,
            5 => Request::Begin {
                length: one_of(rng, &[0, 9, 4000, u32::MAX]),
            },
            6 => Request::Chunk {
                offset: tick,
                bytes: &values,
            },
            7 => one_of(rng, &[Request::Confirm, Request::Hello, Request::Restart]),
            _ => Request::Observe(Observe {
                episode,
                tick,
                symbol,
                mask,
                values: &values,
            }),
        };
        ask(request, rng);
    }
    bytes
}

fn mutate(data: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    match below(rng, 4) {
        // A frame whose checksum fits, somewhere.
        0 => {
            let (session, sequence) = (one_of(rng, &[7, 7, 8]), below(rng, 30) as u32);
            let version = one_of(rng, &[PROTOCOL, PROTOCOL, PROTOCOL - 1, 200]);
            let more = frame_of(version, session, sequence, Request::State);
            let place = below(rng, data.len() + 1);
            data.splice(place..place, more);
        }
        1 => data.extend(seed(rng)),
        _ => scramble(data, rng),
    }
}
