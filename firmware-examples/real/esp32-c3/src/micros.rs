//! The chip's clock.

use consort_replay::Clock;
use esp_hal::time::Instant;

/// Microseconds: the chip has no standard counter of cycles.
pub(crate) struct Micros;

impl Clock for Micros {
    const BITS: u32 = 32;

    fn now(&mut self) -> u32 {
        Instant::now().duration_since_epoch().as_micros() as u32
    }
}
