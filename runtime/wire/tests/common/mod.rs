//! What a host sends a device in the tests, and what comes back.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]

mod stream;

use consort_update::{Admit, RevisionCounter};
use consort_wire::{
    Admission, Board, Ended, Header, Observe, Ram, Receiver, Reply, Request, Unmetered, decode,
    hash, serve_admitting,
};

pub(crate) use stream::{Stream, frame, frame_of};

/// What a new device answers, frame by frame.
pub(crate) fn answers(sent: &[u8], each: impl FnMut(Header, Reply<'_>)) {
    answers_of(&mut Ram::new(), Admission::ANYONE, sent, each);
}

/// What a device answers whose flash remembers, and on which not every image may act.
pub(crate) fn answers_of<A: Admit, C: RevisionCounter>(
    flash: &mut Ram<8192>,
    admission: Admission<A, C>,
    sent: &[u8],
    mut each: impl FnMut(Header, Reply<'_>),
) {
    let mut stream = Stream {
        sent: sent.iter().copied().collect(),
        got: Vec::new(),
    };
    let board = Board {
        target: "test",
        flash,
        base: 0,
        slot_len: 4096,
        memory: &mut [0.0; 64],
        values: &mut [0.0; 64],
    };
    let ended =
        serve_admitting::<_, _, _, _, _, 512>(&mut stream, board, admission, &mut Unmetered);
    assert_eq!(ended, Ok(Ended::Closed));
    let mut receiver = Receiver::<512>::new();
    for byte in stream.got {
        if let Some(body) = receiver.push(byte) {
            let frame = decode::<Reply<'_>>(body.unwrap()).unwrap();
            each(frame.header, frame.message);
        }
    }
}

/// Requests of session 7, one after another.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sequence: u32,
}

impl Script {
    pub(crate) fn ask(&mut self, request: Request<'_>) -> &mut Self {
        self.sequence += 1;
        self.bytes.extend(frame(7, self.sequence, request));
        self
    }

    /// A hello and an upload that is confirmed.
    pub(crate) fn upload(image: &[u8]) -> Self {
        let mut script = Self::on_trial(image);
        script.ask(Request::Confirm);
        script
    }

    /// A hello and an upload.
    pub(crate) fn on_trial(image: &[u8]) -> Self {
        let mut script = Self::default();
        let length = image.len() as u32;
        script.ask(Request::Hello).ask(Request::Begin { length });
        for (index, bytes) in image.chunks(100).enumerate() {
            let offset = 100 * index as u32;
            script.ask(Request::Chunk { offset, bytes });
        }
        script.ask(Request::Commit { hash: hash(image) });
        script
    }

    pub(crate) fn reset(&mut self) -> &mut Self {
        self.ask(Request::Reset {
            episode: 4,
            ticks: 8,
            dice: None,
        })
    }

    pub(crate) fn observe(&mut self, tick: u32, values: &[f32]) -> &mut Self {
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
    pub(crate) fn last(&self, count: usize, mut each: impl FnMut(usize, u32, Reply<'_>)) {
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
