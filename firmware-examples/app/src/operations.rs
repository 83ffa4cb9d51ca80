//! What one operation in software floating point costs, over operands that were chosen to make it cost most and least.
//!
//! # Line protocol
//!
//! | line | |
//! |---|---|
//! | `consort-operations 1` | first; the protocol's version |
//! | `calibration <instructions> <ticks>` | that many instructions take that many ticks |
//! | `operation <name> <least> <most>` | ticks of [`OPERATIONS`](Operation), one line each: calls and all |
//! | `done <pairs>` | last; how many pairs of operands each was given |

use core::fmt::{self, Write};
use core::hint::black_box;

use crate::clock::{CALIBRATION, Spin, calibrate, overhead, time};

/// Pairs of operands that have any bits, beside those of the edges.
const RANDOM: u32 = 8_000;

/// An operation of `f32`, not inlined so that each costs the same call.
type Operation = fn(f32, f32) -> f32;

#[inline(never)]
fn add(a: f32, b: f32) -> f32 {
    a + b
}

#[inline(never)]
fn multiply(a: f32, b: f32) -> f32 {
    a * b
}

#[inline(never)]
fn divide(a: f32, b: f32) -> f32 {
    a / b
}

#[inline(never)]
fn compare(a: f32, b: f32) -> f32 {
    if a > b { 1.0 } else { 0.0 }
}

const OPERATIONS: [(&str, Operation); 4] = [
    ("add", add),
    ("multiply", multiply),
    ("divide", divide),
    ("compare", compare),
];

/// Measures every operation and prints the line protocol to `out`.
///
/// # Errors
///
/// When `out` takes no more.
pub fn operations<W: Write, C: Spin>(out: &mut W, clock: &mut C) -> fmt::Result {
    writeln!(out, "consort-operations 1")?;
    let ticks = calibrate(clock, CALIBRATION);
    writeln!(out, "calibration {CALIBRATION} {ticks}")?;
    let overhead = overhead(clock);
    let mut pairs = 0;
    for (name, operation) in OPERATIONS {
        let (mut least, mut most) = (u32::MAX, 0);
        pairs = 0;
        for (a, b) in operands() {
            let operation = black_box(operation);
            let (a, b) = (black_box(a), black_box(b));
            let (ticks, _) = time(clock, |_| operation(a, b));
            let ticks = ticks.wrapping_sub(overhead);
            least = least.min(ticks);
            most = most.max(ticks);
            pairs += 1;
        }
        writeln!(out, "operation {name} {least} {most}")?;
    }
    writeln!(out, "done {pairs}")
}

/// Pairs of finite numbers: of every exponent's distance with fractions of few and of many ones, subnormal numbers of every
/// length, cancellations to the last bit, and random bits.
fn operands() -> impl Iterator<Item = (f32, f32)> {
    const FRACTIONS: [u32; 5] = [0, 1, 0x40_0000, 0x55_5555, 0x7f_ffff];
    const EXPONENTS: [u32; 16] = [
        0, 1, 2, 23, 24, 25, 63, 64, 103, 125, 126, 127, 128, 151, 253, 254,
    ];
    let edges = || {
        let normal = EXPONENTS
            .into_iter()
            .flat_map(|exponent| FRACTIONS.map(|fraction| exponent << 23 | fraction));
        normal.chain((0..23).map(|bit| 1 << bit))
    };
    let near = edges().flat_map(|bits| {
        // Down to one unit in the last place, and over every distance of exponents about.
        [
            0,
            1,
            2,
            1 << 10,
            1 << 22,
            1 << 23,
            3 << 23,
            23 << 23,
            24 << 23,
            25 << 23,
        ]
        .map(|more| (bits, bits.saturating_add(more)))
    });
    let all = edges().flat_map(move |a| edges().map(move |b| (a, b)));
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state
    };
    let random = (0..RANDOM).map(move |_| (next() ^ next() >> 16, next() ^ next() >> 16));
    all.chain(near)
        .chain(random)
        .flat_map(|(a, b)| [0, 1 << 31].map(|sign| (f32::from_bits(a), f32::from_bits(b ^ sign))))
        .filter(|(a, b)| a.is_finite() && b.is_finite())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;

    use super::*;
    use crate::clock::tests::Counter;

    #[test]
    fn every_operation_has_its_line() {
        let mut out = String::new();
        operations(&mut out, &mut Counter(0)).unwrap();
        // The counter moves when it is read, and nothing else costs on it.
        let lines: std::vec::Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[2], "operation add 0 0");
        assert!(lines[6].starts_with("done "));
    }

    #[test]
    fn operands_are_finite_and_of_every_kind() {
        assert!(operands().all(|(a, b)| a.is_finite() && b.is_finite()));
        assert!(operands().any(|(a, b)| a.is_subnormal() && b.is_subnormal()));
        assert!(operands().any(|(a, b)| a == -b && a != 0.0));
        assert!(operands().count() > 30_000);
    }
}
