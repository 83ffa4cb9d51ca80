//! What a comparison found: figures, a page of tables in Markdown, and pictures.

use serde::Serialize;

use super::{Run, marl_eval};
use crate::report::aggregate::{self, Estimate, Scores};
use crate::report::chart::{Chart, Line};
use crate::report::markdown::{line, table};
use crate::report::statistics::{Interval, bootstrap, interquartile_mean};
use crate::report::{count, number};
use crate::rng::Stream;

/// Scores at which a performance profile is taken.
const LEVELS: usize = 41;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// The tasks, by place.
    pub tasks: Vec<TaskFindings>,
    /// The methods, by place.
    pub methods: Vec<String>,
    /// Every method over all tasks: the interquartile mean of its scores.
    pub overall: Vec<Estimate>,
    /// `[X][Y]`: P(X > Y); none of a method against itself.
    pub improvement: Vec<Vec<Option<Estimate>>>,
    /// Every run.
    pub runs: Vec<Run>,
}

/// One task.
#[derive(Debug, Serialize)]
pub struct TaskFindings {
    /// Its name.
    pub name: String,
    /// Environment steps given to every run.
    pub steps: u64,
    /// The best value of agents that act apart, where it is known.
    pub optimum: Option<f64>,
    /// Returns of 0 and 1 as scores: the least and the greatest that any run was measured at.
    pub scale: [f64; 2],
    /// Each method's interquartile mean of returns.
    pub returns: Vec<Estimate>,
}

impl Findings {
    /// What the runs of these tasks by these methods came to. Every draw of the intervals comes
    /// from streams of this purpose.
    pub fn new(methods: &[String], runs: Vec<Run>) -> Self {
        let rows = runs.iter().map(|run| run.place[0] + 1).max().unwrap_or(0);
        let tasks = (0..rows).map(|row| TaskFindings::new(row, methods.len(), &runs));
        let tasks: Vec<TaskFindings> = tasks.collect();
        let scores = |column| scores(&tasks, &runs, column, |run| Some(run.value));
        let of: Vec<Scores> = (0..methods.len()).map(scores).collect();
        let stream = |name, index: usize| Stream::new(0, name, index as u64);
        let overall = of.iter().enumerate();
        let overall = overall.map(|(m, own)| aggregate::overall(own, &mut stream("overall", m)));
        let improvement = |one: usize| {
            let against = |other: usize| {
                let mut stream = stream("improvement", one * of.len() + other);
                let found = || aggregate::improvement(&of[one], &of[other], &mut stream);
                (one != other).then(found)
            };
            (0..of.len()).map(against).collect()
        };
        Self {
            overall: overall.collect(),
            improvement: (0..of.len()).map(improvement).collect(),
            methods: methods.to_vec(),
            tasks,
            runs,
        }
    }

    /// Scores of a method, `[task][run]`, of what `of` finds in a run.
    fn scores(&self, column: usize, of: impl Fn(&Run) -> Option<f64>) -> Scores {
        scores(&self.tasks, &self.runs, column, of)
    }

    /// The performance profiles.
    pub fn profile(&self) -> Option<String> {
        let levels: Vec<f64> = (0..LEVELS)
            .map(|level| level as f64 / (LEVELS - 1) as f64)
            .collect();
        let of = |(column, name): (usize, &String)| {
            let scores = self.scores(column, |run| Some(run.value));
            let mut stream = Stream::new(0, "profile", column as u64);
            let found = aggregate::profile(&scores, &levels, &mut stream);
            Line {
                name: name.clone(),
                points: levels.iter().copied().zip(found).collect(),
            }
        };
        let chart = Chart {
            caption: format!("share of runs above a score, {}", self.tasks_in_words()),
            x: "score",
            y: "share of runs",
            range: Some((0.0, 1.0)),
            lines: self.methods.iter().enumerate().map(of).collect(),
        };
        chart.draw()
    }

    /// Sample efficiency: the interquartile mean of the scores by the share of the steps.
    pub fn efficiency(&self) -> Option<String> {
        let of = |(column, name): (usize, &String)| {
            let mut stream = Stream::new(0, "efficiency", column as u64);
            let point = |index: usize| {
                let share = (index + 1) as f64 / marl_eval::STEPS as f64;
                let scores = self.scores(column, |run| run.at(share * run.steps as f64));
                let measured = scores.iter().all(|runs| !runs.is_empty());
                measured.then(|| (share, aggregate::overall(&scores, &mut stream)))
            };
            Line {
                name: name.clone(),
                points: (0..marl_eval::STEPS).filter_map(point).collect(),
            }
        };
        let mut lines: Vec<Line> = self.methods.iter().enumerate().map(of).collect();
        lines.retain(|line| !line.points.is_empty());
        let chart = Chart {
            caption: format!("sample efficiency, {}", self.tasks_in_words()),
            x: "share of the environment steps",
            y: "interquartile mean of scores",
            range: Some((0.0, 1.0)),
            lines,
        };
        chart.draw()
    }

    /// One task's learning curves: the interquartile mean of returns by environment steps.
    pub fn curves(&self, row: usize) -> Option<String> {
        let task = &self.tasks[row];
        let of = |(column, name): (usize, &String)| {
            let mut stream = Stream::new(0, "curve", (row * self.methods.len() + column) as u64);
            let point = |index: usize| {
                let steps = task.steps as f64 * (index + 1) as f64 / marl_eval::STEPS as f64;
                let values = self.runs.iter().filter(|run| run.place == [row, column]);
                let values: Option<Vec<f64>> = values.map(|run| run.at(steps)).collect();
                Some((steps, returns(&values?, &mut stream)))
            };
            Line {
                name: name.clone(),
                points: (0..marl_eval::STEPS).filter_map(point).collect(),
            }
        };
        let mut lines: Vec<Line> = self.methods.iter().enumerate().map(of).collect();
        lines.retain(|line| !line.points.is_empty());
        let chart = Chart {
            caption: task.name.clone(),
            x: "environment steps",
            y: "return",
            range: None,
            lines,
        };
        chart.draw()
    }

    fn tasks_in_words(&self) -> String {
        match self.tasks.len() {
            1 => self.tasks[0].name.clone(),
            several => format!("{several} tasks"),
        }
    }

    /// The page. `pictures`: captions and files beside it.
    pub fn page(&self, command: &str, pictures: &[(String, String)]) -> String {
        let seeds = self.runs.iter().map(|run| run.seed + 1).max().unwrap_or(0);
        let mut text = format!(
            "# Comparison\n\n    {command}\n\nEvery run of a task is given the same environment \
             steps, every arm's and every evaluation's counted; {seeds} seed(s). A figure is the \
             interquartile mean over runs of what the exported images earn, with its 95 % bootstrap \
             interval.\n\n"
        );
        let names = self.methods.iter().map(String::as_str);
        let heading: Vec<&str> = ["task", "steps", "optimum"]
            .into_iter()
            .chain(names)
            .collect();
        text += &table(&heading);
        for task in &self.tasks {
            let facts = [task.name.clone(), count(task.steps), number(task.optimum)];
            let returns = task.returns.iter().map(in_words);
            text += &line(facts.into_iter().chain(returns));
        }
        text += "\nAs scores, from 0 for the least return measured on a task to 1 for the greatest, \
                 over all tasks; and the probability that a run of the method in the row does \
                 better than one of that in the column (Agarwal et al. 2021; intervals by a \
                 bootstrap that is stratified by task):\n\n";
        let against: Vec<String> = self
            .methods
            .iter()
            .map(|name| format!("> {name}"))
            .collect();
        let heading = ["method", "score"]
            .into_iter()
            .chain(against.iter().map(String::as_str));
        text += &table(&heading.collect::<Vec<_>>());
        for (column, name) in self.methods.iter().enumerate() {
            let facts = [name.clone(), in_words(&self.overall[column])];
            let against = self.improvement[column].iter();
            let against = against.map(|found| found.as_ref().map_or("–".to_owned(), in_words));
            text += &line(facts.into_iter().chain(against));
        }
        for (caption, file) in pictures {
            text += &format!("\n![{caption}]({file})\n");
        }
        text
    }
}

/// Scores of a method, `[task][run]`, of what `of` finds in a run.
fn scores(
    tasks: &[TaskFindings],
    runs: &[Run],
    column: usize,
    of: impl Fn(&Run) -> Option<f64>,
) -> Scores {
    let of_task = |(row, task): (usize, &TaskFindings)| {
        let own = runs.iter().filter(|run| run.place == [row, column]);
        own.filter_map(|run| Some(task.score(of(run)?))).collect()
    };
    tasks.iter().enumerate().map(of_task).collect()
}

impl TaskFindings {
    fn new(row: usize, methods: usize, runs: &[Run]) -> Self {
        let own = || runs.iter().filter(move |run| run.place[0] == row);
        let measured = own().flat_map(|run| {
            let curve = run.curve.iter().map(|point| point.value);
            curve.chain([run.value])
        });
        let ends = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = measured
            .filter(|value| value.is_finite())
            .fold(ends, |(low, high), value| (low.min(value), high.max(value)));
        let first = own().next().expect("a task has runs");
        let of_method = |column: usize| {
            let values = own().filter(|run| run.place[1] == column);
            let values: Vec<f64> = values.map(|run| run.value).collect();
            let mut stream = Stream::new(0, "returns", (row * methods + column) as u64);
            returns(&values, &mut stream)
        };
        Self {
            name: first.task.clone(),
            steps: first.steps,
            optimum: first.optimum,
            scale: [low, high],
            returns: (0..methods).map(of_method).collect(),
        }
    }

    /// A return as a score; 1 where all were alike.
    fn score(&self, value: f64) -> f64 {
        let [low, high] = self.scale;
        match high > low {
            true => ((value - low) / (high - low)).clamp(0.0, 1.0),
            false => 1.0,
        }
    }
}

/// The interquartile mean of some runs, with its interval.
fn returns(values: &[f64], stream: &mut Stream) -> Estimate {
    Estimate {
        value: interquartile_mean(values),
        interval: bootstrap(values, interquartile_mean, stream),
    }
}

fn in_words(estimate: &Estimate) -> String {
    let Interval { low, high } = estimate.interval;
    let rounded = |value: f64| format!("{:.3}", (value * 1e3).round() / 1e3 + 0.0);
    let [value, low, high] = [estimate.value, low, high].map(rounded);
    format!("{value} [{low}, {high}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Point;

    fn run(place: [usize; 2], seed: u64, values: [f64; 2]) -> Run {
        let point = |(env_steps, value)| Point { env_steps, value };
        Run {
            place,
            task: ["climbing", "chsh"][place[0]].to_owned(),
            method: ["coma", "mappo"][place[1]].to_owned(),
            seed,
            steps: 1000,
            env_steps: 1000,
            value: values[1],
            joint: None,
            optimum: Some(11.0),
            curve: vec![point((500.0, values[0])), point((1000.0, values[1]))],
        }
    }

    fn findings() -> Findings {
        let runs = vec![
            run([0, 0], 0, [-9.0, 1.0]),
            run([0, 1], 0, [0.0, 11.0]),
            run([1, 0], 0, [0.5, 0.5]),
            run([1, 1], 0, [0.5, 0.75]),
            run([0, 0], 1, [-9.0, 6.0]),
            run([0, 1], 1, [0.0, 11.0]),
            run([1, 0], 1, [0.5, 0.75]),
            run([1, 1], 1, [0.5, 0.5]),
        ];
        Findings::new(&["coma", "mappo"].map(str::to_owned), runs)
    }

    /// Climbing was measured from −9 to 11, so 1 and 6 are scores of .5 and .75; chsh from .5 to .75.
    #[test]
    fn returns_become_scores_on_each_tasks_own_scale() {
        let found = findings();
        assert_eq!(found.tasks[0].scale, [-9.0, 11.0]);
        let scores = found.scores(0, |run| Some(run.value));
        assert_eq!(scores, [vec![0.5, 0.75], vec![0.0, 1.0]]);
        // Of four, one is cut from either end: (.5 + .75)/2; of mappo's 1, 1, 1, 0: 1.
        assert_eq!(found.overall[0].value, 0.625);
        assert_eq!(found.overall[1].value, 1.0);
        // Climbing: none of four pairs is won. Chsh: (.5, .75), (.5, .5), (.75, .75), (.75, .5): one
        // lost, two even, one won: ½.
        let improvement = found.improvement[0][1].unwrap();
        assert_eq!(improvement.value, 0.25);
        assert_eq!(found.improvement[1][0].unwrap().value, 0.75);
        assert!(found.improvement[0][0].is_none());
        assert_eq!(found.tasks[0].returns[0].value, 3.5);
    }

    #[test]
    fn the_page_has_every_method_and_task_and_the_pictures_every_method() {
        let found = findings();
        let page = found.page(
            "consort compare …",
            &[("curves".to_owned(), "a.svg".to_owned())],
        );
        assert!(
            page.contains("| task | steps | optimum | coma | mappo |"),
            "{page}"
        );
        assert!(page.contains("| climbing | 1,000 | 11.0000 | 3.500 [1.000, 6.000] | 11.000 ["));
        assert!(page.contains("| method | score | > coma | > mappo |"));
        assert!(page.contains("![curves](a.svg)"));
        for svg in [found.profile(), found.efficiency(), found.curves(0)] {
            let svg = svg.unwrap();
            assert!(svg.contains("coma") && svg.contains("mappo"));
        }
    }
}
