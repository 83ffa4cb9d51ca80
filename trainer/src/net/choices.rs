//! Joint actions on the host: drawn by policies, taken by environments, kept in batches.

use candle_core::{DType, Device, Result, Tensor};

/// Joint actions on the host.
#[derive(Clone, Debug, PartialEq)]
pub enum Choices {
    /// `[R, S, N]`.
    Discrete(Vec<u32>),
    /// `[R, S, Σ dimensions]`, before squashing.
    Continuous(Vec<f32>),
}

impl Choices {
    /// On the device, `[R, S, numbers a row]`.
    pub fn tensor(&self, replicas: usize, samples: usize, device: &Device) -> Result<Tensor> {
        let rows = replicas * samples;
        match self {
            Self::Discrete(actions) => {
                Tensor::from_slice(actions, (replicas, samples, actions.len() / rows), device)
            }
            Self::Continuous(actions) => {
                Tensor::from_slice(actions, (replicas, samples, actions.len() / rows), device)
            }
        }
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        match self {
            Self::Discrete(actions) => actions.len(),
            Self::Continuous(actions) => actions.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Steps `[T][R, B, …]` as one batch `[R, T·B, …]`.
    pub fn by_replica(steps: &[&Self], replicas: usize) -> Self {
        let discrete: Option<Vec<&[u32]>> = steps.iter().map(|step| step.discrete()).collect();
        let continuous: Option<Vec<&[f32]>> = steps.iter().map(|step| step.continuous()).collect();
        match (discrete, continuous) {
            (Some(steps), _) => Self::Discrete(by_replica(&steps, replicas)),
            (_, Some(steps)) => Self::Continuous(by_replica(&steps, replicas)),
            (None, None) => unreachable!("a team's actions are all of one kind"),
        }
    }

    /// Batches `[R, S, …]` with more rows `[R, S', …]` behind each replica's own.
    pub fn append(&self, more: &Self, replicas: usize) -> Self {
        fn rows<T: Copy>(own: &[T], more: &[T], replicas: usize) -> Vec<T> {
            let own = own.chunks_exact(own.len() / replicas);
            let more = more.chunks_exact(more.len() / replicas);
            own.zip(more)
                .flat_map(|(own, more)| [own, more].concat())
                .collect()
        }
        match (self, more) {
            (Self::Discrete(own), Self::Discrete(more)) => {
                Self::Discrete(rows(own, more, replicas))
            }
            (Self::Continuous(own), Self::Continuous(more)) => {
                Self::Continuous(rows(own, more, replicas))
            }
            _ => unreachable!("a team's actions are all of one kind"),
        }
    }

    /// The numbers of discrete actions.
    ///
    /// # Errors
    /// When they are vectors.
    pub fn as_discrete(&self) -> Result<&[u32]> {
        let message = "found vectors, expected discrete actions";
        self.discrete()
            .ok_or_else(|| candle_core::Error::msg(message))
    }

    fn discrete(&self) -> Option<&[u32]> {
        match self {
            Self::Discrete(actions) => Some(actions),
            Self::Continuous(_) => None,
        }
    }

    fn continuous(&self) -> Option<&[f32]> {
        match self {
            Self::Continuous(actions) => Some(actions),
            Self::Discrete(_) => None,
        }
    }

    /// Takes the rows of `other` where `wanted` (`[R, S]`) says so.
    pub fn take(&mut self, other: &Self, wanted: &[bool]) {
        fn rows<T: Copy>(own: &mut [T], other: &[T], wanted: &[bool]) {
            let width = own.len() / wanted.len().max(1);
            let pairs = own.chunks_exact_mut(width).zip(other.chunks_exact(width));
            for ((own, other), _) in pairs.zip(wanted).filter(|(_, wanted)| **wanted) {
                own.copy_from_slice(other);
            }
        }
        match (self, other) {
            (Self::Discrete(own), Self::Discrete(other)) => rows(own, other, wanted),
            (Self::Continuous(own), Self::Continuous(other)) => rows(own, other, wanted),
            _ => unreachable!("a team's actions are all of one kind"),
        }
    }
}

/// Steps `[T][R, …]`, one after another for each replica: `[R][T, …]`.
pub fn by_replica<T: Clone>(steps: &[&[T]], replicas: usize) -> Vec<T> {
    let mut rows = Vec::with_capacity(steps.iter().map(|step| step.len()).sum());
    for replica in 0..replicas {
        for step in steps {
            let share = step.len() / replicas;
            rows.extend_from_slice(&step[replica * share..(replica + 1) * share]);
        }
    }
    rows
}

/// Agents' actions `[R, S, N]` as ones among zeros, `[R, S, N·A]`.
pub fn one_hot(actions: &Tensor, width: usize) -> Result<Tensor> {
    let (replicas, samples, agents) = actions.dims3()?;
    let kinds = Tensor::arange(0_u32, width as u32, actions.device())?;
    let hot = actions.unsqueeze(3)?.broadcast_eq(&kinds)?;
    hot.reshape((replicas, samples, agents * width))?
        .to_dtype(DType::F32)
}

/// Index of the largest value; the lowest index wins ties.
pub(crate) fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
