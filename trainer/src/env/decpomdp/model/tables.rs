//! What a model is made of, and why some things make none.

use super::{MAX_ENTRIES, MAX_SET};
use crate::env::game::MAX_AGENTS;
use crate::env::joint::JointSpace;

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

fn check_size(what: String, found: usize, most: usize) -> Result<(), ModelError> {
    match found {
        found if (1..=most).contains(&found) => Ok(()),
        found => Err(ModelError::Size { what, found, most }),
    }
}

pub(super) fn check_length(
    table: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), ModelError> {
    match found {
        found if found == expected => Ok(()),
        found => Err(ModelError::Length {
            table,
            found,
            expected,
        }),
    }
}
