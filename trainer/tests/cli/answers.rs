//! `solve`, `tasks` and `methods`.

use std::fs;

use consort_trainer::config::Method;

use crate::place::{Place, assert_same_files};

#[test]
fn solve_tasks_and_methods_answer() {
    let place = Place::new();
    let solution = place.json(&["solve", "xor-safe"]);
    assert_eq!(
        (&solution["value"], &solution["joint_value"]),
        (&3.0.into(), &10.0.into())
    );
    let tasks = place.json(&["tasks"]);
    let find = |name| {
        tasks["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|task| task["name"] == name)
            .unwrap()
    };
    assert_eq!(find("chsh")["optimum"], 0.75);
    assert_eq!(
        find("weak-link-3x4")["actions"],
        serde_json::json!([3, 3, 3, 3])
    );
    let methods = place.json(&["methods"]);
    let listed = methods["methods"].as_array().unwrap();
    let names: Vec<&str> = listed.iter().filter_map(|m| m["name"].as_str()).collect();
    assert_eq!(names, Method::ALL.map(Method::name));
    for command in [
        &["tasks"][..],
        &["methods"],
        &["solve", "chsh"],
        &["--help"],
    ] {
        let output = place.run(command);
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{command:?}"
        );
    }
}

#[test]
fn a_dec_pomdp_is_solved_by_name_and_from_a_file() {
    let place = Place::new();
    let tiger = place.json(&["solve", "dec-tiger-h3"]);
    // Nair et al. 2003: 5.190812 in three steps; both begin by listening.
    assert!((tiger["value"].as_f64().unwrap() - 5.190_812).abs() < 1e-5);
    assert_eq!(tiger["controllers"][1][0][0]["action"], 0);
    assert_eq!(tiger["controllers"][0].as_array().unwrap().len(), 3);

    // One agent is paid 2 for its second action in the first state and 1 elsewhere.
    let model = "agents: 2\ndiscount: 1\nvalues: reward\nstates: up down\nstart: up\nactions:\n1\n2\n\
                 observations:\n1\n1\nT: * : uniform\nO: * : uniform\nR: * : * : * : * : 1\n\
                 R: * 1 : up : * : * : 2\n";
    fs::write(place.path("pair.dpomdp"), model).unwrap();
    let pair = place.json(&["solve", "pair.dpomdp", "--horizon", "2"]);
    assert_eq!(
        (&pair["task"], &pair["value"]),
        (&"pair-h2".into(), &3.5.into())
    );
    let page = place.run(&["solve", "pair.dpomdp", "--horizon", "2"]);
    assert!(
        String::from_utf8(page.stdout)
            .unwrap()
            .contains("then, by observation")
    );
    let message = place.error(2, &["solve", "pair.dpomdp"]);
    assert!(message.contains("as in --horizon 4"), "{message}");
    fs::write(place.path("pair.dpomdp"), model.replace("* 1 :", "* 2 :")).unwrap();
    let message = place.error(2, &["solve", "pair.dpomdp", "--horizon", "2"]);
    assert!(
        message.contains("pair.dpomdp: line 15: R: found `2`"),
        "{message}"
    );
    let game = "name = 'climbing'\nactions = [2]\npayoff = [1, 2]";
    fs::write(place.path("own.toml"), game).unwrap();
    let message = place.error(2, &["solve", "own.toml"]);
    assert!(
        message.contains("own.toml: name: found `climbing`, which is a task that ships"),
        "{message}"
    );
    let message = place.error(2, &["solve", "dec-tiger-h30"]);
    assert!(message.contains("too large to solve exactly"), "{message}");

    // A run with a model from a file can be repeated without it.
    fs::write(place.path("pair.dpomdp"), model).unwrap();
    let train = [
        "train",
        "pair.dpomdp",
        "--horizon",
        "1",
        "--method",
        "factored",
    ];
    let result = place.json(&[&train[..], &["--steps", "1600", "--out", "a"]].concat());
    assert_eq!(
        (&result["task"], &result["optimum"]),
        (&"pair-h1".into(), &2.0.into())
    );
    fs::remove_file(place.path("pair.dpomdp")).unwrap();
    place.json(&["train", "--config", "a/config.toml", "--out", "b"]);
    assert_same_files(&place.path("a"), &place.path("b"));
    assert_eq!(
        place.json(&["eval", "b", "--episodes", "10"])["task"],
        "pair-h1"
    );
}
