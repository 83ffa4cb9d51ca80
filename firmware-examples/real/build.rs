//! The boards' common build script: gives the linker the board's memory map, if it has its own, and its scripts.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    println!("cargo::rerun-if-changed=memory.x");
    if Path::new("memory.x").is_file() {
        let map = fs::read("memory.x").expect("it is a file");
        fs::write(out.join("memory.x"), map).expect("OUT_DIR is writable");
        println!("cargo::rustc-link-search={}", out.display());
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    } else {
        // Espressif's scripts know the chip's memory.
        println!("cargo::rustc-link-arg-bins=-Tlinkall.x");
    }
    if env::var("CARGO_PKG_NAME").is_ok_and(|name| name.ends_with("rpi-pico")) {
        println!("cargo::rustc-link-arg-bins=-Tlink-rp.x");
    }
}
