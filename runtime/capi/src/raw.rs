//! Pointers from C, turned into references once everything that can be checked has been.

use core::mem::{align_of, size_of};
use core::slice;

use crate::status::{ERR_ALIGNMENT, ERR_LENGTH, ERR_MASK_VALUE, ERR_NULL, ERR_OVERLAP, Status};

/// Refuses what can never be a pointer to `len` values of `T`: null, misaligned, longer than the address space.
///
/// For a place that is written to later, and may be part of memory that is in use until then.
pub(crate) fn check<T>(pointer: *const T, len: usize) -> Result<(), Status> {
    if pointer.is_null() {
        return Err(ERR_NULL);
    }
    if !pointer.addr().is_multiple_of(align_of::<T>()) {
        return Err(ERR_ALIGNMENT);
    }
    // A slice has at most isize::MAX bytes and does not wrap around.
    let bytes = len.checked_mul(size_of::<T>());
    let end = bytes.filter(|&bytes| isize::try_from(bytes).is_ok());
    end.and_then(|bytes| pointer.addr().checked_add(bytes))
        .map(|_| ())
        .ok_or(ERR_LENGTH)
}

/// `len` values to read; none where `len` is 0, whatever the pointer.
///
/// # Safety
///
/// Unless it is refused, `pointer` points to `len` initialised values that nothing writes to during `'a`.
pub(crate) unsafe fn values<'a, T>(pointer: *const T, len: usize) -> Result<&'a [T], Status> {
    if len == 0 {
        return Ok(&[]);
    }
    check(pointer, len)?;
    // SAFETY: not null, aligned, no longer than a slice may be; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// `len` values to write; none where `len` is 0, whatever the pointer.
///
/// # Safety
///
/// Unless it is refused, `pointer` points to `len` initialised values that nothing else uses during `'a`.
pub(crate) unsafe fn values_mut<'a, T>(pointer: *mut T, len: usize) -> Result<&'a mut [T], Status> {
    if len == 0 {
        return Ok(&mut []);
    }
    check(pointer, len)?;
    // SAFETY: not null, aligned, no longer than a slice may be; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, len) })
}

/// One value to read.
///
/// # Safety
///
/// As [`values`].
pub(crate) unsafe fn value<'a, T>(pointer: *const T) -> Result<&'a T, Status> {
    check(pointer, 1)?;
    // SAFETY: not null and aligned; the rest is the caller's promise.
    Ok(unsafe { &*pointer })
}

/// One value to write.
///
/// # Safety
///
/// As [`values_mut`].
pub(crate) unsafe fn value_mut<'a, T>(pointer: *mut T) -> Result<&'a mut T, Status> {
    check(pointer, 1)?;
    // SAFETY: not null and aligned; the rest is the caller's promise.
    Ok(unsafe { &mut *pointer })
}

/// A mask, whose bytes are looked at before they are called truth values.
///
/// # Safety
///
/// As [`values`].
pub(crate) unsafe fn mask<'a>(pointer: *const u8, len: usize) -> Result<&'a [bool], Status> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { values(pointer, len)? };
    if bytes.iter().any(|&byte| byte > 1) {
        return Err(ERR_MASK_VALUE);
    }
    // SAFETY: as many bytes as there are, each 0 or 1, which is what a bool may be; alignment and size are those of u8.
    Ok(unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
}

/// Refuses two regions that share a byte, one being written while the other is read; and whatever [`check`] refuses, so that
/// no region wraps around.
pub(crate) fn disjoint<A, B>(a: (*const A, usize), b: (*const B, usize)) -> Result<(), Status> {
    fn bounds<T>((pointer, len): (*const T, usize)) -> Result<(usize, usize), Status> {
        if len == 0 {
            return Ok((0, 0));
        }
        check(pointer, len)?;
        Ok((pointer.addr(), pointer.addr() + len * size_of::<T>()))
    }
    let ((a_start, a_end), (b_start, b_end)) = (bounds(a)?, bounds(b)?);
    match a_start < b_end && b_start < a_end {
        false => Ok(()),
        true => Err(ERR_OVERLAP),
    }
}
