//! A perceptron and a recurrent network: ours beside PyTorch's, and as a share of what the core can compute.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::peers::TORCH;
use super::program::{Program, number};
use super::short;
use crate::report::Report;

const BATCHES: &str = "64,512,4096,16384";

/// Adds `networks`, a row a case, and the ratios that are looked at most.
pub(super) fn measure(
    report: &mut Report,
    program: &Program,
    figures: &mut Map<String, Value>,
) -> Result<()> {
    let mut ours = Vec::new();
    report.step("networks, ours", || {
        ours = program.run(&["networks", "--batches", BATCHES])?;
        Ok(format!("{} cases", ours.len()))
    })?;
    let mut theirs = Vec::new();
    report.step("networks, PyTorch", || {
        Ok(match TORCH.run("networks.py", &[BATCHES]) {
            Ok(lines) => {
                theirs = lines;
                theirs
                    .first()
                    .map_or(String::new(), |line| line["system"].to_string())
            }
            Err(error) => format!("NOT MEASURED: {error:#}"),
        })
    })?;
    let limit = figures["machine"]["gflops"].as_f64();
    let mut rows = Vec::new();
    for line in &ours {
        let same = |other: &&Value| {
            ["network", "pass", "batch"]
                .iter()
                .all(|&key| other[key] == line[key])
        };
        let own = number(line, "per_second")?;
        let torch = theirs.iter().find(same);
        let torch = torch.map(|line| number(line, "per_second")).transpose()?;
        let ratio = torch.map(|torch| own / torch);
        let share = limit.map(|limit| line["gflops"].as_f64().unwrap_or(0.0) / limit);
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let name = format!("{} {} {}", text("network"), text("pass"), line["batch"]);
        report.step(&name, || {
            let beside = match (torch, ratio) {
                (Some(torch), Some(ratio)) => {
                    format!(", PyTorch {}: {ratio:.2} times", short(torch))
                }
                _ => String::new(),
            };
            let share = share.map_or(String::new(), |share| {
                format!("; {:.0} % of the limit", 100.0 * share)
            });
            Ok(format!("{} samples/s{beside}{share}", short(own)))
        })?;
        let prefix = if line["network"] == "mlp" { "" } else { "gru_" };
        figures.insert(
            format!("{prefix}{}_{}", text("pass"), line["batch"]),
            json!(ratio),
        );
        rows.push(json!({
            "network": line["network"],
            "pass": line["pass"],
            "batch": line["batch"],
            "ours": own,
            "torch": torch,
            "ratio": ratio,
            "share_of_limit": share,
        }));
    }
    figures.insert("networks".into(), json!(rows));
    Ok(())
}
