//! Bare environments: what a step costs without anybody who thinks.

use candle_core::{Error, Result};
use consort_trainer::env::{ActionSpace, JointAction, Task};
use consort_trainer::rng::Stream;
use serde_json::json;

use super::rate;

/// Joint actions that are drawn before time is taken, so that drawing costs nothing.
const DRAWN: usize = 4096;

pub(super) fn run(name: &str) -> Result<()> {
    let task = Task::find(name).map_err(Error::wrap)?;
    let spec = task.spec();
    let agents = spec.agents.len();
    let mut choices = Stream::new(1, "choices", 0);
    let mut actions = Vec::with_capacity(DRAWN * agents);
    for agent in spec.agents.iter().cycle().take(DRAWN * agents) {
        if matches!(agent.actions, ActionSpace::Continuous(_)) || spec.masked {
            return Err(Error::msg(format!(
                "{name}: expected a task with discrete actions, all of them allowed"
            )));
        }
        actions.push((choices.uniform() * agent.actions.size() as f64) as u32);
    }
    let mut environment = task.make_environment();
    let mut draws = Stream::new(1, "draws", 0);
    let mut observations = vec![0.0; spec.joint_observation()];
    environment.reset(&mut draws, &mut observations);
    let steps = rate(DRAWN, || {
        for joint in actions.chunks_exact(agents) {
            let action = JointAction::Discrete(joint);
            let transition = environment.step(action, &mut draws, &mut observations);
            if transition.terminated || transition.truncated {
                environment.reset(&mut draws, &mut observations);
            }
        }
    });
    let line = json!({
        "part": "environment",
        "task": name,
        "agents": agents,
        "agent_steps_per_second": steps * agents as f64,
    });
    println!("{line}");
    Ok(())
}
