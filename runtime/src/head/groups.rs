//! Groups of actions, each with its part of the logits.

use core::ops::Range;

/// Each group's part of `values`, which are one a logit: `[Σ sizes]`.
pub fn parts<'v, T>(sizes: &'v [u32], values: &'v [T]) -> impl Iterator<Item = &'v [T]> {
    let mut rest = values;
    sizes.iter().map(move |&size| {
        let (part, behind) = rest.split_at_checked(size as usize).unwrap_or((rest, &[]));
        rest = behind;
        part
    })
}

/// Lets `choose` choose in every group by its logits, of which it is also told where among all they lie.
/// The choices, `[K]`, take the place of the first of `outputs`, `[Σ sizes]`; none where one is none.
pub(super) fn choose<'m>(
    sizes: &[u32],
    outputs: &'m mut [f32],
    mut choose: impl FnMut(Range<usize>, &[f32]) -> Option<usize>,
) -> Option<&'m mut [u32]> {
    let words: &mut [u32] = bytemuck::cast_slice_mut(outputs);
    let mut start = 0_usize;
    for (place, &size) in sizes.iter().enumerate() {
        let group = start..start.saturating_add(size as usize);
        start = group.end;
        let logits = bytemuck::cast_slice(words.get(group.clone())?);
        let chosen = choose(group, logits)?;
        // A group has an action or more, so no group that is still to be read begins here or before.
        *words.get_mut(place)? = chosen as u32;
    }
    words.get_mut(..sizes.len())
}
