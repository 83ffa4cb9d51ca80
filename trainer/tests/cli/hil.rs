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
    let replayed = place.json(&["hil", "--replay", "run.hil"]);
    assert_eq!(
        (&replayed["divergences"], &replayed["steps"]),
        (&0.into(), &40.into())
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

#[test]
fn flashing_is_three_steps() {
    let place = Place::new();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware-examples/real");
    let real = real.display().to_string();
    let team = model("assurance");
    let flash = |agent, board| {
        [
            "flash",
            &team,
            "--agent",
            agent,
            "--board",
            board,
            "--dry-run",
            "--source",
            &real,
        ]
        .map(str::to_owned)
    };
    for (board, chip) in [
        ("pico", "RP2040"),
        ("nrf52840", "nRF52840_xxAA"),
        ("stm32f4", "STM32F446RETx"),
        ("esp32c3", "esp32c3"),
    ] {
        let arguments = flash("1", board);
        let report = place.json(&arguments.each_ref().map(String::as_str));
        let steps: Vec<_> = report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step.as_str().unwrap())
            .collect();
        assert!(
            steps[0].contains("CONSORT_AGENT=1") && steps[0].contains("cargo build --release"),
            "{steps:?}"
        );
        // What cargo is to run by is what probe-rs is told.
        let folder = report["board"].as_str().unwrap();
        let config =
            fs::read_to_string(Path::new(&real).join(folder).join(".cargo/config.toml")).unwrap();
        assert!(config.contains(&format!("--chip {chip}\"")), "{config}");
        assert!(
            steps[1].starts_with(&format!("probe-rs download --chip {chip} ")),
            "{steps:?}"
        );
        assert_eq!(steps[2], format!("probe-rs reset --chip {chip}"));
    }
    let arguments = flash("2", "pico");
    let message = place.error(2, &arguments.each_ref().map(String::as_str));
    assert!(
        message.contains("agent 2: the team has 2 agents"),
        "{message}"
    );
}
