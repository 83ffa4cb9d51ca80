//! What is replayed: an agent's golden sequence.

/// Observations in order, where episodes begin, and which actions were allowed.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    /// `[T][observation_len]`.
    pub observations: &'a [f32],
    /// `[T]`: whether an episode begins with the step, so that the state is reset before it. Empty
    /// where every step is an episode of its own.
    pub starts: &'a [bool],
    /// `[T][actions]`: whether an action may be chosen. Empty where nothing is ever forbidden.
    pub masks: &'a [bool],
}

impl<'a> Sequence<'a> {
    /// A sequence of episodes of one step, with nothing forbidden.
    pub const fn of(observations: &'a [f32]) -> Self {
        Sequence {
            observations,
            starts: &[],
            masks: &[],
        }
    }

    /// Whether an episode begins with step `t`.
    pub(crate) fn starts(&self, t: usize) -> bool {
        self.starts.get(t).copied().unwrap_or(true)
    }

    /// What is allowed at step `t`, of so many `actions`; none where nothing is ever forbidden.
    pub(crate) fn mask(&self, t: usize, actions: usize) -> Option<&'a [bool]> {
        let masks = self.masks;
        (!masks.is_empty()).then(|| masks.chunks_exact(actions).nth(t).unwrap_or_default())
    }
}

/// What the agent made of a sequence on the workstation.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `[T]`: its actions. Empty where actions are vectors.
    pub actions: &'a [usize],
    /// `[T][outputs]`: the bits of its logits, or of its actions.
    pub values: &'a [u32],
}

impl Expected<'_> {
    /// Whether step `t` is as expected, every bit of it.
    pub(crate) fn is(&self, t: usize, action: Option<usize>, values: &[f32]) -> bool {
        let mut expected = self.values.chunks_exact(values.len().max(1));
        self.actions.get(t).copied() == action
            && expected.nth(t).is_some_and(|bits| {
                values
                    .iter()
                    .map(|value| value.to_bits())
                    .eq(bits.iter().copied())
            })
    }
}
