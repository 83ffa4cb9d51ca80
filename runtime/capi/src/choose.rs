//! Steps of policies that choose: an action of every group, of which most policies have one.

#![allow(
    clippy::too_many_arguments,
    reason = "C has no slices: a pointer and a length each"
)]

use core::ffi::c_void;
use core::ptr;

use consort_runtime::{Action, Head};

use crate::policy::ConsortPolicy;
use crate::raw;
use crate::status::{self, ERR_KIND, ERR_OUTPUT_LENGTH, Status};
use crate::step::{Draw, Random, Step, Way};

/// Writes how many actions each group has to `sizes`, as many values as `groups` of `consort_info_t`.
///
/// # Safety
///
/// `policy` is null or was given to an `init` function; `sizes` is null or points to `sizes_len` values that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_policy_groups(
    policy: *const ConsortPolicy,
    sizes: *mut u32,
    sizes_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    let written = unsafe { ConsortPolicy::get_beside(policy, (sizes, sizes_len)) };
    let written = written.and_then(|policy| {
        let head = policy.image().head();
        if head.is_continuous() {
            return Err(ERR_KIND);
        }
        if sizes_len != groups(head) {
            return Err(ERR_OUTPUT_LENGTH);
        }
        // SAFETY: the caller's promise; any bits are valid numbers.
        let place = unsafe { raw::values_mut(sizes, sizes_len)? };
        match head {
            Head::MultiDiscrete { sizes } => {
                for (place, &size) in place.iter_mut().zip(sizes) {
                    *place = size;
                }
            }
            _ => place.fill(head.inputs() as u32),
        }
        Ok(())
    });
    status::of(written)
}

/// Actions that a step of a policy with this head gives; none where they are vectors.
pub(crate) fn groups(head: Head<'_>) -> usize {
    match head {
        Head::Categorical { .. } => 1,
        Head::MultiDiscrete { sizes } => sizes.len(),
        Head::Deterministic { .. } | Head::Gaussian { .. } => 0,
    }
}

/// The action with the largest logit of every group.
///
/// # Safety
///
/// `policy` is null or was given to an `init` function; `observation` is null or points to `observation_len` values, `memory`
/// to `memory_len`; `actions` is null or points to `actions_len` values that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_choose(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    memory: *mut f32,
    memory_len: usize,
    actions: *mut u32,
    actions_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        numbers(actions, actions_len, step, Way::default())
    }
}

/// An action of every group, drawn with the policy's probabilities: one number of `random` a group.
///
/// # Safety
///
/// As [`consort_choose`]; `random` is null or may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_choose_sampled(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    memory: *mut f32,
    memory_len: usize,
    random: Option<Random>,
    context: *mut c_void,
    actions: *mut u32,
    actions_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        numbers(
            actions,
            actions_len,
            step,
            Way {
                draw: Some(Draw(random, context)),
                ..Way::default()
            },
        )
    }
}

/// Like [`consort_choose`], among the actions whose byte in `mask` is 1, of which every group must have one.
///
/// # Safety
///
/// As [`consort_choose`]; `mask` is null or points to `mask_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_choose_masked(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    mask: *const u8,
    mask_len: usize,
    memory: *mut f32,
    memory_len: usize,
    actions: *mut u32,
    actions_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        numbers(
            actions,
            actions_len,
            step,
            Way {
                mask: Some((mask, mask_len)),
                ..Way::default()
            },
        )
    }
}

/// Like [`consort_choose_sampled`], among the actions whose byte in `mask` is 1, of which every group must have one.
///
/// # Safety
///
/// As [`consort_choose_masked`]; `random` is null or may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_choose_sampled_masked(
    policy: *const ConsortPolicy,
    observation: *const f32,
    observation_len: usize,
    mask: *const u8,
    mask_len: usize,
    memory: *mut f32,
    memory_len: usize,
    random: Option<Random>,
    context: *mut c_void,
    actions: *mut u32,
    actions_len: usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        numbers(
            actions,
            actions_len,
            step,
            Way {
                mask: Some((mask, mask_len)),
                draw: Some(Draw(random, context)),
            },
        )
    }
}

/// Writes the numbers that a step gives to `actions`.
///
/// # Safety
///
/// `actions` is null or points to `actions_len` values that may be written; `way` as for [`Step::act`].
unsafe fn numbers(
    actions: *mut u32,
    actions_len: usize,
    step: Result<Step, Status>,
    way: Way,
) -> Status {
    let acted = step.and_then(|step| {
        // Before the step, so that an error leaves the state as it was.
        let head = step.policy.image().head();
        if head.is_continuous() {
            return Err(ERR_KIND);
        }
        if actions_len != groups(head) {
            return Err(ERR_OUTPUT_LENGTH);
        }
        step.check_result((actions, actions_len))?;
        // SAFETY: the caller's promise.
        match unsafe { step.act(way)? } {
            // SAFETY: not null and aligned, as was just checked; the step is over, so even memory may be overwritten.
            Action::Discrete(chosen) => unsafe { actions.write(chosen as u32) },
            Action::MultiDiscrete(chosen) => {
                let len = chosen.len().min(actions_len);
                // SAFETY: both are valid for so many values; `copy` allows that the place is part of the memory.
                unsafe { ptr::copy(chosen.as_ptr(), actions, len) };
            }
            Action::Continuous(_) => return Err(ERR_KIND),
        }
        Ok(())
    });
    status::of(acted)
}
