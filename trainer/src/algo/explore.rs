//! How value-based teams act: every agent takes what it values most, or, while learning, now and
//! then anything.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::net::choices::largest;
use crate::net::output::flat_indices;
use crate::net::{Choices, FORBIDDEN, Marginals, Rows};
use crate::rng::Stream;

/// ε over time, a fraction of the arm's updates: linear, then constant (Mnih et al. 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exploration {
    /// ε at time 0.
    pub start: f64,
    /// ε from `until` on.
    pub end: f64,
    /// When it gets there.
    pub until: f64,
}

impl Default for Exploration {
    fn default() -> Self {
        Self {
            start: 1.0,
            end: 0.05,
            until: 0.1,
        }
    }
}

impl Exploration {
    /// ε at `time`.
    pub fn at(&self, time: f64) -> f64 {
        match time < self.until {
            true => self.start + (self.end - self.start) * time / self.until,
            false => self.end,
        }
    }
}

/// What every agent values most among what it may do: values `[R, S, N·A]` and a mask that can be
/// added to them → actions `[R, S, N]`.
pub(super) fn best(values: &Tensor, forbidden: &Tensor, agents: usize) -> Result<Tensor> {
    let (replicas, samples, flat) = values.dims3()?;
    let shape = (replicas, samples, agents, flat / agents);
    let allowed = values.detach().broadcast_add(forbidden)?;
    allowed.reshape(shape)?.argmax(3)
}

/// The agents' values of actions: of `[R, S, N·A]` those of `[R, S, N]`.
pub(super) fn of_actions(values: &Tensor, actions: &Tensor, agents: usize) -> Result<Tensor> {
    values.gather(&flat_indices(actions, values, agents)?, 2)
}

/// Draws actions `[R, B, N]` for one row whose features are given; see [`epsilon_greedy`].
pub(super) fn explore(
    marginals: &Marginals,
    features: &[Tensor],
    rows: &Rows,
    forbidden: Option<&Tensor>,
    epsilon: f64,
    streams: &mut [Stream],
) -> Result<Choices> {
    let values = marginals.scores(features, rows)?;
    let values = values.broadcast_add(forbidden.unwrap_or(marginals.padding()))?;
    let actions = values.dim(2)? / marginals.agents();
    let values: Vec<f32> = values.flatten_all()?.to_vec1()?;
    let chosen = epsilon_greedy(&values, actions, epsilon, streams);
    Ok(Choices::Discrete(chosen))
}

/// Every agent takes its best action, or with chance `epsilon` any that it may take. `values`:
/// `[R, S, N, actions]`, what is forbidden near [`FORBIDDEN`]; `streams`: one a replica. Gives
/// `[R, S, N]`.
fn epsilon_greedy(
    values: &[f32],
    actions: usize,
    epsilon: f64,
    streams: &mut [Stream],
) -> Vec<u32> {
    let rows = values.chunks_exact(actions);
    let share = (rows.len() / streams.len()).max(1);
    let choose = |(index, row): (usize, &[f32])| {
        let stream = &mut streams[index / share];
        if stream.uniform() >= epsilon {
            return largest(row) as u32;
        }
        let free = |&(_, &value): &(usize, &f32)| value > FORBIDDEN / 2.0;
        let allowed = row.iter().enumerate().filter(free).count();
        let drawn = (stream.uniform() * allowed as f64) as usize;
        let mut allowed = row.iter().enumerate().filter(free);
        allowed.nth(drawn).map_or(0, |(action, _)| action as u32)
    };
    rows.enumerate().map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_falls_linearly_then_stays() {
        let exploration = Exploration {
            start: 1.0,
            end: 0.2,
            until: 0.5,
        };
        let found = [0.0, 0.25, 0.5, 1.0].map(|time| exploration.at(time));
        for (found, expected) in found.iter().zip([1.0, 0.6, 0.2, 0.2]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }

    /// ε = .6 and three of four actions allowed: the best one .4 + .2, the others .2 each, the
    /// forbidden one never. 20,000 agents: deviations of √(20000·.24) = 69 and 57; five of each.
    #[test]
    fn agents_explore_among_what_they_may_do() {
        let row = [0.5, FORBIDDEN, 2.0, -1.0];
        let mut streams = [Stream::new(1, "explore", 0), Stream::new(2, "explore", 0)];
        let chosen = epsilon_greedy(&row.repeat(20_000), 4, 0.6, &mut streams);
        let mut counts = [0_i32; 4];
        chosen.iter().for_each(|&a| counts[a as usize] += 1);
        for (count, (expected, within)) in
            counts
                .iter()
                .zip([(4000, 285), (0, 0), (12_000, 345), (4000, 285)])
        {
            assert!((count - expected).abs() <= within, "{counts:?}");
        }
        let greedy = epsilon_greedy(&row.repeat(8), 4, 0.0, &mut streams);
        assert_eq!(greedy, [2; 8]);
    }
}
