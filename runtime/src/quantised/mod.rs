//! Layers in whole numbers: int8 weights, lanes of nine bits between layers, a state of sixteen.
//!
//! An integer image begins with a [`Quantise`](crate::layer::Layer::Quantise) layer, which turns the observation into *lanes*, whole
//! numbers from −256 to 256 in 16 bits each, two a word. A row of weights times the lanes is summed in
//! 32 bits, multiplied by the row's multiplier and shifted down, and goes through an activation that is
//! a comparison or a table's chord. Nothing here rounds but where `docs/image.md` says so, nothing can
//! overflow in an image that was [checked](check), and no number of instructions depends on a value, so
//! the bits are the same, and no operation's length depends on what is observed.
//!
//! *Two rows a number.* The weights a and b of two rows from one input are stored as 256 a + b, 16 bits.
//! With T = Σ (256 a + b) x and S = Σ b x, the rows' sums are (T − S) / 256 and S. So a core that
//! multiplies pairs of 16 bits (SMLAD) widens one byte in two only, and half the multiplications need
//! no unpacking.

pub(crate) mod arithmetic;
pub(crate) mod check;
pub(crate) mod layers;
pub(crate) mod panel;
pub(crate) mod record;
mod repr;
mod step;

pub use repr::{InputScale, IntegerDenseRepr, IntegerGruRepr, QuantiseRepr};

pub(crate) use step::step;
