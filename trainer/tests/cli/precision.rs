//! Teams in whole numbers, and teams that share a seed: exported, with keys anew, signed, killed.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{Place, assert_same_files, files, sequential, short};

/// The bits of who may read a file.
#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn whole_numbers_are_exported_compared_and_stay_what_they_are() {
    let place = Place::new();
    place.json(&sequential("dec-tiger-h3", "20000", "run"));
    let exported = place.json(&["export", "run", "--out", "i8", "--precision", "i8"]);
    assert!(exported["return_exported"].is_number(), "{exported}");
    let (f32_, i8_) = (
        place.json(&["inspect", "run"]),
        place.json(&["inspect", "i8"]),
    );
    for (before, after) in [0, 1].map(|agent| (&f32_["agents"][agent], &i8_["agents"][agent])) {
        assert_eq!(
            (&before["precision"], &after["precision"]),
            (&"f32".into(), &"i8".into())
        );
        let bytes = |agent: &serde_json::Value| agent["flash_bytes"].as_u64().unwrap();
        assert!(bytes(after) < bytes(before) / 2, "{before} {after}");
        assert_eq!(before["team_id"], after["team_id"]);
    }
    let manifest = fs::read_to_string(place.path("i8/team.toml")).unwrap();
    for key in [
        "[quantisation]",
        "agreement = ",
        "return_f32 = ",
        "return_i8 = ",
    ] {
        assert!(manifest.contains(key), "{manifest}");
    }
    let card = fs::read_to_string(place.path("i8/README.md")).unwrap();
    assert!(card.contains("compute in whole numbers"), "{card}");
    // What is exported again keeps its precision, to the byte; and can have the other one.
    place.json(&["export", "i8", "--out", "again"]);
    assert_same_files(&place.path("i8"), &place.path("again"));
    place.json(&["export", "i8", "--out", "back", "--precision", "f32"]);
    assert_same_files(&place.path("run/team"), &place.path("back"));
    let eval = place.json(&["eval", "i8", "--episodes", "50"]);
    assert_eq!(eval["exact"], exported["return_exported"]);

    // Fine-tuning is tried where it is asked for, says what both came to, and is repeated to the byte.
    assert_eq!(exported["fine_tuned"], Value::Null);
    let always = ["--precision", "i8", "--fine-tune", "always"];
    let tuned = place.json(&[&["export", "run", "--out", "tuned"], &always[..]].concat());
    let came_to = &tuned["fine_tuned"];
    let alone = match came_to["kept"].as_bool().unwrap() {
        true => &came_to["other"],
        false => &tuned["quantisation"],
    };
    assert_eq!(alone, &exported["quantisation"]);
    place.json(&["export", "tuned", "--out", "tuned-again"]);
    assert_same_files(&place.path("tuned"), &place.path("tuned-again"));
    place.json(&["export", "tuned", "--out", "alone", "--fine-tune", "never"]);
    assert_same_files(&place.path("i8"), &place.path("alone"));
}

#[test]
fn images_state_the_period_of_their_task_or_the_one_that_is_asked_for() {
    let place = Place::new();
    let train = sequential("mpe-speaker-listener", "4000", "run");
    place.json(&[&train[..], &["--method", "factored"]].concat());
    let period = |team: &str| {
        let inspected = place.json(&["inspect", team]);
        inspected["agents"][1]["period_us"].as_u64().unwrap()
    };
    assert_eq!(period("run"), 100_000);
    let card = |team: &str| fs::read_to_string(place.path(team).join("README.md")).unwrap();
    assert!(
        card("run/team").contains("A step every 100,000 µs, as in training"),
        "{}",
        card("run/team")
    );
    let exported = place.json(&["export", "run", "--out", "fast", "--period-us", "20000"]);
    assert_eq!(exported["period_us"], 20_000);
    assert_eq!(period("fast"), 20_000);
    let said =
        "A step every 20,000 µs, where a step of the task it was trained in takes 100,000 µs";
    assert!(card("fast").contains(said), "{}", card("fast"));
    // It is the team's from then on, until it is said to have none.
    place.json(&["export", "fast", "--out", "again"]);
    assert_same_files(&place.path("fast"), &place.path("again"));
    place.json(&["export", "fast", "--out", "none", "--period-us", "0"]);
    assert_eq!(period("none"), 0);
    assert!(!card("none").contains("A step every"));
    place.json(&["export", "none", "--out", "back", "--period-us", "100000"]);
    assert_same_files(&place.path("run/team"), &place.path("back"));
    // What is no number is refused by clap, whose errors take several lines.
    let output = place.run(&["export", "run", "--out", "x", "--period-us=-1"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.starts_with("error: ") && message.contains("--period-us"),
        "{message}"
    );
    assert!(!place.path("x").exists());
}

#[test]
fn a_key_is_new_and_its_owners_alone() {
    let place = Place::new();
    let train = [
        "train",
        "evade",
        "--steps",
        "8000",
        "--shared-seed",
        "--method",
        "factored",
    ];
    place.json(&[&train[..], &["--out", "run"]].concat());
    place.json(&["export", "run", "--out", "same"]);
    assert_same_files(&place.path("run/team"), &place.path("same"));
    for out in ["one", "two"] {
        place.json(&["export", "run", "--out", out, "--new-key"]);
        place.json(&["eval", out, "--episodes", "50"]);
    }
    let key = |out: &str| fs::read_to_string(place.path(out).join("shared-seed.key")).unwrap();
    assert!(key("one") != key("two") && key("one") != key("same"));
    let golden = fs::read_to_string(place.path("one/agent-0.golden.json")).unwrap();
    assert!(golden.contains(key("one").trim()));
    // A wrong key is noticed.
    fs::write(place.path("two/shared-seed.key"), key("one")).unwrap();
    let message = place.error(2, &["eval", "two"]);
    assert!(
        message.contains("found a key with the fingerprint"),
        "{message}"
    );

    // A copy that is signed has what a team has: no secret that lay beside it.
    place.json(&["keygen", "signer"]);
    fs::copy(place.path("signer"), place.path("one/signer")).unwrap();
    fs::write(place.path("one/notes.txt"), "of no concern").unwrap();
    let sign = ["sign", "one", "--key", "signer", "--out", "signed"];
    place.json(&sign);
    let names = |out: &str| files(&place.path(out)).into_keys().collect::<Vec<_>>();
    assert_eq!(names("signed"), names("run/team"));
    place.json(&["inspect", "signed", "--public-key", "signer.pub"]);
    #[cfg(unix)]
    {
        assert_eq!(mode(&place.path("signer")), 0o600);
        for out in ["run/team", "one", "signed"] {
            for secret in [
                "shared-seed.key",
                "agent-0.golden.json",
                "agent-1.golden.json",
            ] {
                assert_eq!(mode(&place.path(out).join(secret)), 0o600, "{out}/{secret}");
            }
            assert_ne!(mode(&place.path(out).join("agent-0.image")), 0o600);
        }
    }

    place.json(&short(&["--out", "plain"]));
    let message = place.error(2, &["export", "plain", "--out", "x", "--new-key"]);
    assert!(
        message.contains("found a team without a shared seed"),
        "{message}"
    );
    assert!(!place.path("x").exists());
}

/// The symbols of training come from a stream like every other draw: a killed run goes on with them.
#[test]
fn a_killed_run_with_a_shared_seed_ends_in_the_same_bits() {
    let place = Place::new();
    let train = |out| {
        [
            sequential("two-step", "40000", out),
            vec!["--shared-seed=3"],
        ]
        .concat()
    };
    let mut child = place
        .command(&train("killed"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    // With a checkpoint to go on from.
    let checkpoint = place.path("killed/checkpoint");
    while fs::read_dir(&checkpoint).map_or(0, Iterator::count) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let over = place.path("killed/team").exists();
    assert!(!over, "the run was over before it was killed");
    for out in ["killed", "whole"] {
        place.json(&train(out));
    }
    assert_same_files(&place.path("killed"), &place.path("whole"));
    let seeded = place.json(&["inspect", "whole"]);
    assert_eq!(seeded["agents"][0]["shared_seed"]["symbols"], 3);
}
