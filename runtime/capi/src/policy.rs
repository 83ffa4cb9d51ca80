//! `consort_policy_t`: a checked image, in memory that the caller owns.

use core::ffi::c_void;
use core::mem::{align_of, size_of};

use consort_runtime::{Image, Per, Policy};

use crate::choose::groups;
use crate::raw;
use crate::status::{self, ERR_HANDLE, Status};

/// `CONSORT_POLICY_WORDS`: ample, so that a later version's policies fit a caller compiled today.
pub const POLICY_WORDS: usize = 160;

/// `consort_policy_t`: memory for a `Handle`.
#[repr(C)]
pub struct ConsortPolicy {
    opaque: [usize; POLICY_WORDS],
}

/// What lies in a [`ConsortPolicy`] once it is initialised.
struct Handle {
    marker: u32,
    /// The caller keeps the image where it is for as long as it uses the policy.
    policy: Policy<'static>,
}

/// Unlikely in memory that no one has initialised.
const MARKER: u32 = u32::from_le_bytes(*b"CNSP");

const _: () = assert!(size_of::<Handle>() <= size_of::<ConsortPolicy>());
const _: () = assert!(align_of::<Handle>() <= align_of::<ConsortPolicy>());

impl ConsortPolicy {
    /// Initialises it with a policy, or so that it is refused.
    ///
    /// # Safety
    ///
    /// `pointer` is valid for writing a `ConsortPolicy`, and the image that `policy` borrows outlives its use.
    pub(crate) unsafe fn set(pointer: *mut Self, policy: Option<Policy<'static>>) {
        let handle = pointer.cast::<Handle>();
        match policy {
            // SAFETY: valid by the caller's promise; size and alignment fit by the assertions above.
            Some(policy) => unsafe {
                handle.write(Handle {
                    marker: MARKER,
                    policy,
                });
            },
            // SAFETY: as above; the marker alone is written.
            None => unsafe { (&raw mut (*handle).marker).write(0) },
        }
    }

    /// The policy.
    ///
    /// # Safety
    ///
    /// Unless it is refused, `pointer` points to a `ConsortPolicy` that nothing writes to during `'a`, and if it was
    /// initialised its image is still there.
    pub(crate) unsafe fn get<'a>(pointer: *const Self) -> Result<&'a Policy<'static>, Status> {
        // SAFETY: the caller's promise; all bits are valid numbers.
        unsafe { raw::value(pointer)? };
        let handle = pointer.cast::<Handle>();
        // SAFETY: in bounds and aligned by the assertions above; any bits are a valid number.
        if unsafe { (&raw const (*handle).marker).read() } != MARKER {
            return Err(ERR_HANDLE);
        }
        // SAFETY: the marker is written with a policy only, and cleared where there is none.
        Ok(unsafe { &(*handle).policy })
    }

    /// The policy, beside a place that is written to while it is in use: that must lie neither in it nor in its image.
    ///
    /// # Safety
    ///
    /// As [`get`](Self::get).
    pub(crate) unsafe fn get_beside<'a, T>(
        pointer: *const Self,
        place: (*mut T, usize),
    ) -> Result<&'a Policy<'static>, Status> {
        raw::disjoint((pointer, 1), (place.0.cast_const(), place.1))?;
        // SAFETY: the caller's promise.
        let policy = unsafe { Self::get(pointer)? };
        policy_apart(policy, place)?;
        Ok(policy)
    }
}

/// Refuses a place in the policy or its image.
pub(crate) fn policy_apart<T>(
    policy: &Policy<'static>,
    (place, len): (*mut T, usize),
) -> Result<(), Status> {
    let (place, image) = ((place.cast_const(), len), policy.image().as_bytes());
    raw::disjoint((core::ptr::from_ref(policy), 1), place)?;
    raw::disjoint((image.as_ptr(), image.len()), place)
}

/// `consort_info_t`: what the image says.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsortInfo {
    /// The team's identifier.
    pub team: [u8; 16],
    /// The agent's index in its team.
    pub agent: u16,
    /// Agents in the team.
    pub agents: u16,
    /// Counts up with every image released for the team.
    pub revision: u32,
    /// The time between two steps in training, in µs; 0 where the task is not periodic.
    pub period_us: u32,
    /// Values in an observation.
    pub observation_len: u32,
    /// Actions to choose between, or dimensions of an action's vector.
    pub output_len: u32,
    /// `float` values of memory that a step needs.
    pub memory_len: u32,
    /// How many of them, the first ones, are kept from step to step; 0 where the policy does not remember.
    pub state_len: u32,
    /// 1 where actions are vectors, 0 where they are numbers.
    pub continuous: u32,
    /// Numbers that a step chooses, one a group of actions, which most policies have one of; 0 where actions are vectors.
    pub groups: u32,
    /// Symbols of the shared seed that the policy expects, whose one-hot vector ends every observation; 0 for none.
    pub symbols: u32,
    /// 0 without a shared seed, 1 where there is a symbol a step, 2 where there is one an episode.
    pub symbol_per: u32,
    /// 1 where the image carries a signature, 0 where not.
    pub has_signature: u32,
}

impl ConsortInfo {
    pub(crate) fn of(image: &Image<'_>) -> Self {
        let seeding = image.seeding();
        ConsortInfo {
            team: image.team().0,
            agent: image.agent(),
            agents: image.agents(),
            revision: image.revision(),
            period_us: image.period_us(),
            observation_len: image.observation_len() as u32,
            output_len: image.output_len() as u32,
            memory_len: image.memory_len() as u32,
            state_len: image.state_len() as u32,
            continuous: u32::from(image.head().is_continuous()),
            groups: groups(image.head()) as u32,
            symbols: seeding.map_or(0, |seeding| u32::from(seeding.symbols)),
            symbol_per: seeding.map_or(0, |seeding| match seeding.per {
                Per::Step => 1,
                Per::Episode => 2,
            }),
            has_signature: u32::from(image.signature().is_some()),
        }
    }
}

/// Checks an image and initialises `policy` with it; after an error the policy is refused everywhere.
///
/// # Safety
///
/// `policy` is null or may be written. `image` is null or points to `image_len` bytes that stay as they are for as long as
/// the policy is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_policy_init(
    policy: *mut ConsortPolicy,
    image: *const c_void,
    image_len: usize,
) -> Status {
    // SAFETY: the caller's promise, which is ours.
    unsafe {
        init(policy, image, image_len, |bytes| {
            Image::new_checked(bytes).map_err(status::of_image)
        })
    }
}

/// Initialises `policy` with what `check` makes of the image.
///
/// # Safety
///
/// As [`consort_policy_init`].
pub(crate) unsafe fn init(
    policy: *mut ConsortPolicy,
    image: *const c_void,
    image_len: usize,
    check: impl FnOnce(&'static [u8]) -> Result<Image<'static>, Status>,
) -> Status {
    // SAFETY: the caller's promise; any bits are valid numbers, and what was there is overwritten.
    if let Err(error) = unsafe { raw::value_mut(policy) } {
        return error;
    }
    // SAFETY: not null and aligned, as was just checked; nothing borrows an image yet.
    unsafe { ConsortPolicy::set(policy, None) };
    // An image that the policy lies in would be written to while it is read.
    if let Err(error) = raw::disjoint((image.cast::<u8>(), image_len), (policy.cast_const(), 1)) {
        return error;
    }
    // SAFETY: the caller's promise.
    let bytes = match unsafe { raw::values(image.cast::<u8>(), image_len) } {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    match check(bytes) {
        Ok(image) => {
            // SAFETY: as above; the image outlives the policy's use by the caller's promise.
            unsafe { ConsortPolicy::set(policy, Some(Policy::new(image))) };
            status::OK
        }
        Err(error) => error,
    }
}

/// Writes what the policy's image says to `info`.
///
/// # Safety
///
/// `policy` is null or was given to an `init` function; `info` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_policy_info(
    policy: *const ConsortPolicy,
    info: *mut ConsortInfo,
) -> Status {
    // SAFETY: the caller's promise.
    let written = unsafe { ConsortPolicy::get_beside(policy, (info, 1)) }.and_then(|policy| {
        // SAFETY: the caller's promise; any bits are valid numbers.
        *unsafe { raw::value_mut(info)? } = ConsortInfo::of(policy.image());
        Ok(())
    });
    status::of(written)
}
