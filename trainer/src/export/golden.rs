//! Golden sequences: what every device must reproduce, bit for bit.

use std::fmt::Write as _;

use consort_runtime::StepError;
use serde_json::json;

use crate::env::Task;
use crate::rng::Stream;
use crate::team::{Actors, Manifest};

/// Steps a sequence has at least, and at most.
const STEPS: [usize; 2] = [32, 256];

/// Agent `agent`'s golden sequence as JSON, one step a line; every f32 by its bits, so that no
/// decimal stands between two machines.
pub(super) fn record(
    manifest: &Manifest,
    task: &Task,
    actors: &Actors,
    agent: usize,
) -> Result<String, StepError> {
    let entry = &manifest.agents[agent];
    let bits = |values: &[f32]| {
        values
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    let mut actor = actors.actor(agent);
    let mut steps = Vec::new();
    for observation in observations(task, manifest.seed, agent) {
        let (logits, action) = actor.logits(&observation)?;
        let step = json!({
            "observation": bits(&observation),
            "logits": bits(&logits),
            "action": action,
        });
        steps.push(format!("    {step}"));
    }
    let mut text = String::from("{\n");
    for (key, value) in [
        ("command", json!(manifest.command)),
        ("team", json!(manifest.task)),
        ("agent", json!(agent)),
        ("observation_len", json!(entry.observation)),
        ("output_len", json!(entry.actions)),
    ] {
        let _ = writeln!(text, "  \"{key}\": {value},");
    }
    let _ = write!(text, "  \"steps\": [\n{}\n  ]\n}}\n", steps.join(",\n"));
    Ok(text)
}

/// A sequence of the agent's observations: in a game each of them once and in order, then drawn
/// at random (drawn from the start where there are too many); in any other task those of fresh
/// episodes.
fn observations(task: &Task, seed: u64, agent: usize) -> Vec<Vec<f32>> {
    let mut stream = Stream::new(seed, "golden", agent as u64);
    let spec = task.spec();
    match task.game() {
        Some(game) => {
            let count = game.observations().sizes()[agent];
            let [least, most] = STEPS;
            let (listed, steps) = if count <= most {
                (count, least)
            } else {
                (0, most)
            };
            let drawn = (listed..steps).map(|_| (stream.uniform() * count as f64) as usize);
            let numbers: Vec<usize> = (0..listed).chain(drawn).collect();
            let encode = |number| {
                let mut vector = vec![0.0; spec.agents[agent].observation];
                game.encode_observation(agent, number, &mut vector);
                vector
            };
            numbers.into_iter().map(encode).collect()
        }
        None => {
            let start: usize = spec.agents[..agent]
                .iter()
                .map(|agent| agent.observation)
                .sum();
            let mut environment = task.make_environment();
            let mut joint = vec![0.0; spec.joint_observation()];
            let mut draw = || {
                environment.reset(&mut stream, &mut joint);
                joint[start..][..spec.agents[agent].observation].to_vec()
            };
            (0..STEPS[0]).map(|_| draw()).collect()
        }
    }
}
