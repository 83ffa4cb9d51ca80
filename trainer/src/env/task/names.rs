//! What names stand for.

use super::{Task, TaskError};
use crate::env::builtin::{BUILTINS, Builtin, RANDOM_FAMILIES, RandomFamily};
use crate::env::family::FAMILIES;

/// What a name stands for before any file is looked for.
pub(super) enum Reserved<'a> {
    Builtin(&'static Builtin),
    /// A family, and what should be the number of one of its games.
    Random(&'static RandomFamily, &'a str),
}

/// The simulation a name stands for, if it is one's.
pub(super) fn simulation(name: &str) -> Option<Result<Task, TaskError>> {
    if is_path(name) {
        return None;
    }
    let found = FAMILIES.iter().find_map(|family| (family.parse)(name))?;
    Some(
        found
            .map(Task::simulated)
            .map_err(|message| TaskError::Member {
                name: name.to_owned(),
                message,
            }),
    )
}

pub(super) fn reserved(name: &str) -> Option<Reserved<'_>> {
    if is_path(name) {
        return None;
    }
    if let Some(builtin) = BUILTINS.iter().find(|builtin| builtin.name == name) {
        return Some(Reserved::Builtin(builtin));
    }
    RANDOM_FAMILIES.iter().find_map(|family| {
        let rest = name.strip_prefix(family.name)?;
        let number = if rest.is_empty() {
            rest
        } else {
            rest.strip_prefix('-')?
        };
        Some(Reserved::Random(family, number))
    })
}

pub(super) fn is_path(name: &str) -> bool {
    name.contains(std::path::is_separator) || name.ends_with(".toml")
}

/// A whole number in its one spelling, without `+` or leading zeros: a task has one name.
pub(super) fn seed(number: &str) -> Option<u64> {
    let seed: u64 = number.parse().ok()?;
    (seed.to_string() == number).then_some(seed)
}

/// The names that [`Task::find`] knows, for its error.
pub(super) fn known_names() -> Vec<String> {
    let builtins = BUILTINS.iter().map(|builtin| builtin.name.to_owned());
    let families = RANDOM_FAMILIES
        .iter()
        .map(|family| format!("{}-<seed>", family.name));
    let patterns = FAMILIES.iter().map(|family| family.pattern.to_owned());
    builtins.chain(families).chain(patterns).collect()
}
