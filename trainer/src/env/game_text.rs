//! Games as text: the TOML form of a [`Game`], read and written.
//!
//! ```toml
//! name = "mine"
//! actions = [2, 2]                              # one entry an agent
//! observations = [2, 1]                         # leave out both of these two
//! probability = [[0.25], [0.75]]                # when there is nothing to see
//! payoff = [ [[[0, 1], [2, 3]]], [[[4, 5], [6, 7]]] ]
//! ```
//!
//! `probability` is nested by o_0, o_1, …; `payoff` by o_0, o_1, …, a_0, a_1, … (by the actions
//! alone without observations). A game that is written and read again is the same game, bit for
//! bit: `f64` prints its shortest exact decimal.

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

use super::game::{Game, GameError, checked_spaces};
use super::suggest::nearest;

const KEYS: [&str; 5] = ["name", "actions", "observations", "probability", "payoff"];

/// Why a text does not describe a game.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GameTextError {
    /// It is not TOML.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The parser's words.
        message: String,
    },
    /// A key that no game has.
    #[error(
        "{key}: unknown key{}, expected one of {}",
        suggestion.map(|known| format!(" (did you mean `{known}`?)")).unwrap_or_default(),
        KEYS.join(", ")
    )]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key it resembles.
        suggestion: Option<&'static str>,
    },
    /// A key that every game needs, or that another key calls for, is absent.
    #[error("{key}: missing, expected {expected}")]
    MissingKey {
        /// The absent key.
        key: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A value of the wrong kind.
    #[error("{at}: found {found}, expected {expected}")]
    Kind {
        /// Where, as in `payoff[1][0]`.
        at: String,
        /// The value, in words.
        found: String,
        /// What belongs there.
        expected: String,
    },
    /// A list of the wrong length in a nested table.
    #[error("{at}: found a list of {found}, expected a list of {expected}, one for each {axis}")]
    Length {
        /// Where, as in `payoff[1]`.
        at: String,
        /// Entries found.
        found: usize,
        /// Entries that the sizes call for.
        expected: usize,
        /// What the entries stand for.
        axis: String,
    },
    /// The shapes are right and the numbers are not.
    #[error(transparent)]
    Game(#[from] GameError),
}

/// The game that a TOML text describes.
pub fn parse(text: &str) -> Result<Game, GameTextError> {
    let table = text.parse().map_err(|error| syntax_error(text, &error))?;
    from_table(&table)
}

fn from_table(table: &toml::Table) -> Result<Game, GameTextError> {
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let suggestion = nearest(key, KEYS);
        let key = key.clone();
        return Err(GameTextError::UnknownKey { key, suggestion });
    }
    let name = required(table, "name", "a name in quotes")?;
    let name = name
        .as_str()
        .ok_or_else(|| kind("name", name, "a name in quotes"))?;
    let actions = required(
        table,
        "actions",
        "a list with each agent's number of actions",
    )?;
    let actions = sizes("actions", actions)?;
    let payoff = required(
        table,
        "payoff",
        "the payoffs, nested by observations, then actions",
    )?;

    let private = match (table.get("observations"), table.get("probability")) {
        (None, None) => None,
        (Some(observations), Some(probability)) => Some((observations, probability)),
        (Some(_), None) => {
            let expected = "P(o_0, o_1, …), because observations are given";
            return Err(missing("probability", expected));
        }
        (None, Some(_)) => {
            let expected = "each agent's number of observations, because probability is given";
            return Err(missing("observations", expected));
        }
    };
    let observations = match private {
        Some((observations, _)) => sizes("observations", observations)?,
        None => vec![1; actions.len()],
    };
    // Sizes first: a wrong size would otherwise be reported as a table of the wrong shape.
    checked_spaces(&actions, &observations)?;

    let mut probability = vec![1.0];
    let mut payoff_axes = axes("action", &actions);
    if let Some((_, table)) = private {
        let seen = axes("observation", &observations);
        probability = numbers("probability", table, &seen)?;
        payoff_axes.splice(0..0, seen);
    }
    let payoff = numbers("payoff", payoff, &payoff_axes)?;
    Ok(Game::new(
        name,
        &actions,
        &observations,
        probability,
        payoff,
    )?)
}

/// One level of a nested table: its length, and what its entries stand for.
struct Axis {
    size: usize,
    meaning: String,
}

fn axes(of: &str, sizes: &[usize]) -> Vec<Axis> {
    let describe = |(agent, &size)| Axis {
        size,
        meaning: format!("{of} of agent {agent}"),
    };
    sizes.iter().enumerate().map(describe).collect()
}

/// A table of numbers nested by `axes`, row-major.
fn numbers(key: &str, value: &Value, axes: &[Axis]) -> Result<Vec<f64>, GameTextError> {
    let mut flat = Vec::new();
    flatten(&mut key.to_owned(), value, axes, &mut flat)?;
    Ok(flat)
}

/// Appends what lies at `path` to `flat`; leaves `path` as it found it.
fn flatten(
    path: &mut String,
    value: &Value,
    axes: &[Axis],
    flat: &mut Vec<f64>,
) -> Result<(), GameTextError> {
    let Some((axis, inner)) = axes.split_first() else {
        let number = match value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        };
        flat.push(number.ok_or_else(|| kind(path, value, "a number"))?);
        return Ok(());
    };
    let Value::Array(entries) = value else {
        let expected = format!("a list of {}, one for each {}", axis.size, axis.meaning);
        return Err(kind(path, value, expected));
    };
    if entries.len() != axis.size {
        return Err(GameTextError::Length {
            at: path.clone(),
            found: entries.len(),
            expected: axis.size,
            axis: axis.meaning.clone(),
        });
    }
    for (index, entry) in entries.iter().enumerate() {
        let here = path.len();
        path.push_str(&format!("[{index}]"));
        flatten(path, entry, inner, flat)?;
        path.truncate(here);
    }
    Ok(())
}

/// A list of whole numbers. That they are positive is the game's own check.
fn sizes(key: &str, value: &Value) -> Result<Vec<usize>, GameTextError> {
    let Value::Array(entries) = value else {
        return Err(kind(key, value, "a list of whole numbers, one per agent"));
    };
    let size = |(agent, entry): (usize, &Value)| {
        let size = entry
            .as_integer()
            .and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| {
            kind(
                &format!("{key}[{agent}]"),
                entry,
                "a whole number, at least 1",
            )
        })
    };
    entries.iter().enumerate().map(size).collect()
}

fn required<'a>(
    table: &'a toml::Table,
    key: &'static str,
    expected: &'static str,
) -> Result<&'a Value, GameTextError> {
    table.get(key).ok_or(missing(key, expected))
}

fn missing(key: &'static str, expected: &'static str) -> GameTextError {
    GameTextError::MissingKey { key, expected }
}

fn kind(at: &str, value: &Value, expected: impl Into<String>) -> GameTextError {
    let found = match value {
        Value::String(text) => format!("the text {text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(date) => format!("the date {date}"),
        Value::Array(entries) => format!("a list of {}", entries.len()),
        Value::Table(_) => "a table".to_owned(),
    };
    GameTextError::Kind {
        at: at.to_owned(),
        found,
        expected: expected.into(),
    }
}

fn syntax_error(text: &str, error: &toml::de::Error) -> GameTextError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    GameTextError::Syntax {
        line: 1 + before.matches('\n').count(),
        column: 1 + before[line_start..].chars().count(),
        message: error.message().to_owned(),
    }
}

impl Serialize for Game {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let observed = self.observations().count() > 1;
        let fields = if observed { 5 } else { 3 };
        let mut game = serializer.serialize_struct("Game", fields)?;
        game.serialize_field("name", self.name())?;
        game.serialize_field("actions", self.actions().sizes())?;
        if observed {
            let shape = self.observations().sizes();
            game.serialize_field("observations", shape)?;
            game.serialize_field("probability", &Nested(shape, self.probability()))?;
        }
        game.serialize_field("payoff", &Nested(&self.payoff_shape(), self.table()))?;
        game.end()
    }
}

/// A row-major table of this shape, written as lists within lists.
struct Nested<'a>(&'a [usize], &'a [f64]);

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Nested(shape, values) = self;
        let Some((&size, inner)) = shape.split_first() else {
            return serializer.serialize_f64(values[0]);
        };
        let mut list = serializer.serialize_seq(Some(size))?;
        for row in values.chunks_exact(values.len() / size) {
            list.serialize_element(&Nested(inner, row))?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Game {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        from_table(&table).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = r#"
        name = "mine"
        actions = [2, 2]
        observations = [2, 1]
        probability = [[0.25], [0.75]]
        payoff = [[[[0, 1], [2, 3.5]]], [[[4, 5], [6, 7]]]]
    "#;

    fn message(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn payoffs_are_nested_by_observations_then_actions() {
        let game = parse(PRIVATE).unwrap();
        assert_eq!(game.name(), "mine");
        assert_eq!(game.probability(), [0.25, 0.75]);
        assert_eq!(game.payoffs(0), [0.0, 1.0, 2.0, 3.5]);
        let plain = parse("name = 'p'\nactions = [1, 3]\npayoff = [[1, -2, 3e0]]").unwrap();
        assert_eq!(plain.observations().sizes(), [1, 1]);
        assert_eq!(plain.payoffs(0), [1.0, -2.0, 3.0]);
    }

    #[test]
    fn trivial_observations_may_be_spelt_out() {
        let spelt = "name = 'p'\nactions = [2]\nobservations = [1]\nprobability = [1]\n\
                     payoff = [[1, 2]]";
        assert_eq!(
            parse(spelt).unwrap(),
            parse("name = 'p'\nactions = [2]\npayoff = [1, 2]").unwrap()
        );
    }

    #[test]
    fn a_written_game_reads_back_bit_for_bit() {
        let awkward = vec![0.1 + 0.2, 1.0 / 3.0, -0.0, 5e-324, -1e37, 1e22, 7.0, -5.0];
        let private = Game::new("odd", &[2, 2], &[2, 1], vec![0.1, 0.9], awkward.clone()).unwrap();
        let rounded = vec![0.333333, 0.333333, 0.333333];
        let normalised = Game::new("thirds", &[1], &[3], rounded, vec![1.0; 3]).unwrap();
        let plain = Game::new("plain", &[2, 2, 2], &[1; 3], vec![1.0], awkward).unwrap();
        // The deepest nesting there is: 64 levels.
        let mut sizes = [1; 32];
        sizes[31] = 2;
        let deep = Game::new("deep", &sizes, &sizes, vec![0.5; 2], vec![1.0; 4]).unwrap();
        for game in [private, normalised, plain, deep] {
            let text = toml::to_string(&game).unwrap();
            let read = parse(&text).unwrap();
            assert_eq!(read, game, "{text}");
            let bits = |game: &Game| game.table().iter().map(|r| r.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read), bits(&game));
        }
    }

    #[test]
    fn a_game_can_be_part_of_another_document() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Run {
            seed: u64,
            game: Game,
        }
        let run = Run {
            seed: 3,
            game: parse(PRIVATE).unwrap(),
        };
        let text = toml::to_string(&run).unwrap();
        assert_eq!(toml::from_str::<Run>(&text).unwrap(), run, "{text}");
        let broken = text.replace("0.75", "0.7");
        let error = toml::from_str::<Run>(&broken).unwrap_err().to_string();
        assert!(error.contains("sum to 0.95"), "{error}");
    }

    /// What to replace in PRIVATE => by what => parts of the message.
    const DEFECTS: &str = r#"
        name = "mine"                  =>                          => name: missing … a name in quotes
        "mine"                         => 7                        => name: found 7 … a name in quotes
        "mine"                         => ""                       => name: found "" … 1 to 64 characters
        "mine"                         => "a/b"                    => name: found "a/b"
        actions = [2, 2]               =>                          => actions: missing … number of actions
        actions = [2, 2]               => actions = 2              => actions: found 2 … a list of whole numbers
        actions = [2, 2]               => actions = []             => actions: found a list of 0 … an entry per agent
        actions = [2, 2]               => actions = [2, 0]         => actions[1]: found 0, expected at least 1
        actions = [2, 2]               => actions = [2, -2]        => actions[1]: found -2 … at least 1
        actions = [2, 2]               => actions = [2, 2.0]       => actions[1]: found 2.0 … whole number
        actions = [2, 2]               => actions = [2, '2']       => actions[1]: found the text "2"
        actions = [2, 2]               => actions = [2, 3]         => payoff[0][0][0]: found a list of 2 … expected a list of 3, one for each action of agent 1
        actions = [2, 2]               => actions = [2]            => observations: found a list of 2, expected a list of 1
        actions = [2, 2]               => actions = [99999999, 2]  => payoff: found about 4.0e8
        observations = [2, 1]          =>                          => observations: missing … probability is given
        probability = [[0.25], [0.75]] =>                          => probability: missing … observations
        [2, 1]                         => [3, 1]                   => probability: found a list of 2 … a list of 3, one for each obs
        [2, 1]                         => [2, 0]                   => observations[1]: found 0 … at least 1
        [2, 1]                         => [2]                      => observations: found a list of 1, expected a list of 2 … as in actions
        [[0.25], [0.75]]               => [0.25, 0.75]             => probability[0]: found 0.25 … a list of 1
        0.75                           => 0.7                      => probability: found … sum to 0.95 … 1 (within 1e-6)
        0.75                           => -0.75                    => probability[1][0]: found -0.75 … from 0 to 1
        0.75                           => nan                      => probability[1][0]: found NaN
        0.75                           => inf                      => probability[1][0]: found inf
        0.75                           => true                     => probability[1][0]: found true … a number
        [6, 7]                         => [6, nan]                 => payoff[1][0][1][1]: found NaN … finite
        [6, 7]                         => [-inf, 7]                => payoff[1][0][1][0]: found -inf
        [6, 7]                         => [6, 1e300]               => payoff[1][0][1][1]: found 1e300 … 1e37
        [6, 7]                         => [6, '7']                 => payoff[1][0][1][1]: found the text "7" … a number
        [6, 7]                         => [6, [7]]                 => payoff[1][0][1][1]: found a list of 1 … a number
        [6, 7]                         => [6]                      => payoff[1][0][1]: found a list of 1 … expected a list of 2
        [6, 7]                         => 6                        => payoff[1][0][1]: found 6 … a list of 2 … action of agent 1
        [6, 7]                         => { a = 6 }                => payoff[1][0][1]: found a table
        [6, 7]                         => 2020-01-01               => payoff[1][0][1]: found the date 2020-01-01
        payoff =                       => payof =                  => payof: unknown key … did you mean `payoff`?
        name =                         => colour = 3\nname =       => colour: unknown key, expected one of name, act
        [2, 2]                         => [2, 2                    => line 4, column
        name =                         => name name =              => line 2, column 14
        name =                         => actions = [1]\nname =    => line 4, column 9 … duplicate key
    "#;

    #[test]
    fn every_defect_names_its_place_and_what_belongs_there() {
        for defect in DEFECTS.trim().lines() {
            let columns: Vec<&str> = defect.split("=>").map(str::trim).collect();
            let [old, new, parts] = columns[..] else {
                panic!("three columns: {defect}");
            };
            let text = PRIVATE.replacen(old, &new.replace("\\n", "\n"), 1);
            assert_ne!(text, PRIVATE, "{old} is not in the good file");
            let message = message(&text);
            for part in parts.split(" … ") {
                assert!(message.contains(part), "{new}: {message:?} lacks {part:?}");
            }
            assert!(!message.contains('\n'), "one line each: {message:?}");
        }
    }
}
