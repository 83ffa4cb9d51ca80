//! Steps. After an error the state is what it was, and so is whatever the result would have been written to: a caller that
//! puts its safe action there first has it.

#![allow(
    clippy::too_many_arguments,
    reason = "C has no slices: a pointer and a length each"
)]

use core::convert::Infallible;
use core::ffi::c_void;
use core::ptr;

use consort_runtime::{Action, Policy, StepError};
use rand_core::TryRng;

use crate::policy::{ConsortPolicy, policy_apart};
use crate::raw;
use crate::status::{self, ERR_KIND, ERR_NULL, ERR_OUTPUT_LENGTH, Status};

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

    /// A mask for this step.
    ///
    /// # Safety
    ///
    /// `mask` is null or points to `mask_len` bytes.
    pub(crate) unsafe fn mask(
        &self,
        mask: *const u8,
        mask_len: usize,
    ) -> Result<&'static [bool], Status> {
        raw::disjoint((mask, mask_len), (self.memory.as_ptr(), self.memory.len()))?;
        // SAFETY: the caller's promise.
        unsafe { raw::mask(mask, mask_len) }
    }

    /// Refuses a place for the result that is none, or that lies in the policy or its image. It may be part of the memory,
    /// or of the observation: both have been read by then.
    pub(crate) fn check_result<T>(&self, place: (*mut T, usize)) -> Result<(), Status> {
        raw::check(place.0, place.1)?;
        policy_apart(self.policy, place)
    }
}

/// Begins an episode: the state becomes 0.
///
/// # Safety
///
/// `policy` is null or was given to an `init` function; `memory` is null or points to `memory_len` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_reset(
    policy: *const ConsortPolicy,
    memory: *mut f32,
    memory_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    let step = unsafe { Step::new(policy, ptr::null(), 0, memory, memory_len) };
    status::of(step.and_then(|step| step.policy.reset(step.memory).map_err(status::of_step)))
}

/// The action with the largest logit.
///
/// # Safety
///
/// `policy` is null or was given to an `init` function; `observation` is null or points to `observation_len` values, `memory`
/// to `memory_len`; `action` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_act_greedy(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    memory: *mut f32,
    memory_len: usize,
    action: *mut u32,
) -> Status {
    // SAFETY: the caller's promise.
    let step = unsafe { Step::new(policy, observation, observation_len, memory, memory_len) };
    // SAFETY: the caller's promise.
    unsafe {
        number(action, step, |step| {
            Ok(step.policy.act_greedy(step.observation, step.memory))
        })
    }
}

/// An action drawn with the policy's probabilities: one number of `random`.
///
/// # Safety
///
/// As [`consort_act_greedy`]; `random` is null or may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_act_sampled(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    memory: *mut f32,
    memory_len: usize,
    random: Option<Random>,
    context: *mut c_void,
    action: *mut u32,
) -> Status {
    // SAFETY: the caller's promise.
    let step = unsafe { Step::new(policy, observation, observation_len, memory, memory_len) };
    // SAFETY: the caller's promise.
    unsafe {
        number(action, step, |step| {
            let next = random.ok_or(ERR_NULL)?;
            let mut generator = Generator { next, context };
            Ok((step.policy).act_sampled(step.observation, step.memory, &mut generator))
        })
    }
}

/// The action with the largest logit among those whose byte in `mask` is 1.
///
/// # Safety
///
/// As [`consort_act_greedy`]; `mask` is null or points to `mask_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_act_greedy_masked(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    mask: *const u8,
    mask_len: usize,
    memory: *mut f32,
    memory_len: usize,
    action: *mut u32,
) -> Status {
    // SAFETY: the caller's promise.
    let step = unsafe { Step::new(policy, observation, observation_len, memory, memory_len) };
    // SAFETY: the caller's promise.
    unsafe {
        number(action, step, |step| {
            let mask = step.mask(mask, mask_len)?;
            Ok((step.policy).act_greedy_masked(step.observation, mask, step.memory))
        })
    }
}

/// An action drawn among those whose byte in `mask` is 1: one number of `random`.
///
/// # Safety
///
/// As [`consort_act_greedy_masked`]; `random` is null or may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_act_sampled_masked(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    mask: *const u8,
    mask_len: usize,
    memory: *mut f32,
    memory_len: usize,
    random: Option<Random>,
    context: *mut c_void,
    action: *mut u32,
) -> Status {
    // SAFETY: the caller's promise.
    let step = unsafe { Step::new(policy, observation, observation_len, memory, memory_len) };
    // SAFETY: the caller's promise.
    unsafe {
        number(action, step, |step| {
            let mask = step.mask(mask, mask_len)?;
            let next = random.ok_or(ERR_NULL)?;
            let mut generator = Generator { next, context };
            Ok((step.policy).act_sampled_masked(
                step.observation,
                mask,
                step.memory,
                &mut generator,
            ))
        })
    }
}

/// The action of a policy whose actions are vectors, without chance.
///
/// # Safety
///
/// As [`consort_act_greedy`]; `action` is null or points to `action_len` values that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_step(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    memory: *mut f32,
    memory_len: usize,
    action: *mut f32,
    action_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    let step = unsafe { Step::new(policy, observation, observation_len, memory, memory_len) };
    // SAFETY: the caller's promise.
    unsafe {
        vector(action, action_len, step, true, |step| {
            Ok(step.policy.step(step.observation, step.memory).map(entries))
        })
    }
}

/// The action of a policy whose actions are vectors, drawn: six numbers of `random` a dimension of a gaussian head.
///
/// # Safety
///
/// As [`consort_step`]; `random` is null or may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_step_sampled(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    memory: *mut f32,
    memory_len: usize,
    random: Option<Random>,
    context: *mut c_void,
    action: *mut f32,
    action_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    let step = unsafe { Step::new(policy, observation, observation_len, memory, memory_len) };
    // SAFETY: the caller's promise.
    unsafe {
        vector(action, action_len, step, true, |step| {
            let next = random.ok_or(ERR_NULL)?;
            let mut generator = Generator { next, context };
            Ok((step.policy)
                .step_sampled(step.observation, step.memory, &mut generator)
                .map(entries))
        })
    }
}

/// A step's outputs as the last layer gives them: logits, means or values.
///
/// # Safety
///
/// As [`consort_step`], with `outputs` for the action.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_outputs(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    memory: *mut f32,
    memory_len: usize,
    outputs: *mut f32,
    outputs_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    let step = unsafe { Step::new(policy, observation, observation_len, memory, memory_len) };
    // SAFETY: the caller's promise.
    unsafe {
        vector(outputs, outputs_len, step, false, |step| {
            Ok((step.policy)
                .outputs(step.observation, step.memory)
                .map(|outputs| &*outputs))
        })
    }
}

/// A vector's values. Numbers have none; [`vector`] has refused its policy before the step.
fn entries(action: Action<'_>) -> &[f32] {
    match action {
        Action::Continuous(action) => action,
        Action::Discrete(_) | Action::MultiDiscrete(_) => &[],
    }
}

/// Writes the number that `act` gives to `action`.
///
/// # Safety
///
/// `action` is null or may be written.
unsafe fn number(
    action: *mut u32,
    step: Result<Step, Status>,
    act: impl FnOnce(Step) -> Result<Result<usize, StepError>, Status>,
) -> Status {
    let acted = step.and_then(|step| {
        // Before the step, so that an error leaves the state as it was.
        step.check_result((action, 1))?;
        let chosen = act(step)?.map_err(status::of_step)?;
        // SAFETY: not null and aligned, as was just checked; the step is over, so even memory may be overwritten.
        unsafe { action.write(chosen as u32) };
        Ok(())
    });
    status::of(acted)
}

/// Writes the values that `act` gives to `action`.
///
/// # Safety
///
/// `action` is null or points to `action_len` values that may be written.
unsafe fn vector(
    action: *mut f32,
    action_len: usize,
    step: Result<Step, Status>,
    must_be_continuous: bool,
    act: impl FnOnce(Step) -> Result<Result<&'static [f32], StepError>, Status>,
) -> Status {
    let acted = step.and_then(|step| {
        // Before the step, so that an error leaves the state as it was.
        let image = step.policy.image();
        if must_be_continuous && !image.head().is_continuous() {
            return Err(ERR_KIND);
        }
        if action_len != image.output_len() {
            return Err(ERR_OUTPUT_LENGTH);
        }
        step.check_result((action, action_len))?;
        let values = act(step)?.map_err(status::of_step)?;
        let len = values.len().min(action_len);
        // SAFETY: both are valid for so many values; `copy` allows that the place is part of the memory.
        unsafe { ptr::copy(values.as_ptr(), action, len) };
        Ok(())
    });
    status::of(acted)
}
