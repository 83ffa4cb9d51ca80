//! Runs that are killed: nothing half-written is trusted, and the same command goes on.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::place::{Place, assert_same_files, sequential, short};

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
        assert_eq!(
            stderr,
            "note: killed goes on from what is whole of its checkpoints\n"
        );
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
