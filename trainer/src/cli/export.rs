//! `consort export`: a team once more, from its weights.

use std::path::PathBuf;

use consort_trainer::error::Error;
use consort_trainer::export::export_again;
use consort_trainer::report::number;
use serde_json::json;

use super::Page;

/// Write a team to a folder, anew from its weights
#[derive(clap::Args)]
pub(super) struct Args {
    /// A finished run's folder or a team's
    team: PathBuf,
    /// Where to: a new or an empty folder
    #[arg(long)]
    out: PathBuf,
    /// Give the team's shared seed a key that nobody can foresee, for deployment
    #[arg(long)]
    new_key: bool,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let team = export_again(&args.team, &args.out, args.new_key)?;
    let manifest = &team.manifest;
    Ok(Page {
        text: format!(
            "{}, team {}: {} images, return {}: {}\n",
            manifest.task,
            manifest.team,
            manifest.agents.len(),
            number(Some(manifest.returns.exported)),
            args.out.display()
        ),
        json: json!({
            "task": manifest.task,
            "team": args.out,
            "team_id": manifest.team,
            "return_exported": manifest.returns.exported,
        }),
    })
}
