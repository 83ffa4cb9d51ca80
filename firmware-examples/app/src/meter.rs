//! What a step costs, for the host at the other end of a wire.

use consort_wire::{Cost, Meter, Rate, Unit};

use crate::clock::{CALIBRATION, Clock, Spin, calibrate, overhead, time};
use crate::stack::Stack;

/// A board's counter and its stack, to measure with.
pub struct Metered<C, S> {
    clock: C,
    stack: S,
    rate: Rate,
    overhead: u32,
}

impl<C: Spin, S: Stack> Metered<C, S> {
    /// Measures in instructions of an emulated core, found by calibration.
    pub fn instructions(mut clock: C, stack: S) -> Self {
        let rate = Rate {
            unit: Unit::Instructions,
            units: CALIBRATION,
            ticks: calibrate(&mut clock, CALIBRATION),
        };
        Self::new(clock, stack, rate)
    }
}

impl<C: Clock, S: Stack> Metered<C, S> {
    /// Measures in whatever `rate` says the counter counts.
    pub fn new(mut clock: C, stack: S, rate: Rate) -> Self {
        Metered {
            overhead: overhead(&mut clock),
            clock,
            stack,
            rate,
        }
    }
}

impl<C: Clock, S: Stack> Meter for Metered<C, S> {
    fn rate(&self) -> Rate {
        self.rate
    }

    fn measure<R>(&mut self, work: impl FnOnce() -> R) -> (Cost, R) {
        let clock = &mut self.clock;
        let (stack, (ticks, result)) = self.stack.depth(|| time(clock, |_| work()));
        let cost = Cost {
            ticks: ticks.saturating_sub(self.overhead),
            stack: stack.and_then(|bytes| u32::try_from(bytes).ok()),
        };
        (cost, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::Counter;
    use crate::stack::tests::Growing;

    #[test]
    fn instructions_are_calibrated_and_the_reading_is_left_out() {
        let mut meter = Metered::instructions(Counter(0), Growing(100, 8));
        assert_eq!(meter.rate().of(3_000), 1_000);
        let (cost, result) = meter.measure(|| 7);
        assert_eq!((cost.ticks, cost.stack, result), (0, Some(108), 7));
    }
}
