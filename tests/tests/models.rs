//! The committed teams: they load, they earn what their cards say, their goldens hold, and no
//! damaged byte of an image gets by.

use consort_runtime::Image;
use consort_tests::committed_teams;
use consort_trainer::team::{AlignedImage, Choice, Team};
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
    for needed in ["assurance", "climbing-private"] {
        assert!(names.contains(&needed), "{names:?}");
    }
    teams
}

#[test]
fn committed_teams_earn_the_optimum() {
    for team in teams() {
        let game = team.task.game().expect("a game");
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

#[test]
fn goldens_hold_on_the_host() {
    for team in teams() {
        for agent in 0..team.actors.images().len() {
            let path = team.folder.join(format!("agent-{agent}.golden.json"));
            let text = std::fs::read_to_string(&path).unwrap();
            let golden: Value = serde_json::from_str(&text).unwrap();
            let steps = golden["steps"].as_array().unwrap();
            assert!(steps.len() >= 32, "{}", path.display());
            for step in steps {
                let bits = |key: &str| -> Vec<u32> {
                    let values = step[key].as_array().unwrap();
                    values
                        .iter()
                        .map(|bits| bits.as_u64().unwrap() as u32)
                        .collect()
                };
                let observation: Vec<f32> = bits("observation")
                    .into_iter()
                    .map(f32::from_bits)
                    .collect();
                let (logits, action) = team.actors.logits(agent, &observation).unwrap();
                let logits: Vec<u32> = logits.iter().map(|logit| logit.to_bits()).collect();
                assert_eq!(logits, bits("logits"), "{}", path.display());
                assert_eq!(action as u64, step["action"].as_u64().unwrap());
            }
        }
    }
}

/// Every byte of a real image, every single bit of it and all bits at once: refused, each time.
#[test]
fn a_flipped_byte_anywhere_is_refused() {
    for team in teams() {
        for image in team.actors.images() {
            for position in 0..image.bytes().len() {
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
