//! What the real boards share: text to the debugger.

use core::fmt;

use rtt_target::rprint;

/// The debugger's console, by RTT.
pub(crate) struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        rprint!("{}", text);
        Ok(())
    }
}
