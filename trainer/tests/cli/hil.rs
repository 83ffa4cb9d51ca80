//! `hil` and `flash`: teams on devices.

use std::fs;
use std::path::Path;
use std::process::Command;

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
    // No fault is injected in it: two agents are greeted, sent an image in at most a few frames, and shown 20 steps each.
    assert_eq!(replayed["observations"], 40);
    assert!(replayed["frames"].as_u64() > Some(80), "{replayed}");
    // What episodes paid is not recorded.
    for key in ["return_mean", "return_host"] {
        assert!(replayed[key].is_null(), "{key}");
    }

    let mut recording = fs::read(place.path("run.hil")).unwrap();
    recording.truncate(recording.len() / 2);
    fs::write(place.path("run.hil"), recording).unwrap();
    let message = place.error(2, &["hil", "--replay", "run.hil"]);
    assert!(
        message.contains("run.hil: the recording is damaged"),
        "{message}"
    );
    for (path, part) in [
        (
            ".",
            ".: found a folder, expected a file that `consort hil --record` wrote",
        ),
        ("none", "none: cannot be read: "),
    ] {
        let message = place.error(2, &["hil", "--replay", path]);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_replay_has_the_seed_and_the_episodes_that_were_recorded() {
    let place = Place::new();
    let team = model("assurance");
    let record = [
        "hil",
        &team,
        "--seed",
        "7",
        "--episodes",
        "1",
        "--record",
        "r",
    ];
    assert!(place.run(&record).status.success());
    let replay = ["hil", "--replay", "r"];
    assert_eq!(place.json(&replay)["seed"], 7);
    let page = String::from_utf8(place.run(&replay).stdout).unwrap();
    assert!(
        page.starts_with("assurance, 1 episode, 1 step, seed 7\n"),
        "{page}"
    );
    assert!(!page.contains("return"), "{page}");
    for option in ["--seed", "--episodes", "--deadline-us"] {
        let run = place.run(&[&replay[..], &[option, "3"]].concat());
        assert_eq!(run.status.code(), Some(2), "{option}");
        let message = String::from_utf8(run.stderr).unwrap();
        assert!(message.contains("cannot be used with"), "{message}");
    }
}

#[test]
fn what_is_of_another_kind_is_not_replaced() {
    let place = Place::new();
    let team = model("assurance");
    let wrong = |arguments: &[&str], part: &str| {
        let message = place.error(2, &[&["hil", &team, "--episodes", "1"], arguments].concat());
        assert!(message.contains(part), "{message}");
    };
    fs::write(place.path("notes"), "mine").unwrap();
    wrong(
        &["--record", "notes"],
        "notes: found a file that is no recording; expected a recording, which is replaced, or a name that is free",
    );
    wrong(
        &["--svg", "notes"],
        "notes: found a file that is no picture (SVG); expected a picture (SVG), which is replaced, or a name that is free",
    );
    assert_eq!(fs::read(place.path("notes")).unwrap(), b"mine");
    for option in ["--record", "--svg"] {
        wrong(&[option, "."], ".: found a folder, expected a file's name");
        wrong(&[option, "nowhere/x"], "nowhere/x: cannot be written: ");
        wrong(&[option, "notes/x"], "notes/x: cannot be written: ");
        #[cfg(unix)]
        wrong(
            &[option, "/dev/null"],
            "/dev/null: found a device or a pipe",
        );
    }
    wrong(
        &["--record", "both", "--svg", "./both"],
        "./both: where both --record and --svg lead, expected a file for each",
    );
    assert!(!place.path("both").exists());
    // A recording is replaced, and so is a picture.
    for _ in 0..2 {
        let both = ["--record", "r.hil", "--svg", "s.svg"];
        let run = place.run(&[&["hil", &team][..], &both].concat());
        assert!(run.status.success());
    }
    assert!(
        fs::read(place.path("r.hil"))
            .unwrap()
            .starts_with(b"CONSORTHIL2")
    );
    assert!(fs::read(place.path("s.svg")).unwrap().starts_with(b"<svg"));
}

#[cfg(unix)]
#[test]
fn a_link_stays_and_what_it_leads_to_is_written() {
    use std::os::unix::fs::symlink;

    let place = Place::new();
    let team = model("assurance");
    fs::create_dir(place.path("kept")).unwrap();
    symlink("kept/run.hil", place.path("link")).unwrap();
    let record = ["hil", &team, "--record", "link"];
    // First there is nothing where it leads, then a recording.
    for _ in 0..2 {
        assert!(place.run(&record).status.success());
        assert!(place.path("link").is_symlink());
        let recording = fs::read(place.path("kept/run.hil")).unwrap();
        assert!(recording.starts_with(b"CONSORTHIL2"));
    }
    symlink("kept/new", place.path("other")).unwrap();
    let both = ["hil", &team, "--record", "other", "--svg", "kept/new"];
    let message = place.error(2, &both);
    assert!(message.contains("kept/new: where both"), "{message}");
    // Through a link to something else, nothing is replaced.
    symlink("/dev/full", place.path("full")).unwrap();
    let message = place.error(2, &["hil", &team, "--record", "full"]);
    assert!(message.contains("full: found a device"), "{message}");
    assert!(place.path("full").is_symlink());
}

/// No file may have a byte, which only shows when one is written.
#[cfg(target_os = "linux")]
#[test]
fn what_was_shown_is_printed_though_it_cannot_be_kept() {
    let place = Place::new();
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" hil \"$1\" --json --record run.hil";
    let run = Command::new("sh")
        .args([
            "-c",
            script,
            env!("CARGO_BIN_EXE_consort"),
            &model("assurance"),
        ])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["episodes"], 10);
    let message = String::from_utf8(run.stderr).unwrap();
    assert!(message.contains("run.hil: cannot be written"), "{message}");
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 0);
}

#[test]
fn where_nothing_was_compared_nothing_is_claimed() {
    let place = Place::new();
    let team = model("assurance");
    let dead = ["hil", &team, "--fault", "kill=0@0,kill=1@0"];
    let page = String::from_utf8(place.run(&dead).stdout).unwrap();
    assert!(page.ends_with("\nno step was compared\n"), "{page}");
    assert!(
        page.contains("; 2 agents killed\n") && !page.contains("board"),
        "{page}"
    );
    let report = place.json(&dead);
    assert!(report["agents"][0]["round_trip_us"].is_null(), "{report}");
}

/// An emulator that ends as QEMU does of firmware that is damaged.
#[cfg(unix)]
#[test]
fn how_an_emulator_ended_is_said_in_one_line() {
    let place = Place::new();
    let says = "echo qemu: fatal: Lockup >&2; echo R00=00000000 >&2; exit 3";
    let list = serde_json::json!({ "m3": {
        "board": "mps2-an385", "firmware": "m3.elf", "machine": ["sh", "-c", says],
    }});
    fs::write(place.path("boards.json"), list.to_string()).unwrap();
    fs::write(place.path("m3.elf"), "").unwrap();
    let team = model("assurance");
    let message = place.error(2, &["hil", &team, "--board", "qemu:m3", "--firmware", "."]);
    assert!(
        message.contains("sh: it ended at once: exit status: 3: qemu: fatal: Lockup;"),
        "{message}"
    );
    // The list beside the firmware decides which boards there are.
    let message = place.error(2, &["hil", &team, "--board", "qemu:m4f", "--firmware", "."]);
    assert!(
        message.contains(
            "boards.json: found firmware for qemu:m3, none for qemu:m4f; `cargo xtask firmware --board m4f` adds it"
        ),
        "{message}"
    );
    let message = place.error(2, &["hil", &team, "--board", "qemu:m7", "--firmware", "."]);
    assert!(
        message.contains("board `qemu:m7`: expected qemu:m3"),
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
            "looked for nowhere/boards.json; `cargo xtask firmware` builds",
        ),
        (
            &["--board", "qemu:m7"],
            "board `qemu:m7`: expected qemu:m0, qemu:m3",
        ),
        (
            &["--board", "serial:/dev/null"],
            "; expected a serial port that may be opened",
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
        ("pico", "RP2040", 0x101c_0000_u32, 0x101d_f000_u32),
        ("nrf52840", "nRF52840_xxAA", 0xc_0000, 0xd_f000),
        ("stm32f4", "STM32F446RETx", 0x802_0000, 0x800_4000),
        ("esp32c3", "esp32c3", 0x3c_0000, 0x3d_f000),
    ] {
        let report = place.json(&flash(&team, "1", board, &real));
        assert_eq!(report["board"], board);
        assert_eq!(report["image"], image);
        assert_eq!(report["records"], records);
        // What cargo is to run by is what probe-rs is told.
        let folder = report["folder"].as_str().unwrap();
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
            steps[3].starts_with(&(download.clone() + "--chip-erase "))
                && steps[3].ends_with(&binary)
        );
        for (step, address) in [(steps[4], image), (steps[5], records)] {
            let piece = format!("--binary-format bin --base-address {address:#010x} ");
            assert!(step.starts_with(&(download.clone() + &piece)), "{steps:?}");
        }
        assert_eq!(steps[6..], [format!("probe-rs reset --chip {chip}")]);
        let target = fs::canonicalize(Path::new(&real).join(".."))
            .unwrap()
            .join("target");
        assert!(steps[0].contains(&format!("--target-dir {}", target.display())));
        let piece = target.join(format!("{folder}-agent-1.image"));
        assert!(steps[4].ends_with(&piece.display().to_string()));
    }
    let message = place.error(2, &flash(&team, "2", "pico", &real));
    assert!(
        message.contains("agent 2: the team has 2 agents"),
        "{message}"
    );
}

/// What is to be downloaded is made by the steps before.
#[cfg(unix)]
#[test]
fn the_steps_of_a_dry_run_make_the_files_that_they_name() {
    let place = Place::new();
    let board = Path::new(&real()).join("rpi-pico/board.toml");
    fs::create_dir_all(place.path("fw/my real/rpi-pico")).unwrap();
    fs::create_dir(place.path("fw/target")).unwrap();
    fs::copy(board, place.path("fw/my real/rpi-pico/board.toml")).unwrap();
    let team = model("assurance");
    let report = place.json(&flash(&team, "1", "pico", "fw/my real"));
    let steps = steps(&report);
    for (step, download) in [(1, 4), (2, 5)] {
        let (_, file) = steps[download].rsplit_once(' ').unwrap();
        assert!(!Path::new(file).exists());
        // In whatever folder.
        let taken = Command::new("sh")
            .args(["-c", steps[step]])
            .current_dir("/")
            .status();
        assert!(taken.unwrap().success());
        let made = fs::read(file).unwrap();
        match step {
            1 => {
                let image = Path::new(&team).join("agent-1.image");
                assert_eq!(made, fs::read(image).unwrap());
            }
            _ => assert!(made.len() % 32 == 0 && !made.is_empty()),
        }
    }
}

#[test]
fn a_source_without_the_board_is_named_and_what_is_missing_in_it() {
    let place = Place::new();
    let team = model("assurance");
    let message = place.error(2, &flash(&team, "1", "pico", "."));
    assert!(
        message.contains(".: no `rpi-pico/board.toml` in it; "),
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
    // Without what is to be replayed there is nothing to build.
    fs::create_dir(place.path("bare")).unwrap();
    for entry in fs::read_dir(&team).unwrap() {
        let entry = entry.unwrap();
        if !entry.path().ends_with("agent-1.golden.json") {
            fs::copy(entry.path(), place.path("bare").join(entry.file_name())).unwrap();
        }
    }
    let arguments = [&flash("bare", "1", "pico", &real)[..], &["--app", "replay"]].concat();
    let message = place.error(2, &arguments);
    assert!(
        message.contains("agent-1.golden.json: not there"),
        "{message}"
    );
    let arguments = [&flash("bare", "0", "pico", &real)[..], &["--app", "replay"]].concat();
    assert!(place.run(&arguments).status.success());
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
