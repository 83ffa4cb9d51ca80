//! What training costs as agents grow in number: time, memory and parameters of the joint policy.
//!
//! Each measurement is made in a process of its own, so that its peak of memory is nobody else's.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use consort_trainer::config::{ArmName, Config};
use consort_trainer::env::Task;
use consort_trainer::net::joint::HeadChoice;
use consort_trainer::net::{Joint, Marginals};
use consort_trainer::rng::Stream;
use consort_trainer::rollout::Runner;
use serde::{Deserialize, Serialize};

use crate::kept::{self, SOURCES};

/// Actions of each agent.
const ACTIONS: usize = 10;
/// Updates before the clock starts: the allocator and the caches are warm then.
const WARM_UP: u64 = 2;

/// One measurement that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    agents: usize,
    #[arg(long)]
    head: Head,
    /// Updates that are timed.
    #[arg(long)]
    updates: u64,
}

/// The joint policy's distribution over joint actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Head {
    Autoregressive,
    Enumerated,
}

impl Head {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Autoregressive => "autoregressive",
            Self::Enumerated => "enumerated",
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) head: Head,
    pub(crate) agents: usize,
    /// Updates that were timed, and environment steps of each.
    pub(crate) updates: u64,
    pub(crate) steps_an_update: u64,
    /// Wall-clock time of training an annealed arm, play included, by its environment steps.
    pub(crate) microseconds_a_step: f64,
    /// Most memory the process ever held; none where the system does not tell (it is Linux's
    /// `VmHWM`).
    pub(crate) peak_kibibytes: Option<u64>,
    /// Numbers that the joint policy learns.
    pub(crate) joint_parameters: usize,
    /// The same of all marginals together.
    pub(crate) marginal_parameters: usize,
}

/// Every measurement of a study: the autoregressive joint policy in teams of 2 to 32, the
/// enumerated one while 10^N joint actions are few.
pub(crate) fn plan(updates: u64) -> Vec<Options> {
    let of = |head, agents: &[usize]| -> Vec<Options> {
        let options = |&agents: &usize| Options {
            agents,
            head,
            updates,
        };
        agents.iter().map(options).collect()
    };
    [
        of(Head::Autoregressive, &[2, 3, 4, 8, 16, 32]),
        of(Head::Enumerated, &[2, 3]),
    ]
    .concat()
}

/// The measurement, if it is in `folder` already.
pub(crate) fn find(folder: &Path, options: Options) -> Result<Option<Cost>> {
    kept::find(&folder.join(file(options)))
}

/// Measures in a process of its own, and keeps what comes of it in `folder`.
pub(crate) fn make(folder: &Path, options: Options) -> Result<Cost> {
    let mut child = Command::new(std::env::current_exe()?);
    child
        .arg("sequential-cost")
        .args(["--head", options.head.name()])
        .args(["--agents", &options.agents.to_string()])
        .args(["--updates", &options.updates.to_string()])
        .stderr(Stdio::inherit());
    let output = child.output().context("cannot start a measurement")?;
    ensure!(
        output.status.success(),
        "the measurement of {} agents failed",
        options.agents
    );
    let cost: Cost = serde_json::from_slice(&output.stdout)?;
    kept::keep(&folder.join(file(options)), &cost)
}

/// Removes the measurement, if it is there.
pub(crate) fn forget(folder: &Path, options: Options) -> Result<()> {
    kept::forget(&folder.join(file(options)))
}

fn file(options: Options) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(SOURCES.as_bytes());
    hasher.write_u64(options.updates);
    let (head, agents, hash) = (options.head.name(), options.agents, hasher.finish());
    format!("cost.{head}.{agents}.{hash:016x}.json")
}

/// Measures in this process and prints a line of JSON.
pub(crate) fn child(options: &Options) -> Result<()> {
    let mut cost = measure(*options)?;
    cost.peak_kibibytes = peak();
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

/// Trains one annealed arm for a fixed number of updates.
fn measure(options: Options) -> Result<Cost> {
    let Options {
        agents,
        head,
        updates,
    } = options;
    let (config, task) = config(agents, head)?;
    let device = config.device.open()?;
    let spec = task.spec();
    let arm = config
        .arms()
        .into_iter()
        .next()
        .context("there is an arm")?;
    let mut algorithm = arm.make(&spec, &config.network, &config.update, &[0], &device)?;
    let streams = vec![Stream::new(0, "environment", 0)];
    let tasks = [task];
    let mut runner = Runner::new(
        &tasks,
        config.parallel(&tasks[0].spec()),
        streams,
        config.normalisation(&spec, 1),
    );
    let time = config.rollout_length(&spec);
    let (mut start, mut steps) = (Instant::now(), 0);
    for update in 0..WARM_UP + updates {
        if update == WARM_UP {
            (start, steps) = (Instant::now(), 0);
        }
        let batch = runner.collect(time, |seen| algorithm.act(seen))?;
        // At the start of an arm's time the joint policy acts and learns: the dearest part.
        algorithm.update(&batch, 0.0)?;
        steps += batch.env_steps(0);
    }
    let seconds = start.elapsed().as_secs_f64();

    let named = |name| vec![Stream::new(0, name, 0)];
    let marginals = Marginals::new(&spec, &config.network, &mut named("marginals"), &device)?;
    let joint = Joint::new(
        &spec,
        &config.network,
        &marginals,
        &mut named("joint"),
        &device,
    )?;
    Ok(Cost {
        head,
        agents,
        updates,
        steps_an_update: steps / updates.max(1),
        microseconds_a_step: 1e6 * seconds / steps.max(1) as f64,
        peak_kibibytes: None,
        joint_parameters: joint.variables().iter().map(|v| v.elem_count()).sum(),
        marginal_parameters: marginals.variables().iter().map(|v| v.elem_count()).sum(),
    })
}

/// The defaults, with one annealed arm that has the head asked for.
fn config(agents: usize, head: Head) -> Result<(Config, Task)> {
    let task = Task::find(&format!("coordsum-{agents}x{ACTIONS}"))?;
    let mut config = Config::for_kind(task.kind());
    task.name().clone_into(&mut config.task);
    config.portfolio.arms = vec![ArmName::Annealed];
    config.network.joint.head = match head {
        Head::Autoregressive => HeadChoice::Autoregressive,
        Head::Enumerated => HeadChoice::Enumerated,
    };
    Ok((config, task))
}

/// Most resident memory that this process ever had, in KiB.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    resident(&status)
}

/// The number after `VmHWM:`.
fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joint_policy_of_one_agent_after_another_grows_in_proportion() {
        let measured = |head, agents| {
            let options = Options {
                agents,
                head,
                updates: 1,
            };
            measure(options).unwrap()
        };
        let [two, three, four] = [2, 3, 4].map(|n| measured(Head::Autoregressive, n));
        // Every agent adds the same: a column of what tells agents apart, and what is said of its actions.
        let step = three.joint_parameters - two.joint_parameters;
        assert_eq!(four.joint_parameters - three.joint_parameters, step);
        // 32 environments, 100 steps, nothing cut off.
        assert_eq!((two.steps_an_update, two.updates), (3_200, 1));
        assert!(two.microseconds_a_step > 0.0 && two.marginal_parameters > 0);
        // Its last layer alone has a row for each of 10³ joint actions.
        let enumerated = measured(Head::Enumerated, 3);
        assert!(enumerated.joint_parameters > 64 * 1_000);
    }

    #[test]
    fn the_peak_is_read_from_the_status() {
        let status = "VmPeak:\t  9 kB\nVmHWM:\t  12345 kB\nVmRSS:\t  1 kB\n";
        assert_eq!(resident(status), Some(12_345));
        assert_eq!(resident("VmRSS:\t 1 kB\n"), None);
    }
}
