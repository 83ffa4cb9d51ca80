//! Two teams of the same networks, one of them rounded: how often they agree, and what that costs.

use std::cmp::Ordering;

use consort_runtime::StepError;
use serde::{Deserialize, Serialize};

use crate::env::Task;
use crate::team::{Actors, Choice, Decision, Seen};

/// The part of its return that a team may lose by being rounded without a word.
pub const TOLERATED: f64 = 0.01;

/// What rounding changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Steps of one agent each, on the exact team's episodes, at which both were asked.
    pub steps: u64,
    /// The fraction of them at which both take the same greedy action; none where actions are vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// The mean absolute difference of a logit, or of a number of an action's vector.
    pub error_mean: f64,
    /// The largest.
    pub error_max: f64,
    /// The exact team's return, as the team acts, over the same episodes as the rounded one's.
    pub return_f32: f64,
    /// Half of its 95 % interval, where it is a mean over episodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_f32_interval: Option<f64>,
    /// The rounded team's.
    pub return_i8: f64,
    /// Half of its 95 % interval, where it is a mean over episodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_i8_interval: Option<f64>,
}

impl Comparison {
    /// The part of the exact team's return that rounding costs: negative where it brings some; none where
    /// that team earns nothing.
    pub fn lost(&self) -> Option<f64> {
        let scale = self.return_f32.abs();
        (scale > 0.0).then(|| (self.return_f32 - self.return_i8) / scale)
    }

    /// Whether the images of this comparison are to be preferred to those of another with the same team: those that earn more,
    /// where that is more than chance, else those that act more often as the team does, else those nearer to it.
    pub fn beats(&self, other: &Self) -> bool {
        let chance =
            self.return_i8_interval.unwrap_or(0.0) + other.return_i8_interval.unwrap_or(0.0);
        let more = self.return_i8 - other.return_i8;
        if more.abs() > chance {
            return more > 0.0;
        }
        match self.agreement.partial_cmp(&other.agreement) {
            None | Some(Ordering::Equal) => self.error_mean < other.error_mean,
            Some(ordering) => ordering.is_gt(),
        }
    }

    /// Whether rounding costs more than [`TOLERATED`] of the return, and more than the intervals of both means.
    pub fn loses(&self) -> bool {
        let chance =
            self.return_f32_interval.unwrap_or(0.0) + self.return_i8_interval.unwrap_or(0.0);
        self.lost().is_some_and(|lost| lost > TOLERATED)
            && self.return_f32 - self.return_i8 > chance
    }
}

/// Compares on `seen`, what the exact team's agents saw in its episodes, played as `act` says, and over `episodes` episodes of
/// each (where the task has no exact value).
///
/// # Errors
/// What a step of a policy gives.
pub fn compare(
    exact: &Actors,
    rounded: &Actors,
    task: &Task,
    act: Choice,
    seen: &[Vec<Seen>],
    episodes: usize,
    seed: u64,
) -> Result<Comparison, StepError> {
    let (mut steps, mut same, mut discrete) = (0, 0, false);
    let (mut errors, mut sum, mut most) = (0u64, 0.0, 0.0_f64);
    for (agent, trace) in seen.iter().enumerate() {
        let (mut one, mut other) = (exact.actor(agent), rounded.actor(agent));
        for step in trace {
            if step.start {
                one.reset();
                other.reset();
            }
            let mask = step.mask.as_deref();
            let decisions = [
                one.decide(&step.observation, mask)?,
                other.decide(&step.observation, mask)?,
            ];
            let [one, other] = match &decisions {
                [
                    Decision::Discrete { action, logits },
                    Decision::Discrete {
                        action: found,
                        logits: found_logits,
                    },
                ] => {
                    discrete = true;
                    same += u64::from(action == found);
                    [logits, found_logits]
                }
                [
                    Decision::Groups { choices, logits },
                    Decision::Groups {
                        choices: found,
                        logits: found_logits,
                    },
                ] => {
                    discrete = true;
                    same += u64::from(choices == found);
                    [logits, found_logits]
                }
                [Decision::Continuous(one), Decision::Continuous(other)] => [one, other],
                _ => return Err(StepError::Kind),
            };
            steps += 1;
            for (&one, &other) in one.iter().zip(other) {
                let error = f64::from((one - other).abs());
                errors += 1;
                sum += error;
                most = most.max(error);
            }
        }
    }
    let value = |team: &Actors| match team.exact_value(task, act)? {
        Some(value) => Ok((value, None)),
        None => team
            .play(task, episodes, seed, act)
            .map(|returns| (returns.mean, returns.interval())),
    };
    let (return_f32, return_f32_interval) = value(exact)?;
    let (return_i8, return_i8_interval) = value(rounded)?;
    Ok(Comparison {
        steps,
        agreement: discrete.then(|| same as f64 / steps as f64),
        error_mean: sum / errors as f64,
        error_max: most,
        return_f32,
        return_f32_interval,
        return_i8,
        return_i8_interval,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_counts_where_it_is_more_than_one_per_cent_and_more_than_chance() {
        let compared = |return_f32, return_i8, interval| Comparison {
            steps: 1,
            agreement: None,
            error_mean: 0.0,
            error_max: 0.0,
            return_f32,
            return_f32_interval: interval,
            return_i8,
            return_i8_interval: interval,
        };
        assert!(compared(10.0, 9.89, None).loses());
        assert!(!compared(10.0, 9.91, None).loses());
        // Less is lost of a negative return, too, when it falls.
        assert!(compared(-10.0, -10.2, None).loses());
        assert!(!compared(-10.0, -9.0, None).loses());
        // 2 % by means that are each uncertain by 2 %.
        assert!(!compared(10.0, 9.8, Some(0.2)).loses());
        assert!(compared(10.0, 9.5, Some(0.2)).loses());
        assert!(!compared(0.0, -1.0, None).loses(), "nothing to lose");
    }

    #[test]
    fn what_earns_more_is_better_then_what_agrees_then_what_is_near() {
        let compared = |return_i8, interval, agreement, error_mean| Comparison {
            steps: 1,
            agreement,
            error_mean,
            error_max: 1.0,
            return_f32: 10.0,
            return_f32_interval: interval,
            return_i8,
            return_i8_interval: interval,
        };
        let half = compared(9.0, None, Some(0.5), 0.1);
        assert!(compared(9.1, None, Some(0.4), 0.2).beats(&half));
        assert!(!half.beats(&compared(9.1, None, Some(0.4), 0.2)));
        // By means that are each uncertain by 0.1, 9.1 is no more than 9.
        let uncertain = compared(9.0, Some(0.1), Some(0.5), 0.1);
        assert!(!compared(9.1, Some(0.1), Some(0.4), 0.2).beats(&uncertain));
        assert!(compared(8.9, Some(0.1), Some(0.6), 0.2).beats(&uncertain));
        assert!(compared(9.0, Some(0.1), Some(0.5), 0.09).beats(&uncertain));
        let vectors = compared(9.0, None, None, 0.1);
        assert!(compared(9.0, None, None, 0.05).beats(&vectors));
        assert!(!vectors.beats(&vectors), "nothing is better than itself");
    }
}
