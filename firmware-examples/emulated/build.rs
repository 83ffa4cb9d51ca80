//! The boards' common build script: gives the linker the board's memory map, and the core's start-up script after it.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let map = fs::read("memory.x").expect("every board has its memory map in memory.x");
    fs::write(out.join("memory.x"), map).expect("OUT_DIR is writable");
    println!("cargo::rustc-link-search={}", out.display());
    // cortex-m-rt's script asks for the map itself.
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "riscv32") {
        println!("cargo::rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    // Tells `cargo xtask qemu` who calls whom; the device gets none of it.
    println!("cargo::rustc-link-arg-bins=--emit-relocs");
    println!("cargo::rerun-if-changed=memory.x");
}
