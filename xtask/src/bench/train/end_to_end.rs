//! Whole training by MAPPO: ours beside JaxMARL's environment under a harness of the same shape, both on one core, and beside
//! what EPyMARL's authors measured.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::peers::JAXMARL;
use super::program::{Program, number};
use super::{median, short};
use crate::report::Report;

const SEEDS: [&str; 3] = ["0", "1", "2"];

/// What is trained beside JaxMARL: three agents of the particle world, sixteen environments, two layers of 64.
const SPREAD: &str = "mpe-spread";
const SPREAD_STEPS: &str = "1000000";
/// As in the harness: what the critic sees is everything that agents see, and no more.
const SPREAD_SETTINGS: [&str; 6] = [
    "--set",
    "batch=16",
    "--set",
    "rollout=128",
    "--set",
    "network.critic_sees_state=false",
];
/// Of all tasks: what is measured must not move with the defaults.
const SETTINGS: [&str; 6] = [
    "--set",
    "network.hidden=[64, 64]",
    "--set",
    "mappo.learning_rate=0.0007",
    "--set",
    "normalise_observations=false",
];
/// Return of an episode, the sum over agents: playing at random is worth about −80.
const SPREAD_RETURN: &str = "-64";

const FORAGING: &str = "lbf-8x8-2p-2f-coop";
const FORAGING_STEPS: &str = "2000000";
/// Of 1.
const FORAGING_RETURN: &str = "0.9";

const WAREHOUSE: &str = "rware-tiny-4ag";
const WAREHOUSE_STEPS: &str = "200000";
/// Environment steps a second of EPyMARL's MAPPO in sixteen warehouses, with a GPU, as published.
const EPYMARL: f64 = 1450.0;

/// Several seeds of one system.
struct Runs {
    lines: Vec<Value>,
    rate: Option<f64>,
}

impl Runs {
    fn new(lines: Vec<Value>) -> Result<Self> {
        let rates = lines
            .iter()
            .map(|line| number(line, "env_steps_per_second"));
        let rate = median(rates.collect::<Result<_>>()?);
        Ok(Self { lines, rate })
    }

    /// Median over seeds of the seconds to the threshold; none where half of the seeds did not reach it.
    fn seconds(&self) -> Option<f64> {
        let never = f64::INFINITY;
        let seconds = |line: &Value| line["reached"]["seconds"].as_f64().unwrap_or(never);
        median(self.lines.iter().map(seconds).collect()).filter(|seconds| seconds.is_finite())
    }

    /// The most memory of any seed, in MiB.
    fn peak(&self) -> Option<f64> {
        let peaks = self
            .lines
            .iter()
            .filter_map(|line| line["peak_bytes"].as_f64());
        peaks.reduce(f64::max).map(|peak| peak / 1024.0 / 1024.0)
    }

    fn describe(&self) -> String {
        let or_never = |seconds: Option<f64>| match seconds {
            Some(seconds) => format!("{seconds:.1} s"),
            None => "not".to_owned(),
        };
        format!(
            "{} steps/s; threshold reached in: {}; {:.0} MiB",
            short(self.rate.unwrap_or(f64::NAN)),
            or_never(self.seconds()),
            self.peak().unwrap_or(f64::NAN)
        )
    }

    fn figures(&self) -> Value {
        json!({
            "env_steps_per_second": self.rate,
            "seconds_to_threshold": self.seconds(),
            "peak_mebibytes": self.peak(),
            "seeds": self.lines,
        })
    }
}

/// Adds `end_to_end` and `end_to_end_ratio`, ours ÷ JaxMARL in environment steps a second.
pub(super) fn measure(
    report: &mut Report,
    program: &Program,
    figures: &mut Map<String, Value>,
) -> Result<()> {
    let ours = |task, steps, threshold: Option<&str>, settings: &[&str]| {
        let mut lines = Vec::new();
        for seed in SEEDS {
            let mut arguments = vec!["learn", task, "--steps", steps, "--seed", seed];
            arguments.extend(threshold.iter().flat_map(|least| ["--threshold", least]));
            arguments.extend(SETTINGS);
            arguments.extend(settings);
            lines.extend(program.run(&arguments)?);
        }
        Runs::new(lines)
    };
    let mut spread = None;
    report.step(format!("mappo on {SPREAD}, ours"), || {
        let runs = ours(SPREAD, SPREAD_STEPS, Some(SPREAD_RETURN), &SPREAD_SETTINGS)?;
        let described = runs.describe();
        spread = Some(runs);
        Ok(described)
    })?;
    let mut jaxmarl = None;
    report.step("mappo on MPE_simple_spread_v3, JaxMARL", || {
        let seeds = SEEDS.join(",");
        let arguments = [
            "--steps",
            SPREAD_STEPS,
            "--threshold",
            SPREAD_RETURN,
            "--seeds",
            &seeds,
        ];
        let measured = JAXMARL.run("spread.py", &arguments).and_then(Runs::new);
        Ok(match measured {
            Ok(runs) => {
                let compiling = runs.lines.first().map(|line| &line["seconds_compiling"]);
                let compiling = compiling.and_then(Value::as_f64).unwrap_or(f64::NAN);
                let described = format!("{}; compiled in {compiling:.1} s before", runs.describe());
                jaxmarl = Some(runs);
                described
            }
            Err(error) => format!("NOT MEASURED: {error:#}"),
        })
    })?;
    let rate = |runs: &Option<Runs>| runs.as_ref().and_then(|runs| runs.rate);
    let ratio = rate(&spread)
        .zip(rate(&jaxmarl))
        .map(|(ours, theirs)| ours / theirs);
    report.step("ours ÷ JaxMARL", || {
        Ok(ratio.map_or("not measured".to_owned(), |ratio| {
            format!("{ratio:.2} times")
        }))
    })?;
    let mut foraging = None;
    report.step(format!("mappo on {FORAGING}, ours"), || {
        let runs = ours(FORAGING, FORAGING_STEPS, Some(FORAGING_RETURN), &[])?;
        let described = runs.describe();
        foraging = Some(runs);
        Ok(format!("{described}; JaxMARL 0.2.0 does not have the task"))
    })?;
    let mut warehouse = None;
    report.step(format!("mappo on {WAREHOUSE}, ours"), || {
        let runs = ours(WAREHOUSE, WAREHOUSE_STEPS, None, &[])?;
        let rate = runs.rate.unwrap_or(f64::NAN);
        let described = format!(
            "{} steps/s: {:.1} times the {} that EPyMARL published; {:.0} MiB",
            short(rate),
            rate / EPYMARL,
            short(EPYMARL),
            runs.peak().unwrap_or(f64::NAN)
        );
        warehouse = Some(runs);
        Ok(described)
    })?;
    let all = |runs: &Option<Runs>| runs.as_ref().map(Runs::figures);
    figures.insert("end_to_end_ratio".into(), json!(ratio));
    figures.insert(
        "rware_ratio_epymarl_published".into(),
        json!(rate(&warehouse).map(|rate| rate / EPYMARL)),
    );
    figures.insert(
        "end_to_end".into(),
        json!({
            "spread": all(&spread),
            "spread_jaxmarl": all(&jaxmarl),
            "foraging": all(&foraging),
            "warehouse": all(&warehouse),
        }),
    );
    Ok(())
}
