//! What the real boards share: text to the debugger.

use core::fmt;
use core::panic::PanicInfo;

use rtt_target::{rprint, rprintln};

/// The debugger's console, by RTT.
pub(crate) struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        rprint!("{}", text);
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    rprintln!("FAIL {}", info);
    loop {
        core::hint::spin_loop();
    }
}
