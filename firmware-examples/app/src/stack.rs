//! Measuring how much of the stack is used.

/// Watches the stack while something runs.
pub trait Stack {
    /// Runs `work`: the most bytes of stack that it had in use, and its result.
    ///
    /// None where all that is watched was used up, so that it may have been more.
    fn depth<R>(&mut self, work: impl FnOnce() -> R) -> (Option<usize>, R);
}

/// The greatest of several depths.
#[derive(Clone, Copy)]
pub(crate) struct Deepest(Option<usize>);

impl Deepest {
    pub(crate) const NONE: Self = Deepest(Some(0));

    pub(crate) fn include(&mut self, depth: Option<usize>) {
        self.0 = self.0.zip(depth).map(|(one, other)| one.max(other));
    }

    pub(crate) fn bytes(self) -> Option<usize> {
        self.0
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// So many bytes more each time.
    pub(crate) struct Growing(pub(crate) usize, pub(crate) usize);

    impl Stack for Growing {
        fn depth<R>(&mut self, work: impl FnOnce() -> R) -> (Option<usize>, R) {
            self.0 += self.1;
            (Some(self.0), work())
        }
    }

    #[test]
    fn what_may_have_been_more_is_never_forgotten() {
        let mut deepest = Deepest::NONE;
        deepest.include(Some(3));
        deepest.include(Some(1));
        assert_eq!(deepest.bytes(), Some(3));
        deepest.include(None);
        deepest.include(Some(5));
        assert_eq!(deepest.bytes(), None);
    }
}
