//! Sectors of very different sizes as one piece of flash: a slot behind the other, each an image's part and its records'.

use embassy_stm32::flash::{Blocking, Error, Flash};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::wire::{IMAGES, RECORDS, ROOM};

/// Bytes of a sector that has an image, and of one that has records.
const LARGE: u32 = 128 * 1024;
const SMALL: u32 = 16 * 1024;

/// Bytes of a slot, as [`Sectors`] counts.
pub(crate) const SLOT: u32 = ROOM as u32 + SMALL;

const _: () = assert!((ROOM as u32).is_multiple_of(SMALL) && ROOM as u32 <= LARGE);

/// The slots alone, from 0 on. Of a large sector only its beginning is used, so that both parts of a slot are a number of small
/// ones: erasing its first part erases all of it, and the others are erased with it.
pub(crate) struct Sectors(pub(crate) Flash<'static, Blocking>);

/// Where it lies in the flash.
fn place(offset: u32) -> Result<u32, Error> {
    let (slot, within) = (offset / SLOT, offset % SLOT);
    let at = |starts: [u32; 2]| starts.get(slot as usize).copied().ok_or(Error::Size);
    match within.checked_sub(ROOM as u32) {
        None => Ok(at(IMAGES)? + within),
        Some(within) => Ok(at(RECORDS)? + within),
    }
}

impl ErrorType for Sectors {
    type Error = Error;
}

impl ReadNorFlash for Sectors {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.blocking_read(place(offset)?, bytes)
    }

    fn capacity(&self) -> usize {
        2 * SLOT as usize
    }
}

impl NorFlash for Sectors {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SMALL as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        for part in (from..to).step_by(Self::ERASE_SIZE) {
            let start = place(part)?;
            if IMAGES.contains(&start) {
                self.0.blocking_erase(start, start + LARGE)?;
            } else if RECORDS.contains(&start) {
                self.0.blocking_erase(start, start + SMALL)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        self.0.blocking_write(place(offset)?, bytes)
    }
}
