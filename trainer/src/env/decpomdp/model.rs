//! Decentralised partially observable Markov decision processes, checked when made.
//!
//! Bernstein, Givan, Immerman & Zilberstein, *The Complexity of Decentralized Control of Markov
//! Decision Processes*, Mathematics of Operations Research 27(4), 2002: in state s the team takes
//! the joint action a, goes to s' with probability T(s, a, s'), agent i sees its part of o, which
//! has probability O(a, s', o), and all are paid R(s, a, s', o) together.

use crate::env::game::{LARGEST_PAYOFF, MAX_AGENTS};
use crate::env::joint::JointSpace;

/// The most entries that any one table may have before zeros are left out: 128 MiB.
pub const MAX_ENTRIES: usize = 1 << 24;
/// The most states, or actions or observations of one agent.
pub const MAX_SET: usize = 4096;

/// How far from 1 the probabilities of a row may sum: thirds typed with four digits pass.
const SUM_TOLERANCE: f64 = 1.000_001e-4;
/// Sums nearer to 1 than this are left as they are: they are rounding.
const SUM_ROUNDING: f64 = 1e-12;

/// Whether the numbers of a model are to be collected or avoided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// The more the better.
    Reward,
    /// The less the better: a model keeps the negatives as its rewards.
    Cost,
}

/// What everything is called, and by that how much there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The agents, `[N]`.
    pub agents: Vec<String>,
    /// The states, `[|S|]`.
    pub states: Vec<String>,
    /// Each agent's actions, `[N][A_i]`.
    pub actions: Vec<Vec<String>>,
    /// Each agent's observations, `[N][O_i]`.
    pub observations: Vec<Vec<String>>,
}

/// Names whose sizes have been checked, with the joint spaces they span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spaces {
    /// What everything is called.
    pub names: Names,
    /// Joint actions, agent 0 slowest.
    pub actions: JointSpace,
    /// Joint observations, agent 0 slowest.
    pub observations: JointSpace,
}

/// The numbers of a model, dense.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// P(s) at the start, `[S]`.
    pub start: Vec<f64>,
    /// T(s, a, s'), `[A, S, S']`.
    pub transitions: Vec<f64>,
    /// O(a, s', o), `[A, S', O]`.
    pub observations: Vec<f64>,
    /// R(s, a, s', o).
    pub rewards: Rewards,
}

/// Rewards, by as much as they depend on.
#[derive(Clone, Debug, PartialEq)]
pub enum Rewards {
    /// R(s, a), `[A, S]`.
    State(Vec<f64>),
    /// R(s, a, s'), `[A, S, S']`.
    Successor(Vec<f64>),
    /// R(s, a, s', o), `[A, S, S', O]`.
    Observation(Vec<f64>),
}

/// A row of a table of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowName {
    /// The distribution of the first state.
    Start,
    /// T(s, a, ·).
    Transition {
        /// Joint action.
        action: usize,
        /// State before it.
        state: usize,
    },
    /// O(a, s', ·).
    Observation {
        /// Joint action.
        action: usize,
        /// State after it.
        state: usize,
    },
}

/// Why names and numbers do not make a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A set of the wrong size.
    #[error("{what}: found {found}, expected 1 to {most}")]
    Size {
        /// What it is a set of.
        what: String,
        /// Its size.
        found: usize,
        /// The largest size there may be.
        most: usize,
    },
    /// A table would be too large to hold.
    #[error("{table}: found about {entries:.1e} entries, expected at most {MAX_ENTRIES}")]
    TooLarge {
        /// The table.
        table: &'static str,
        /// Its entries.
        entries: f64,
    },
    /// A table has the wrong length, or not one set an agent is given.
    #[error("{table}: found {found} entries, expected {expected}")]
    Length {
        /// The table.
        table: &'static str,
        /// Entries given.
        found: usize,
        /// Entries that the sizes call for.
        expected: usize,
    },
    /// An entry is no probability.
    #[error("{row}: found {found:?}, expected a probability (a number from 0 to 1)")]
    Probability {
        /// The row, in words.
        row: String,
        /// The row.
        name: RowName,
        /// The entry.
        found: f64,
    },
    /// A row does not sum to 1.
    #[error("{row}: found probabilities that sum to {sum:.6}, expected a sum of 1 (within 1e-4)")]
    Sum {
        /// The row, in words.
        row: String,
        /// The row.
        name: RowName,
        /// Its sum.
        sum: f64,
    },
    /// A reward is not finite or too large for f32.
    #[error("reward: found {found:?}, expected a finite number of at most 1e37 in size")]
    Reward {
        /// The reward.
        found: f64,
    },
    /// The discount is none.
    #[error("discount: found {found:?}, expected a number from 0 to 1")]
    Discount {
        /// The discount.
        found: f64,
    },
}

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

impl Spaces {
    /// Checks the sizes.
    ///
    /// # Errors
    /// [`ModelError::Size`], [`ModelError::Length`] or [`ModelError::TooLarge`].
    pub fn new(names: Names) -> Result<Self, ModelError> {
        let agents = names.agents.len();
        check_size("agents".to_owned(), agents, MAX_AGENTS)?;
        check_size("states".to_owned(), names.states.len(), MAX_SET)?;
        let joint = |table: &'static str, sets: &[Vec<String>]| {
            check_length(table, sets.len(), agents)?;
            for (agent, set) in sets.iter().enumerate() {
                check_size(format!("{table} of agent {agent}"), set.len(), MAX_SET)?;
            }
            let sizes: Vec<usize> = sets.iter().map(Vec::len).collect();
            JointSpace::new(&sizes, MAX_ENTRIES).ok_or_else(|| ModelError::TooLarge {
                table,
                entries: sizes.iter().map(|&size| size as f64).product(),
            })
        };
        let actions = joint("actions", &names.actions)?;
        let observations = joint("observations", &names.observations)?;
        let spaces = Self {
            names,
            actions,
            observations,
        };
        let (rows, states) = (spaces.rows() as f64, spaces.states() as f64);
        let seen = spaces.observations.count() as f64;
        for (table, entries) in [("T", rows * states), ("O", rows * seen)] {
            if entries > MAX_ENTRIES as f64 {
                return Err(ModelError::TooLarge { table, entries });
            }
        }
        Ok(spaces)
    }

    /// |S|.
    pub fn states(&self) -> usize {
        self.names.states.len()
    }

    /// Joint actions × states: rows of T and of O.
    pub fn rows(&self) -> usize {
        self.actions.count() * self.states()
    }

    /// Names of a joint action's parts, as in a file: `listen open-left`.
    pub fn action_name(&self, action: usize) -> String {
        let parts = self.actions.split(action).enumerate();
        let names: Vec<&str> = parts
            .map(|(agent, part)| self.names.actions[agent][part].as_str())
            .collect();
        names.join(" ")
    }

    /// A row in words: `T: listen listen : tiger-left`.
    pub fn row_name(&self, row: RowName) -> String {
        let (table, action, state) = match row {
            RowName::Start => return "start".to_owned(),
            RowName::Transition { action, state } => ('T', action, state),
            RowName::Observation { action, state } => ('O', action, state),
        };
        let state = &self.names.states[state];
        format!("{table}: {} : {state}", self.action_name(action))
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

fn check_size(what: String, found: usize, most: usize) -> Result<(), ModelError> {
    match found {
        found if (1..=most).contains(&found) => Ok(()),
        found => Err(ModelError::Size { what, found, most }),
    }
}

fn check_length(table: &'static str, found: usize, expected: usize) -> Result<(), ModelError> {
    match found {
        found if found == expected => Ok(()),
        found => Err(ModelError::Length {
            table,
            found,
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One agent that stays or swaps two rooms, and hears which one it is in, mostly.
    fn rooms(values: Values, rewards: Rewards) -> Result<DecPomdp, ModelError> {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let spaces = Spaces::new(Names {
            agents: names(&["walker"]),
            states: names(&["left", "right"]),
            actions: vec![names(&["stay", "swap"])],
            observations: vec![names(&["hum", "hiss"])],
        })?;
        let tables = Tables {
            start: vec![1.0, 0.0],
            transitions: vec![1.0, 0.0, 0.0, 1.0, 0.25, 0.75, 0.75, 0.25],
            observations: [0.9, 0.1, 0.2, 0.8].repeat(2),
            rewards,
        };
        DecPomdp::new(spaces, 0.9, values, tables)
    }

    #[test]
    fn rewards_are_averaged_over_what_they_depend_on() {
        let by_state = rooms(Values::Reward, Rewards::State(vec![1.0, 2.0, 3.0, 4.0])).unwrap();
        assert_eq!(by_state.expected_reward(1, 0), 2.0);
        assert_eq!(by_state.expected_reward(0, 1), 3.0);
        assert_eq!(by_state.reward(0, 1, 1, 1), 3.0);
        assert_eq!(by_state.reward_range(), (1.0, 4.0));

        let table = (0..8).map(f64::from).collect();
        let by_successor = rooms(Values::Reward, Rewards::Successor(table)).unwrap();
        // Swap in the left room: .25·R(left) + .75·R(right), entries 4 and 5.
        assert_eq!(by_successor.expected_reward(0, 1), 4.75);
        assert_eq!(by_successor.reward(0, 1, 1, 0), 5.0);

        let table = (0..16).map(f64::from).collect();
        let by_seen = rooms(Values::Cost, Rewards::Observation(table)).unwrap();
        // The same with entries 8 to 11: .25 (.9·8 + .1·9) + .75 (.2·10 + .8·11), as a cost.
        let expected = -(0.25 * 8.1 + 0.75 * 10.8);
        assert!((by_seen.expected_reward(0, 1) - expected).abs() < 1e-12);
        assert_eq!(by_seen.reward(0, 1, 1, 0), -10.0);
    }

    #[test]
    fn rows_keep_only_what_can_happen() {
        let model = rooms(Values::Reward, Rewards::State(vec![0.0; 4])).unwrap();
        let stay = model.transition(1, 0);
        assert_eq!((stay.outcomes, stay.probabilities), (&[1][..], &[1.0][..]));
        let seen: Vec<_> = model.observation(1, 1).iter().collect();
        assert_eq!(seen, [(0, 0.2), (1, 0.8)]);
    }

    #[test]
    fn what_is_no_model_says_why() {
        let message = |rewards| rooms(Values::Reward, rewards).unwrap_err().to_string();
        let short = message(Rewards::State(vec![0.0; 3]));
        assert_eq!(short, "R: found 3 entries, expected 4");
        let huge = message(Rewards::State(vec![0.0, f64::NAN, 0.0, 0.0]));
        assert!(
            huge.contains("found NaN, expected a finite number"),
            "{huge}"
        );

        let model = rooms(Values::Reward, Rewards::State(vec![0.0; 4])).unwrap();
        let spaces = model.spaces().clone();
        let tables = |transitions: Vec<f64>| Tables {
            start: vec![0.5, 0.5],
            transitions,
            observations: [0.9, 0.1, 0.2, 0.8].repeat(2),
            rewards: Rewards::State(vec![0.0; 4]),
        };
        let make =
            |transitions| DecPomdp::new(spaces.clone(), 1.0, Values::Reward, tables(transitions));
        let error = make(vec![1.0, 0.0, 0.0, 1.0, 0.25, 0.75, 0.75, 0.2]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "T: swap : right: found probabilities that sum to 0.950000, expected a sum of 1 \
             (within 1e-4)"
        );
        let error = make(vec![1.0, 0.0, 0.0, 1.0, 1.25, -0.25, 0.75, 0.25]).unwrap_err();
        assert!(error.to_string().starts_with("T: swap : left: found -0.25"));
        // A third in four digits: normalised.
        let model = make(vec![1.0, 0.0, 0.0, 1.0, 0.3333, 0.6667, 0.3333, 0.6666]).unwrap();
        let row = model.transition(1, 1);
        assert!((row.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-15);

        let mut large = spaces.names.clone();
        large.states = (0..4097).map(|state| state.to_string()).collect();
        let error = Spaces::new(large.clone()).unwrap_err().to_string();
        assert_eq!(error, "states: found 4097, expected 1 to 4096");
        large.states.truncate(4096);
        let error = Spaces::new(large).unwrap_err().to_string();
        assert!(error.starts_with("T: found about 3.4e7 entries"), "{error}");
    }
}
