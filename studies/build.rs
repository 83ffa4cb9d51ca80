//! Tells the studies which sources they were built from: figures that were measured with other
//! sources are not to be reused.

use std::io;
use std::path::Path;

#[path = "sources.rs"]
mod sources;

fn main() -> io::Result<()> {
    for path in sources::PATHS {
        println!("cargo::rerun-if-changed=../{path}");
    }
    let hash = sources::hash(Path::new(".."))?;
    println!("cargo::rustc-env=CONSORT_SOURCES={hash}");
    Ok(())
}
