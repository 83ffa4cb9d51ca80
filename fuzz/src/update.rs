//! Flash that holds anything, updates of anything, power that fails anywhere: what boots is what was admitted.

use chacha20::ChaCha8Rng;
use consort_update::{Slots, State};
use rand_core::Rng;

use crate::image::seal;
use crate::{Target, below, one_of, scramble};

#[path = "../../runtime/update/tests/common/mod.rs"]
mod common;

use common::{Counter, Flash, SLOT, Torn, admit, image};

/// `what a cut leaves │ operations`, where an operation is `kind, argument, argument`.
pub const TARGET: Target = Target {
    name: "update",
    run,
    seed,
    mutate,
};

fn run(data: &[u8]) {
    let Some((&torn, operations)) = data.split_first() else {
        return;
    };
    let torn = Torn::ALL[usize::from(torn) % Torn::ALL.len()];
    let mut flash = Flash::<4>::new(torn);
    let mut counter = Counter::default();
    // Once an image was confirmed, there always is one: only damage, not a loss of power, takes it away.
    let (mut confirmed, mut damaged) = (false, false);
    for &[kind, high, low] in operations.as_chunks::<3>().0.iter().take(24) {
        let argument = u16::from_be_bytes([high, low]);
        flash.revive();
        match kind % 5 {
            // The power fails after so many bytes of what follows.
            0 | 1 => flash.cut_after = Some(flash.steps + u64::from(argument % 800)),
            // Something is damaged.
            2 => {
                flash.flip(usize::from(argument) % (2 * SLOT as usize));
                damaged = true;
            }
            _ => {}
        }
        let mut slots = Slots::new(&mut flash, 0, SLOT, admit, &mut counter).unwrap();
        let Ok(booted) = slots.boot() else {
            unreachable!("the counter answers");
        };
        if kind & 0x40 != 0 {
            let _ = slots.confirm();
        }
        if kind & 0x80 != 0 {
            let mut bytes = image(u32::from(low % 8));
            if kind & 0x20 != 0 {
                // Not in the checksum, which is repaired.
                let place = usize::from(argument) % (bytes.len() - 4);
                bytes[place] ^= 0x10;
                seal(&mut bytes);
            }
            if let Ok(mut update) = slots.begin() {
                let written = bytes
                    .chunks(1 + usize::from(high))
                    .try_for_each(|chunk| update.write(chunk));
                let committed = written.and_then(|()| update.commit());
                assert!(
                    kind & 0x20 == 0 || committed.is_err(),
                    "a forged image was committed"
                );
            }
        }

        flash.revive();
        let mut slots = Slots::new(&mut flash, 0, SLOT, admit, &mut counter).unwrap();
        let after = slots.boot().expect("the counter answers");
        if let Some(boot) = after {
            let bytes = slots.bytes(&boot).expect("there is power").to_vec();
            assert_eq!(admit(&bytes), Ok(boot.revision));
            assert_eq!(bytes, image(boot.revision));
            confirmed |= boot.state == State::Confirmed;
            assert!(counter.value <= boot.revision);
        } else {
            assert!(
                !confirmed || damaged,
                "an image was lost; before: {booted:?}"
            );
        }
    }
}

fn seed(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut data = vec![rng.next_u32() as u8];
    for _ in 0..1 + below(rng, 12) {
        let kind = one_of(rng, &[0xc3, 0xc4, 0xc0, 0x80, 0x40, 0x43, 0xe3, 0x00, 0xc2]);
        data.extend([kind, rng.next_u32() as u8, rng.next_u32() as u8]);
    }
    data
}

fn mutate(data: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    match below(rng, 10) {
        0 => *data = seed(rng),
        1..=3 => {
            let more = seed(rng).split_off(1);
            data.extend(&more[..3]);
        }
        _ => scramble(data, rng),
    }
}
