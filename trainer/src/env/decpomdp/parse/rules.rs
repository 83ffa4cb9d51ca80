//! T, O and R: entry over entry into dense tables.

use super::ParseError;
use super::entries::{Entry, Word, quoted};
use super::preamble::{find, number, one_of};
use crate::env::decpomdp::model::{MAX_ENTRIES, Rewards, Spaces, Tables, is_reward};
use crate::env::joint::JointSpace;

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

/// What stands after an entry's last colon.
enum Data<'a> {
    Uniform(Word<'a>),
    Identity(Word<'a>),
    Numbers(Vec<(f64, Word<'a>)>),
}

/// What can stand between two colons.
#[derive(Clone, Copy)]
enum Axis {
    State,
    Seen,
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

/// What stands between the colons, and what stands after the last one. The end of the first line
/// is as good as a colon where more lines follow.
#[expect(clippy::type_complexity, reason = "fields of words")]
fn fields<'a>(entry: &Entry<'a>) -> Result<(Vec<Vec<Word<'a>>>, Data<'a>), ParseError> {
    let parts = entry.head.split(|word| word.text == ":");
    let mut fields: Vec<Vec<Word<'a>>> = parts.map(<[_]>::to_vec).collect();
    let mut data: Vec<Word<'a>> = entry.body.concat();
    let last = fields.pop().unwrap_or_default();
    if data.is_empty() {
        data = last;
    } else if !last.is_empty() {
        fields.push(last);
    }
    let expected = "an action, a state or an observation, and at the end a number or a table";
    if let Some(colon) = data.iter().find(|word| word.text == ":") {
        return Err(entry.wrong(*colon, "a table of numbers, `uniform` or `identity`"));
    }
    if fields.iter().any(Vec::is_empty) {
        return Err(entry.error(None, "nothing between two colons", expected));
    }
    let Some(&first) = data.first() else {
        return Err(entry.error(None, "nothing after the last colon", expected));
    };
    let data = match (first.text, data.len()) {
        ("uniform", 1) => Data::Uniform(first),
        ("identity", 1) => Data::Identity(first),
        _ => {
            let number = |&word: &Word<'a>| {
                let value = number(word);
                let expected = "a number (after a colon, or on the lines below)";
                value
                    .map(|value| (value, word))
                    .ok_or_else(|| entry.wrong(word, expected))
            };
            Data::Numbers(data.iter().map(number).collect::<Result<_, _>>()?)
        }
    };
    Ok((fields, data))
}

fn numbers<'a>(entry: &Entry<'_>, data: &Data<'a>) -> Result<Vec<(f64, Word<'a>)>, ParseError> {
    match data {
        Data::Numbers(numbers) => Ok(numbers.clone()),
        Data::Uniform(word) | Data::Identity(word) => Err(entry.wrong(*word, "numbers")),
    }
}

fn expect_count(
    entry: &Entry<'_>,
    found: usize,
    expected: usize,
    first: Option<Word<'_>>,
) -> Result<(), ParseError> {
    if found == expected {
        return Ok(());
    }
    let plural = |count: usize| if count == 1 { "number" } else { "numbers" };
    let (found, expected) = (
        format!("{found} {}", plural(found)),
        format!("{expected} {}", plural(expected)),
    );
    Err(entry.error(first, found, expected))
}

/// The joint actions that a field stands for.
fn actions(
    spaces: &Spaces,
    entry: &Entry<'_>,
    field: &[Word<'_>],
) -> Result<Vec<usize>, ParseError> {
    joint(
        &spaces.actions,
        &spaces.names.actions,
        "action",
        entry,
        field,
    )
}

/// The states or joint observations that a field stands for.
fn selection(
    spaces: &Spaces,
    entry: &Entry<'_>,
    field: &[Word<'_>],
    axis: Axis,
) -> Result<Vec<usize>, ParseError> {
    let names = match axis {
        Axis::State => &spaces.names.states,
        Axis::Seen => {
            let (space, names) = (&spaces.observations, &spaces.names.observations);
            return joint(space, names, "observation", entry, field);
        }
    };
    match field {
        [all] if all.text == "*" => Ok((0..names.len()).collect()),
        [word] => match find(*word, names) {
            Some(state) => Ok(vec![state]),
            None => Err(entry.wrong(*word, one_of("`*` or a state", names))),
        },
        [_, second, ..] => Err(entry.wrong(*second, "a colon after the state")),
        [] => Err(entry.error(None, "nothing", "a state")),
    }
}

/// The joint actions or observations that a field stands for: `*`, a joint index, or one part
/// an agent, each a name, an index or `*`.
fn joint(
    space: &JointSpace,
    names: &[Vec<String>],
    what: &str,
    entry: &Entry<'_>,
    field: &[Word<'_>],
) -> Result<Vec<usize>, ParseError> {
    if let [word] = field {
        if word.text == "*" {
            return Ok((0..space.count()).collect());
        }
        if names.len() > 1 {
            let index = word
                .text
                .parse()
                .ok()
                .filter(|&index| index < space.count());
            let expected = format!(
                "`*`, a joint {what} from 0 to {}, or one {what} for each of {} agents",
                space.count() - 1,
                names.len()
            );
            return index
                .map(|index| vec![index])
                .ok_or_else(|| entry.wrong(*word, expected));
        }
    }
    if field.len() != names.len() {
        let listed: Vec<&str> = field.iter().map(|word| word.text).collect();
        let found = format!("`{}`", listed.join(" "));
        let expected = format!(
            "one {what} for each of {} agents, then a colon",
            names.len()
        );
        return Err(entry.error(field.first().copied(), found, expected));
    }
    let mut chosen = vec![0];
    for (agent, (word, names)) in field.iter().zip(names).enumerate() {
        let parts: Vec<usize> = match (word.text, find(*word, names)) {
            ("*", _) => (0..names.len()).collect(),
            (_, Some(part)) => vec![part],
            _ => {
                let expected = one_of(&format!("`*` or an {what} of agent {agent}"), names);
                return Err(entry.error(Some(*word), quoted(*word), expected));
            }
        };
        let grown = chosen
            .iter()
            .flat_map(|&prefix: &usize| parts.iter().map(move |part| prefix * names.len() + part));
        chosen = grown.collect();
    }
    Ok(chosen)
}
