//! Benches: figures to compare with, as a table and as JSON.

mod comparators;
pub(crate) mod hil;
mod shared_seed;
mod size;
mod trace;
pub(crate) mod train;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::board::Board;
use crate::reference::{self, Observations};
use crate::report::Report;
use crate::team::{self, Agent};
use crate::toolchain::Toolchain;
use crate::{board, check, kernels, qemu, work};

/// The benches there are.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Bench {
    /// Instructions and modelled cycles per inference, code and memory of every committed agent and of the reference policies,
    /// emulated, beside RLtools, emlearn and MicroFlow
    Device,
    /// Every committed team on mixed fleets of emulated boards, every fault, a soak
    Hil,
    /// What a shared seed is worth on two emulated boards, against the adversary of `evade`: 1/4 without, 1/2 with
    SharedSeed,
    /// What training costs: networks beside PyTorch, environments beside the Python originals, whole training beside JaxMARL
    Train,
}

/// The networks that other systems are compared on: the key in the bench's JSON, our policy and the board.
const NETWORKS: [(&str, &str, &str); 5] = [
    (
        "mlp_f32",
        "reference-dense-13-64-64-4/agent-0",
        "mps2-an386",
    ),
    (
        "mlp_i8",
        "reference-dense-13-64-64-4-i8/agent-0",
        "mps2-an386",
    ),
    ("gru_f32", "reference-gru-13-32-4/agent-0", "mps2-an386"),
    ("gru_i8_m0", "reference-gru-13-32-4-i8/agent-0", "microbit"),
    ("sine", "reference-sine-1-16-16-1/agent-0", "mps2-an386"),
];

/// Runs a bench; its figures.
pub(crate) fn run(
    bench: Bench,
    options: &train::Options,
    build_std: bool,
    models: &Path,
    report: &mut Report,
) -> Result<Value> {
    let emulators = |report: &mut Report| check::toolchain(report, build_std);
    match bench {
        Bench::Device => device(&emulators(report)?, models, report),
        Bench::Hil => hil::run(&emulators(report)?, models, report),
        Bench::SharedSeed => shared_seed::run(&emulators(report)?, report),
        // All that it measures runs here.
        Bench::Train => train::run(report, options),
    }
}

fn device(toolchain: &Toolchain, models: &Path, report: &mut Report) -> Result<Value> {
    let boards = board::named(&[]);
    let agents = qemu::run_teams(report, toolchain, models, &boards)?;
    let work = work::check(report, toolchain, &boards)?;
    kernels::check(report, toolchain)?;
    let traces = traces(toolchain, &boards, report)?;
    let smallest = report.step("smallest firmware", || size::smallest(toolchain, false))?;
    let with_kernels = report.step("smallest firmware with kernels", || {
        size::smallest(toolchain, true)
    })?;
    let memory = memory(report)?;
    let counts = comparators::measure(report, toolchain);

    let mut object = Map::new();
    object.insert("bench".into(), json!("device"));
    for (network, policy, board) in NETWORKS {
        let own = (agents.iter())
            .find(|figures| (figures.agent.as_str(), figures.board) == (policy, board))
            .map(|figures| ("consort", figures.instructions_max));
        let others = (counts.iter())
            .filter(|count| count.network == network)
            .filter_map(|count| Some((count.system, count.cost.as_ref().ok()?.instructions)));
        let systems: Map<_, _> = (own.into_iter().chain(others))
            .map(|(system, instructions)| (system.to_owned(), json!(instructions)))
            .collect();
        table(report, network, &systems)?;
        object.insert(network.into(), Value::Object(systems));
    }
    object.insert("text_bytes".into(), json!(smallest.text));
    object.insert("text_bytes_with_kernels".into(), json!(with_kernels.text));
    object.insert(
        "text_bytes_to_copy_and_clear".into(),
        json!(smallest.memory_routines),
    );
    object.insert("ram_bytes".into(), json!(memory));
    let others: Vec<_> = counts
        .iter()
        .map(|count| match &count.cost {
            Ok(cost) => json!({
                "network": count.network,
                "system": count.system,
                "instructions": cost.instructions,
                "cycles": cost.cycles,
                "text_bytes": cost.text_bytes,
            }),
            Err(error) => json!({
                "network": count.network,
                "system": count.system,
                "not_measured": format!("{error:#}"),
            }),
        })
        .collect();
    object.insert("comparators".into(), json!(others));
    object.insert("cycles".into(), json!(traces));
    object.insert("work".into(), json!(work));
    object.insert("agents".into(), json!(agents));
    Ok(Value::Object(object))
}

/// One network's line in the report: fewest first.
fn table(report: &mut Report, network: &str, systems: &Map<String, Value>) -> Result<()> {
    let mut systems: Vec<_> = systems
        .iter()
        .map(|(system, instructions)| (instructions.as_u64().unwrap_or(0), system))
        .collect();
    systems.sort();
    report
        .step(format!("{network}: instructions"), || {
            let parts: Vec<_> = systems
                .iter()
                .map(|(instructions, system)| format!("{system} {instructions}"))
                .collect();
            Ok(match parts.is_empty() {
                true => "no policy of this kind yet".to_owned(),
                false => parts.join(", "),
            })
        })
        .map(|_| ())
}

/// Modelled cycles of the reference policies, on the cores whose manuals give cycles. On a core without a floating-point unit
/// a dense and a recurrent policy of each precision say enough.
fn traces(toolchain: &Toolchain, boards: &[&Board], report: &mut Report) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    reference::write(folder.path(), Observations::Few)?;
    let agents = team::all(folder.path())?;
    let mut traces = Vec::new();
    for board in boards {
        let Some(timing) = trace::timing(board.core) else {
            continue;
        };
        for agent in &agents {
            let name = agent.to_string();
            let few = [0, 1, 2, 3].map(|network| NETWORKS[network].1);
            if !board.has_float_unit() && !few.contains(&name.as_str()) {
                continue;
            }
            let mut found = None;
            report.step(format!("{} cycles {name}", board.name), || {
                let mix = traced(toolchain, board, agent, timing)?;
                let mut mnemonics: Vec<_> = mix.mnemonics.iter().collect();
                mnemonics.sort_by_key(|&(_, count)| std::cmp::Reverse(*count));
                let most: Vec<_> = mnemonics
                    .iter()
                    .take(6)
                    .map(|(mnemonic, count)| format!("{count} {mnemonic}"))
                    .collect();
                found = Some(json!({
                    "board": board.name,
                    "policy": name,
                    "instructions": mix.instructions,
                    "cycles": mix.cycles,
                    "mnemonics": mix.mnemonics,
                }));
                Ok(format!(
                    "{} cycles modelled for {} instructions: {} …",
                    mix.cycles,
                    mix.instructions,
                    most.join(", ")
                ))
            })?;
            traces.extend(found);
        }
    }
    Ok(traces)
}

fn traced(
    toolchain: &Toolchain,
    board: &Board,
    agent: &Agent,
    timing: trace::Timing,
) -> Result<trace::Mix> {
    let (_, app) = board.replay(toolchain, agent)?;
    trace::step(board, &app, timing)
}

/// Bytes of memory that the dense reference policy is lent, after a look at what every one is.
fn memory(report: &mut Report) -> Result<usize> {
    let folder = tempfile::tempdir()?;
    reference::write(folder.path(), Observations::Few)?;
    let mut dense = 0;
    for agent in team::all(folder.path())? {
        report.step(format!("memory {agent}"), || {
            let image = agent.view()?;
            let mut widths: Vec<_> = image.layers().map(|layer| layer.outputs).collect();
            widths.sort_by_key(|&width| std::cmp::Reverse(width));
            let two: usize = widths.iter().take(2).sum();
            let (memory, state) = (4 * image.memory_len(), 4 * image.state_len());
            if agent.to_string() == NETWORKS[0].1 {
                dense = memory;
            }
            Ok(format!(
                "{memory} B lent to a step, {state} B of them state; the two widest layers and the state are {} B",
                4 * two + state
            ))
        })?;
    }
    Ok(dense)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_we_compare_on_are_reference_policies_on_boards_there_are() {
        let folder = tempfile::tempdir().unwrap();
        reference::write(folder.path(), Observations::Few).unwrap();
        let names: Vec<_> = (team::all(folder.path()).unwrap().iter())
            .map(ToString::to_string)
            .collect();
        for (network, policy, on) in NETWORKS {
            assert!(
                board::names().iter().any(|name| name.get_name() == on),
                "{on}"
            );
            assert!(names.contains(&policy.to_owned()), "{network}: {policy}");
        }
    }
}
