//! Decentralised partially observable Markov decision processes, checked when made.
//!
//! Bernstein, Givan, Immerman & Zilberstein, *The Complexity of Decentralized Control of Markov
//! Decision Processes*, Mathematics of Operations Research 27(4), 2002: in state s the team takes
//! the joint action a, goes to s' with probability T(s, a, s'), agent i sees its part of o, which
//! has probability O(a, s', o), and all are paid R(s, a, s', o) together.

mod tables;

use crate::env::game::LARGEST_PAYOFF;
use crate::env::joint::JointSpace;
use tables::check_length;
pub use tables::{ModelError, Names, Rewards, RowName, Spaces, Tables, Values};

/// The most entries that any one table may have before zeros are left out: 128 MiB.
pub const MAX_ENTRIES: usize = 1 << 24;
/// The most states, or actions or observations of one agent.
pub const MAX_SET: usize = 4096;

/// How far from 1 the probabilities of a row may sum: thirds typed with four digits pass.
const SUM_TOLERANCE: f64 = 1.000_001e-4;
/// Sums nearer to 1 than this are left as they are: they are rounding.
const SUM_ROUNDING: f64 = 1e-12;

/// A Dec-POMDP. Joint actions and joint observations are counted with agent 0 slowest.
#[derive(Clone, Debug, PartialEq)]
pub struct DecPomdp {
    spaces: Spaces,
    discount: f64,
    values: Values,
    start: Vec<f64>,
    transitions: Rows,
    observations: Rows,
    rewards: Rewards,
    /// R(s, a), `[A, S]`.
    expected: Vec<f64>,
}

/// A distribution over a few of many outcomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The outcomes that can be, ascending.
    pub outcomes: &'a [u32],
    /// Their probabilities.
    pub probabilities: &'a [f64],
}

impl Row<'_> {
    /// Outcomes and probabilities.
    pub fn iter(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let outcomes = self.outcomes.iter().map(|&outcome| outcome as usize);
        outcomes.zip(self.probabilities.iter().copied())
    }
}

impl DecPomdp {
    /// A model of these spaces and tables. Rows that were typed with few digits are normalised
    /// to sum to 1; costs become negative rewards.
    ///
    /// # Errors
    /// Where a table has the wrong length, a row is no distribution or a number is out of range.
    pub fn new(
        spaces: Spaces,
        discount: f64,
        values: Values,
        mut tables: Tables,
    ) -> Result<Self, ModelError> {
        if !(0.0..=1.0).contains(&discount) {
            return Err(ModelError::Discount { found: discount });
        }
        let (rows, states) = (spaces.rows(), spaces.states());
        let seen = spaces.observations.count();
        check_length("start", tables.start.len(), states)?;
        check_length("T", tables.transitions.len(), rows * states)?;
        check_length("O", tables.observations.len(), rows * seen)?;
        let (rewards, expected) = match &mut tables.rewards {
            Rewards::State(rewards) => (rewards, rows),
            Rewards::Successor(rewards) => (rewards, rows * states),
            Rewards::Observation(rewards) => (rewards, rows * states * seen),
        };
        check_length("R", rewards.len(), expected)?;
        if let Some(&found) = rewards.iter().find(|r| !is_reward(**r)) {
            return Err(ModelError::Reward { found });
        }
        if values == Values::Cost {
            // 0 − x, for −x would print a cost of nothing as −0.
            rewards
                .iter_mut()
                .for_each(|reward| *reward = 0.0 - *reward);
        }

        normalise(&mut tables.start, RowName::Start, &spaces)?;
        for (row, transitions) in tables.transitions.chunks_exact_mut(states).enumerate() {
            let (action, state) = (row / states, row % states);
            normalise(transitions, RowName::Transition { action, state }, &spaces)?;
        }
        for (row, observations) in tables.observations.chunks_exact_mut(seen).enumerate() {
            let (action, state) = (row / states, row % states);
            normalise(
                observations,
                RowName::Observation { action, state },
                &spaces,
            )?;
        }
        let mut model = Self {
            discount,
            values,
            start: tables.start,
            transitions: Rows::new(&tables.transitions, states),
            observations: Rows::new(&tables.observations, seen),
            rewards: tables.rewards,
            expected: Vec::new(),
            spaces,
        };
        model.expected = (0..rows)
            .map(|row| model.expectation(row / states, row % states))
            .collect();
        Ok(model)
    }

    /// Names and joint spaces.
    pub fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    /// N.
    pub fn agents(&self) -> usize {
        self.spaces.names.agents.len()
    }

    /// |S|.
    pub fn states(&self) -> usize {
        self.spaces.states()
    }

    /// The joint actions.
    pub fn actions(&self) -> &JointSpace {
        &self.spaces.actions
    }

    /// The joint observations.
    pub fn observations(&self) -> &JointSpace {
        &self.spaces.observations
    }

    /// The discount that the model names. With a finite horizon nothing is discounted.
    pub fn discount(&self) -> f64 {
        self.discount
    }

    /// Whether the numbers came as rewards or as costs. [`Self::reward`] gives rewards always.
    pub fn values(&self) -> Values {
        self.values
    }

    /// P(s) at the start, `[S]`.
    pub fn start(&self) -> &[f64] {
        &self.start
    }

    /// T(s, a, ·).
    pub fn transition(&self, state: usize, action: usize) -> Row<'_> {
        self.transitions.row(action * self.states() + state)
    }

    /// O(a, s', ·): what is seen on arriving in `successor` by `action`.
    pub fn observation(&self, action: usize, successor: usize) -> Row<'_> {
        self.observations.row(action * self.states() + successor)
    }

    /// R(s, a, s', o).
    pub fn reward(&self, state: usize, action: usize, successor: usize, seen: usize) -> f64 {
        let states = self.states();
        let row = action * states + state;
        match &self.rewards {
            Rewards::State(rewards) => rewards[row],
            Rewards::Successor(rewards) => rewards[row * states + successor],
            Rewards::Observation(rewards) => {
                rewards[(row * states + successor) * self.observations().count() + seen]
            }
        }
    }

    /// R(s, a) = Σ_{s', o} T(s, a, s') O(a, s', o) R(s, a, s', o).
    pub fn expected_reward(&self, state: usize, action: usize) -> f64 {
        self.expected[action * self.states() + state]
    }

    /// The least and the greatest R(s, a).
    pub fn reward_range(&self) -> (f64, f64) {
        let ends = (f64::INFINITY, f64::NEG_INFINITY);
        let rewards = self.expected.iter();
        rewards.fold(ends, |(low, high), &r| (low.min(r), high.max(r)))
    }

    fn expectation(&self, action: usize, state: usize) -> f64 {
        if let Rewards::State(rewards) = &self.rewards {
            return rewards[action * self.states() + state];
        }
        let successors = self.transition(state, action);
        let terms = successors.iter().map(|(successor, p)| {
            let seen = self.observation(action, successor);
            let reward = |(o, q)| q * self.reward(state, action, successor, o);
            p * seen.iter().map(reward).sum::<f64>()
        });
        terms.sum()
    }
}

/// A table of distributions without its zeros.
#[derive(Clone, Debug, PartialEq)]
struct Rows {
    /// Where each row begins, and where the last one ends.
    starts: Vec<usize>,
    outcomes: Vec<u32>,
    probabilities: Vec<f64>,
}

impl Rows {
    fn new(table: &[f64], width: usize) -> Self {
        let mut rows = Self {
            starts: vec![0],
            outcomes: Vec::new(),
            probabilities: Vec::new(),
        };
        for row in table.chunks_exact(width) {
            for (outcome, &p) in row.iter().enumerate().filter(|&(_, &p)| p > 0.0) {
                rows.outcomes.push(outcome as u32);
                rows.probabilities.push(p);
            }
            rows.starts.push(rows.outcomes.len());
        }
        rows
    }

    fn row(&self, row: usize) -> Row<'_> {
        let range = self.starts[row]..self.starts[row + 1];
        Row {
            outcomes: &self.outcomes[range.clone()],
            probabilities: &self.probabilities[range],
        }
    }
}

/// Whether rewards, which are f32, can hold a number.
pub(super) fn is_reward(number: f64) -> bool {
    number.abs() <= LARGEST_PAYOFF
}

fn normalise(row: &mut [f64], name: RowName, spaces: &Spaces) -> Result<(), ModelError> {
    // Not `p > 1`: typed digits may exceed it, and the sum is checked.
    if let Some(&found) = row.iter().find(|p| !(p.is_finite() && **p >= 0.0)) {
        let row = spaces.row_name(name);
        return Err(ModelError::Probability { row, name, found });
    }
    let sum: f64 = row.iter().sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        let row = spaces.row_name(name);
        return Err(ModelError::Sum { row, name, sum });
    }
    if (sum - 1.0).abs() > SUM_ROUNDING {
        row.iter_mut().for_each(|p| *p /= sum);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
