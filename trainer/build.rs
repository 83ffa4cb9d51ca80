//! Tells the trainer which commit it was built from, where there is one, and whether anything was
//! changed since (`-dirty`): it goes into every team's manifest.

use std::path::Path;
use std::process::Command;

fn main() {
    for path in ["build.rs", "src", "../runtime/src"] {
        println!("cargo::rerun-if-changed={path}");
    }
    // The reflog changes with every commit and checkout, HEAD itself only with the branch. Not the
    // index: `git status` rewrites it, and what is compiled changes in `src`.
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
    // No tag: the hash alone, whatever the commit is also called.
    let describe = [
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ];
    if let Some(commit) = git(&describe) {
        println!("cargo::rustc-env=CONSORT_COMMIT={commit}");
    }
}

/// What `git` prints, if it is there and agrees.
fn git(arguments: &[&str]) -> Option<String> {
    // Else `describe` refreshes the index, which would run this script at every build.
    let output = Command::new("git")
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
