//! What is booted, what is refused, and when there is no way back.

mod common;

use common::{Counter, Failure, Flash, SLOT, Torn, admit, image};
use consort_runtime::{ImageError, VerifyError};
use consort_update::{
    Boot, ConfirmError, LayoutError, NoCounter, Refusal, RevisionCounter, Slot, Slots, State,
    TRIALS, UpdateError, View,
};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

type Device<'c> = Slots<Flash<4>, fn(&[u8]) -> Result<u32, Refusal>, &'c mut Counter>;

fn device(counter: &mut Counter) -> Device<'_> {
    Slots::new(
        Flash::new(Torn::Prefix),
        0,
        SLOT,
        admit as fn(&[u8]) -> _,
        counter,
    )
    .unwrap()
}

fn send(slots: &mut Device<'_>, bytes: &[u8]) -> Result<(), UpdateError<Failure, &'static str>> {
    let mut update = slots.begin()?;
    for chunk in bytes.chunks(50) {
        update.write(chunk)?;
    }
    update.commit()
}

fn install(slots: &mut Device<'_>, revision: u32) {
    slots.boot().unwrap();
    send(slots, &image(revision)).unwrap();
    assert_eq!(slots.boot().unwrap().unwrap().revision, revision);
    slots.confirm().unwrap();
}

#[test]
fn slots_take_turns() {
    let mut counter = Counter::default();
    let mut slots = device(&mut counter);
    assert_eq!(slots.boot(), Ok(None));
    for (revision, slot) in [(1, Slot::A), (2, Slot::B), (3, Slot::A)] {
        send(&mut slots, &image(revision)).unwrap();
        let boot = Boot {
            slot,
            offset: if slot == Slot::A { 0 } else { SLOT },
            len: image(revision).len() as u32,
            revision,
            state: State::Trial { left: TRIALS - 1 },
            counter_behind: false,
        };
        assert_eq!(slots.boot(), Ok(Some(boot)));
        assert_eq!(slots.bytes(&boot), Ok(&image(revision)[..]));
        assert_eq!(slots.confirm(), Ok(()));
        let settled = Boot {
            state: State::Confirmed,
            ..boot
        };
        for _ in 0..2 * TRIALS {
            assert_eq!(slots.boot(), Ok(Some(settled)));
            assert_eq!(slots.confirm(), Ok(()), "twice is once");
        }
    }
    assert_eq!(counter.value, 3);
}

#[test]
fn a_trial_that_is_not_confirmed_ends_at_the_old_image() {
    let mut counter = Counter::default();
    let mut slots = device(&mut counter);
    install(&mut slots, 1);
    send(&mut slots, &image(2)).unwrap();
    for left in (0..TRIALS).rev() {
        let boot = slots.boot().unwrap().unwrap();
        assert_eq!((boot.revision, boot.state), (2, State::Trial { left }));
        // The old image is what remains: it may not be erased now.
        assert_eq!(slots.begin().err(), Some(UpdateError::Unconfirmed));
    }
    for _ in 0..3 {
        let boot = slots.boot().unwrap().unwrap();
        assert_eq!((boot.revision, boot.state), (1, State::Confirmed));
    }
    // The next update goes over the failed one.
    install(&mut slots, 2);
    assert_eq!(counter.value, 2);
}

#[test]
fn a_damaged_image_is_not_booted_and_the_other_one_is() {
    let mut flash = Flash::<4>::new(Torn::Prefix);
    let len = image(1).len();
    for revision in [1, 1] {
        let mut slots = Slots::new(flash, 0, SLOT, admit, NoCounter).unwrap();
        slots.boot().unwrap();
        let mut update = slots.begin().unwrap();
        update.write(&image(revision)).unwrap();
        update.commit().unwrap();
        slots.boot().unwrap();
        slots.confirm().unwrap();
        flash = slots.into_flash();
    }
    // Without a counter too an update may not be older than what is in use.
    let mut slots = Slots::new(flash.clone(), 0, SLOT, admit, NoCounter).unwrap();
    slots.boot().unwrap();
    let mut update = slots.begin().unwrap();
    update.write(&image(0)).unwrap();
    assert_eq!(
        update.commit(),
        Err(UpdateError::Rollback { found: 0, least: 1 })
    );

    // B is in use. Any byte of it that changes sends the device back to A, and then there is nothing left.
    for byte in 0..len {
        let mut damaged = flash.clone();
        damaged.flip(SLOT as usize + byte);
        let mut slots = Slots::new(damaged, 0, SLOT, admit, NoCounter).unwrap();
        assert_eq!(slots.boot().unwrap().unwrap().slot, Slot::A, "byte {byte}");
        let mut damaged = slots.into_flash();
        damaged.flip(byte);
        let mut slots = Slots::new(damaged, 0, SLOT, admit, NoCounter).unwrap();
        assert_eq!(slots.boot(), Ok(None));
        assert_eq!(slots.confirm(), Err(ConfirmError::NotBooted));
    }
}

/// Without its mark a trial would never end; without its record nothing is confirmed or committed.
#[test]
fn worn_out_flash_is_noticed() {
    let mut counter = Counter::default();
    let mut slots = device(&mut counter);
    install(&mut slots, 1);
    send(&mut slots, &image(2)).unwrap();
    let mut flash = slots.into_flash();
    let committed = flash.clone();
    flash.worn = true;
    let mut slots = Slots::new(flash, 0, SLOT, admit, &mut counter).unwrap();
    assert_eq!(slots.boot().unwrap().unwrap().revision, 1);

    let mut slots = Slots::new(committed, 0, SLOT, admit, &mut counter).unwrap();
    assert_eq!(slots.boot().unwrap().unwrap().revision, 2);
    slots.flash_mut().worn = true;
    assert_eq!(slots.confirm(), Err(ConfirmError::ReadBack));
    slots.flash_mut().worn = false;
    assert_eq!(slots.confirm(), Ok(()));
    let mut update = slots.begin().unwrap();
    update.write(&image(3)).unwrap();
    assert_eq!(counter.value, 2);
}

/// The record of the commit may have been barely readable when it was trusted: a confirmation stands by itself.
#[test]
fn a_confirmed_image_needs_no_other_record() {
    let mut counter = Counter::default();
    let mut slots = device(&mut counter);
    install(&mut slots, 1);
    let mut flash = slots.into_flash();
    // The commit and the mark of the first trial.
    for byte in 0..64 {
        flash.flip(common::ERASE + byte);
    }
    let mut slots = Slots::new(flash, 0, SLOT, admit, &mut counter).unwrap();
    let boot = slots.boot().unwrap().unwrap();
    assert_eq!((boot.revision, boot.state), (1, State::Confirmed));
}

#[test]
fn what_may_not_act_is_not_committed() {
    let mut counter = Counter::default();
    let mut slots = device(&mut counter);
    assert_eq!(slots.begin().err(), Some(UpdateError::NotBooted));
    assert_eq!(slots.confirm(), Err(ConfirmError::NotBooted));
    install(&mut slots, 5);

    let refused = |error| Err(UpdateError::Refused(error));
    let mut wrong = image(6);
    let last = wrong.len() - 5;
    wrong[last] ^= 1;
    let sent = send(&mut slots, &wrong);
    assert!(matches!(
        sent,
        Err(UpdateError::Refused(Refusal::Image(VerifyError::Image(
            ImageError::Checksum { .. }
        ))))
    ));
    assert_eq!(
        send(&mut slots, &[]),
        refused(
            ImageError::Truncated {
                expected: 20,
                found: 0
            }
            .into()
        )
    );
    let older = UpdateError::Rollback { found: 4, least: 5 };
    assert_eq!(send(&mut slots, &image(4)), Err(older));
    let room = common::ERASE as u32;
    let long = vec![0; room as usize + 1];
    assert_eq!(send(&mut slots, &long), Err(UpdateError::TooLong { room }));
    // After all that the image in use is what it was, and the same revision may be sent again.
    assert_eq!(slots.boot().unwrap().unwrap().revision, 5);
    install(&mut slots, 5);
    assert_eq!(counter.value, 5);
}

#[test]
fn another_agents_image_is_refused() {
    let mut other = |bytes: &[u8]| admit(bytes).and(Err(Refusal::Unsuitable));
    let mut slots = Slots::new(
        Flash::<4>::new(Torn::Prefix),
        0,
        SLOT,
        &mut other,
        NoCounter,
    )
    .unwrap();
    slots.boot().unwrap();
    let mut update = slots.begin().unwrap();
    update.write(&image(1)).unwrap();
    assert_eq!(
        update.commit(),
        Err(UpdateError::Refused(Refusal::Unsuitable))
    );
    assert_eq!(slots.boot(), Ok(None));
}

#[test]
fn the_counter_refuses_what_is_older_than_what_was_confirmed() {
    let mut counter = Counter::default();
    let mut slots = device(&mut counter);
    install(&mut slots, 1);
    install(&mut slots, 2);
    let flash = slots.into_flash();
    assert_eq!(counter.value, 2);
    // Slot B, revision 2, is damaged: revision 1 in slot A may not come back.
    let mut damaged = flash.clone();
    damaged.flip(SLOT as usize);
    let mut slots = Slots::new(damaged.clone(), 0, SLOT, admit, &mut counter).unwrap();
    assert_eq!(slots.boot(), Ok(None));
    // Without a counter it may: a device that acts is then worth more than one that cannot be turned back.
    let mut slots = Slots::new(damaged, 0, SLOT, admit, NoCounter).unwrap();
    assert_eq!(slots.boot().unwrap().unwrap().revision, 1);

    // A counter that does not answer stops everything; one that is stuck does not.
    counter.broken = true;
    let mut slots = Slots::new(flash.clone(), 0, SLOT, admit, &mut counter).unwrap();
    assert_eq!(slots.boot(), Err("broken"));
    assert_eq!(slots.begin().err(), Some(UpdateError::NotBooted));
    counter = Counter {
        value: 1,
        broken: false,
        stuck: true,
    };
    let mut slots = Slots::new(flash, 0, SLOT, admit, &mut counter).unwrap();
    let boot = slots.boot().unwrap().unwrap();
    assert_eq!((boot.revision, boot.counter_behind), (2, true));
    assert_eq!(slots.confirm(), Err(ConfirmError::Counter("stuck")));
    let flash = slots.into_flash();
    counter.stuck = false;
    let mut slots = Slots::new(flash, 0, SLOT, admit, &mut counter).unwrap();
    assert!(!slots.boot().unwrap().unwrap().counter_behind);
    assert_eq!(counter.value, 2, "the boot has caught up");
}

/// Flash of any sizes, to be refused.
struct Sizes<const R: usize, const W: usize, const E: usize>;

impl<const R: usize, const W: usize, const E: usize> ErrorType for Sizes<R, W, E> {
    type Error = Failure;
}

impl<const R: usize, const W: usize, const E: usize> ReadNorFlash for Sizes<R, W, E> {
    const READ_SIZE: usize = R;
    fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), Failure> {
        Err(Failure::Misuse)
    }
    fn capacity(&self) -> usize {
        65_536
    }
}

impl<const R: usize, const W: usize, const E: usize> NorFlash for Sizes<R, W, E> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;
    fn erase(&mut self, _: u32, _: u32) -> Result<(), Failure> {
        Err(Failure::Misuse)
    }
    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), Failure> {
        Err(Failure::Misuse)
    }
}

impl<const R: usize, const W: usize, const E: usize> View for Sizes<R, W, E> {
    fn view(&mut self, _: u32, _: usize) -> Result<&[u8], Failure> {
        Err(Failure::Misuse)
    }
}

#[test]
fn flash_that_cannot_hold_slots_is_refused() {
    fn error<const R: usize, const W: usize, const E: usize>(
        base: u32,
        slot_len: u32,
    ) -> Option<LayoutError> {
        Slots::new(Sizes::<R, W, E>, base, slot_len, admit, NoCounter).err()
    }
    assert_eq!(error::<4, 8, 4096>(4096, 8192), None);
    let capacity = |base, slot_len| LayoutError::Capacity {
        base,
        slot_len,
        capacity: 65_536,
    };
    assert_eq!(error::<1, 4, 4096>(0, 32_768), None);
    assert_eq!(
        error::<1, 4, 4096>(4096, 32_768),
        Some(capacity(4096, 32_768))
    );
    assert_eq!(
        error::<1, 4, 4096>(0xffff_f000, 0xffff_f000),
        Some(capacity(0xffff_f000, 0xffff_f000))
    );
    let unaligned = |base, slot_len| LayoutError::Unaligned {
        base,
        slot_len,
        erase_size: 4096,
    };
    assert_eq!(error::<1, 4, 4096>(100, 8192), Some(unaligned(100, 8192)));
    assert_eq!(error::<1, 4, 4096>(0, 8200), Some(unaligned(0, 8200)));
    let small = LayoutError::Small {
        slot_len: 4096,
        least: 8192,
    };
    assert_eq!(error::<1, 4, 4096>(0, 4096), Some(small));
    let unit = |read_size, write_size| LayoutError::Unit {
        read_size,
        write_size,
    };
    assert_eq!(error::<1, 64, 4096>(0, 8192), Some(unit(1, 64)));
    assert_eq!(error::<3, 4, 4096>(0, 8192), Some(unit(3, 4)));
    let erase = LayoutError::Erase {
        found: 128,
        least: 224,
        unit: 128,
    };
    assert_eq!(error::<1, 4, 128>(0, 8192), Some(erase));
    let erased_by = |erase_size, base, slot_len| {
        Slots::erased_by(
            erase_size,
            Sizes::<1, 4, 128>,
            base,
            slot_len,
            admit,
            NoCounter,
        )
        .map(|slots| slots.room())
    };
    assert_eq!(erased_by(256, 256, 1024), Ok(768));
    for found in [128, 320] {
        let unit = LayoutError::Erase {
            found,
            least: 224,
            unit: 128,
        };
        assert_eq!(erased_by(found, 0, 1280), Err(unit));
    }

    // A driver that fails at everything boots nothing, and says so when written to.
    let mut slots = Slots::new(Sizes::<1, 4, 4096>, 0, 8192, admit, NoCounter).unwrap();
    assert_eq!(slots.boot(), Ok(None));
    assert_eq!(
        slots.begin().err(),
        Some(UpdateError::Flash(Failure::Misuse))
    );
    assert_eq!(NoCounter.least(), Ok(0));
}

#[test]
fn an_update_may_be_paused_until_a_boot_or_another_one() {
    let mut counter = Counter::default();
    let mut slots = device(&mut counter);
    slots.boot().unwrap();
    assert!(slots.resume().is_none());
    slots.begin().unwrap().pause();
    let new = image(7);
    // By 13 bytes, which are no whole unit of writing.
    for part in new.chunks(13) {
        let mut update = slots.resume().unwrap();
        update.write(part).unwrap();
        update.pause();
    }
    slots.resume().unwrap().commit().unwrap();
    assert!(slots.resume().is_none());
    assert_eq!(slots.boot().unwrap().unwrap().revision, 7);
    slots.confirm().unwrap();

    slots.begin().unwrap().pause();
    assert!(slots.boot().unwrap().is_some());
    assert!(slots.resume().is_none());
    slots.begin().unwrap().pause();
    // Begun again, and dropped.
    drop(slots.begin().unwrap());
    assert!(slots.resume().is_none());
}
