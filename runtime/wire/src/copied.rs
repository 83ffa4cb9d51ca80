//! Flash that is read by its driver, not in place.

use consort_runtime::AlignedBytes;
use consort_update::View;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Flash of which images are copied into memory, to act from there: for flash that is not mapped into memory, and for boards
/// without unsafe code. An image has at most `N` bytes.
#[derive(Debug)]
pub struct Copied<'m, F, const N: usize> {
    flash: F,
    copy: &'m mut AlignedBytes<N>,
}

impl<'m, F, const N: usize> Copied<'m, F, N> {
    /// Of `flash`, with memory for one image.
    pub const fn new(flash: F, copy: &'m mut AlignedBytes<N>) -> Self {
        Copied { flash, copy }
    }
}

/// Why flash cannot be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopiedError<E> {
    /// The flash's own error.
    Flash(E),
    /// There is less memory than there are bytes.
    TooLong,
}

impl<E: NorFlashError> NorFlashError for CopiedError<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            CopiedError::Flash(error) => error.kind(),
            CopiedError::TooLong => NorFlashErrorKind::OutOfBounds,
        }
    }
}

impl<F: ErrorType, const N: usize> ErrorType for Copied<'_, F, N> {
    type Error = CopiedError<F::Error>;
}

impl<F: ReadNorFlash, const N: usize> ReadNorFlash for Copied<'_, F, N> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.flash.read(offset, bytes).map_err(CopiedError::Flash)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash, const N: usize> NorFlash for Copied<'_, F, N> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.flash.erase(from, to).map_err(CopiedError::Flash)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.flash.write(offset, bytes).map_err(CopiedError::Flash)
    }
}

impl<F: NorFlash, const N: usize> View for Copied<'_, F, N> {
    fn view(&mut self, offset: u32, len: usize) -> Result<&[u8], Self::Error> {
        // Whole units are read, and as much is shown as was asked for.
        let whole = len.checked_next_multiple_of(F::READ_SIZE.max(1));
        let place = whole.and_then(|whole| self.copy.0.get_mut(..whole));
        let place = place.ok_or(CopiedError::TooLong)?;
        self.flash.read(offset, place).map_err(CopiedError::Flash)?;
        place.get(..len).ok_or(CopiedError::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ram;

    #[test]
    fn a_view_is_a_copy_of_what_lies_there_as_far_as_there_is_memory() {
        let mut flash = Ram::<512>::new();
        assert_eq!(flash.write(256, &[1, 2, 3, 4]), Ok(()));
        let mut memory = AlignedBytes([0; 8]);
        let mut copied = Copied::new(&mut flash, &mut memory);
        assert_eq!(copied.view(256, 3), Ok(&[1, 2, 3][..]));
        assert_eq!(copied.view(0, 8), Ok(&[0xff; 8][..]));
        assert_eq!(copied.view(0, 9), Err(CopiedError::TooLong));
        assert_eq!(
            copied.view(508, 8),
            Err(CopiedError::Flash(NorFlashErrorKind::OutOfBounds))
        );
        assert_eq!(copied.write(256, &[0, 2, 3, 4]), Ok(()));
        assert_eq!(copied.view(256, 4), Ok(&[0, 2, 3, 4][..]));
    }
}
