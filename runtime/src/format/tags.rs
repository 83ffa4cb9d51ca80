//! The tags of activations and heads.

use crate::head::Head;
use crate::layer::Activation;

impl Activation {
    pub(crate) fn tag(self) -> u8 {
        match self {
            Activation::Identity => 1,
            Activation::Relu => 2,
            Activation::Tanh => 3,
            Activation::Sigmoid => 4,
            Activation::Silu => 5,
        }
    }

    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Activation::Identity),
            2 => Some(Activation::Relu),
            3 => Some(Activation::Tanh),
            4 => Some(Activation::Sigmoid),
            5 => Some(Activation::Silu),
            _ => None,
        }
    }
}

/// What a head's tag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadKind {
    Categorical,
    Deterministic,
    Gaussian,
    MultiDiscrete,
}

impl HeadKind {
    pub(crate) fn tag(self) -> u8 {
        match self {
            HeadKind::Categorical => 1,
            HeadKind::Deterministic => 2,
            HeadKind::Gaussian => 3,
            HeadKind::MultiDiscrete => 4,
        }
    }

    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(HeadKind::Categorical),
            2 => Some(HeadKind::Deterministic),
            3 => Some(HeadKind::Gaussian),
            4 => Some(HeadKind::MultiDiscrete),
            _ => None,
        }
    }
}

impl Head<'_> {
    pub(crate) fn kind(self) -> HeadKind {
        match self {
            Head::Categorical { .. } => HeadKind::Categorical,
            Head::Deterministic { .. } => HeadKind::Deterministic,
            Head::Gaussian { .. } => HeadKind::Gaussian,
            Head::MultiDiscrete { .. } => HeadKind::MultiDiscrete,
        }
    }

    /// The header's size: groups of a multi-discrete head, of the others what they take.
    pub(crate) fn size(self) -> usize {
        match self {
            Head::MultiDiscrete { sizes } => sizes.len(),
            _ => self.inputs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_what_they_were_made_from() {
        for tag in 0..=u8::MAX {
            assert!(Activation::from_tag(tag).is_none_or(|activation| activation.tag() == tag));
            assert!(HeadKind::from_tag(tag).is_none_or(|kind| kind.tag() == tag));
        }
        for activation in Activation::ALL {
            assert_eq!(Activation::from_tag(activation.tag()), Some(activation));
        }
        for (head, size) in [
            (Head::Categorical { actions: 3 }, 3),
            (Head::Deterministic { outputs: 3 }, 3),
            (
                Head::Gaussian {
                    log_std: &[-1.0; 3],
                },
                3,
            ),
            (Head::MultiDiscrete { sizes: &[1, 2] }, 2),
        ] {
            assert_eq!(HeadKind::from_tag(head.kind().tag()), Some(head.kind()));
            assert_eq!((head.size(), head.inputs()), (size, 3));
        }
    }
}
