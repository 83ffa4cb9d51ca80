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
        let mut settings = Vec::new();
        let kind = self.task().map_or(TaskKind::OneShot, |task| task.kind());
        differences(
            "",
            &table(self),
            &table(&Self::for_kind(kind)),
            &mut settings,
        );
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
    use super::super::Layers;

    #[test]
    fn a_command_resolves_to_the_configuration_it_came_from() {
        let mut layers = Layers::new();
        layers.task("climbing").unwrap();
        for assignment in [
            "method=factored",
            "seed=7",
            "steps=40000",
            "factored.temperature={shape='linear', start=0.5, hold=0, until=0.9}",
            "network.hidden=[8, 8]",
            "annealed.schedule.lambda_end=5",
        ] {
            layers.assignment(assignment).unwrap();
        }
        let (config, _) = layers.resolve().unwrap();
        let command = config.command();
        assert!(
            command.starts_with("consort train climbing --seed 7 --method factored --steps 40000"),
            "{command}"
        );

        let mut layers = Layers::new();
        layers.task("climbing").unwrap();
        layers.assignment("seed=7").unwrap();
        layers.assignment("method=factored").unwrap();
        layers.assignment("steps=40000").unwrap();
        for quoted in command.split('\'').skip(1).step_by(2) {
            layers.assignment(quoted).unwrap();
        }
        assert_eq!(layers.resolve().unwrap().0, config);
    }
}
