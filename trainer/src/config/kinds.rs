//! What may stand in a configuration, key by key.
//!
//! The defaults, as a table, say which keys there are and of what kind. Only what they cannot
//! say is written here: the words that text may be, and the keys that go with a temperature's
//! shape.

use toml::{Table, Value};

use super::{ArmName, ConfigError, Method, SymbolPer};
use crate::env::suggest::nearest;

/// A temperature's shapes and the keys of each.
const SHAPES: [(&str, &[&str]); 4] = [
    ("none", &[]),
    ("constant", &["value"]),
    ("geometric", &["start", "end", "until"]),
    ("linear", &["start", "hold", "until"]),
];

/// Settings that earlier versions wrote and that are gone: a table, a key of it, and the value at which it did nothing.
const RETIRED: [(&str, &str, f64); 1] = [("portfolio", "polish", 0.0)];

/// `layer` without settings that are gone, so that runs and teams of earlier versions can be read where these did nothing.
pub(super) fn without_retired(mut layer: Table) -> Result<Table, ConfigError> {
    for (table, key, nothing) in RETIRED {
        let Some(Value::Table(table_of)) = layer.get_mut(table) else {
            continue;
        };
        match table_of.remove(key) {
            Some(Value::Float(value)) if value != nothing => {
                return Err(ConfigError::Range {
                    at: format!("{table}.{key}"),
                    found: value.to_string(),
                    expected: format!("{nothing}, as there is no such setting any more"),
                });
            }
            _ => {}
        }
    }
    Ok(layer)
}

/// A setting that earlier versions did not have.
struct Added {
    /// The tables it lies in, from the outermost.
    path: &'static [&'static str],
    /// Keys that a run of such a version wrote beside it.
    written: &'static [&'static str],
    key: &'static str,
    /// The value at which it does nothing.
    nothing: f64,
}

/// Keys of an annealed schedule that every version wrote.
const SCHEDULE: &[&str] = &[
    "warmup",
    "plateau_window",
    "ramp",
    "lambda_start",
    "temperature_per_gap",
    "gap_decay",
];

const fn of_schedule(key: &'static str) -> Added {
    Added {
        path: &["annealed", "schedule"],
        written: SCHEDULE,
        key,
        nothing: 0.0,
    }
}

const ADDED: [Added; 9] = [
    Added {
        path: &["value"],
        written: &["double", "exploration", "mixer", "off_policy"],
        key: "trace",
        nothing: 0.0,
    },
    of_schedule("beta_start"),
    of_schedule("full_lead"),
    of_schedule("lead_errors"),
    of_schedule("least_entropy"),
    of_schedule("temperature_per_entropy"),
    of_schedule("temperature_led"),
    of_schedule("temperature_until"),
    of_schedule("unled_ramp"),
];

/// `layer` with settings that are new, so that runs of earlier versions are repeated by the schedules and
/// values that they had.
pub(super) fn with_added(mut layer: Table) -> Table {
    for added in ADDED {
        let within = added
            .path
            .iter()
            .try_fold(&mut layer, |table, key| table.get_mut(*key)?.as_table_mut());
        if let Some(table) = within
            && added.written.iter().all(|key| table.contains_key(*key))
        {
            let nothing = Value::Float(added.nothing);
            table.entry(added.key.to_owned()).or_insert(nothing);
        }
    }
    layer
}

/// Checks that every key of `layer` is known and has a value of its kind.
pub(super) fn check_layer(layer: &Table, known: &Table) -> Result<(), ConfigError> {
    check_keys("", layer, known)
}

/// Checks what can only be checked with all layers merged into `table`.
pub(super) fn check_words(table: &Table) -> Result<(), ConfigError> {
    let methods = Method::ALL.map(Method::name);
    let arms = ArmName::ALL.map(ArmName::name);
    check_word("method", table.get("method"), &methods)?;
    check_word("act", table.get("act"), &["greedy", "sampled"])?;
    let per = subtable(table, "shared_seed").and_then(|seed| seed.get("per"));
    check_word("shared_seed.per", per, &SymbolPer::WORDS)?;
    let portfolio = subtable(table, "portfolio");
    let names = portfolio.and_then(|portfolio| portfolio.get("arms"));
    for (index, name) in names
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        check_word(&format!("portfolio.arms[{index}]"), Some(name), &arms)?;
    }
    for arm in [
        ArmName::Factored,
        ArmName::Ippo,
        ArmName::Mappo,
        ArmName::Coma,
        ArmName::Magpo,
        ArmName::Mackrl,
    ] {
        check_temperature(arm.name(), subtable(table, arm.name()))?;
    }
    for arm in [ArmName::ExploreStrong, ArmName::ExploreMild] {
        let settings = portfolio.and_then(|portfolio| subtable(portfolio, arm.name()));
        check_temperature(&format!("portfolio.{arm}"), settings)?;
    }
    Ok(())
}

/// The key that has no default, and yet is for people.
const HORIZON: &str = "horizon";

fn check_keys(path: &str, layer: &Table, known: &Table) -> Result<(), ConfigError> {
    for (key, value) in layer {
        let at = format!("{path}{key}");
        // Its own type reads it, and refuses in the same words as for a file.
        if at == "game" {
            continue;
        }
        // Neither has a default that would say its kind.
        let optional = match at.as_str() {
            HORIZON => Some(Value::Integer(1)),
            "model" => Some(Value::String(String::new())),
            _ => None,
        };
        if let Some(expected) = optional {
            check_kind(&at, value, &expected)?;
            continue;
        }
        let Some(expected) = known.get(key) else {
            let known = known.keys().map(String::as_str);
            // A model's text is nothing that anyone would write there.
            let without_default = path.is_empty().then_some(HORIZON);
            return Err(unknown_key(
                path,
                key,
                known.chain(without_default).collect(),
            ));
        };
        match (value, expected) {
            (Value::Table(_), Value::Table(known)) if known.contains_key("shape") => {}
            (Value::Table(layer), Value::Table(known)) => {
                check_keys(&format!("{at}."), layer, known)?;
            }
            (Value::Array(values), Value::Array(known)) => {
                for (index, value) in values.iter().enumerate() {
                    if let Some(expected) = known.first() {
                        check_kind(&format!("{at}[{index}]"), value, expected)?;
                    }
                }
            }
            _ => check_kind(&at, value, expected)?,
        }
    }
    Ok(())
}

fn check_kind(at: &str, value: &Value, expected: &Value) -> Result<(), ConfigError> {
    let expected = match (value, expected) {
        (Value::Integer(number), Value::Integer(_)) if *number < 0 => "a whole number, at least 0",
        (Value::Integer(_), Value::Float(_)) => return Ok(()),
        _ if value.same_type(expected) => return Ok(()),
        (_, Value::String(_)) => "text in quotes",
        (_, Value::Integer(_)) => "a whole number",
        (_, Value::Float(_)) => "a number",
        (_, Value::Boolean(_)) => "true or false",
        (_, Value::Array(_)) => "a list",
        (_, Value::Table(_)) => "a table",
        (_, Value::Datetime(_)) => "a date",
    };
    Err(kind(at, in_words(value), expected))
}

fn check_word(at: &str, value: Option<&Value>, known: &[&str]) -> Result<(), ConfigError> {
    match value.and_then(Value::as_str) {
        Some(word) if !known.contains(&word) => {
            let hint = nearest(word, known.iter().copied());
            let hint = hint.map(|known| format!(" (did you mean `{known}`?)"));
            Err(ConfigError::Range {
                at: at.to_owned(),
                found: format!("`{word}`{}", hint.unwrap_or_default()),
                expected: format!("one of {}", known.join(", ")),
            })
        }
        _ => Ok(()),
    }
}

/// The temperature in `settings`: its shape, and that shape's keys, no more and no fewer.
fn check_temperature(path: &str, settings: Option<&Table>) -> Result<(), ConfigError> {
    let Some(table) = settings.and_then(|settings| subtable(settings, "temperature")) else {
        return Ok(());
    };
    let path = format!("{path}.temperature.");
    let at = format!("{path}shape");
    check_word(&at, table.get("shape"), &SHAPES.map(|(shape, _)| shape))?;
    let shape = table.get("shape").and_then(Value::as_str);
    let Some((_, keys)) = SHAPES.iter().find(|(known, _)| Some(*known) == shape) else {
        return Err(kind(&at, "nothing or no text".to_owned(), "text in quotes"));
    };
    for (key, value) in table.iter().filter(|(key, _)| *key != "shape") {
        if !keys.contains(&key.as_str()) {
            return Err(unknown_key(&path, key, [&["shape"], *keys].concat()));
        }
        check_kind(&format!("{path}{key}"), value, &Value::Float(0.0))?;
    }
    match keys.iter().find(|key| !table.contains_key(**key)) {
        Some(key) => Err(kind(
            &format!("{path}{key}"),
            "nothing".to_owned(),
            "a number",
        )),
        None => Ok(()),
    }
}

fn subtable<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    table.get(key).and_then(Value::as_table)
}

fn unknown_key(path: &str, key: &str, known: Vec<&str>) -> ConfigError {
    ConfigError::UnknownKey {
        at: format!("{path}{key}"),
        suggestion: nearest(key, known.iter().copied()).map(|known| format!("{path}{known}")),
        known: known.into_iter().map(str::to_owned).collect(),
    }
}

fn kind(at: &str, found: String, expected: &str) -> ConfigError {
    ConfigError::Kind {
        at: at.to_owned(),
        found,
        expected: expected.to_owned(),
    }
}

fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text {text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(date) => format!("the date {date}"),
        Value::Array(entries) => format!("a list of {}", entries.len()),
        Value::Table(_) => "a table".to_owned(),
    }
}
