//! What agents can do.

/// What an agent can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionSpace {
    /// One of so many actions, counted from 0.
    Discrete(usize),
    /// One of as many actions as the product of the factors says, counted from 0: a choice of every
    /// factor at once, such as where to go and what to say.
    Product(Factors),
    /// A vector of so many numbers, each in [−1, 1]; the environment maps them to its own units.
    Continuous(usize),
}

impl ActionSpace {
    /// Number of discrete actions, or dimensions of a continuous one.
    pub fn size(self) -> usize {
        match self {
            Self::Discrete(size) | Self::Continuous(size) => size,
            Self::Product(factors) => factors.product(),
        }
    }

    /// Outputs of an agent's network: a logit an action, or a choice of a factor, or a number a
    /// dimension.
    pub fn outputs(self) -> usize {
        match self {
            Self::Discrete(size) | Self::Continuous(size) => size,
            Self::Product(factors) => factors.sizes().iter().sum(),
        }
    }

    /// Whether actions are vectors.
    pub fn is_continuous(self) -> bool {
        matches!(self, Self::Continuous(_))
    }
}

/// What a discrete action is made of: choices that each are one of so many.
///
/// The action's number counts the first factor fastest: with sizes A₁, A₂, … it is
/// c₁ + A₁ (c₂ + A₂ (c₃ + …)) of the choices c₁, c₂, …, each counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    sizes: [usize; Self::MOST],
    count: usize,
}

impl Factors {
    /// The most factors.
    pub const MOST: usize = 8;

    /// Factors of these sizes; none where there are none, or more than [`MOST`](Self::MOST), where one
    /// is 0, or where their product does not fit 32 bits.
    pub fn new(sizes: &[usize]) -> Option<Self> {
        let mut own = [1; Self::MOST];
        own.get_mut(..sizes.len())?.copy_from_slice(sizes);
        let mut product = sizes.iter().map(|&size| u32::try_from(size).ok());
        let product = product.try_fold(1_u32, |product, size| product.checked_mul(size?))?;
        (product > 0 && !sizes.is_empty()).then_some(Self {
            sizes: own,
            count: sizes.len(),
        })
    }

    /// The size of every factor.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes[..self.count]
    }

    /// How many actions there are.
    pub fn product(&self) -> usize {
        self.sizes().iter().product()
    }

    /// The number of the action that is made of these choices, one a factor, each below its size.
    pub fn action(&self, choices: &[u32]) -> u32 {
        debug_assert_eq!(choices.len(), self.count, "a choice of every factor");
        let pairs = choices.iter().zip(self.sizes()).rev();
        pairs.fold(0, |action, (&choice, &size)| action * size as u32 + choice)
    }

    /// The choices that action `action` is made of, one a factor.
    pub fn choices(&self, action: usize) -> impl Iterator<Item = usize> + '_ {
        let mut rest = action;
        self.sizes().iter().map(move |&size| {
            let choice = rest % size;
            rest /= size;
            choice
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_factor_counts_fastest() {
        // Five pushes and ten words: push + 5 × word.
        let factors = Factors::new(&[5, 10]).unwrap();
        assert_eq!((factors.product(), factors.action(&[3, 8])), (50, 43));
        let three = Factors::new(&[2, 3, 4]).unwrap();
        // 1 + 2 (2 + 3 · 3) = 23, the last of 24.
        assert_eq!(three.action(&[1, 2, 3]), 23);
        for action in 0..24 {
            let choices: Vec<u32> = three.choices(action).map(|choice| choice as u32).collect();
            assert_eq!(three.action(&choices) as usize, action);
        }
        let space = ActionSpace::Product(three);
        assert_eq!((space.size(), space.outputs()), (24, 9));
    }

    #[test]
    fn what_are_no_factors_is_refused() {
        for sizes in [&[][..], &[3, 0], &[2; 9], &[1 << 16, 1 << 16]] {
            assert_eq!(Factors::new(sizes), None, "{sizes:?}");
        }
    }
}
