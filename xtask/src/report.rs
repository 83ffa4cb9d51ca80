//! Named steps, their times and a table at the end.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The steps so far.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    time: Duration,
    outcome: String,
}

impl Report {
    /// Runs one step. What it returns is shown as its outcome; its error carries the step's name.
    pub(crate) fn step<T: Display>(
        &mut self,
        name: impl Into<String>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let name = name.into();
        eprintln!("\n== {name}");
        let start = Instant::now();
        let done = work();
        let time = start.elapsed();
        let outcome = done
            .as_ref()
            .map_or_else(|_| "FAILED".into(), ToString::to_string);
        eprintln!("== {name}: {outcome} ({:.1} s)", time.as_secs_f64());
        self.rows.push(Row {
            name: name.clone(),
            time,
            outcome,
        });
        done.with_context(|| format!("step `{name}` failed"))
    }

    /// Prints the table of steps to stdout; nothing when there was none.
    pub(crate) fn print(&self) {
        if !self.rows.is_empty() {
            println!("\n{}", self.table());
        }
    }

    fn table(&self) -> String {
        let width = self
            .rows
            .iter()
            .map(|row| row.name.chars().count())
            .max()
            .unwrap_or(0);
        let line = |name: &str, time: Duration, outcome: &str| {
            format!("{name:<width$}  {:>7.1} s  {outcome}", time.as_secs_f64())
        };
        let mut lines: Vec<_> = self
            .rows
            .iter()
            .map(|row| line(&row.name, row.time, &row.outcome))
            .collect();
        lines.push(line("all", self.rows.iter().map(|row| row.time).sum(), ""));
        lines
            .iter()
            .map(|line| line.trim_end())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_stays_in_the_table() {
        let mut report = Report::default();
        assert_eq!(report.step("first", || Ok("fine")).unwrap(), "fine");
        let error = report
            .step::<String>("second step", || anyhow::bail!("broken"))
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "step `second step` failed: broken");
        let table = report.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[0].starts_with("first        ") && lines[0].ends_with("fine"),
            "{table}"
        );
        assert!(lines[1].ends_with("FAILED"), "{table}");
    }
}
