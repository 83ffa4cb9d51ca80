use super::*;
use crate::env::decpomdp::DecPomdp;
use crate::env::decpomdp::model::{Names, Rewards, Spaces, Tables, Values};
use crate::env::decpomdp::policy::Node;
use crate::env::decpomdp::problems::{BROADCAST, DEC_TIGER, GRID_SMALL, Problem, RECYCLING};
use crate::rng::Stream;

fn solved(problem: &FiniteHorizon) -> Solution {
    let solution = solve(problem, DEFAULT_BUDGET).unwrap();
    let earned = solution.policy.value(&problem.model);
    let name = &problem.name;
    assert!(
        (earned - solution.value).abs() < 1e-9,
        "{name}: {earned} is not {solution:?}"
    );
    assert!(solution.value <= solution.bound + 1e-9);
    for controller in &solution.policy.agents {
        assert_eq!(controller.len(), problem.horizon);
    }
    solution
}

#[test]
fn published_optima_are_found_and_their_policies_earn_them() {
    let cases: [(&Problem, &[usize]); 4] = [
        (&DEC_TIGER, &[1, 2, 3, 4, 5, 6]),
        (&BROADCAST, &[1, 2, 3, 4, 5, 10, 20, 25]),
        (&RECYCLING, &[1, 2, 3, 4, 5, 10, 20, 30, 40]),
        (&GRID_SMALL, &[2, 3, 4, 5]),
    ];
    for (problem, horizons) in cases {
        for &horizon in horizons {
            let problem_h = problem.with_horizon(horizon);
            let (found, known) = (solved(&problem_h).value, problem.optimum(horizon).unwrap());
            // Published values have up to six decimals.
            assert!(
                (found - known).abs() < 1.1e-6,
                "{}: {found} is not {known}",
                problem_h.name
            );
        }
    }
}

/// A random model: every third entry of each table is zero.
fn random(
    seed: u64,
    states: usize,
    actions: &[usize],
    seen: &[usize],
    horizon: usize,
) -> FiniteHorizon {
    let mut stream = Stream::new(seed, "test", 0);
    let count = |size: &usize| (0..*size).map(|index| index.to_string()).collect();
    let spaces = Spaces::new(Names {
        agents: count(&actions.len()),
        states: count(&states),
        actions: actions.iter().map(count).collect(),
        observations: seen.iter().map(count).collect(),
    })
    .unwrap();
    let mut rows = |rows: usize, width: usize| -> Vec<f64> {
        let row = |stream: &mut Stream| {
            let mut row: Vec<f64> = (0..width)
                .map(|_| (stream.uniform() - 0.33).max(0.0))
                .collect();
            row[(stream.uniform() * width as f64) as usize] += 0.1;
            let total: f64 = row.iter().sum();
            row.into_iter().map(move |p| p / total)
        };
        (0..rows).flat_map(|_| row(&mut stream)).collect()
    };
    let tables = Tables {
        start: rows(1, states),
        transitions: rows(spaces.rows(), states),
        observations: rows(spaces.rows(), spaces.observations.count()),
        rewards: Rewards::State(Vec::new()),
    };
    let rewards = (0..spaces.rows()).map(|_| stream.normal()).collect();
    let tables = Tables {
        rewards: Rewards::State(rewards),
        ..tables
    };
    FiniteHorizon {
        name: format!("random-{seed}"),
        model: DecPomdp::new(spaces, 1.0, Values::Reward, tables).unwrap(),
        horizon,
        source: None,
    }
}

/// The best value over all tuples of policy trees, with histories kept apart and no bound: every
/// deterministic rule (observation history → action) in turn.
fn enumerated(problem: &FiniteHorizon) -> f64 {
    let model = &problem.model;
    let agents = model.agents();
    // Histories of all lengths below h, by observations: 1 + O + O² + …
    let histories = |agent: usize| -> usize {
        let seen = model.observations().sizes()[agent];
        (0..problem.horizon as u32).map(|t| seen.pow(t)).sum()
    };
    let sizes: Vec<usize> = (0..agents)
        .flat_map(|agent| vec![model.actions().sizes()[agent]; histories(agent)])
        .collect();
    let policies = crate::env::JointSpace::new(&sizes, 1 << 20).unwrap();
    let mut best = f64::NEG_INFINITY;
    for index in 0..policies.count() {
        let mut parts = policies.split(index);
        let controllers = (0..agents).map(|agent| {
            let seen = model.observations().sizes()[agent];
            let stage = |t: usize| -> Vec<Node> {
                let nodes = seen.pow(t as u32);
                (0..nodes)
                    .map(|node| Node {
                        action: parts.next().unwrap(),
                        next: (0..seen).map(|o| Some(node * seen + o)).collect(),
                    })
                    .collect()
            };
            (0..problem.horizon).map(stage).collect()
        });
        let policy = JointController {
            agents: controllers.collect(),
        };
        best = best.max(policy.value(model));
    }
    best
}

#[test]
fn agrees_with_enumeration() {
    let shapes: [(usize, &[usize], &[usize], usize); 6] = [
        (3, &[2, 2], &[2, 2], 2),
        (2, &[3, 2], &[2, 3], 2),
        (3, &[2, 1], &[2, 2], 3),
        (2, &[2, 2, 2], &[2, 1, 2], 2),
        (3, &[4], &[2], 2),
        (2, &[3, 3, 3], &[1, 1, 1], 2),
    ];
    for (states, actions, seen, horizon) in shapes {
        for seed in 0..6 {
            let problem = random(seed, states, actions, seen, horizon);
            let (found, best) = (solved(&problem).value, enumerated(&problem));
            assert!(
                (found - best).abs() < 1e-8,
                "{actions:?} {seen:?} {seed}: {found} {best}"
            );
        }
    }
}

#[test]
fn agrees_with_enumeration_where_rules_are_too_many_to_try() {
    // 3⁷ rules of agent 0: its exchanges of observations are bounded, not solved.
    let problem = random(1, 2, &[3, 2], &[7, 1], 2);
    let (found, best) = (solved(&problem).value, enumerated(&problem));
    assert!((found - best).abs() < 1e-8, "{found} {best}");
}

#[test]
fn histories_that_say_the_same_are_one() {
    // Who listens knows no more than how many growls came from the left: t + 1 types, not 2^t.
    let policy = solved(&DEC_TIGER.with_horizon(5)).policy;
    for controller in &policy.agents {
        for (step, nodes) in controller.iter().enumerate() {
            assert!(
                nodes.len() <= step + 1,
                "{} nodes at step {step}",
                nodes.len()
            );
        }
    }
    // A battery says everything: high or low.
    let policy = solved(&RECYCLING.with_horizon(10)).policy;
    assert!(policy.agents.iter().flatten().all(|nodes| nodes.len() <= 2));
}

#[test]
fn a_spent_budget_is_a_refusal_with_the_size_and_what_is_known() {
    let problem = DEC_TIGER.with_horizon(7);
    let error = solve(&problem, 2_000_000).unwrap_err();
    let found = error.found.unwrap();
    let optimum = DEC_TIGER.optimum(7).unwrap();
    assert!(found <= optimum + 1e-4 && optimum <= error.bound, "{error}");
    let message = error.to_string();
    for part in [
        "`dec-tiger-h7` is too large",
        "2 states, 9 joint actions",
        "over 7 steps",
        "at least ",
    ] {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    // Not even the bounds are worked out where that alone takes longer.
    let error = solve(&problem, 0).unwrap_err();
    assert_eq!((error.found, error.nodes, error.bound), (None, 0, 140.0));
}
