use super::*;
use crate::env::decpomdp::model::Values;

/// Two agents (2 and 3 actions, 2 observations each, one set without names), two states.
const HEAD: &str = "agents: 2
discount: 0.5
values: reward
states: dry wet
start: uniform
actions:
wait dig
3
observations:
2
crack splash
";

const WHOLE: &str = "T: * : identity\nO: * : uniform\n";

fn model(rules: &str) -> DecPomdp {
    parse(&format!("{HEAD}{rules}")).unwrap()
}

/// The error that `rules` make on top of a whole model.
fn error(rules: &str) -> String {
    parse(&format!("{HEAD}{WHOLE}{rules}"))
        .unwrap_err()
        .to_string()
}

/// T(s, a, ·) or O(a, s', ·) with its zeros.
fn dense(row: crate::env::decpomdp::model::Row<'_>, width: usize) -> Vec<f64> {
    let mut dense = vec![0.0; width];
    row.iter().for_each(|(outcome, p)| dense[outcome] = p);
    dense
}

fn transitions(model: &DecPomdp, action: usize) -> [Vec<f64>; 2] {
    [0, 1].map(|state| dense(model.transition(state, action), 2))
}

fn observations(model: &DecPomdp, action: usize) -> [Vec<f64>; 2] {
    [0, 1].map(|state| dense(model.observation(action, state), 4))
}

#[test]
fn heads_come_as_numbers_or_names() {
    let model = model(WHOLE);
    let names = &model.spaces().names;
    assert_eq!(names.agents, ["0", "1"]);
    assert_eq!(names.states, ["dry", "wet"]);
    assert_eq!(names.actions, [vec!["wait", "dig"], vec!["0", "1", "2"]]);
    assert_eq!(
        names.observations,
        [vec!["0", "1"], vec!["crack", "splash"]]
    );
    assert_eq!((model.discount(), model.values()), (0.5, Values::Reward));

    let named = HEAD
        .replace("agents: 2", "agents: left, right")
        .replace(
            "states: dry wet",
            "states: # two of them\n\ndry # one\r\nwet",
        )
        .replace("values: reward", "values: cost");
    let model = parse(&format!(
        "\u{feff}# first\n{named}{WHOLE}R: * : * : * : * : 3"
    ))
    .unwrap();
    assert_eq!(model.spaces().names.agents, ["left", "right"]);
    assert_eq!(model.states(), 2);
    assert_eq!(
        (model.values(), model.expected_reward(1, 2)),
        (Values::Cost, -3.0)
    );

    let counted = HEAD
        .replace("states: dry wet", "states: 3")
        .replace("actions:\nwait dig", "actions: wait dig");
    let model = parse(&format!("{counted}{WHOLE}")).unwrap();
    assert_eq!(model.spaces().names.states, ["0", "1", "2"]);
    assert_eq!(model.actions().sizes(), [2, 3]);
}

#[test]
fn starts_come_in_every_form() {
    let start = |line: &str| {
        let head = HEAD
            .replace("states: dry wet", "states: a b c d")
            .replace("start: uniform", line);
        parse(&format!("{head}{WHOLE}")).unwrap().start().to_vec()
    };
    let third = 1.0 / 3.0;
    assert_eq!(start("start:\nuniform"), [0.25; 4]);
    assert_eq!(start("start: uniform"), [0.25; 4]);
    assert_eq!(start("start: c"), [0.0, 0.0, 1.0, 0.0]);
    assert_eq!(start("start: 3"), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(start("start:\n0.1 0.2 0.3 0.4"), [0.1, 0.2, 0.3, 0.4]);
    assert_eq!(start("start: 0.1 0.2\n0.3 0.4"), [0.1, 0.2, 0.3, 0.4]);
    assert_eq!(start("start include: b 3"), [0.0, 0.5, 0.0, 0.5]);
    assert_eq!(start("start include: d"), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(start("start exclude: a"), [0.0, third, third, third]);
    assert_eq!(start("start exclude : a 1"), [0.0, 0.0, 0.5, 0.5]);
}

#[test]
fn joint_actions_are_named_counted_and_starred() {
    // Agent 0 slowest: (dig, 1) is 1·3 + 1.
    for (rule, actions) in [
        ("T: dig 1 : uniform", &[4][..]),
        ("T: 1 1 : uniform", &[4]),
        ("T: 4 : uniform", &[4]),
        ("T: dig * : uniform", &[3, 4, 5]),
        ("T: * 2 : uniform", &[2, 5]),
        ("T: * * : uniform", &[0, 1, 2, 3, 4, 5]),
        ("T: * : uniform", &[0, 1, 2, 3, 4, 5]),
    ] {
        let model = model(&format!("{WHOLE}{rule}"));
        for action in 0..6 {
            let expected = if actions.contains(&action) {
                [0.5, 0.5]
            } else {
                [1.0, 0.0]
            };
            assert_eq!(
                dense(model.transition(0, action), 2),
                expected,
                "{rule} {action}"
            );
        }
    }
}

#[test]
fn transitions_come_in_every_form() {
    let identity = [vec![1.0, 0.0], vec![0.0, 1.0]];
    let first = |rules: &str| transitions(&model(&format!("{WHOLE}{rules}")), 0);
    assert_eq!(first(""), identity);
    // The colon before a keyword on a line of its own may be missing.
    assert_eq!(first("T: wait 0\nuniform"), [vec![0.5; 2], vec![0.5; 2]]);
    assert_eq!(first("T: * :\nuniform\nT: 0 0 :\nidentity"), identity);
    let matrix = [vec![0.25, 0.75], vec![0.5, 0.5]];
    assert_eq!(first("T: 0 0 :\n0.25 0.75\n0.5 0.5"), matrix);
    assert_eq!(first("T: 0 0 : 0.25 0.75 0.5 0.5"), matrix);
    let row = [vec![1.0, 0.0], vec![0.25, 0.75]];
    assert_eq!(first("T: 0 0 : wet :\n0.25 0.75"), row);
    assert_eq!(first("T: 0 0 : 1 : 0.25 0.75"), row);
    assert_eq!(
        first("T: 0 0 : * : 0.25 0.75"),
        [vec![0.25, 0.75], vec![0.25, 0.75]]
    );
    assert_eq!(
        first("T: 0 0 : wet : uniform"),
        [vec![1.0, 0.0], vec![0.5, 0.5]]
    );
    // Entry by entry, later over earlier.
    assert_eq!(first("T:0 0:wet:dry:.25\nT: 0 0 : 1 : 1 : 0.75"), row);
    assert_eq!(first("T: * : * : * : 0.5"), [vec![0.5; 2], vec![0.5; 2]]);
    assert_eq!(
        first("T: * : uniform\nT: 0 0 : dry : dry : 1.0\nT: 0 0 : dry : wet : 0"),
        [vec![1.0, 0.0], vec![0.5; 2]]
    );
}

#[test]
fn observations_come_in_every_form() {
    let first = |rules: &str| observations(&model(&format!("{WHOLE}{rules}")), 0);
    let even = vec![0.25; 4];
    assert_eq!(first(""), [even.clone(), even.clone()]);
    let row = vec![0.1, 0.2, 0.3, 0.4];
    assert_eq!(
        first("O: 0 0 : wet :\n0.1 0.2 0.3 0.4"),
        [even.clone(), row.clone()]
    );
    assert_eq!(
        first("O: 0 0 :\n0.1 0.2 0.3 0.4\n0.25 0.25 0.25 0.25"),
        [row.clone(), even.clone()]
    );
    let entries = "O: 0 0 : * : * : 0\nO: 0 0 : * : 0 crack : 0.1\nO: 0 0 : * : 1 : 0.2\n\
                   O: 0 0 : * : 1 0 : 0.3\nO: 0 0 : * : 1 splash : 0.4";
    assert_eq!(first(entries), [row.clone(), row]);
    assert_eq!(
        first("O: 0 0 : dry : * splash : 0.5\nO: 0 0 : dry : * crack : 0"),
        [vec![0.0, 0.5, 0.0, 0.5], even]
    );
    // As many states as joint observations: the identity.
    let four = HEAD.replace("states: dry wet", "states: 4");
    let model = parse(&format!("{four}{WHOLE}O: * : identity")).unwrap();
    assert_eq!(model.observation(5, 2).outcomes, [2]);
}

#[test]
fn rewards_come_in_every_form() {
    let model = model(
        "T: * : uniform\nO: * : uniform\n\
         R: * : * : * : * : -1\n\
         R: dig * : wet : * : * : +20\n\
         R: dig 0 : dry : wet : * : 7\n\
         R: dig 1 : dry : * : 1 crack : 5e1\n\
         R: dig 2 : dry : wet :\n1 2 3 4\n\
         R: wait 2 : wet :\n1 2 3 4\n5 6 7 8",
    );
    let reward = |s, a, next, o| model.reward(s, a, next, o);
    assert_eq!(reward(0, 0, 1, 3), -1.0);
    assert_eq!((reward(1, 5, 0, 0), reward(1, 3, 1, 2)), (20.0, 20.0));
    assert_eq!((reward(0, 3, 1, 2), reward(0, 3, 0, 2)), (7.0, -1.0));
    assert_eq!((reward(0, 4, 0, 2), reward(0, 4, 1, 3)), (50.0, -1.0));
    assert_eq!(
        [0, 1, 2, 3].map(|o| reward(0, 5, 1, o)),
        [1.0, 2.0, 3.0, 4.0]
    );
    assert_eq!(reward(0, 5, 0, 3), -1.0);
    assert_eq!(
        [0, 1, 2, 3].map(|o| reward(1, 2, 1, o)),
        [5.0, 6.0, 7.0, 8.0]
    );
    // dig 0 in the dry: half of the ways lead into the wet.
    assert_eq!(model.expected_reward(0, 3), 3.0);
    assert_eq!(model.expected_reward(1, 2), 4.5);
    // A star over what was told apart.
    let text =
        format!("{HEAD}{WHOLE}R: * : * : wet : * : 3\nR: * : * : * : 2 : 4\nR: 0 : * : * : * : 9");
    let model = parse(&text).unwrap();
    assert_eq!([0, 2].map(|o| model.reward(0, 0, 1, o)), [9.0, 9.0]);
    assert_eq!([0, 2].map(|o| model.reward(0, 1, 1, o)), [3.0, 4.0]);
}

#[test]
fn heads_that_are_none_say_where_and_what() {
    let message = |from: &str, to: &str| {
        let text = format!("{HEAD}{WHOLE}").replace(from, to);
        parse(&text).unwrap_err().to_string()
    };
    for (from, to, expected) in [
        (
            "agents: 2\n",
            "",
            "agents: found nothing, expected an entry `agents:`",
        ),
        (
            "agents: 2",
            "agents: 0",
            "line 1: agents: found `0`, expected a number from 1 to 32",
        ),
        ("agents: 2", "agents: 2.5", "line 1: agents: found `2.5`"),
        (
            "agents: 2",
            "agents: a a",
            "line 1: agents: found `a` twice",
        ),
        ("agents: 2", "agents:", "line 1: agents: found nothing"),
        (
            "agents: 2",
            "agents: 2\nagents: 2",
            "line 2: agents: found a second entry (the first is on line 1)",
        ),
        (
            "agents: 2",
            "2\nagents: 2",
            "line 1: entry: found `2`, expected one of agents, discount",
        ),
        (
            "discount:",
            "discont:",
            "line 2: entry: found `discont` (did you mean `discount:`?)",
        ),
        (
            "0.5",
            "1.5",
            "line 2: discount: found `1.5`, expected a number from 0 to 1",
        ),
        ("0.5", "NaN", "line 2: discount: found `NaN`"),
        ("0.5", "0.5 1", "line 2: discount: found `1` beside another"),
        (
            "reward",
            "rewards",
            "line 3: values: found `rewards`, expected `reward` or `cost`",
        ),
        (
            "dry wet",
            "dry 7",
            "line 4: states: found `7`, expected a name that begins with a letter",
        ),
        (
            "dry wet",
            "99999",
            "line 4: states: found `99999`, expected a number from 1 to 4096",
        ),
        ("dry wet", "-3", "line 4: states: found `-3`"),
        (
            "dry wet",
            "4096",
            "line 6: actions: found sets that make about 1.0e8 entries of T",
        ),
        (
            "uniform\nactions",
            "damp\nactions",
            "line 5: start: found `damp`, expected uniform, probabilities or a state: dry, wet, or a number from 0 to 1",
        ),
        (
            "start: uniform",
            "start: 0.5 0.4",
            "line 5: start: found probabilities that sum to 0.9",
        ),
        (
            "start: uniform",
            "start: 0.5 0.4 0.1",
            "line 5: start: found 3 words, expected 2 probabilities",
        ),
        (
            "start: uniform",
            "start: 1.5 -0.5",
            "line 5: start: found `-0.5`, expected a probability",
        ),
        (
            "start: uniform",
            "start include: 2",
            "line 5: start include: found `2`, expected a state",
        ),
        (
            "start: uniform",
            "start exclude: 0 1",
            "line 5: start exclude: found every state",
        ),
        ("start: uniform", "start:", "line 5: start: found nothing"),
        (
            "wait dig\n3",
            "wait dig",
            "line 6: actions: found 1 lines, expected 2 lines, one an agent",
        ),
        (
            "wait dig\n",
            "wait wait\n",
            "line 7: actions: found `wait` twice",
        ),
        (
            "crack splash",
            "crack *",
            "line 11: observations: found `*`, expected a name",
        ),
    ] {
        let message = message(from, to);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn rules_that_are_none_say_where_and_what() {
    // The head has 11 lines, the whole model two more.
    for (rules, expected) in [
        (
            "T: wait : uniform",
            "line 14: T: found `wait`, expected `*`, a joint action from 0 to 5, or one action for each of 2 agents",
        ),
        ("T: 6 : uniform", "line 14: T: found `6`"),
        (
            "T: wait 3 : uniform",
            "line 14: T: found `3`, expected `*` or an action of agent 1: a name given above or a number from 0 to 2",
        ),
        (
            "T: dug 0 : uniform",
            "line 14: T: found `dug`, expected `*` or an action of agent 0: wait, dig, or a number from 0 to 1",
        ),
        (
            "T: dig 0 0 : uniform",
            "line 14: T: found `dig 0 0`, expected one action for each of 2 agents",
        ),
        (
            "T: * : damp : 0.5 0.5",
            "line 14: T: found `damp`, expected `*` or a state: dry, wet, or a number from 0 to 1",
        ),
        (
            "T: * : dry wet : 0.5",
            "line 14: T: found `wet`, expected a colon after the state",
        ),
        (
            "T: * : dry : wet 0.5",
            "line 14: T: found `wet`, expected a number (after a colon",
        ),
        (
            "T: * : dry :\n0.5 half",
            "line 15: T: found `half`, expected a number",
        ),
        (
            "T: * : dry :\n\n0.5 0.5 0.5",
            "line 16: T: found 3 numbers, expected 2 numbers",
        ),
        (
            "T: * :\n0.5 0.5 0.5",
            "line 15: T: found 3 numbers, expected 4 numbers",
        ),
        (
            "T: * : dry : wet : 0.5 0.5",
            "line 14: T: found 2 numbers, expected 1 number",
        ),
        (
            "T: * : dry : wet : 1.5",
            "line 14: T: found `1.5`, expected a probability",
        ),
        (
            "T: * : dry : wet : -1",
            "line 14: T: found `-1`, expected a probability",
        ),
        (
            "T: * : dry : wet : inf",
            "line 14: T: found `inf`, expected a number",
        ),
        (
            "T: * : dry : wet : uniform",
            "line 14: T: found `uniform`, expected a probability",
        ),
        (
            "T: * : dry : identity",
            "line 14: T: found `identity`, expected probabilities",
        ),
        ("T: *", "line 14: T: found `*`, expected a number"),
        ("T: * :", "line 14: T: found nothing after the last colon"),
        (
            "T: * : : wet : 1",
            "line 14: T: found nothing between two colons",
        ),
        (
            "T: * : dry : dry : dry : 1",
            "line 14: T: found 4 colons, expected an action, a state, a state and a probability",
        ),
        (
            "T: * : dry :\nwet dry : 1",
            "line 15: T: found `:`, expected a table of numbers",
        ),
        (
            "\n# T\nT: dig 2 : wet : 0.5 0.4",
            "line 16: T: dig 2 : wet: found probabilities that sum to 0.900000, expected probabilities that sum to 1",
        ),
        (
            "O: * : identity",
            "line 14: O: found `identity`, expected a matrix of 2 × 4: the identity is square",
        ),
        (
            "O: * : dry : 0 crunch : 1",
            "line 14: O: found `crunch`, expected `*` or an observation of agent 1: crack, splash, or a number",
        ),
        (
            "O: * : dry : 0 0 : 0.5",
            "line 14: O: wait 0 : dry: found probabilities that sum to 1.250000",
        ),
        (
            "R: * : * : * : * : uniform",
            "line 14: R: found `uniform`, expected numbers",
        ),
        (
            "R: * : * : * : * : 1e38",
            "line 14: R: found `1e38`, expected a number of at most 1e37 in size",
        ),
        (
            "R: * : 5",
            "line 14: R: found 1 colons, expected an action, a state, a state, an observation and a number",
        ),
        (
            "R: * : * :\n1 2 3 4",
            "line 15: R: found 4 numbers, expected 8 numbers",
        ),
        (
            "Q: * : 5",
            "line 14: entry: found `Q`, expected one of agents",
        ),
    ] {
        let message = error(rules);
        assert!(
            message.contains(expected),
            "{rules:?}: {message:?} lacks {expected:?}"
        );
    }
    let empty = parse(&format!("{HEAD}T: * : identity\n"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        empty,
        "O: wait 0 : dry: found nothing, expected probabilities that sum to 1 (within 1e-4)"
    );
    assert_eq!(
        parse("").unwrap_err().to_string(),
        "agents: found nothing, expected an entry `agents:`"
    );
}

#[test]
fn rewards_that_would_not_fit_are_refused() {
    // 64 joint actions × 400 states × 400 states × 4: beyond the 2²⁴ entries of a table.
    let text = "agents: 2\ndiscount: 1\nvalues: reward\nstates: 400\nstart: 0\nactions:\n8\n8\n\
                observations:\n2\n2\nT: * : identity\nO: * : uniform\nR: * : * : * : * : 1\n\
                R: 0 : * : 3 : 1 : 2";
    let message = parse(text).unwrap_err().to_string();
    assert!(
        message.starts_with("line 15: R: found rewards that need about 4.1e7 entries"),
        "{message}"
    );
}
