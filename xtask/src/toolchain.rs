//! Compiling for microcontrollers: rustup's targets where they can be had, else `core` from source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::packages::Need;
use crate::process;

/// rustup retries a network that does not answer for much longer than anyone waits.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

/// Debian's compiler for its browsers: recent, and with a source of `core` that `-Zbuild-std` finds.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: Need = Need {
    what: "a compiler with the source of `core`",
    apt: &["rustc-web", "rust-web-src"],
    dnf: &[],
    pacman: &[],
    brew: &[],
};

/// How code for microcontrollers is compiled on this machine.
pub(crate) enum Toolchain {
    /// The compiler in use has the targets' `core`.
    Targets,
    /// `core` is built from the source of Debian's compiler and linked by rustup's linker.
    BuildStd { linker: PathBuf },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Toolchain::Targets => "rustup's targets",
            Toolchain::BuildStd { .. } => "core built from source",
        })
    }
}

impl Toolchain {
    /// Makes `targets` compile on this machine. `build_std` skips rustup.
    pub(crate) fn prepare(targets: &[&str], build_std: bool) -> Result<Toolchain> {
        if !build_std {
            match add_targets(targets) {
                Ok(()) => return Ok(Toolchain::Targets),
                Err(error) => eprintln!("{error:#}\nbuilding `core` from source instead"),
            }
        }
        from_source().with_context(|| {
            let targets = targets.join(" ");
            format!("no way to compile for {targets}; with a network, `rustup target add {targets}` is one")
        })
    }

    /// A cargo command in `folder` that compiles for `target`.
    pub(crate) fn cargo(&self, folder: &Path, subcommand: &str, target: &str) -> Command {
        let mut command = process::cargo(folder, subcommand);
        command.args(["--target", target]);
        if let Toolchain::BuildStd { linker } = self {
            let variable = target.replace(['-', '.'], "_").to_uppercase();
            command
                .arg("-Zbuild-std=core")
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
        }
        command
    }
}

/// Lets rustup add those of `targets` that the compiler lacks.
fn add_targets(targets: &[&str]) -> Result<()> {
    let mut missing = Vec::new();
    for &target in targets {
        if !has_core(target)? {
            missing.push(target);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add"]).args(&missing);
    eprintln!("$ {}", process::line(&rustup));
    let added = process::run_limited(&mut rustup, RUSTUP_LIMIT)?;
    if !added.status.success() {
        bail!(
            "`{}` ended with {}:\n{}",
            process::line(&rustup),
            added.status,
            added.stderr.trim_end()
        );
    }
    Ok(())
}

/// Whether the compiler in use has `target`'s `core`, whoever installed it.
fn has_core(target: &str) -> Result<bool> {
    let libraries = rustc(&["--print", "target-libdir", "--target", target])?;
    Ok(std::fs::read_dir(libraries).is_ok_and(|files| {
        files
            .flatten()
            .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
    }))
}

fn from_source() -> Result<Toolchain> {
    if !debian_has_source() {
        DEBIAN_PACKAGES.install()?;
        if !debian_has_source() {
            bail!(
                "{DEBIAN_RUSTC}: its sysroot has no lib/rustlib/src/rust/library/core after the installation"
            );
        }
    }
    let host = rustc(&["--print", "host-tuple"])?;
    let linker = Path::new(&rustc(&["--print", "sysroot"])?)
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    if !linker.is_file() {
        bail!("{}: rustup's linker is not there", linker.display());
    }
    Ok(Toolchain::BuildStd { linker })
}

fn debian_has_source() -> bool {
    let sysroot = process::stdout(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| {
        Path::new(sysroot.trim())
            .join("lib/rustlib/src/rust/library/core")
            .is_dir()
    })
}

/// What the compiler in use prints.
fn rustc(arguments: &[&str]) -> Result<String> {
    Ok(process::stdout(Command::new("rustc").args(arguments))?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn building_from_source_names_compiler_and_linker() {
        let toolchain = Toolchain::BuildStd {
            linker: "lld".into(),
        };
        let command = toolchain.cargo(Path::new("."), "build", "thumbv8m.main-none-eabihf");
        let variables: Vec<_> = command
            .get_envs()
            .filter_map(|(name, _)| name.to_str())
            .collect();
        assert_eq!(
            variables,
            [
                "CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_LINKER",
                "RUSTC",
                "RUSTC_BOOTSTRAP"
            ]
        );
        assert!(
            command
                .get_args()
                .any(|argument| argument == "-Zbuild-std=core")
        );
    }
}
