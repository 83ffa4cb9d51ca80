//! `consort sign`: a team once more, its images signed.

use std::path::PathBuf;

use consort_trainer::error::Error;
use consort_trainer::export;
use consort_trainer::keys::Signer;
use consort_trainer::team::Team;
use serde_json::json;

use super::Page;

/// Write a team to a folder with its images signed, so that devices can refuse all others
#[derive(clap::Args)]
pub(super) struct Args {
    /// A finished run's folder or a team's
    team: PathBuf,
    /// The secret key: a file of `consort keygen`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to: a new or an empty folder
    #[arg(long)]
    out: PathBuf,
    /// The images' revision, which devices do not go back from; by default the one they have
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    revision: Option<u32>,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let signer = Signer::read(&args.key)?;
    let before = Team::load(&args.team)?.actors.revision();
    let team = export::sign(&args.team, &args.out, &signer, args.revision)?;
    let manifest = &team.manifest;
    let revision = team.actors.revision();
    let lower = match revision < before {
        true => format!(
            "That is lower than {before}, which they had: a device that has had {before} refuses them.\n"
        ),
        false => String::new(),
    };
    Ok(Page {
        text: format!(
            "{}, team {}: {} images signed, revision {revision}: {}\n{lower}",
            manifest.task,
            manifest.team,
            manifest.agents.len(),
            args.out.display()
        ),
        json: json!({
            "task": manifest.task,
            "team": args.out,
            "team_id": manifest.team,
            "revision": revision,
            "revision_before": before,
            "public_key": signer.public().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        }),
    })
}
