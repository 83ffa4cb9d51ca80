//! The progress bar: on stderr, and only where a person looks.

use std::io::{IsTerminal, stderr};
use std::process::exit;
use std::sync::Once;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The exit code of a process that a person ended with Ctrl-C, as shells give it.
const INTERRUPTED: i32 = 128 + 2;

/// A bar of environment steps.
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Once,
}

impl Progress {
    pub(super) fn new(steps: u64, quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self::of(ProgressBar::hidden());
        }
        let style = "{wide_bar} {human_pos}/{human_len} steps, {eta} left";
        let style = ProgressStyle::with_template(style).expect("a fixed template");
        let bar = ProgressBar::new(steps).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        let shown = bar.clone();
        let interrupted = move || {
            shown.finish_and_clear();
            eprintln!(
                "interrupted: the same command goes on from the last checkpoint, or from the start where none \
                 was kept yet"
            );
            exit(INTERRUPTED);
        };
        // Without a handler the bar stays on the screen, and nothing else is lost.
        let _ = ctrlc::set_handler(interrupted);
        Self::of(bar)
    }

    fn of(bar: ProgressBar) -> Self {
        Self {
            bar,
            begun: Once::new(),
        }
    }

    /// So many more steps are done.
    pub(super) fn add(&self, steps: u64) {
        self.bar.inc(steps);
        // A run that goes on begins with all that it had done, which says nothing of how fast it is.
        self.begun.call_once(|| self.bar.reset_eta());
    }

    /// Says something beside the bar.
    pub(super) fn note(&self, text: &str) {
        self.bar.suspend(|| eprintln!("note: {text}"));
    }

    /// Clears the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
