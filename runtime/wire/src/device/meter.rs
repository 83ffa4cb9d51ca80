//! What a step costs.

use crate::message::Rate;

/// Measures what a step costs.
pub trait Meter {
    /// What the ticks are.
    fn rate(&self) -> Rate;

    /// Does `work`, and says what it took.
    fn measure<R>(&mut self, work: impl FnOnce() -> R) -> (Cost, R);
}

/// What a step took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// In ticks of the [`Rate`].
    pub ticks: u32,
    /// The most bytes of stack in use; none where they are not watched, or may have been more.
    pub stack: Option<u32>,
}

/// Measures nothing: for a board without a counter. Every step takes no time.
#[derive(Debug, Clone, Copy)]
pub struct Unmetered;

impl Meter for Unmetered {
    fn rate(&self) -> Rate {
        Rate::NANOSECONDS
    }

    fn measure<R>(&mut self, work: impl FnOnce() -> R) -> (Cost, R) {
        let cost = Cost {
            ticks: 0,
            stack: None,
        };
        (cost, work())
    }
}
