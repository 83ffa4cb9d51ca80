//! `consort solve`: the exact best a team can do.

use consort_trainer::env::Task;
use consort_trainer::env::solve::{DEFAULT_BUDGET, solve};
use consort_trainer::error::Error;
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{count, number};
use serde_json::json;

use super::Page;

/// Find the exact best value, and policies, of agents that act apart
#[derive(clap::Args)]
pub(super) struct Args {
    /// A task's name or a game's TOML file
    task: String,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let task = Task::find(&args.task)?;
    let game = task.game().ok_or_else(|| Error::NotEnumerable {
        task: task.name().to_owned(),
    })?;
    let solution = solve(game, DEFAULT_BUDGET)?;

    let mut values = Table::new([
        ("value", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
    ]);
    let mut value = |name: &str, value: f64, note: String| {
        values.row([name.to_owned(), number(Some(value)), note]);
    };
    let note = format!(
        "agents that act apart, best of {} policies",
        solution.policies
    );
    value("decentralised", solution.value, note);
    value(
        "joint",
        solution.joint_value,
        "agents that share what they see".to_owned(),
    );
    value(
        "uniform",
        game.uniform_value(),
        "agents that play at random".to_owned(),
    );
    let mut policies = Table::new([
        ("agent", Align::Left),
        ("actions by observation", Align::Left),
    ]);
    for (agent, actions) in solution.actions.iter().enumerate() {
        let actions: Vec<String> = actions.iter().map(usize::to_string).collect();
        policies.row([agent.to_string(), actions.join(" ")]);
    }
    Ok(Page {
        text: format!(
            "{}: {}, solved in {} nodes\n\n{}\n{}",
            task.name(),
            task.description(),
            count(solution.nodes),
            values.render(),
            policies.render()
        ),
        json: json!({
            "task": task.name(),
            "value": solution.value,
            "joint_value": solution.joint_value,
            "uniform_value": game.uniform_value(),
            "actions": solution.actions,
            "nodes": solution.nodes,
        }),
    })
}
