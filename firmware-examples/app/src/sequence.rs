//! What is replayed: an agent's golden sequence.

use consort_runtime::{Moment, Seeding, SharedSeed, Symbol};

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
    /// What a policy with a shared seed draws its symbols by: the device derives each for itself and
    /// holds the observation to it.
    pub seed: Option<SequenceSeed<'a>>,
}

/// The key of a team's shared seed and the moments of a sequence.
#[derive(Clone, Copy)]
pub struct SequenceSeed<'a> {
    /// The team's key.
    pub key: [u8; 16],
    /// `[T]`: episode and tick.
    pub moments: &'a [(u64, u32)],
}

impl core::fmt::Debug for SequenceSeed<'_> {
    /// Without the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SequenceSeed").finish_non_exhaustive()
    }
}

impl<'a> Sequence<'a> {
    /// A sequence of episodes of one step, with nothing forbidden.
    pub const fn of(observations: &'a [f32]) -> Self {
        Sequence {
            observations,
            starts: &[],
            masks: &[],
            seed: None,
        }
    }

    /// Whether an episode begins with step `t`.
    pub(crate) fn starts(&self, t: usize) -> bool {
        self.starts.get(t).copied().unwrap_or(true)
    }

    /// The symbol that a device derives for step `t`; none without a key or a moment.
    pub(crate) fn symbol(&self, t: usize, seeding: Seeding) -> Option<Symbol> {
        let seed = self.seed?;
        let &(episode, tick) = seed.moments.get(t)?;
        Some(SharedSeed::new(seed.key).draw(seeding, Moment::new(episode, tick)))
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
    /// `[T][K]`: its actions, one a group, which usually is one. Empty where actions are vectors.
    pub actions: &'a [u32],
    /// `[T][outputs]`: the bits of its logits, or of its actions.
    pub values: &'a [u32],
}

impl Expected<'_> {
    /// Whether step `t` is as expected, every bit of it.
    pub(crate) fn is(&self, t: usize, actions: &[u32], values: &[f32]) -> bool {
        let mut expected = self.values.chunks_exact(values.len().max(1));
        let mut expected_actions = self.actions.chunks_exact(actions.len().max(1));
        expected_actions.nth(t).unwrap_or_default() == actions
            && expected.nth(t).is_some_and(|bits| {
                values
                    .iter()
                    .map(|value| value.to_bits())
                    .eq(bits.iter().copied())
            })
    }
}
