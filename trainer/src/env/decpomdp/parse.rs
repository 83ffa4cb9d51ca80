//! Dec-POMDPs as text: the `.dpomdp` format of the MADP toolbox.
//!
//! Oliehoek, Spaan, Terwijn, Robbel & Messias, *The MADP Toolbox: An Open Source Library for
//! Planning and Learning in (Multi-)Agent Systems*, JMLR 18, 2017, after Cassandra's format for
//! POMDPs; specified by the comments of the toolbox's `problems/example.dpomdp`.
//!
//! ```text
//! agents: 2                             # or their names
//! discount: 1
//! values: reward                        # or cost
//! states: left right                    # or their number
//! start: uniform                        # a state, probabilities, include: or exclude: states
//! actions:                              # a line an agent: names or a number
//! listen open-left open-right
//! listen open-left open-right
//! observations:
//! 2
//! 2
//! T: * : uniform                        # a matrix, as T: <joint action> : <S × S'>
//! T: listen listen : left : 1 0         # a row, as T: <joint action> : <state> : <S'>
//! O: listen * : left : 0 0 : 0.7225     # one entry; O is by joint action and the state after it
//! R: 4 : * : * : * : -50                # joint action 4, whatever is before, after and seen
//! ```
//!
//! Two liberties beyond the toolbox's own reader: blank lines and comments may stand anywhere, and
//! the head entries may come in any order. What stands on a later line overrides what an earlier
//! one said.

mod entries;
mod fields;
mod preamble;
mod rules;

use super::model::{DecPomdp, ModelError, RowName};
use entries::{Key, entries};
use preamble::Preamble;
use rules::Rules;

/// Why a text describes no Dec-POMDP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{at}: found {found}, expected {expected}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct ParseError {
    /// The line, from 1; `None` for what is missing altogether.
    pub line: Option<usize>,
    /// The entry, as in `T: listen listen`.
    pub at: String,
    /// What stands there.
    pub found: String,
    /// What belongs there.
    pub expected: String,
}

/// The Dec-POMDP that a text describes.
///
/// # Errors
/// The first defect, with its line.
pub fn parse(text: &str) -> Result<DecPomdp, ParseError> {
    let entries = entries(text)?;
    let preamble = Preamble::read(&entries)?;
    let mut rules = Rules::new(&preamble.spaces);
    for entry in &entries {
        match entry.key {
            Key::Transition => rules.transition(entry)?,
            Key::Observation => rules.observation(entry)?,
            Key::Reward => rules.reward(entry)?,
            _ => {}
        }
    }
    let (tables, lines) = rules.finish(preamble.start);
    let (discount, values) = (preamble.discount, preamble.values);
    DecPomdp::new(preamble.spaces, discount, values, tables).map_err(|error| match error {
        ModelError::Sum { row, name, sum } => {
            let line = match name {
                RowName::Start => Some(preamble.start_line),
                RowName::Transition { action, state } => lines.transition(action, state),
                RowName::Observation { action, state } => lines.observation(action, state),
            };
            let found = match line {
                Some(_) => format!("probabilities that sum to {sum:.6}"),
                None => "nothing".to_owned(),
            };
            ParseError {
                line,
                at: row,
                found,
                expected: "probabilities that sum to 1 (within 1e-4)".to_owned(),
            }
        }
        // Every number was checked when it was read.
        other => ParseError {
            line: None,
            at: "model".to_owned(),
            found: other.to_string(),
            expected: "a model".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests;
