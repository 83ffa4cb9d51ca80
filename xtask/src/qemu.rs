//! Runs every agent in its own emulator and compares each bit with the golden sequence and with the host.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::board::{BOARDS, Board};
use crate::elf::Firmware;
use crate::packages::Need;
use crate::process::{self, Finished};
use crate::promise::{self, STACK};
use crate::protocol::{self, Depths, Replay};
use crate::reference::{self, Observations};
use crate::report::Report;
use crate::team::{self, Agent, compare};
use crate::toolchain::Toolchain;

const QEMU_PACKAGES: Need = Need {
    what: "QEMU for Arm and RISC-V",
    apt: &["qemu-system-arm", "qemu-system-misc"],
    dnf: &["qemu-system-arm", "qemu-system-riscv"],
    pacman: &["qemu-system-arm", "qemu-system-riscv"],
    brew: &["qemu"],
};

/// The device's text on our stdout: without a chardev, some versions of QEMU choose stderr.
pub(crate) const SEMIHOSTING: [&str; 7] = [
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
    pub(crate) board: &'static str,
    pub(crate) agent: String,
    steps: usize,
    /// From observation to action: the fewest and the most of any step.
    instructions_min: u64,
    pub(crate) instructions_max: u64,
    multiply_adds: u64,
    image_bytes: usize,
    /// The most bytes of stack that checking the image had in use, any step, and any step whose action is drawn.
    check_stack_bytes: u32,
    step_stack_bytes: u32,
    sampled_stack_bytes: u32,
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
            step_stack_bytes,
            sampled_stack_bytes,
            check_stack_bytes,
            ..
        } = self;
        write!(f, "{steps} steps, same bits; ")?;
        if instructions_min < instructions_max {
            write!(f, "{instructions_min} to ")?;
        }
        write!(
            f,
            "{instructions_max} instructions for {multiply_adds} multiply-adds"
        )?;
        write!(
            f,
            "; stack: step {step_stack_bytes} B, drawn {sampled_stack_bytes} B, check {check_stack_bytes} B"
        )
    }
}

/// Runs every agent of every team in the folder `models`, and every reference policy, on every one of `boards`.
pub(crate) fn run_teams(
    report: &mut Report,
    toolchain: &Toolchain,
    models: &Path,
    boards: &[&Board],
) -> Result<Vec<Figures>> {
    let mut agents = Vec::new();
    report.step("models", || {
        agents = team::all(models)?;
        Ok(format!("{} agents", agents.len()))
    })?;
    let references = tempfile::tempdir()?;
    report.step("reference policies", || {
        reference::write(references.path(), Observations::Moderate)?;
        let made = team::all(references.path())?;
        let count = made.len();
        agents.extend(made);
        Ok(format!("{count} agents"))
    })?;
    report.step("the host", || {
        agents.iter().try_for_each(same_on_the_host)?;
        Ok("as the golden sequences")
    })?;
    report.step("QEMU", install)?;
    let mut figures = Vec::new();
    for &board in boards {
        let mut size = Size::default();
        report.step(format!("{} as linked", board.name), || {
            size = board.check_linked(toolchain, &agents[0])?;
            Ok(format!(
                "no way to panic, no recursion; parser and policy {} B of code, {} B of constants",
                size.text, size.rodata
            ))
        })?;
        for agent in &agents {
            let name = format!("{} {agent}", board.name);
            figures.push(report.step(name, || board.check(toolchain, agent, size))?);
        }
        report.step(format!("{} refuses a flipped bit", board.name), || {
            board.check_refusal(toolchain, &agents[0])
        })?;
    }
    Ok(figures)
}

/// Installs what is missing of the emulators; their version.
pub(crate) fn install() -> Result<String> {
    if !BOARDS.iter().all(|board| process::exists(board.emulator())) {
        QEMU_PACKAGES.install()?;
    }
    let version = process::stdout(Command::new(BOARDS[0].emulator()).arg("--version"))?;
    Ok(version.lines().next().unwrap_or_default().to_owned())
}

/// What the host does now is what the golden sequence says.
fn same_on_the_host(agent: &Agent) -> Result<()> {
    compare(
        "the golden sequence",
        &agent.golden(),
        "the host",
        &agent.host()?,
    )
    .with_context(|| {
        format!(
            "{agent}: the golden sequence was made by `{}`",
            agent.command()
        )
    })
}

/// Bytes of parser and policy alone.
#[derive(Default, Clone, Copy)]
struct Size {
    text: u64,
    rodata: u64,
}

impl Board {
    /// The device does what the golden sequence says, and so what the host does.
    fn check(&self, toolchain: &Toolchain, agent: &Agent, size: Size) -> Result<Figures> {
        let (replay, app) = self.replay(toolchain, agent)?;
        self.figures(agent, &replay, size, &app)
    }

    /// What the device did, which is what the golden sequence says; and the app that it ran.
    pub(crate) fn replay(&self, toolchain: &Toolchain, agent: &Agent) -> Result<(Replay, PathBuf)> {
        let mut binaries = self.build(toolchain, &agent.folder, agent.index, &["replay"])?;
        let finished = self.emulate(&binaries["replay"])?;
        let ended = || {
            format!(
                "the emulator ended with {}\n{}",
                finished.status, finished.stderr
            )
        };
        let replay = protocol::parse(&finished.stdout).with_context(ended)?;
        ensure!(finished.status.success(), ended());
        compare("the host", &agent.golden(), self.name, &replay.outcomes)?;
        let drift = replay.ticks_per_instruction / self.ticks_per_instruction - 1.0;
        ensure!(
            drift.abs() < 1e-4,
            "calibration found {} ticks an instruction, expected {}: counts cannot be believed",
            replay.ticks_per_instruction,
            self.ticks_per_instruction
        );
        let app = binaries.remove("replay").unwrap_or_default();
        Ok((replay, app))
    }

    fn figures(&self, agent: &Agent, replay: &Replay, size: Size, app: &Path) -> Result<Figures> {
        let image = agent.view()?;
        let identity = (image.team().to_string(), image.agent());
        ensure!(
            (&replay.team, replay.agent) == (&identity.0, identity.1),
            "the device ran another agent's image"
        );
        let Depths {
            check,
            step,
            sampled,
        } = replay.stack;
        ensure!(
            check <= STACK.check && step <= STACK.step && sampled <= STACK.sampled,
            "{check} bytes of stack to check the image, {step} to step and {sampled} to draw an action, promised {}, {} and {}",
            STACK.check,
            STACK.step,
            STACK.sampled
        );
        let (instructions_min, instructions_max) =
            replay.instructions().context("the sequence has no step")?;
        Ok(Figures {
            board: self.name,
            agent: agent.to_string(),
            steps: replay.outcomes.len(),
            instructions_min,
            instructions_max,
            multiply_adds: image.multiply_adds(),
            image_bytes: image.as_bytes().len(),
            check_stack_bytes: check,
            step_stack_bytes: step,
            sampled_stack_bytes: sampled,
            runtime_text_bytes: size.text,
            runtime_rodata_bytes: size.rodata,
            app_text_bytes: Firmware::read(app)?.text(),
        })
    }

    /// Parser and policy, with everything they can do, and a device of `consort hil` have no way to panic and call nothing that is at
    /// work already. The binaries that show it do not depend on the agent's image, so one is enough.
    fn check_linked(&self, toolchain: &Toolchain, agent: &Agent) -> Result<Size> {
        let names = ["policy", "all", "hil", "empty"];
        let binaries = self.build(toolchain, &agent.folder, agent.index, &names)?;
        for name in ["policy", "all", "hil"] {
            promise::check(&binaries[name]).with_context(|| format!("binary `{name}`"))?;
        }
        let [policy, empty] = ["policy", "empty"].map(|name| Firmware::read(&binaries[name]));
        let (policy, empty) = (policy?, empty?);
        Ok(Size {
            text: policy.text() - empty.text(),
            rodata: policy.rodata() - empty.rodata(),
        })
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

        let binaries = self.build(toolchain, folder.path(), agent.index, &["replay"])?;
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

    /// Builds binaries of the board around one agent; where they lie, by name.
    pub(crate) fn build(
        &self,
        toolchain: &Toolchain,
        team: &Path,
        agent: u16,
        names: &[&str],
    ) -> Result<BTreeMap<String, PathBuf>> {
        let mut build = toolchain.cargo(&self.folder(), "build", self.target);
        build
            .args(["--release", "--message-format", "json-render-diagnostics"])
            .args(names.iter().flat_map(|name| ["--bin", name]))
            .env("CONSORT_TEAM_DIR", team)
            .env("CONSORT_AGENT", agent.to_string());
        let binaries = process::executables(&process::stdout(&mut build)?)?;
        for name in names {
            ensure!(
                binaries.contains_key(*name),
                "board {} has no binary `{name}`",
                self.name
            );
        }
        Ok(binaries)
    }

    pub(crate) fn emulate(&self, elf: &Path) -> Result<Finished> {
        let mut qemu = Command::new(self.emulator());
        qemu.args(&self.machine[1..]).args(SEMIHOSTING).arg(elf);
        process::run_limited(&mut qemu, QEMU_LIMIT)
    }
}
