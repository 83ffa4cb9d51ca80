//! Memory that is written and erased as flash is: for a device whose flash is not to be worn, or that has none.

use consort_runtime::AlignedBytes;
use consort_update::View;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// `N` bytes of memory in the place of flash: written by 4 bytes, erased by 256. `N` is a multiple of 256.
#[derive(Debug)]
pub struct Ram<const N: usize>(AlignedBytes<N>);

impl<const N: usize> Ram<N> {
    /// Erased memory.
    #[allow(
        clippy::new_without_default,
        reason = "a default would hide how much it is"
    )]
    pub const fn new() -> Self {
        Ram(AlignedBytes([0xff; N]))
    }

    fn place(&mut self, offset: u32, len: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let rest = self.0.0.get_mut(offset as usize..);
        rest.and_then(|rest| rest.get_mut(..len))
            .ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl<const N: usize> ErrorType for Ram<N> {
    type Error = NorFlashErrorKind;
}

impl<const N: usize> ReadNorFlash for Ram<N> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let found = self.place(offset, bytes.len())?;
        bytes
            .iter_mut()
            .zip(found)
            .for_each(|(byte, &mut found)| *byte = found);
        Ok(())
    }

    fn capacity(&self) -> usize {
        N
    }
}

impl<const N: usize> NorFlash for Ram<N> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 256;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.place(from, to.wrapping_sub(from) as usize)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let place = self.place(offset, bytes.len())?;
        // Writing clears bits; only erasing sets them.
        place
            .iter_mut()
            .zip(bytes)
            .for_each(|(place, &byte)| *place &= byte);
        Ok(())
    }
}

impl<const N: usize> View for Ram<N> {
    fn view(&mut self, offset: u32, len: usize) -> Result<&[u8], NorFlashErrorKind> {
        self.place(offset, len).map(|place| &*place)
    }
}
