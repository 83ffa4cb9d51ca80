//! The `consort` command from outside: exit codes, messages, JSON, folders, kills.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to run commands in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consort"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that succeeds; its last line as JSON.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|text| str::from_utf8(text).unwrap());
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
        serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
    }

    /// Runs a command that fails with `code` and one line on stderr, which it returns.
    #[track_caller]
    fn error(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    }
}

/// A short run of one arm.
const SHORT: [&str; 6] = [
    "train", "xor-safe", "--method", "factored", "--steps", "3200",
];

fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [SHORT.as_slice(), more].concat()
}

/// Every file below `folder` by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let inner = self::files(&entry.path());
            files.extend(
                inner
                    .into_iter()
                    .map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)),
            );
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[track_caller]
fn assert_same_files(left: &Path, right: &Path) {
    let (left, right) = (files(left), files(right));
    assert_eq!(
        left.keys().collect::<Vec<_>>(),
        right.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "{name} differs");
    }
}

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
        format!("note: {usual} holds another run; this one goes to {usual}-2\n")
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

#[test]
fn a_killed_run_is_not_trusted_and_ends_in_the_same_bits() {
    let place = Place::new();
    let train = [
        "train", "penalty", "--method", "factored", "--steps", "64000", "--out",
    ];
    let mut child = place
        .command(&[train.as_slice(), &["killed"]].concat())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !place.path("killed/config.toml").exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(50));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !place.path("killed/team").exists(),
        "the run was over before it was killed"
    );
    for command in [["eval", "killed"], ["inspect", "killed"]] {
        assert!(place.error(2, &command).contains("the run is unfinished"));
    }
    assert!(
        place
            .error(2, &["export", "killed", "--out", "x"])
            .contains("the run is unfinished")
    );
    assert!(!place.path("x").exists());
    // What a kill while the team was being written would have left.
    fs::create_dir(place.path("killed/.team.1.tmp")).unwrap();
    fs::write(place.path("killed/.team.1.tmp/team.toml"), "format = 1").unwrap();
    fs::write(place.path("killed/metrics.jsonl"), "{\"arm\":").unwrap();

    for out in ["killed", "whole"] {
        place.json(&[train.as_slice(), &[out]].concat());
    }
    assert_same_files(&place.path("killed"), &place.path("whole"));
}

/// Wherever a kill falls, a team that is there is whole, and one that is not can be had by the
/// same command.
#[test]
fn a_kill_at_any_moment_leaves_a_whole_team_or_none() {
    const KILLS: u32 = 12;
    let place = Place::new();
    fn train(out: &str) -> Vec<&str> {
        short(&["--out", out])
    }
    let start = Instant::now();
    place.json(&train("whole"));
    let duration = start.elapsed();
    for kill in 0..KILLS {
        let out = format!("killed-{kill}");
        let mut child = place
            .command(&train(&out))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(duration * (kill + 1) / KILLS);
        child.kill().unwrap();
        child.wait().unwrap();
        let finished = place.path(&out).join("team").exists();
        let eval = place.run(&["eval", &out, "--episodes", "10"]);
        assert_eq!(eval.status.success(), finished, "{out}: {eval:?}");
        if finished {
            let message = place.error(2, &train(&out));
            assert!(message.contains("a finished run"), "{message}");
            // A kill right after the team was written leaves the checkpoints behind.
            let _ = fs::remove_dir_all(place.path(&out).join("checkpoint"));
        } else {
            place.json(&train(&out));
        }
        assert_same_files(&place.path("whole"), &place.path(&out));
    }
}

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
    let greedy = place.json(&["eval", "run", "--greedy", "--episodes", "500"]);
    assert_eq!(greedy["exact"], result["return_exported"]);
    let sampled = place.json(&["eval", "run/team", "--episodes", "20000", "--seed", "4"]);
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
    assert_eq!(
        sampled,
        place.json(&["eval", "run/team", "--episodes", "20000", "--seed", "4"])
    );

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
    refused("agent-1.image", "no such file");
    fs::remove_file(team("team.toml")).unwrap();
    refused("team/team.toml", "no such file");
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
        ("seed = 0", "sed = 0", "unknown field `sed`"),
    ] {
        assert!(manifest.contains(old), "{old}");
        fs::write(team("team.toml"), manifest.replace(old, new)).unwrap();
        let message = place.error(2, &["inspect", "run"]);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn bad_input_is_named_with_what_would_be_right() {
    let place = Place::new();
    fs::write(
        place.path("wrong.toml"),
        "name = 'w'\nactions = [2, 2]\npayoff = [[0, 1], [2]]",
    )
    .unwrap();
    fs::write(place.path("config.toml"), "task = 'chsh'\nbatch = 'many'").unwrap();
    fs::write(
        place.path("disguised.toml"),
        "name = 'climbing'\nactions = [2]\npayoff = [1, 2]",
    )
    .unwrap();
    fs::create_dir(place.path("empty")).unwrap();
    fs::write(place.path("broken.toml"), "task = 'chsh'\nbatch = ").unwrap();
    let set = |setting| ["train", "chsh", "--set", setting];
    let cases: &[(&[&str], &str)] = &[
        (&["train"], "task: missing"),
        (&["train", "climbng"], "did you mean `climbing`?"),
        (&["train", "none.toml"], "none.toml: no such file"),
        (
            &["train", "wrong.toml"],
            "payoff[1]: found a list of 1, expected a list of 2",
        ),
        (
            &["train", "chsh", "--method", "anealed"],
            "method: found `anealed` (did you mean `annealed`?)",
        ),
        (
            &["train", "chsh", "--steps", "5"],
            "steps: found 5, expected at least",
        ),
        (
            &["train", "chsh", "--config", "none"],
            "none: cannot be read",
        ),
        (
            &["train", "--config", "config.toml"],
            "batch: found the text \"many\", expected a whole number",
        ),
        (&["train", "--config", "broken.toml"], "broken.toml: line 2"),
        (&set("batch"), "expected one key=value"),
        (
            &set("batch=70000"),
            "batch: found 70000, expected 0 (so many",
        ),
        (
            &set("batch=-3"),
            "batch: found -3, expected a whole number, at least 0",
        ),
        (&set("bath=3"), "did you mean `batch`?"),
        (&set("batch=1\nseed=5"), "expected one key=value"),
        (&set("game.name=mine"), "expected a game's file as the task"),
        (
            &["train", "random-heavy-007"],
            "a whole number in plain digits",
        ),
        (&["train", "disguised.toml"], "expected a name of its own"),
        (
            &set("annealed.schedule.lamda_end=3"),
            "did you mean `annealed.schedule.lambda_end`?",
        ),
        (
            &set("annealed.schedule.ramp=0"),
            "annealed.schedule.ramp: found 0",
        ),
        (
            &set("annealed.schedule.ramp=0.9"),
            "annealed.schedule.ramp: found 0.9, expected at most",
        ),
        (
            &set("annealed.learning_rate=-1"),
            "annealed.learning_rate: found -1, expected a finite number above 0",
        ),
        (
            &set("annealed.learning_rate=nan"),
            "annealed.learning_rate: found NaN",
        ),
        (
            &set("annealed.learning_rate=fast"),
            "found the text \"fast\", expected a number",
        ),
        (
            &set("annealed.learning_rate=[1"),
            "--set annealed.learning_rate=[1",
        ),
        (
            &set("portfolio.arms=[]"),
            "portfolio.arms: found a list of 0",
        ),
        (
            &set("portfolio.arms=['explore-weak']"),
            "portfolio.arms[0]: found `explore-weak`",
        ),
        (
            &set("factored.temperature=3"),
            "factored.temperature: found 3, expected a table",
        ),
        (
            &set("factored.temperature={shape='geometric', start=1, end=0, until=1}"),
            "factored.temperature.end: found 0",
        ),
        (
            &set("factored.temperature={shape='geometric', start=1, until=1}"),
            "factored.temperature.end: found nothing",
        ),
        (
            &set("factored.temperature.start=1"),
            "factored.temperature.start: unknown key",
        ),
        (
            &set("network.hidden=[0]"),
            "network.hidden[0]: found 0, expected a width of 1 to",
        ),
        (&set("device=gpu"), "expected `cpu`, `cuda` or `cuda:N`"),
        (&["solve", "nothing"], "unknown task `nothing`"),
        (&["eval", "nowhere"], "nowhere: no such file or folder"),
        (&["eval", "empty"], "expected a run or a team"),
        (&["inspect", "wrong.toml"], "wrong.toml: "),
    ];
    for (arguments, expected) in cases {
        let message = place.error(2, arguments);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
    assert!(
        !place.path("runs").exists(),
        "a refused run leaves a folder"
    );
    for (arguments, expected) in [
        (
            &["train", "chsh", "--seed=-1"][..],
            "expected a whole number from 0",
        ),
        (
            &["eval", "x", "--episodes=0"],
            "expected a whole number from 1",
        ),
        (&["dance"], "unrecognized subcommand"),
        (&["eval"], "<TEAM>"),
    ] {
        let output = place.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr.contains(expected), "{stderr:?} lacks {expected:?}");
    }
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_that_is_not_there_is_never_replaced() {
    let place = Place::new();
    for device in ["cuda", "cuda:7"] {
        let message = place.error(2, &short(&["--device", device]));
        assert!(
            message.contains(device) && message.contains("built without CUDA"),
            "{message}"
        );
    }
    assert!(!place.path("runs").exists());
}

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
    assert_eq!(methods["methods"].as_array().unwrap().len(), 5);
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

#[test]
#[cfg(target_os = "linux")]
fn a_reader_that_leaves_is_no_error_and_a_full_disk_is_one() {
    let place = Place::new();
    let mut child = place
        .command(&["tasks"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );

    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = place.command(&["tasks"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("error: stdout: ")
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_cannot_be_written_is_the_machines_failure() {
    let place = Place::new();
    // Not even root makes folders there.
    let message = place.error(1, &short(&["--out", "/proc/run"]));
    assert!(
        message.contains("/proc/run: cannot be written"),
        "{message}"
    );
    fs::write(place.path("file"), "").unwrap();
    let message = place.error(2, &short(&["--out", "file/run"]));
    assert!(
        message.contains("found a file on the way there"),
        "{message}"
    );
    fs::write(place.path("runs"), "").unwrap();
    let message = place.error(2, &SHORT);
    assert!(
        message.contains("found a file on the way there"),
        "{message}"
    );
}

/// Two short arms of a task of many steps, with a checkpoint after every update.
fn sequential<'a>(task: &'a str, steps: &'a str, out: &'a str) -> Vec<&'a str> {
    let arms = "portfolio.arms=['annealed', 'explore-mild']";
    let sizes = "network={hidden=[16], memory=16}";
    let sets = ["--set", arms, "--set", "batch=2", "--set", "rollout=25"];
    let sets = [&sets[..], &["--set", sizes]].concat();
    let rest = ["--checkpoint-seconds", "0", "--out", out];
    [&["train", task, "--steps", steps], &sets[..], &rest].concat()
}

/// Runs a command and kills it after `time`, or lets it end.
fn kill_after(mut command: Command, time: Duration) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[track_caller]
fn killed_runs_go_on(task: &str, steps: &str) {
    const KILLS: u32 = 5;
    let place = Place::new();
    let start = Instant::now();
    place.json(&sequential(task, steps, "whole"));
    let duration = start.elapsed();
    let killed = place.path("killed");
    let mut kept = 0;
    for kill in 1..=KILLS {
        // Each goes on where the one before was killed.
        let command = place.command(&sequential(task, steps, "killed"));
        kill_after(command, duration * kill / (2 * KILLS));
        if killed.join("team").exists() {
            break;
        }
        kept += usize::from(killed.join("checkpoint").exists());
    }
    assert!(kept > 0, "no kill fell while the run was learning");
    if !killed.join("team").exists() {
        let output = place.run(&sequential(task, steps, "killed"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        assert_eq!(stderr, "note: killed goes on from its checkpoints\n");
        assert!(!killed.join("checkpoint").exists());
    }
    let _ = fs::remove_dir_all(killed.join("checkpoint"));
    assert_same_files(&place.path("whole"), &killed);
}

#[test]
fn a_killed_run_of_a_dec_pomdp_goes_on_to_the_same_bits() {
    killed_runs_go_on("dec-tiger-h3", "20000");
}

#[test]
fn a_killed_run_with_a_time_limit_goes_on_to_the_same_bits() {
    killed_runs_go_on("lbf-8x8-2p-2f-coop", "16000");
}

#[test]
fn a_killed_run_with_continuous_actions_goes_on_to_the_same_bits() {
    killed_runs_go_on("mpe-spread-continuous", "8000");
}

#[test]
fn damaged_and_foreign_checkpoints_are_said_and_not_gone_on_from() {
    let place = Place::new();
    let train = |out| sequential("dec-tiger-h3", "20000", out);
    place.json(&train("whole"));
    let folder = place.path("killed/checkpoint");
    let checkpoints = || -> Vec<PathBuf> {
        let entries = fs::read_dir(&folder).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|end| end == "bin"))
            .collect()
    };
    let mut child = place
        .command(&train("killed"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while checkpoints().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("killed/team").exists());
    let found = checkpoints();
    for (index, path) in found.iter().enumerate() {
        let mut bytes = fs::read(path).unwrap();
        if index == 0 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        } else {
            // Another format.
            bytes["consort-checkpoint ".len()] = b'9';
        }
        fs::write(path, bytes).unwrap();
    }
    let output = place.run(&[train("killed"), vec!["--json"]].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let notes = stderr.lines().filter(|line| {
        line.starts_with("note: killed/checkpoint/job-") && line.ends_with("its arms start over")
    });
    assert_eq!(notes.count(), found.len(), "{stderr}");
    assert!(stderr.contains("found a damaged state"), "{stderr}");
    assert_same_files(&place.path("whole"), &place.path("killed"));
}

/// Memory, masks and vectors, by every command.
#[test]
fn every_command_takes_teams_of_every_kind_of_task() {
    let place = Place::new();
    let tasks = [
        ("dec-tiger-h3", "20000"),
        ("lbf-8x8-2p-2f-coop", "16000"),
        ("mpe-spread-continuous", "8000"),
    ];
    for (task, steps) in tasks {
        let result = place.json(&sequential(task, steps, task));
        let tiger = task == "dec-tiger-h3";
        // Exact in the Dec-POMDP, with an interval elsewhere.
        assert_eq!(result["return_exported_interval"].is_null(), tiger);
        let greedy = place.json(&["eval", task, "--greedy", "--episodes", "300"]);
        let number = |value: &Value| value.as_f64().unwrap();
        if tiger {
            assert_eq!(greedy["exact"], result["return_exported"]);
            assert!(number(&greedy["exact"]) <= number(&greedy["optimum"]) + 1e-9);
        } else {
            assert!(greedy["exact"].is_null());
            // Two samples of one mean: six standard errors of their difference.
            let gap = number(&greedy["mean"]) - number(&result["return_exported"]);
            let [a, b] = [&greedy["interval"], &result["return_exported_interval"]].map(number);
            assert!(gap.abs() <= 3.1 * a.hypot(b) + 1e-9, "{greedy} {result}");
        }
        assert!(place.json(&["eval", task, "--episodes", "5"])["exact"].is_null());

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
        assert!(curve.contains("price of acting apart"));
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
