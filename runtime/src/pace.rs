//! Whether steps come at the rate that a policy was trained at.

use thiserror::Error;

use crate::image::Image;

/// Compares the time between steps with the training period.
///
/// A policy of a moving machine has learned what one period does: at another rate its actions are
/// wrong by an amount that nobody has measured, and nothing in them shows it. So call
/// [`tick`](Self::tick) at every step, with any clock that counts microseconds in 32 bits and wraps.
///
/// ```
/// use consort_runtime::{OffPace, Pace};
///
/// let mut pace = Pace::new(20_000, 50); // 20 ms, within 50/1000: 1 ms
/// assert_eq!(pace.tick(4_294_960_000), Ok(())); // the first step has nothing to compare with
/// assert_eq!(pace.tick(13_704), Ok(())); // 21.0 ms later, the clock having wrapped
/// let late = OffPace { measured_us: 21_001, period_us: 20_000 };
/// assert_eq!(pace.tick(34_705), Err(late));
/// assert_eq!(pace.tick(54_705), Ok(())); // measured from the last step, whether it was late or not
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    period_us: u32,
    tolerance_us: u32,
    last_us: Option<u32>,
}

/// A step came too early or too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{measured_us} µs since the last step: the policy was trained at {period_us} µs")]
pub struct OffPace {
    /// The time since the last step, in µs (modulo 2³²).
    pub measured_us: u32,
    /// The period in training, in µs.
    pub period_us: u32,
}

impl Pace {
    /// Expects a step every `period_us` microseconds, give or take `permille` thousandths of that;
    /// 0 µs expects nothing.
    pub fn new(period_us: u32, permille: u16) -> Self {
        let tolerance = u64::from(period_us) * u64::from(permille) / 1000;
        Pace {
            period_us,
            tolerance_us: u32::try_from(tolerance).unwrap_or(u32::MAX),
            last_us: None,
        }
    }

    /// Expects the period that `image` states.
    pub fn of(image: &Image<'_>, permille: u16) -> Self {
        Self::new(image.period_us(), permille)
    }

    /// Says that a step begins at `now_us`. The first one since [`new`](Self::new) or
    /// [`restart`](Self::restart) is in time.
    ///
    /// # Errors
    ///
    /// [`OffPace`] when the time since the last step is not the period; the next step is compared
    /// with this one all the same. Whether to act, to brake or to tell someone is the caller's
    /// choice.
    pub fn tick(&mut self, now_us: u32) -> Result<(), OffPace> {
        let Some(last) = self.last_us.replace(now_us) else {
            return Ok(());
        };
        let measured_us = now_us.wrapping_sub(last);
        if self.period_us == 0 || measured_us.abs_diff(self.period_us) <= self.tolerance_us {
            return Ok(());
        }
        Err(OffPace {
            measured_us,
            period_us: self.period_us,
        })
    }

    /// Forgets the last step, as after a pause.
    pub fn restart(&mut self) {
        self.last_us = None;
    }
}
