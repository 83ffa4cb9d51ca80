//! Golden sequences: what every device must reproduce, bit for bit.
//!
//! One JSON file an agent, one step a line, every f32 by its bits, so that no decimal stands
//! between two machines:
//!
//! | key of a step | |
//! |---|---|
//! | `observation` | what the agent saw |
//! | `start` | whether an episode begins: reset the state first (absent from one-shot games, where every step is an episode) |
//! | `moment`, `symbol` | the episode and the tick, and the symbol that a device with the team's key draws for them; it is the end of `observation` (absent without a shared seed, whose `symbols`, `per` and `key` then stand before the steps as `shared_seed`) |
//! | `mask` | which actions were allowed (absent where nothing is ever forbidden) |
//! | `logits`, `action` | what it made of it, greedily; where an action is a choice of every factor, it is a list of them; one that is a vector is a list too, and has no logits |

use std::fmt::Write as _;

use consort_runtime::{Moment, StepError, Symbol};
use serde_json::{Map, Value, json};

use crate::env::{ActionSpace, Game, JointAction, Task};
use crate::rng::Stream;
use crate::team::{Actors, Decision, Manifest, TeamKey};

/// Steps that the sequence of a one-shot game has at least, and at most.
const STEPS: [usize; 2] = [32, 256];
/// Steps that whole episodes are played for.
const EPISODE_STEPS: usize = 300;

/// Every agent's golden sequence as JSON, in agent order.
pub(super) fn record(
    manifest: &Manifest,
    task: &Task,
    actors: &Actors,
    key: Option<TeamKey>,
) -> Result<Vec<String>, StepError> {
    let agents = 0..actors.images().len();
    let sequences = match task.game() {
        Some(game) => agents
            .map(|agent| one_shot(game, manifest.seed, actors, agent))
            .collect::<Result<_, _>>()?,
        None => episodes(task, manifest.seed, actors, key)?,
    };
    let texts = sequences.iter().enumerate();
    Ok(texts
        .map(|(agent, steps)| text(manifest, agent, steps, key))
        .collect())
}

/// The file of one agent's steps.
fn text(manifest: &Manifest, agent: usize, steps: &[Value], key: Option<TeamKey>) -> String {
    let entry = &manifest.agents[agent];
    let output_len = match &entry.factors[..] {
        [] => entry.actions,
        factors => factors.iter().sum(),
    };
    let mut text = String::from("{\n");
    for (key, value) in [
        ("command", json!(manifest.command)),
        ("team", json!(manifest.task)),
        ("agent", json!(agent)),
        ("observation_len", json!(entry.observation)),
        ("output_len", json!(output_len)),
    ] {
        let _ = writeln!(text, "  \"{key}\": {value},");
    }
    if let (Some(entry), Some(key)) = (&manifest.shared_seed, key) {
        let (symbols, per) = (entry.symbols, entry.per);
        let seed = json!({ "symbols": symbols, "per": per, "key": key.text().trim() });
        let _ = writeln!(text, "  \"shared_seed\": {seed},");
    }
    let steps: Vec<String> = steps.iter().map(|step| format!("    {step}")).collect();
    let _ = write!(text, "  \"steps\": [\n{}\n  ]\n}}\n", steps.join(",\n"));
    text
}

/// A step as it is written.
fn step(
    observation: &[f32],
    start: Option<bool>,
    drawn: Option<(Moment, Symbol)>,
    mask: Option<&[bool]>,
    decision: &Decision,
) -> Value {
    let bits = |values: &[f32]| {
        let bits = values.iter().map(|value| value.to_bits());
        bits.collect::<Vec<_>>()
    };
    let mut step = Map::new();
    let mut put = |key: &str, value: Value| {
        step.insert(key.to_owned(), value);
    };
    put("observation", json!(bits(observation)));
    if let Some(start) = start {
        put("start", json!(start));
    }
    if let Some((moment, symbol)) = drawn {
        put("moment", json!([moment.episode, moment.tick]));
        put("symbol", json!(symbol.index()));
    }
    if let Some(mask) = mask {
        put("mask", json!(mask));
    }
    match decision {
        Decision::Discrete { action, logits } => {
            put("logits", json!(bits(logits)));
            put("action", json!(action));
        }
        Decision::Groups { choices, logits } => {
            put("logits", json!(bits(logits)));
            put("action", json!(choices));
        }
        Decision::Continuous(action) => put("action", json!(bits(action))),
    }
    Value::Object(step)
}

/// Each of the agent's observations once and in order, then drawn at random (drawn from the start
/// where there are too many).
fn one_shot(
    game: &Game,
    seed: u64,
    actors: &Actors,
    agent: usize,
) -> Result<Vec<Value>, StepError> {
    let mut stream = Stream::new(seed, "golden", agent as u64);
    let count = game.observations().sizes()[agent];
    let [least, most] = STEPS;
    let (listed, steps) = if count <= most {
        (count, least)
    } else {
        (0, most)
    };
    let drawn = (listed..steps).map(|_| (stream.uniform() * count as f64) as usize);
    let numbers: Vec<usize> = (0..listed).chain(drawn).collect();
    let mut actor = actors.actor(agent);
    let mut observation = vec![0.0; game.spec().agents[agent].observation];
    let mut decide = |number| {
        game.encode_observation(agent, number, &mut observation);
        actor.reset();
        let decision = actor.decide(&observation, None)?;
        Ok(step(&observation, None, None, None, &decision))
    };
    numbers.into_iter().map(&mut decide).collect()
}

/// Whole episodes, all agents acting greedily, until there are enough steps.
fn episodes(
    task: &Task,
    seed: u64,
    actors: &Actors,
    key: Option<TeamKey>,
) -> Result<Vec<Vec<Value>>, StepError> {
    let spec = task.spec();
    let agents = spec.agents.len();
    let mut stream = Stream::new(seed, "golden", 0);
    let mut environment = task.make_environment();
    let mut team: Vec<_> = (0..agents).map(|agent| actors.actor(agent)).collect();
    let mut observations = vec![0.0; spec.joint_observation()];
    let mut mask = vec![true; spec.joint_actions()];
    let mut sequences: Vec<Vec<Value>> = vec![Vec::new(); agents];
    let (mut count, mut now) = (0, Moment::new(0, 0));
    while count < EPISODE_STEPS {
        environment.reset(&mut stream, &mut observations);
        team.iter_mut().for_each(|actor| actor.reset());
        let mut start = true;
        loop {
            // By the devices' own rule, not read off what the environment shows.
            let drawn = (key.zip(task.seeding()))
                .map(|(key, seeding)| (now, key.seed().draw(seeding, now)));
            if spec.masked {
                environment.mask(&mut mask);
            }
            let (mut numbers, mut vectors) = (Vec::new(), Vec::new());
            let (mut seen, mut may) = (observations.as_slice(), mask.as_slice());
            for (agent, actor) in team.iter_mut().enumerate() {
                let (observation, others) = seen.split_at(spec.agents[agent].observation);
                let (allowed, others_may) = may.split_at(spec.agents[agent].actions.size());
                (seen, may) = (others, others_may);
                let allowed = spec.masked.then_some(allowed);
                let decision = actor.decide(observation, allowed)?;
                sequences[agent].push(step(observation, Some(start), drawn, allowed, &decision));
                match decision {
                    Decision::Discrete { action, .. } => numbers.push(action as u32),
                    Decision::Groups { choices, .. } => {
                        let ActionSpace::Product(factors) = spec.agents[agent].actions else {
                            return Err(StepError::Kind);
                        };
                        numbers.push(factors.action(&choices));
                    }
                    Decision::Continuous(action) => vectors.extend(action),
                }
            }
            let action = if spec.is_continuous() {
                JointAction::Continuous(&vectors)
            } else {
                JointAction::Discrete(&numbers)
            };
            let transition = environment.step(action, &mut stream, &mut observations);
            (start, count) = (false, count + 1);
            now.tick += 1;
            if transition.terminated || transition.truncated {
                break;
            }
        }
        now = Moment::new(now.episode + 1, 0);
    }
    Ok(sequences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Factors;
    use crate::net::HeadWeights;
    use crate::team::episodes::{HORIZON, actors, task};

    /// Plays a sequence again with a fresh agent: every step comes out as it was written.
    fn replay(team: &Actors, agent: usize, steps: &[Value]) {
        let mut actor = team.actor(agent);
        for step in steps {
            let values: Vec<f32> = (step["observation"].as_array().unwrap().iter())
                .map(|bits| f32::from_bits(bits.as_u64().unwrap() as u32))
                .collect();
            if step["start"] == true {
                actor.reset();
            }
            let mask: Option<Vec<bool>> = step["mask"]
                .as_array()
                .map(|mask| mask.iter().map(|allowed| allowed == true).collect());
            let decision = actor.decide(&values, mask.as_deref()).unwrap();
            let start = step["start"].as_bool();
            assert_eq!(
                self::step(&values, start, None, mask.as_deref(), &decision),
                *step
            );
        }
    }

    #[test]
    fn whole_episodes_are_recorded_of_every_agent() {
        let gaussian = HeadWeights::Gaussian {
            log_std: vec![0.0; 2],
        };
        let cases = [
            (ActionSpace::Discrete(3), true, HeadWeights::Categorical),
            (ActionSpace::Discrete(2), false, HeadWeights::Categorical),
            // Groups of two and of one: choices 1 and 0 are action 1.
            (
                ActionSpace::Product(Factors::new(&[2, 1]).unwrap()),
                false,
                HeadWeights::MultiDiscrete { sizes: vec![2, 1] },
            ),
            (ActionSpace::Continuous(2), false, gaussian),
            (
                ActionSpace::Continuous(2),
                false,
                HeadWeights::Deterministic,
            ),
        ];
        for (actions, masked, head) in cases {
            let (weights, biases) = ([0.0, 1.0, 0.0], [0.0, -0.1, -0.004]);
            let size = actions.outputs();
            let team = actors(&weights[..size], &biases[..size], head);
            let sequences = episodes(&task(actions, masked), 0, &team, None).unwrap();
            assert_eq!(sequences.len(), 2);
            for (agent, steps) in sequences.iter().enumerate() {
                assert_eq!(
                    steps.len(),
                    EPISODE_STEPS,
                    "a hundred episodes of three steps"
                );
                for (t, step) in steps.iter().enumerate() {
                    assert_eq!(step["start"], t % HORIZON == 0);
                    assert_eq!(step.get("mask").is_some(), masked);
                    assert_eq!(step.get("logits").is_some(), !actions.is_continuous());
                    let one = matches!(actions, ActionSpace::Discrete(_));
                    assert_eq!(step["action"].is_number(), one);
                }
                replay(&team, agent, steps);
            }
            if masked {
                assert_eq!(sequences[0][2]["action"], 2, "action 0 is forbidden");
            }
            if let ActionSpace::Product(_) = actions {
                assert_eq!(sequences[0][0]["action"], json!([1, 0]));
                assert_eq!(sequences[0][2]["action"], json!([0, 0]));
            }
        }
    }
}
