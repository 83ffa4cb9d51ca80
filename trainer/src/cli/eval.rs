//! `consort eval`: a team acts from its images.

use std::path::PathBuf;

use clap::value_parser;
use consort_trainer::error::Error;
use consort_trainer::export::ExportError;
use consort_trainer::report::table::{Align, Table};
use consort_trainer::report::{count, number};
use consort_trainer::team::{Choice, Team};
use serde_json::json;

use super::Page;

/// Play episodes with a team's exported images, run by consort-runtime
#[derive(clap::Args)]
pub(super) struct Args {
    /// A finished run's folder or a team's
    team: PathBuf,
    /// Episodes to play
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
    episodes: u32,
    /// Seed of the episodes and of the agents' dice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Take the most probable action instead of drawing one
    #[arg(long)]
    greedy: bool,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let team = Team::load(&args.team)?;
    let choice = if args.greedy {
        Choice::Greedy
    } else {
        Choice::Sampled
    };
    let episodes = args.episodes as usize;
    let returns = (team.actors)
        .play(&team.task, episodes, args.seed, choice)
        .map_err(ExportError::Step)?;
    let (mean, interval) = mean_and_interval(&returns);
    let exact = (team.task.game())
        .map(|game| team.actors.exact(game, choice))
        .transpose()
        .map_err(ExportError::Step)?;

    let actions = if args.greedy { "greedy" } else { "sampled" };
    let mut table = Table::new([
        ("return", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
    ]);
    let interval_text = interval.map_or_else(String::new, |half| {
        format!(
            "± {half:.4} (95 % interval, {} episodes)",
            count(u64::from(args.episodes))
        )
    });
    table.row(["mean".to_owned(), number(Some(mean)), interval_text]);
    table.row([
        "exact".to_owned(),
        number(exact),
        "by enumeration".to_owned(),
    ]);
    table.row([
        "optimum".to_owned(),
        number(team.task.optimum()),
        "of agents that act apart".to_owned(),
    ]);
    let manifest = &team.manifest;
    Ok(Page {
        text: format!(
            "{}, team {}, {actions} actions, seed {}\n\n{}",
            manifest.task,
            manifest.team,
            args.seed,
            table.render()
        ),
        json: json!({
            "task": manifest.task,
            "team": team.folder,
            "team_id": manifest.team,
            "actions": actions,
            "episodes": args.episodes,
            "seed": args.seed,
            "mean": mean,
            "interval": interval,
            "exact": exact,
            "optimum": team.task.optimum(),
        }),
    })
}

/// The mean, and half the width of its 95 % interval (normal approximation) where two or more
/// values give one.
fn mean_and_interval(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let interval = (values.len() > 1).then(|| 1.96 * (squares / (count - 1.0) / count).sqrt());
    (mean, interval)
}

#[cfg(test)]
mod tests {
    use super::mean_and_interval;

    #[test]
    fn interval_by_hand() {
        // Mean 5, sample variance (4·25)/3, over 4 values: 1.96·√(100/12).
        let (mean, interval) = mean_and_interval(&[0.0, 10.0, 0.0, 10.0]);
        assert_eq!(mean, 5.0);
        assert!((interval.unwrap() - 1.96 * (100.0_f64 / 12.0).sqrt()).abs() < 1e-12);
        assert_eq!(mean_and_interval(&[3.0]), (3.0, None));
    }
}
