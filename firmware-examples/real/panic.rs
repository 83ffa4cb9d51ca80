//! What the real boards share: a panic is said to the debugger.

use core::panic::PanicInfo;

use rtt_target::rprintln;

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    rprintln!("FAIL {}", info);
    loop {
        core::hint::spin_loop();
    }
}
