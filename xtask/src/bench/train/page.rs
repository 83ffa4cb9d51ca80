//! The tables of docs/performance.md, so that nobody copies a figure by hand: what lies there between `<!-- figures: NAME -->` and
//! `<!-- end -->` is written anew from the bench's JSON; where a part was not measured its table stays.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::short;
use crate::root;

const PAGE: &str = "docs/performance.md";
const END: &str = "<!-- end -->";

/// A table, where its part was measured.
type Table = fn(&Value) -> Option<String>;

/// By their names on the page.
const TABLES: [(&str, Table); 5] = [
    ("machine", machine),
    ("networks", networks),
    ("environments", environments),
    ("training", training),
    ("growth", growth),
];

/// Writes all tables that there are figures for.
pub(super) fn write(figures: &Value) -> Result<String> {
    let path = root().join(PAGE);
    let mut page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut written = Vec::new();
    for (name, table) in TABLES {
        if let Some(table) = table(figures) {
            page = replaced(&page, name, &table)?;
            written.push(name);
        }
    }
    fs::write(&path, page).with_context(|| path.display().to_string())?;
    Ok(format!("{PAGE}: {}", written.join(", ")))
}

/// The page with another table of this name.
fn replaced(page: &str, name: &str, table: &str) -> Result<String> {
    let begin = format!("<!-- figures: {name} -->");
    let (before, rest) = page
        .split_once(&begin)
        .with_context(|| format!("{PAGE}: no `{begin}`"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("{PAGE}: no `{END}` after `{begin}`"))?;
    Ok(format!(
        "{before}{begin}\n{}\n{END}{after}",
        table.trim_end()
    ))
}

fn machine(figures: &Value) -> Option<String> {
    let machine = figures.get("machine")?;
    let processor = machine["processor"].as_str()?;
    Some(format!(
        "`{}` at commit {}: {processor}, {} cores, {} GFLOP/s a core.",
        machine["command"].as_str()?,
        machine["commit"].as_str()?,
        machine["cores"],
        rounded(&machine["gflops"], 0)
    ))
}

fn networks(figures: &Value) -> Option<String> {
    let head = [
        "network",
        "batch",
        "ours",
        "PyTorch",
        "ours ÷ PyTorch",
        "share of the limit",
    ];
    let row = |row: &Value| {
        let name = match row["network"].as_str()? {
            "mlp" => "perceptron",
            _ => "recurrent",
        };
        Some([
            format!("{name}, {}", row["pass"].as_str()?),
            row["batch"].to_string(),
            rate(&row["ours"]),
            rate(&row["torch"]),
            rounded(&row["ratio"], 1),
            rounded(&(row["share_of_limit"].as_f64()? * 100.0).into(), 0) + " %",
        ])
    };
    let rows = figures.get("networks")?.as_array()?.iter().map(row);
    Some(table(head, rows.collect::<Option<Vec<_>>>()?))
}

fn environments(figures: &Value) -> Option<String> {
    let row = |(key, task): (&str, &str)| {
        let of = |suffix: &str| figures.get(format!("env_{key}{suffix}"));
        let ratio = of("_ratio")?;
        Some([
            task.to_owned(),
            rate(of("")?),
            rate(of("_original")?),
            rounded(ratio, 0),
        ])
    };
    let tasks = [
        ("lbf", "lbf-8x8-2p-2f-coop"),
        ("rware", "rware-tiny-4ag"),
        ("mpe", "mpe-spread, 3 agents"),
    ];
    let rows = tasks.into_iter().map(row).collect::<Option<Vec<_>>>()?;
    Some(table(["task", "ours", "original", "ours ÷ original"], rows))
}

fn training(figures: &Value) -> Option<String> {
    let head = [
        "",
        "steps a second",
        "seconds to the threshold",
        "compiled in",
        "memory, MiB",
    ];
    let row = |(key, name): (&str, &str)| {
        let runs = figures.get("end_to_end")?.get(key)?;
        let compiling = &runs["seeds"][0]["seconds_compiling"];
        Some([
            name.to_owned(),
            rate(&runs["env_steps_per_second"]),
            rounded(&runs["seconds_to_threshold"], 1),
            match compiling.is_null() {
                true => String::new(),
                false => rounded(compiling, 1) + " s",
            },
            rounded(&runs["peak_mebibytes"], 0),
        ])
    };
    let runs = [
        ("spread", "mpe-spread, ours"),
        ("spread_jaxmarl", "MPE_simple_spread_v3, JaxMARL"),
        ("foraging", "lbf-8x8-2p-2f-coop, ours"),
        ("warehouse", "rware-tiny-4ag, ours"),
    ];
    let rows: Vec<_> = runs.into_iter().filter_map(row).collect();
    let table = (!rows.is_empty()).then(|| table(head, rows))?;
    let ratio = |key: &str| rounded(figures.get(key).unwrap_or(&Value::Null), 2);
    Some(format!(
        "{table}\nOurs ÷ JaxMARL: {}. Ours in the warehouse ÷ what EPyMARL published: {}.",
        ratio("end_to_end_ratio"),
        ratio("rware_ratio_epymarl_published")
    ))
}

fn growth(figures: &Value) -> Option<String> {
    let row = |row: &Value| {
        let mebibytes = row["peak_bytes"]
            .as_f64()
            .map(|bytes| bytes / 1024.0 / 1024.0);
        Some([
            format!("{}: {}", row["axis"].as_str()?, row["value"]),
            rate(&row["env_steps_per_second"]),
            rounded(&mebibytes.into(), 0),
        ])
    };
    let rows = figures.get("growth")?.as_array()?.iter().map(row);
    let rows = rows.collect::<Option<Vec<_>>>()?;
    Some(table(["", "steps a second", "memory, MiB"], rows))
}

fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(&head.map(str::to_owned));
    table += &line(&[const { String::new() }; N].map(|_| "---".to_owned()));
    table.extend(rows.iter().map(|row| line(row)));
    table
}

fn rate(value: &Value) -> String {
    value.as_f64().map_or_else(|| "not measured".into(), short)
}

/// With some decimals; a dash where nothing was measured.
fn rounded(value: &Value, decimals: usize) -> String {
    (value.as_f64()).map_or_else(|| "–".into(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_written_anew_between_its_marks_and_nothing_else_is() {
        let page = "a\n<!-- figures: growth -->\nold\n<!-- end -->\nb\n<!-- figures: machine -->\n<!-- end -->\n";
        let figures = json!({ "growth": [
            { "axis": "threads", "value": 2, "env_steps_per_second": 124_220.1, "peak_bytes": 1_048_576 },
        ] });
        let page = replaced(page, "growth", &growth(&figures).unwrap()).unwrap();
        let table = "|  | steps a second | memory, MiB |\n| --- | --- | --- |\n| threads: 2 | 124.2 k | 1 |";
        let expected = format!(
            "a\n<!-- figures: growth -->\n{table}\n<!-- end -->\nb\n<!-- figures: machine -->\n<!-- end -->\n"
        );
        assert_eq!(page, expected);
        assert!(replaced(&page, "networks", "").is_err());
    }

    #[test]
    fn what_was_not_measured_has_no_table() {
        assert!(TABLES.iter().all(|(_, table)| table(&json!({})).is_none()));
    }

    #[test]
    fn the_page_has_a_place_for_every_table() {
        let page = fs::read_to_string(root().join(PAGE)).unwrap();
        for (name, _) in TABLES {
            assert!(replaced(&page, name, "").is_ok(), "{name}");
        }
    }
}
