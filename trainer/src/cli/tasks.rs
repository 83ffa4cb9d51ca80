//! `consort tasks`: what there is to train on.

use consort_trainer::env::Task;
use consort_trainer::env::builtin::RANDOM_FAMILIES;
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{number, product};
use serde_json::{Value, json};

use super::Page;

pub(super) fn run() -> Page {
    let tasks = Task::all_builtin();
    let mut table = Table::new([
        ("task", Align::Left),
        ("agents", Align::Right),
        ("observations", Align::Left),
        ("actions", Align::Left),
        ("optimum", Align::Right),
        ("", Align::Left),
    ]);
    for task in &tasks {
        let spec = task.spec();
        table.row([
            task.name().to_owned(),
            spec.agents.len().to_string(),
            product(spec.agents.iter().map(|agent| agent.observation)),
            product(spec.agents.iter().map(|agent| agent.actions.size())),
            number(task.optimum()),
            task.description().to_owned(),
        ]);
    }
    let mut families = Table::new([("random games", Align::Left), ("", Align::Left)]);
    for family in RANDOM_FAMILIES {
        families.row([
            format!("{}-<seed>", family.name),
            family.description.to_owned(),
        ]);
    }
    Page {
        text: format!(
            "{}\n{}\n  or the path of a game in TOML, or of a .dpomdp model with --horizon\n",
            table.render(),
            families.render()
        ),
        json: json!({
            "tasks": tasks.iter().map(object).collect::<Vec<_>>(),
            "random": RANDOM_FAMILIES.map(|family| family.name),
        }),
    }
}

fn object(task: &Task) -> Value {
    let spec = task.spec();
    json!({
        "name": task.name(),
        "description": task.description(),
        "observations": spec.agents.iter().map(|agent| agent.observation).collect::<Vec<_>>(),
        "actions": spec.agents.iter().map(|agent| agent.actions.size()).collect::<Vec<_>>(),
        "horizon": spec.horizon,
        "optimum": task.optimum(),
    })
}
