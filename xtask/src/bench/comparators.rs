//! Other systems, each fetched from its registry into `target/`, compiled with a small harness of ours and counted in the same
//! emulator in the same way as our own policies. One that cannot be had is named, and the bench goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::trace;
use crate::board::{BOARDS, Board, firmware};
use crate::elf::Firmware;
use crate::packages::Need;
use crate::process;
use crate::report::Report;
use crate::root;
use crate::toolchain::Toolchain;

/// One network in one system.
struct Comparator {
    /// The network's key in the bench's JSON, and the system's in it.
    network: &'static str,
    system: &'static str,
    source: Source,
    /// Macros that choose it in the harness.
    defines: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// C++ headers in a wheel of PyPI.
    RlTools,
    /// C headers in a wheel of PyPI.
    Emlearn,
    /// A crate, with the one network that lies in it.
    MicroFlow,
}

use Source::{Emlearn, MicroFlow, RlTools};

const fn entry(
    network: &'static str,
    system: &'static str,
    source: Source,
    defines: &'static [&'static str],
) -> Comparator {
    Comparator {
        network,
        system,
        source,
        defines,
    }
}

/// RLtools has a tanh of its own, coarse and fast, and is fastest with relu, which is another network: both are here too.
const COMPARATORS: [Comparator; 9] = [
    entry("mlp_f32", "rltools", RlTools, &["HIDDEN=TANH"]),
    entry(
        "mlp_f32",
        "rltools_fast_tanh",
        RlTools,
        &["HIDDEN=FAST_TANH"],
    ),
    entry("mlp_f32", "rltools_relu", RlTools, &["HIDDEN=RELU"]),
    entry("mlp_f32", "emlearn", Emlearn, &[]),
    entry("gru_f32", "rltools", RlTools, &["GRU"]),
    entry(
        "gru_f32",
        "rltools_step_alone",
        RlTools,
        &["GRU", "STEP_ALONE"],
    ),
    entry("sine", "rltools", RlTools, &["SINE", "HIDDEN=RELU"]),
    entry("sine", "emlearn", Emlearn, &["SINE"]),
    entry("sine", "microflow_i8", MicroFlow, &[]),
];

/// What a comparator costs.
pub(crate) struct Count {
    pub(crate) network: &'static str,
    pub(crate) system: &'static str,
    /// The mean over the harness's observations; none where it could not be measured.
    pub(crate) cost: Result<Cost>,
}

pub(crate) struct Cost {
    pub(crate) instructions: u64,
    instructions_min: u64,
    instructions_max: u64,
    /// Of one step, by the same model as ours; none where the step has no symbol of its own.
    pub(crate) cycles: Option<u64>,
    /// Code beyond the harness, the system's part of the C library included.
    pub(crate) text_bytes: u64,
}

const COMPILER: Need = Need {
    what: "arm-none-eabi-gcc and its C++ library",
    apt: &[
        "gcc-arm-none-eabi",
        "libnewlib-arm-none-eabi",
        "libstdc++-arm-none-eabi-dev",
    ],
    dnf: &["arm-none-eabi-gcc-cs-c++", "arm-none-eabi-newlib"],
    pacman: &["arm-none-eabi-gcc", "arm-none-eabi-newlib"],
    brew: &[],
};

const FLAGS: [&str; 7] = [
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfpu=fpv4-sp-d16",
    "-mfloat-abi=hard",
    "-O3",
    "-ffunction-sections",
    "-fdata-sections",
];
const CPP_FLAGS: [&str; 4] = [
    "-std=c++17",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
];
const LINK_FLAGS: [&str; 3] = ["-nostartfiles", "-Wl,--gc-sections", "--specs=nosys.specs"];

/// Measures every comparator.
pub(crate) fn measure(report: &mut Report, toolchain: &Toolchain) -> Vec<Count> {
    let mut counts = Vec::new();
    for comparator in &COMPARATORS {
        let Comparator {
            network, system, ..
        } = *comparator;
        let name = format!("{network} by {system}");
        let mut cost = Err(anyhow::anyhow!("not tried"));
        let shown = report.step(name, || {
            cost = comparator.measure(toolchain);
            Ok(match &cost {
                Ok(cost) => format!(
                    "{} to {} instructions, {} on average{}; {} B of code",
                    cost.instructions_min,
                    cost.instructions_max,
                    cost.instructions,
                    (cost.cycles)
                        .map_or(String::new(), |cycles| format!(" (model: {cycles} cycles)")),
                    cost.text_bytes
                ),
                Err(error) => format!("NOT MEASURED: {error:#}"),
            })
        });
        debug_assert!(shown.is_ok());
        counts.push(Count {
            network,
            system,
            cost,
        });
    }
    counts
}

impl Comparator {
    fn measure(&self, toolchain: &Toolchain) -> Result<Cost> {
        let board = (BOARDS.iter())
            .find(|board| board.name == "mps2-an386")
            .context("no board is the Cortex-M4F")?;
        let folder = root().join("target/bench");
        fs::create_dir_all(&folder)?;
        let [elf, nothing] = match self.source {
            MicroFlow => microflow(&folder, toolchain, board)?,
            RlTools | Emlearn => {
                if !process::exists("arm-none-eabi-gcc") {
                    COMPILER.install()?;
                }
                let headers = match self.source {
                    RlTools => wheel(&folder, "rltools", "2.2.1")?
                        .join("rltools/external/rl_tools/include"),
                    _ => wheel(&folder, "emlearn", "0.23.2")?.join("emlearn"),
                };
                let name = format!("{}-{}", self.network, self.system);
                let source = match self.source {
                    RlTools => "rltools.cpp",
                    _ => "emlearn.c",
                };
                [
                    compile(&folder, &name, source, self.defines, Some(&headers))?,
                    compile(&folder, "nothing", "nothing.c", &[], None)?,
                ]
            }
        };
        let finished = board.emulate(&elf)?;
        ensure!(
            finished.status.success(),
            "the emulator ended with {}\n{}",
            finished.status,
            finished.stdout
        );
        let counts = counts(&finished.stdout, board.ticks_per_instruction)?;
        let sum: f64 = counts.iter().sum();
        let round = |count: f64| count.round() as u64;
        let cycles = match (self.source, trace::timing(board.core)) {
            // Inlined into its harness.
            (MicroFlow, _) | (_, None) => None,
            (_, Some(timing)) => Some(trace::step(board, &elf, timing)?.cycles),
        };
        Ok(Cost {
            instructions: round(sum / counts.len() as f64),
            instructions_min: round(counts.iter().copied().fold(f64::INFINITY, f64::min)),
            instructions_max: round(counts.iter().copied().fold(0.0, f64::max)),
            cycles,
            text_bytes: Firmware::read(&elf)?
                .text()
                .saturating_sub(Firmware::read(&nothing)?.text()),
        })
    }
}

/// The harness's lines: `calibration <instructions> <ticks>`, then `step <action> <ticks>` once a step, then `done`.
fn counts(text: &str, expected: f64) -> Result<Vec<f64>> {
    let mut ticks_per_instruction = 0.0;
    let mut counts = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["calibration", instructions, ticks] => {
                ticks_per_instruction = ticks.parse::<f64>()? / instructions.parse::<f64>()?;
                let drift = ticks_per_instruction / expected - 1.0;
                ensure!(
                    drift.abs() < 1e-4,
                    "calibration found {ticks_per_instruction} ticks an instruction, expected {expected}"
                );
            }
            ["step", _, ticks] if ticks_per_instruction > 0.0 => {
                counts.push(ticks.parse::<f64>()? / ticks_per_instruction);
            }
            ["done"] if !counts.is_empty() => return Ok(counts),
            _ => bail!("unexpected line `{line}`"),
        }
    }
    bail!("it ended before its `done` line")
}

/// Where PyPI's wheel of a package lies, unpacked.
fn wheel(folder: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let unpacked = folder.join(format!("{package}-{version}"));
    if unpacked.is_dir() {
        return Ok(unpacked);
    }
    let fetched = tempfile::tempdir_in(folder)?;
    let mut download = Command::new("python3");
    download
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
        .arg(fetched.path())
        .arg(format!("{package}=={version}"));
    process::run(&mut download)?;
    let file = fs::read_dir(fetched.path())?
        .next()
        .context("pip downloaded nothing")??;
    let unpacking = fetched.path().join("unpacked");
    let mut unpack = Command::new("python3");
    unpack.args(["-m", "zipfile", "-e"]).arg(file.path());
    process::run(unpack.arg(&unpacking))?;
    fs::rename(unpacking, &unpacked)?;
    Ok(unpacked)
}

/// A firmware of the harness and one source.
fn compile(
    folder: &Path,
    name: &str,
    source: &str,
    defines: &[&str],
    headers: Option<&Path>,
) -> Result<PathBuf> {
    let sources = firmware().join("comparators");
    let object = |source: &str, name: &str| -> Result<PathBuf> {
        let object = folder.join(format!("{name}.o"));
        let cpp = source.ends_with(".cpp");
        let mut compiler = Command::new(if cpp {
            "arm-none-eabi-g++"
        } else {
            "arm-none-eabi-gcc"
        });
        compiler.args(FLAGS);
        if cpp {
            compiler.args(CPP_FLAGS);
        }
        for define in defines {
            compiler.arg(format!("-D{define}"));
        }
        if let Some(headers) = headers {
            compiler.arg("-isystem").arg(headers);
        }
        compiler.arg("-c").arg(sources.join(source));
        process::run(compiler.arg("-o").arg(&object))?;
        Ok(object)
    };
    let objects = [
        object("harness.c", "harness")?,
        object(source, &format!("{name}-own"))?,
    ];
    let elf = folder.join(format!("{name}.elf"));
    let mut linker = Command::new("arm-none-eabi-gcc");
    linker
        .args(FLAGS)
        .args(LINK_FLAGS)
        .arg("-T")
        .arg(sources.join("harness.ld"))
        .args(&objects)
        .arg("-lm");
    process::run(linker.arg("-o").arg(&elf))?;
    Ok(elf)
}

/// A firmware that runs the network in MicroFlow's own package, and one that does not.
fn microflow(folder: &Path, toolchain: &Toolchain, board: &Board) -> Result<[PathBuf; 2]> {
    let sources = firmware().join("comparators/microflow");
    let package = folder.join("microflow");
    for file in ["Cargo.toml", "build.rs", "memory.x", "src/main.rs"] {
        let to = package.join(file);
        fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        fs::copy(sources.join(file), to)?;
    }
    let mut metadata = process::cargo(&package, "metadata");
    let metadata = process::stdout(metadata.args(["--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "microflow")
        .and_then(|package| package["manifest_path"].as_str())
        .context("cargo does not say where microflow lies")?;
    fs::copy(
        Path::new(manifest).with_file_name("models/sine.tflite"),
        package.join("sine.tflite"),
    )
    .context("MicroFlow's package has no models/sine.tflite")?;
    let mut built = Vec::new();
    for (name, features) in [("with", &[][..]), ("without", &["--features", "nothing"])] {
        let mut build = toolchain.cargo(&package, "build", board.target);
        build
            .args(["--release", "--message-format", "json-render-diagnostics"])
            .args(features);
        let binaries = process::executables(&process::stdout(&mut build)?)?;
        let binary = (binaries.values().next()).context("cargo built no binary")?;
        let kept = folder.join(format!("microflow-{name}.elf"));
        fs::copy(binary, &kept)?;
        built.push(kept);
    }
    <[PathBuf; 2]>::try_from(built).map_err(|_| anyhow::anyhow!("two builds give two firmwares"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harness_that_ends_early_or_runs_by_another_clock_counts_nothing() {
        let whole = "calibration 1000 3200\nstep 1 320\nstep 0 640\ndone\n";
        assert_eq!(counts(whole, 3.2).unwrap(), [100.0, 200.0]);
        assert!(counts(whole, 6.4).is_err());
        assert!(counts(&whole.replace("done\n", ""), 3.2).is_err());
        assert!(counts(&whole.replace("step 0", "error"), 3.2).is_err());
        assert!(counts("calibration 1000 3200\ndone\n", 3.2).is_err());
    }
}
