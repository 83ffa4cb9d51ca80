//! Returns: in which units they are measured, and how they are estimated along trajectories.

pub(crate) mod estimates;
mod ledger;

pub use ledger::{Earned, Ledger, ReturnRange, Units};
