//! The committed teams: they load, they earn what their cards say, their goldens hold, and no
//! damaged byte of an image gets by.

use std::path::Path;

use consort_runtime::Image;
use consort_tests::committed_teams;
use consort_trainer::config::Layers;
use consort_trainer::export::{Changes, export_again};
use consort_trainer::team::{AlignedImage, Choice, Decision, Team};
use serde_json::Value;

fn teams() -> Vec<Team> {
    let teams: Vec<Team> = committed_teams()
        .iter()
        .map(|path| Team::load(path).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    let names: Vec<&str> = teams
        .iter()
        .map(|team| team.manifest.task.as_str())
        .collect();
    for needed in ["assurance", "climbing-private", "evade", "two-step"] {
        assert!(names.contains(&needed), "{names:?}");
    }
    assert!(
        teams
            .iter()
            .any(|team| team.manifest.quantisation.is_some())
    );
    teams
}

#[test]
fn committed_teams_earn_the_optimum() {
    for team in teams() {
        // What an episodic team earns is its study's business.
        let Some(game) = team.task.game() else {
            continue;
        };
        let greedy = team.actors.exact(game, Choice::Greedy).unwrap();
        let optimum = team.task.optimum().expect("a solved game");
        assert!(
            (greedy - optimum).abs() < 1e-9,
            "{}: {greedy}",
            team.manifest.task
        );
        assert_eq!(greedy, team.manifest.returns.exported);
    }
}

/// Whoever holds a team can find the sources that made it.
#[test]
fn committed_teams_come_from_a_clean_commit() {
    for team in teams() {
        let commit = team.manifest.commit.as_deref().unwrap_or("none");
        let hexadecimal = commit.bytes().all(|digit| digit.is_ascii_hexdigit());
        assert!(
            commit.len() == 40 && hexadecimal,
            "{}: {commit}",
            team.manifest.task
        );
    }
}

/// A team is what its settings and weights hash to, and what leaves from them again is the same to the byte.
#[test]
fn committed_teams_are_exported_again_to_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    for team in teams() {
        // Some judge themselves by minutes of episodes, and the integer one by episodes that a later trainer draws otherwise.
        let long = team.task.game().is_none() && team.task.spec().horizon > 25;
        if long || team.manifest.quantisation.is_some() {
            continue;
        }
        let name = team.folder.file_name().unwrap();
        let [out, timed] = ["same", "timed"].map(|kind| folder.path().join(kind).join(name));
        let again = export_again(&team.folder, &out, Changes::default()).unwrap();
        assert_eq!(again.manifest, team.manifest);
        for file in std::fs::read_dir(&team.folder).unwrap() {
            let file = file.unwrap().file_name();
            let read = |folder: &Path| std::fs::read(folder.join(&file)).unwrap();
            assert_eq!(read(&out), read(&team.folder), "{name:?}: {file:?}");
        }
        // Nothing but the period, and what follows from it.
        let period = Changes {
            period_us: Some(20_000),
            ..Changes::default()
        };
        let other = export_again(&team.folder, &timed, period).unwrap();
        assert_eq!(other.manifest.team, team.manifest.team);
        for (image, own) in std::iter::zip(other.actors.images(), team.actors.images()) {
            assert_eq!(image.view().period_us(), 20_000);
            assert_ne!(image.view().crc(), own.view().crc());
        }
        // It stays with the team from then on.
        let third = folder.path().join("third").join(name);
        let third = export_again(&timed, &third, Changes::default()).unwrap();
        assert_eq!(third.actors.period_us(), 20_000);
    }
}

/// A team's settings train it again, so the trainer must still know every one of them.
#[test]
fn committed_settings_can_be_read() {
    for team in teams() {
        let mut layers = Layers::new();
        layers.file(&team.folder.join("config.toml")).unwrap();
        let (_, task) = layers.resolve().unwrap();
        assert_eq!(task.name(), team.manifest.task);
    }
}

#[test]
fn goldens_hold_on_the_host() {
    for team in teams() {
        for agent in 0..team.actors.images().len() {
            let path = team.folder.join(format!("agent-{agent}.golden.json"));
            let text = std::fs::read_to_string(&path).unwrap();
            let golden: Value = serde_json::from_str(&text).unwrap();
            let steps = golden["steps"].as_array().unwrap();
            let one_shot = team.task.game().is_some();
            let least = if one_shot { 32 } else { 300 };
            assert!(steps.len() >= least, "{}", path.display());
            let mut actor = team.actors.actor(agent);
            for (t, step) in steps.iter().enumerate() {
                let place = format!("{}, step {t}", path.display());
                let bits = |key: &str| -> Vec<u32> {
                    let values = step[key].as_array().expect(&place);
                    values
                        .iter()
                        .map(|bits| bits.as_u64().unwrap() as u32)
                        .collect()
                };
                let observation: Vec<f32> = bits("observation")
                    .into_iter()
                    .map(f32::from_bits)
                    .collect();
                // Every step of a one-shot game is an episode.
                if step["start"].as_bool().unwrap_or(one_shot) {
                    actor.reset();
                }
                let mask: Option<Vec<bool>> = step["mask"]
                    .as_array()
                    .map(|mask| mask.iter().map(|may| may.as_bool().unwrap()).collect());
                let decision = actor.decide(&observation, mask.as_deref()).unwrap();
                let found = |values: &[f32]| -> Vec<u32> {
                    values.iter().map(|value| value.to_bits()).collect()
                };
                match decision {
                    Decision::Discrete { action, logits } => {
                        assert_eq!(found(&logits), bits("logits"), "{place}");
                        assert_eq!(Some(action as u64), step["action"].as_u64(), "{place}");
                    }
                    Decision::Groups { choices, logits } => {
                        assert_eq!(found(&logits), bits("logits"), "{place}");
                        assert_eq!(choices, bits("action"), "{place}");
                    }
                    Decision::Continuous(action) => {
                        assert_eq!(found(&action), bits("action"), "{place}");
                    }
                }
            }
        }
    }
}

/// Every byte of a real image, every single bit of it and all bits at once: refused, each time.
#[test]
fn a_flipped_byte_anywhere_is_refused() {
    for team in teams() {
        for image in team.actors.images() {
            // Every byte of a small image; of a large one, whose every check reads it whole, as many spread over it.
            let (len, most) = (image.bytes().len(), 2 * 1024);
            for position in (0..len).step_by(len.div_ceil(most)) {
                for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                    let mut bytes = image.bytes().to_vec();
                    bytes[position] ^= mask;
                    let result = AlignedImage::new(&bytes);
                    assert!(result.is_err(), "byte {position} ^ {mask} passed");
                }
            }
            assert!(Image::new_checked(image.bytes()).is_ok());
        }
    }
}
