//! The boards' common build script: gives the linker the board's memory map, if it has its own, and its scripts, and the code what
//! board.toml says.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rerun-if-changed=board.toml");
    let scripts = if Path::new("memory.x").is_file() {
        let map = fs::read("memory.x").expect("it is a file");
        fs::write(out.join("memory.x"), map).expect("OUT_DIR is writable");
        println!("cargo::rustc-link-search={}", out.display());
        "link.x"
    } else {
        // Espressif's scripts know the chip's memory.
        "linkall.x"
    };
    println!("cargo::rustc-link-arg=-T{scripts}");
    if env::var("CARGO_PKG_NAME").is_ok_and(|name| name.ends_with("rpi-pico")) {
        println!("cargo::rustc-link-arg=-Tlink-rp.x");
    }
    if Path::new("tests").is_dir() {
        println!("cargo::rustc-link-arg-tests=-Tembedded-test.x");
        // Its macro asks for it.
        println!("cargo::rustc-check-cfg=cfg(rust_analyzer)");
    }
    let text = fs::read_to_string("board.toml").expect("every board has its board.toml");
    let board: toml::Table = text.parse().expect("board.toml is TOML");
    fs::write(out.join("board.rs"), constants(&board)).expect("OUT_DIR is writable");
}

/// The slots, counted from the flash's first byte, what a policy is lent, and the serial line's rate.
fn constants(board: &toml::Table) -> String {
    let flash = &board["flash"];
    let number = |value: &toml::Value| value.as_integer().expect("a whole number in board.toml");
    let both = |name: &str| [0, 1].map(|slot| number(&flash[name][slot]) - number(&flash["start"]));
    format!(
        "/// Where the slots' images begin.\npub(crate) const IMAGES: [u32; 2] = {:?};\n\
         /// Where their records do.\npub(crate) const RECORDS: [u32; 2] = {:?};\n\
         /// Bytes of an image.\npub(crate) const ROOM: usize = {};\n\
         /// Values of memory lent to a policy.\npub(crate) const MEMORY: usize = {};\n\
         /// Bytes of the longest frame.\npub(crate) const FRAME: usize = {};\n\
         /// Bits a second.\npub(crate) const BAUD: u32 = {};\n",
        both("images"),
        both("records"),
        number(&flash["room"]),
        number(&board["memory"]),
        number(&board["frame"]),
        number(&board["baud"]),
    )
}
