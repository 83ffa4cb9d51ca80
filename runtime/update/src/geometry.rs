//! Where everything lies.

use embedded_storage::nor_flash::NorFlash;

use crate::error::LayoutError;
use crate::slots::Slot;
use crate::trailer::{RECORD_LEN, TRAILER_LEN};

/// Two slots, one behind the other; the last part of each that is erased by itself holds its records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    base: u32,
    slot_len: u32,
    erase_size: u32,
}

impl Geometry {
    /// Slots of flash that is erased by `erase_size` bytes, a multiple of what it can erase.
    pub(crate) fn new<F: NorFlash>(
        flash: &F,
        base: u32,
        slot_len: u32,
        erase_size: usize,
    ) -> Result<Self, LayoutError> {
        let (read_size, write_size) = (F::READ_SIZE, F::WRITE_SIZE);
        let unit = |size: usize| size != 0 && RECORD_LEN.is_multiple_of(size);
        if !unit(read_size) || !unit(write_size) {
            return Err(LayoutError::Unit {
                read_size,
                write_size,
            });
        }
        let wrong = LayoutError::Erase {
            found: erase_size,
            least: TRAILER_LEN,
            unit: F::ERASE_SIZE,
        };
        let found = erase_size;
        let erase_size = u32::try_from(found).map_err(|_| wrong)?;
        // A unit of 0 divides nothing but 0.
        if erase_size < TRAILER_LEN || !found.is_multiple_of(F::ERASE_SIZE) {
            return Err(wrong);
        }
        if !base.is_multiple_of(erase_size) || !slot_len.is_multiple_of(erase_size) {
            return Err(LayoutError::Unaligned {
                base,
                slot_len,
                erase_size: found,
            });
        }
        let least = 2 * u64::from(erase_size);
        if u64::from(slot_len) < least {
            return Err(LayoutError::Small { slot_len, least });
        }
        let capacity = flash.capacity();
        let end = u64::from(base) + 2 * u64::from(slot_len);
        if end > capacity as u64 || u32::try_from(end).is_err() {
            return Err(LayoutError::Capacity {
                base,
                slot_len,
                capacity,
            });
        }
        Ok(Geometry {
            base,
            slot_len,
            erase_size,
        })
    }

    /// Where a slot's image begins. The sums cannot overflow: both slots end within 32 bits.
    pub(crate) fn image(self, slot: Slot) -> u32 {
        match slot {
            Slot::A => self.base,
            Slot::B => self.base.saturating_add(self.slot_len),
        }
    }

    /// Where a slot's records begin, and its room for an image ends.
    pub(crate) fn trailer(self, slot: Slot) -> u32 {
        self.image(slot).saturating_add(self.room())
    }

    /// Where a slot ends.
    pub(crate) fn end(self, slot: Slot) -> u32 {
        self.image(slot).saturating_add(self.slot_len)
    }

    /// Bytes for an image.
    pub(crate) fn room(self) -> u32 {
        self.slot_len.saturating_sub(self.erase_size)
    }

    /// Bytes that are erased at once.
    pub(crate) fn erase_size(self) -> u32 {
        self.erase_size
    }
}
