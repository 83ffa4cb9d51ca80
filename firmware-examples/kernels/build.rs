//! Gives the linker the memory map of the emulated Cortex-M4F and cortex-m-rt's script.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    fs::write(
        out.join("memory.x"),
        include_bytes!("../boards/mps2-an386/memory.x"),
    )
    .expect("OUT_DIR is writable");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rerun-if-changed=../boards/mps2-an386/memory.x");
}
