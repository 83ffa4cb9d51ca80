//! `consort eval`: a team acts from its images.

use std::path::PathBuf;

use consort_trainer::error::Error;
use consort_trainer::export::{ExportError, judging_episodes};
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{count, number};
use consort_trainer::team::{Choice, Team};
use serde_json::json;

use super::{Page, whole_number};

/// Play episodes with a team's exported images, run by consort-runtime
#[derive(clap::Args)]
pub(super) struct Args {
    /// A finished run's folder or a team's
    team: PathBuf,
    /// Episodes to play [default: 10000, fewer of long ones: 200000 steps, at least 100 episodes]
    #[arg(long, allow_negative_numbers = true, value_parser = whole_number::<1, { u32::MAX as i64 }>)]
    episodes: Option<i64>,
    /// Seed of the episodes and of the agents' dice
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Take the most probable action, however the team acts
    #[arg(long, conflicts_with = "sampled")]
    greedy: bool,
    /// Draw actions, however the team acts
    #[arg(long)]
    sampled: bool,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let team = Team::load(&args.team)?;
    let choice = match (args.greedy, args.sampled) {
        (true, _) => Choice::Greedy,
        (_, true) => Choice::Sampled,
        (false, false) => team.manifest.act,
    };
    let usual = || judging_episodes(team.task.spec().horizon);
    let episodes = args
        .episodes
        .map_or_else(usual, |episodes| episodes as usize);
    let returns = (team.actors)
        .play(&team.task, episodes, args.seed, choice)
        .map_err(ExportError::Step)?;
    let exact = (team.actors)
        .exact_value(&team.task, choice)
        .map_err(ExportError::Step)?;

    let mut table = Table::new([
        ("return", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
    ]);
    let interval = returns.interval().map_or_else(String::new, |half| {
        let episodes = count(returns.episodes);
        format!("± {half:.4} (95 % interval, {episodes} episodes)")
    });
    table.row(["mean".to_owned(), number(Some(returns.mean)), interval]);
    table.row([
        "exact".to_owned(),
        number(exact),
        match (exact, team.task.problem()) {
            (Some(_), None) if team.task.adversarial().is_some() => {
                "certain, whatever the adversary does"
            }
            (None, Some(_)) if choice == Choice::Sampled => "with --greedy only",
            (None, _) => "unknown",
            (Some(_), Some(_)) => "over every history",
            (Some(_), None) => "by enumeration",
        }
        .to_owned(),
    ]);
    table.row([
        "optimum".to_owned(),
        number(team.task.optimum()),
        super::of_whom(&team.manifest).to_owned(),
    ]);
    let manifest = &team.manifest;
    Ok(Page {
        text: format!(
            "{}, team {}, {choice} actions, seed {}\n\n{}",
            manifest.task,
            manifest.team,
            args.seed,
            table.render()
        ),
        json: json!({
            "task": manifest.task,
            "team": team.folder,
            "team_id": manifest.team,
            "actions": choice,
            "episodes": returns.episodes,
            "env_steps": returns.env_steps,
            "seed": args.seed,
            "shared_seed": manifest.shared_seed,
            "mean": returns.mean,
            "interval": returns.interval(),
            "exact": exact,
            "optimum": team.task.optimum(),
        }),
    })
}
