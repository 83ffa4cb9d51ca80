//! The card: a team's README.

use std::fmt::Write as _;

use crate::env::Task;
use crate::report::{count, number};
use crate::team::{Actors, Choice, Manifest};

/// The text of a team's `README.md`.
pub(super) fn write(manifest: &Manifest, task: &Task, actors: &Actors) -> String {
    let Manifest { returns, .. } = manifest;
    let mut card = String::new();
    let mut line = |text: String| {
        let _ = writeln!(card, "{text}");
    };
    line(format!("# A team for `{}`\n", manifest.task));
    line(format!("The task: {}.\n", task.description()));
    line("| expected return of | |\n|---|---|".to_owned());
    let interval = returns.exported_interval;
    line(format!(
        "| the exported images, {} | {}{} |",
        manifest.act,
        number(Some(returns.exported)),
        interval.map_or(String::new(), |half| format!(" ± {half:.4}")),
    ));
    line(format!(
        "| the product of marginals, greedy | {} |",
        number(Some(returns.greedy))
    ));
    line(format!(
        "| the product of marginals | {} |",
        number(Some(returns.product))
    ));
    line(format!(
        "| the joint policy, training only | {} |",
        number(returns.joint)
    ));
    let apart = match manifest.shared_seed {
        Some(_) => "the best team that shares a seed",
        None => "the best team that acts apart",
    };
    line(format!("| {apart} | {} |\n", number(manifest.optimum)));
    line("| agent | image | observation | actions | bytes | multiply-adds | CRC-32 |".to_owned());
    line("|---|---|---|---|---|---|---|".to_owned());
    for (agent, (entry, image)) in manifest.agents.iter().zip(actors.images()).enumerate() {
        line(format!(
            "| {agent} | `{}` | {} | {} | {} | {} | `{}` |",
            entry.image,
            entry.observation,
            entry.actions,
            image.bytes().len(),
            image.view().multiply_adds(),
            entry.crc,
        ));
    }
    line(format!(
        "\nTeam `{}`, from arm {} (`{}`) of the method `{}`, seed {}, {} environment steps in all. \
         Repeated by:\n\n    {}",
        manifest.team,
        manifest.arm_index + 1,
        manifest.arm,
        manifest.method,
        manifest.seed,
        count(manifest.env_steps),
        manifest.command,
    ));
    if interval.is_some() {
        line(
            "\nReturns are means over episodes, ± half of the 95 % interval where it is given; that \
             of the joint policy is one over a few episodes."
                .to_owned(),
        );
    }
    let given = if manifest.agents.iter().any(|entry| entry.continuous) {
        "the greedy actions (all as the bits of f32 values)"
    } else {
        "the logits (as the bits of f32 values) and the greedy actions"
    };
    line(format!(
        "\n`agent-<i>.golden.json` holds observations with {given} that every device must give for them."
    ));
    if let Some(comparison) = &manifest.quantisation {
        let agreement = comparison.agreement.map_or_else(String::new, |part| {
            format!(
                " take the same greedy actions at {:.3} % of {} steps and",
                100.0 * part,
                count(comparison.steps)
            )
        });
        let tuned = match manifest.fine_tuned {
            Some(tuned) if tuned.kept => ", fine-tuned for them",
            _ => "",
        };
        line(format!(
            "\nThe images compute in whole numbers{tuned}. Beside those of the same networks in f32 they{agreement} earn {} \
             for {}.",
            number(Some(comparison.return_i8)),
            number(Some(comparison.return_f32)),
        ));
    }
    card + &on_a_device(manifest, task, actors.period_us())
}

/// How a device acts as the team was judged: greedily or by drawing.
fn on_a_device(manifest: &Manifest, task: &Task, period_us: u32) -> String {
    let (drawn, masked) = (manifest.act == Choice::Sampled, task.spec().masked);
    let mut text = String::from("\n## On a device\n\n");
    text += match manifest.act {
        Choice::Greedy if task.spec().is_continuous() => {
            "Every agent moves by the vector that its network gives, without noise.\n"
        }
        Choice::Greedy => "Every agent takes its most probable action at every step.\n",
        Choice::Sampled => {
            "The agents *draw* their actions at every step, as in training; greedily the same images are \
             another team. Each agent has a generator of its own, seeded so that no two draw alike.\n"
        }
    };
    if period_us > 0 {
        let [period, trained] = [period_us, task.spec().period_us].map(u64::from);
        text += &format!("A step every {} µs", count(period));
        text += &match trained {
            0 => ".\n".to_owned(),
            same if same == period => {
                ", as in training: at another rate the same actions are wrong.\n".to_owned()
            }
            other => format!(
                ", where a step of the task it was trained in takes {} µs: its actions may be wrong at this rate.\n",
                count(other)
            ),
        };
    }
    let memory = manifest
        .agents
        .iter()
        .filter_map(|entry| entry.memory)
        .max();
    let seeded = task.seeding().is_some();
    text += "\n```rust\nlet policy = Policy::new(Image::new_checked(IMAGE)?);\n";
    text += &format!(
        "let mut memory = [0.0; {}]; // policy.image().memory_len() or more\n",
        memory.unwrap_or(0)
    );
    if drawn {
        text += "let mut rng = ChaCha8Rng::from_seed(noise()); // or any other of rand_core's; 32 bytes that no other agent has\n";
    }
    if seeded {
        text += "let seed = SharedSeed::new(key); // the bytes of shared-seed.key; `seeding` as in team.toml, `clock` a SeedClock\n";
    }
    if period_us > 0 {
        text += "let mut pace = Pace::of(policy.image(), 100); // a tenth of the period early or late is in time\n";
    }
    if manifest.agents.iter().any(|entry| entry.recurrent) {
        text += "policy.reset(&mut memory)?; // when an episode begins; the same memory at every step of it\n";
    }
    text += "\n// At every step: what the agent sees, as many numbers as the table says.\n";
    text += match seeded {
        true => {
            "let mut observation = sense();\nseed.draw(seeding, clock.step()?).write(&mut observation)?; // the shared seed's symbol\n"
        }
        false => "let observation = sense();\n",
    };
    if masked {
        text += "let mask = allowed(); // of each action whether it may be taken now\n";
    }
    if period_us > 0 {
        text +=
            "pace.tick(now_us)?; // an error where steps come at another rate than in training\n";
    }
    let step = match (drawn, masked) {
        (false, false) => "step(&observation, &mut memory)",
        (false, true) => "step_masked(&observation, &mask, &mut memory)",
        (true, false) => "step_sampled(&observation, &mut memory, &mut rng)",
        (true, true) => "step_sampled_masked(&observation, &mask, &mut memory, &mut rng)",
    };
    text += &format!("let action = policy.{step}?;\n```\n");
    if manifest
        .agents
        .iter()
        .any(|entry| !entry.factors.is_empty())
    {
        text += "\nAn action is a choice of every factor, c₁, c₂, …; its number in the task is c₁ + A₁ (c₂ + A₂ (c₃ + …)) with the \
                 factors' sizes A₁, A₂, …, `factors` in `team.toml`.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::team::Team;

    /// With `CONSORT_WRITE_CARDS` set they are written anew instead.
    #[test]
    fn the_committed_cards_are_what_is_written() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let mut teams = 0;
        for entry in fs::read_dir(models).unwrap() {
            let folder = entry.unwrap().path();
            if !folder.is_dir() {
                continue;
            }
            teams += 1;
            let team = Team::load(&folder).unwrap();
            let card = write(&team.manifest, &team.task, &team.actors);
            let path = folder.join("README.md");
            if std::env::var_os("CONSORT_WRITE_CARDS").is_some() {
                fs::write(&path, &card).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap();
            assert_eq!(found, card, "{}", path.display());
        }
        assert!(teams > 5, "{teams}");
    }
}
