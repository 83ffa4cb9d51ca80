//! Cells that other sources have made, taken where they demonstrably train alike.
//!
//! A study of days outlives changes of the code beside the one it measures. Cells of tasks that such a
//! change does not touch may be taken over, on a condition that is checked: every cell that both
//! sources have made is equal in every number but the seconds, and there is such a cell of at least
//! three tasks *by the same method*, since a change may touch one and not the others; of one task, where large tasks
//! are taken over, whose cells are made by other settings and take minutes each. The page says what was taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::cells::{Cells, Run, Wanted};
use super::design::{Group, Row};

/// Cells of one kind of task by one method.
#[derive(Default)]
struct Kind {
    /// Tasks of which both sources have made one.
    compared: BTreeSet<String>,
    /// How many only the other sources have made.
    fresh: usize,
}

/// Tasks of a kind on which both sources have to have made a cell before others are taken.
fn enough(large: bool) -> usize {
    if large { 1 } else { 3 }
}

/// What was taken, for the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Adoption {
    /// Cells that only other sources have made.
    pub(crate) taken: usize,
    /// Cells that both have made, all equal.
    pub(crate) compared: usize,
    /// Cells of another processor, which nothing can be compared with.
    pub(crate) elsewhere: usize,
}

/// Takes, unchecked, the runs in `sources` of rows that the page `is_about` and that are not here; returns how many.
/// For runs of another processor: the same sources come to other bits there, so the two are samples of one method
/// and never equal.
pub(crate) fn take_elsewhere(
    cells: &mut Cells,
    sources: &[PathBuf],
    is_about: impl Fn(&Row) -> bool,
) -> Result<usize> {
    let plan: Vec<Wanted> = cells.plan(is_about);
    let mut taken = 0;
    for source in sources {
        for (_, run) in read("--elsewhere", source)? {
            let Some(&wanted) = plan.iter().find(|&&wanted| run.is_of(wanted)) else {
                continue;
            };
            if run.steps == cells.config(wanted)?.0.steps && cells.find(wanted)?.is_none() {
                cells.adopted.push(run);
                taken += 1;
            }
        }
    }
    Ok(taken)
}

/// Takes over the cells in `sources`, folders and files: compares all there are, and counts those of the rows that the
/// page `is_about`.
pub(crate) fn adopt(
    cells: &mut Cells,
    sources: &[PathBuf],
    is_about: impl Fn(&Row) -> bool,
) -> Result<Adoption> {
    let plan: Vec<Wanted> = cells.plan(|_| true);
    let (mut adoption, mut adopted) = (Adoption::default(), Vec::<Run>::new());
    for source in sources {
        // By method, and whether the tasks are large.
        let mut kinds = BTreeMap::<(String, bool), Kind>::new();
        for (path, run) in read("--adopt", source)? {
            let Some(&wanted) = plan.iter().find(|&&wanted| run.is_of(wanted)) else {
                continue;
            };
            if run.steps != cells.config(wanted)?.0.steps {
                continue;
            }
            let large = wanted.row.group == Group::Large;
            let kind = kinds.entry((run.method.clone(), large)).or_default();
            let other = cells.find_own(wanted)?;
            let known = adopted.iter().find(|run| run.is_of(wanted)).cloned();
            match other.or(known) {
                Some(own) => {
                    let alike = Run {
                        seconds: own.seconds,
                        ..run
                    };
                    ensure!(
                        alike == own,
                        "--adopt: {}: {} by {}, seed {}, comes to other figures here: other sources or another \
                         processor made it, and none of its cells can be taken",
                        path.display(),
                        own.task,
                        own.method,
                        own.seed,
                    );
                    kind.compared.insert(own.task);
                    adoption.compared += 1;
                }
                None => {
                    adopted.push(run);
                    kind.fresh += 1;
                    adoption.taken += usize::from(is_about(wanted.row));
                }
            }
        }
        for ((method, large), kind) in kinds {
            let (compared, expected) = (kind.compared.len(), enough(large));
            ensure!(
                kind.fresh == 0 || compared >= expected,
                "--adopt {}: found cells of {compared} {}tasks by {method} to compare its sources by, \
                 expected {expected}: train some of the same cells first",
                source.display(),
                if large { "large " } else { "" },
            );
        }
    }
    cells.adopted = adopted;
    Ok(adoption)
}

/// Every cell in the `path` that `option` was given: of a folder by name, of a file by line.
fn read(option: &str, path: &Path) -> Result<Vec<(PathBuf, Run)>> {
    let text = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("{option} {}", path.display()))
    };
    let parse = |text: &str, path: &Path| -> Result<(PathBuf, Run)> {
        let run = serde_json::from_str(text);
        let run = run.with_context(|| format!("{option}: {}: not a cell", path.display()))?;
        Ok((path.to_owned(), run))
    };
    if path.is_file() {
        let text = text(path)?;
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
        let at = |number: usize| PathBuf::from(format!("{}:{number}", path.display()));
        return lines
            .map(|(number, line)| parse(line, &at(number)))
            .collect();
    }
    let entries = fs::read_dir(path).with_context(|| format!("{option} {}", path.display()))?;
    let mut paths = BTreeSet::new();
    for entry in entries {
        paths.insert(entry?.path());
    }
    let cells = paths.into_iter().filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with(".json") && !name.starts_with("cost."))
    });
    cells.map(|path| parse(&text(&path)?, &path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequential::cells::tests::cells;
    use crate::sequential::design::ANNEALED;
    use crate::sequential::findings::tests::run;

    fn leave(folder: &Path, run: &Run) {
        let text = serde_json::to_string(run).unwrap();
        let name = format!("{}.{}.{}.other.json", run.task, run.method, run.seed);
        fs::write(folder.join(name), text).unwrap();
    }

    fn wanted(task: &str, seed: u64) -> Wanted {
        Wanted {
            row: Row::named(task),
            method: &ANNEALED,
            seed,
        }
    }

    #[test]
    fn cells_are_taken_where_both_agree_and_refused_where_they_differ() {
        let (own, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut cells = Cells {
            steps: Some(400_000),
            steps_large: Some(400_000),
            ..cells(own.path())
        };
        let run = |task, seed, value| Run {
            steps: 400_000,
            ..run(task, "annealed", seed, value)
        };
        let tasks = ["broadcast-h2", "broadcast-h3", "two-step"];
        for task in tasks {
            cells.keep(wanted(task, 0), &run(task, 0, 2.0)).unwrap();
        }
        let folders = [others.path().to_owned()];
        leave(others.path(), &run("recycling-h2", 1, 7.0));
        let message = format!("{:#}", adopt(&mut cells, &folders, |_| true).unwrap_err());
        assert!(
            message.contains("found cells of 0 tasks by annealed"),
            "{message}"
        );

        for task in tasks {
            // Seconds may differ, nothing else.
            let run = Run {
                seconds: 99.0,
                ..run(task, 0, 2.0)
            };
            leave(others.path(), &run);
        }
        let adoption = adopt(&mut cells, &folders, |_| true).unwrap();
        let expected = Adoption {
            taken: 1,
            compared: 3,
            elsewhere: 0,
        };
        assert_eq!(adoption, expected);
        let about = adopt(&mut cells, &folders, |row| row.task == "two-step").unwrap();
        assert_eq!((about.taken, about.compared), (0, 3));
        let found = cells.find(wanted("recycling-h2", 1)).unwrap().unwrap();
        assert_eq!(found.value, 7.0);
        assert_eq!(cells.find(wanted("recycling-h2", 0)).unwrap(), None);

        // Nor does a method say anything of another.
        let rival = Run {
            method: "factored-mild".into(),
            ..run("recycling-h2", 0, 6.5)
        };
        leave(others.path(), &rival);
        let message = format!("{:#}", adopt(&mut cells, &folders, |_| true).unwrap_err());
        assert!(
            message.contains("found cells of 0 tasks by factored-mild"),
            "{message}"
        );
        let folder = others.path();
        fs::remove_file(folder.join("recycling-h2.factored-mild.0.other.json")).unwrap();

        // Large tasks are trained otherwise: none says anything of another kind.
        leave(others.path(), &run("mpe-spread", 0, -40.0));
        let message = format!("{:#}", adopt(&mut cells, &folders, |_| true).unwrap_err());
        assert!(
            message.contains("found cells of 0 large tasks by annealed"),
            "{message}"
        );
        let longer = Run {
            steps: 900_000,
            ..run("mpe-spread", 0, -40.0)
        };
        leave(others.path(), &longer);
        assert_eq!(adopt(&mut cells, &folders, |_| true).unwrap(), expected);

        // A page's file of runs is as good as a folder.
        let file = others.path().join("runs.jsonl");
        let lines = tasks.map(|task| serde_json::to_string(&run(task, 0, 2.0)).unwrap());
        let more = serde_json::to_string(&run("recycling-h3", 1, 10.66)).unwrap();
        fs::write(&file, format!("{}\n{more}\n", lines.join("\n"))).unwrap();
        assert_eq!(adopt(&mut cells, &[file], |_| true).unwrap(), expected);
        assert!(
            cells
                .find(wanted("recycling-h3", 1))
                .unwrap()
                .is_some_and(|run| run.value == 10.66)
        );

        // Another processor's: what is here stays, what is not is taken, once.
        let file = others.path().join("elsewhere.jsonl");
        let lines = [run("two-step", 0, 7.9), run("two-step", 1, 8.0)];
        let lines = lines.map(|run| serde_json::to_string(&run).unwrap());
        fs::write(&file, lines.join("\n")).unwrap();
        let files = [file.clone(), file];
        let none = take_elsewhere(&mut cells, &files, |row| row.task != "two-step");
        assert_eq!(none.unwrap(), 0);
        assert_eq!(take_elsewhere(&mut cells, &files, |_| true).unwrap(), 1);
        let value = |seed| cells.find(wanted("two-step", seed)).unwrap().unwrap().value;
        assert_eq!([value(0), value(1)], [2.0, 8.0]);

        leave(others.path(), &run("two-step", 0, 1.5));
        let message = format!("{:#}", adopt(&mut cells, &folders, |_| true).unwrap_err());
        assert!(message.contains("other figures"), "{message}");
    }
}
