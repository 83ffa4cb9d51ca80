//! `consort_slots_t`: two slots of flash for images, by functions of the caller's that look at it, write and erase it.

use core::ffi::c_void;
use core::mem::{align_of, size_of};

use consort_update::{Boot, ConfirmError, Refusal, Slots, State, Update, UpdateError};

use crate::raw;
use crate::status::{
    self, ERR_COUNTER, ERR_FLASH, ERR_HANDLE, ERR_LAYOUT, ERR_NO_IMAGE, ERR_NO_UPDATE,
    ERR_NOT_BOOTED, ERR_ROLLBACK, ERR_SLOT_FULL, ERR_UNCONFIRMED, ERR_UNSUITABLE, Status,
};
use crate::storage::{Admission, ConsortAdmission, ConsortFlash, Counter, Failed, Flash};

/// `CONSORT_SLOTS_WORDS`: ample, so that a later version's slots fit a caller compiled today.
pub const SLOTS_WORDS: usize = 96;

/// `consort_boot_t`: the image in use.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsortBoot {
    /// Where it lies, by the flash's `view`.
    pub image: *const c_void,
    /// Its length, in bytes.
    pub image_len: usize,
    /// Its revision.
    pub revision: u32,
    /// 0 or 1: the slot that it lies in.
    pub slot: u32,
    /// 1 where it is settled, 0 where it is on trial.
    pub confirmed: u32,
    /// Boots that are left to a trial, this one not counted.
    pub trials_left: u32,
    /// 1 where it is settled but the counter could not be advanced.
    pub counter_behind: u32,
}

/// `consort_slots_t`: memory for a `Handle`.
#[repr(C)]
pub struct ConsortSlots {
    opaque: [usize; SLOTS_WORDS],
}

type Device = Slots<Flash, Admission, Counter>;

/// What lies in a [`ConsortSlots`] once it is initialised.
struct Handle {
    marker: u32,
    slots: Device,
}

/// Unlikely in memory that no one has initialised.
const MARKER: u32 = u32::from_le_bytes(*b"CNSL");

const _: () = assert!(size_of::<Handle>() <= size_of::<ConsortSlots>());
const _: () = assert!(align_of::<Handle>() <= align_of::<ConsortSlots>());

impl ConsortSlots {
    /// The slots.
    ///
    /// # Safety
    ///
    /// Unless it is refused, `pointer` points to a `ConsortSlots` that nothing else uses during `'a`.
    unsafe fn get<'a>(pointer: *mut Self) -> Result<&'a mut Device, Status> {
        raw::check(pointer, 1)?;
        let handle = pointer.cast::<Handle>();
        // SAFETY: in bounds and aligned by the assertions above; any bits are a valid number.
        if unsafe { (&raw const (*handle).marker).read() } != MARKER {
            return Err(ERR_HANDLE);
        }
        // SAFETY: the marker is written with slots only, and cleared where there are none.
        Ok(unsafe { &mut (*handle).slots })
    }
}

/// Two slots in `flash`, for images that `admission` lets act; null: for every undamaged one. Reads and writes nothing.
///
/// # Safety
///
/// `slots` is null or may be written; `flash` and `admission` are null or initialised, and their functions may be called with
/// their contexts for as long as the slots are used. `view` gives null or as many bytes as asked for, which stay where and as they
/// are until the next call for these slots.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_slots_init(
    slots: *mut ConsortSlots,
    flash: *const ConsortFlash,
    admission: *const ConsortAdmission,
) -> Status {
    let apart = raw::disjoint((slots.cast_const(), 1), (flash, 1));
    let made = apart.and_then(|()| {
        // SAFETY: the caller's promise.
        let flash = *unsafe { raw::value(flash)? };
        let admission = match admission.is_null() {
            true => ConsortAdmission::ANYONE,
            // SAFETY: the caller's promise.
            false => *unsafe { raw::value(admission)? },
        };
        let handle = slots.cast::<Handle>();
        // SAFETY: not null and aligned, as was just checked; the marker alone is written.
        unsafe { (&raw mut (*handle).marker).write(0) };
        let made = Slots::erased_by(
            flash.erase_size as usize,
            Flash::new(&flash)?,
            flash.base,
            flash.slot_len,
            Admission(admission),
            Counter::new(&admission)?,
        );
        let made = Handle {
            marker: MARKER,
            slots: made.map_err(|_| ERR_LAYOUT)?,
        };
        // SAFETY: as above; size and alignment fit by the assertions above.
        unsafe { handle.write(made) };
        Ok(())
    });
    status::of(made)
}

/// Chooses the image to use and writes what it is to `boot`; a trial begins where it is not confirmed.
///
/// # Safety
///
/// `slots` is null or was given to [`consort_slots_init`]; `boot` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_slots_boot(
    slots: *mut ConsortSlots,
    boot: *mut ConsortBoot,
) -> Status {
    let apart = raw::disjoint((slots.cast_const(), 1), (boot.cast_const(), 1));
    let booted = apart.and_then(|()| {
        // SAFETY: the caller's promise.
        let slots = unsafe { ConsortSlots::get(slots)? };
        let found = slots.boot().map_err(|Failed| ERR_COUNTER)?;
        let found = found.ok_or(ERR_NO_IMAGE)?;
        let image = slots.bytes(&found).map_err(|Failed| ERR_FLASH)?;
        // SAFETY: not null and aligned, as was just checked; the caller's promise.
        unsafe { boot.write(ConsortBoot::of(&found, image)) };
        Ok(())
    });
    status::of(booted)
}

impl ConsortBoot {
    fn of(boot: &Boot, image: &[u8]) -> Self {
        let (confirmed, trials_left) = match boot.state {
            State::Confirmed => (1, 0),
            State::Trial { left } => (0, left),
        };
        ConsortBoot {
            image: image.as_ptr().cast(),
            image_len: image.len(),
            revision: boot.revision,
            slot: boot.slot as u32,
            confirmed,
            trials_left,
            counter_behind: u32::from(boot.counter_behind),
        }
    }
}

/// Settles the image in use, and advances the counter to it.
///
/// # Safety
///
/// `slots` is null or was given to [`consort_slots_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_slots_confirm(slots: *mut ConsortSlots) -> Status {
    // SAFETY: the caller's promise.
    let slots = unsafe { ConsortSlots::get(slots) };
    status::of(slots.and_then(|slots| {
        slots.confirm().map_err(|error| match error {
            ConfirmError::NotBooted => ERR_NOT_BOOTED,
            ConfirmError::Counter(Failed) => ERR_COUNTER,
            // ReadBack.
            _ => ERR_FLASH,
        })
    }))
}

/// Begins an update: erases the slot that is not in use.
///
/// # Safety
///
/// `slots` is null or was given to [`consort_slots_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_update_begin(slots: *mut ConsortSlots) -> Status {
    // SAFETY: the caller's promise.
    let slots = unsafe { ConsortSlots::get(slots) };
    status::of(slots.and_then(|slots| {
        slots.begin().map_err(of_update)?.pause();
        Ok(())
    }))
}

/// Writes the image's next bytes. After an error there is no update any more.
///
/// # Safety
///
/// `slots` is null or was given to [`consort_slots_init`]; `bytes` is null or points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_update_write(
    slots: *mut ConsortSlots,
    bytes: *const c_void,
    len: usize,
) -> Status {
    let apart = raw::disjoint((slots.cast_const(), 1), (bytes.cast::<u8>(), len));
    let written = apart.and_then(|()| {
        // SAFETY: the caller's promise.
        let mut update = unsafe { resume(slots)? };
        // SAFETY: the caller's promise.
        let bytes = unsafe { raw::values(bytes.cast::<u8>(), len)? };
        update.write(bytes).map_err(of_update)?;
        update.pause();
        Ok(())
    });
    status::of(written)
}

/// Checks the image where it now lies and commits it: the next boot tries it.
///
/// # Safety
///
/// `slots` is null or was given to [`consort_slots_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_update_commit(slots: *mut ConsortSlots) -> Status {
    // SAFETY: the caller's promise.
    let update = unsafe { resume(slots) };
    status::of(update.and_then(|update| update.commit().map_err(of_update)))
}

/// The update under way.
///
/// # Safety
///
/// As [`ConsortSlots::get`].
unsafe fn resume<'a>(
    slots: *mut ConsortSlots,
) -> Result<Update<'a, Flash, Admission, Counter>, Status> {
    // SAFETY: the caller's promise.
    let slots = unsafe { ConsortSlots::get(slots)? };
    slots.resume().ok_or(ERR_NO_UPDATE)
}

fn of_update(error: UpdateError<Failed, Failed>) -> Status {
    match error {
        UpdateError::Unconfirmed => ERR_UNCONFIRMED,
        UpdateError::NotBooted => ERR_NOT_BOOTED,
        UpdateError::Counter(Failed) => ERR_COUNTER,
        UpdateError::TooLong { .. } => ERR_SLOT_FULL,
        UpdateError::Refused(Refusal::Image(error)) => status::of_verified(error),
        UpdateError::Refused(_) => ERR_UNSUITABLE,
        UpdateError::Rollback { .. } => ERR_ROLLBACK,
        // Flash, and ReadBack; what is added has a line of its own.
        _ => ERR_FLASH,
    }
}
