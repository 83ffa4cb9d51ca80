//! `eval`, `inspect` and `export`: teams of every kind, whole and damaged.

use std::fs;

use serde_json::Value;

use crate::place::{Place, assert_same_files, files, sequential, short};

#[test]
fn export_writes_the_same_team_again() {
    let place = Place::new();
    let result = place.json(&short(&["--out", "run"]));
    let exported = place.json(&["export", "run", "--out", "deep/team"]);
    assert_eq!(exported["return_exported"], result["return_exported"]);
    assert_same_files(&place.path("run/team"), &place.path("deep/team"));
    // A team is enough, and so is an empty folder, under whatever name.
    fs::create_dir(place.path("empty")).unwrap();
    place.json(&["export", "deep/team", "--out", "empty/."]);
    assert_same_files(&place.path("run/team"), &place.path("empty"));
    let message = place.error(2, &["export", "run", "--out", &"x".repeat(300)]);
    assert!(message.contains("cannot be written"), "{message}");

    let message = place.error(2, &["export", "run", "--out", "z", "--fine-tune", "always"]);
    assert!(message.contains("add `--precision i8`"), "{message}");

    // A signed team keeps its revision, loses its signature, and both are said.
    place.json(&["keygen", "key"]);
    let sign = ["sign", "run", "--key", "key", "--out"];
    let signed = place.json(&[&sign[..], &["signed", "--revision", "3"]].concat());
    assert_eq!(signed["revision_before"], 1);
    let bare = place.json(&["export", "signed", "--out", "bare"]);
    assert_eq!(
        (&bare["revision"], &bare["signature_dropped"]),
        (&3.into(), &true.into())
    );
    let image = place.json(&["inspect", "bare/agent-0.image"]);
    assert_eq!(image["revision"], 3);
    let back = [
        "sign",
        "bare",
        "--key",
        "key",
        "--revision",
        "2",
        "--out",
        "back",
    ];
    let output = place.run(&back);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("lower than 3"), "{text}");

    // Weights that are not those the team was made of.
    let path = place.path("run/team/weights.safetensors");
    let mut weights = fs::read(&path).unwrap();
    *weights.last_mut().unwrap() ^= 1;
    fs::write(&path, weights).unwrap();
    let message = place.error(2, &["export", "run", "--out", "z"]);
    assert!(
        message.contains("weights.safetensors: found weights"),
        "{message}"
    );
    assert!(!place.path("z").exists());
}

#[test]
fn eval_and_inspect_say_what_a_team_is_and_earns() {
    let place = Place::new();
    let result = place.json(&short(&["--out", "run"]));
    let drawn = [
        "eval",
        "run/team",
        "--sampled",
        "--episodes",
        "20000",
        "--seed",
        "4",
    ];
    let greedy = place.json(&["eval", "run", "--episodes", "500"]);
    assert_eq!(greedy["exact"], result["return_exported"]);
    assert_eq!(
        greedy,
        place.json(&["eval", "run", "--greedy", "--episodes", "500"])
    );
    let sampled = place.json(&drawn);
    let number = |key: &str| sampled[key].as_f64().unwrap();
    // The interval holds in 19 of 20 cases: thrice its width always, for a fixed seed.
    assert!(
        (number("mean") - number("exact")).abs() < 3.0 * number("interval"),
        "{sampled}"
    );
    // The same policies by the trainer's arithmetic and by the runtime's.
    let product = result["return_product"].as_f64().unwrap();
    assert!(
        (number("exact") - product).abs() < 1e-4,
        "{sampled} {product}"
    );
    assert_eq!(sampled, place.json(&drawn));

    let team = place.json(&["inspect", "run"]);
    let image = place.json(&["inspect", "run/team/agent-1.image"]);
    assert_eq!(team["agents"][1], image);
    assert_eq!(
        image["flash_bytes"],
        fs::metadata(place.path("run/team/agent-1.image"))
            .unwrap()
            .len()
    );
    // 2 observations, 32 hidden units, 3 actions; two layers' outputs in memory.
    assert_eq!(image["multiply_adds"], 2 * 32 + 32 * 3);
    assert_eq!(image["ram_bytes"], (32 + 3) * 4);
    let costs = image["costs"].as_array().unwrap();
    assert!(costs.iter().any(|cost| cost["core"] == "Cortex-M4F"));
    for cost in costs {
        // A multiply-add is one instruction at least.
        assert!(cost["instructions"].as_u64().unwrap() > 160, "{cost}");
    }
}

#[test]
fn a_damaged_team_is_refused_by_the_name_of_the_file() {
    let place = Place::new();
    place.json(&short(&["--out", "run"]));
    place.json(&short(&["--out", "other", "--seed", "1"]));
    let team = |file: &str| place.path("run/team").join(file);
    let whole = files(&place.path("run/team"));
    let refused = |file: &str, expected: &str| {
        let message = place.error(2, &["eval", "run"]);
        assert!(
            message.contains(file) && message.contains(expected),
            "{message}"
        );
        let name = file.trim_start_matches("team/");
        fs::write(team(name), &whole[name]).unwrap();
    };
    let mut bytes = whole["agent-0.image"].clone();
    bytes[100] ^= 1;
    fs::write(team("agent-0.image"), bytes).unwrap();
    refused("agent-0.image", "damaged");
    fs::write(team("agent-0.image"), &whole["agent-1.image"]).unwrap();
    refused("agent-0.image", "found agent 1, expected 0");
    fs::copy(
        place.path("other/team/agent-1.image"),
        team("agent-1.image"),
    )
    .unwrap();
    refused("agent-1.image", "found team");
    fs::remove_file(team("agent-1.image")).unwrap();
    refused(
        "agent-1.image",
        "no such file, expected the image of agent 1",
    );
    fs::remove_file(team("team.toml")).unwrap();
    refused("team/team.toml", "no such file, expected the manifest");
    fs::write(team("team.toml"), "").unwrap();
    refused("team/team.toml", "found nothing, expected a manifest");
    fs::write(team("team.toml"), "format = 1\nagents = [").unwrap();
    refused("team/team.toml", "line 2: ");
    let manifest = String::from_utf8(whole["team.toml"].clone()).unwrap();
    for (old, new, expected) in [
        ("format = 1", "format = 2", "format: found 2, expected 1"),
        (
            "task = \"xor-safe\"",
            "task = \"xor-saf\"",
            "did you mean `xor-safe`?",
        ),
        (
            "task = \"xor-safe\"",
            "task = \"assurance\"",
            "agent-0.image: found observations of length 2, expected 1",
        ),
        (
            "image = \"agent-1.image\"",
            "image = \"../agent-1.image\"",
            "expected the name of a file beside it",
        ),
        (
            "observation = 2",
            "observation = 3",
            "agent-0.image: found observations of length 2, expected 3",
        ),
        (
            "actions = 3",
            "actions = 4",
            "agent-0.image: found actions 3, expected 4",
        ),
        ("seed = 0", "sed = 0", "unknown field `sed`"),
    ] {
        assert!(manifest.contains(old), "{old}");
        fs::write(team("team.toml"), manifest.replace(old, new)).unwrap();
        let message = place.error(2, &["inspect", "run"]);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

/// Memory, masks and vectors: trained, judged, shown, exported as they are and in whole numbers, and on devices.
#[test]
fn commands_take_teams_of_every_kind_of_task() {
    let place = Place::new();
    let tasks = [
        ("dec-tiger-h3", "20000"),
        ("lbf-8x8-2p-2f-coop-masked", "16000"),
        ("mpe-spread-continuous", "8000"),
    ];
    for (task, steps) in tasks {
        let result = place.json(&sequential(task, steps, task));
        let tiger = task == "dec-tiger-h3";
        // Exact in the Dec-POMDP, with an interval elsewhere.
        assert_eq!(result["return_exported_interval"].is_null(), tiger);
        // As teams of their kind act, whatever their networks.
        let act = if tiger { "greedy" } else { "sampled" };
        assert_eq!(result["act"], act);
        let judged = place.json(&["eval", task, "--episodes", "300"]);
        assert_eq!(judged["actions"], act);
        let number = |value: &Value| value.as_f64().unwrap();
        if tiger {
            assert_eq!(judged["exact"], result["return_exported"]);
            assert!(number(&judged["exact"]) <= number(&judged["optimum"]) + 1e-9);
        } else {
            assert!(judged["exact"].is_null());
            // Two samples of one mean: six standard errors of their difference.
            let gap = number(&judged["mean"]) - number(&result["return_exported"]);
            let [a, b] = [&judged["interval"], &result["return_exported_interval"]].map(number);
            assert!(gap.abs() <= 3.1 * a.hypot(b) + 1e-9, "{judged} {result}");
        }
        let sampled = place.json(&["eval", task, "--sampled", "--episodes", "5"]);
        assert!(sampled["exact"].is_null());

        let team = place.json(&["inspect", task]);
        let agent = &team["agents"][0];
        let continuous = task.ends_with("continuous");
        let head = if continuous {
            "gaussian"
        } else {
            "categorical"
        };
        assert_eq!(agent["head"]["kind"], head);
        assert!(agent["state_bytes"].as_u64().unwrap() > 0);
        let out = format!("{task}-again");
        place.json(&["export", task, "--out", &out]);
        assert_same_files(&place.path(task).join("team"), &place.path(&out));
        let curve = fs::read_to_string(place.path(task).join("curve.svg")).unwrap();
        // Names of lines, which a panel without them lacks. In so few steps under a time limit the joint policy has
        // handed over before anything is valued.
        let price = tiger.then_some("joint − greedy");
        for line in ["TC", "IG", "log₁₀ λ"].into_iter().chain(price) {
            assert!(curve.contains(line), "{task}: {line}");
        }
        let small = format!("{task}-i8");
        place.json(&["export", task, "--out", &small, "--precision", "i8"]);
        for team in [task, &small] {
            let report = place.json(&["hil", team, "--episodes", "2"]);
            assert_eq!(report["divergences"], 0, "{team}: {report}");
        }
    }
    let page = place.run(&sequential("dec-tiger-h3", "20000", "page"));
    let page = String::from_utf8(page.stdout).unwrap();
    for expected in ["means over", "rounds: what the images earn", "; exact"] {
        assert!(page.contains(expected), "{page} lacks {expected:?}");
    }
    let tasks = place.json(&["tasks"]);
    let families = tasks["families"].as_array().unwrap();
    assert!(
        families
            .iter()
            .any(|family| family["pattern"] == "dec-tiger-h<H>")
    );
    let page = String::from_utf8(place.run(&["tasks"]).stdout).unwrap();
    assert!(page.contains("  dec-tiger-h<H>: ") && page.contains("    dec-tiger-h4 "));
}
