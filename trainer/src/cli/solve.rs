//! `consort solve`: the exact best a team can do.

use consort_trainer::env::decpomdp::policy::{Controller, uniform_value};
use consort_trainer::env::decpomdp::{self, FiniteHorizon, MAX_HORIZON};
use consort_trainer::env::solve::{DEFAULT_BUDGET, solve};
use consort_trainer::env::{Adversarial, Task};
use consort_trainer::error::Error;
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{count, number};
use serde_json::json;

use super::{Page, whole_number};

/// Find the exact best value, and policies, of agents that act apart
#[derive(clap::Args)]
pub(super) struct Args {
    /// A task's name, a game's TOML file or a model's .dpomdp file
    task: String,
    /// Steps of an episode in a model from a .dpomdp file
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number::<1, { MAX_HORIZON as i64 }>)]
    horizon: Option<i64>,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let task = Task::find_with(&args.task, args.horizon.map(|horizon| horizon as usize))?;
    if let Some(problem) = task.problem() {
        return plan(&task, problem);
    }
    if let Some(adversarial) = task.adversarial() {
        return Ok(against_an_adversary(&task, adversarial));
    }
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

/// What a team is certain of against an adversary, without a shared seed and with one of two symbols.
fn against_an_adversary(task: &Task, adversarial: &Adversarial) -> Page {
    let [alone, shared] = [1, 2].map(adversarial.value);
    let mut values = Table::new([
        ("certain value", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
    ]);
    for (name, value, note) in [
        ("decentralised", alone, "agents that act apart"),
        (
            "shared seed",
            shared,
            "agents that share a bit the adversary does not see",
        ),
    ] {
        values.row([name.to_owned(), number(Some(value)), note.to_owned()]);
    }
    Page {
        text: format!(
            "{}: {}\n\n{}",
            task.name(),
            task.description(),
            values.render()
        ),
        json: json!({
            "task": task.name(),
            "value": alone,
            "shared_seed_value": shared,
        }),
    }
}

/// The same for a Dec-POMDP: policies are controllers.
fn plan(task: &Task, problem: &FiniteHorizon) -> Result<Page, Error> {
    let solution = decpomdp::solve::solve(problem, decpomdp::solve::DEFAULT_BUDGET)?;
    let uniform = uniform_value(&problem.model, problem.horizon);
    let mut values = Table::new([
        ("value", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
    ]);
    for (name, value, note) in [
        ("decentralised", solution.value, "agents that act apart"),
        (
            "bound",
            solution.bound,
            "the search began with: agents that share what they see, a step late",
        ),
        ("uniform", uniform, "agents that play at random"),
    ] {
        values.row([name.to_owned(), number(Some(value)), note.to_owned()]);
    }
    let agents = solution.policy.agents.iter().enumerate();
    let tables: Vec<String> = agents
        .map(|(agent, controller)| controller_table(problem, agent, controller))
        .collect();
    Ok(Page {
        text: format!(
            "{}: {}, solved in {} nodes\n\n{}\n{}",
            task.name(),
            task.description(),
            count(solution.nodes),
            values.render(),
            tables.join("\n")
        ),
        json: json!({
            "task": task.name(),
            "value": solution.value,
            "bound": solution.bound,
            "uniform_value": uniform,
            "controllers": solution.policy,
            "nodes": solution.nodes,
        }),
    })
}

/// What an agent does step by step: in each node an action, and the next step's node by what it
/// sees.
fn controller_table(problem: &FiniteHorizon, agent: usize, controller: &Controller) -> String {
    let names = &problem.model.spaces().names;
    let title = format!("agent {}", names.agents[agent]);
    let mut table = Table::new([
        (title.as_str(), Align::Left),
        ("action", Align::Left),
        ("then, by observation", Align::Left),
    ]);
    for (step, nodes) in controller.iter().enumerate() {
        for (index, node) in nodes.iter().enumerate() {
            let next = names.observations[agent].iter().zip(&node.next);
            let next = next
                .filter_map(|(seen, next)| next.map(|next| format!("{seen}: {}.{next}", step + 1)));
            table.row([
                format!("{step}.{index}"),
                names.actions[agent][node.action].clone(),
                next.collect::<Vec<_>>().join("  "),
            ]);
        }
    }
    table.render()
}
