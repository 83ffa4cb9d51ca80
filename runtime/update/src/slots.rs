//! Which image is used: the newest that is whole, admitted, and confirmed or still on trial.

use crate::error::{ConfirmError, LayoutError, UpdateError};
use crate::geometry::Geometry;
use crate::trailer::{self, Entry, TRIALS, Trailer};
use crate::update::{Progress, Update};
use crate::{Admit, RevisionCounter, View};

/// One of the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }
}

/// How far an image in use has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is new, and must be [confirmed](Slots::confirm), or after so many more boots the other slot is used again.
    Trial {
        /// Boots that are left to it, this one not counted.
        left: u32,
    },
    /// It is settled.
    Confirmed,
}

/// The image in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// The slot it is in.
    pub slot: Slot,
    /// Where in the flash it begins, in bytes: by this, a firmware whose flash is mapped into memory acts from it while
    /// an update is written to the other slot.
    pub offset: u32,
    /// Its length, in bytes.
    pub len: u32,
    /// Its revision.
    pub revision: u32,
    /// Whether it is settled.
    pub state: State,
    /// Whether the revision counter could not be advanced to it, though it is settled: until it can be, the device could be
    /// turned back.
    pub counter_behind: bool,
}

/// The two slots, and who may act from them.
///
/// - `admit` looks at an image's bytes, where they lie, and gives its revision or a reason to refuse it:
///   [`Image::new_verified`](consort_runtime::Image::new_verified), and whatever else this device asks for.
/// - `counter` refuses revisions below one that was confirmed.
#[derive(Debug)]
pub struct Slots<F, A, C> {
    pub(crate) flash: F,
    pub(crate) geometry: Geometry,
    pub(crate) admit: A,
    pub(crate) counter: C,
    /// What [`boot`](Self::boot) found; none before it.
    pub(crate) booted: Option<Option<(Boot, Entry)>>,
    /// An update that was [paused](Update::pause).
    pub(crate) paused: Option<Progress>,
}

impl<F, A, C> Slots<F, A, C>
where
    F: View,
    A: Admit,
    C: RevisionCounter,
{
    /// Two slots of `slot_len` bytes each, the first at `base`, the second right behind it. Of each, the last part that is
    /// erased at once is for records, the rest for an image. Reads and writes nothing.
    ///
    /// # Errors
    ///
    /// A [`LayoutError`] when the flash cannot hold such slots.
    pub fn new(
        flash: F,
        base: u32,
        slot_len: u32,
        admit: A,
        counter: C,
    ) -> Result<Self, LayoutError> {
        Self::erased_by(F::ERASE_SIZE, flash, base, slot_len, admit, counter)
    }

    /// Like [`new`](Self::new) on flash whose parts differ in length, or have one that is not known when the firmware is compiled:
    /// from `base` on it is erased by `erase_size` bytes, a multiple of what `F` says.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn erased_by(
        erase_size: usize,
        flash: F,
        base: u32,
        slot_len: u32,
        admit: A,
        counter: C,
    ) -> Result<Self, LayoutError> {
        Ok(Slots {
            geometry: Geometry::new(&flash, base, slot_len, erase_size)?,
            flash,
            admit,
            counter,
            booted: None,
            paused: None,
        })
    }

    /// Bytes of a slot for an image.
    pub fn room(&self) -> u32 {
        self.geometry.room()
    }

    /// Chooses the image to use, checks every byte of it, and marks it as tried if it is not confirmed; none where no slot
    /// holds one that may act here, as before the first update. Once, at boot.
    ///
    /// # Errors
    ///
    /// When the counter cannot be read: then nothing may act. Flash that cannot be read is a slot that is not used.
    pub fn boot(&mut self) -> Result<Option<Boot>, C::Error> {
        (self.booted, self.paused) = (None, None);
        let least = self.counter.least()?;
        let read = |slot| {
            Trailer::read(&mut self.flash, self.geometry.trailer(slot))
                .map(|trailer| (slot, trailer))
        };
        let [a, b] = [Slot::A, Slot::B].map(read);
        let newer =
            |of: &Option<(Slot, Trailer)>| of.as_ref().map(|(_, trailer)| trailer.entry.sequence);
        let order = if newer(&b) > newer(&a) {
            [b, a]
        } else {
            [a, b]
        };
        for (slot, trailer) in order.into_iter().flatten() {
            if let Some(boot) = self.try_slot(slot, trailer, least) {
                self.booted = Some(Some((boot, trailer.entry)));
                return Ok(Some(boot));
            }
        }
        self.booted = Some(None);
        Ok(None)
    }

    /// The image of a slot, if it may act.
    fn try_slot(&mut self, slot: Slot, trailer: Trailer, least: u32) -> Option<Boot> {
        let Entry { len, revision, .. } = trailer.entry;
        if !trailer.confirmed && trailer.next_trial >= TRIALS {
            return None;
        }
        if revision < least || len > self.geometry.room() {
            return None;
        }
        let offset = self.geometry.image(slot);
        let bytes = self.flash.view(offset, usize::try_from(len).ok()?).ok()?;
        // No other whole image can lie there: an update erases records before it writes.
        if self.admit.admit(bytes) != Ok(revision) {
            return None;
        }
        let mut boot = Boot {
            slot,
            offset,
            len,
            revision,
            state: State::Confirmed,
            counter_behind: false,
        };
        if trailer.confirmed {
            // The power may have failed between the two.
            boot.counter_behind = revision > least && self.counter.advance(revision).is_err();
        } else {
            let place = self.geometry.trailer(slot);
            // Without a mark there would be no end to its trials.
            let next = trailer::begin_trial(&mut self.flash, place, trailer.next_trial)?;
            boot.state = State::Trial {
                left: TRIALS.saturating_sub(next),
            };
        }
        Some(boot)
    }

    /// The bytes of the image in use.
    ///
    /// # Errors
    ///
    /// The flash's.
    pub fn bytes(&mut self, boot: &Boot) -> Result<&[u8], F::Error> {
        self.flash.view(boot.offset, boot.len as usize)
    }

    /// Settles the image in use: it has shown that it works. Then advances the counter to its revision, and there is no way
    /// back. Does nothing where it is settled already.
    ///
    /// # Errors
    ///
    /// A [`ConfirmError`]; [`ConfirmError::Counter`] when the image is settled but the counter is behind.
    pub fn confirm(&mut self) -> Result<(), ConfirmError<C::Error>> {
        let Some(Some((boot, entry))) = &mut self.booted else {
            return Err(ConfirmError::NotBooted);
        };
        if let State::Trial { .. } = boot.state {
            let place = self.geometry.trailer(boot.slot);
            if !trailer::confirm(&mut self.flash, place, *entry) {
                return Err(ConfirmError::ReadBack);
            }
            boot.state = State::Confirmed;
        }
        let behind = ConfirmError::Counter;
        if self.counter.least().map_err(behind)? < boot.revision {
            self.counter.advance(boot.revision).map_err(behind)?;
        }
        boot.counter_behind = false;
        Ok(())
    }

    /// Begins an update: erases the slot that is not in use.
    ///
    /// # Errors
    ///
    /// An [`UpdateError`] when nothing was booted yet, when the image in use is on trial, or when the flash fails.
    #[allow(clippy::type_complexity, reason = "the update borrows everything")]
    pub fn begin(&mut self) -> Result<Update<'_, F, A, C>, UpdateError<F::Error, C::Error>> {
        self.paused = None;
        let (slot, in_use) = match &self.booted {
            None => return Err(UpdateError::NotBooted),
            Some(None) => (Slot::A, 0),
            Some(Some((boot, _))) if boot.state != State::Confirmed => {
                return Err(UpdateError::Unconfirmed);
            }
            Some(Some((boot, _))) => (boot.slot.other(), boot.revision),
        };
        // Above both: what is not used today, as it is refused, could be admitted by another firmware.
        let sequence = [Slot::A, Slot::B]
            .into_iter()
            .filter_map(|slot| Trailer::read(&mut self.flash, self.geometry.trailer(slot)))
            .fold(0, |most, trailer| most.max(trailer.entry.sequence));
        Update::begin(self, slot, sequence.saturating_add(1), in_use)
    }

    /// Goes on with the update that was [paused](Update::pause); none where there is none, or where a boot or another update has
    /// come since.
    pub fn resume(&mut self) -> Option<Update<'_, F, A, C>> {
        let progress = self.paused.take()?;
        Some(Update::resume(self, progress))
    }

    /// The flash, for whatever else lies in it. Whoever writes to the slots by it breaks them.
    pub fn flash_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }
}
