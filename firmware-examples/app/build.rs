//! Embeds one agent: its image as it is, its golden sequence as arrays.
//!
//! `CONSORT_TEAM_DIR` names the team's folder and `CONSORT_AGENT` the agent; by default agent 0 of `models/assurance`.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    if let Err(message) = embed() {
        println!("cargo::error={message}");
    }
}

fn embed() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=CONSORT_TEAM_DIR");
    println!("cargo::rerun-if-env-changed=CONSORT_AGENT");
    let team = match env::var_os("CONSORT_TEAM_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/assurance"),
    };
    let agent = env::var("CONSORT_AGENT").unwrap_or_else(|_| "0".into());
    let image = team.join(format!("agent-{agent}.image"));
    let golden = team.join(format!("agent-{agent}.golden.json"));
    let out =
        PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR: cargo sets it for build scripts")?);

    // The image is copied unread: it is the device's own check that must refuse a bad one.
    write(&out.join("agent.image"), &read(&image)?)?;
    let golden_bytes = read(&golden)?;
    let [sequence, expected] =
        expressions(&golden_bytes).map_err(|what| format!("{}: {what}", golden.display()))?;
    write(&out.join("sequence.rs"), sequence.as_bytes())?;
    write(&out.join("expected.rs"), expected.as_bytes())
}

/// The Rust expressions of the golden sequence and of what it says is done, bit by bit: a decimal literal might round.
fn expressions(golden: &[u8]) -> Result<[String; 2], String> {
    let golden: serde_json::Value =
        serde_json::from_slice(golden).map_err(|error| error.to_string())?;
    let steps = golden["steps"]
        .as_array()
        .ok_or("`steps` is missing or not a list")?;
    let (mut observations, mut starts, mut masks) = (String::new(), String::new(), String::new());
    let (mut actions, mut values) = (String::new(), String::new());
    let mut moments = String::new();
    for (t, step) in steps.iter().enumerate() {
        for bits in bits(step, "observation").map_err(|what| format!("step {t}: {what}"))? {
            observations += &format!("f32::from_bits({bits:#010x}),\n");
        }
        // An action is a number, or one a group, beside its logits, or a vector.
        let outputs = match step.get("logits") {
            Some(_) => {
                let list = match &step["action"] {
                    serde_json::Value::Array(list) => list.as_slice(),
                    number => std::slice::from_ref(number),
                };
                for action in list {
                    let number = action.as_u64();
                    let number = number.ok_or(format!("step {t}: `action` is no number"))?;
                    actions += &format!("{number}, ");
                }
                "logits"
            }
            None => "action",
        };
        for bits in bits(step, outputs).map_err(|what| format!("step {t}: {what}"))? {
            values += &format!("{bits:#010x}, ");
        }
        // Of one-shot games, neither is written: every step is an episode, and nothing is forbidden.
        starts += &flag(&step["start"]).map_err(|what| format!("step {t}: `start` {what}"))?;
        for allowed in step["mask"].as_array().into_iter().flatten() {
            masks += &flag(allowed).map_err(|what| format!("step {t}: `mask` {what}"))?;
        }
        if let Some(moment) = step["moment"].as_array() {
            let number = |index: usize| moment.get(index).and_then(serde_json::Value::as_u64);
            let (episode, tick) = (number(0).zip(number(1)))
                .ok_or(format!("step {t}: `moment` is not two whole numbers"))?;
            moments += &format!("({episode}, {tick}), ");
        }
    }
    let seed = match golden["shared_seed"]["key"].as_str() {
        None => "None".to_owned(),
        Some(key) => format!(
            "Some(SequenceSeed {{ key: {:?}, moments: &[{moments}] }})",
            bytes(key)?
        ),
    };
    Ok([
        format!(
            "Sequence {{\nobservations: &[\n{observations}],\nstarts: &[{starts}],\nmasks: &[{masks}],\nseed: {seed},\n}}"
        ),
        format!("Expected {{\nactions: &[{actions}],\nvalues: &[{values}],\n}}"),
    ])
}

/// The list `name` of a step: the bits of `f32`s.
fn bits(step: &serde_json::Value, name: &str) -> Result<Vec<u32>, String> {
    let list = step[name]
        .as_array()
        .ok_or(format!("`{name}` is not a list"))?;
    let bits = |value: &serde_json::Value| {
        let bits = value.as_u64().and_then(|bits| u32::try_from(bits).ok());
        bits.ok_or(format!(
            "`{name}`: {value}: expected the bits of an f32 as a number"
        ))
    };
    list.iter().map(bits).collect()
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Result<Vec<u8>, String> {
    let byte = |at: usize| {
        digits
            .get(at..at + 2)
            .and_then(|two| u8::from_str_radix(two, 16).ok())
    };
    (0..digits.len())
        .step_by(2)
        .map(byte)
        .collect::<Option<Vec<u8>>>()
        .filter(|bytes| bytes.len() == 16)
        .ok_or("`key` of `shared_seed` is not 32 hexadecimal digits".to_owned())
}

/// The Rust expression of a truth value and a comma; nothing where there is none.
fn flag(value: &serde_json::Value) -> Result<String, String> {
    match value {
        serde_json::Value::Null => Ok(String::new()),
        serde_json::Value::Bool(flag) => Ok(format!("{flag}, ")),
        other => Err(format!("is {other}, expected true or false")),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read(path).map_err(|error| {
        format!(
            "{}: {error}; a team's folder is written by `consort export`",
            path.display()
        )
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
