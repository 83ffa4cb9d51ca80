//! The `consort` command.

mod cli;

use std::process::ExitCode;

/// candle allocates every intermediate tensor anew; glibc gives such blocks back to the kernel
/// and faults them in again, which costs as much as the arithmetic.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_candle_single_threaded();
    cli::main()
}

/// Sets `RAYON_NUM_THREADS=1` unless the caller has set it.
///
/// Training runs one job a core, and its matrices are small: candle's own threads would fight it
/// for the cores. Worse, without the variable candle 0.11 counts the cores anew at every matrix
/// product, by reading `/proc/cpuinfo`.
#[allow(unsafe_code, reason = "the environment can be changed in no other way")]
fn keep_candle_single_threaded() {
    const VARIABLE: &str = "RAYON_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: called first in `main`; no other thread exists that could read the environment.
        unsafe { std::env::set_var(VARIABLE, "1") }
    }
}
