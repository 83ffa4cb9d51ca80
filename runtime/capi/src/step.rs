//! What every step is made of: pointers checked, a mask, a generator of the caller's.

use core::convert::Infallible;
use core::ffi::c_void;

use consort_runtime::{Action, Policy};
use rand_core::TryRng;

use crate::policy::{ConsortPolicy, policy_apart};
use crate::raw;
use crate::status::{self, ERR_NULL, Status};

/// `consort_random_t`: the next 32 random bits.
pub type Random = unsafe extern "C" fn(context: *mut c_void) -> u32;

/// A generator of the caller's.
pub(crate) struct Generator {
    pub(crate) next: Random,
    pub(crate) context: *mut c_void,
}

impl TryRng for Generator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // SAFETY: whoever calls a function with a generator promises that it may be called with its context.
        Ok(unsafe { (self.next)(self.context) })
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.try_next_u32()?);
        Ok(u64::from(self.try_next_u32()?) << 32 | low)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = (self.try_next_u32()? >> 24) as u8;
        }
        Ok(())
    }
}

/// How a step's action is found.
#[derive(Clone, Copy, Default)]
pub(crate) struct Way {
    /// Bytes, and how many; none: every action is allowed.
    pub(crate) mask: Option<(*const u8, usize)>,
    /// None: the best one.
    pub(crate) draw: Option<Draw>,
}

/// A generator as a caller gives it.
#[derive(Clone, Copy)]
pub(crate) struct Draw(pub(crate) Option<Random>, pub(crate) *mut c_void);

impl Draw {
    fn generator(self) -> Result<Generator, Status> {
        let Draw(next, context) = self;
        let next = next.ok_or(ERR_NULL)?;
        Ok(Generator { next, context })
    }
}

/// What a step works on.
pub(crate) struct Step {
    pub(crate) policy: &'static Policy<'static>,
    pub(crate) observation: &'static [f32],
    pub(crate) memory: &'static mut [f32],
}

impl Step {
    /// # Safety
    ///
    /// `policy` is null or was given to an `init` function; `observation` is null or points to `observation_len` values,
    /// `memory` to `memory_len`; nothing else uses the memory during the call, which is how long the result is used.
    pub(crate) unsafe fn new(
        policy: *const ConsortPolicy,
        observation: *const f32,
        observation_len: usize,
        memory: *mut f32,
        memory_len: usize,
    ) -> Result<Self, Status> {
        raw::disjoint(
            (observation, observation_len),
            (memory.cast_const(), memory_len),
        )?;
        // SAFETY: the caller's promise.
        let policy = unsafe { ConsortPolicy::get_beside(policy, (memory, memory_len))? };
        // SAFETY: the caller's promise, and no two of them overlap.
        unsafe {
            Ok(Step {
                policy,
                observation: raw::values(observation, observation_len)?,
                memory: raw::values_mut(memory, memory_len)?,
            })
        }
    }

    /// Takes the step.
    ///
    /// # Safety
    ///
    /// What `way` holds is what a function's caller promises of it.
    pub(crate) unsafe fn act(self, way: Way) -> Result<Action<'static>, Status> {
        let Step {
            policy,
            observation,
            memory,
        } = self;
        let mask = match way.mask {
            None => None,
            Some((mask, len)) => {
                raw::disjoint((mask, len), (memory.as_ptr(), memory.len()))?;
                // SAFETY: the caller's promise.
                Some(unsafe { raw::mask(mask, len)? })
            }
        };
        let acted = match (mask, way.draw) {
            (None, None) => policy.step(observation, memory),
            (Some(mask), None) => policy.step_masked(observation, mask, memory),
            (None, Some(draw)) => policy.step_sampled(observation, memory, &mut draw.generator()?),
            (Some(mask), Some(draw)) => {
                policy.step_sampled_masked(observation, mask, memory, &mut draw.generator()?)
            }
        };
        acted.map_err(status::of_step)
    }

    /// Refuses a place for the result that is none, or that lies in the policy or its image. It may be part of the memory,
    /// or of the observation: both have been read by then.
    pub(crate) fn check_result<T>(&self, place: (*mut T, usize)) -> Result<(), Status> {
        raw::check(place.0, place.1)?;
        policy_apart(self.policy, place)
    }
}
