//! What the caller's functions do for the slots: look at flash, write and erase it, judge images, count revisions.

use core::ffi::c_void;
use core::ptr;

use consort_runtime::Image;
use consort_update::{Admit, Refusal, RevisionCounter, View};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use crate::policy::ConsortInfo;
use crate::raw;
use crate::status::{ERR_NULL, Status};
use crate::verify::{Verify, asking};

/// The bytes from `offset` on, or null.
pub type FlashView =
    unsafe extern "C" fn(context: *mut c_void, offset: u32, len: u32) -> *const c_void;
/// Reads bytes; whether that succeeded.
pub type FlashRead =
    unsafe extern "C" fn(context: *mut c_void, offset: u32, bytes: *mut c_void, len: u32) -> bool;
/// Writes bytes; whether that succeeded.
pub type FlashWrite =
    unsafe extern "C" fn(context: *mut c_void, offset: u32, bytes: *const c_void, len: u32) -> bool;
/// Erases bytes; whether that succeeded.
pub type FlashErase = unsafe extern "C" fn(context: *mut c_void, offset: u32, len: u32) -> bool;
/// Whether an image that was checked is this device's.
pub type Suits = unsafe extern "C" fn(context: *mut c_void, info: *const ConsortInfo) -> bool;
/// Reads the revision counter; whether that succeeded.
pub type CounterLeast = unsafe extern "C" fn(context: *mut c_void, revision: *mut u32) -> bool;
/// Advances the revision counter; whether that succeeded.
pub type CounterAdvance = unsafe extern "C" fn(context: *mut c_void, revision: u32) -> bool;

/// `consort_flash_t`: flash, and where in it the slots lie.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ConsortFlash {
    /// Given to every function.
    pub context: *mut c_void,
    /// See [`FlashView`].
    pub view: Option<FlashView>,
    /// See [`FlashWrite`].
    pub write: Option<FlashWrite>,
    /// See [`FlashErase`].
    pub erase: Option<FlashErase>,
    /// Where the first slot begins, in bytes; the second is right behind it.
    pub base: u32,
    /// A slot's length, in bytes.
    pub slot_len: u32,
    /// What is erased at once, in bytes.
    pub erase_size: u32,
    /// See [`FlashRead`]; none where flash is mapped into memory, and read as it is viewed.
    pub read: Option<FlashRead>,
}

/// `consort_admission_t`: which images may act on this device.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ConsortAdmission {
    /// Verifies signatures; none: images need not be signed.
    pub verify: Option<Verify>,
    /// Given to `verify`.
    pub verify_context: *mut c_void,
    /// Given to the functions below.
    pub context: *mut c_void,
    /// See [`Suits`]; none: every image suits.
    pub suits: Option<Suits>,
    /// See [`CounterLeast`]; none, with `advance`: there is no counter.
    pub least: Option<CounterLeast>,
    /// See [`CounterAdvance`].
    pub advance: Option<CounterAdvance>,
}

impl ConsortAdmission {
    /// Where the caller gives nothing: every undamaged image may act, and nothing counts.
    pub(crate) const ANYONE: Self = ConsortAdmission {
        verify: None,
        verify_context: ptr::null_mut(),
        context: ptr::null_mut(),
        suits: None,
        least: None,
        advance: None,
    };
}

/// The caller's flash. Its functions may be called, by the promise of whoever initialised the slots.
pub(crate) struct Flash {
    context: *mut c_void,
    view: FlashView,
    write: FlashWrite,
    erase: FlashErase,
    read: Option<FlashRead>,
}

impl Flash {
    /// With all functions but perhaps `read`.
    pub(crate) fn new(flash: &ConsortFlash) -> Result<Self, Status> {
        let (Some(view), Some(write), Some(erase)) = (flash.view, flash.write, flash.erase) else {
            return Err(ERR_NULL);
        };
        Ok(Flash {
            context: flash.context,
            view,
            write,
            erase,
            read: flash.read,
        })
    }
}

/// A function of the caller's said that it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl NorFlashError for Failed {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Flash {
    type Error = Failed;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Failed> {
        // A view may be a copy, over the image that is in use.
        if let Some(read) = self.read {
            let (start, len) = (bytes.as_mut_ptr().cast(), bytes.len() as u32);
            // SAFETY: the caller's promise; there is room for as many bytes as said.
            let done = unsafe { read(self.context, offset, start, len) };
            return done.then_some(()).ok_or(Failed);
        }
        let found = self.view(offset, bytes.len())?;
        (bytes.iter_mut().zip(found)).for_each(|(byte, &found)| *byte = found);
        Ok(())
    }

    /// As far as offsets reach: where the flash ends is the caller's to know.
    fn capacity(&self) -> usize {
        u32::MAX as usize
    }
}

impl NorFlash for Flash {
    // What the slots are written by: any smaller unit divides it.
    const WRITE_SIZE: usize = 32;
    // The caller says what it is.
    const ERASE_SIZE: usize = 1;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Failed> {
        // SAFETY: the caller's promise.
        let done = unsafe { (self.erase)(self.context, from, to.wrapping_sub(from)) };
        done.then_some(()).ok_or(Failed)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Failed> {
        let (start, len) = (bytes.as_ptr().cast(), bytes.len() as u32);
        // SAFETY: the caller's promise; the bytes are as many as said.
        let done = unsafe { (self.write)(self.context, offset, start, len) };
        done.then_some(()).ok_or(Failed)
    }
}

impl View for Flash {
    fn view(&mut self, offset: u32, len: usize) -> Result<&[u8], Failed> {
        // SAFETY: the caller's promise.
        let start = unsafe { (self.view)(self.context, offset, len as u32) };
        // SAFETY: the caller's promise: so many bytes, which stay until the flash is used again.
        unsafe { raw::values(start.cast(), len) }.map_err(|_| Failed)
    }
}

/// The caller's judgement of images.
pub(crate) struct Admission(pub(crate) ConsortAdmission);

impl Admit for Admission {
    fn admit(&mut self, bytes: &[u8]) -> Result<u32, Refusal> {
        let ConsortAdmission {
            verify,
            verify_context,
            context,
            suits,
            ..
        } = self.0;
        let image = match verify {
            Some(verify) => {
                // SAFETY: the caller's promise.
                let mut verifier = unsafe { asking(verify, verify_context) };
                Image::new_verified(bytes, &mut verifier)?
            }
            None => Image::new_checked(bytes)?,
        };
        let suits = suits.is_none_or(|suits| {
            let info = ConsortInfo::of(&image);
            // SAFETY: the caller's promise.
            unsafe { suits(context, &raw const info) }
        });
        match suits {
            true => Ok(image.revision()),
            false => Err(Refusal::Unsuitable),
        }
    }
}

/// The caller's counter, if there is one.
pub(crate) enum Counter {
    None,
    Asked {
        context: *mut c_void,
        least: CounterLeast,
        advance: CounterAdvance,
    },
}

impl Counter {
    /// With both functions, or with neither.
    pub(crate) fn new(admission: &ConsortAdmission) -> Result<Self, Status> {
        match (admission.least, admission.advance) {
            (Some(least), Some(advance)) => Ok(Counter::Asked {
                context: admission.context,
                least,
                advance,
            }),
            (None, None) => Ok(Counter::None),
            _ => Err(ERR_NULL),
        }
    }
}

impl RevisionCounter for Counter {
    type Error = Failed;

    fn least(&mut self) -> Result<u32, Failed> {
        let Counter::Asked { context, least, .. } = *self else {
            return Ok(0);
        };
        let mut revision = u32::MAX;
        // SAFETY: the caller's promise.
        let read = unsafe { least(context, &raw mut revision) };
        read.then_some(revision).ok_or(Failed)
    }

    fn advance(&mut self, revision: u32) -> Result<(), Failed> {
        let Counter::Asked {
            context, advance, ..
        } = *self
        else {
            return Ok(());
        };
        // SAFETY: the caller's promise.
        let advanced = unsafe { advance(context, revision) };
        advanced.then_some(()).ok_or(Failed)
    }
}
