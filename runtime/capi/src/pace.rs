//! `consort_pace_t`: whether steps come at the training rate.

use consort_runtime::Pace;

use crate::policy::ConsortPolicy;
use crate::raw;
use crate::status::{self, ERR_PACE, Status};

/// `consort_pace_t`. Plain numbers, so that memory no one has initialised is a wrong pace and nothing worse.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsortPace {
    period_us: u32,
    permille: u32,
    last_us: u32,
    running: u32,
}

/// Expects a step every training period of the policy, give or take `permille` thousandths.
///
/// # Safety
///
/// `pace` is null or may be written; `policy` is null or was given to an `init` function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_pace_init(
    pace: *mut ConsortPace,
    policy: *const ConsortPolicy,
    permille: u16,
) -> Status {
    // SAFETY: the caller's promise.
    let made = unsafe { ConsortPolicy::get_beside(policy, (pace, 1)) }.and_then(|policy| {
        // SAFETY: the caller's promise; any bits are valid numbers.
        let pace = unsafe { raw::value_mut(pace)? };
        *pace = ConsortPace {
            period_us: policy.image().period_us(),
            permille: permille.into(),
            last_us: 0,
            running: 0,
        };
        Ok(())
    });
    status::of(made)
}

/// Says that a step begins at `now_us`, on a clock of 32 bits that wraps; writes the time since the last step, 0 for the
/// first, to `measured_us` unless that is null.
///
/// # Safety
///
/// `pace` is null or was given to [`consort_pace_init`]; `measured_us` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_pace_tick(
    pace: *mut ConsortPace,
    now_us: u32,
    measured_us: *mut u32,
) -> Status {
    let apart = match measured_us.is_null() {
        true => Ok(()),
        false => raw::disjoint((pace.cast_const(), 1), (measured_us.cast_const(), 1)),
    };
    let ticked = apart.and_then(|()| {
        // SAFETY: the caller's promise; any bits are valid numbers.
        let pace = unsafe { raw::value_mut(pace)? };
        let permille = u16::try_from(pace.permille).unwrap_or(u16::MAX);
        let mut own = Pace::new(pace.period_us, permille);
        let mut measured = 0;
        if pace.running != 0 {
            // The first tick is always in time.
            let _ = own.tick(pace.last_us);
            measured = now_us.wrapping_sub(pace.last_us);
        }
        let in_time = own.tick(now_us);
        (pace.last_us, pace.running) = (now_us, 1);
        if !measured_us.is_null() {
            // SAFETY: aligned, as was checked before anything was written; the caller's promise.
            unsafe { measured_us.write(measured) };
        }
        in_time.map_err(|_| ERR_PACE)
    });
    status::of(ticked)
}
