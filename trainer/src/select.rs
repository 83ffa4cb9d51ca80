//! Choosing between arms by what their images earn.
//!
//! Every arm's marginals become policy images, act greedily through `consort-runtime`, and are
//! judged by their returns in evaluation episodes: what is compared is what would be flashed, and
//! only what the environment paid decides. All arms of a run face the same episodes, so what
//! differs between their returns is what differs between their policies. Two rounds spend the
//! episodes where they matter: a few on every arm, the rest on the finalists.

use rand_core::Rng;

use crate::config::Budget;
use crate::env::Task;
use crate::export::actors;
use crate::net::NetworkWeights;
use crate::rng::Stream;
use crate::team::{Actors, Choice};

/// What one arm's team earned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Episodes played.
    pub episodes: u64,
    /// Mean return; −∞ for a network that diverged and can be no image.
    pub mean: f64,
}

/// How a team was chosen among the arms.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The arm that did best in the last round; of equals, the one that was ahead in the first.
    pub chosen: usize,
    /// The last evaluation of every arm, in order (none where there was nothing to choose).
    pub evaluations: Vec<Option<Evaluation>>,
    env_steps: u64,
}

impl Selection {
    /// Environment steps that the evaluation took.
    pub fn env_steps(&self) -> u64 {
        self.env_steps
    }
}

/// Chooses among the arms of the run seeded with `seed`. `arms`: each arm's networks, one an agent.
pub(crate) fn select(
    budget: &Budget,
    task: &Task,
    seed: u64,
    arms: &[&[NetworkWeights]],
) -> Selection {
    let mut selection = Selection {
        chosen: 0,
        evaluations: vec![None; arms.len()],
        env_steps: 0,
    };
    if arms.len() == 1 {
        return selection;
    }
    let teams: Vec<Option<Actors>> = arms.iter().map(|networks| actors(networks).ok()).collect();
    let mut candidates: Vec<usize> = (0..arms.len()).collect();
    for (round, episodes) in [budget.preliminary, budget.decisive]
        .into_iter()
        .enumerate()
    {
        let seed = Stream::new(seed, "evaluation", round as u64).next_u64();
        for &arm in &candidates {
            let mean = teams[arm].as_ref().map_or(f64::NEG_INFINITY, |team| {
                let returns = team.play(task, episodes, seed, Choice::Greedy);
                returns.map_or(f64::NEG_INFINITY, |returns| returns.mean)
            });
            selection.evaluations[arm] = Some(Evaluation {
                episodes: episodes as u64,
                mean,
            });
            selection.env_steps += episodes as u64;
        }
        let score = |arm: usize| {
            let evaluation = selection.evaluations[arm];
            evaluation.map_or(f64::NEG_INFINITY, |evaluation| evaluation.mean)
        };
        // A stable sort: of equals, the earlier arm stays ahead.
        candidates.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        candidates.truncate(budget.finalists);
    }
    selection.chosen = candidates[0];
    selection
}
