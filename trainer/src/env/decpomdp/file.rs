//! Dec-POMDPs from files, with the horizon that the format leaves open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::parse::{ParseError, parse};
use super::{FiniteHorizon, MAX_HORIZON};
use crate::env::family::FAMILIES;

/// How a file with a Dec-POMDP ends.
pub const EXTENSION: &str = ".dpomdp";

/// Why a file is no task: which file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum DecPomdpFileError {
    /// The file cannot be read, or is none.
    #[error("{}: cannot be read ({source}), expected a Dec-POMDP in the `.dpomdp` format", path.display())]
    Unreadable {
        /// The path given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text describes no Dec-POMDP.
    #[error("{origin}: {source}")]
    Text {
        /// The path or the configuration's key.
        origin: String,
        /// The defect.
        source: Box<ParseError>,
    },
    /// The horizon is missing, or is none.
    #[error(
        "horizon: found {found}, expected the steps of an episode in `{name}`, from 1 to {MAX_HORIZON}, as in --horizon 4 (or --set horizon=4)"
    )]
    Horizon {
        /// The file or the model.
        name: String,
        /// What was given.
        found: String,
    },
    /// A horizon for something that has one.
    #[error(
        "horizon: found {found}, expected none: only a `.dpomdp` file goes with one, and `{name}` is none{}",
        suggestion.as_deref().map(|task| format!(" (did you mean the task `{task}`, without --horizon?)")).unwrap_or_default()
    )]
    NoHorizon {
        /// The task.
        name: String,
        /// What was given.
        found: usize,
        /// The task of that horizon.
        suggestion: Option<String>,
    },
}

/// Reads the Dec-POMDP in a file. Its name is the file's, without the extension, and with `-file`
/// where that would be a built-in task's.
///
/// # Errors
/// When there is no such file, its text is none, or the horizon is missing.
pub fn read(path: &Path, horizon: Option<usize>) -> Result<Arc<FiniteHorizon>, DecPomdpFileError> {
    let unreadable = |source| DecPomdpFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_suffix(EXTENSION).unwrap_or(&stem).to_owned();
    // `recycling.dpomdp` is what others call theirs; here the name without more stands for ours.
    let taken = FAMILIES
        .iter()
        .any(|family| (family.parse)(&stem).is_some());
    let stem = if taken {
        format!("{}-file", without_horizon(&stem))
    } else {
        stem
    };
    from_text(&path.display().to_string(), &stem, text, horizon)
}

/// The Dec-POMDP in a text that came from `origin`, called `<stem>-h<horizon>`. A horizon that
/// `stem` ends in already is replaced.
///
/// # Errors
/// As of [`read`].
pub fn from_text(
    origin: &str,
    stem: &str,
    text: String,
    horizon: Option<usize>,
) -> Result<Arc<FiniteHorizon>, DecPomdpFileError> {
    let horizon = match horizon {
        Some(horizon) if (1..=MAX_HORIZON).contains(&horizon) => horizon,
        found => {
            return Err(DecPomdpFileError::Horizon {
                name: stem.to_owned(),
                found: found.map_or("nothing".to_owned(), |found| found.to_string()),
            });
        }
    };
    let model = parse(&text).map_err(|source| DecPomdpFileError::Text {
        origin: origin.to_owned(),
        source: Box::new(source),
    })?;
    Ok(Arc::new(FiniteHorizon {
        name: format!("{}-h{horizon}", without_horizon(&plain(stem))),
        model,
        horizon,
        source: Some(text),
    }))
}

/// A name that folders can be called after: no separators or control characters, no dot in
/// front, at most 40 characters.
fn plain(stem: &str) -> String {
    let kept = |c: &char| !c.is_control() && !"/\\:".contains(*c);
    let name: String = stem
        .trim_start_matches('.')
        .chars()
        .filter(kept)
        .take(40)
        .collect();
    if name.is_empty() {
        "model".to_owned()
    } else {
        name
    }
}

/// `name` without the `-h` and digits that it may end in.
pub(crate) fn without_horizon(name: &str) -> &str {
    match name.rsplit_once("-h") {
        Some((stem, digits))
            if !stem.is_empty()
                && !digits.is_empty()
                && digits.bytes().all(|digit| digit.is_ascii_digit()) =>
        {
            stem
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "agents: 1\ndiscount: 1\nvalues: reward\nstates: 1\nstart: 0\nactions: 1\n\
                       observations: 1\nT: * : * : * : 1\nO: * : * : * : 1\nR: * : * : * : * : 2";

    fn message(result: Result<Arc<FiniteHorizon>, DecPomdpFileError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_file_needs_a_horizon_and_gives_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.dpomdp");
        std::fs::write(&path, ONE).unwrap();
        let problem = read(&path, Some(3)).unwrap();
        assert_eq!((problem.name.as_str(), problem.horizon), ("tiny-h3", 3));
        assert_eq!(problem.source.as_deref(), Some(ONE));
        let ours = folder.path().join("recycling.dpomdp");
        std::fs::copy(&path, &ours).unwrap();
        assert_eq!(read(&ours, Some(3)).unwrap().name, "recycling-file-h3");
        let missing = message(read(&path, None));
        assert!(
            missing
                .starts_with("horizon: found nothing, expected the steps of an episode in `tiny`")
        );
        assert!(message(read(&path, Some(0))).contains("found 0"));

        std::fs::write(&path, ONE.replace("discount: 1", "discount: 2")).unwrap();
        let defect = message(read(&path, Some(3)));
        assert!(
            defect.ends_with(
                "tiny.dpomdp: line 2: discount: found `2`, expected a number from 0 to 1"
            ),
            "{defect}"
        );
        let absent = message(read(&folder.path().join("absent.dpomdp"), Some(3)));
        assert!(absent.contains("absent.dpomdp: cannot be read"), "{absent}");
        assert!(message(read(folder.path(), Some(3))).contains("cannot be read"));
    }

    #[test]
    fn names_are_fit_for_folders_and_change_with_the_horizon() {
        let named = |stem: &str| {
            from_text("x", stem, ONE.to_owned(), Some(7))
                .unwrap()
                .name
                .clone()
        };
        assert_eq!(named("tiger-h4"), "tiger-h7");
        assert_eq!(named("tiger-hard"), "tiger-hard-h7");
        assert_eq!(named("-h4"), "-h4-h7");
        assert_eq!(named("../a/b"), "ab-h7");
        assert_eq!(named(""), "model-h7");
        assert_eq!(named(&"x".repeat(99)).len(), 43);
    }
}
