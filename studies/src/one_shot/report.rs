//! The page: docs/results/one-shot.md.

use consort_trainer::report::count;

use super::basin::Basin;
use super::findings::{CellFindings, Findings, MethodFacts, RowFindings, Timing, Verdict};
use consort_trainer::report::markdown::{line, table};
use consort_trainer::report::statistics::{Count, Interval};

use crate::command::at;

/// The findings in Markdown.
pub(crate) fn page(findings: &Findings) -> String {
    let mut page = head(findings);
    page += &methods(&findings.methods);
    page += &success(findings);
    page += &returns(findings);
    page += &kept(findings);
    if let Some(basin) = &findings.basin {
        page += &theory(basin);
    }
    if let Some(timing) = &findings.timing {
        page += &time(timing);
    }
    page
}

fn head(findings: &Findings) -> String {
    format!(
        "# One-shot team games\n\n\
         Made by `{}` {} (sources `{}`): do not edit. Seeds 0 to {} in every row (0 to {} for what the method \
         is held against), more where a row is a set of games that are played equally often; {} environment steps a run, whatever the method, evaluation \
         included. Ablations are run on small games only. One default configuration for all games. Games are defined in \
         [`builtin.rs`](../../trainer/src/env/builtin.rs).\n\n",
        findings.command,
        at(findings.commit.as_deref()),
        findings.sources,
        findings.seeds - 1,
        findings.few_seeds - 1,
        count(findings.steps),
    )
}

fn methods(methods: &[MethodFacts]) -> String {
    let mut text = table(&["method", "what it is", "arms that share its steps"]);
    for method in methods {
        text += &line([
            format!("**{}**", method.name),
            method.description.to_owned(),
            run_lengths(&method.arms),
        ]);
    }
    text + "\n"
}

/// `4 annealed, 2 factored`.
fn run_lengths(names: &[&str]) -> String {
    let groups = names.chunk_by(|a, b| a == b);
    let groups: Vec<String> = groups
        .map(|group| format!("{} {}", group.len(), group[0]))
        .collect();
    groups.join(", ")
}

fn success(findings: &Findings) -> String {
    let mut text = String::from(
        "## Runs that reach the optimum\n\n\
         Percent of the runs, with the Wilson 95 % interval. A run reaches the optimum if the exact expected return of \
         its exported images, run by `consort-runtime` and acting greedily, is within 1 % of the gap between uniform \
         play and the best that agents can earn who act apart (found by exhaustive search). *Asked* is the fraction \
         that this project set out to reach. The last column holds **annealed** against the best, on that very row, of \
         the methods that are factored policy gradient with annealed entropy: the difference in percentage points \
         with Newcombe's 95 % interval; *better* or *worse* where that is clear of zero.\n\n\
         Where a row is a set of games, the interval speaks of these games and other seeds.\n\n",
    );
    let columns = findings.methods.iter().map(|method| method.name);
    let heading: Vec<&str> = ["", "asked"]
        .into_iter()
        .chain(columns)
        .chain(["against the best rival"])
        .collect();
    text += &table(&heading);
    for row in &findings.rows {
        let cells = in_columns(findings, row, |cell| {
            fraction(cell.success, cell.success_interval)
        });
        let start = [row.row.to_owned(), asked(row)];
        text += &line(start.into_iter().chain(cells).chain([comparison(row)]));
    }
    text + "\n"
}

/// What `say` says of every method's cell; a dash where there is none.
fn in_columns(
    findings: &Findings,
    row: &RowFindings,
    say: impl Fn(&CellFindings) -> String,
) -> Vec<String> {
    let cell = |name| row.cells.iter().find(|cell| cell.method == name);
    let names = findings.methods.iter().map(|method| method.name);
    names
        .map(|name| cell(name).map_or_else(|| "–".to_owned(), &say))
        .collect()
}

fn asked(row: &RowFindings) -> String {
    let Some(asked) = row.asked else {
        return "–".to_owned();
    };
    let met = row
        .met
        .map_or("", |met| if met { ": met" } else { ": missed" });
    format!("{:.0}{met}", 100.0 * asked)
}

fn comparison(row: &RowFindings) -> String {
    let Some(comparison) = &row.comparison else {
        return "–".to_owned();
    };
    let verdict = match comparison.verdict {
        Verdict::Better => "**better**",
        Verdict::Level => "level",
        Verdict::Worse => "**worse**",
    };
    format!(
        "{verdict}: {:+.0} ({:+.0} to {:+.0}), {}",
        100.0 * comparison.difference,
        100.0 * comparison.interval.low,
        100.0 * comparison.interval.high,
        comparison.rival
    )
}

fn returns(findings: &Findings) -> String {
    let mut text = String::from(
        "## Normalised return\n\n\
         (return − uniform play) / (optimum − uniform play) of the exported images: the mean of the middle half of \
         the runs with its bootstrap 95 % interval, first for agents that take their most probable action, then for \
         agents that draw it.\n\n",
    );
    let columns = findings.methods.iter().map(|method| method.name);
    let heading: Vec<&str> = ["", ""].into_iter().chain(columns).collect();
    text += &table(&heading);
    type Part = fn(&CellFindings) -> (f64, Interval);
    let parts: [(&str, Part); 2] = [
        ("greedy", |cell| (cell.greedy, cell.greedy_interval)),
        ("drawn", |cell| (cell.drawn, cell.drawn_interval)),
    ];
    for row in &findings.rows {
        for (index, (name, part)) in parts.into_iter().enumerate() {
            let start = [if index == 0 { row.row } else { "" }, name].map(str::to_owned);
            let cells = in_columns(findings, row, |cell| {
                let (value, Interval { low, high }) = part(cell);
                format!(
                    "{} ({} to {})",
                    thousandths(value),
                    thousandths(low),
                    thousandths(high)
                )
            });
            text += &line(start.into_iter().chain(cells));
        }
    }
    text + "\n"
}

fn kept(findings: &Findings) -> String {
    let mut text = String::from(
        "## Which arm was kept, and the time it took\n\n\
         Runs by the arm whose team was kept (portfolios only), mean environment steps of a run, and seconds for all \
         runs of the cell.\n\n",
    );
    text += &table(&["", "method", "kept", "steps", "seconds"]);
    for row in &findings.rows {
        let several = |cell: &&CellFindings| {
            let facts = findings
                .methods
                .iter()
                .find(|method| method.name == cell.method);
            facts.is_some_and(|method| method.arms.len() > 1)
        };
        for cell in row.cells.iter().filter(several) {
            let kept: Vec<String> = cell
                .kept
                .iter()
                .map(|(name, count)| format!("{count} {name}"))
                .collect();
            text += &line([
                row.row.to_owned(),
                cell.method.to_owned(),
                kept.join(", "),
                count(cell.env_steps.round() as u64),
                format!("{:.1}", cell.seconds),
            ]);
        }
    }
    text + "\n"
}

fn theory(basin: &Basin) -> String {
    let batches: Vec<usize> = basin
        .measured
        .chunk_by(|a, b| a.batch == b.batch)
        .map(|group| group[0].batch)
        .collect();
    let mut text = format!(
        "## Why plain policy gradient fails on assurance, and how often\n\n\
         Payoffs [[0, −5], [−5, 10]]. Let p, q be the agents' probabilities of action 0 and d₁, d₂ their logits of \
         action 0 minus those of action 1: p = σ(d₁), q = σ(d₂). Then\n\n\
         \x20   J = 10 − 15 p − 15 q + 20 p q,   ∂J/∂p = 20 q − 15,   ∂J/∂q = 20 p − 15,\n\n\
         so each agent moves towards action 0 exactly while the other plays it with more than 3/4, that is while the \
         other's d exceeds ln 3. If both do, the team ends at 0; if neither does, at 10; else it is a race to ln 3, \
         and how fast a logit moves is the optimiser's affair. For every flow ḋ₁ = s(d₁) g(d₂), ḋ₂ = s(d₂) g(d₁) the \
         difference E(d₁) − E(d₂) is conserved, where E′ = g/s; the agent with the smaller E reaches ln 3 first.\n\n\
         | flow | ḋ₁ | E(d) | the team reaches 10 from d₁ < ln 3 < d₂ if |\n|---|---|---|---|\n\
         | the gradient itself | p (1−p) (20 q − 15) | 5 eᵈ − 10 d + 15 e⁻ᵈ | E(d₂) < E(d₁) |\n\
         | Adam, every logit at one speed | sign(20 q − 15) | \\|d − ln 3\\| | d₁ + d₂ < 2 ln 3 |\n\
         \nAdam's line is the same where it divides by the noise of sampled gradients instead of by their size: the speed is \
         then √(p (1−p)) |20 q − 15| and E = 20 √3 cosh((d − ln 3)/2), symmetric about ln 3 as well. On the diagonal p = q \
         both flows part at 3/4. The first logits are drawn from N(0, {spread}²): so d₁ + d₂ has \
         the variance 4 · {spread}², and Adam's flow succeeds with probability Φ(ln 3 / {spread}). The gradient's is \
         integrated numerically over the starts. *These seeds* counts the seeds whose actual first policies lie in the \
         basin, *as predicted* those that end as their first policies say when plain policy gradient is run.\n\n",
        spread = basin.spread,
    );
    let factored = |index: usize| format!("as predicted, batches of {}", batches[index]);
    text += &table(&[
        "theory",
        "expected, %",
        "these seeds",
        &factored(0),
        &factored(1),
    ]);
    for prediction in &basin.predictions {
        let start = [
            prediction.description.to_owned(),
            format!("{:.1}", 100.0 * prediction.expected),
            of(prediction.predicted),
        ];
        text += &line(
            start
                .into_iter()
                .chain(prediction.agreement.iter().copied().map(of)),
        );
    }
    text += &format!(
        "\nMeasured. A single decision's J is linear in the mixture π_β, so the joint part of the mixture never \
         reaches the marginals: their gradient is that of plain policy gradient times β, and the mixture alone should \
         end where that ends. In expectation: its samples are judged against the value of the *mixture*, which the \
         joint part holds near 10, so whatever the product tries that is not the optimum is punished. That is \
         unbiased, but the noise throws teams out of the bad basin; in batches of {} it averages out. Nor does \
         the entropy bonus of **mixture-only** come from the mixture: it makes the marginals uniform at first, which \
         lies in the good basin.\n\n",
        batches[1]
    );
    text += &table(&[
        "method",
        "batch",
        "reach the optimum, %",
        "end as factored does",
    ]);
    for measured in &basin.measured {
        text += &line([
            format!("**{}**: {}", measured.method, measured.description),
            measured.batch.to_string(),
            fraction(measured.success, measured.interval),
            of(measured.as_factored),
        ]);
    }
    text + "\n"
}

fn time(timing: &Timing) -> String {
    format!(
        "## Time\n\n{} runs of `{}` by the default method took {:.0} seconds on {} threads of one machine.\n",
        timing.runs, timing.task, timing.seconds, timing.threads
    )
}

fn fraction(count: Count, interval: Interval) -> String {
    let percent = |value: f64| format!("{:.0}", 100.0 * value);
    let (low, high) = (percent(interval.low), percent(interval.high));
    format!("{} ({low} to {high})", percent(count.fraction()))
}

fn of(count: Count) -> String {
    format!("{} of {}", count.successes, count.trials)
}

/// Three decimals; adding zero turns −0 into 0.
fn thousandths(value: f64) -> String {
    format!("{:.3}", (1e3 * value).round() / 1e3 + 0.0)
}
