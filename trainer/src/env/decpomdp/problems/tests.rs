use super::*;
use crate::env::Task;

/// T(s, a, s').
fn transition(model: &DecPomdp, state: usize, action: usize, successor: usize) -> f64 {
    let row = model.transition(state, action);
    row.iter()
        .find(|(s, _)| *s == successor)
        .map_or(0.0, |(_, p)| p)
}

#[test]
fn models_have_their_published_shapes() {
    // States, actions, observations of each of two agents, discount.
    let shapes = [
        (&DEC_TIGER, 2, 3, 2, 1.0),
        (&BROADCAST, 4, 2, 2, 1.0),
        (&RECYCLING, 4, 3, 2, 0.9),
        (&GRID_SMALL, 16, 5, 2, 0.9),
    ];
    for (problem, states, actions, seen, discount) in shapes {
        let model = problem.model();
        assert_eq!(
            (model.agents(), model.states()),
            (2, states),
            "{}",
            problem.name
        );
        assert_eq!(model.actions().sizes(), [actions; 2]);
        assert_eq!(model.observations().sizes(), [seen; 2]);
        assert_eq!(model.discount(), discount);
        // Agents are alike up to their names, except where messages come in.
        if problem.name == "broadcast" {
            continue;
        }
        let side = (states as f64).sqrt() as usize;
        let swap = |s: usize| {
            if states == 2 {
                s
            } else {
                s % side * side + s / side
            }
        };
        for action in 0..actions * actions {
            let mirrored = action % actions * actions + action / actions;
            for s in 0..states {
                let (here, there) = (
                    model.expected_reward(s, action),
                    model.expected_reward(swap(s), mirrored),
                );
                assert!(
                    (here - there).abs() < 1e-12,
                    "{} {s} {action}",
                    problem.name
                );
                for next in 0..states {
                    let here = transition(&model, s, action, next);
                    let there = transition(&model, swap(s), mirrored, swap(next));
                    assert!((here - there).abs() < 1e-12);
                }
            }
        }
    }
}

#[test]
fn the_tiger_is_heard_and_met_as_published() {
    let model = DEC_TIGER.model();
    // Joint actions by (first, second) of listen 0, left 1, right 2: both listen, both open left.
    assert_eq!(
        [0, 4, 8, 5, 1, 2].map(|a| model.expected_reward(0, a)),
        [-2.0, -50.0, 20.0, -100.0, -101.0, 9.0]
    );
    let heard: Vec<f64> = model.observation(0, 1).iter().map(|(_, p)| p).collect();
    assert_eq!(heard, [0.15 * 0.15, 0.15 * 0.85, 0.85 * 0.15, 0.7225]);
    assert_eq!(
        (transition(&model, 0, 0, 0), transition(&model, 0, 1, 0)),
        (1.0, 0.5)
    );
}

#[test]
fn buffers_fill_and_empty_as_published() {
    let model = BROADCAST.model();
    // P(buffer full after) of either node, full or empty before, sending or waiting.
    let fills = [0.9, 0.1];
    for action in 0..4 {
        for state in 0..4 {
            for next in 0..4 {
                let own = |node: usize| {
                    let bit = |s: usize| s >> (1 - node) & 1;
                    let sends = action >> (1 - node) & 1 == 0;
                    let full: f64 = if bit(state) == 1 && !sends {
                        1.0
                    } else {
                        fills[node]
                    };
                    if bit(next) == 1 { full } else { 1.0 - full }
                };
                let expected = own(0) * own(1);
                let found = transition(&model, state, action, next);
                assert!((found - expected).abs() < 1e-12, "{action} {state} {next}");
            }
        }
    }
    assert_eq!(
        [0, 1, 2, 3].map(|a| model.expected_reward(3, a)),
        [0.0, 1.0, 1.0, 0.0]
    );
}

#[test]
fn robots_on_the_grid_slip_and_meet() {
    let model = GRID_SMALL.model();
    let action = |a: usize, b: usize| a * 5 + b;
    // From opposite corners (1, 2): left and up lead to cell 0. Robot 0 is at 0 with .6; robot 1
    // too. Together at 0 with .36, at 3 with .1·.1 (down and right), at 1 with (.1 right + .1 up
    // + .1 stay)·0: cell 1 is two steps from 2, and the other way round.
    let both = action(2, 0);
    assert!((transition(&model, 6, both, 0) - 0.36).abs() < 1e-12);
    assert!((model.expected_reward(6, both) - 0.37).abs() < 1e-12);
    // Standing still is safe; each sees its own column.
    assert_eq!(transition(&model, 6, action(4, 4), 6), 1.0);
    assert_eq!(model.observation(0, 6).outcomes, [2]);
    assert_eq!(model.start()[6], 1.0);
}

#[test]
fn members_are_named_by_their_horizon() {
    let task = Task::find("dec-tiger-h4").unwrap();
    let problem = task.problem().unwrap();
    assert_eq!((problem.horizon, task.spec().horizon), (4, 4));
    assert_eq!(task.optimum(), Some(4.802755));
    assert!(task.own_problem().is_none());
    // Not in the table, but found in a moment: `tests` of the solver have the neighbours.
    let unlisted = Task::find("recycling-h6").unwrap().optimum().unwrap();
    assert!(
        unlisted > 16.486 + 2.0 && unlisted < 16.486 + 5.0,
        "{unlisted}"
    );
    assert_eq!(Task::find("dec-tiger-h50").unwrap().optimum(), None);
    for name in [
        "dec-tiger",
        "dec-tiger-h",
        "dec-tiger-h0",
        "dec-tiger-h04",
        "dec-tiger-hx",
        "dec-tiger-h10001",
    ] {
        let message = Task::find(name).unwrap_err().to_string();
        assert!(
            message.contains("expected `dec-tiger-h` and the steps of an episode, from 1 to 10000"),
            "{message}"
        );
    }
    let message = Task::find("dec-tigre-h4").unwrap_err().to_string();
    assert!(
        message.contains("did you mean `dec-tiger-h4`?"),
        "{message}"
    );
}
