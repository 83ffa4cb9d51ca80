//! What an agent does when its policy gives no action.
//!
//! The safe action is the firmware's, not the image's: when it is needed, the image may be what is
//! damaged; and what is safe (brake, hold, zero torque) is known to whoever built the machine, not
//! to whoever trained the policy.

use rand_core::Rng;
use thiserror::Error;

use crate::error::StepError;
use crate::head::{Action, Head};
use crate::image::Image;
use crate::policy::Policy;
use crate::verify::VerifyError;

/// A policy that always gives an action: its own, or the firmware's safe one.
///
/// ```
/// use consort_runtime::{Action, Fault, Guarded, Image, StepError, include_image};
///
/// static IMAGE: &[u8] = include_image!("../tests/example.image"); // two observations, three actions
/// const STAND_STILL: Action<'static> = Action::Discrete(0);
///
/// let mut memory = [0.0; 4];
/// let guarded = Guarded::new(Image::new_checked(IMAGE), STAND_STILL);
/// assert_eq!(guarded.step(&[1.0, 0.25], &mut memory).action, Action::Discrete(2));
///
/// // A sensor fails: the agent stands still, and says why.
/// let acted = guarded.step(&[1.0, f32::NAN], &mut memory);
/// assert_eq!(acted.action, STAND_STILL);
/// assert_eq!(acted.fault, Some(Fault::Step(StepError::NonFiniteObservation { index: 1 })));
///
/// // The flash is damaged: it stands still from the first step on.
/// let guarded = Guarded::new(Image::new_checked(&[0; 64]), STAND_STILL);
/// assert_eq!(guarded.step(&[1.0, 0.25], &mut memory).action, STAND_STILL);
/// ```
///
/// A fault lasts no longer than its cause: a step with a good observation acts again, and goes on
/// from the state that the last good step left. Where the state itself was damaged
/// ([`StepError::NonFiniteState`]), every step faults until [`reset`](Self::reset).
#[derive(Debug, Clone, Copy)]
pub struct Guarded<'a> {
    policy: Result<Policy<'a>, Fault>,
    safe: Action<'a>,
}

/// What an agent does, and what kept it from doing what its policy says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Acted<'m> {
    /// The policy's action, or where there is a fault the safe one.
    pub action: Action<'m>,
    /// Why the action is the safe one.
    pub fault: Option<Fault>,
}

/// Why an action is the safe one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The image was refused: no step will act.
    #[error("image: {0}")]
    Image(#[from] VerifyError),
    /// The image is of another machine, as the safe action could not be its action: no step will act.
    #[error("image: {0}")]
    Safe(#[from] SafeError),
    /// This step gave no action; the state is what it was before.
    #[error("step: {0}")]
    Step(#[from] StepError),
}

/// Why a safe action could not be a policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SafeError {
    /// One is a number, the other a vector, or a number a group.
    #[error(
        "the policy's actions and the safe action are not of one kind: number, vector, number a group"
    )]
    Kind,
    /// The policy has no such action.
    #[error("the safe action is {found}: the policy has {actions} actions, counted from 0")]
    Action {
        /// The policy's actions.
        actions: usize,
        /// The safe action.
        found: usize,
    },
    /// A group of the policy has no such action.
    #[error(
        "the safe action is {found} in group {group}: the policy has {actions} actions there, counted from 0"
    )]
    Group {
        /// The group.
        group: usize,
        /// Its actions.
        actions: u32,
        /// The safe action.
        found: u32,
    },
    /// The policy's vectors have another length, or it has more or fewer groups.
    #[error("the safe action has {found} dimensions or groups: the policy's have {expected}")]
    Dimensions {
        /// Of the policy's actions.
        expected: usize,
        /// Of the safe action.
        found: usize,
    },
    /// A value of the safe action is infinite or not a number.
    #[error("the safe action's value {dimension} is not finite")]
    NonFinite {
        /// Its dimension.
        dimension: usize,
    },
    /// A value of the safe action lies outside of what the policy's actions can be.
    #[error("the safe action's value {dimension} is outside of [-1, 1], where the policy's are")]
    Range {
        /// Its dimension.
        dimension: usize,
    },
}

impl<'a> Guarded<'a> {
    /// Guards the policy of an image that was accepted or refused, by
    /// [`Image::new_checked`] or [`Image::new_verified`].
    ///
    /// An image whose actions could never be `safe` (fewer actions, another length, numbers for
    /// vectors, values beyond a squashed Gaussian's) was made for another machine: it is refused as a [`Fault::Safe`].
    pub fn new<E: Into<VerifyError>>(image: Result<Image<'a>, E>, safe: Action<'a>) -> Self {
        let policy =
            image
                .map_err(|error| Fault::Image(error.into()))
                .and_then(|image| match suits(safe, image.head()) {
                    Ok(()) => Ok(Policy::new(image)),
                    Err(error) => Err(Fault::Safe(error)),
                });
        Guarded { policy, safe }
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// The fault that every step has, where the image was refused.
    pub fn policy(&self) -> Result<&Policy<'a>, Fault> {
        self.policy.as_ref().map_err(|&fault| fault)
    }

    /// The safe action.
    pub fn safe(&self) -> Action<'a> {
        self.safe
    }

    /// Begins an episode, as [`Policy::reset`] does.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; the steps that follow have it too.
    pub fn reset(&self, memory: &mut [f32]) -> Result<(), Fault> {
        Ok(self.policy()?.reset(memory)?)
    }

    /// The policy's action without chance, by [`Policy::step`], or the safe one.
    pub fn step<'m>(&'m self, observation: &[f32], memory: &'m mut [f32]) -> Acted<'m> {
        self.guard(|policy| policy.step(observation, memory))
    }

    /// An action drawn by [`Policy::step_sampled`], or the safe one.
    pub fn step_sampled<'m>(
        &'m self,
        observation: &[f32],
        memory: &'m mut [f32],
        rng: &mut impl Rng,
    ) -> Acted<'m> {
        self.guard(|policy| policy.step_sampled(observation, memory, rng))
    }

    /// The best action that `mask` allows, by [`Policy::step_masked`], or the safe one, which
    /// the mask does not bind.
    pub fn step_masked<'m>(
        &'m self,
        observation: &[f32],
        mask: &[bool],
        memory: &'m mut [f32],
    ) -> Acted<'m> {
        self.guard(|policy| policy.step_masked(observation, mask, memory))
    }

    /// An action drawn among those that `mask` allows, by [`Policy::step_sampled_masked`], or the
    /// safe one, which the mask does not bind.
    pub fn step_sampled_masked<'m>(
        &'m self,
        observation: &[f32],
        mask: &[bool],
        memory: &'m mut [f32],
        rng: &mut impl Rng,
    ) -> Acted<'m> {
        self.guard(|policy| policy.step_sampled_masked(observation, mask, memory, rng))
    }

    fn guard<'m>(
        &'m self,
        act: impl FnOnce(&'m Policy<'a>) -> Result<Action<'m>, StepError>,
    ) -> Acted<'m> {
        let acted = self.policy().and_then(|policy| Ok(act(policy)?));
        match acted {
            Ok(action) => Acted {
                action,
                fault: None,
            },
            Err(fault) => Acted {
                action: self.safe,
                fault: Some(fault),
            },
        }
    }
}

/// Whether a policy with this head could take the safe action.
fn suits(safe: Action<'_>, head: Head<'_>) -> Result<(), SafeError> {
    match (safe, head) {
        (Action::Discrete(found), Head::Categorical { actions }) => match found < actions {
            true => Ok(()),
            false => Err(SafeError::Action { actions, found }),
        },
        (Action::MultiDiscrete(safe), Head::MultiDiscrete { sizes }) => {
            let (expected, found) = (sizes.len(), safe.len());
            if found != expected {
                return Err(SafeError::Dimensions { expected, found });
            }
            let groups = safe.iter().zip(sizes).enumerate();
            for (group, (&found, &actions)) in groups {
                if found >= actions {
                    return Err(SafeError::Group {
                        group,
                        actions,
                        found,
                    });
                }
            }
            Ok(())
        }
        (Action::Continuous(safe), head) if head.is_continuous() => {
            let (expected, found) = (head.inputs(), safe.len());
            if found != expected {
                return Err(SafeError::Dimensions { expected, found });
            }
            if let Some(dimension) = safe.iter().position(|value| !value.is_finite()) {
                return Err(SafeError::NonFinite { dimension });
            }
            let outside = |value: &f32| matches!(head, Head::Gaussian { .. }) && value.abs() > 1.0;
            match safe.iter().position(outside) {
                None => Ok(()),
                Some(dimension) => Err(SafeError::Range { dimension }),
            }
        }
        _ => Err(SafeError::Kind),
    }
}
