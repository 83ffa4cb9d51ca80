//! The page: docs/results/sequential.md.

use consort_trainer::report::count;

use super::cost::{Cost, Head};
use super::design::{ANNEALED, Goal, Group, METHODS};
use super::findings::{
    Agreement, CellFindings, Comparison, ENOUGH, Findings, MethodFacts, RowFindings, Runs, Verdict,
};
use consort_trainer::report::markdown::{line, table};
use consort_trainer::report::statistics::Count;

use crate::command::at;

/// The findings in Markdown; `pictures`: tasks that have a learning curve, and the path of each
/// from the page.
pub(crate) fn page(findings: &Findings, pictures: &[(&str, String)]) -> String {
    let mut page = head(findings);
    page += &missing(findings);
    page += &methods(&findings.methods);
    page += &in_words(findings);
    page += &groups(findings);
    page += &curves(pictures);
    page += &costs(findings);
    page
}

fn head(findings: &Findings) -> String {
    let text = format!(
        "# Sequential tasks\n\n\
         Made by `{}` {} (sources `{}`) on {}: do not edit. Every run is trained by one thread, this \
         command's own {}, with the default settings for tasks of its kind; methods differ in their arms only and \
         have equal steps, evaluation included. Tasks and how their returns are counted: [tasks](../tasks.md). Every run, with its \
         curve, is a line of `runs.jsonl` in the folder beside this page.\n\n",
        findings.command,
        at(findings.commit.as_deref()),
        findings.sources,
        findings.date,
        match findings.jobs {
            1 => "one after another".to_owned(),
            jobs => format!("{jobs} side by side"),
        },
    );
    let adoption = findings.adoption;
    let mut others = String::new();
    if adoption.taken + adoption.compared > 0 {
        others += &format!(
            "From an earlier build: {} (`--adopt`). Of {} made by both builds every number but the seconds is the same.\n\n",
            runs(adoption.taken),
            runs(adoption.compared),
        );
    }
    if adoption.elsewhere > 0 {
        others += &format!(
            "From another processor: {} (`--elsewhere`). It comes to other bits, so no run made by both could be equal: \
             they are further samples of the same method if the build that made them trains as this one does.\n\n",
            runs(adoption.elsewhere),
        );
    }
    text + &others
}

/// So many runs.
fn runs(count: usize) -> String {
    match count {
        1 => "1 run".to_owned(),
        count => format!("{count} runs"),
    }
}

/// What the page does not have.
fn missing(findings: &Findings) -> String {
    let cells = || {
        let rows = findings.rows.iter();
        rows.flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
    };
    let wanted: usize = cells().map(|(_, cell)| cell.wanted).sum();
    let there: usize = cells().map(|(_, cell)| have(cell)).sum();
    if there >= wanted && findings.costs_missing == 0 {
        return format!("Nothing is missing: all {wanted} runs are there.\n\n");
    }
    let mut text = format!(
        "## What is missing\n\n{} of {wanted} runs are there; figures below are those of the runs there are.\n\n",
        there
    );
    if there < wanted {
        let names: Vec<&str> = findings.methods.iter().map(|method| method.name).collect();
        text += &table(&[&["runs there are"], &names[..]].concat());
        for row in &findings.rows {
            if row.cells.iter().all(|cell| have(cell) >= cell.wanted) {
                continue;
            }
            let cells = row.cells.iter().map(|cell| match have(cell) {
                _ if cell.wanted == 0 => "–".to_owned(),
                have if have >= cell.wanted => "all".to_owned(),
                have => format!("{have} of {}", cell.wanted),
            });
            text += &line([row.task.to_owned()].into_iter().chain(cells));
        }
        text.push('\n');
    }
    if findings.costs_missing > 0 {
        text += &format!(
            "Of the costs, {} measurements are missing.\n\n",
            findings.costs_missing
        );
    }
    text
}

fn have(cell: &CellFindings) -> usize {
    cell.runs.as_ref().map_or(0, |runs| runs.count)
}

fn methods(methods: &[MethodFacts]) -> String {
    let mut text = String::from("## Methods\n\n");
    text += &table(&["method", "what it is", "arms that share its steps"]);
    for method in methods {
        text += &line([
            format!("**{}**", method.name),
            method.description.to_owned(),
            method.arms.join("; "),
        ]);
    }
    text + "\n"
}

/// What the figures say, in words.
fn in_words(findings: &Findings) -> String {
    let mut text = String::from("## Findings\n\n");
    let level = |row: &&RowFindings| row.level(&METHODS);
    let compared: Vec<&RowFindings> = (findings.rows.iter())
        .filter(|row| level(row).is_some())
        .collect();
    if compared.is_empty() {
        return text + "No task has runs of the method and of both rivals yet.\n\n";
    }
    let (good, behind): (Vec<&RowFindings>, Vec<&RowFindings>) = compared
        .iter()
        .copied()
        .partition(|row| level(row) == Some(true));
    text += &format!(
        "**{}** is at least as good as both **factored-strong** and **factored-mild** on {} of {} tasks: it reaches \
         the goal with a larger share of the seeds or, where the shares are equal or there is no goal, its interquartile \
         mean return is no lower but for 1 % (where the goal is the optimum, but for what still counts as it). With fewer \
         than {ENOUGH} runs on either side nothing is said of chance.\n\n",
        ANNEALED.name,
        good.len(),
        compared.len(),
    );
    if !good.is_empty() {
        text += &format!("At least as good on: {}.\n\n", names(&good));
    }
    let clearly: Vec<&RowFindings> = (good.iter().copied())
        .filter(|row| {
            row.comparisons
                .iter()
                .any(|found| found.level && found.verdict == Verdict::Ahead)
        })
        .collect();
    if !clearly.is_empty() {
        text += &format!(
            "Ahead of at least one of them by more than chance (95 %) on: {}.\n\n",
            names(&clearly)
        );
    }
    if behind.is_empty() {
        text += "Behind on none.\n\n";
    } else {
        text += "Behind on:\n\n";
        for row in behind {
            for comparison in row.comparisons.iter().filter(|found| !found.level) {
                text += &format!("- {}{}\n", against(row, comparison), why(row));
            }
        }
        text.push('\n');
    }
    text + &missed(findings) + &totals(&compared)
}

/// Goals that not every run of the method reaches.
fn missed(findings: &Findings) -> String {
    let of = |row: &RowFindings| -> Option<String> {
        let cell = row.cells.iter().find(|cell| cell.method == ANNEALED.name)?;
        let runs = cell.runs.as_ref()?;
        let count = runs.success.filter(|it| it.successes < it.trials)?;
        Some(format!(
            "- `{}`, {}: {} of {} seeds, return {}{}\n",
            row.task,
            goal_of(row),
            count.successes,
            count.trials,
            decimals(runs.returns),
            why(row)
        ))
    };
    let list: String = findings.rows.iter().filter_map(of).collect();
    match list.is_empty() {
        true => String::new(),
        false => format!(
            "Goals that not every run of **{}** reaches:\n\n{list}\n",
            ANNEALED.name
        ),
    }
}

/// Where the findings say why a method does not do better on a task, if they do.
fn why(row: &RowFindings) -> String {
    row.row.why.map_or(String::new(), |heading| {
        let anchor = heading.to_lowercase().replace(' ', "-");
        format!(". [{heading}](../algorithms/annealed-findings.md#{anchor})")
    })
}

fn names(rows: &[&RowFindings]) -> String {
    let names: Vec<String> = rows.iter().map(|row| format!("`{}`", row.task)).collect();
    names.join(", ")
}

/// `task`: the method's figures against a rival's.
fn against(row: &RowFindings, comparison: &Comparison) -> String {
    let figures = |name: &str| {
        let cell = row.cells.iter().find(|cell| cell.method == name);
        cell.and_then(|cell| cell.runs.as_ref()).map_or_else(
            || "–".to_owned(),
            |runs| {
                let seeds = runs.success.map_or(String::new(), |count| {
                    format!("{} of {} seeds, ", count.successes, count.trials)
                });
                format!("{seeds}return {}", decimals(runs.returns))
            },
        )
    };
    let chance = match comparison.verdict {
        Verdict::Ahead | Verdict::Behind => "more than chance",
        Verdict::Open => "chance is not excluded",
        Verdict::TooFew => "too few runs to exclude chance",
    };
    format!(
        "`{}` against {}: {} against {} ({chance})",
        row.task,
        comparison.rival,
        figures(ANNEALED.name),
        figures(comparison.rival)
    )
}

/// Runs that reach their goals, over all tasks that were compared.
fn totals(rows: &[&RowFindings]) -> String {
    let of = |name: &str| {
        let cells = rows.iter().flat_map(|row| &row.cells);
        let runs = cells
            .filter(|cell| cell.method == name)
            .filter_map(|cell| cell.runs.as_ref()?.success);
        runs.fold((0, 0), |(reached, trials), count| {
            (reached + count.successes, trials + count.trials)
        })
    };
    let totals: Vec<String> = METHODS
        .iter()
        .map(|method| (method.name, of(method.name)))
        .filter(|(_, (_, trials))| *trials > 0)
        .map(|(name, (reached, trials))| format!("{name} {reached} of {trials}"))
        .collect();
    match totals.is_empty() {
        true => String::new(),
        false => format!(
            "Runs that reach their goals, over these tasks: {}.\n\n",
            totals.join(", ")
        ),
    }
}

/// A table for each group.
fn groups(findings: &Findings) -> String {
    let mut text = format!(
        "## Returns\n\n\
         Returns are those of the exported images, run by `consort-runtime`, every agent acting as its team does (by its most probable \
         action; on large tasks by its dice): \
         the interquartile mean over the seeds with its bootstrap 95 % interval, of fewer than {ENOUGH} the mean with the \
         lowest and the highest. *±* is half \
         the 95 % interval of one run's own return, the widest of the seeds; *exact* where it is computed on the model. \
         *Joint* is the policy that exists in training only, by the episodes of the learning curve: at the end, and the \
         highest point of the curve, which its noise makes too high; what it earns beyond the images is the price of \
         decentralisation, where it learns to the end: once it has handed over to the product it does not, and the product \
         goes on. *Arms kept*: whose networks the runs exported. Steps and seconds (of the wall clock, \
         whatever else ran) are a run's mean.\n\n",
    );
    if let Some(Agreement { runs, largest, rms }) = findings.agreement {
        text += &format!(
            "Where one arm has all the steps, so that what it ends with is exported, the images' return and that of the \
             trainer's own networks in the last episodes of the curve differ by at most {largest:.1} standard errors in \
             {runs} runs (root mean square {rms:.2}; chance alone: 1).\n\n"
        );
    }
    let titles = [
        (
            Group::Exact,
            "Dec-POMDPs",
            "Goal: the exact optimum of agents that act apart, within 1 % or .05.",
        ),
        (
            Group::Repeated,
            "Repeated games and two steps",
            "Goal: the best return there is, within 1 % or .05.",
        ),
        (
            Group::Large,
            "Large tasks",
            "Goals are returns to reach, in the mean of a run's fresh episodes.",
        ),
    ];
    for (group, title, goal) in titles {
        if !findings.rows.iter().any(|row| row.row.group == group) {
            continue;
        }
        let rows: Vec<&RowFindings> = (findings.rows.iter())
            .filter(|row| row.row.group == group && row.cells.iter().any(|cell| have(cell) > 0))
            .collect();
        text += &format!("### {title}\n\n{goal} {}\n\n", steps(findings, group));
        if rows.is_empty() {
            text += "No runs yet.\n\n";
            continue;
        }
        text += &table(&[
            "task",
            "goal",
            "method",
            "seeds that reach it",
            "return",
            "±",
            "joint: end, highest",
            "arms kept",
            "steps",
            "seconds",
        ]);
        for row in rows {
            let mut start = [format!("`{}`", row.task), goal_of(row)];
            for cell in &row.cells {
                if let Some(runs) = &cell.runs {
                    let [task, goal] = std::mem::take(&mut start);
                    text += &line([task, goal].into_iter().chain(figures(cell.method, runs)));
                }
            }
        }
        text.push('\n');
    }
    text
}

/// `1,000,000 environment steps a run.`
fn steps(findings: &Findings, group: Group) -> String {
    let rows = findings.rows.iter().filter(|row| row.row.group == group);
    let mut steps: Vec<u64> = rows.map(|row| row.steps).collect();
    steps.sort_unstable();
    steps.dedup();
    let which = |&steps: &u64| {
        let rows = findings.rows.iter().filter(|row| row.row.group == group);
        let names: Vec<String> = rows
            .filter(|row| row.steps == steps)
            .map(|row| format!("`{}`", row.task))
            .collect();
        (steps, names)
    };
    let mut kinds: Vec<(u64, Vec<String>)> = steps.iter().map(which).collect();
    kinds.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let parts: Vec<String> = kinds
        .iter()
        .enumerate()
        .map(|(index, (steps, names))| match index {
            0 => format!("{} environment steps are given to a run", count(*steps)),
            _ => format!("{} on {}", count(*steps), names.join(", ")),
        })
        .collect();
    match parts.is_empty() {
        true => String::new(),
        false => parts.join("; ") + ".",
    }
}

fn goal_of(row: &RowFindings) -> String {
    match row.row.goal {
        Goal::Optimum => row.optimum.map_or_else(|| "–".to_owned(), decimals),
        Goal::AtLeast(least) => format!("≥ {least}"),
        Goal::Unset => "–".to_owned(),
    }
}

fn figures(method: &str, runs: &Runs) -> [String; 8] {
    let reached = runs.success.map_or_else(
        || format!("– of {}", runs.count),
        |Count { successes, trials }| format!("{successes} of {trials}"),
    );
    [
        method.to_owned(),
        reached,
        returns(runs),
        runs.half.map_or_else(|| "exact".to_owned(), decimals),
        runs.joint.map_or_else(
            || "–".to_owned(),
            |[end, highest]| format!("{}, {}", decimals(end), decimals(highest)),
        ),
        (runs.kept.iter())
            .map(|(arm, count)| format!("{count} {arm}"))
            .collect::<Vec<_>>()
            .join(", "),
        count(runs.env_steps.round() as u64),
        format!("{:.0}", runs.seconds),
    ]
}

/// The mean and how sure it is; a single run says nothing of that.
fn returns(runs: &Runs) -> String {
    let mean = decimals(runs.returns);
    let [low, high] = [runs.interval.low, runs.interval.high].map(decimals);
    match runs.count {
        1 => mean,
        few if few < ENOUGH => format!("{mean} ({low}, {high})"),
        _ => format!("{mean} ({low} to {high})"),
    }
}

fn curves(pictures: &[(&str, String)]) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "## Learning curves\n\n\
         By environment steps of each arm (arms that share a run's steps end earlier): \
         the joint policy, the product of the agents' policies, and the product where every agent takes its most probable \
         action. Bold: the arm that was kept, of each seed; faint: the others. Points are means of few episodes.\n\n",
    );
    for (task, path) in pictures {
        text += &format!("**{task}**\n\n![Learning curves of {task}]({path})\n\n");
    }
    text
}

fn costs(findings: &Findings) -> String {
    let Some(first) = findings.costs.first() else {
        return String::new();
    };
    let mut text = format!(
        "## Cost as agents grow\n\n\
         `coordsum-<N>x10`: N agents with ten actions each. {} updates of one annealed arm, play included, on one thread, \
         each team in a process of its own after which its peak resident memory (`VmHWM`) is read; {} environment steps an \
         update. The autoregressive joint policy asks one agent after another; the enumerated one has an output for each of \
         the 10ᴺ joint actions.\n\n",
        first.updates,
        count(first.steps_an_update),
    );
    text += &table(&[
        "joint policy",
        "agents",
        "joint actions",
        "µs an environment step",
        "peak memory, MiB",
        "joint parameters",
        "marginal parameters",
    ]);
    for cost in &findings.costs {
        text += &line([
            cost.head.name().to_owned(),
            cost.agents.to_string(),
            match cost.agents {
                few @ 0..=6 => count(10_u64.pow(few as u32)),
                many => format!("10^{many}"),
            },
            format!("{:.1}", cost.microseconds_a_step),
            cost.peak_kibibytes.map_or_else(
                || "–".to_owned(),
                |peak| format!("{:.0}", peak as f64 / 1024.0),
            ),
            count(cost.joint_parameters as u64),
            count(cost.marginal_parameters as u64),
        ]);
    }
    text + "\n" + &growth(&findings.costs)
}

/// How the costs of the smallest and the largest team compare.
fn growth(costs: &[Cost]) -> String {
    let heads = || (costs.iter()).filter(|cost| cost.head == Head::Autoregressive);
    let ends = heads()
        .min_by_key(|cost| cost.agents)
        .zip(heads().max_by_key(|cost| cost.agents));
    let Some((small, large)) = ends.filter(|(small, large)| small.agents < large.agents) else {
        return String::new();
    };
    let times = |a: f64, b: f64| format!("{:.1}", b / a);
    let memory = small.peak_kibibytes.zip(large.peak_kibibytes);
    let memory = memory.map_or(String::new(), |(a, b)| {
        format!(", memory {} times", times(a as f64, b as f64))
    });
    format!(
        "From {} agents to {}, {} times as many, a step takes {} times as long \
         ({:.0} and {:.0} µs an agent){memory}; the joint policy has {} times as \
         many parameters, and 10^{} times as many joint actions to choose from.\n",
        small.agents,
        large.agents,
        times(small.agents as f64, large.agents as f64),
        times(small.microseconds_a_step, large.microseconds_a_step),
        small.microseconds_a_step / small.agents as f64,
        large.microseconds_a_step / large.agents as f64,
        times(small.joint_parameters as f64, large.joint_parameters as f64),
        large.agents - small.agents,
    )
}

/// Three decimals; adding zero turns −0 into 0.
fn decimals(value: f64) -> String {
    format!("{:.3}", (1e3 * value).round() / 1e3 + 0.0)
}

#[cfg(test)]
mod tests;
