//! The page: docs/results/proposal.md.

use consort_trainer::report::count;
use consort_trainer::report::markdown::{line, table};

use super::Findings;
use super::claims::{Claim, Verdict};

use crate::command::at;

/// The findings in Markdown.
pub(crate) fn page(findings: &Findings) -> String {
    let mut page = head(findings) + &summary(&findings.claims);
    for (index, claim) in findings.claims.iter().enumerate() {
        page += &section(index + 1, claim);
    }
    page + &findings.comparison
}

fn head(findings: &Findings) -> String {
    format!(
        "# The proposal's claims\n\n\
         Made by `{}` {} (sources `{}`): do not edit. The research proposal that this project implements argues about vanilla policy gradient, COMA, MADDPG, QMIX, VDN, QTRAN \
         and MACKRL, and promises something of its own method. Here is each claim with an experiment that tests it. Every method on a game has equal environment steps ({} unless said; \
         evaluation is exact and costs none). What has to be found for a claim to hold was written down before it was looked for; whether it was is computed. Intervals are 95 %: Wilson's of \
         shares, bootstrap of means. What must hold by definition is shown and not counted. \
         Settings are the defaults, which follow published ones ([algorithms](../algorithms)), but for what stands under a claim.\n\n",
        findings.command,
        at(findings.commit.as_deref()),
        findings.sources,
        count(findings.steps),
    )
}

fn summary(claims: &[Claim]) -> String {
    let mut text = table(&["", "claim", "found", "verdict"]);
    for (index, claim) in claims.iter().enumerate() {
        let counts = || claim.checks.iter().filter(|check| !check.by_definition);
        let held = counts().filter(|check| check.held).count();
        text += &line([
            (index + 1).to_string(),
            claim.title.to_owned(),
            format!("{held} of {}", counts().count()),
            verdict(claim),
        ]);
    }
    text + "\n"
}

fn verdict(claim: &Claim) -> String {
    match claim.verdict() {
        Verdict::Held => Verdict::Held.name().to_owned(),
        other => format!("**{}**", other.name()),
    }
}

fn section(number: usize, claim: &Claim) -> String {
    let mut text = format!(
        "## {number}. {}\n\n*Because* {}.\n\n{}\n\n",
        claim.title, claim.why, claim.test
    );
    text += &table(&["what has to be found", "what was", ""]);
    for check in &claim.checks {
        let held = match (check.held, check.by_definition) {
            (true, false) => "yes",
            (true, true) => "yes, by definition",
            (false, _) => "**no**",
        };
        text += &line([check.expected.clone(), check.found.clone(), held.to_owned()]);
    }
    let settings = match claim.settings.is_empty() {
        true => String::new(),
        false => format!(
            "\nSet otherwise than by default:\n\n- {}\n",
            claim.settings.join("\n- ")
        ),
    };
    text + &format!(
        "\nThe claim {}.\n{settings}\n{}",
        claim.verdict().name(),
        claim.figures
    )
}
