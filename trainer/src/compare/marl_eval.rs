//! Results in the format of marl-eval (github.com/instadeepai/marl-eval), the tools of Gorsane et
//! al., *Towards a Standardised Performance Evaluation Protocol for Cooperative MARL* (NeurIPS
//! 2022):
//!
//! ```text
//! environment → task → algorithm → seed_<n> → step_<k> → { step_count, return: [number] }
//!                                           → absolute_metrics → { return: [number] }
//! ```
//!
//! Its reader takes the last key of a run for the absolute metrics and the others for steps in
//! order, whatever they are called: so keys are written in their order, not sorted. It wants the
//! names of environments and metrics in lower case, and of every run as many steps.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Run;

/// What the tasks of `consort` are called together.
pub const ENVIRONMENT: &str = "consort";

/// Steps of every run at which its curve is written.
pub const STEPS: usize = 20;

/// A map that keeps its order.
struct Ordered<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// What a step, or a run as a whole, came to.
#[derive(Serialize)]
struct Metrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    step_count: Option<u64>,
    #[serde(rename = "return")]
    returns: [f64; 1],
}

/// The file's text. `tasks`, `methods`: by place; `runs`: of each of both as many.
pub fn text(tasks: &[String], methods: &[String], runs: &[Run]) -> String {
    let of_task = |row: usize| {
        let of_method = |column: usize| {
            let own = runs.iter().filter(|run| run.place == [row, column]);
            Ordered(
                own.map(|run| (format!("seed_{}", run.seed), one(run)))
                    .collect(),
            )
        };
        let named = |(column, name): (usize, &String)| (name.clone(), of_method(column));
        Ordered(methods.iter().enumerate().map(named).collect())
    };
    let named = |(row, name): (usize, &String)| (name.to_lowercase(), of_task(row));
    let tasks = Ordered(tasks.iter().enumerate().map(named).collect());
    let file = Ordered(vec![(ENVIRONMENT.to_owned(), tasks)]);
    let mut text = serde_json::to_string_pretty(&file).expect("numbers and names are JSON");
    text.push('\n');
    text
}

/// One run: its curve at even steps (its end alone, where it was not measured), then its end.
fn one(run: &Run) -> Ordered<Metrics> {
    let step = |index: usize| {
        let steps = run.steps as f64 * (index + 1) as f64 / STEPS as f64;
        let metrics = Metrics {
            step_count: Some(steps as u64),
            returns: [run.at(steps).unwrap_or(run.value)],
        };
        (format!("step_{index}"), metrics)
    };
    let mut steps: Vec<_> = (0..STEPS).map(step).collect();
    let end = Metrics {
        step_count: None,
        returns: [run.value],
    };
    steps.push(("absolute_metrics".to_owned(), end));
    Ordered(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Point;

    /// The keys in the order in which marl-eval reads them: `list(runs["seed_0"].keys())[-1]` must be
    /// the absolute metrics, and every other entry has a `step_count` and as many metrics.
    #[test]
    fn keys_come_in_the_order_in_which_they_are_read() {
        let run = |place, seed| Run {
            place,
            task: "climbing".to_owned(),
            method: "coma".to_owned(),
            seed,
            steps: 1000,
            env_steps: 990,
            value: 7.5,
            joint: None,
            optimum: None,
            curve: vec![
                Point {
                    env_steps: 100.0,
                    value: 1.0,
                },
                Point {
                    env_steps: 600.0,
                    value: 2.0,
                },
            ],
        };
        let runs = [
            run([0, 0], 0),
            run([0, 1], 0),
            run([0, 0], 1),
            run([0, 1], 1),
        ];
        let methods = ["coma", "annealed"].map(str::to_owned);
        let text = text(&["Climbing".to_owned()], &methods, &runs);
        let places = [
            "\"consort\"",
            "\"climbing\"",
            "\"coma\"",
            "\"seed_0\"",
            "\"step_0\"",
            "\"step_9\"",
            "\"step_10\"",
            "\"step_19\"",
            "\"absolute_metrics\"",
            "\"seed_1\"",
            "\"annealed\"",
        ]
        .map(|key| text.find(key).unwrap_or_else(|| panic!("{key} is missing")));
        assert!(places.is_sorted(), "{places:?}");

        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        for method in &methods {
            let runs = value["consort"]["climbing"][method].as_object().unwrap();
            assert_eq!(runs.len(), 2);
            for steps in runs.values() {
                assert_eq!(steps.as_object().unwrap().len(), STEPS + 1);
                assert_eq!(steps["step_0"]["step_count"], 50);
                assert_eq!(steps["step_0"]["return"], serde_json::json!([1.0]));
                assert_eq!(steps["step_10"]["return"], serde_json::json!([1.0]));
                assert_eq!(steps["step_11"]["step_count"], 600);
                assert_eq!(steps["step_11"]["return"], serde_json::json!([2.0]));
                let end = steps["absolute_metrics"].as_object().unwrap();
                assert_eq!(end.keys().collect::<Vec<_>>(), ["return"]);
                assert_eq!(end["return"], serde_json::json!([7.5]));
            }
        }
    }
}
