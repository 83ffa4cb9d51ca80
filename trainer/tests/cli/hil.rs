//! `hil` and `flash`: teams on devices.

use std::fs;
use std::path::Path;

use crate::place::Place;

/// A committed team.
fn model(name: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    models.join(name).display().to_string()
}

#[test]
fn a_fleet_is_reported_and_a_recording_replayed() {
    let place = Place::new();
    let team = model("evade-shared");
    let fault = "drop=0.1,reset=0.05";
    let arguments = [
        "hil",
        &team,
        "--episodes",
        "20",
        "--fault",
        fault,
        "--record",
        "run.hil",
    ];
    let report = place.json(&arguments);
    for (key, expected) in [
        ("episodes", 20),
        ("steps", 20),
        ("divergences", 0),
        ("wrong_unnoticed", 0),
    ] {
        assert_eq!(report[key], expected, "{key}");
    }
    assert!(report["faults_injected"].as_u64() > Some(0), "{report}");
    assert_eq!(report["faults_injected"], report["faults_recovered"]);
    assert_eq!(report["return_mean"], report["return_host"]);
    assert_eq!(report["deaths"], 0);
    let replayed = place.json(&["hil", "--replay", "run.hil"]);
    assert_eq!(
        (&replayed["divergences"], &replayed["steps"]),
        (&0.into(), &20.into())
    );

    let mut recording = fs::read(place.path("run.hil")).unwrap();
    recording.truncate(recording.len() / 2);
    fs::write(place.path("run.hil"), recording).unwrap();
    let message = place.error(2, &["hil", "--replay", "run.hil"]);
    assert!(
        message.contains("run.hil: the recording is damaged"),
        "{message}"
    );
}

#[test]
fn boards_and_faults_that_cannot_be_had_are_bad_input() {
    let place = Place::new();
    let team = model("assurance");
    for (arguments, part) in [
        (
            &["--board", "qemu:m4f", "--firmware", "nowhere"][..],
            "`cargo xtask firmware` builds",
        ),
        (
            &["--board", "host", "host", "host"],
            "found 3 boards, expected one, or 2",
        ),
        (&["--fault", "kill=7@0"], "the team has 2 agents"),
        (&["--board", "tcp:localhost:1"], "board `tcp:localhost:1`: "),
    ] {
        let arguments = [&["hil", &team][..], arguments].concat();
        let message = place.error(2, &arguments);
        assert!(message.contains(part), "{message}");
    }
    let message = place.error(2, &["hil", "none"]);
    assert!(
        message.contains("none: no such file or folder"),
        "{message}"
    );
}

/// Flashing, without taking a step: the arguments.
fn flash<'a>(team: &'a str, agent: &'a str, board: &'a str, real: &'a str) -> [&'a str; 9] {
    [
        "flash",
        team,
        "--agent",
        agent,
        "--board",
        board,
        "--source",
        real,
        "--dry-run",
    ]
}

fn real() -> String {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware-examples/real");
    real.display().to_string()
}

fn steps(report: &serde_json::Value) -> Vec<&str> {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|step| step.as_str().unwrap()).collect()
}

#[test]
fn flashing_builds_the_firmware_and_puts_the_image_into_its_slot() {
    let place = Place::new();
    let (real, team) = (real(), model("assurance"));
    for (board, chip, image, records) in [
        ("pico", "RP2040", 0x101e_0000_u32, 0x101e_f000_u32),
        ("nrf52840", "nRF52840_xxAA", 0xe_0000, 0xe_f000),
        ("stm32f4", "STM32F446RETx", 0x802_0000, 0x800_4000),
        ("esp32c3", "esp32c3", 0x3e_0000, 0x3e_f000),
    ] {
        let report = place.json(&flash(&team, "1", board, &real));
        assert_eq!(report["image"], image);
        assert_eq!(report["records"], records);
        // What cargo is to run by is what probe-rs is told.
        let folder = report["board"].as_str().unwrap();
        let config =
            fs::read_to_string(Path::new(&real).join(folder).join(".cargo/config.toml")).unwrap();
        assert!(config.contains(&format!("--chip {chip}\"")), "{config}");
        let steps = steps(&report);
        let binary = format!("consort-{folder}-hil");
        assert!(
            steps[0].contains("cargo build --release") && steps[0].contains(&binary),
            "{steps:?}"
        );
        let download = format!("probe-rs download --chip {chip} ");
        assert!(
            steps[1].starts_with(&(download.clone() + "--chip-erase "))
                && steps[1].ends_with(&binary)
        );
        for (step, address) in [(steps[2], image), (steps[3], records)] {
            let piece = format!("--binary-format bin --base-address {address:#010x} ");
            assert!(step.starts_with(&(download.clone() + &piece)), "{steps:?}");
        }
        assert_eq!(steps[4..], [format!("probe-rs reset --chip {chip}")]);
        let target = fs::canonicalize(Path::new(&real).join(".."))
            .unwrap()
            .join("target");
        assert!(steps[0].contains(&format!("--target-dir {}", target.display())));
        let piece = target.join(format!("{folder}-agent-1.image"));
        assert!(steps[2].ends_with(&piece.display().to_string()));
    }
    let message = place.error(2, &flash(&team, "2", "pico", &real));
    assert!(
        message.contains("agent 2: the team has 2 agents"),
        "{message}"
    );
}

#[test]
fn what_does_not_fit_a_board_is_refused_before_anything_is_built() {
    let place = Place::new();
    let team = model("assurance");
    // A board that lends a policy one value.
    let board = Path::new(&real()).join("rpi-pico/board.toml");
    let board = fs::read_to_string(board).unwrap();
    let small = board.replace("memory = 4096", "memory = 1");
    assert_ne!(small, board);
    fs::create_dir_all(place.path("small boards/rpi-pico")).unwrap();
    fs::write(place.path("small boards/Cargo.toml"), "").unwrap();
    fs::write(place.path("small boards/rpi-pico/board.toml"), small).unwrap();
    let message = place.error(2, &flash(&team, "1", "pico", "small boards"));
    assert!(
        message.contains("agent 1 on rpi-pico: the image computes in "),
        "{message}"
    );
    // The firmware that replays computes in memory of its own; and a shell takes the folder for one word.
    let arguments = [
        &flash(&team, "1", "pico", "small boards")[..],
        &["--app", "replay"],
    ]
    .concat();
    let report = place.json(&arguments);
    let steps = steps(&report);
    assert!(steps[0].contains("small boards/rpi-pico' && "), "{steps:?}");
}

#[test]
fn an_agent_that_replays_is_built_into_its_firmware() {
    let place = Place::new();
    let (real, team) = (real(), model("assurance"));
    let arguments = [&flash(&team, "1", "pico", &real)[..], &["--app", "replay"]].concat();
    let report = place.json(&arguments);
    let steps = steps(&report);
    assert!(
        steps[0].contains("CONSORT_AGENT=1")
            && steps[0].contains("--bin consort-rpi-pico --target-dir ")
    );
    assert!(
        steps[1].ends_with("release/consort-rpi-pico") && steps.len() == 3,
        "{steps:?}"
    );
}

#[test]
fn flashing_without_probe_rs_says_what_is_missing_before_anything_is_built() {
    let place = Place::new();
    let (real, team) = (real(), model("assurance"));
    let arguments = &flash(&team, "0", "pico", &real)[..8];
    // No program at all is found there.
    let run = place
        .command(arguments)
        .env("PATH", place.path(""))
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    let message = String::from_utf8(run.stderr).unwrap();
    assert!(
        message.contains(
            "probe-rs: not found; install it, probe-rs by `cargo install probe-rs-tools --locked`"
        ),
        "{message}"
    );
}
