//! T, O and R: entry over entry into dense tables.

use super::ParseError;
use super::entries::Entry;
use super::fields::{Axis, Data, actions, expect_count, fields, numbers, selection};
use crate::env::decpomdp::model::{MAX_ENTRIES, Rewards, Spaces, Tables, is_reward};

/// The tables so far.
pub(super) struct Rules<'a> {
    spaces: &'a Spaces,
    transitions: Table,
    observations: Table,
    rewards: Rewards,
}

/// A table of distributions, and which line last wrote to each of its rows.
struct Table {
    /// `[A, S, width]`.
    entries: Vec<f64>,
    width: usize,
    /// `[A, S]`; 0: none.
    lines: Vec<usize>,
}

/// Which line last wrote to which row.
pub(super) struct Lines {
    states: usize,
    transitions: Vec<usize>,
    observations: Vec<usize>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(spaces: &'a Spaces) -> Self {
        let (rows, states) = (spaces.rows(), spaces.states());
        let table = |width: usize| Table {
            entries: vec![0.0; rows * width],
            width,
            lines: vec![0; rows],
        };
        Self {
            spaces,
            transitions: table(states),
            observations: table(spaces.observations.count()),
            rewards: Rewards::State(vec![0.0; rows]),
        }
    }

    /// `T: a : s : s' : p`, `T: a : s : <row>` or `T: a : <matrix>`.
    pub(super) fn transition(&mut self, entry: &Entry<'_>) -> Result<(), ParseError> {
        let spaces = self.spaces;
        distribute(spaces, &mut self.transitions, entry, Axis::State)
    }

    /// `O: a : s' : o : p`, `O: a : s' : <row>` or `O: a : <matrix>`.
    pub(super) fn observation(&mut self, entry: &Entry<'_>) -> Result<(), ParseError> {
        let spaces = self.spaces;
        distribute(spaces, &mut self.observations, entry, Axis::Seen)
    }

    /// `R: a : s : s' : o : r`, `R: a : s : s' : <row>` or `R: a : s : <matrix>`.
    pub(super) fn reward(&mut self, entry: &Entry<'_>) -> Result<(), ParseError> {
        let spaces = self.spaces;
        let (fields, data) = fields(entry)?;
        let expected = "an action, a state, a state, an observation and a number, with colons \
                        between them, or two or three of these and a table";
        if !(2..=4).contains(&fields.len()) {
            return Err(entry.error(None, format!("{} colons", fields.len()), expected));
        }
        let actions = actions(spaces, entry, &fields[0])?;
        let states = selection(spaces, entry, &fields[1], Axis::State)?;
        let data = numbers(entry, &data)?;
        for (value, word) in &data {
            if !is_reward(*value) {
                return Err(entry.wrong(*word, "a number of at most 1e37 in size"));
            }
        }
        let after = (fields.get(2)).map(|field| selection(spaces, entry, field, Axis::State));
        let seen = (fields.get(3)).map(|field| selection(spaces, entry, field, Axis::Seen));
        let (after, seen) = (after.transpose()?, seen.transpose()?);
        let (successors, width) = (spaces.states(), spaces.observations.count());
        let count = match (&after, &seen) {
            (_, Some(_)) => 1,
            (Some(_), None) => width,
            (None, None) => successors * width,
        };
        expect_count(
            entry,
            data.len(),
            count,
            data.first().map(|(_, word)| *word),
        )?;

        // As little detail as says it: R(s, a) is all that most models have.
        let all = |selection: &Option<Vec<usize>>, size| {
            selection.as_ref().is_some_and(|list| list.len() == size)
        };
        let detail = match (all(&after, successors), all(&seen, width)) {
            (true, true) => 0,
            (false, true) => 1,
            _ => 2,
        };
        self.refine(entry, detail)?;
        let after = after.unwrap_or_else(|| (0..successors).collect());
        let seen = seen.unwrap_or_else(|| (0..width).collect());
        let single = data.len() == 1;
        for &action in &actions {
            for &state in &states {
                let row = action * successors + state;
                match &mut self.rewards {
                    Rewards::State(rewards) => rewards[row] = data[0].0,
                    Rewards::Successor(rewards) => {
                        for s in &after {
                            rewards[row * successors + s] = data[0].0;
                        }
                    }
                    Rewards::Observation(rewards) => {
                        for (i, s) in after.iter().enumerate() {
                            let rewards = &mut rewards[(row * successors + s) * width..][..width];
                            // A row holds for every state it is given for; a matrix has one each.
                            let i = if data.len() > width { i } else { 0 };
                            for (j, o) in seen.iter().enumerate() {
                                rewards[*o] = data[if single { 0 } else { i * width + j }].0;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The tables, and the lines they come from.
    pub(super) fn finish(self, start: Vec<f64>) -> (Tables, Lines) {
        let tables = Tables {
            start,
            transitions: self.transitions.entries,
            observations: self.observations.entries,
            rewards: self.rewards,
        };
        let lines = Lines {
            states: self.spaces.states(),
            transitions: self.transitions.lines,
            observations: self.observations.lines,
        };
        (tables, lines)
    }

    /// Makes room for rewards that depend on s' (1) or on s' and o (2).
    fn refine(&mut self, entry: &Entry<'_>, detail: usize) -> Result<(), ParseError> {
        let (states, seen) = (self.spaces.states(), self.spaces.observations.count());
        let spread = |rewards: &[f64], times: usize| -> Result<Vec<f64>, ParseError> {
            let size = rewards.len() as f64 * times as f64;
            if size > MAX_ENTRIES as f64 {
                let found = format!("rewards that need about {size:.1e} entries");
                let expected = format!("at most {MAX_ENTRIES}: `*` where they do not depend on it");
                return Err(entry.error(None, found, expected));
            }
            let copies = rewards.iter().flat_map(|&r| std::iter::repeat_n(r, times));
            Ok(copies.collect())
        };
        self.rewards = match (&self.rewards, detail) {
            (Rewards::State(rewards), 1) => Rewards::Successor(spread(rewards, states)?),
            (Rewards::State(rewards), 2) => Rewards::Observation(spread(rewards, states * seen)?),
            (Rewards::Successor(rewards), 2) => Rewards::Observation(spread(rewards, seen)?),
            _ => return Ok(()),
        };
        Ok(())
    }
}

impl Lines {
    /// The line that last wrote to T(s, a, ·).
    pub(super) fn transition(&self, action: usize, state: usize) -> Option<usize> {
        Some(self.transitions[action * self.states + state]).filter(|&line| line > 0)
    }

    /// The line that last wrote to O(a, s', ·).
    pub(super) fn observation(&self, action: usize, state: usize) -> Option<usize> {
        Some(self.observations[action * self.states + state]).filter(|&line| line > 0)
    }
}

/// One entry of T or of O into its table; `outcome` is what its rows are distributions over.
fn distribute(
    spaces: &Spaces,
    table: &mut Table,
    entry: &Entry<'_>,
    outcome: Axis,
) -> Result<(), ParseError> {
    let (states, width) = (spaces.states(), table.width);
    let (fields, data) = fields(entry)?;
    let what = match outcome {
        Axis::State => "a state",
        Axis::Seen => "an observation",
    };
    if !(1..=3).contains(&fields.len()) {
        let expected = format!(
            "an action, a state, {what} and a probability, with colons between them, or one or \
             two of these and a table"
        );
        return Err(entry.error(None, format!("{} colons", fields.len()), expected));
    }
    let actions = actions(spaces, entry, &fields[0])?;
    let rows = match fields.get(1) {
        Some(field) => selection(spaces, entry, field, Axis::State)?,
        None => (0..states).collect(),
    };
    let outcomes = fields
        .get(2)
        .map(|field| selection(spaces, entry, field, outcome));
    let outcomes = outcomes.transpose()?;
    // The numbers, and how many of them each row of the table takes (0: all rows the same).
    let (values, step): (Vec<f64>, usize) = match (data, fields.len()) {
        (Data::Uniform(_), 1 | 2) => (vec![1.0 / width as f64; width], 0),
        (Data::Identity(word), 1) if width != states => {
            let expected = format!("a matrix of {states} × {width}: the identity is square");
            return Err(entry.wrong(word, expected));
        }
        (Data::Identity(_), 1) => {
            let cell = |index| {
                if index / states == index % states {
                    1.0
                } else {
                    0.0
                }
            };
            ((0..states * states).map(cell).collect(), width)
        }
        (Data::Uniform(word) | Data::Identity(word), _) => {
            let what = if fields.len() == 3 {
                "a probability"
            } else {
                "probabilities"
            };
            return Err(entry.wrong(word, what));
        }
        (data, fields) => {
            let values = numbers(entry, &data)?;
            let count = [states * width, width, 1][fields - 1];
            expect_count(
                entry,
                values.len(),
                count,
                values.first().map(|(_, word)| *word),
            )?;
            for (value, word) in &values {
                if *value < 0.0 || *value > 1.0 + 1e-9 {
                    return Err(entry.wrong(*word, "a probability (a number from 0 to 1)"));
                }
            }
            let values = values.into_iter().map(|(value, _)| value).collect();
            (values, if fields == 1 { width } else { 0 })
        }
    };
    for &action in &actions {
        for &state in &rows {
            let row = action * states + state;
            table.lines[row] = entry.line;
            let target = &mut table.entries[row * width..][..width];
            match &outcomes {
                Some(outcomes) => outcomes
                    .iter()
                    .for_each(|&outcome| target[outcome] = values[0]),
                None => target.copy_from_slice(&values[state * step..][..width]),
            }
        }
    }
    Ok(())
}
