//! Devices on which not every image may act.

mod common;

use common::{Script, answers_of, frame};
use consort_runtime::{Image, include_image, reissue_signed};
use consort_update::{NoCounter, Refusal, RevisionCounter};
use consort_wire::{Admission, Ram, Refused, Reply, Request, hash};

/// Agent 0 of a team, not signed.
static IMAGE: &[u8] = include_image!("../../../models/assurance/agent-0.image");

fn sign(message: &[u8]) -> [u8; 64] {
    let mut signature = [0x3c; 64];
    for (index, byte) in message.iter().enumerate() {
        signature[index % 64] = u8::rotate_left(signature[index % 64], 3) ^ byte;
    }
    signature
}

fn verify(message: &[u8], signature: &[u8; 64]) -> bool {
    sign(message) == *signature
}

/// The image, signed, with another revision.
fn signed(revision: u32) -> Vec<u8> {
    let mut place = vec![0; IMAGE.len() + 128];
    let len = reissue_signed(IMAGE, revision, &mut place, sign).unwrap();
    place.truncate(len);
    place
}

/// Fuses.
#[derive(Default)]
struct Counter {
    value: u32,
    broken: bool,
    stuck: bool,
}

impl RevisionCounter for Counter {
    type Error = ();

    fn least(&mut self) -> Result<u32, ()> {
        (!self.broken).then_some(self.value).ok_or(())
    }

    fn advance(&mut self, revision: u32) -> Result<(), ()> {
        self.value = if self.stuck { self.value } else { revision };
        (!self.stuck).then_some(()).ok_or(())
    }
}

/// The last answer: whether it is done, or why not.
fn last<A: consort_update::Admit, C: RevisionCounter>(
    flash: &mut Ram<8192>,
    admission: Admission<A, C>,
    script: &Script,
) -> Result<(), Refused> {
    let mut last = Ok(());
    answers_of(flash, admission, &script.bytes, |_, reply| {
        last = match reply {
            Reply::Refused(why) => Err(why),
            _ => Ok(()),
        };
    });
    last
}

#[test]
fn a_device_that_asks_for_signatures_takes_signed_images_only() {
    let mut changed = signed(3);
    changed[40] ^= 1;
    for (image, expected) in [
        (IMAGE.to_vec(), Err(Refused::Signature)),
        (signed(3), Ok(())),
        (changed, Err(Refused::Image)),
    ] {
        let admission = Admission::signed(verify);
        let found = last(&mut Ram::new(), admission, &Script::on_trial(&image));
        assert_eq!(found, expected);
    }
    // Whoever signs with another key is not admitted either.
    let nobody = |_: &[u8], _: &[u8; 64]| false;
    let found = last(
        &mut Ram::new(),
        Admission::signed(nobody),
        &Script::on_trial(&signed(3)),
    );
    assert_eq!(found, Err(Refused::Signature));
    // The device's own judgement, for what it is to be besides.
    let other = |bytes: &[u8]| match Image::new_checked(bytes)?.agent() {
        1 => Ok(0),
        _ => Err(Refusal::Unsuitable),
    };
    let found = last(
        &mut Ram::new(),
        Admission::of(other),
        &Script::on_trial(IMAGE),
    );
    assert_eq!(found, Err(Refused::Unsuitable));
}

#[test]
fn a_counter_keeps_a_device_from_being_turned_back_whatever_its_flash_holds() {
    let mut counter = Counter::default();
    let admission = || Admission::signed(verify);
    let mut flash = Ram::new();
    let script = Script::upload(&signed(5));
    assert_eq!(
        last(&mut flash, admission().counted_by(&mut counter), &script),
        Ok(())
    );
    assert_eq!(counter.value, 5);
    // Another flash, with nothing in it.
    let script = Script::on_trial(&signed(4));
    let found = last(
        &mut Ram::new(),
        admission().counted_by(&mut counter),
        &script,
    );
    assert_eq!(found, Err(Refused::Rollback { least: 5 }));
    // Without its counter nothing acts, and nothing is taken.
    counter.broken = true;
    let mut begin = Script::default();
    begin
        .ask(Request::Hello)
        .ask(Request::Begin { length: 100 });
    let found = last(&mut flash, admission().counted_by(&mut counter), &begin);
    assert_eq!(found, Err(Refused::Counter));
    let hello = frame(9, 1, Request::Hello);
    let mut images = Vec::new();
    for broken in [true, false] {
        counter.broken = broken;
        let admission = admission().counted_by(&mut counter);
        answers_of(&mut flash, admission, &hello, |_, reply| {
            let Reply::Hello(hello) = reply else {
                panic!("{reply:?}")
            };
            images.push(hello.image);
        });
    }
    assert_eq!(images, [None, Some(hash(&signed(5)))]);
}

#[test]
fn a_counter_that_stays_behind_is_told_though_the_image_is_settled() {
    let mut counter = Counter {
        stuck: true,
        ..Counter::default()
    };
    let image = signed(2);
    let mut script = Script::upload(&image);
    let admission = Admission::signed(verify).counted_by(&mut counter);
    let mut flash = Ram::new();
    assert_eq!(last(&mut flash, admission, &script), Err(Refused::Counter));
    script.ask(Request::Hello);
    let mut trial = None;
    answers_of(
        &mut Ram::new(),
        Admission::signed(verify).counted_by(&mut counter),
        &script.bytes,
        |_, reply| {
            if let Reply::Hello(hello) = reply {
                trial = Some(hello.trial);
            }
        },
    );
    assert_eq!(trial, Some(false));
}

#[test]
fn slots_may_be_erased_by_more_than_the_driver_says() {
    let hello = frame(9, 1, Request::Hello);
    let admission: Admission<_, NoCounter> = Admission::ANYONE.erased_by(1024);
    answers_of(&mut Ram::new(), admission, &hello, |_, reply| {
        let Reply::Hello(hello) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(hello.room, 4096 - 1024);
    });
}
