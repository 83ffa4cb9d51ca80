//! Rows of integer layers, as `docs/image.md` defines them: what kernels in assembly are held to.
//!
//! A panel is 4 rows' or 2 rows' biases, a word of multipliers, and words of weights; a lane word is two lanes.

use crate::quantised::{arithmetic, panel};

/// What the rows of as many panels of 4 as `out` has places give: ⌊y × multiplier ÷ 2^shift + ½⌋ with
/// y = bias + Σ weight × lane, each modulo 2³². Whether that was done: not where `panels` is too short, and
/// then `out` is as it was.
///
/// `shift`: 1 to 31.
pub fn quads(out: &mut [[i32; 4]], panels: &[i32], lanes: &[i32], shift: u32) -> bool {
    panel::quads(out, &mut &*panels, lanes, shift).is_some()
}

/// As [`quads`] for one panel of 2 rows; none where it is too short.
pub fn pair(panel: &[i32], lanes: &[i32], shift: u32) -> Option<[i32; 2]> {
    panel::pair(&mut &*panel, lanes, shift)
}

/// What a row that gives `p` becomes as a lane where the activation is tanh.
pub fn tanh_lane(p: i32) -> i32 {
    arithmetic::tanh_lane(p)
}

/// The chords of tanh: of each knot 1/16 apart from −8 on its value, 2¹⁵ tanh, in the upper half of a word, and
/// how much it rises to the next knot's in the lower.
pub fn tanh_chords() -> &'static [i32; 256] {
    &arithmetic::TANH
}
