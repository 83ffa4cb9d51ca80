//! Lints, host tests and cross builds, in both workspaces.

use std::process::Command;

use anyhow::{Context, Result};

use crate::board::{BOARDS, firmware, real};
use crate::process::{cargo, run};
use crate::report::Report;
use crate::root;
use crate::toolchain::Toolchain;

/// Where consort-runtime must build: Cortex-M0, M3, M4F, M33 and RISC-V without floating point, with and without atomics.
const TARGETS: [&str; 7] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imac-unknown-none-elf",
    "riscv32imc-unknown-none-elf",
];

/// Prepares the compiler for every target the project builds for.
pub(crate) fn toolchain(report: &mut Report, build_std: bool) -> Result<Toolchain> {
    report.step("embedded targets", || {
        Toolchain::prepare(&TARGETS, build_std)
    })
}

/// Formatting, clippy and rustdoc: every warning is an error.
///
/// The release profile, so that what cargo builds on the way is what the tests use too.
pub(crate) fn lint(report: &mut Report, toolchain: &Toolchain) -> Result<()> {
    for (workspace, folder) in [
        ("workspace", root().to_owned()),
        ("firmware", firmware()),
        ("real boards", real()),
    ] {
        report.step(format!("fmt {workspace}"), || {
            ensure_component("rustfmt", "fmt")?;
            // Not `--all`: that follows the firmware's path dependencies into this workspace.
            run(cargo(&folder, "fmt").arg("--check"))?;
            Ok("formatted")
        })?;
    }
    report.step("clippy workspace", || {
        ensure_component("clippy", "clippy")?;
        clippy(
            &mut cargo(root(), "clippy"),
            &["--workspace", "--all-targets"],
        )
    })?;
    report.step("clippy firmware app", || {
        clippy(
            &mut cargo(&firmware(), "clippy"),
            &[
                "--package",
                "consort-replay",
                "--package",
                "consort-probes",
                "--all-targets",
            ],
        )
    })?;
    let boards = (BOARDS.iter()).map(|board| (board.name, board.folder(), board.target));
    // Firmware for the Cortex-M4F alone.
    let others =
        ["kernels", "smallest"].map(|name| (name, firmware().join(name), "thumbv7em-none-eabihf"));
    for (name, folder, target) in boards.chain(others) {
        report.step(format!("clippy {name}"), || match toolchain {
            Toolchain::Targets => clippy(
                &mut toolchain.cargo(&folder, "clippy", target),
                // Not all targets: tests and benches of a board would need `std`.
                &[],
            ),
            // clippy is bound to rustup's compiler, which has no `core` for the board here.
            Toolchain::BuildStd { .. } => Ok("SKIPPED: clippy needs rustup's targets"),
        })?;
    }
    for (name, folder, packages) in [
        ("doc workspace", root().to_owned(), &["--workspace"][..]),
        (
            "doc firmware app",
            firmware(),
            &["--package", "consort-replay", "--package", "consort-probes"][..],
        ),
    ] {
        report.step(name, || {
            let mut doc = cargo(&folder, "doc");
            run(doc
                .args(["--release", "--no-deps"])
                .args(packages)
                .env("RUSTDOCFLAGS", "-D warnings"))?;
            Ok("no warnings")
        })?;
    }
    Ok(())
}

/// Every test that runs on the host.
pub(crate) fn host_tests(report: &mut Report) -> Result<()> {
    report.step("test workspace", || {
        run(cargo(root(), "test").args(["--release", "--workspace"]))?;
        Ok("passed")
    })?;
    // The dev profile checks every integer operation for overflow.
    report.step("test runtime, overflow checks", || {
        run(cargo(root(), "test").args(["--package", "consort-runtime"]))?;
        Ok("passed")
    })?;
    report.step("test runtime, least features", || {
        let mut test = cargo(root(), "test");
        run(test.args(["--package", "consort-runtime"]).args([
            "--no-default-features",
            "--test",
            "left_out",
        ]))?;
        Ok("passed")
    })?;
    report.step("test firmware app", || {
        let packages = ["--package", "consort-replay", "--package", "consort-probes"];
        run(cargo(&firmware(), "test").args(packages))?;
        Ok("passed")
    })?;
    Ok(())
}

/// Builds consort-runtime, consort-update and consort-wire for every target: in the firmware's workspace, so that `core`, where it is built from source, is
/// built once a target.
pub(crate) fn cross(report: &mut Report, toolchain: &Toolchain) -> Result<()> {
    for target in TARGETS {
        report.step(format!("cross {target}"), || {
            run(toolchain.cargo(&firmware(), "build", target).args([
                "--release",
                "--package",
                "consort-runtime",
                "--package",
                "consort-update",
                "--package",
                "consort-wire",
            ]))?;
            Ok("built")
        })?;
    }
    Ok(())
}

fn clippy(command: &mut Command, packages: &[&str]) -> Result<&'static str> {
    run(command
        .arg("--release")
        .args(packages)
        .args(["--", "-D", "warnings"]))?;
    Ok("no warnings")
}

/// Lets rustup add a component that its minimal profile leaves out.
fn ensure_component(component: &str, subcommand: &str) -> Result<()> {
    if cargo(root(), subcommand)
        .arg("--version")
        .output()?
        .status
        .success()
    {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    run(rustup.args(["component", "add", component]))
        .with_context(|| format!("{component} is missing"))
}
