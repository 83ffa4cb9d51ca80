//! Exit codes and messages: bad input is 2, the machine's failure is 1.

use std::fs;
use std::process::Stdio;

use crate::place::{Place, SHORT, short};

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
        (
            &["train", "chsh", "--config", "wrong.toml"],
            "wrong.toml: found a game, expected a configuration",
        ),
        (
            &["train", "config.toml"],
            "config.toml: found a configuration, expected a game",
        ),
        (
            &["inspect", "nowhere"],
            "expected an image, a run or a team",
        ),
        (
            &["solve", "dec-tiger", "--horizon", "4"],
            "did you mean the task `dec-tiger-h4`, without --horizon?",
        ),
        (
            &["solve", "dec-tiger-h4", "--horizon", "3"],
            "did you mean the task `dec-tiger-h3`, without",
        ),
        (
            &[
                "train",
                "lbf-8x8-2p-2f-coop",
                "--method",
                "qmix",
                "--steps",
                "1600",
            ],
            "steps: found 1600, expected enough for 32 whole episodes of an arm",
        ),
        (&set("bacth=3"), "did you mean `batch`?"),
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
            &["train", "chsh", "--steps", "-5"],
            "expected a whole number from 1",
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
fn a_place_that_cannot_be_written_is_named() {
    let place = Place::new();
    // Not even root makes folders there.
    let message = place.error(2, &short(&["--out", "/proc/run"]));
    assert!(
        message.contains("/proc/run: cannot be written"),
        "{message}"
    );
    let message = place.error(2, &["keygen", "nowhere/key"]);
    assert!(
        message.contains("nowhere/key: cannot be written"),
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

#[test]
fn off_policy_settings_that_make_no_sense_are_refused() {
    let place = Place::new();
    for (arguments, expected) in [
        (
            ["alias-h8", "--method", "qmix", "--set", "act=sampled"],
            "act: found `sampled`, expected `greedy` for the arm `qmix`",
        ),
        (
            ["mpe-spread-continuous", "--method", "vdn", "--seed", "1"],
            "expected discrete actions for the arm `vdn`",
        ),
        (
            [
                "alias-h8",
                "--method",
                "iql",
                "--set",
                "value.off_policy.replay.steps=100",
            ],
            "value.off_policy.replay: found room for 100 steps, expected room for at least 256",
        ),
        (
            [
                "alias-h8",
                "--method",
                "maddpg",
                "--set",
                "maddpg.off_policy.target.rate=0",
            ],
            "maddpg.off_policy.target.rate: found 0, expected above 0",
        ),
        (
            [
                "alias-h8",
                "--method",
                "qtran",
                "--set",
                "value.exploration.start=2",
            ],
            "value.exploration.start: found 2, expected from 0 to 1",
        ),
        (
            ["alias-h8", "--method", "qtran", "--set", "qtran.optimum=2"],
            "qtran.optimum: unknown key (did you mean `qtran.optimal`?)",
        ),
    ] {
        let message = place.error(2, &[&["train"], arguments.as_slice()].concat());
        assert!(message.contains(expected), "{message}");
    }
}
