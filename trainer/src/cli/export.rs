//! `consort export`: a team once more, from its weights.

use std::path::PathBuf;

use clap::ValueEnum;
use consort_trainer::error::Error;
use consort_trainer::export::{self, Changes, FineTuned, FineTuning, export_again};
use consort_trainer::quantise::Comparison;
use consort_trainer::report::{count, number};
use consort_trainer::team::{Manifest, Team};
use serde_json::{Value, json};

use super::Page;

/// Write a team to a folder, anew from its weights
#[derive(clap::Args)]
pub(super) struct Args {
    /// A finished run's folder or a team's
    team: PathBuf,
    /// Where to: a new or an empty folder
    #[arg(long)]
    out: PathBuf,
    /// The images' numbers: those of training, or whole ones with weights of 8 bits [default: as the
    /// team has them]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// When networks in whole numbers are fine-tuned to act as the team does [default: as the team has
    /// it, needed for one that has none]
    #[arg(long, value_enum, value_name = "WHEN")]
    fine_tune: Option<FineTune>,
    /// The time between two steps, in microseconds, that the images state: 0 for a task that is not
    /// periodic [default: as the team has it]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    period_us: Option<u32>,
    /// Give the team's shared seed a key that nobody can foresee, for deployment
    #[arg(long)]
    new_key: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
    I8,
}

#[derive(Clone, Copy, ValueEnum)]
enum FineTune {
    /// Where rounding alone loses more than 1 % of the return, and more than chance
    Needed,
    Always,
    Never,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let precision = args.precision.map(|precision| match precision {
        Precision::F32 => export::Precision::F32,
        Precision::I8 => export::Precision::I8,
    });
    let fine_tuning = args.fine_tune.map(|when| match when {
        FineTune::Needed => FineTuning::Needed,
        FineTune::Always => FineTuning::Always,
        FineTune::Never => FineTuning::Never,
    });
    let changes = Changes {
        precision,
        fine_tuning,
        period_us: args.period_us,
        new_key: args.new_key,
    };
    let was_signed = Team::load(&args.team)?.actors.is_signed();
    let team = export_again(&args.team, &args.out, changes)?;
    let manifest = &team.manifest;
    let revision = team.actors.revision();
    let unsigned = match was_signed {
        true => "They were signed, and are no more: `consort sign` signs them anew.\n",
        false => "",
    };
    Ok(Page {
        text: format!(
            "{}, team {}: {} images of revision {revision}, return {}: {}\n{unsigned}{}",
            manifest.task,
            manifest.team,
            manifest.agents.len(),
            number(Some(manifest.returns.exported)),
            args.out.display(),
            (manifest.quantisation)
                .map_or_else(String::new, |comparison| text(comparison, manifest)),
        ),
        json: json!({
            "task": manifest.task,
            "team": args.out,
            "team_id": manifest.team,
            "return_exported": manifest.returns.exported,
            "period_us": team.actors.period_us(),
            "revision": revision,
            "signature_dropped": was_signed,
            "precision": if manifest.quantisation.is_some() { "i8" } else { "f32" },
            "quantisation": manifest.quantisation.map(object),
            "fine_tuned": manifest.fine_tuned.map(|tuned| {
                json!({ "kept": tuned.kept, "other": object(tuned.other) })
            }),
        }),
    })
}

fn text(comparison: Comparison, manifest: &Manifest) -> String {
    let act = manifest.act;
    format!(
        "int8: {}; outputs off by {:.2e}, at most {:.2e}\n\
         return, {act} actions: f32 {}, int8 {}, lost {}\n",
        agreement(comparison),
        comparison.error_mean,
        comparison.error_max,
        value(comparison.return_f32, comparison.return_f32_interval),
        value(comparison.return_i8, comparison.return_i8_interval),
        lost(comparison),
    ) + &tuning(manifest.fine_tuned)
        + advice(comparison)
}

fn value(mean: f64, interval: Option<f64>) -> String {
    let half = interval.map_or_else(String::new, |half| format!(" ± {half:.4}"));
    format!("{}{half}", number(Some(mean)))
}

fn percent(part: f64) -> String {
    format!("{:.3} %", 100.0 * part)
}

fn lost(comparison: Comparison) -> String {
    let lost = comparison.lost();
    lost.map_or_else(|| "nothing to lose".to_owned(), percent)
}

fn agreement(comparison: Comparison) -> String {
    let steps = count(comparison.steps);
    match comparison.agreement {
        Some(part) => format!(
            "the same greedy action at {} of {steps} steps",
            percent(part)
        ),
        None => format!("{steps} steps compared"),
    }
}

/// What fine-tuning came to, where it was tried.
fn tuning(tuned: Option<FineTuned>) -> String {
    tuned.map_or_else(String::new, |FineTuned { kept, other }| {
        let (what, which) = match kept {
            true => ("fine-tuned", "rounded alone"),
            false => ("rounded alone, as that was no worse", "fine-tuned"),
        };
        format!(
            "The images are {what}; {which}: {}; outputs off by {:.2e}; return {}, lost {}\n",
            agreement(other),
            other.error_mean,
            value(other.return_i8, other.return_i8_interval),
            lost(other),
        )
    })
}

/// What to do about a loss that matters: more than rounding of a good team costs, and more than chance.
fn advice(comparison: Comparison) -> &'static str {
    match comparison.loses() {
        true => {
            "That is more than 1 % and more than chance. The f32 images are as they were: \
             keep those, or train again with another seed or with more hidden units, and round that team.\n"
        }
        false => "",
    }
}

fn object(comparison: Comparison) -> Value {
    json!({
        "steps": comparison.steps,
        "agreement": comparison.agreement,
        "error_mean": comparison.error_mean,
        "error_max": comparison.error_max,
        "return_f32": comparison.return_f32,
        "return_f32_interval": comparison.return_f32_interval,
        "return_i8": comparison.return_i8,
        "return_i8_interval": comparison.return_i8_interval,
        "lost": comparison.lost(),
    })
}
