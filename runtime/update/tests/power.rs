//! The power fails at every byte of an update, and again at every byte of what follows.

mod common;

use common::{Counter, Flash, SLOT, Torn, admit, image};
use consort_update::{Slots, State};

/// What of an update was done before the power failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Nothing,
    Committed,
    Tried,
    Confirmed,
}

/// A device: what survives the power.
#[derive(Clone)]
struct Device<const W: usize> {
    flash: Flash<W>,
    counter: Counter,
}

impl<const W: usize> Device<W> {
    /// With an image that was installed and confirmed.
    fn with(torn: Torn, revision: u32) -> Self {
        let mut device = Device {
            flash: Flash::new(torn),
            counter: Counter::default(),
        };
        assert_eq!(device.boot(), None, "an empty device");
        assert_eq!(device.update(revision), Done::Confirmed);
        device
    }

    /// An update, the boot after it and the confirmation, as far as the power lasts.
    fn update(&mut self, revision: u32) -> Done {
        let mut done = Done::Nothing;
        let _ = self.try_update(revision, &mut done);
        done
    }

    fn try_update(&mut self, revision: u32, done: &mut Done) -> Option<()> {
        let bytes = image(revision);
        let mut slots = Slots::new(&mut self.flash, 0, SLOT, admit, &mut self.counter).unwrap();
        slots.boot().ok()?;
        // What a boot found on trial is settled first, as a firmware does.
        let _ = slots.confirm();
        let mut update = slots.begin().ok()?;
        for chunk in bytes.chunks(37) {
            update.write(chunk).ok()?;
        }
        update.commit().ok()?;
        *done = Done::Committed;
        if slots.boot().ok()??.revision != revision {
            return None;
        }
        *done = Done::Tried;
        slots.confirm().ok()?;
        *done = Done::Confirmed;
        Some(())
    }

    /// The power comes back: the revision of what is booted, whose every byte is as it was sent.
    fn boot(&mut self) -> Option<(u32, bool)> {
        let mut slots = Slots::new(&mut self.flash, 0, SLOT, admit, &mut self.counter).unwrap();
        let boot = slots.boot().unwrap()?;
        let bytes = slots.bytes(&boot).unwrap();
        assert_eq!(
            bytes,
            image(boot.revision),
            "the image booted is one that was sent, whole"
        );
        Some((boot.revision, boot.state == State::Confirmed))
    }
}

/// Cuts the update from 1 to 2 after `cut` steps; what the next boot finds must be one of the two.
fn cut_once<const W: usize>(before: &Device<W>, cut: u64) -> (Device<W>, Done, u32) {
    let mut device = before.clone();
    device.flash.cut_after = Some(device.flash.steps + cut);
    let done = device.update(2);
    device.flash.revive();
    let (revision, confirmed) = device.boot().expect("an image, whatever happened");
    match done {
        Done::Nothing => assert!(revision == 1 || revision == 2, "cut {cut}"),
        // Once committed it is tried, and what was tried is tried again.
        Done::Committed | Done::Tried => assert_eq!(revision, 2, "cut {cut}"),
        Done::Confirmed => assert_eq!((revision, confirmed), (2, true), "cut {cut}"),
    }
    assert!(
        device.counter.value <= revision,
        "what runs is not refused later"
    );
    (device, done, revision)
}

fn steps<const W: usize>(before: &Device<W>) -> u64 {
    let mut whole = before.clone();
    assert_eq!(whole.update(2), Done::Confirmed);
    whole.flash.steps - before.flash.steps
}

/// Every cut of an update, and then the same update once more, which must succeed.
fn every_cut<const W: usize>(torn: Torn) {
    let before = Device::<W>::with(torn, 1);
    let steps = steps(&before);
    let mut found = [0; 2];
    for cut in 0..=steps {
        let (mut device, _, revision) = cut_once(&before, cut);
        found[revision as usize - 1] += 1;
        assert_eq!(
            device.update(3),
            Done::Confirmed,
            "cut {cut}: an update can be tried again"
        );
        assert_eq!(device.boot(), Some((3, true)));
        assert_eq!(device.counter.value, 3);
    }
    // 448 bytes are erased, 156 written in units of 32, then a record, a mark and a record: 32 bytes each.
    assert_eq!(steps, 448 + 160 + 96);
    assert!(found[0] > 600 && found[1] > 50, "{found:?}");
}

#[test]
fn a_cut_at_every_byte_leaves_the_old_image_or_the_new_one() {
    for torn in Torn::ALL {
        every_cut::<1>(torn);
        every_cut::<4>(torn);
        every_cut::<32>(torn);
    }
}

/// Two cuts: every one of the update, and then every one of the boot, the confirmation and the update that follow.
fn every_pair<const W: usize>(torn: Torn, stride: usize) {
    let before = Device::<W>::with(torn, 1);
    for cut in (0..=steps(&before)).step_by(stride) {
        let (once, ..) = cut_once(&before, cut);
        let mut again = 0;
        loop {
            let mut device = once.clone();
            device.flash.cut_after = Some(device.flash.steps + again);
            let done = device.update(3);
            device.flash.revive();
            let (revision, confirmed) = device.boot().expect("an image, whatever happened twice");
            // What was confirmed is never lost; what was on trial may have used up its trials.
            assert!(revision >= device.counter.value, "cuts {cut} and {again}");
            assert!(confirmed || revision > 1, "cuts {cut} and {again}");
            if done == Done::Confirmed {
                assert_eq!((revision, device.counter.value), (3, 3));
                break;
            }
            // The last word, after any number of faults.
            assert_eq!(device.update(4), Done::Confirmed, "cuts {cut} and {again}");
            again += 1;
        }
    }
}

#[test]
fn a_cut_at_every_byte_of_the_recovery_leaves_one_of_them_too() {
    // Not every pair, as there are half a million of each kind; the strides share no step with what is written at once.
    every_pair::<4>(Torn::Undefined, 3);
    every_pair::<1>(Torn::Bits, 7);
    every_pair::<32>(Torn::Suffix, 7);
}

/// An image whose trials failed never comes back: the update that goes over it is cut at every byte.
#[test]
fn a_failed_image_does_not_come_back() {
    for torn in Torn::ALL {
        let mut before = Device::<4>::with(torn, 1);
        {
            let mut slots =
                Slots::new(&mut before.flash, 0, SLOT, admit, &mut before.counter).unwrap();
            slots.boot().unwrap();
            let mut update = slots.begin().unwrap();
            update.write(&image(2)).unwrap();
            update.commit().unwrap();
            while slots.boot().unwrap().unwrap().revision == 2 {}
        }
        let mut again = before.clone();
        assert_eq!(again.update(3), Done::Confirmed);
        for cut in 0..again.flash.steps - before.flash.steps {
            let mut device = before.clone();
            device.flash.cut_after = Some(device.flash.steps + cut);
            device.update(3);
            device.flash.revive();
            let (revision, _) = device.boot().expect("an image");
            assert!(revision == 1 || revision == 3, "cut {cut}: {revision}");
        }
    }
}

/// A boot marks a trial: cut at every byte of the mark, again and again, the device always finds an image.
#[test]
fn boots_that_are_cut_end_at_the_old_image() {
    for torn in Torn::ALL {
        let mut committed = Device::<4>::with(torn, 1);
        {
            let mut slots =
                Slots::new(&mut committed.flash, 0, SLOT, admit, &mut committed.counter).unwrap();
            slots.boot().unwrap();
            let mut update = slots.begin().unwrap();
            update.write(&image(2)).unwrap();
            update.commit().unwrap();
        }
        for cut in 0..32 {
            let mut device = committed.clone();
            let mut revisions = Vec::new();
            for _ in 0..8 {
                device.flash.cut_after = Some(device.flash.steps + cut);
                let mut slots =
                    Slots::new(&mut device.flash, 0, SLOT, admit, &mut device.counter).unwrap();
                let _ = slots.boot();
                device.flash.revive();
                revisions.push(device.boot().expect("an image").0);
            }
            // Each of the three trials is used once at least, then the old image stays.
            assert!(revisions.is_sorted_by(|a, b| a >= b), "{revisions:?}");
            assert_eq!(revisions.last(), Some(&1), "{revisions:?}");
        }
    }
}
