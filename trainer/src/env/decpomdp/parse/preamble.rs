//! Everything but T, O and R: what there is, and where it starts.

use super::ParseError;
use super::entries::{Entry, Key, Word, quoted};
use crate::env::decpomdp::model::{MAX_SET, ModelError, Names, Spaces, Values};
use crate::env::game::MAX_AGENTS;

/// The head of a text.
pub(super) struct Preamble {
    pub(super) spaces: Spaces,
    pub(super) discount: f64,
    pub(super) values: Values,
    /// `[S]`.
    pub(super) start: Vec<f64>,
    pub(super) start_line: usize,
}

impl Preamble {
    pub(super) fn read(entries: &[Entry<'_>]) -> Result<Self, ParseError> {
        let agents = one(entries, &[Key::Agents])?;
        let names = names(agents, &agent_words(agents), MAX_AGENTS)?;
        let states = one(entries, &[Key::States])?;
        let words: Vec<Word<'_>> = states.words().collect();
        let names = Names {
            actions: sets(one(entries, &[Key::Actions])?, names.len())?,
            observations: sets(one(entries, &[Key::Observations])?, names.len())?,
            agents: names,
            states: self::names(states, &words, MAX_SET)?,
        };
        let start = one(entries, &[Key::Start, Key::StartInclude, Key::StartExclude])?;
        Ok(Self {
            discount: discount(one(entries, &[Key::Discount])?)?,
            values: values(one(entries, &[Key::Values])?)?,
            start: self::start(start, &names.states)?,
            start_line: start.line,
            spaces: Spaces::new(names).map_err(|error| too_large(entries, &error))?,
        })
    }
}

/// The number of the thing that `word` names or counts to, from 0.
pub(super) fn find(word: Word<'_>, names: &[String]) -> Option<usize> {
    let named = names.iter().position(|name| name == word.text);
    named.or_else(|| word.text.parse().ok().filter(|&index| index < names.len()))
}

/// A finite number in the usual spelling.
pub(super) fn number(word: Word<'_>) -> Option<f64> {
    let number: f64 = word.text.parse().ok()?;
    number.is_finite().then_some(number)
}

/// What would have been right where no such thing is found.
pub(super) fn one_of(what: &str, names: &[String]) -> String {
    let last = names.len().saturating_sub(1);
    if names.len() > 12
        || names
            .iter()
            .enumerate()
            .all(|(i, name)| *name == i.to_string())
    {
        return format!("{what}: a name given above or a number from 0 to {last}");
    }
    format!("{what}: {}, or a number from 0 to {last}", names.join(", "))
}

/// The entry that has one of these keys: exactly one must.
fn one<'e, 'a>(entries: &'e [Entry<'a>], keys: &[Key]) -> Result<&'e Entry<'a>, ParseError> {
    let mut found = entries.iter().filter(|entry| keys.contains(&entry.key));
    let name = keys[0].name();
    let first = found.next().ok_or_else(|| ParseError {
        line: None,
        at: name.to_owned(),
        found: "nothing".to_owned(),
        expected: format!("an entry `{name}:`"),
    })?;
    match found.next() {
        Some(second) => Err(second.error(
            None,
            format!("a second entry (the first is on line {})", first.line),
            "one",
        )),
        None => Ok(first),
    }
}

/// Agents may be listed with commas between them.
fn agent_words<'a>(entry: &Entry<'a>) -> Vec<Word<'a>> {
    let split = |word: Word<'a>| {
        let parts = word.text.split(',').filter(|part| !part.is_empty());
        parts.map(move |text| Word { text, ..word })
    };
    entry.words().flat_map(split).collect()
}

/// A number of things, called 0, 1, …, or their names.
fn names(entry: &Entry<'_>, words: &[Word<'_>], most: usize) -> Result<Vec<String>, ParseError> {
    let expected = format!("a number from 1 to {most}, or as many names");
    let Some(&first) = words.first() else {
        return Err(entry.error(None, "nothing", expected));
    };
    let begins_as_number = |word: &Word<'_>| {
        let first = word.text.trim_start_matches(['+', '-', '.']).chars().next();
        first.is_none_or(|first| first.is_ascii_digit())
    };
    if let ([only], true) = (words, begins_as_number(&first)) {
        let count = only.text.parse().ok();
        let count = count.filter(|count| (1..=most).contains(count));
        let count: usize = count.ok_or_else(|| entry.wrong(first, expected))?;
        return Ok((0..count).map(|index| index.to_string()).collect());
    }
    if words.len() > most {
        return Err(entry.error(Some(first), format!("{} names", words.len()), expected));
    }
    let mut names: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        if begins_as_number(word) || ["*", ":", "uniform", "identity"].contains(&word.text) {
            return Err(entry.wrong(*word, "a name that begins with a letter"));
        }
        if names.iter().any(|name| name == word.text) {
            return Err(entry.error(
                Some(*word),
                format!("{} twice", quoted(*word)),
                "other names",
            ));
        }
        names.push(word.text.to_owned());
    }
    Ok(names)
}

/// One line of names, or one number, an agent.
fn sets(entry: &Entry<'_>, agents: usize) -> Result<Vec<Vec<String>>, ParseError> {
    let head = Some(&entry.head).filter(|head| !head.is_empty());
    let lines: Vec<&Vec<Word<'_>>> = head.into_iter().chain(&entry.body).collect();
    if lines.len() != agents {
        let found = format!("{} lines", lines.len());
        let expected = format!("{agents} lines, one an agent, each with names or their number");
        return Err(entry.error(None, found, expected));
    }
    let sets = lines.into_iter().map(|words| names(entry, words, MAX_SET));
    sets.collect()
}

fn discount(entry: &Entry<'_>) -> Result<f64, ParseError> {
    let expected = "a number from 0 to 1";
    let word = single(entry, expected)?;
    number(word)
        .filter(|discount| (0.0..=1.0).contains(discount))
        .ok_or_else(|| entry.wrong(word, expected))
}

fn values(entry: &Entry<'_>) -> Result<Values, ParseError> {
    let expected = "`reward` or `cost`";
    let word = single(entry, expected)?;
    match word.text {
        "reward" => Ok(Values::Reward),
        "cost" => Ok(Values::Cost),
        _ => Err(entry.wrong(word, expected)),
    }
}

fn single<'a>(entry: &Entry<'a>, expected: &str) -> Result<Word<'a>, ParseError> {
    let mut words = entry.words();
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(word),
        (None, _) => Err(entry.error(None, "nothing", expected)),
        (_, Some(word)) => Err(entry.error(
            Some(word),
            format!("{} beside another", quoted(word)),
            expected,
        )),
    }
}

/// P(s) at the start, `[S]`.
fn start(entry: &Entry<'_>, states: &[String]) -> Result<Vec<f64>, ParseError> {
    let words: Vec<Word<'_>> = entry.words().collect();
    let Some(&first) = words.first() else {
        let expected = "uniform, a state or a probability for each state";
        return Err(entry.error(None, "nothing", expected));
    };
    if entry.key != Key::Start {
        let mut listed = vec![false; states.len()];
        for &word in &words {
            let state = find(word, states);
            listed[state.ok_or_else(|| entry.wrong(word, one_of("a state", states)))?] = true;
        }
        let wanted = entry.key == Key::StartInclude;
        let count = listed.iter().filter(|&&listed| listed == wanted).count();
        if count == 0 {
            return Err(entry.error(Some(first), "every state", "at least one left to start in"));
        }
        let share = |listed: bool| {
            if listed == wanted {
                1.0 / count as f64
            } else {
                0.0
            }
        };
        return Ok(listed.into_iter().map(share).collect());
    }
    if words.len() == 1 {
        let certain = |state: usize| {
            let mut start = vec![0.0; states.len()];
            start[state] = 1.0;
            start
        };
        return match (first.text, find(first, states)) {
            ("uniform", _) => Ok(vec![1.0 / states.len() as f64; states.len()]),
            (_, Some(state)) => Ok(certain(state)),
            // With one state, its probability.
            _ if states.len() == 1 && number(first) == Some(1.0) => Ok(certain(0)),
            _ => Err(entry.wrong(first, one_of("uniform, probabilities or a state", states))),
        };
    }
    if words.len() != states.len() {
        let found = format!("{} words", words.len());
        let expected = format!("{} probabilities, one a state", states.len());
        return Err(entry.error(Some(first), found, expected));
    }
    let probability = |&word: &Word<'_>| {
        number(word)
            .filter(|p| *p >= 0.0)
            .ok_or_else(|| entry.wrong(word, "a probability (a number from 0 to 1)"))
    };
    words.iter().map(probability).collect()
}

/// A model that would not fit, at the entry that is to blame.
fn too_large(entries: &[Entry<'_>], error: &ModelError) -> ParseError {
    let (key, table, size) = match error {
        ModelError::TooLarge { table, entries } => (
            if *table == "observations" || *table == "O" {
                Key::Observations
            } else {
                Key::Actions
            },
            *table,
            *entries,
        ),
        _ => (Key::States, "model", 0.0),
    };
    let line = entries
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| entry.line);
    ParseError {
        line,
        at: key.name().to_owned(),
        found: format!("sets that make about {size:.1e} entries of {table}"),
        expected: format!("at most {}", crate::env::decpomdp::model::MAX_ENTRIES),
    }
}
