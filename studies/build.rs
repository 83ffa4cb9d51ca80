//! Tells the studies which sources they were built from: figures that were measured with other
//! sources are not to be reused.

use std::io;
use std::path::Path;

#[path = "sources.rs"]
mod sources;

fn main() -> io::Result<()> {
    let workspace = Path::new("..");
    for source in sources::SOURCES {
        println!("cargo::rerun-if-changed=../{source}");
    }
    println!("cargo::rerun-if-changed=sources.rs");
    println!(
        "cargo::rustc-env=CONSORT_SOURCES={}",
        sources::hash(workspace)?
    );
    Ok(())
}
