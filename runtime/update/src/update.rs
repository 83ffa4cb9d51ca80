//! Writing an image into the slot that is not in use.

use crate::error::UpdateError;
use crate::slots::{Slot, Slots};
use crate::trailer::{self, Entry, RECORD_LEN};
use crate::{Admit, RevisionCounter, View};

/// An update under way. Dropped, or cut short by a loss of power, it leaves what is in use as it is.
#[derive(Debug)]
#[must_use = "an update that is dropped was not made"]
pub struct Update<'s, F, A, C> {
    slots: &'s mut Slots<F, A, C>,
    progress: Progress,
}

/// How far an update has come.
#[derive(Debug)]
pub(crate) struct Progress {
    slot: Slot,
    sequence: u32,
    /// Of the image in use: an update may not be older.
    in_use: u32,
    /// Bytes that were given, and wait to be a whole unit of writing.
    waiting: [u8; RECORD_LEN],
    len: u32,
}

impl<'s, F, A, C> Update<'s, F, A, C>
where
    F: View,
    A: Admit,
    C: RevisionCounter,
{
    /// Erases the slot. The image before its records: while there are records there is no whole image, so a slot half
    /// erased can never pass for one whose trials are yet to come.
    pub(crate) fn begin(
        slots: &'s mut Slots<F, A, C>,
        slot: Slot,
        sequence: u32,
        in_use: u32,
    ) -> Result<Self, UpdateError<F::Error, C::Error>> {
        let geometry = slots.geometry;
        let (start, trailer, end) = (
            geometry.image(slot),
            geometry.trailer(slot),
            geometry.end(slot),
        );
        // Drivers may erase a range in any order: the image's first part, without which it is none, by itself.
        let second = start.saturating_add(geometry.erase_size());
        for (from, to) in [(start, second), (second, trailer), (trailer, end)] {
            if from < to {
                slots.flash.erase(from, to).map_err(UpdateError::Flash)?;
            }
        }
        let progress = Progress {
            slot,
            sequence,
            in_use,
            waiting: [0xff; RECORD_LEN],
            len: 0,
        };
        Ok(Update { slots, progress })
    }

    pub(crate) fn resume(slots: &'s mut Slots<F, A, C>, progress: Progress) -> Self {
        Update { slots, progress }
    }

    /// Gives the slots back between two parts of the image: [`Slots::resume`] goes on.
    pub fn pause(self) {
        self.slots.paused = Some(self.progress);
    }

    /// Writes the image's next bytes, as many as there are.
    ///
    /// # Errors
    ///
    /// When the slot is full, or the flash fails. The update is then to be begun again.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UpdateError<F::Error, C::Error>> {
        let room = self.slots.geometry.room();
        let more = u32::try_from(bytes.len()).ok();
        if more
            .and_then(|more| self.progress.len.checked_add(more))
            .is_none_or(|len| len > room)
        {
            return Err(UpdateError::TooLong { room });
        }
        for &byte in bytes {
            let place = self.progress.len as usize % RECORD_LEN;
            self.progress
                .waiting
                .iter_mut()
                .skip(place)
                .take(1)
                .for_each(|slot| *slot = byte);
            self.progress.len = self.progress.len.saturating_add(1);
            if place + 1 == RECORD_LEN {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes what waits, which ends at `len`.
    fn flush(&mut self) -> Result<(), UpdateError<F::Error, C::Error>> {
        let start = self.progress.len.saturating_sub(1) / RECORD_LEN as u32 * RECORD_LEN as u32;
        let place = self
            .slots
            .geometry
            .image(self.progress.slot)
            .saturating_add(start);
        let written = self.slots.flash.write(place, &self.progress.waiting);
        self.progress.waiting = [0xff; RECORD_LEN];
        written.map_err(UpdateError::Flash)
    }

    /// Ends the update: checks the image where it now lies, and commits it by one record. From then on the next
    /// [`boot`](Slots::boot) tries it.
    ///
    /// # Errors
    ///
    /// When the image is refused or older than one that was confirmed, or the counter fails: nothing is then committed. When the
    /// flash fails, the record may have been written or not, which the next boot finds out.
    pub fn commit(mut self) -> Result<(), UpdateError<F::Error, C::Error>> {
        if !self.progress.len.is_multiple_of(RECORD_LEN as u32) {
            self.flush()?;
        }
        let slots = self.slots;
        let offset = slots.geometry.image(self.progress.slot);
        let bytes = slots
            .flash
            .view(offset, self.progress.len as usize)
            .map_err(UpdateError::Flash)?;
        let found = slots.admit.admit(bytes)?;
        let least = slots
            .counter
            .least()
            .map_err(UpdateError::Counter)?
            .max(self.progress.in_use);
        if found < least {
            return Err(UpdateError::Rollback { found, least });
        }
        let entry = Entry {
            sequence: self.progress.sequence,
            len: self.progress.len,
            revision: found,
        };
        let offset = slots.geometry.trailer(self.progress.slot);
        match trailer::commit(&mut slots.flash, offset, entry).map_err(UpdateError::Flash)? {
            true => Ok(()),
            false => Err(UpdateError::ReadBack { offset }),
        }
    }
}
