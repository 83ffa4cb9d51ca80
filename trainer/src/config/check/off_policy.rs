//! Ranges of what off-policy arms are set to, and what they can be trained on.

use super::super::{ArmName, Config, ConfigError};
use super::{fraction, not_negative, positive, require};
use crate::algo::explore::Exploration;
use crate::algo::off_policy::OffPolicyConfig;
use crate::algo::replay::Replay;
use crate::env::{Task, TaskKind};
use crate::team::Choice;

/// The most memory that a replica's episodes may take: 64 GiB.
const MOST_MEGABYTES: usize = 1 << 16;

/// Checks the settings of the off-policy arms that are trained, if any.
pub(super) fn check(config: &Config, task: &Task) -> Result<(), ConfigError> {
    if let Some(value) = &config.value {
        require(
            (0.0..=1.0).contains(&value.trace),
            "value.trace",
            value.trace,
            "from 0 to 1",
        )?;
        check_exploration("value.exploration", &value.exploration)?;
        for (key, width) in [
            ("embedding", value.mixer.embedding),
            ("hypernetwork", value.mixer.hypernetwork),
        ] {
            let at = format!("value.mixer.{key}");
            require(
                (1..=1024).contains(&width),
                &at,
                width,
                "a width of 1 to 1024",
            )?;
        }
        check_off_policy("value.off_policy", &value.off_policy, config, task)?;
    }
    if let Some(qtran) = &config.qtran {
        not_negative("qtran.optimal", qtran.optimal)?;
        not_negative("qtran.other", qtran.other)?;
    }
    if let Some(maddpg) = &config.maddpg {
        positive("maddpg.temperature", maddpg.temperature)?;
        positive("maddpg.noise", maddpg.noise)?;
        not_negative("maddpg.regularisation", maddpg.regularisation)?;
        check_off_policy("maddpg.off_policy", &maddpg.off_policy, config, task)?;
    }
    let arms = config.arm_names();
    if let Some(arm) = arms.into_iter().find(|arm| arm.has_values()) {
        check_values(arm, config, task)?;
    }
    Ok(())
}

/// An arm whose agents have values: of actions that can be counted, and to be maximised.
fn check_values(arm: ArmName, config: &Config, task: &Task) -> Result<(), ConfigError> {
    require(
        !task.spec().is_continuous(),
        "task",
        format!("`{}`, whose actions are continuous", config.task),
        &format!("discrete actions for the arm `{arm}`, which values each"),
    )?;
    require(
        config.act == Choice::Greedy,
        "act",
        "`sampled`",
        &format!("`greedy` for the arm `{arm}`, whose outputs are values, not probabilities"),
    )
}

fn check_exploration(path: &str, exploration: &Exploration) -> Result<(), ConfigError> {
    for (key, epsilon) in [("start", exploration.start), ("end", exploration.end)] {
        let within = (0.0..=1.0).contains(&epsilon);
        require(within, &format!("{path}.{key}"), epsilon, "from 0 to 1")?;
    }
    fraction(&format!("{path}.until"), exploration.until)
}

fn check_off_policy(
    path: &str,
    config: &OffPolicyConfig,
    run: &Config,
    task: &Task,
) -> Result<(), ConfigError> {
    let at = |key: &str| format!("{path}.{key}");
    positive(&at("learning_rate"), config.learning_rate)?;
    not_negative(&at("max_gradient_norm"), config.max_gradient_norm)?;
    let steps = config.gradient_steps;
    require(
        steps > 0.0 && steps <= 1000.0,
        &at("gradient_steps"),
        steps,
        "above 0, at most 1000 for every episode's worth of steps",
    )?;
    let target = &config.target;
    require(
        target.interval >= 1,
        &at("target.interval"),
        target.interval,
        "at least 1 gradient step",
    )?;
    require(
        target.rate > 0.0 && target.rate <= 1.0,
        &at("target.rate"),
        target.rate,
        "above 0, at most 1",
    )?;
    let replay = &config.replay;
    require(
        (1..=4096).contains(&replay.episodes),
        &at("replay.episodes"),
        replay.episodes,
        "1 to 4096",
    )?;
    let episodes = whole_episodes(run, task);
    require(
        episodes >= replay.episodes as u64,
        "steps",
        run.steps,
        &format!(
            "enough for {} whole episodes of an arm, a minibatch ({}): these make sure of {episodes}, and nothing \
             might be learned",
            replay.episodes,
            at("replay.episodes")
        ),
    )?;
    require(
        (1..=MOST_MEGABYTES).contains(&replay.megabytes),
        &at("replay.megabytes"),
        replay.megabytes,
        &format!("1 to {MOST_MEGABYTES}"),
    )?;
    // With fewer, a minibatch might never come together.
    let spec = task.spec();
    let room = Replay::new(&spec, replay, Vec::new()).capacity();
    let least = replay.episodes * spec.horizon.max(1);
    require(
        room >= least,
        &at("replay"),
        format!("room for {room} steps"),
        &format!(
            "room for at least {least}, the {} episodes of a minibatch: more `steps` or \
             `megabytes`, or fewer `episodes`",
            replay.episodes
        ),
    )
}

/// Episodes that an arm has surely played to their end when it has done its updates.
fn whole_episodes(run: &Config, task: &Task) -> u64 {
    let spec = task.spec();
    let rows = run.budget(&spec).updates * run.rollout_length(&spec) as u64;
    // An episode that is cut off has one row more, which shows how it ended.
    let cut = u64::from(task.kind() == TaskKind::TimeLimit);
    run.parallel(&spec) as u64 * (rows / (spec.horizon.max(1) as u64 + cut))
}
