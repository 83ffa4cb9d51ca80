//! A team in whole numbers: rounded, compared with itself in `f32`, and fine-tuned where that is asked for.

use serde::{Deserialize, Serialize};

use super::images::{self, Stamp};
use super::{ExportError, judging_episodes};
use crate::env::Task;
use crate::net::NetworkWeights;
use crate::quantise::{CALIBRATION_STEPS, Comparison, IntegerNetwork, compare, fine_tune};
use crate::team::{Actors, Choice, Seen};

/// When the networks of a team are fine-tuned under quantisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FineTuning {
    /// Where rounding alone [loses](Comparison::loses) too much.
    #[default]
    Needed,
    /// In any case.
    Always,
    /// In none.
    Never,
}

/// What fine-tuning came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTuned {
    /// Whether the images are the fine-tuned ones: the better of both are.
    pub kept: bool,
    /// The comparison of the images that are not kept.
    pub other: Comparison,
}

/// A team's images in whole numbers, and how they were found.
pub(super) struct Rounded {
    pub(super) actors: Actors,
    pub(super) comparison: Comparison,
    pub(super) fine_tuned: Option<FineTuned>,
}

/// Agents of `exact`'s networks in whole numbers, calibrated on that team's own episodes, and what rounding changed.
pub(super) fn round(
    stamp: Stamp,
    exact: &Actors,
    networks: &[NetworkWeights],
    task: &Task,
    act: Choice,
    seed: u64,
    fine_tuning: FineTuning,
) -> Result<Rounded, ExportError> {
    let drawn = exact.traces(task, CALIBRATION_STEPS, seed, Choice::Sampled)?;
    let greedy = exact.traces(task, CALIBRATION_STEPS, seed, Choice::Greedy)?;
    let seen: Vec<_> = (drawn.iter().zip(&greedy))
        .map(|(drawn, greedy)| [drawn.as_slice(), greedy].concat())
        .collect();
    // Other episodes than those that calibrate and teach.
    let unseen = exact.traces(task, CALIBRATION_STEPS, seed + 1, act)?;
    let episodes = judging_episodes(task.spec().horizon);
    let judge = |team: &Actors| compare(exact, team, task, act, &unseen, episodes, seed);

    let actors = calibrated(stamp, networks, &seen)?;
    let comparison = judge(&actors)?;
    let wanted = match fine_tuning {
        FineTuning::Needed => comparison.loses(),
        FineTuning::Always => true,
        FineTuning::Never => false,
    };
    if !wanted {
        return Ok(Rounded {
            actors,
            comparison,
            fine_tuned: None,
        });
    }
    let tuned = (networks.iter().zip(&seen).enumerate())
        .map(|(agent, (network, seen))| {
            fine_tune(network, seen, seed, agent)
                .map_err(|source| ExportError::Quantise { agent, source })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let tuned = calibrated(stamp, &tuned, &seen)?;
    let compared = judge(&tuned)?;
    let kept = compared.beats(&comparison);
    let (actors, comparison, other) = match kept {
        true => (tuned, compared, comparison),
        false => (actors, comparison, compared),
    };
    Ok(Rounded {
        actors,
        comparison,
        fine_tuned: Some(FineTuned { kept, other }),
    })
}

/// Agents of `networks` in whole numbers whose ranges are those of what each saw.
fn calibrated(
    stamp: Stamp,
    networks: &[NetworkWeights],
    seen: &[Vec<Seen>],
) -> Result<Actors, ExportError> {
    let one = |(agent, (network, seen)): (usize, (&NetworkWeights, &Vec<Seen>))| {
        let integer = IntegerNetwork::new(network, seen)
            .map_err(|source| ExportError::Quantise { agent, source })?;
        images::emit_integer(stamp, [agent, networks.len()], &integer)
    };
    let images = networks.iter().zip(seen).enumerate().map(one);
    Ok(Actors::new(images.collect::<Result<_, _>>()?))
}
