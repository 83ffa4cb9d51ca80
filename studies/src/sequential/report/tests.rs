//! What the page must say, and must not.

use super::*;
use crate::sequential::findings::tests::row;

fn findings(rows: Vec<RowFindings>) -> Findings {
    let facts = |name| MethodFacts {
        name,
        description: "what it is",
        arms: vec![
            "annealed, explore-mild".to_owned(),
            "annealed (large tasks)".to_owned(),
        ],
    };
    let cost = |agents, microseconds_a_step| Cost {
        head: Head::Autoregressive,
        agents,
        updates: 5,
        steps_an_update: 3_200,
        microseconds_a_step,
        peak_kibibytes: Some(1_024 * agents as u64),
        joint_parameters: 1_000 * agents,
        marginal_parameters: 10,
    };
    Findings {
        study: "sequential",
        command: "cargo xtask study sequential".to_owned(),
        commit: Some("abc".to_owned()),
        sources: "def",
        date: "2026-01-02".to_owned(),
        adoption: Default::default(),
        jobs: 2,
        methods: vec![
            facts("annealed"),
            facts("factored-strong"),
            facts("factored-mild"),
        ],
        rows,
        agreement: Agreement::of(&[0.5, -2.0, 0.0]),
        costs: vec![cost(2, 10.0), cost(8, 25.0)],
        costs_missing: 0,
    }
}

#[test]
fn the_page_says_what_was_found() {
    let rows = vec![
        row(
            "dec-tiger-h2",
            Some(-4.0),
            [&[-4.0; 2], &[-4.0; 2], &[-20.0; 2]],
        ),
        row("two-step", Some(8.0), [&[7.0; 2], &[8.0; 2], &[7.0; 2]]),
        row("mpe-spread", None, [&[-10.0; 2], &[-11.0; 2], &[-12.0; 2]]),
    ];
    let pictures = [("mpe-spread", "sequential/mpe-spread.svg".to_owned())];
    let page = page(&findings(rows), &pictures);
    for expected in [
        "at commit `abc` (sources `def`) on 2026-01-02",
        "Nothing is missing: all 18 runs are there.",
        "| **annealed** | what it is | annealed, explore-mild; annealed (large tasks) |",
        "on 2 of 3 tasks",
        "At least as good on: `dec-tiger-h2`, `mpe-spread`.",
        "- `two-step` against factored-strong: 0 of 2 seeds, return 7.000 against 2 of 2 seeds, return 8.000",
        "reaches:\n\n- `two-step`, 8.000: 0 of 2 seeds, return 7.000\n",
        "differ by at most 2.0 standard errors in 3 runs (root mean square 1.19;",
        "over these tasks: annealed 2 of 4, factored-strong 4 of 4, factored-mild 0 of 4.",
        "| `two-step` | 8.000 | annealed | 0 of 2 | 7.000 (7.000, 7.000) | 1.250 | 8.000, 9.000 | 2 annealed | 990 | 2 |",
        "|  |  | factored-mild | – of 2 | -12.000 (-12.000, -12.000) | 1.250 | – | 2 explore-mild | 990 | 2 |",
        "![Learning curves of mpe-spread](sequential/mpe-spread.svg)",
        "| autoregressive | 8 | 10^8 | 25.0 | 8 | 8,000 | 10 |",
        "From 2 agents to 8, 4.0 times as many, a step takes 2.5 times as long (5 and 3 µs an agent), memory 4.0 times; the joint policy \
         has 4.0 times as many parameters, and 10^6 times",
    ] {
        assert!(page.contains(expected), "{expected}\n\n{page}");
    }
    assert!(!page.contains("What is missing"));
}

#[test]
fn what_is_missing_is_said() {
    let rows = vec![
        row("dec-tiger-h2", Some(-4.0), [&[-4.0; 2], &[-4.0; 1], &[]]),
        row("two-step", Some(8.0), [&[8.0; 2], &[8.0; 2], &[8.0; 2]]),
    ];
    let mut findings = findings(rows);
    findings.costs_missing = 3;
    let page = page(&findings, &[]);
    for expected in [
        "## What is missing\n\n9 of 12 runs are there",
        "| dec-tiger-h2 | all | 1 of 2 | 0 of 2 |",
        "Of the costs, 3 measurements are missing.",
        "on 1 of 1 tasks",
        "Behind on none.",
    ] {
        assert!(page.contains(expected), "{expected}\n\n{page}");
    }
    assert!(!page.contains("Learning curves"));
    // The page is not about them.
    assert!(!page.contains("### Large tasks"));
}

#[test]
fn a_page_says_what_is_missed_and_where_that_is_explained() {
    let strong = [0.94, 0.95, 0.96, 0.97];
    let page = page(
        &findings(vec![row(
            "lbf-15x15-3p-5f",
            None,
            [&[0.75, 0.95], &strong, &[0.8]],
        )]),
        &[],
    );
    for expected in [
        "- `lbf-15x15-3p-5f` against factored-strong: 1 of 2 seeds, return 0.850 against 4 of 4 seeds, return 0.955 \
         (too few runs to exclude chance). [What is left in foraging](../algorithms/annealed-findings.md#what-is-left-in-foraging)\n",
        "- `lbf-15x15-3p-5f`, ≥ 0.9: 1 of 2 seeds, return 0.850. [What is left",
        "| 1 of 2 | 0.850 (0.750, 0.950) |",
        "| 4 of 4 | 0.955 (0.940 to 0.970) |",
        "| 0 of 1 | 0.800 |",
    ] {
        assert!(page.contains(expected), "{expected}\n\n{page}");
    }
}

#[test]
fn a_page_without_runs_claims_nothing() {
    let rows = vec![row("two-step", Some(8.0), [&[], &[], &[]])];
    let mut findings = findings(rows);
    findings.costs.clear();
    let page = page(&findings, &[]);
    assert!(page.contains("0 of 6 runs are there"), "{page}");
    assert!(page.contains("No task has runs of the method and of both rivals yet."));
}
