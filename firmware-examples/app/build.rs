//! Embeds one agent: its image as it is, its golden observations as an array.
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
    let observations =
        observations(&read(&golden)?).map_err(|what| format!("{}: {what}", golden.display()))?;
    write(&out.join("observations.rs"), observations.as_bytes())
}

/// The Rust expression of the golden observations, bit by bit: a decimal literal might round.
fn observations(golden: &[u8]) -> Result<String, String> {
    let golden: serde_json::Value =
        serde_json::from_slice(golden).map_err(|error| error.to_string())?;
    let steps = golden["steps"]
        .as_array()
        .ok_or("`steps` is missing or not a list")?;
    let mut expression = String::from("&[\n");
    for (t, step) in steps.iter().enumerate() {
        let observation = step["observation"]
            .as_array()
            .ok_or(format!("step {t}: `observation` is not a list"))?;
        for value in observation {
            let bits = value.as_u64().and_then(|bits| u32::try_from(bits).ok());
            let bits = bits.ok_or(format!(
                "step {t}: observation {value}: expected the bits of an f32 as a number"
            ))?;
            expression += &format!("f32::from_bits({bits:#010x}),\n");
        }
    }
    Ok(expression + "]")
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
