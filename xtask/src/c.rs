//! The C interface: builds the static library, links the program in `firmware-examples/c` against it with Arm's GCC, and
//! compares what it does in an emulator with the golden sequences and with the host, bit by bit.

use std::convert::Infallible;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use consort_runtime::{Action, Head, Policy, SIGNATURE_LEN, reissue_signed};
use ed25519_compact::KeyPair;
use rand_core::TryRng;

use crate::board::firmware;
use crate::elf::Firmware;
use crate::packages::Need;
use crate::process;
use crate::reference::{self, Observations};
use crate::report::Report;
use crate::root;
use crate::team::{self, Agent, Outcome, compare};
use crate::toolchain::Toolchain;

/// The board that the program is for.
pub(crate) const BOARD: &str = "mps2-an386";
const TARGET: &str = "thumbv7em-none-eabihf";
const GCC: &str = "arm-none-eabi-gcc";
const GCC_PACKAGES: Need = Need {
    what: GCC,
    apt: &["gcc-arm-none-eabi", "libnewlib-arm-none-eabi"],
    dnf: &["arm-none-eabi-gcc-cs", "arm-none-eabi-newlib"],
    pacman: &["arm-none-eabi-gcc", "arm-none-eabi-newlib"],
    brew: &["gcc-arm-embedded"],
};
/// The core that the library is built for, and every warning.
const OPTIONS: [&str; 12] = [
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfloat-abi=hard",
    "-mfpu=fpv4-sp-d16",
    "-std=c99",
    "-Os",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    "-Werror",
];
/// What the program does not call around every agent, linked all the same: nothing of the interface may have a way to panic.
const UNCALLED: [&str; 16] = [
    "consort_policy_init_verified",
    "consort_policy_groups",
    "consort_choose",
    "consort_choose_sampled",
    "consort_choose_masked",
    "consort_choose_sampled_masked",
    "consort_pace_init",
    "consort_pace_tick",
    "consort_seed_write",
    "consort_seed_write_private",
    "consort_clock_init",
    "consort_clock_resync",
    "consort_clock_step",
    "consort_clock_begin_episode",
    "consort_moment_at",
    "consort_status_string",
];
const QEMU: [&str; 10] = [
    "-machine",
    BOARD,
    "-display",
    "none",
    "-chardev",
    "stdio,id=host",
    "-semihosting-config",
    "enable=on,target=native,chardev=host",
    "-icount",
    "shift=7",
];
const QEMU_LIMIT: Duration = Duration::from_secs(120);

/// Signs the images of this check: a key that is no secret.
const SEED: [u8; 32] = *b"a key that anyone may read here.";
const REVISION: u32 = 300;
/// The generator's first state, in the program as here.
const RANDOM: u32 = 1;

/// Runs every agent of every team in `models`, and every reference policy, through the C interface.
pub(crate) fn run_teams(report: &mut Report, toolchain: &Toolchain, models: &Path) -> Result<()> {
    let mut agents = team::all(models)?;
    let references = tempfile::tempdir()?;
    reference::write(references.path(), Observations::Moderate)?;
    agents.extend(team::all(references.path())?);
    report.step(GCC, || {
        if !process::exists(GCC) {
            GCC_PACKAGES.install()?;
        }
        let version = process::stdout(Command::new(GCC).arg("--version"))?;
        Ok(version.lines().next().unwrap_or_default().to_owned())
    })?;
    let mut library = PathBuf::new();
    report.step("C library", || {
        library = build_library(toolchain)?;
        Ok(TARGET)
    })?;
    report.step("C header in C++", || {
        let mut compiler = Command::new("arm-none-eabi-g++");
        compiler.args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++"]);
        process::run(compiler.arg(include().join("consort.h")))?;
        Ok("no warnings")
    })?;
    for agent in &agents {
        report.step(format!("C {agent}"), || check(&library, agent))?;
    }
    report.step("C way to panic", || {
        let folder = tempfile::tempdir()?;
        let plain = Firmware::read(&link(folder.path(), &library, &agents[0], false)?)?;
        if let Some(symbol) = plain.panics().next() {
            bail!("`{symbol}` is linked");
        }
        let signed = Firmware::read(&link(folder.path(), &library, &agents[0], true)?)?;
        Ok(format!(
            "none linked; text of the whole program {} B, {} B with Ed25519",
            plain.text(),
            signed.text()
        ))
    })?;
    Ok(())
}

fn include() -> PathBuf {
    root().join("runtime/capi/include")
}

/// The command of docs/c.md.
fn build_library(toolchain: &Toolchain) -> Result<PathBuf> {
    process::run(toolchain.cargo(root(), "rustc", TARGET).args([
        "--profile",
        "firmware",
        "--package",
        "consort-c",
        "--crate-type",
        "staticlib",
    ]))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join(TARGET).join("firmware/libconsort_c.a"))
}

/// One agent, in C on the emulated board.
fn check(library: &Path, agent: &Agent) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let elf = link(folder.path(), library, agent, true)?;
    let mut qemu = Command::new("qemu-system-arm");
    qemu.args(QEMU).arg("-kernel").arg(elf);
    let finished = process::run_limited(&mut qemu, QEMU_LIMIT)?;
    let ended = || {
        format!(
            "the emulator ended with {}\n{}{}",
            finished.status, finished.stdout, finished.stderr
        )
    };
    let replay = parse(&finished.stdout, agent).with_context(ended)?;
    ensure!(finished.status.success(), ended());
    compare("the golden sequence", &agent.golden(), "C", &replay.steps)?;
    compare("the host", &agent.host()?, "C", &replay.steps)?;
    compare("the host's draws", &draws(agent)?, "C", &replay.draws)?;
    Ok(format!(
        "{} steps, same bits, drawn ones too",
        replay.steps.len()
    ))
}

/// What the program printed.
struct Replay {
    steps: Vec<Outcome>,
    draws: Vec<Outcome>,
}

/// Reads the lines that `main.c` documents; those after the steps must be what they are for every agent.
fn parse(text: &str, agent: &Agent) -> Result<Replay> {
    let (mut steps, mut draws) = (Vec::new(), Vec::new());
    let continuous = agent.view()?.head().is_continuous();
    let mut lines = text.lines();
    let exactly = |expected: &str, found: Option<&str>| {
        ensure!(
            found == Some(expected),
            "found `{found:?}`, expected `{expected}`"
        );
        Ok(())
    };
    exactly("consort-c 1", lines.next())?;
    exactly(&format!("image {} {REVISION}", agent.index), lines.next())?;
    let count = agent.golden().len();
    for t in 0..count {
        for (word, outcomes) in [("step", &mut steps), ("draw", &mut draws)] {
            let line = lines
                .next()
                .with_context(|| format!("no `{word} {t}` line"))?;
            let words: Vec<&str> = line.split(' ').collect();
            let unexpected = || format!("found `{line}`, expected `{word} {t} …`");
            ensure!(
                words.len() > 2 && words[..2] == [word, &t.to_string()],
                unexpected()
            );
            let bits = |words: &[&str]| -> Result<Vec<u32>> {
                (words.iter())
                    .map(|word| u32::from_str_radix(word, 16).with_context(unexpected))
                    .collect()
            };
            outcomes.push(match (word, continuous) {
                ("step", false) => Outcome {
                    actions: (words[2].split(','))
                        .map(|number| number.parse().with_context(unexpected))
                        .collect::<Result<_>>()?,
                    values: bits(&words[3..])?,
                },
                ("step", true) => Outcome {
                    actions: Vec::new(),
                    values: bits(&words[3..])?,
                },
                _ => Outcome {
                    actions: Vec::new(),
                    values: bits(&words[2..])?,
                },
            });
        }
    }
    // ERR_OBSERVATION_VALUE; ERR_IMAGE_CHECKSUM and ERR_HANDLE.
    exactly("safe 33 kept", lines.next())?;
    exactly("refused 19 5", lines.next())?;
    // ERR_NO_IMAGE; the second of three trials is left, and the third; OK.
    exactly(&format!("updated 65 {REVISION} 2 0 acts"), lines.next())?;
    exactly(&format!("done {count}"), lines.next())?;
    ensure!(lines.next().is_none(), "lines after `done`");
    Ok(Replay { steps, draws })
}

/// What the host draws with the program's generator.
fn draws(agent: &Agent) -> Result<Vec<Outcome>> {
    let policy = Policy::new(agent.view()?);
    let mut memory = vec![0.0; policy.image().memory_len()];
    let mut random = Lcg(RANDOM);
    let mut draws = Vec::new();
    for (observation, start, mask) in agent.shown() {
        let observation: Vec<f32> = observation.iter().copied().map(f32::from_bits).collect();
        if start {
            policy.reset(&mut memory)?;
        }
        let (memory, random) = (&mut memory, &mut random);
        let action = match mask {
            Some(mask) => policy.step_sampled_masked(&observation, mask, memory, random)?,
            None => policy.step_sampled(&observation, memory, random)?,
        };
        let values = match action {
            Action::Discrete(action) => vec![action as u32],
            Action::MultiDiscrete(actions) => actions.to_vec(),
            Action::Continuous(action) => action.iter().map(|value| value.to_bits()).collect(),
        };
        draws.push(Outcome {
            actions: Vec::new(),
            values,
        });
    }
    Ok(draws)
}

/// The generator of `main.c`.
struct Lcg(u32);

impl TryRng for Lcg {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Ok(self.0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("policies take 32 bits at a time")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("policies take 32 bits at a time")
    }
}

/// Compiles and links the program around one agent; where it lies.
fn link(folder: &Path, library: &Path, agent: &Agent, signed: bool) -> Result<PathBuf> {
    fs::write(folder.join("agent.h"), header(agent, signed)?)?;
    let source = firmware().join("c");
    let elf = folder.join("main.elf");
    let mut gcc = Command::new(GCC);
    gcc.args(OPTIONS)
        .args(["-nostartfiles", "-Wl,--gc-sections,-z,noexecstack"])
        .args(UNCALLED.map(|function| format!("-Wl,--undefined={function}")))
        .arg("-I")
        .arg(include())
        .arg("-I")
        .arg(folder)
        .arg("-T")
        .arg(source.join("mps2_an386.ld"))
        .args([source.join("main.c"), source.join("mps2_an386.c")])
        .arg(library)
        .arg("-o")
        .arg(&elf);
    process::run(&mut gcc)?;
    Ok(elf)
}

/// `agent.h`: one agent as C arrays, observations by their bits.
fn header(agent: &Agent, signed: bool) -> Result<String> {
    let image = agent.view()?;
    let pair = KeyPair::from_seed(SEED.into());
    let mut bytes = agent.image().to_vec();
    if signed {
        let mut buffer = vec![0; bytes.len() + 2 * SIGNATURE_LEN];
        let sign = |message: &[u8]| *pair.sk.sign(message, None);
        let len = reissue_signed(&bytes, REVISION, &mut buffer, sign)?;
        buffer.truncate(len);
        bytes = buffer;
    }
    let (mut observations, mut starts, mut masked, mut masks) =
        (String::new(), String::new(), String::new(), String::new());
    for (observation, start, mask) in agent.shown() {
        for bits in observation {
            write!(observations, "{bits:#010x},")?;
        }
        write!(starts, "{},", u8::from(start))?;
        write!(masked, "{},", u8::from(mask.is_some()))?;
        for output in 0..image.output_len() {
            write!(masks, "{},", u8::from(mask.is_none_or(|mask| mask[output])))?;
        }
    }
    let groups = match image.head() {
        Head::MultiDiscrete { sizes } => sizes.len(),
        _ => 1,
    };
    let mut shared = format!(
        "#define AGENT_GROUPS {groups}\n#define AGENT_SYMBOLS {}\n",
        image.seeding().map_or(0, |seeding| seeding.symbols)
    );
    if let Some((key, moments)) = agent.shared() {
        let ticks = moments.iter().map(|&(_, tick)| tick + 1).max().unwrap_or(1);
        writeln!(shared, "#define AGENT_TICKS {ticks}")?;
        let digits = key.as_bytes().chunks(2).map(String::from_utf8_lossy);
        let bytes: String = digits.map(|digits| format!("0x{digits},")).collect();
        writeln!(
            shared,
            "static const uint8_t agent_key[CONSORT_KEY_LEN] = {{{bytes}}};"
        )?;
        let moments: String = (moments.iter())
            .map(|(episode, tick)| format!("{{{episode}u,{tick}u}},"))
            .collect();
        writeln!(
            shared,
            "static const consort_moment_t agent_moments[] = {{{moments}}};"
        )?;
    }
    let list = |bytes: &[u8]| {
        bytes
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    Ok(format!(
        "#define AGENT_SIGNED {}\n#define AGENT_OBSERVATIONS {}\n#define AGENT_OUTPUTS {}\n#define AGENT_MEMORY {}\n\
         #define AGENT_STEPS {}\n\
         static const uint8_t agent_image[{}] __attribute__((aligned(16))) = {{{}}};\n\
         static uint8_t agent_public_key[32] __attribute__((unused)) = {{{}}};\n\
         static const uint32_t agent_observations[] = {{{observations}}};\n\
         static const uint8_t agent_starts[] = {{{starts}}};\n\
         static const uint8_t agent_masked[] = {{{masked}}};\n\
         static const uint8_t agent_masks[] = {{{masks}}};\n{shared}",
        u8::from(signed),
        image.observation_len(),
        image.output_len(),
        image.memory_len(),
        agent.golden().len(),
        bytes.len(),
        list(&bytes),
        list(&*pair.pk),
    ))
}
