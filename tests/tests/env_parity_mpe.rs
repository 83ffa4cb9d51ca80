//! The multi-particle environments ≈ their originals: recorded episodes of `mpe2`, replayed from
//! the state each began in to its end without correction. `tests/recordings/mpe.py` recorded them.

use std::path::Path;

use consort_trainer::env::mpe::{ParticleEnvironment, Scenario, Vector, World};
use consort_trainer::env::{Environment, JointAction};
use consort_trainer::rng::Stream;
use serde_json::Value;

/// Largest difference of a number near 1 after up to 25 steps: f32 has 6e-8 there, and the two
/// sides' exponentials may differ in the last bit of f64.
const TOLERANCE: f64 = 1e-6;

const SPREAD: Scenario = Scenario::Spread { agents: 3 };

#[test]
fn spread_is_the_originals() {
    replay(SPREAD, false, "spread-discrete", 2);
}

#[test]
fn continuous_spread_is_the_originals() {
    replay(SPREAD, true, "spread-continuous", 2);
}

#[test]
fn speaker_listener_is_the_originals() {
    replay(
        Scenario::SpeakerListener,
        false,
        "speaker-listener-discrete",
        1,
    );
}

#[test]
fn continuous_speaker_listener_is_the_originals() {
    replay(
        Scenario::SpeakerListener,
        true,
        "speaker-listener-continuous",
        1,
    );
}

#[test]
fn reference_is_the_originals() {
    replay(Scenario::Reference, false, "reference-discrete", 2);
}

#[test]
fn continuous_reference_is_the_originals() {
    replay(Scenario::Reference, true, "reference-continuous", 2);
}

/// Replays all parts of a recording; at least 1,000 steps together.
fn replay(scenario: Scenario, continuous: bool, name: &str, parts: usize) {
    let mut steps = 0;
    for part in 0..parts {
        let mut recording = Recording::open(&format!("mpe-{name}-{part}.bin"));
        let mut environment = ParticleEnvironment::new(scenario, continuous);
        check_spaces(&environment, &recording.header);
        let episodes = recording.number("episodes");
        for episode in 0..episodes {
            steps += replay_episode(
                scenario,
                &mut environment,
                &mut recording,
                &format!("{name}-{part}, episode {episode}"),
            );
        }
        assert_eq!(recording.at, recording.bytes.len(), "{name}: all is read");
    }
    assert!(steps >= 1_000, "{name}: {steps} steps");
}

/// The sizes of observations and actions, exactly.
fn check_spaces(environment: &ParticleEnvironment, header: &Value) {
    let spec = environment.spec();
    assert_eq!(header["continuous"], spec.is_continuous());
    let observations: Vec<_> = spec.agents.iter().map(|agent| agent.observation).collect();
    let actions: Vec<_> = (spec.agents.iter())
        .map(|agent| agent.actions.size())
        .collect();
    assert_eq!(header["observations"], serde_json::json!(observations));
    assert_eq!(header["actions"], serde_json::json!(actions));
    assert_eq!(header["steps"], spec.horizon);
}

/// One episode; returns its steps.
fn replay_episode(
    scenario: Scenario,
    environment: &mut ParticleEnvironment,
    recording: &mut Recording,
    whence: &str,
) -> usize {
    let spec = environment.spec().clone();
    let agents = spec.agents.len();
    let (marks, goals) = (recording.number("landmarks"), recording.number("goals"));
    let world = World {
        positions: recording.vectors(agents),
        velocities: vec![[0.0; 2]; agents],
        landmarks: recording.vectors(marks),
        messages: vec![0.0; agents * scenario.words()],
        goals: recording
            .doubles(goals)
            .iter()
            .map(|&goal| goal as u32)
            .collect(),
        steps: 0,
    };
    let mut seen = vec![f32::NAN; spec.joint_observation()];
    environment.place(world, &mut seen).unwrap();
    compare(
        &wide(&seen),
        &wide(&recording.singles(seen.len())),
        whence,
        "observations",
    );

    let mut stream = Stream::new(0, "unused", 0);
    for step in 1..=spec.horizon {
        let whence = format!("{whence}, step {step}");
        let paid = if spec.is_continuous() {
            let actions = recording.singles(spec.joint_actions());
            environment.step(JointAction::Continuous(&actions), &mut stream, &mut seen)
        } else {
            let actions = recording.singles(agents);
            let actions: Vec<u32> = actions.iter().map(|&action| action as u32).collect();
            environment.step(JointAction::Discrete(&actions), &mut stream, &mut seen)
        };
        let rewards: f64 = recording.doubles(agents).iter().sum();
        compare(&[f64::from(paid.reward)], &[rewards], &whence, "reward");
        let world = environment.world();
        for (own, what) in [
            (&world.positions, "positions"),
            (&world.velocities, "velocities"),
        ] {
            let expected = recording.vectors(agents);
            compare(own.as_flattened(), expected.as_flattened(), &whence, what);
        }
        compare(
            &wide(&seen),
            &wide(&recording.singles(seen.len())),
            &whence,
            "observations",
        );
        assert!(!paid.terminated, "{whence}");
        assert_eq!(paid.truncated, step == spec.horizon, "{whence}");
    }
    spec.horizon
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| f64::from(number)).collect()
}

/// Within the tolerance, relative for what is larger than 1.
fn compare(own: &[f64], expected: &[f64], whence: &str, what: &str) {
    assert_eq!(own.len(), expected.len(), "{whence}: {what}");
    for (own, expected) in own.iter().zip(expected) {
        let error = (own - expected).abs();
        assert!(
            error <= TOLERANCE * expected.abs().max(1.0),
            "{whence}: {what}: {own}, but the original had {expected}"
        );
    }
}

/// What a file holds, read from front to back.
struct Recording {
    header: Value,
    bytes: Vec<u8>,
    /// How much of it is read.
    at: usize,
}

impl Recording {
    fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/data");
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let line = bytes.iter().position(|&byte| byte == b'\n').unwrap();
        Self {
            header: serde_json::from_slice(&bytes[..line]).unwrap(),
            at: line + 1,
            bytes,
        }
    }

    /// A number of the header.
    fn number(&self, key: &str) -> usize {
        self.header[key].as_u64().unwrap() as usize
    }

    fn take<const BYTES: usize>(&mut self, count: usize) -> Vec<[u8; BYTES]> {
        let taken = &self.bytes[self.at..][..count * BYTES];
        self.at += taken.len();
        taken.as_chunks().0.to_vec()
    }

    fn doubles(&mut self, count: usize) -> Vec<f64> {
        self.take(count)
            .into_iter()
            .map(f64::from_le_bytes)
            .collect()
    }

    fn singles(&mut self, count: usize) -> Vec<f32> {
        self.take(count)
            .into_iter()
            .map(f32::from_le_bytes)
            .collect()
    }

    fn vectors(&mut self, count: usize) -> Vec<Vector> {
        self.doubles(2 * count).as_chunks().0.to_vec()
    }
}
