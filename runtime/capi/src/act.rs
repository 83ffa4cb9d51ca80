//! Steps. After an error the state is what it was, and so is whatever the result would have been written to: a caller that
//! puts its safe action there first has it.

#![allow(
    clippy::too_many_arguments,
    reason = "C has no slices: a pointer and a length each"
)]

use core::ffi::c_void;
use core::ptr;

use consort_runtime::{Action, Head};

use crate::policy::ConsortPolicy;
use crate::status::{self, ERR_KIND, ERR_OUTPUT_LENGTH, Status};
use crate::step::{Draw, Random, Step, Way};

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
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        number(action, step, Way::default())
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
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        number(
            action,
            step,
            Way {
                draw: Some(Draw(random, context)),
                ..Way::default()
            },
        )
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
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        number(
            action,
            step,
            Way {
                mask: Some((mask, mask_len)),
                ..Way::default()
            },
        )
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
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        number(
            action,
            step,
            Way {
                mask: Some((mask, mask_len)),
                draw: Some(Draw(random, context)),
            },
        )
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
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        vector(action, action_len, step, true, |step| {
            match step.act(Way::default())? {
                Action::Continuous(action) => Ok(action),
                Action::Discrete(_) | Action::MultiDiscrete(_) => Err(ERR_KIND),
            }
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
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        vector(action, action_len, step, true, |step| {
            match step.act(Way {
                draw: Some(Draw(random, context)),
                ..Way::default()
            })? {
                Action::Continuous(action) => Ok(action),
                Action::Discrete(_) | Action::MultiDiscrete(_) => Err(ERR_KIND),
            }
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
    unsafe {
        let step = Step::new(policy, observation, observation_len, memory, memory_len);
        vector(outputs, outputs_len, step, false, |step| {
            let outputs = step.policy.outputs(step.observation, step.memory);
            Ok(&*outputs.map_err(status::of_step)?)
        })
    }
}

/// Writes the number that a step gives to `action`.
///
/// # Safety
///
/// `action` is null or may be written; `way` as for [`Step::act`].
unsafe fn number(action: *mut u32, step: Result<Step, Status>, way: Way) -> Status {
    let acted = step.and_then(|step| {
        // Before the step, so that an error leaves the state as it was.
        step.check_result((action, 1))?;
        let Head::Categorical { .. } = step.policy.image().head() else {
            return Err(ERR_KIND);
        };
        // SAFETY: the caller's promise.
        let Action::Discrete(chosen) = (unsafe { step.act(way)? }) else {
            return Err(ERR_KIND);
        };
        // SAFETY: not null and aligned, as was just checked; the step is over, so even memory may be overwritten.
        unsafe { action.write(chosen as u32) };
        Ok(())
    });
    status::of(acted)
}

/// Writes the values that `act` gives to `place`.
///
/// # Safety
///
/// `place` is null or points to `len` values that may be written.
unsafe fn vector(
    place: *mut f32,
    len: usize,
    step: Result<Step, Status>,
    must_be_continuous: bool,
    act: impl FnOnce(Step) -> Result<&'static [f32], Status>,
) -> Status {
    let acted = step.and_then(|step| {
        // Before the step, so that an error leaves the state as it was.
        let image = step.policy.image();
        if must_be_continuous && !image.head().is_continuous() {
            return Err(ERR_KIND);
        }
        if len != image.output_len() {
            return Err(ERR_OUTPUT_LENGTH);
        }
        step.check_result((place, len))?;
        let values = act(step)?;
        // SAFETY: both are valid for so many values; `copy` allows that the place is part of the memory.
        unsafe { ptr::copy(values.as_ptr(), place, values.len().min(len)) };
        Ok(())
    });
    status::of(acted)
}
