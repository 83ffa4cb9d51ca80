//! What studies share as commands: where the workspace is, which commit, what day, how far.

use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use consort_trainer::atomic;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::kept::SOURCES;

#[path = "../sources.rs"]
mod sources;

/// The workspace's folder.
pub(crate) fn workspace() -> &'static Path {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("studies is a folder of the workspace")
}

/// The commit of the working tree, marked `-dirty` where that has changes. None where the trainer's sources have changed
/// since this was built: the figures are not of that commit then. Changes of the studies themselves are not seen.
pub(crate) fn commit() -> Result<Option<String>> {
    let sources =
        sources::hash(workspace()).context("the trainer's sources, to name the commit")?;
    if sources != SOURCES {
        return Ok(None);
    }
    let mut git = Command::new("git");
    git.args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]);
    let output = git
        .current_dir(workspace())
        .output()
        .context("git is needed to name the commit")?;
    let text = String::from_utf8(output.stdout)?;
    anyhow::ensure!(output.status.success(), "git names no commit here");
    Ok(Some(text.trim().to_owned()))
}

/// Where a page's figures were made, for its first sentence.
pub(crate) fn at(commit: Option<&str>) -> String {
    commit.map_or("at a commit that is not known".to_owned(), |commit| {
        format!("at commit `{commit}`")
    })
}

/// Writes the page to `out`, if it is to be kept, shows it, and ends stdout with the findings as one JSON object
/// if they are asked for.
pub(crate) fn publish(
    page: &str,
    out: Option<&Path>,
    findings: &impl Serialize,
    json: bool,
) -> Result<()> {
    if let Some(out) = out {
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder)?;
        }
        atomic::write(out, page.as_bytes())?;
        eprintln!("wrote {}", out.display());
    }
    print!("{page}");
    if json {
        println!("{}", serde_json::to_string(findings)?);
    }
    Ok(())
}

/// A bar of environment steps, where a person looks.
pub(crate) fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:40} {human_pos}/{human_len} steps, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).expect("a fixed template");
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Works on `items` in their order, `jobs` at a time, until `is_over`; the first error ends it.
pub(crate) fn side_by_side<T: Send>(
    jobs: usize,
    items: Vec<T>,
    is_over: impl Fn() -> bool + Sync,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let queue = Mutex::new(items.into_iter());
    let failed = AtomicBool::new(false);
    let worker = || -> Result<()> {
        while !is_over() && !failed.load(Ordering::Relaxed) {
            let next = queue.lock().map_err(|_| anyhow!("a run panicked"))?.next();
            let Some(item) = next else {
                break;
            };
            work(item).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Result<()>>| {
            let joined = worker.join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().try_for_each(join)
    })
}

/// Today, in UTC: `2026-01-31`.
pub(crate) fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    date(since.map_or(0, |since| since.as_secs() / 86_400))
}

/// The date so many days after 1970-01-01, in the Gregorian calendar.
fn date(mut days: u64) -> String {
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // `date -u -d 2024-02-29 +%s` / 86400, and so on.
        let table = [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (19_782, "2024-02-29"),
            (19_783, "2024-03-01"),
            (20_453, "2025-12-31"),
            (20_454, "2026-01-01"),
        ];
        for (days, expected) in table {
            assert_eq!(date(days), expected);
        }
    }
}
