//! Runs every agent in its own emulator and compares each bit with the golden sequence and with the host.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::board::{BOARDS, Board, firmware};
use crate::elf::Firmware;
use crate::packages::Need;
use crate::process::{self, Finished};
use crate::protocol::{self, Replay};
use crate::reference;
use crate::report::Report;
use crate::team::{self, Agent, compare};
use crate::toolchain::Toolchain;

const QEMU: &str = "qemu-system-arm";
const QEMU_PACKAGES: Need = Need {
    what: QEMU,
    apt: &["qemu-system-arm"],
    dnf: &["qemu-system-arm"],
    pacman: &["qemu-system-arm"],
    brew: &["qemu"],
};

/// The device's text on our stdout: without a chardev, some versions of QEMU choose stderr.
const SEMIHOSTING: [&str; 7] = [
    "-display",
    "none",
    "-chardev",
    "stdio,id=host",
    "-semihosting-config",
    "enable=on,target=native,chardev=host",
    "-kernel",
];

/// A replay takes less than a second: longer is a hang.
const QEMU_LIMIT: Duration = Duration::from_secs(120);

/// What one agent costs on one board.
#[derive(Serialize)]
pub(crate) struct Figures {
    board: &'static str,
    agent: String,
    steps: usize,
    /// From observation to action: the fewest and the most of any step.
    instructions_min: u64,
    instructions_max: u64,
    multiply_adds: u64,
    /// A Cortex-M4F's cycles by the model of `firmware-examples/README.md`: a multiply-add is a VMLA, 3 cycles, and its
    /// weight one more load; every other instruction is 1. No wait states, no refilled pipeline.
    cycles_modelled: u64,
    image_bytes: usize,
    /// Code and constants of parser and policy alone.
    runtime_text_bytes: u64,
    runtime_rodata_bytes: u64,
    /// Code of the whole app, its formatting included.
    app_text_bytes: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            steps,
            instructions_min,
            instructions_max,
            multiply_adds,
            cycles_modelled,
            ..
        } = self;
        write!(f, "{steps} steps, same bits; ")?;
        if instructions_min < instructions_max {
            write!(f, "{instructions_min} to ")?;
        }
        write!(
            f,
            "{instructions_max} instructions for {multiply_adds} multiply-adds \
             (model: {cycles_modelled} cycles); text: app {} B, parser and policy alone {} B and {} B of constants",
            self.app_text_bytes, self.runtime_text_bytes, self.runtime_rodata_bytes
        )
    }
}

/// What a board is asked once, with any agent.
type Check = fn(&Board, &Toolchain, &Agent) -> Result<&'static str>;
const CHECKS: [(&str, Check); 2] = [
    ("refuses a flipped bit", Board::check_refusal),
    ("way to panic", Board::check_no_panic),
];

/// Runs every agent of every team in the folder `models`, and every reference policy, on every board.
pub(crate) fn run_teams(
    report: &mut Report,
    toolchain: &Toolchain,
    models: &Path,
) -> Result<Vec<Figures>> {
    let mut agents = Vec::new();
    report.step("models", || {
        agents = team::all(models)?;
        Ok(format!("{} agents", agents.len()))
    })?;
    let references = tempfile::tempdir()?;
    report.step("reference policies", || {
        reference::write(references.path())?;
        let made = team::all(references.path())?;
        let count = made.len();
        agents.extend(made);
        Ok(format!("{count} agents"))
    })?;
    report.step(QEMU, || {
        if !process::exists(QEMU) {
            QEMU_PACKAGES.install()?;
        }
        let version = process::stdout(Command::new(QEMU).arg("--version"))?;
        Ok(version.lines().next().unwrap_or_default().to_owned())
    })?;
    let mut figures = Vec::new();
    for board in &BOARDS {
        for agent in &agents {
            let name = format!("{} {agent}", board.name);
            figures.push(report.step(name, || board.check(toolchain, agent))?);
        }
        for (what, check) in CHECKS {
            report.step(format!("{} {what}", board.name), || {
                check(board, toolchain, &agents[0])
            })?;
        }
    }
    Ok(figures)
}

impl Board {
    /// The board's package.
    pub(crate) fn folder(&self) -> PathBuf {
        firmware().join("boards").join(self.name)
    }

    /// The device does what the golden sequence says and what the host does now.
    fn check(&self, toolchain: &Toolchain, agent: &Agent) -> Result<Figures> {
        let (host, golden) = (agent.host()?, agent.golden());
        let made_by = || format!("the golden sequence was made by `{}`", agent.command());
        compare("the golden sequence", &golden, "the host", &host).with_context(made_by)?;

        let binaries = self.build(toolchain, &agent.folder, agent.index)?;
        let finished = self.emulate(&binaries["replay"])?;
        let ended = || {
            format!(
                "the emulator ended with {}\n{}",
                finished.status, finished.stderr
            )
        };
        let replay = protocol::parse(&finished.stdout).with_context(ended)?;
        ensure!(finished.status.success(), ended());
        compare("the host", &host, self.name, &replay.outcomes)?;
        compare("the golden sequence", &golden, self.name, &replay.outcomes)
            .with_context(made_by)?;
        self.figures(agent, &replay, &binaries)
    }

    fn figures(
        &self,
        agent: &Agent,
        replay: &Replay,
        binaries: &BTreeMap<String, PathBuf>,
    ) -> Result<Figures> {
        let image = agent.view()?;
        let identity = (image.team().to_string(), image.agent());
        ensure!(
            (&replay.team, replay.agent) == (&identity.0, identity.1),
            "the device ran another agent's image"
        );
        let drift = replay.ticks_per_instruction / self.ticks_per_instruction - 1.0;
        ensure!(
            drift.abs() < 1e-4,
            "calibration found {} ticks an instruction, expected {}: counts cannot be believed",
            replay.ticks_per_instruction,
            self.ticks_per_instruction
        );
        let (instructions_min, instructions_max) =
            replay.instructions().context("the sequence has no step")?;
        let [app, policy, empty] =
            ["replay", "policy", "empty"].map(|name| Firmware::read(&binaries[name]));
        let (policy, empty) = (policy?, empty?);
        Ok(Figures {
            board: self.name,
            agent: agent.to_string(),
            steps: replay.outcomes.len(),
            instructions_min,
            instructions_max,
            multiply_adds: image.multiply_adds(),
            cycles_modelled: instructions_max + 3 * image.multiply_adds(),
            image_bytes: image.as_bytes().len(),
            runtime_text_bytes: policy.text() - empty.text(),
            runtime_rodata_bytes: policy.rodata() - empty.rodata(),
            app_text_bytes: app?.text(),
        })
    }

    /// Parser and policy, with everything they can do, have no way to panic: the linker found no call of it.
    fn check_no_panic(&self, toolchain: &Toolchain, agent: &Agent) -> Result<&'static str> {
        let binaries = self.build(toolchain, &agent.folder, agent.index)?;
        for name in ["policy", "all"] {
            if let Some(symbol) = Firmware::read(&binaries[name])?.panics().next() {
                bail!("`{symbol}` is linked into `{name}`");
            }
        }
        Ok("none linked")
    }

    /// The device refuses a damaged image, says so, and exits with a failure.
    fn check_refusal(&self, toolchain: &Toolchain, agent: &Agent) -> Result<&'static str> {
        let folder = tempfile::tempdir()?;
        let file = |kind: &str| format!("agent-{}.{kind}", agent.index);
        fs::copy(
            agent.folder.join(file("golden.json")),
            folder.path().join(file("golden.json")),
        )?;
        let mut damaged = agent.image().to_vec();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(folder.path().join(file("image")), damaged)?;

        let binaries = self.build(toolchain, folder.path(), agent.index)?;
        let finished = self.emulate(&binaries["replay"])?;
        let last = finished.stdout.lines().last().unwrap_or_default();
        ensure!(
            last.starts_with("error image: "),
            "the device's last line is `{last}`, expected its refusal"
        );
        ensure!(
            finished.status.code() == Some(1),
            "the emulator ended with {}, expected 1",
            finished.status
        );
        Ok("refused")
    }

    /// Builds the board's binaries around one agent; where they lie, by name.
    fn build(
        &self,
        toolchain: &Toolchain,
        team: &Path,
        agent: u16,
    ) -> Result<BTreeMap<String, PathBuf>> {
        let mut build = toolchain.cargo(&self.folder(), "build", self.target);
        build.args([
            "--release",
            "--bins",
            "--message-format",
            "json-render-diagnostics",
        ]);
        build
            .env("CONSORT_TEAM_DIR", team)
            .env("CONSORT_AGENT", agent.to_string());
        let binaries = executables(&process::stdout(&mut build)?)?;
        for name in ["replay", "policy", "all", "empty"] {
            ensure!(
                binaries.contains_key(name),
                "board {} has no binary `{name}`",
                self.name
            );
        }
        Ok(binaries)
    }

    fn emulate(&self, elf: &Path) -> Result<Finished> {
        let mut qemu = Command::new(QEMU);
        qemu.args(self.machine).args(SEMIHOSTING).arg(elf);
        process::run_limited(&mut qemu, QEMU_LIMIT)
    }
}

/// The executables among cargo's JSON messages, by target.
fn executables(messages: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line).context("cargo's message")?;
        if let (Some(name), Some(path)) = (
            message["target"]["name"].as_str(),
            message["executable"].as_str(),
        ) {
            found.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"consort_replay"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"replay"},"executable":"/somewhere/release/replay"}
{"reason":"build-finished","success":true}"#;
        let expected = BTreeMap::from([(
            "replay".to_owned(),
            PathBuf::from("/somewhere/release/replay"),
        )]);
        assert_eq!(executables(messages).unwrap(), expected);
        assert!(executables("not JSON").is_err());
    }
}
