//! `compare`: methods side by side, killed and gone on with.

use std::fs;

use crate::place::{Place, files};

const COMPARE: [&str; 11] = [
    "compare",
    "assurance",
    "chsh",
    "--methods",
    "factored,coma,ippo,mappo,magpo,mackrl",
    "--seeds",
    "2",
    "--steps",
    "3200",
    "--out",
    "c",
];

#[test]
fn a_comparison_leaves_a_page_pictures_and_results_and_goes_on_where_it_was() {
    let place = Place::new();
    let result = place.json(&[&COMPARE[..], &["--jobs", "2"]].concat());
    let findings = &result["findings"];
    assert_eq!(findings["runs"].as_array().unwrap().len(), 2 * 6 * 2);
    for run in findings["runs"].as_array().unwrap() {
        assert_eq!(run["steps"], 3200);
        assert!(run["env_steps"].as_u64().unwrap() <= 3200);
        assert_eq!(run["curve"].as_array().unwrap().len(), 100);
    }
    let names: Vec<String> = files(&place.path("c"))
        .into_keys()
        .filter(|name| !name.starts_with("runs"))
        .collect();
    assert_eq!(
        names,
        [
            "comparison.json",
            "comparison.md",
            "curves.assurance.svg",
            "curves.chsh.svg",
            "efficiency.svg",
            "marl-eval.json",
            "profile.svg"
        ]
    );
    let page = fs::read_to_string(place.path("c/comparison.md")).unwrap();
    assert!(page.contains("| assurance | 3,200 | 10.0000 |"), "{page}");

    // As a kill would leave it: one run gone, one without its team, no page. What is made again has
    // the same bytes, whatever the number of jobs.
    let before = files(&place.path("c"));
    fs::remove_dir_all(place.path("c/runs/chsh.coma.seed1")).unwrap();
    fs::remove_dir_all(place.path("c/runs/assurance.mappo.seed0/team")).unwrap();
    fs::remove_file(place.path("c/comparison.md")).unwrap();
    place.json(&[&COMPARE[..], &["--jobs", "1"]].concat());
    assert_eq!(files(&place.path("c")), before);

    // A file that does not say what it should is named with its line; nothing is written over it.
    let metrics = place.path("c/runs/chsh.coma.seed1/metrics.jsonl");
    let whole = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, whole.replacen("{\"arm\":0", "{\"arm\":-1", 2)).unwrap();
    let message = place.error(2, &COMPARE);
    assert!(message.contains("metrics.jsonl, line 1"), "{message}");
    fs::write(&metrics, "").unwrap();
    let message = place.error(2, &COMPARE);
    assert!(message.contains("without one of the arm"), "{message}");
    fs::write(&metrics, whole).unwrap();

    // A run counts as finished when its team can be played.
    let image = place.path("c/runs/chsh.coma.seed1/team/agent-1.image");
    let whole = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    let message = place.error(2, &COMPARE);
    assert!(
        message.contains("expected the image of agent 1"),
        "{message}"
    );
    fs::write(&image, whole).unwrap();

    // The page is of what is named, and no picture of another stays beside it.
    let one = [
        "compare",
        "chsh",
        "--methods",
        "coma",
        "--seeds",
        "2",
        "--steps",
        "3200",
        "--out",
        "c",
    ];
    place.json(&one);
    let page = fs::read_to_string(place.path("c/comparison.md")).unwrap();
    assert!(!page.contains("assurance"), "{page}");
    assert!(!place.path("c/curves.assurance.svg").exists());
    assert!(place.path("c/runs/assurance.mappo.seed0/team").exists());

    // Another setting is another comparison.
    let other = [&COMPARE[..], &["--set", "network.hidden=[8]"]].concat();
    let message = place.error(2, &other);
    assert!(
        message.contains("a run with another configuration"),
        "{message}"
    );
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_is_trained() {
    let place = Place::new();
    let refused = |arguments: &[&str], expected: &str| {
        let compare = [&["compare"], arguments, &["--seeds", "1", "--out", "c"]].concat();
        let message = place.error(2, &compare);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(!place.path("c/runs").exists());
    };
    refused(
        &["chsh", "--methods", "factored,comma"],
        "did you mean `coma`?",
    );
    refused(&["chs", "--methods", "coma"], "did you mean `chsh`?");
    refused(
        &["chsh", "--methods", "coma,annealed", "--steps", "200"],
        "chsh by annealed: steps: found 200, expected at least",
    );
    refused(
        &["chsh", "chsh", "--methods", "coma"],
        "TASK: found `chsh` twice",
    );
    refused(
        &["chsh", "--methods", "coma,coma"],
        "--methods: found `coma` twice",
    );
    refused(
        &["chsh", "--methods", "coma", "--horizon", "3"],
        "only a `.dpomdp` file goes with one",
    );
    refused(
        &["chsh", "pair.dpomdp", "--methods", "coma", "--horizon", "3"],
        "pair.dpomdp by coma: pair.dpomdp: ",
    );
    refused(
        &["chsh", "--methods", "coma", "--set", "horizn=3"],
        "did you mean `horizon`?",
    );
    if !cfg!(feature = "cuda") {
        refused(
            &["chsh", "--methods", "coma", "--set", "device=cuda"],
            "built without",
        );
    }
    for (setting, by) in [
        ("task=climbing", "TASK"),
        ("method = 'mappo'", "--methods"),
        ("seed=3", "--seeds"),
        ("steps=30000", "--steps"),
    ] {
        let key = setting.split([' ', '=']).next().unwrap();
        let expected = format!("--set {key}: found a `{key}` for every run, expected `{by}`");
        let compare = ["chsh", "--methods", "coma", "--steps", "20000"];
        refused(&[&compare[..], &["--set", setting]].concat(), &expected);
    }
    refused(
        &["mpe-spread-continuous", "--methods", "mappo,coma"],
        "discrete actions for the method `coma`",
    );
    fs::create_dir(place.path("c")).unwrap();
    fs::write(place.path("c/thesis.txt"), "").unwrap();
    refused(&["chsh", "--methods", "coma"], "found `thesis.txt`");
}
