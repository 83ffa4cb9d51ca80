//! What a run recorded is not lost when it fails.

use std::time::Duration;

use consort_trainer::algo::Metrics;
use consort_trainer::checkpoint::Checkpoints;
use consort_trainer::config::Config;
use consort_trainer::run_folder::RunFolder;
use consort_trainer::train::{Record, Store};

/// Within `keep_every` of the last writing records wait; a flush writes them all the same.
#[test]
fn a_flush_writes_what_still_waits() {
    let place = tempfile::tempdir().unwrap();
    let config = Config {
        task: "climbing".to_owned(),
        ..Config::default()
    };
    let folder = RunFolder::open(&config, Some(&place.path().join("run"))).unwrap();
    let store = Checkpoints::new(&folder, &config, Duration::MAX, &|_| ());
    let record = |env_steps| Record {
        arm: 0,
        env_steps,
        metrics: Metrics::default(),
        values: None,
    };
    let lines = || {
        let text = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
        text.lines().count()
    };
    store.recorded(0, &[record(16)]).unwrap();
    assert_eq!(lines(), 1);
    store.recorded(0, &[record(16), record(32)]).unwrap();
    assert_eq!(lines(), 1);
    store.flush().unwrap();
    assert_eq!(lines(), 2);
}
