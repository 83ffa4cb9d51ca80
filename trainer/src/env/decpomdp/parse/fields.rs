//! What stands between an entry's colons.

use super::ParseError;
use super::entries::{Entry, Word, quoted};
use super::preamble::{find, number, one_of};
use crate::env::decpomdp::model::Spaces;
use crate::env::joint::JointSpace;

/// What stands after an entry's last colon.
pub(super) enum Data<'a> {
    Uniform(Word<'a>),
    Identity(Word<'a>),
    Numbers(Vec<(f64, Word<'a>)>),
}

/// What can stand between two colons.
#[derive(Clone, Copy)]
pub(super) enum Axis {
    State,
    Seen,
}

/// What stands between the colons, and what stands after the last one. The end of the first line
/// is as good as a colon where more lines follow.
pub(super) fn fields<'a>(entry: &Entry<'a>) -> Result<(Vec<Vec<Word<'a>>>, Data<'a>), ParseError> {
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

pub(super) fn numbers<'a>(
    entry: &Entry<'_>,
    data: &Data<'a>,
) -> Result<Vec<(f64, Word<'a>)>, ParseError> {
    match data {
        Data::Numbers(numbers) => Ok(numbers.clone()),
        Data::Uniform(word) | Data::Identity(word) => Err(entry.wrong(*word, "numbers")),
    }
}

pub(super) fn expect_count(
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
pub(super) fn actions(
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
pub(super) fn selection(
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
