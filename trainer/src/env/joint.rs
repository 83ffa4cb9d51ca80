//! Joint spaces: one choice per agent, numbered as one index.

/// The product of N finite sets, indexed row-major with agent 0 slowest.
///
/// Joint actions and joint observations are numbered this way everywhere: for sizes (2, 3) the
/// index of (1, 2) is 1·3 + 2 = 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JointSpace {
    sizes: Vec<usize>,
    strides: Vec<usize>,
    count: usize,
}

impl JointSpace {
    /// The product of sets with these sizes (`[N]`); `None` when it has more than `limit`
    /// elements.
    pub fn new(sizes: &[usize], limit: usize) -> Option<Self> {
        let mut strides = vec![0; sizes.len()];
        let mut count: usize = 1;
        for (stride, &size) in strides.iter_mut().zip(sizes).rev() {
            *stride = count;
            count = count.checked_mul(size).filter(|&count| count <= limit)?;
        }
        Some(Self {
            sizes: sizes.to_vec(),
            strides,
            count,
        })
    }

    /// The size of each agent's set, `[N]`.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The number of elements: the product of the sizes.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The index of one choice per agent (`parts`: N of them, each below its agent's size).
    pub fn join(&self, parts: impl IntoIterator<Item = usize>) -> usize {
        let terms = std::iter::zip(&self.strides, parts);
        terms.map(|(stride, part)| stride * part).sum()
    }

    /// What `agent` chose in the element numbered `index`.
    pub fn part(&self, index: usize, agent: usize) -> usize {
        index / self.strides[agent] % self.sizes[agent]
    }

    /// Every agent's choice in the element numbered `index`, in agent order.
    pub fn split(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.sizes.len()).map(move |agent| self.part(index, agent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_undoes_split_in_row_major_order() {
        let space = JointSpace::new(&[2, 3, 4], 24).unwrap();
        let mut expected = 0;
        for a in 0..2 {
            for b in 0..3 {
                for c in 0..4 {
                    assert_eq!(space.join([a, b, c]), expected);
                    assert_eq!(space.split(expected).collect::<Vec<_>>(), [a, b, c]);
                    expected += 1;
                }
            }
        }
        assert_eq!(space.count(), expected);
    }

    #[test]
    fn a_product_above_the_limit_or_beyond_usize_is_refused() {
        assert!(JointSpace::new(&[5, 5], 24).is_none());
        assert!(JointSpace::new(&[usize::MAX, 2], usize::MAX).is_none());
    }
}
