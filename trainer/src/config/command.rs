//! The command line that repeats a run: what its configuration says beside the defaults.

use toml::{Table, Value};

use super::Config;
use crate::env::TaskKind;

impl Config {
    /// The command that repeats the run wherever the same version is installed. A game or a
    /// model from a file travels in `config.toml` and is named by it.
    pub fn command(&self) -> String {
        if self.game.is_some() || self.model.is_some() {
            return "consort train --config config.toml".to_owned();
        }
        let table = |config: &Self| Table::try_from(config).expect("a configuration fits TOML");
        let kind = self.task().map_or(TaskKind::OneShot, |task| task.kind());
        // What task and method will resolve to.
        let base = table(&Self::resolved(kind, self.method));
        let mut settings = Vec::new();
        differences("", &table(self), &base, &mut settings);
        let mut flags = format!(" --seed {}", self.seed);
        let mut sets = String::new();
        for (key, value) in settings {
            match key.as_str() {
                "task" | "seed" => {}
                "method" | "device" => {
                    flags += &format!(" --{key} {}", value.as_str().unwrap_or_default())
                }
                "steps" => flags += &format!(" --steps {value}"),
                _ => sets += &format!(" --set '{key}={value}'"),
            }
        }
        format!("consort train {}{flags}{sets}", self.task)
    }
}

/// The entries of `table` that differ from `base`, by dotted key. What has a `shape` is one entry.
fn differences(path: &str, table: &Table, base: &Table, changes: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let at = format!("{path}{key}");
        match (value, base.get(key)) {
            (value, Some(base)) if value == base => {}
            (Value::Table(inner), Some(Value::Table(base))) if !inner.contains_key("shape") => {
                differences(&format!("{at}."), inner, base, changes);
            }
            _ => changes.push((at, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Layers};

    /// `task` with `assignments`, and again by the command that says so.
    fn repeated(task: &str, assignments: &[&str]) -> [Config; 2] {
        let resolve = |assignments: &[String]| {
            let mut layers = Layers::new();
            layers.task(task).unwrap();
            for assignment in assignments {
                layers.assignment(assignment).unwrap();
            }
            layers.resolve().unwrap().0
        };
        let all: Vec<String> = assignments.iter().map(|&one| one.to_owned()).collect();
        let config = resolve(&all);
        let command = config.command();
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[..3], ["consort", "train", task], "{command}");
        let flag = |pair: &[&str]| {
            let key = pair[0].strip_prefix("--").filter(|key| *key != "set")?;
            Some(format!("{key}={}", pair[1]))
        };
        let flags = words.windows(2).filter_map(flag);
        let sets = command.split('\'').skip(1).step_by(2).map(str::to_owned);
        [config, resolve(&flags.chain(sets).collect::<Vec<_>>())]
    }

    #[test]
    fn a_command_resolves_to_the_configuration_it_came_from() {
        for (task, assignments) in [
            (
                "climbing",
                &[
                    "method=factored",
                    "seed=7",
                    "steps=40000",
                    "factored.temperature={shape='linear', start=0.5, hold=0, until=0.9}",
                    "network.hidden=[8, 8]",
                    "annealed.schedule.lambda_end=5",
                ][..],
            ),
            // As other methods and other tasks have it.
            ("alias-h8", &["method=qmix", "network.memory=0"]),
            (
                "lbf-8x8-2p-2f-coop",
                &[
                    "method=vdn",
                    "value.trace=0",
                    "value.off_policy.gradient_steps=1",
                ],
            ),
            ("lbf-8x8-2p-2f-coop", &["method=maddpg", "steps=5000000"]),
        ] {
            let [config, again] = repeated(task, assignments);
            assert_eq!(config, again, "{}", config.command());
        }
        let [config, _] = repeated("climbing", &["method=factored", "seed=7", "steps=40000"]);
        let command = "consort train climbing --seed 7 --method factored --steps 40000";
        assert_eq!(config.command(), command);
        let [config, _] = repeated("lbf-8x8-2p-2f-coop", &["method=qmix", "steps=20000000"]);
        let command = "consort train lbf-8x8-2p-2f-coop --seed 0 --method qmix --steps 20000000";
        assert_eq!(config.command(), command);
    }
}
