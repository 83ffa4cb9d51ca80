//! From layers of TOML to one checked configuration.
//!
//! Every layer is walked beside the defaults, which say what keys there are and of what kind:
//! so an unknown key or a wrong kind is named by its full path, whichever layer it came from.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, Method, check, kinds};
use crate::env::{Task, TaskError, TaskKind};

/// Why layers make no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read ({source}), expected a configuration in TOML", path.display())]
    Unreadable {
        /// The path given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file, or the value of a `--set`, is not TOML.
    #[error("{origin}: {message}")]
    Syntax {
        /// The file or the option.
        origin: String,
        /// Where, and the parser's words.
        message: String,
    },
    /// A file of another kind.
    #[error("{origin}: found {found}, expected a configuration; {instead}")]
    NoConfig {
        /// The file.
        origin: String,
        /// What it is.
        found: &'static str,
        /// What such a file is for.
        instead: &'static str,
    },
    /// What the text of a file says is wrong.
    #[error("{origin}: {error}")]
    Within {
        /// The file.
        origin: String,
        /// What is wrong with it.
        error: Box<ConfigError>,
    },
    /// A `--set` without its parts, or with more than one.
    #[error(
        "--set: found {found:?}, expected one key=value, as in `--set annealed.learning_rate=0.01`"
    )]
    Assignment {
        /// What was given.
        found: String,
    },
    /// A `--set` that reaches into a game's table or a model's text.
    #[error("--set {found}: expected a game's file as the task, which comes whole")]
    GameAssignment {
        /// What was given.
        found: String,
    },
    /// A key that no configuration has.
    #[error(
        "{at}: unknown key{}, expected one of {}",
        suggestion.as_deref().map(|known| format!(" (did you mean `{known}`?)")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownKey {
        /// Its full path.
        at: String,
        /// The full path of the known key it resembles.
        suggestion: Option<String>,
        /// The keys there are beside it.
        known: Vec<String>,
    },
    /// A value of the wrong kind.
    #[error("{at}: found {found}, expected {expected}")]
    Kind {
        /// Full path of the key.
        at: String,
        /// The value, in words.
        found: String,
        /// What belongs there.
        expected: String,
    },
    /// A value of the right kind that makes no sense.
    #[error("{at}: found {found}, expected {expected}")]
    Range {
        /// Full path of the key.
        at: String,
        /// The value.
        found: String,
        /// What belongs there.
        expected: String,
    },
    /// A value that its type refuses, in that type's words.
    #[error("{0}")]
    Value(String),
    /// Nothing says what to train on.
    #[error(
        "task: missing, expected the name of a task (`consort tasks` lists them) or the file of a game or a model"
    )]
    NoTask,
    /// There is no such task.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Layers on top of the defaults, in the order in which they are laid.
#[derive(Clone, Debug, Default)]
pub struct Layers(Table);

impl Layers {
    /// No layer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lays the TOML file at `path`.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        self.text(&path.display().to_string(), &text)
    }

    /// Lays TOML text that came from `origin`.
    pub fn text(&mut self, origin: &str, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = text.get(..start).unwrap_or_default();
            ConfigError::Syntax {
                origin: origin.to_owned(),
                message: format!(
                    "line {}: {}",
                    1 + before.matches('\n').count(),
                    error.message()
                ),
            }
        })?;
        let of_another_kind = |found, instead| ConfigError::NoConfig {
            origin: origin.to_owned(),
            found,
            instead,
        };
        if table.contains_key("payoff") {
            return Err(of_another_kind("a game", "a game is given as the task"));
        }
        if table.contains_key("agents") && table.contains_key("team") {
            return Err(of_another_kind(
                "a team's manifest",
                "the team's `config.toml` is one",
            ));
        }
        self.lay(table).map_err(|error| ConfigError::Within {
            origin: origin.to_owned(),
            error: Box::new(error),
        })
    }

    /// Lays one `key=value`: the key dotted, the value in TOML, where a bare word is text.
    pub fn assignment(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let wrong = || ConfigError::Assignment {
            found: assignment.to_owned(),
        };
        let (key, value) = assignment.split_once('=').ok_or_else(wrong)?;
        let (key, value) = (key.trim(), value.trim());
        if value.is_empty() || key.split('.').any(|part| !is_bare(part)) {
            return Err(wrong());
        }
        if matches!(key.split('.').next(), Some("game" | "model")) {
            return Err(ConfigError::GameAssignment {
                found: key.to_owned(),
            });
        }
        let line = match format!("value = {value}").parse::<Table>() {
            Ok(line) => line,
            Err(_) if value.split(':').all(is_bare) => {
                Table::from_iter([("value".to_owned(), Value::String(value.to_owned()))])
            }
            Err(error) => {
                // TOML wants a digit before and after a number's point; people do not.
                let digits = value.trim_start_matches(['+', '-']);
                if (digits.starts_with('.') || digits.ends_with('.'))
                    && let Ok(number) = value.parse()
                {
                    return self.lay(nested(key, Value::Float(number)));
                }
                return Err(ConfigError::Syntax {
                    origin: format!("--set {assignment}"),
                    message: error.message().to_owned(),
                });
            }
        };
        // A line break in the value would begin a second key.
        let mut entries = line.into_iter();
        let (Some((_, value)), None) = (entries.next(), entries.next()) else {
            return Err(wrong());
        };
        self.lay(nested(key, value))
    }

    /// Lays one value at a top-level key.
    pub fn value(&mut self, key: &str, value: impl Into<Value>) -> Result<(), ConfigError> {
        self.lay(Table::from_iter([(key.to_owned(), value.into())]))
    }

    /// Lays a task by name or path.
    pub fn task(&mut self, name: &str) -> Result<(), ConfigError> {
        self.value("task", name)
    }

    /// The configuration, checked, and the task it names.
    pub fn resolve(self) -> Result<(Config, Task), ConfigError> {
        let method = self.0.get("method").and_then(Value::as_str);
        let method = method.and_then(Method::named).unwrap_or(Method::Annealed);
        let mut table = defaults(kind_of(&self.0), method);
        merge(&mut table, self.0);
        kinds::check_words(&table)?;
        let mut config = Config::deserialize(Value::Table(table))
            .map_err(|error| ConfigError::Value(error.to_string().trim_end().replace('\n', " ")))?;
        if config.task.is_empty() {
            match (&config.game, &config.model) {
                (Some(game), _) => config.task = game.name().to_owned(),
                (None, Some(_)) => config.task = "model".to_owned(),
                (None, None) => return Err(ConfigError::NoTask),
            }
        }
        if config.game.is_some() && (config.model.is_some() || config.horizon.is_some()) {
            return Err(ConfigError::Range {
                at: "game".to_owned(),
                found: "a game beside a model or a horizon".to_owned(),
                expected: "one task".to_owned(),
            });
        }
        config.forget_other_arms();
        let task = config.task()?;
        if config.game.is_some() && config.task != task.name() {
            return Err(ConfigError::Range {
                at: "task".to_owned(),
                found: format!("`{}`", config.task),
                expected: format!("`{}`, the name of the embedded game", task.name()),
            });
        }
        // A file may be gone or changed when the run is repeated: its game is embedded.
        config.task = task.name().to_owned();
        config.game = task.own_game().cloned();
        let problem = task.own_problem();
        config.horizon = problem.map(|problem| problem.horizon);
        config.model = problem.and_then(|problem| problem.source.clone());
        check::check(&config, &task)?;
        Ok((config, task))
    }

    /// Checks a layer's keys and kinds, and lays it. With another task goes the game that a lower
    /// layer embeds, or the model with its horizon.
    fn lay(&mut self, layer: Table) -> Result<(), ConfigError> {
        let layer = kinds::with_added(kinds::without_retired(layer)?);
        kinds::check_layer(&layer, &any_defaults())?;
        if ["task", "game", "model"]
            .iter()
            .any(|key| layer.contains_key(*key))
        {
            self.0.remove("game");
            if self.0.remove("model").is_some() {
                self.0.remove("horizon");
            }
        }
        merge(&mut self.0, layer);
        Ok(())
    }
}

/// What a run has where nothing else is said, with the settings of every arm there is.
fn defaults(kind: TaskKind, method: Method) -> Table {
    Table::try_from(Config::resolved(kind, method)).expect("the defaults fit TOML")
}

/// Some defaults, of which only the keys and their kinds are asked.
fn any_defaults() -> Table {
    defaults(TaskKind::OneShot, Method::Annealed)
}

/// The kind of the task that the layers name or embed: its defaults lie under them.
fn kind_of(layers: &Table) -> TaskKind {
    let says_what = ["task", "game", "model", "horizon"];
    let mut table = any_defaults();
    for key in says_what {
        if let Some(value) = layers.get(key) {
            table.insert(key.to_owned(), value.clone());
        }
    }
    let config = Config::deserialize(Value::Table(table)).ok();
    let task = config.and_then(|config| config.task().ok());
    // What is wrong with the task is said where it is asked for.
    task.map_or(TaskKind::OneShot, |task| task.kind())
}

/// The table that has `value` at a dotted key.
fn nested(key: &str, value: Value) -> Table {
    let mut parts = key.rsplit('.');
    let last = parts.next().unwrap_or_default().to_owned();
    parts.fold(Table::from_iter([(last, value)]), |table, part| {
        Table::from_iter([(part.to_owned(), Value::Table(table))])
    })
}

/// Whether a part of a dotted key (or a word) needs no quotes in TOML.
fn is_bare(word: &str) -> bool {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !word.is_empty() && word.chars().all(bare)
}

/// Lays `layer` over `base`, table by table. Whole numbers become fractions where `base` has one;
/// a table that says its `shape` replaces what was there.
fn merge(base: &mut Table, layer: Table) {
    for (key, value) in layer {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(layer)) if !layer.contains_key("shape") => {
                merge(base, layer);
            }
            (Some(Value::Float(base)), Value::Integer(value)) => *base = value as f64,
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
