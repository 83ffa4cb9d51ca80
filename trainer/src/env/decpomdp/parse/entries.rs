//! Lines and words: a text as a list of entries.

use super::ParseError;
use crate::env::suggest::nearest;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Agents,
    Discount,
    Values,
    States,
    Start,
    StartInclude,
    StartExclude,
    Actions,
    Observations,
    Transition,
    Observation,
    Reward,
}

const KEYS: [(&str, Key); 10] = [
    ("agents", Key::Agents),
    ("discount", Key::Discount),
    ("values", Key::Values),
    ("states", Key::States),
    ("start", Key::Start),
    ("actions", Key::Actions),
    ("observations", Key::Observations),
    ("T", Key::Transition),
    ("O", Key::Observation),
    ("R", Key::Reward),
];

/// A word of the text: no blank, no colon, no comment. A colon is a word of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// From 1.
    pub(super) line: usize,
}

/// A key with everything up to the next one.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: Key,
    /// The key's line, from 1.
    pub(super) line: usize,
    /// What follows the key's colon on its own line; can be empty.
    pub(super) head: Vec<Word<'a>>,
    /// The words of each further line; none is empty.
    pub(super) body: Vec<Vec<Word<'a>>>,
}

impl<'a> Entry<'a> {
    /// An error in this entry, at `word` or else at its first line.
    pub(super) fn error(
        &self,
        word: Option<Word<'_>>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> ParseError {
        ParseError {
            line: Some(word.map_or(self.line, |word| word.line)),
            at: self.key.name().to_owned(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// The same where a word is what was found.
    pub(super) fn wrong(&self, word: Word<'_>, expected: impl Into<String>) -> ParseError {
        self.error(Some(word), quoted(word), expected)
    }

    /// All words, whatever their lines.
    pub(super) fn words(&self) -> impl Iterator<Item = Word<'a>> + '_ {
        self.head.iter().chain(self.body.iter().flatten()).copied()
    }
}

impl Key {
    /// The key as it stands in a text.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::StartInclude => "start include",
            Self::StartExclude => "start exclude",
            key => KEYS
                .iter()
                .find(|(_, other)| *other == key)
                .map_or("", |(name, _)| name),
        }
    }
}

/// A word as an error shows it.
pub(super) fn quoted(word: Word<'_>) -> String {
    format!("`{}`", word.text)
}

/// The entries of a text, in order.
pub(super) fn entries(text: &str) -> Result<Vec<Entry<'_>>, ParseError> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let words = words(line, index + 1);
        if words.is_empty() {
            continue;
        }
        match (key(&words)?, entries.last_mut()) {
            (Some((key, used)), _) => entries.push(Entry {
                key,
                line: index + 1,
                head: words[used..].to_vec(),
                body: Vec::new(),
            }),
            (None, Some(entry)) => entry.body.push(words),
            (None, None) => return Err(unknown(words[0])),
        }
    }
    Ok(entries)
}

fn words(line: &str, number: usize) -> Vec<Word<'_>> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = Vec::new();
    for mut chunk in line.split_whitespace() {
        while !chunk.is_empty() {
            let end = match chunk.find(':') {
                Some(0) => 1,
                Some(colon) => colon,
                None => chunk.len(),
            };
            let (text, rest) = chunk.split_at(end);
            words.push(Word { text, line: number });
            chunk = rest;
        }
    }
    words
}

/// The key that a line begins with and the words it takes; `None` on a line that goes on with the
/// entry before it.
fn key(words: &[Word<'_>]) -> Result<Option<(Key, usize)>, ParseError> {
    let at = |index: usize| words.get(index).map(|word: &Word<'_>| word.text);
    match (at(0), at(1), at(2)) {
        (Some("start"), Some("include"), Some(":")) => Ok(Some((Key::StartInclude, 3))),
        (Some("start"), Some("exclude"), Some(":")) => Ok(Some((Key::StartExclude, 3))),
        (Some(name), Some(":"), _) => match KEYS.iter().find(|(known, _)| *known == name) {
            Some((_, key)) => Ok(Some((*key, 2))),
            None => Err(unknown(words[0])),
        },
        _ => Ok(None),
    }
}

fn unknown(word: Word<'_>) -> ParseError {
    let names = KEYS.map(|(name, _)| name);
    // The one-letter keys are near to everything short.
    let hint = Some(word.text)
        .filter(|text| text.len() > 2)
        .and_then(|text| nearest(text, names))
        .map(|known| format!(" (did you mean `{known}:`?)"))
        .unwrap_or_default();
    ParseError {
        line: Some(word.line),
        at: "entry".to_owned(),
        found: format!("{}{hint}", quoted(word)),
        expected: format!("one of {}, each with a colon", names.join(", ")),
    }
}
