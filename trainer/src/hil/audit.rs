//! What went over the wire, read back: each agent was shown its own observations and nothing else.

use consort_wire::{Observe, Receiver, Request, decode};

use super::device::{Sight, floats};
use super::link::FRAME;

/// Frames that were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Audited {
    pub(super) frames: u64,
    /// Those of them that showed an observation.
    pub(super) observations: u64,
}

/// Holds every frame that went to an agent during `episode` against what it was to see, by step: it is that and nothing else.
pub(super) fn audit(log: Vec<Vec<u8>>, episode: u64, shown: &[Sight]) -> Audited {
    let mut audited = Audited::default();
    let mut receiver = Box::new(Receiver::<FRAME>::new());
    for frame in log {
        let mut bodies = 0;
        for byte in frame {
            let Some(body) = receiver.push(byte) else {
                continue;
            };
            bodies += 1;
            let frame = body.and_then(decode::<Request<'_>>);
            let frame = frame.expect("a frame of ours");
            audited.frames += 1;
            if let Request::Observe(observe) = frame.message {
                assert!(
                    is_own(&observe, episode, shown),
                    "an agent was shown something else than its own observation"
                );
                audited.observations += 1;
            }
        }
        assert_eq!(bodies, 1, "one frame was logged");
    }
    audited
}

/// Whether a frame shows an agent what it was to see at that step.
fn is_own(observe: &Observe<'_>, episode: u64, shown: &[Sight]) -> bool {
    let bits =
        |values: &[f32]| -> Vec<u32> { values.iter().map(|value| value.to_bits()).collect() };
    shown.get(observe.tick as usize).is_some_and(|sight| {
        observe.episode == episode
            && bits(&floats(observe.values)) == bits(&sight.values)
            && observe.mask == sight.mask
            && observe.symbol == sight.symbol
    })
}

#[cfg(test)]
mod tests {
    use consort_wire::{Frame, Header, PROTOCOL, encode};

    use super::*;

    fn shows(tick: u32, values: &[f32]) -> Vec<u8> {
        let mut place = vec![0; FRAME];
        let header = Header {
            version: PROTOCOL,
            session: 1,
            sequence: tick,
        };
        let message = Request::Observe(Observe {
            episode: 4,
            tick,
            symbol: None,
            mask: &[],
            values: bytemuck::cast_slice(values),
        });
        let len = encode(&Frame { header, message }, &mut place);
        place.truncate(len.unwrap_or_else(|error| panic!("{error}")));
        place
    }

    fn shown() -> Vec<Sight> {
        [[1.0, 2.0], [3.0, f32::NAN]]
            .map(|values| Sight {
                values: values.to_vec(),
                mask: Vec::new(),
                symbol: None,
            })
            .to_vec()
    }

    #[test]
    fn an_agents_own_observations_pass_however_often_they_are_shown() {
        let log = vec![
            shows(0, &[1.0, 2.0]),
            shows(1, &[3.0, f32::NAN]),
            shows(0, &[1.0, 2.0]),
        ];
        let expected = Audited {
            frames: 3,
            observations: 3,
        };
        assert_eq!(audit(log, 4, &shown()), expected);
    }

    #[test]
    fn anything_else_does_not() {
        // Another value, another length, a step that has not come, another episode.
        for (frame, episode) in [
            (shows(0, &[1.0, 2.5]), 4),
            (shows(0, &[1.0, 2.0, 3.0]), 4),
            (shows(2, &[1.0, 2.0]), 4),
            (shows(0, &[1.0, 2.0]), 5),
        ] {
            let audited = std::panic::catch_unwind(|| audit(vec![frame], episode, &shown()));
            assert!(audited.is_err());
        }
    }
}
