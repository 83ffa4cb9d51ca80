//! Ranges: what every number of a configuration must satisfy before a step is taken.

use std::fmt::Display;

use consort_runtime::MAX_LAYERS;

use super::{Config, ConfigError};
use crate::algo::anneal::AnnealConfig;
use crate::algo::factored::{FactoredConfig, Temperature};
use crate::env::Task;
use crate::net::joint::LARGEST_ENUMERATION;

/// The widest hidden layer.
pub const LARGEST_LAYER: usize = 4096;
/// What an image's sizes may be at most.
const LARGEST_SPACE: usize = u16::MAX as usize;

/// Checks `config` for training on `task`.
pub(super) fn check(config: &Config, task: &Task) -> Result<(), ConfigError> {
    require(config.batch >= 1, "batch", config.batch, "at least 1")?;
    check_network(config)?;
    check_annealed("annealed", &config.annealed)?;
    check_factored("factored", &config.factored)?;
    check_factored("portfolio.explore-strong", &config.portfolio.explore_strong)?;
    check_factored("portfolio.explore-mild", &config.portfolio.explore_mild)?;
    let arms = config.portfolio.arms.len();
    require(
        (1..=64).contains(&arms),
        "portfolio.arms",
        format!("a list of {arms}"),
        "1 to 64 arms",
    )?;
    let selection = config.portfolio.selection;
    require(
        selection > 0.0 && selection <= 0.5,
        "portfolio.selection",
        selection,
        "a share above 0, at most 0.5",
    )?;
    let finalists = config.portfolio.finalists;
    require(
        finalists >= 1,
        "portfolio.finalists",
        finalists,
        "at least 1",
    )?;
    check_steps(config)?;
    check_spaces(config, task)
}

fn check_network(config: &Config) -> Result<(), ConfigError> {
    let network = &config.network;
    let layers = network.hidden.len();
    let most = MAX_LAYERS - 1;
    require(
        layers <= most,
        "network.hidden",
        format!("a list of {layers}"),
        &format!("at most {most}: an image has {MAX_LAYERS} layers"),
    )?;
    for (index, &width) in network.hidden.iter().enumerate() {
        let at = format!("network.hidden[{index}]");
        let expected = format!("a width of 1 to {LARGEST_LAYER}");
        require((1..=LARGEST_LAYER).contains(&width), &at, width, &expected)?;
    }
    not_negative("network.output_spread", network.output_spread)
}

fn check_annealed(path: &str, config: &AnnealConfig) -> Result<(), ConfigError> {
    let at = |key: &str| format!("{path}.{key}");
    positive(&at("learning_rate"), config.learning_rate)?;
    positive(&at("critic_learning_rate"), config.critic_learning_rate)?;

    let schedule = &config.schedule;
    let at = |key: &str| format!("{path}.schedule.{key}");
    fraction(&at("warmup"), schedule.warmup)?;
    fraction(&at("warmup_limit"), schedule.warmup_limit)?;
    require(
        schedule.warmup <= schedule.warmup_limit,
        &at("warmup_limit"),
        schedule.warmup_limit,
        &format!("at least the warmup, {}", schedule.warmup),
    )?;
    positive(&at("plateau_window"), schedule.plateau_window)?;
    not_negative(&at("plateau_gain"), schedule.plateau_gain)?;
    positive(&at("ramp"), schedule.ramp)?;
    // Otherwise a run could end before its team acts as a pure product.
    require(
        schedule.warmup_limit + schedule.ramp <= 1.0 + 1e-9,
        &at("ramp"),
        schedule.ramp,
        &format!(
            "at most {}, what warmup_limit leaves",
            1.0 - schedule.warmup_limit
        ),
    )?;
    positive(&at("lambda_start"), schedule.lambda_start)?;
    positive(&at("lambda_end"), schedule.lambda_end)?;
    for (key, value) in [
        ("information_gap", schedule.information_gap),
        ("total_correlation", schedule.total_correlation),
        ("temperature_start", schedule.temperature_start),
        ("temperature_floor", schedule.temperature_floor),
        ("temperature_per_gap", schedule.temperature_per_gap),
        ("temperature_limit", schedule.temperature_limit),
    ] {
        not_negative(&at(key), value)?;
    }
    let decay = schedule.gap_decay;
    require(
        (0.0..1.0).contains(&decay),
        &at("gap_decay"),
        decay,
        "from 0 to below 1",
    )
}

fn check_factored(path: &str, config: &FactoredConfig) -> Result<(), ConfigError> {
    positive(&format!("{path}.learning_rate"), config.learning_rate)?;
    positive(
        &format!("{path}.critic_learning_rate"),
        config.critic_learning_rate,
    )?;
    let at = |key: &str| format!("{path}.temperature.{key}");
    match config.temperature {
        Temperature::None => Ok(()),
        Temperature::Geometric { start, end, until } => {
            positive(&at("start"), start)?;
            positive(&at("end"), end)?;
            positive(&at("until"), until)?;
            fraction(&at("until"), until)
        }
        Temperature::Linear { start, hold, until } => {
            not_negative(&at("start"), start)?;
            fraction(&at("hold"), hold)?;
            fraction(&at("until"), until)?;
            let expected = format!("above hold, {hold}");
            require(hold < until, &at("until"), until, &expected)
        }
    }
}

/// Every arm needs steps for one update at least and, if there are others, for its evaluation.
fn check_steps(config: &Config) -> Result<(), ConfigError> {
    let budget = config.budget();
    let arms = config.arm_names().len() as u64;
    if budget.updates == 0 || (arms > 1 && budget.preliminary == 0) {
        let batches = arms as f64 * config.batch as f64;
        let least = if arms == 1 {
            batches
        } else {
            let selection = config.portfolio.selection;
            (batches / (1.0 - selection))
                .max(2.0 * arms as f64 / selection)
                .ceil()
        };
        let expected = format!(
            "at least {least}: {arms} arm(s), each with a batch of {} and its evaluation",
            config.batch
        );
        require(false, "steps", config.steps, &expected)?;
    }
    let most = i64::MAX as u64;
    require(
        config.steps <= most,
        "steps",
        config.steps,
        "less than 2^63",
    )?;
    require(config.seed <= most, "seed", config.seed, "less than 2^63")
}

/// The networks that the method makes can be made, and the team's images emitted.
fn check_spaces(config: &Config, task: &Task) -> Result<(), ConfigError> {
    let spec = task.spec();
    for (index, agent) in spec.agents.iter().enumerate() {
        let largest = agent.observation.max(agent.actions);
        require(
            largest <= LARGEST_SPACE,
            "task",
            format!(
                "`{}`, where agent {index} has a space of {largest}",
                config.task
            ),
            &format!("spaces of at most {LARGEST_SPACE}, which an image can hold"),
        )?;
    }
    let joint: f64 = spec
        .agents
        .iter()
        .map(|agent| agent.actions as f64)
        .product();
    let enumerates = config.arm_names().into_iter().find(|arm| arm.has_joint());
    match enumerates {
        Some(arm) => require(
            joint <= LARGEST_ENUMERATION as f64,
            "task",
            format!("`{}`, which has {joint:.0} joint actions", config.task),
            &format!(
                "at most {LARGEST_ENUMERATION} for the arm `{arm}`, which enumerates them; the method `factored` does not"
            ),
        ),
        None => Ok(()),
    }
}

fn positive(at: &str, value: f64) -> Result<(), ConfigError> {
    require(
        value.is_finite() && value > 0.0,
        at,
        value,
        "a finite number above 0",
    )
}

fn not_negative(at: &str, value: f64) -> Result<(), ConfigError> {
    require(
        value.is_finite() && value >= 0.0,
        at,
        value,
        "a finite number, at least 0",
    )
}

fn fraction(at: &str, value: f64) -> Result<(), ConfigError> {
    require(
        (0.0..=1.0).contains(&value),
        at,
        value,
        "a fraction of the updates, from 0 to 1",
    )
}

fn require(holds: bool, at: &str, found: impl Display, expected: &str) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Range {
        at: at.to_owned(),
        found: found.to_string(),
        expected: expected.to_owned(),
    })
}
