//! `f32` on a floating-point unit with 32 single registers: VFPv4-SP, FPv5-SP and up.
//!
//! The sums of a panel and two columns of its weights lie in registers, eight inputs beside them:
//! 64 multiply-adds cost 64 `VMLA`, 4 `VLDM` of weights, 1 of inputs and 2 instructions of loop.
//!
//! `VMLA.F32` rounds its product before it adds (its pseudocode in the Armv7-M Architecture Reference
//! Manual is an `FPMul` and then an `FPAdd`), as the image format asks for; `VFMA.F32`, which does
//! not, is never used. With the feature `split-multiply-add` each is a `VMUL` and a `VADD`, by definition the
//! same bits.

/// Multiply-adds of one column: `sum += weight * x` for every pair, by the numbers of registers. With
/// split multiply-adds the weights are overwritten.
#[cfg(not(feature = "split-multiply-add"))]
macro_rules! column {
    ($x:literal: $($sum:literal += $weight:literal),+) => {
        concat!($("vmla.f32 s", $sum, ", s", $weight, ", s", $x, "\n"),+)
    };
}
#[cfg(feature = "split-multiply-add")]
macro_rules! column {
    ($x:literal: $($sum:literal += $weight:literal),+) => {
        concat!(
            $("vmul.f32 s", $weight, ", s", $weight, ", s", $x, "\n",)+
            $("vadd.f32 s", $sum, ", s", $sum, ", s", $weight, "\n",)+
        )
    };
}

mod dense;
mod gru;
mod tanh;

pub use dense::dense;
pub use gru::gru;
pub use tanh::{sigmoid, tanh};

fn half(x: f32) -> f32 {
    x * 0.5
}
