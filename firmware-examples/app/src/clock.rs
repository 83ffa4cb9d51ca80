//! Counting what a board executes.

use core::hint::black_box;

/// Length of the calibration loop, in instructions. Twice as many must not wrap the counter: 24 bits at 6.4 ticks do not.
pub(crate) const CALIBRATION: u32 = 1_000_000;

/// A free-running counter.
pub trait Clock {
    /// Width of the counter, 1 to 32: it wraps after `2^BITS` ticks.
    const BITS: u32;

    /// The counter, in ticks, counting up.
    fn now(&mut self) -> u32;
}

/// A counter whose relation to instructions can be found by calibration.
pub trait Spin: Clock {
    /// Executes `instructions` instructions, plus a number of its own that does not depend on `instructions`.
    ///
    /// The difference of two spins is thus a loop of known length.
    fn spin(&mut self, instructions: u32);
}

/// Ticks that `work` takes, and its result. The reading of the counter is included: see [`overhead`].
///
/// Work longer than `2^C::BITS` ticks is seen modulo that.
pub(crate) fn time<C: Clock, R>(clock: &mut C, work: impl FnOnce(&mut C) -> R) -> (u32, R) {
    let start = clock.now();
    let result = black_box(work(clock));
    let ticks = clock.now().wrapping_sub(start) & (u32::MAX >> (32 - C::BITS));
    (ticks, result)
}

/// Ticks that timing itself takes.
pub(crate) fn overhead<C: Clock>(clock: &mut C) -> u32 {
    time(clock, |_| ()).0
}

/// Ticks that exactly `instructions` more instructions take.
pub(crate) fn calibrate<C: Spin>(clock: &mut C, instructions: u32) -> u32 {
    let longer = time_spin(clock, 2 * instructions);
    longer.wrapping_sub(time_spin(clock, instructions))
}

/// Not inlined, so that both spins run the very same code.
#[inline(never)]
fn time_spin<C: Spin>(clock: &mut C, instructions: u32) -> u32 {
    time(clock, |clock| clock.spin(instructions)).0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 3 ticks an instruction, 5 instructions a reading, wraps after 2^24 ticks.
    pub(crate) struct Counter(pub(crate) u32);

    impl Clock for Counter {
        const BITS: u32 = 24;

        fn now(&mut self) -> u32 {
            self.0 += 15;
            self.0 & 0x00ff_ffff
        }
    }

    impl Spin for Counter {
        fn spin(&mut self, instructions: u32) {
            self.0 += 3 * (instructions + 7);
        }
    }

    #[test]
    fn calibration_cancels_the_constant_parts() {
        assert_eq!(calibrate(&mut Counter(0), 1_000), 3_000);
    }

    #[test]
    fn time_survives_the_wrap() {
        let clock = &mut Counter(0x00ff_fff0 - 15);
        assert_eq!(overhead(clock), 15);
        assert_eq!(time(clock, |clock| clock.spin(10)).0, 3 * 17 + 15);
    }
}
