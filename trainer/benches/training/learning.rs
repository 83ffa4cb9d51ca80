//! Whole training: acting, stepping environments and learning from them, as the train loop does it, without the episodes that
//! only judge.

use candle_core::{Device, Error, Result};
use clap::Args;
use consort_trainer::config::{Config, Layers};
use consort_trainer::env::Task;
use consort_trainer::rng::Stream;
use consort_trainer::rollout::Runner;
use consort_trainer::train::train;
use serde_json::{Value, json};

use super::clock::Clock;

/// Returns are averaged over this many batches before they are held against a threshold.
const WINDOW: usize = 10;

#[derive(Args)]
pub(super) struct Learn {
    /// Name of a task
    task: String,
    /// How it is learned
    #[arg(long, default_value = "mappo")]
    method: String,
    /// Environment steps, for the method's schedules too
    #[arg(long)]
    steps: u64,
    /// A setting, as of `consort train`
    #[arg(long)]
    set: Vec<String>,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Stop when the mean return of ten batches has reached this
    #[arg(long, allow_hyphen_values = true)]
    threshold: Option<f64>,
    /// Runs of successive seeds that are trained through the whole train loop, evaluation included
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// On how many threads, where there are several runs
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl Learn {
    pub(super) fn run(&self) -> Result<()> {
        let (config, task) = self.resolve().map_err(Error::wrap)?;
        let mut line = match self.runs {
            1 => self.one(&config, &task)?,
            _ => self.several(&config, &task)?,
        };
        line["part"] = json!("learn");
        line["task"] = json!(self.task);
        line["method"] = json!(self.method);
        line["peak_bytes"] = json!(peak_bytes());
        println!("{line}");
        Ok(())
    }

    fn resolve(&self) -> std::result::Result<(Config, Task), consort_trainer::config::ConfigError> {
        let mut layers = Layers::new();
        layers.task(&self.task)?;
        layers.value("method", self.method.as_str())?;
        layers.value("steps", self.steps as i64)?;
        for assignment in &self.set {
            layers.assignment(assignment)?;
        }
        layers.resolve()
    }

    /// One arm, batch by batch.
    fn one(&self, config: &Config, task: &Task) -> Result<Value> {
        let spec = task.spec();
        let (time, parallel) = (config.rollout_length(&spec), config.parallel(&spec));
        let updates = self.steps / (time * parallel) as u64;
        let [arm] = &config.arms()[..] else {
            return Err(Error::msg("expected a method of one arm"));
        };
        let (network, update) = (&config.network, &config.update);
        let mut learner = arm.make(&spec, network, update, &[self.seed], &Device::Cpu)?;
        let streams = vec![Stream::new(self.seed, "environment", 0)];
        let tasks = std::slice::from_ref(task);
        let mut runner = Runner::new(tasks, parallel, streams, config.normalisation(&spec, 1));
        let start = Clock::start();
        let (mut acting, mut steps, mut done) = (0.0, 0, 0);
        let mut returns = Vec::new();
        let mut reached = None;
        while done < updates && reached.is_none() {
            let began = Clock::start();
            let batch = runner.collect(time, |seen| learner.act(seen))?;
            acting += began.seconds();
            learner.update(&batch, done as f64 / updates as f64)?;
            steps += batch.env_steps(0);
            done += 1;
            let ended = &batch.returns[0];
            if !ended.is_empty() {
                let sum: f64 = ended.iter().copied().map(f64::from).sum();
                returns.push(sum / ended.len() as f64);
            }
            let lately = mean(&returns[returns.len().saturating_sub(WINDOW)..]);
            if returns.len() >= WINDOW && self.threshold.is_some_and(|least| lately >= least) {
                reached = Some((steps, start.seconds()));
            }
        }
        let seconds = start.seconds();
        Ok(json!({
            "seed": self.seed,
            "environments": parallel,
            "rollout": time,
            "agents": spec.agents.len(),
            "env_steps": steps,
            "seconds": seconds,
            "wall_seconds": start.wall_seconds(),
            "env_steps_per_second": steps as f64 / seconds,
            "share_acting": acting / seconds,
            "first_return": returns.first(),
            "last_return": mean(&returns[returns.len().saturating_sub(WINDOW)..]),
            "threshold": self.threshold,
            "reached": reached.map(|(steps, seconds)| json!({ "env_steps": steps, "seconds": seconds })),
        }))
    }

    /// Several runs beside each other, through the whole train loop.
    fn several(&self, config: &Config, task: &Task) -> Result<Value> {
        let seeds: Vec<u64> = (self.seed..self.seed + self.runs).collect();
        let tasks = vec![task.clone(); seeds.len()];
        let start = Clock::start();
        let outcomes = train(config, &tasks, &seeds, &Device::Cpu, self.threads, &|_| ())?;
        // Several threads: by the clock on the wall.
        let seconds = start.wall_seconds();
        let steps: u64 = outcomes.iter().map(|outcome| outcome.env_steps()).sum();
        Ok(json!({
            "runs": self.runs,
            "threads": self.threads,
            "env_steps": steps,
            "seconds": seconds,
            "env_steps_per_second": steps as f64 / seconds,
        }))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The most memory that this process has held, where the system says so.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
