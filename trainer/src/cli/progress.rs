//! The progress bar: on stderr, and only where a person looks.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of environment steps.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(steps: u64, quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style = "{wide_bar} {human_pos}/{human_len} steps, {eta} left";
        let style = ProgressStyle::with_template(style).expect("a fixed template");
        let bar = ProgressBar::new(steps).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// So many more steps are done.
    pub(super) fn add(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// Clears the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
