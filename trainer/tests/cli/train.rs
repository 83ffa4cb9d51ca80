//! `consort train`: what a run leaves, and that it is repeated.

use std::fs;

use serde_json::Value;

use crate::place::{Place, SHORT, assert_same_files, files, short};

#[test]
fn a_run_leaves_everything_the_manual_promises() {
    let place = Place::new();
    let portfolio = "portfolio.arms=['annealed', 'explore-mild']";
    let steps = ["--steps", "6400", "--seed", "3", "--set", portfolio];
    let result = place.json(&[&["train", "assurance"], steps.as_slice()].concat());
    let keys = [
        "task",
        "method",
        "seed",
        "env_steps",
        "seconds",
        "return_joint",
        "return_product",
        "return_greedy",
        "return_exported",
        "optimum",
        "team",
    ];
    for key in keys {
        assert!(result.get(key).is_some(), "{key} is missing from {result}");
    }
    assert_eq!(
        (&result["task"], &result["seed"]),
        (&"assurance".into(), &3.into())
    );
    assert_eq!(result["optimum"], 10.0);
    let steps = result["env_steps"].as_u64().unwrap();
    assert!((6000..=6400).contains(&steps), "{steps}");
    let run = place.path("runs/assurance-annealed-seed3");
    assert_eq!(result["team"], "runs/assurance-annealed-seed3/team");
    let names: Vec<String> = files(&run).into_keys().collect();
    assert_eq!(
        names,
        [
            "config.toml",
            "curve.svg",
            "metrics.jsonl",
            "team/README.md",
            "team/agent-0.golden.json",
            "team/agent-0.image",
            "team/agent-1.golden.json",
            "team/agent-1.image",
            "team/config.toml",
            "team/team.toml",
            "team/weights.safetensors",
        ]
    );
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let records: Vec<Value> = metrics
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for key in [
        "beta",
        "lambda",
        "tau",
        "total_correlation",
        "information_gap",
        "joint",
        "product",
    ] {
        assert!(
            records[0].get(key).is_some(),
            "{key} is missing from {}",
            records[0]
        );
    }
    assert!(records.iter().any(|record| record["arm"] == 1));
    assert!(
        fs::read_to_string(run.join("curve.svg"))
            .unwrap()
            .ends_with("</svg>\n")
    );
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_team() {
    let place = Place::new();
    for out in ["a", "b"] {
        place.json(&short(&["--seed", "5", "--out", out]));
    }
    assert_same_files(&place.path("a"), &place.path("b"));
    place.json(&short(&["--seed", "6", "--out", "c"]));
    let image = |run| fs::read(place.path(run).join("team/agent-0.image")).unwrap();
    assert_ne!(image("a"), image("c"));
}

#[test]
fn a_configuration_repeats_its_run_even_without_the_game_it_came_from() {
    let place = Place::new();
    let game = "name = 'mine'\nactions = [2, 3]\npayoff = [[1, 0, 2], [0, 3, 0]]";
    fs::write(place.path("game.toml"), game).unwrap();
    let train = [
        "train",
        "game.toml",
        "--method",
        "factored",
        "--steps",
        "1600",
    ];
    let set = [
        "--set",
        "network.hidden=[8]",
        "--set",
        "factored.learning_rate=0.02",
    ];
    let result = place.json(&[train.as_slice(), &set, &["--out", "a"]].concat());
    assert_eq!(
        (&result["task"], &result["optimum"]),
        (&"mine".into(), &3.0.into())
    );
    fs::remove_file(place.path("game.toml")).unwrap();
    place.json(&["train", "--config", "a/config.toml", "--out", "b"]);
    assert_same_files(&place.path("a"), &place.path("b"));
    // The team carries its game too, and what trains it again.
    fs::rename(place.path("b/team"), place.path("c")).unwrap();
    assert_eq!(
        place.json(&["eval", "c", "--greedy"])["exact"],
        result["return_exported"]
    );
    place.json(&["train", "--config", "c/config.toml", "--out", "d"]);
    assert_same_files(&place.path("a"), &place.path("d"));
}

#[test]
fn an_empty_folder_is_used_as_it_is() {
    let place = Place::new();
    place.json(&short(&["--out", "a"]));
    fs::create_dir(place.path("here")).unwrap();
    let output = place
        .command(&short(&["--quiet", "--out", "."]))
        .current_dir(place.path("here"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    place.json(&short(&["--out", "new/."]));
    for run in ["here", "new"] {
        assert_same_files(&place.path("a"), &place.path(run));
    }
    for out in ["absent/..", &"x".repeat(300)] {
        let message = place.error(2, &short(&["--out", out]));
        assert!(message.contains("cannot be written"), "{message}");
    }
}

#[test]
fn nothing_finished_is_ever_overwritten() {
    let place = Place::new();
    let usual = "runs/xor-safe-factored-seed0";
    assert_eq!(place.json(&SHORT)["team"], format!("{usual}/team").as_str());
    // The second goes elsewhere and says so; quiet, it prints where its team is and no more.
    let second = place.command(&short(&["--quiet"])).output().unwrap();
    assert!(second.status.success());
    let told = |bytes| String::from_utf8(bytes).unwrap();
    assert_eq!(told(second.stdout), format!("{usual}-2/team\n"));
    assert_eq!(
        told(second.stderr),
        format!("note: {usual} holds another run or a finished one; this one goes to {usual}-2\n")
    );
    let before = files(&place.path("runs"));
    let out = ["--out", "runs/xor-safe-factored-seed0"];
    assert!(
        place
            .error(2, &short(&out))
            .contains("found a finished run")
    );
    assert_eq!(files(&place.path("runs")), before);
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/thesis.txt"), "").unwrap();
    assert!(
        place
            .error(2, &short(&["--out", "mine"]))
            .contains("found `thesis.txt`")
    );
    let export = ["export", "runs/xor-safe-factored-seed0", "--out", "mine"];
    assert!(
        place
            .error(2, &export)
            .contains("expected a new or an empty folder")
    );
    assert_eq!(
        files(&place.path("mine")).into_keys().collect::<Vec<_>>(),
        ["thesis.txt"]
    );
}

/// Nobody measured anything: the curve must still be drawn, and soon.
#[test]
fn a_run_too_short_for_its_curve_ends() {
    let place = Place::new();
    let train = ["train", "lbf-8x8-2p-2f-coop", "--method", "factored"];
    let steps = ["--steps", "3200", "--out", "run"];
    let result = place.json(&[&train[..], &steps].concat());
    assert!(result["return_joint"].is_null());
    let page = fs::read_to_string(place.path("run/curve.svg")).unwrap();
    assert!(page.contains("not measured"));
}

/// Teams that follow values or deterministic policies end in the same images as all others, act
/// greedily whatever the task, and say how they were trained.
#[test]
fn off_policy_teams_end_in_images_that_act_greedily() {
    let place = Place::new();
    let small = ["--set", "network.hidden=[8]", "--set", "batch=4"];
    for (method, task) in [
        ("iql", "assurance"),
        ("vdn", "alias-h8"),
        ("qmix", "lbf-5x5-2p-1f-masked"),
        ("qtran", "dec-tiger-h2"),
        ("maddpg", "alias-h8"),
        ("maddpg", "mpe-speaker-listener-continuous"),
    ] {
        let out = format!("{method}-{task}");
        let train = [
            "train", task, "--method", method, "--steps", "6000", "--out", &out,
        ];
        let result = place.json(&[train.as_slice(), &small].concat());
        assert_eq!(result["act"], "greedy", "{out}");
        assert!(result["return_joint"].is_null(), "{out}");
        let settings = fs::read_to_string(place.path(&out).join("config.toml")).unwrap();
        let settings: toml::Table = settings.parse().unwrap();
        let own = if method == "maddpg" {
            "maddpg"
        } else {
            "value"
        };
        for table in ["value", "qtran", "maddpg"] {
            let expected = table == own || (table == "qtran" && method == "qtran");
            assert_eq!(settings.contains_key(table), expected, "{out}: {table}");
        }
        let eval = place.json(&["eval", &out, "--episodes", "20"]);
        assert!(eval["mean"].is_number(), "{eval}");
    }
}
