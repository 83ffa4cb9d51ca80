//! `consort tasks`: what there is to train on.

use consort_trainer::env::builtin::RANDOM_FAMILIES;
use consort_trainer::env::family::{FAMILIES, Family};
use consort_trainer::env::{ActionSpace, Task};
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{number, product};
use serde_json::{Value, json};

use super::Page;

pub(super) fn run() -> Page {
    let tasks = Task::all_builtin();
    let (games, members): (Vec<&Task>, Vec<&Task>) =
        tasks.iter().partition(|task| task.game().is_some());
    let mut table = Table::new([
        ("game", Align::Left),
        ("agents", Align::Right),
        ("observations", Align::Left),
        ("actions", Align::Left),
        ("optimum", Align::Right),
        ("", Align::Left),
    ]);
    for task in games {
        let [agents, observations, actions] = spaces(task);
        table.row([
            task.name().to_owned(),
            agents,
            observations,
            actions,
            number(task.optimum()),
            task.description().to_owned(),
        ]);
    }
    let mut random = Table::new([("random games", Align::Left), ("", Align::Left)]);
    for family in RANDOM_FAMILIES {
        random.row([
            format!("{}-<seed>", family.name),
            family.description.to_owned(),
        ]);
    }
    Page {
        text: format!(
            "{}\n{}\n{}\n  or the path of a game in TOML, or of a .dpomdp model with --horizon\n",
            table.render(),
            random.render(),
            families(&members),
        ),
        json: json!({
            "tasks": tasks.iter().map(object).collect::<Vec<_>>(),
            "random": RANDOM_FAMILIES.map(|family| family.name),
            "families": FAMILIES.iter().map(family).collect::<Vec<_>>(),
        }),
    }
}

/// Tasks of many steps: every family's pattern and what it is, then its listed members.
fn families(members: &[&Task]) -> String {
    let mut table = Table::new([
        ("tasks of many steps", Align::Left),
        ("agents", Align::Right),
        ("observations", Align::Left),
        ("actions", Align::Left),
        ("steps", Align::Right),
        ("optimum", Align::Right),
    ]);
    for task in members {
        let [agents, observations, actions] = spaces(task);
        table.row([
            format!("  {}", task.name()),
            agents,
            observations,
            actions,
            task.spec().horizon.to_string(),
            number(task.optimum()),
        ]);
    }
    let table = table.render();
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for family in FAMILIES {
        let (pattern, description) = (family.pattern, family.description);
        text += &format!("  {pattern}: {description}\n");
        for line in lines.by_ref().take(family.members.len()) {
            text += &format!("{line}\n");
        }
    }
    text
}

/// How many agents there are, what each sees and what each can do.
fn spaces(task: &Task) -> [String; 3] {
    let spec = task.spec();
    let sizes = spec.agents.iter().map(|agent| agent.actions.size());
    let vectors = if spec.is_continuous() {
        "vectors of "
    } else {
        ""
    };
    [
        spec.agents.len().to_string(),
        product(spec.agents.iter().map(|agent| agent.observation)),
        format!("{vectors}{}", product(sizes)),
    ]
}

fn object(task: &Task) -> Value {
    let spec = task.spec();
    json!({
        "name": task.name(),
        "description": task.description(),
        "observations": spec.agents.iter().map(|agent| agent.observation).collect::<Vec<_>>(),
        "actions": spec.agents.iter().map(|agent| agent.actions.size()).collect::<Vec<_>>(),
        "factors": spec.agents.iter().map(|agent| factors(agent.actions)).collect::<Vec<_>>(),
        "continuous": spec.is_continuous(),
        "horizon": spec.horizon,
        "optimum": task.optimum(),
    })
}

/// What an agent's action is made of, where it is a product.
fn factors(space: ActionSpace) -> Option<Vec<usize>> {
    match space {
        ActionSpace::Product(factors) => Some(factors.sizes().to_vec()),
        _ => None,
    }
}

fn family(family: &Family) -> Value {
    json!({
        "pattern": family.pattern,
        "description": family.description,
        "members": family.members,
    })
}
