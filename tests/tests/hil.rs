//! A fleet on the bench, every device in this process: the committed teams act as on the host, whatever goes wrong.

use consort_tests::committed_teams;
use consort_trainer::hil::{Bench, BoardSpec, Faults, Recording, Report};
use consort_trainer::team::Team;

fn team(name: &str) -> Team {
    let folders = committed_teams();
    let folder = folders.iter().find(|path| path.ends_with(name)).unwrap();
    Team::load(folder).unwrap()
}

fn faulty(name: &str, faults: &str, episodes: u64) -> Report {
    let faults: Faults = faults.parse().unwrap();
    let team = team(name);
    let report = Bench::new(&team)
        .episodes(episodes)
        .seed(5)
        .faults(faults)
        .run();
    report.unwrap()
}

#[test]
fn every_committed_team_acts_as_on_the_host() {
    for folder in committed_teams() {
        let team = Team::load(&folder).unwrap();
        let report = Bench::new(&team)
            .boards(["host"])
            .unwrap()
            .episodes(20)
            .run()
            .unwrap();
        assert!(report.is_equal(), "{}: {report:?}", folder.display());
        assert_eq!(report.episodes, 20);
        assert_eq!(report.return_mean, report.return_host);
        let agents = report.agents.len() as u64;
        assert_eq!(report.observations, agents * report.steps);
    }
}

#[test]
fn no_fault_becomes_a_wrong_action() {
    for fault in ["drop", "delay", "corrupt", "duplicate", "reset", "desync"] {
        // A team that remembers, and one that shares a seed.
        for name in ["dec-tiger-h4", "evade-shared"] {
            let report = faulty(name, &format!("{fault}=0.1"), 60);
            assert!(report.is_equal(), "{name} {fault}: {report:?}");
            assert!(report.faults_injected > 0, "{name} {fault}");
            assert_eq!(
                report.faults_recovered, report.faults_injected,
                "{name} {fault}"
            );
            assert_eq!(report.return_mean, report.return_host, "{name} {fault}");
        }
    }
}

#[test]
fn a_device_that_restarts_in_mid_episode_comes_back_to_its_state() {
    let report = faulty("dec-tiger-h4", "reset=0.3,drop=0.05", 40);
    assert!(report.is_equal(), "{report:?}");
    assert!(report.agents.iter().all(|agent| agent.rejoined > 10));
}

#[test]
fn a_failing_sensor_and_a_dead_agent_cost_return_and_nothing_else() {
    let report = faulty("dec-tiger-h4", "nan=0.2", 60);
    assert!(
        report.is_equal() && report.faults_injected > 0,
        "{report:?}"
    );
    let report = faulty("dec-tiger-h4", "kill=1@10", 60);
    assert!(report.is_equal(), "{report:?}");
    // 60 episodes of four steps, of which the first ten were its own.
    assert_eq!(
        (report.agents[1].dead_steps, report.agents[1].steps),
        (230, 10)
    );
    let faults = (
        report.deaths,
        report.faults_injected,
        report.faults_recovered,
    );
    assert_eq!(faults, (1, 0, 0));
}

#[test]
fn the_same_seed_injects_the_same_faults() {
    let run = || {
        let report = faulty("evade-shared", "drop=0.1,reset=0.05,nan=0.1", 30);
        (
            report.faults_injected,
            report.steps,
            report.return_mean.map(f64::to_bits),
        )
    };
    assert_eq!(run(), run());
}

#[test]
fn a_recorded_run_is_a_file_that_replays() {
    let team = team("evade-shared");
    let faults: Faults = "nan=0.1,drop=0.1".parse().unwrap();
    let report = Bench::new(&team)
        .episodes(10)
        .faults(faults)
        .record()
        .run()
        .unwrap();
    let recording = report.recording.unwrap();
    // Whoever has the file has not the key: the symbols are in it.
    let key = std::fs::read_to_string(team.folder.join("shared-seed.key")).unwrap();
    let key: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let bytes = recording.to_bytes();
    assert!(!bytes.windows(16).any(|window| window == key));

    let path = std::env::temp_dir().join(format!("consort-hil-{}", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    let read = Recording::read(&path).unwrap();
    let replayed = read.replay(&[BoardSpec::Host], None).unwrap();
    assert!(
        replayed.is_equal() && replayed.steps == report.steps,
        "{replayed:?}"
    );
    for place in [0, 20, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(Recording::read(&path).is_err(), "byte {place}");
    }
    std::fs::remove_file(&path).unwrap();
}
