//! Tells the trainer which commit it was built from, where there is one: it goes into every
//! team's manifest.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The reflog changes with every commit and checkout, HEAD itself only with the branch.
    for path in ["HEAD", "logs/HEAD"] {
        // A path that is not there would run this script at every build.
        let path = git(&["rev-parse", "--git-path", path]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    // A copy of this crate inside someone else's repository has no commit of its own there.
    if git(&["ls-files", "--error-unmatch", "build.rs"]).is_none() {
        return;
    }
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo::rustc-env=CONSORT_COMMIT={commit}");
    }
}

/// What `git` prints, if it is there and agrees.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
