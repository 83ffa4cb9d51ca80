//! Ranges: what every number of a configuration must satisfy before a step is taken.

mod off_policy;

use std::fmt::Display;

use consort_runtime::MAX_LAYERS;

use super::{ArmName, Budget, Config, ConfigError};
use crate::algo::UpdateConfig;
use crate::algo::anneal::AnnealConfig;
use crate::algo::coma::ComaConfig;
use crate::algo::factored::FactoredConfig;
use crate::algo::magpo::{self, MagpoConfig};
use crate::algo::temperature::Temperature;
use crate::env::{ActionSpace, Task, TeamSpec};
use crate::net::enumerated::LARGEST_ENUMERATION;
use crate::net::joint::Order;
use crate::net::size;
use crate::returns::Units;

/// The farthest that initial biases may lie apart: beyond it nothing else would be seen of a network's start.
const LARGEST_SPREAD: f64 = 100.0;
/// The widest hidden layer.
pub const LARGEST_LAYER: usize = 4096;
/// The most episodes in an update.
const LARGEST_BATCH: usize = 1 << 16;
/// The most steps of a rollout.
const LONGEST_ROLLOUT_SET: usize = 4096;
/// The most weights that one team's networks may have in all: 64 MiB of f32, several times that
/// while training, for every replica of a job.
const LARGEST_TEAM: usize = 1 << 24;
/// The largest team whose partings into pairs are listed: 105 of eight agents.
const LARGEST_PAIRED: usize = 8;
/// The latest end of the ramp, as a fraction of an arm's updates.
const LATEST_END: f64 = 0.95;
/// Updates by which the ramp's end may lag behind its plan: the gate opens after an update, and
/// weights follow what the update before measured.
const LAG: f64 = 3.0;
/// What an image's sizes may be at most.
const LARGEST_SPACE: usize = u16::MAX as usize;

/// Checks `config` for training on `task`.
pub(super) fn check(config: &Config, task: &Task) -> Result<(), ConfigError> {
    let batch = format!("0 (so many as suit the task) to {LARGEST_BATCH}");
    require(config.batch <= LARGEST_BATCH, "batch", config.batch, &batch)?;
    require(
        config.rollout <= LONGEST_ROLLOUT_SET,
        "rollout",
        config.rollout,
        &format!("0 (an episode) to {LONGEST_ROLLOUT_SET} steps"),
    )?;
    let symbols = config.shared_seed.symbols;
    require(
        symbols == 0 || (2..=u16::from(u8::MAX)).contains(&symbols),
        "shared_seed.symbols",
        symbols,
        "0 (no shared seed) or 2 to 255",
    )?;
    check_network(config)?;
    check_update(&config.update)?;
    let race = config.portfolio.race;
    require(
        (0.0..=0.9).contains(&race),
        "portfolio.race",
        race,
        "a share from 0 to 0.9",
    )?;
    check_annealed("annealed", &config.annealed)?;
    check_factored("factored", &config.factored)?;
    for (name, settings) in [
        ("ippo", &config.ippo),
        ("mappo", &config.mappo),
        ("mackrl", &config.mackrl),
    ] {
        let check = |settings| check_factored(name, settings);
        settings.as_ref().map_or(Ok(()), check)?;
    }
    (config.coma.as_ref()).map_or(Ok(()), |settings| check_coma("coma", settings))?;
    (config.magpo.as_ref()).map_or(Ok(()), |settings| check_magpo("magpo", settings))?;
    check_factored("portfolio.explore-strong", &config.portfolio.explore_strong)?;
    check_factored("portfolio.explore-mild", &config.portfolio.explore_mild)?;
    off_policy::check(config, task)?;
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
    check_steps(config, task)?;
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
    require(
        network.memory <= LARGEST_LAYER,
        "network.memory",
        network.memory,
        &format!("0 (none) to {LARGEST_LAYER}"),
    )?;
    for (at, spread) in [
        ("network.hidden_spread", network.hidden_spread),
        ("network.output_spread", network.output_spread),
    ] {
        let expected = format!("0 to {LARGEST_SPREAD}");
        require(
            (0.0..=LARGEST_SPREAD).contains(&spread),
            at,
            spread,
            &expected,
        )?;
    }
    Ok(())
}

fn check_update(update: &UpdateConfig) -> Result<(), ConfigError> {
    for (key, value) in [
        ("epochs", update.epochs),
        ("minibatches", update.minibatches),
    ] {
        let at = format!("update.{key}");
        require((1..=1000).contains(&value), &at, value, "1 to 1000")?;
    }
    positive("update.clip", update.clip)?;
    for (key, value) in [
        ("discount", update.discount),
        ("trace", update.trace),
        ("final_rate", update.final_rate),
    ] {
        let at = format!("update.{key}");
        require((0.0..=1.0).contains(&value), &at, value, "from 0 to 1")?;
    }
    not_negative("update.max_gradient_norm", update.max_gradient_norm)
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
    // What is left is the tail in which the team acts as a pure product.
    require(
        schedule.warmup_limit + schedule.ramp <= LATEST_END + 1e-9,
        &at("ramp"),
        schedule.ramp,
        &format!(
            "at most {:.4}: with warmup_limit it must end by {LATEST_END}",
            (LATEST_END - schedule.warmup_limit).max(0.0)
        ),
    )?;
    require(
        (0.0..1.0).contains(&schedule.beta_start),
        &at("beta_start"),
        schedule.beta_start,
        "from 0 to below 1",
    )?;
    not_negative(&at("full_lead"), schedule.full_lead)?;
    // Who leads shows only where both have acted.
    require(
        schedule.full_lead == 0.0 || schedule.beta_start > 0.0,
        &at("full_lead"),
        schedule.full_lead,
        "0 where beta_start is 0: the product does not act before the ramp, so nobody leads",
    )?;
    not_negative(&at("lead_errors"), schedule.lead_errors)?;
    // (1 + d)/(1 − d) leads count in the long run: with .6 four, and of three nothing is known.
    require(
        schedule.lead_errors == 0.0 || schedule.full_lead == 0.0 || schedule.gap_decay >= 0.6,
        &at("gap_decay"),
        schedule.gap_decay,
        "at least 0.6 where lead_errors is not 0: of three leads and fewer the error is not known",
    )?;
    let led = schedule.temperature_led;
    require(
        led == 0.0 || schedule.full_lead > 0.0,
        &at("temperature_led"),
        led,
        "0 where full_lead is 0: nobody's lead is known",
    )?;
    let unled = schedule.unled_ramp;
    require(
        unled == 0.0 || schedule.full_lead > 0.0,
        &at("unled_ramp"),
        unled,
        "0 where full_lead is 0: nobody's lead is followed",
    )?;
    require(
        (0.0..=schedule.ramp).contains(&unled),
        &at("unled_ramp"),
        unled,
        &format!("from 0 to the ramp, {}", schedule.ramp),
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
        ("temperature_per_entropy", schedule.temperature_per_entropy),
        ("temperature_led", schedule.temperature_led),
    ] {
        not_negative(&at(key), value)?;
    }
    require(
        (0.0..=1.0).contains(&schedule.least_entropy),
        &at("least_entropy"),
        schedule.least_entropy,
        "a share of the largest entropy, from 0 to 1",
    )?;
    // A part without room would do nothing.
    let by_entropy = schedule.least_entropy > 0.0 && schedule.temperature_per_entropy > 0.0;
    require(
        !by_entropy || schedule.temperature_floor < schedule.temperature_limit,
        &at("temperature_limit"),
        schedule.temperature_limit,
        &format!(
            "above temperature_floor, {}, where least_entropy and temperature_per_entropy are not 0",
            schedule.temperature_floor
        ),
    )?;
    let until = schedule.temperature_until;
    require(
        until == 0.0 || (schedule.warmup < until && until <= 1.0),
        &at("temperature_until"),
        until,
        &format!(
            "0, or later than the warmup, {}, and at most 1",
            schedule.warmup
        ),
    )?;
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
    check_temperature(path, config.temperature)
}

fn check_coma(path: &str, config: &ComaConfig) -> Result<(), ConfigError> {
    let at = |key: &str| format!("{path}.{key}");
    positive(&at("learning_rate"), config.learning_rate)?;
    positive(&at("critic_learning_rate"), config.critic_learning_rate)?;
    let trace = config.trace;
    require(
        (0.0..=1.0).contains(&trace),
        &at("trace"),
        trace,
        "from 0 to 1",
    )?;
    let epochs = config.critic_epochs;
    require(
        (1..=1000).contains(&epochs),
        &at("critic_epochs"),
        epochs,
        "1 to 1000",
    )?;
    let interval = config.target_interval;
    require(
        interval >= 1,
        &at("target_interval"),
        interval,
        "at least 1 step",
    )?;
    check_temperature(path, config.temperature)
}

fn check_magpo(path: &str, config: &MagpoConfig) -> Result<(), ConfigError> {
    let at = |key: &str| format!("{path}.{key}");
    positive(&at("learning_rate"), config.learning_rate)?;
    positive(&at("critic_learning_rate"), config.critic_learning_rate)?;
    let ratio = config.ratio;
    let is_one = ratio.is_finite() && ratio > 1.0;
    require(is_one, &at("ratio"), ratio, "a finite ratio above 1")?;
    not_negative(&at("auxiliary"), config.auxiliary)?;
    check_temperature(path, config.temperature)
}

fn check_temperature(path: &str, temperature: Temperature) -> Result<(), ConfigError> {
    let at = |key: &str| format!("{path}.temperature.{key}");
    match temperature {
        Temperature::None => Ok(()),
        Temperature::Constant { value } => not_negative(&at("value"), value),
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

/// Every arm needs its updates and, if there are others, its evaluation.
fn check_steps(config: &Config, task: &Task) -> Result<(), ConfigError> {
    let spec = task.spec();
    let budget = config.budget(&spec);
    let arms = config.arm_names();
    let needed = if arms.iter().any(|arm| arm.anneals()) {
        updates_of_a_ramp(config)
    } else {
        1
    };
    let suffices =
        |budget: &Budget| budget.updates >= needed && (arms.len() == 1 || budget.preliminary > 0);
    if !suffices(&budget) {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let (count, an_update) = (
            arms.len() as u64,
            config.parallel(&spec) * config.rollout_length(&spec),
        );
        let expected = format!(
            "at least {}: {count} arm{} of {needed} update{}, {an_update} steps each, and {}",
            least_steps(config, &spec, suffices),
            plural(count),
            plural(needed),
            match count {
                1 => "its curve",
                _ => "the curves and the choice between the arms",
            },
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

/// Steps that suffice, where one less does not: found by halves, as shares of steps are rounded in many
/// places.
fn least_steps(config: &Config, spec: &TeamSpec, suffices: impl Fn(&Budget) -> bool) -> u64 {
    let enough = |steps: u64| {
        let config = Config {
            steps,
            ..config.clone()
        };
        suffices(&config.budget(spec))
    };
    let (mut few, mut many) = (config.steps, config.steps.max(1));
    while !enough(many) && many < i64::MAX as u64 / 2 {
        many *= 2;
    }
    while many - few > 1 {
        let half = few + (many - few) / 2;
        match enough(half) {
            true => many = half,
            false => few = half,
        }
    }
    many
}

/// The fewest updates after which the ramp has certainly ended before the last.
fn updates_of_a_ramp(config: &Config) -> u64 {
    let schedule = &config.annealed.schedule;
    let tail = (1.0 - schedule.warmup_limit - schedule.ramp).max(1.0 - LATEST_END);
    (LAG / tail).ceil() as u64
}

/// The networks that the method makes can be made, and the team's images emitted.
fn check_spaces(config: &Config, task: &Task) -> Result<(), ConfigError> {
    let spec = task.spec();
    for (index, agent) in spec.agents.iter().enumerate() {
        let largest = agent.observation.max(agent.actions.size());
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
    let product = |space: &ActionSpace| matches!(space, ActionSpace::Product(_));
    let mut spaces = spec.agents.iter().map(|agent| agent.actions);
    if let Some(agent) = spaces.position(|space| spec.masked && product(&space)) {
        let found = format!(
            "`{}`, which at times forbids actions, of which agent {agent}'s are products",
            config.task
        );
        let expected = "`Discrete` actions where some are forbidden: a mask of whole actions need not be one of choices";
        require(false, "task", found, expected)?;
    }
    let sizes = spec.agents.iter().map(|agent| agent.actions.size() as f64);
    let joint_actions: f64 = sizes.product();
    let head = &config.network.joint;
    let arms = config.arm_names();
    let discrete_only = arms.iter().find(|arm| arm.is_discrete_only());
    if let Some(arm) = discrete_only.filter(|_| spec.is_continuous()) {
        require(
            false,
            "task",
            format!("`{}`, whose actions are vectors", config.task),
            &format!("discrete actions for the method `{arm}`"),
        )?;
    }
    if arms.contains(&ArmName::Mackrl) {
        check_pairs(config, &spec)?;
    }
    let annealed = arms.iter().find(|arm| arm.anneals());
    if let Some(arm) = annealed.filter(|_| head.enumerates(&spec)) {
        require(
            joint_actions <= LARGEST_ENUMERATION as f64,
            "task",
            format!(
                "`{}`, which has {joint_actions:.0} joint actions",
                config.task
            ),
            &format!(
                "at most {LARGEST_ENUMERATION} for the arm `{arm}`, which enumerates them; \
                 `network.joint.head='autoregressive'` does not"
            ),
        )?;
    }
    require(
        annealed.is_none()
            || !head.sees_own(&spec)
            || !(head.enumerates(&spec) || spec.is_continuous()),
        "network.joint.sees",
        "`own-history`",
        "`joint-history` or `auto` where the joint policy is enumerated or continuous",
    )?;
    require(
        config.update.units == Units::Deviation || spec.horizon == 1,
        "update.units",
        "`range`",
        "`deviation` for episodes of more than one step",
    )?;
    let guided = arms.contains(&ArmName::Magpo);
    let in_turn = !head.enumerates(&spec) && !spec.is_continuous();
    // Where there is no joint policy it says nothing, as all of `network.joint` does.
    require(
        head.order == Order::Fixed || !guided && (annealed.is_none() || in_turn),
        "network.joint.order",
        "`shuffled`",
        "`fixed` but for an annealed joint policy that asks one agent after the other",
    )?;
    let joint = match annealed {
        Some(_) => size::joint(&spec, &config.network),
        None if guided => size::joint(&spec, &magpo::networks(&config.network)),
        None => 0.0,
    };
    let total =
        size::marginals(&spec, &config.network) + size::critic(&spec, &config.network) + joint;
    require(
        total <= LARGEST_TEAM as f64,
        "network.hidden",
        format!(
            "networks of {total:.0} weights in all for `{}`",
            config.task
        ),
        &format!("at most {LARGEST_TEAM}"),
    )
}

/// Pairs can be commanded, and the ways to part the team into them listed.
fn check_pairs(config: &Config, spec: &TeamSpec) -> Result<(), ConfigError> {
    let (agents, actions) = (spec.agents.len(), spec.widest_actions());
    require(
        (2..=LARGEST_PAIRED).contains(&agents),
        "task",
        format!("`{}`, which has {agents} agent(s)", config.task),
        &format!("2 to {LARGEST_PAIRED} agents for the method `mackrl`"),
    )?;
    require(
        actions * actions <= LARGEST_ENUMERATION,
        "task",
        format!(
            "`{}`, where a pair has {} joint actions",
            config.task,
            actions * actions
        ),
        &format!("at most {LARGEST_ENUMERATION} for the method `mackrl`"),
    )
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

#[cfg(test)]
mod tests;
