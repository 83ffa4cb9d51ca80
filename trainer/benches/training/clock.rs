//! Time that this thread has had a core to itself: on Linux; elsewhere that of the clock on the wall.

use std::time::Instant;

/// A moment.
pub(super) struct Clock {
    wall: Instant,
    /// Nanoseconds on a core until then; none where the system does not say.
    processor: Option<u64>,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            wall: Instant::now(),
            processor: nanoseconds(),
        }
    }

    /// Seconds of processor time since then, else of the clock on the wall.
    pub(super) fn seconds(&self) -> f64 {
        match (self.processor, nanoseconds()) {
            (Some(start), Some(now)) => (now - start) as f64 / 1e9,
            _ => self.wall_seconds(),
        }
    }

    pub(super) fn wall_seconds(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }
}

/// Nanoseconds that this thread has had a core.
#[cfg(target_os = "linux")]
fn nanoseconds() -> Option<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).ok()
}

#[cfg(not(target_os = "linux"))]
fn nanoseconds() -> Option<u64> {
    None
}
