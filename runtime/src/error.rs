//! What can be wrong with an image, with what it is made from, and with a step: what, where, and
//! what would be right.

mod emit;
mod image;
mod step;

pub use emit::EmitError;
pub use image::{ImageError, ShapeError};
pub use step::StepError;
