//! `consort keygen` and `consort sign` from outside: keys, signed teams, and what is refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use consort_runtime::{Ed25519, Image};
use consort_trainer::team::{Team, read_image};
use serde_json::Value;

const TEAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/climbing-private");

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consort"));
    command.args(arguments).current_dir(folder);
    command.output().unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, &[arguments, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The message of a command that finds its input bad.
fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_signed_team_is_the_same_team_and_only_its_key_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = json(folder, &["keygen", "team.key"]);
    assert_eq!(made["public_key_file"], "team.key.pub");
    let signed = json(
        folder,
        &[
            "sign",
            TEAM,
            "--key",
            "team.key",
            "--revision",
            "300",
            "--out",
            "signed",
        ],
    );
    assert_eq!(signed["revision"], 300);
    assert_eq!(signed["public_key"], made["public_key"]);

    // Whole, by the same checks as any team, and with the same weights in every image.
    let before = Team::load(Path::new(TEAM)).unwrap();
    let after = Team::load(&folder.join("signed")).unwrap();
    assert_eq!(after.manifest.team, before.manifest.team);
    let key: [u8; 32] = fs::read(folder.join("team.key.pub"))
        .unwrap()
        .try_into()
        .unwrap();
    for (old, new) in before.actors.images().iter().zip(after.actors.images()) {
        let image = Image::new_verified(new.bytes(), &mut Ed25519::new(key)).unwrap();
        assert_eq!((old.view().revision(), image.revision()), (1, 300));
        let weights = |image: &Image<'_>| {
            let bytes = image.signed_bytes();
            let len: usize = image.layers().map(|layer| layer.weight_bytes).sum();
            bytes[bytes.len() - len..].to_vec()
        };
        assert_eq!(weights(&old.view()), weights(&image));
    }
    for name in ["config.toml", "weights.safetensors", "agent-1.golden.json"] {
        let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
        assert_eq!(
            read(&folder.join("signed")),
            read(Path::new(TEAM)),
            "{name}"
        );
    }

    // Signed again, by another key, without another revision.
    json(folder, &["keygen", "other.key"]);
    let again = json(
        folder,
        &["sign", "signed", "--key", "other.key", "--out", "again"],
    );
    assert_eq!(again["revision"], 300);
    let checked = json(
        folder,
        &["inspect", "again", "--public-key", "other.key.pub"],
    );
    assert_eq!(checked["agents"][1]["verified"], true);
    assert_eq!(
        json(folder, &["inspect", "again"])["agents"][1]["verified"],
        false
    );
    let message = error(
        folder,
        &["inspect", "again", "--public-key", "team.key.pub"],
    );
    assert!(
        message.contains("again/agent-0.image: the signature does not fit"),
        "{message}"
    );
    let message = error(folder, &["inspect", TEAM, "--public-key", "team.key.pub"]);
    assert!(message.contains("the image is not signed"), "{message}");
}

#[test]
fn nothing_is_signed_by_halves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    json(folder, &["keygen", "team.key"]);
    let message = error(folder, &["keygen", "team.key"]);
    assert!(
        message.contains("team.key: found something there already"),
        "{message}"
    );
    let sign = |key: &str, out: &str| error(folder, &["sign", TEAM, "--key", key, "--out", out]);
    assert!(sign("absent.key", "out").contains("absent.key: cannot be read"));
    assert!(sign("team.key.pub", "out").contains("expected PKCS#8 in PEM"));
    fs::create_dir(folder.join("full")).unwrap();
    fs::write(folder.join("full/file"), b"").unwrap();
    assert!(sign("team.key", "full").contains("found something there already"));
    assert!(!folder.join("out").exists());
    let unsigned = read_image(&Path::new(TEAM).join("agent-0.image")).unwrap();
    assert_eq!(unsigned.view().signature(), None);
}
