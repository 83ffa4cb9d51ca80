//! Installing what the machine lacks, by the package manager it has.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Something to install, and the packages that hold it; no packages where a manager has none.
pub(crate) struct Need {
    /// What is missing, for messages.
    pub(crate) what: &'static str,
    pub(crate) apt: &'static [&'static str],
    pub(crate) dnf: &'static [&'static str],
    pub(crate) pacman: &'static [&'static str],
    pub(crate) brew: &'static [&'static str],
}

impl Need {
    /// Installs the packages.
    ///
    /// # Errors
    ///
    /// Names what to install by hand when there is no package manager that can, or when it fails.
    pub(crate) fn install(&self) -> Result<()> {
        let by_hand = || {
            format!(
                "{} is needed; install it by hand (Debian's name: {})",
                self.what,
                self.apt.join(" ")
            )
        };
        let Some((manager, packages)) = self.manager() else {
            bail!("{}: no known package manager has it", by_hand());
        };
        eprintln!(
            "{} is missing: installing {}",
            self.what,
            packages.join(" ")
        );
        let install = || match manager {
            "apt-get" => run_as_root(
                "apt-get",
                &["install", "--yes", "--no-install-recommends"],
                packages,
            ),
            "dnf" => run_as_root("dnf", &["install", "--assumeyes"], packages),
            "pacman" => run_as_root("pacman", &["--sync", "--noconfirm", "--needed"], packages),
            // Homebrew refuses to run as root.
            _ => process::run(Command::new("brew").arg("install").args(packages)),
        };
        let installed = match install() {
            // A fresh machine has no package lists yet.
            Err(_) if manager == "apt-get" => {
                run_as_root("apt-get", &["update"], &[]).and_then(|()| install())
            }
            other => other,
        };
        installed.with_context(by_hand)
    }

    /// The first manager that is here and has the packages.
    fn manager(&self) -> Option<(&'static str, &'static [&'static str])> {
        let managers = [
            ("apt-get", self.apt),
            ("dnf", self.dnf),
            ("pacman", self.pacman),
            ("brew", self.brew),
        ];
        managers
            .into_iter()
            .find(|(manager, packages)| !packages.is_empty() && process::exists(manager))
    }
}

/// Runs a package manager as root, by sudo where we are not, without questions.
fn run_as_root(manager: &str, options: &[&str], packages: &[&str]) -> Result<()> {
    let root = process::stdout(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = Command::new(if root { "env" } else { "sudo" });
    if !root {
        command.arg("env");
    }
    command
        .args(["DEBIAN_FRONTEND=noninteractive", manager])
        .args(options)
        .args(packages);
    process::run(&mut command)
}
