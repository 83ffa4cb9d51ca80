//! What is compared, and on what: the tasks and methods of every table.

use anyhow::Result;
use consort_trainer::config::{ArmName, Config, Layers};
use consort_trainer::env::Task;

/// How a task is judged and how much of it a study can afford.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Dec-POMDPs, whose teams are valued on the model.
    Exact,
    /// Short tasks whose optimum is known by construction.
    Repeated,
    /// What is played at length.
    Large,
}

/// What a run has to reach to count as a success.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// The task's optimum, within 1 % of it or .05.
    Optimum,
    /// This return.
    AtLeast(f64),
    /// Nothing: only returns are reported.
    Unset,
}

/// One task.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) task: &'static str,
    pub(crate) group: Group,
    pub(crate) goal: Goal,
    /// Runs of each method, where nothing else is asked for.
    pub(crate) seeds: usize,
    /// Fresh episodes that value a team which cannot be valued on a model.
    pub(crate) episodes: usize,
    /// Environment steps of every method's runs, where the default is too few for anyone.
    pub(crate) steps: Option<u64>,
    /// What the findings say of why the goal is missed or another method does better: a heading of
    /// docs/algorithms/annealed-findings.md.
    pub(crate) why: Option<&'static str>,
}

const fn exact(task: &'static str) -> Row {
    Row {
        task,
        group: Group::Exact,
        goal: Goal::Optimum,
        seeds: 10,
        episodes: 20_000,
        steps: None,
        why: None,
    }
}

const fn repeated(task: &'static str) -> Row {
    Row {
        task,
        group: Group::Repeated,
        goal: Goal::Optimum,
        seeds: 10,
        episodes: 2_000,
        steps: None,
        why: None,
    }
}

const fn large(task: &'static str, goal: Goal) -> Row {
    Row {
        task,
        group: Group::Large,
        goal,
        seeds: 4,
        episodes: 1_000,
        steps: None,
        why: None,
    }
}

/// With as many steps as those had who have published the return that is the goal.
const fn published(task: &'static str, goal: Goal) -> Row {
    Row {
        steps: Some(20_000_000),
        ..large(task, goal)
    }
}

/// Fewer steps than the published ones find nothing at all. Episodes have 500 steps, a hundred of them say
/// enough.
const fn warehouse(task: &'static str, goal: Goal) -> Row {
    Row {
        episodes: 100,
        ..published(task, goal)
    }
}

impl Row {
    const fn explained(self, why: &'static str) -> Self {
        Self {
            why: Some(why),
            ..self
        }
    }
}

/// Every task, in the tables' order.
pub(crate) static ROWS: [Row; 63] = [
    exact("dec-tiger-h2"),
    exact("dec-tiger-h3"),
    exact("dec-tiger-h4"),
    exact("dec-tiger-h5"),
    exact("dec-tiger-h6"),
    exact("broadcast-h2"),
    exact("broadcast-h3"),
    exact("broadcast-h4").explained("Finite horizons"),
    exact("broadcast-h5"),
    exact("broadcast-h6"),
    exact("broadcast-h7"),
    exact("broadcast-h8"),
    exact("broadcast-h9"),
    exact("broadcast-h10"),
    exact("broadcast-h11"),
    exact("broadcast-h12"),
    exact("broadcast-h13"),
    exact("broadcast-h14"),
    exact("broadcast-h15"),
    exact("broadcast-h16"),
    exact("broadcast-h17"),
    exact("broadcast-h18"),
    exact("broadcast-h19"),
    exact("broadcast-h20"),
    exact("recycling-h2"),
    exact("recycling-h3"),
    exact("recycling-h4").explained("Finite horizons"),
    exact("recycling-h5"),
    exact("recycling-h6"),
    exact("recycling-h7"),
    exact("recycling-h8"),
    exact("recycling-h9"),
    exact("recycling-h10"),
    exact("recycling-h11"),
    exact("recycling-h12"),
    exact("recycling-h13"),
    exact("recycling-h14"),
    exact("recycling-h15"),
    exact("recycling-h16"),
    exact("recycling-h17"),
    exact("recycling-h18"),
    exact("recycling-h19"),
    exact("recycling-h20"),
    exact("grid-small-h2"),
    exact("grid-small-h3"),
    exact("grid-small-h4"),
    exact("grid-small-h5"),
    exact("grid-small-h6"),
    repeated("climbing-25"),
    repeated("penalty-25"),
    repeated("two-step"),
    // What MAGPO's authors report.
    published("coordsum-3x10", Goal::AtLeast(153.1)).explained("Who leads may want time to choose"),
    large("lbf-8x8-2p-2f-coop", Goal::AtLeast(0.99)),
    published("lbf-15x15-4p-3f", Goal::AtLeast(0.99)).explained("What is left in foraging"),
    published("lbf-15x15-3p-5f", Goal::AtLeast(0.9)).explained("What is left in foraging"),
    warehouse("rware-tiny-2ag", Goal::AtLeast(19.0)).explained("Who is sure too soon"),
    warehouse("rware-tiny-4ag", Goal::AtLeast(40.0)),
    large("mpe-spread", Goal::Unset),
    large("mpe-spread-continuous", Goal::Unset),
    large("mpe-speaker-listener", Goal::Unset),
    large("mpe-speaker-listener-continuous", Goal::Unset),
    large("mpe-reference", Goal::Unset),
    large("mpe-reference-continuous", Goal::Unset),
];

impl Row {
    /// The row of the task called `name`.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> &'static Self {
        ROWS.iter().find(|row| row.task == name).unwrap()
    }

    /// Whether a team that earns `value` has reached the goal; `None` where there is none, or the
    /// optimum is unknown.
    pub(crate) fn reached(&self, value: f64, optimum: Option<f64>) -> Option<bool> {
        match self.goal {
            Goal::Optimum => optimum.map(|best| value >= best - tolerance(best)),
            Goal::AtLeast(least) => Some(value >= least),
            Goal::Unset => None,
        }
    }
}

/// How far below an optimum still counts as it.
pub(crate) fn tolerance(optimum: f64) -> f64 {
    (0.01 * optimum.abs()).max(0.05)
}

/// A way to learn, given as many environment steps as every other.
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// Whether it runs only where it is asked for.
    pub(crate) optional: bool,
    /// The arms it replaces the default portfolio's with.
    arms: fn(&Config) -> Option<Vec<ArmName>>,
}

/// The method as it comes.
pub(crate) static ANNEALED: Method = Method {
    name: "annealed",
    description: "the method as it comes: the default portfolio",
    optional: false,
    arms: |_| None,
};

/// Every method, in order: the first is held against the others.
pub(crate) static METHODS: [&Method; 4] = [
    &ANNEALED,
    &Method {
        name: "factored-strong",
        description: "factored, strong entropy bonus annealed to nothing; one arm with all the \
                      steps, of which what it ends with is exported",
        optional: false,
        arms: |_| Some(vec![ArmName::ExploreStrong]),
    },
    &Method {
        name: "factored-mild",
        description: "factored, mild entropy bonus annealed to nothing; one arm likewise",
        optional: false,
        arms: |_| Some(vec![ArmName::ExploreMild]),
    },
    &Method {
        name: "factored-best-of-n",
        description: "the default portfolio, every arm with a joint policy replaced by a factored \
                      one with annealed entropy",
        optional: true,
        arms: |config| Some(without_joint(&config.portfolio.arms)),
    },
];

/// The arms with strong and mild entropy, in turn, in the place of those with a joint policy.
fn without_joint(arms: &[ArmName]) -> Vec<ArmName> {
    let mut entropies = [ArmName::ExploreStrong, ArmName::ExploreMild]
        .into_iter()
        .cycle();
    let replace = |&arm: &ArmName| match arm.has_joint() {
        true => entropies.next().unwrap_or(arm),
        false => arm,
    };
    arms.iter().map(replace).collect()
}

impl Method {
    /// Whether it is one that the method must not fall behind.
    pub(crate) fn is_rival(&self) -> bool {
        self.name != ANNEALED.name
    }

    /// The configuration of one of its runs on `row`, as the command would resolve it, and the
    /// task. `steps`: in the place of the row's or the default's.
    pub(crate) fn config(
        &self,
        row: &Row,
        seed: u64,
        steps: Option<u64>,
    ) -> Result<(Config, Task)> {
        let mut layers = Layers::new();
        layers.task(row.task)?;
        layers.value("seed", i64::try_from(seed)?)?;
        if let Some(steps) = steps.or(row.steps) {
            layers.value("steps", i64::try_from(steps)?)?;
        }
        let kind = Task::find(row.task)?.kind();
        if let Some(arms) = (self.arms)(&Config::for_kind(kind)) {
            let names: Vec<String> = arms.iter().map(|arm| format!("'{arm}'")).collect();
            layers.assignment(&format!("portfolio.arms=[{}]", names.join(", ")))?;
        }
        Ok(layers.resolve()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_task_and_its_optimum_is_known_where_it_is_the_goal() {
        for row in &ROWS {
            let (_, task) = ANNEALED.config(row, 0, None).unwrap();
            assert_eq!(task.name(), row.task);
            assert_eq!(
                task.problem().is_some(),
                row.group == Group::Exact,
                "{}",
                row.task
            );
            if row.goal == Goal::Optimum {
                assert!(task.optimum().is_some(), "{}", row.task);
            }
        }
    }

    #[test]
    fn what_explains_a_row_is_a_heading() {
        let findings = include_str!("../../../docs/algorithms/annealed-findings.md");
        let headings: Vec<&str> = (findings.lines())
            .filter_map(|line| line.strip_prefix('#'))
            .map(|line| line.trim_start_matches('#').trim())
            .collect();
        for why in ROWS.iter().filter_map(|row| row.why) {
            assert!(headings.contains(&why), "{why}");
        }
    }

    #[test]
    fn methods_are_the_defaults_but_for_their_arms() {
        let row = Row::named("dec-tiger-h3");
        let default = Config {
            task: row.task.to_owned(),
            seed: 7,
            ..Config::for_kind(Task::find(row.task).unwrap().kind())
        };
        for method in METHODS {
            let (mut config, _) = method.config(row, 7, None).unwrap();
            // A run keeps the settings of its own arms alone.
            (config.ippo, config.mappo) = (default.ippo.clone(), default.mappo.clone());
            (config.coma, config.magpo) = (default.coma.clone(), default.magpo.clone());
            config.mackrl = default.mackrl.clone();
            let arms =
                std::mem::replace(&mut config.portfolio.arms, default.portfolio.arms.clone());
            assert_eq!(config, default, "{}", method.name);
            let joint = arms.iter().any(|arm| arm.has_joint());
            assert_eq!(joint, !method.is_rival(), "{}", method.name);
            match method.optional || !method.is_rival() {
                true => assert_eq!(arms.len(), default.portfolio.arms.len()),
                false => assert_eq!(arms.len(), 1),
            }
        }
        let (config, _) = ANNEALED.config(row, 0, Some(345_678)).unwrap();
        assert_eq!(config.steps, 345_678);
    }

    #[test]
    fn a_goal_is_the_optimum_within_a_hundredth_or_a_twentieth() {
        let tiger = Row::named("dec-tiger-h3");
        // 1 % of 5.19 is .0519; of 2 only .02, so .05 counts.
        assert_eq!(tiger.reached(5.139, Some(5.19)), Some(true));
        assert_eq!(tiger.reached(5.137, Some(5.19)), Some(false));
        assert_eq!(tiger.reached(-2.04, Some(-2.0)), Some(true));
        assert_eq!(tiger.reached(-2.06, Some(-2.0)), Some(false));
        assert_eq!(tiger.reached(5.0, None), None);
        let warehouse = Row::named("rware-tiny-2ag");
        assert_eq!(warehouse.reached(19.0, None), Some(true));
        assert_eq!(warehouse.reached(18.9, None), Some(false));
        assert_eq!(Row::named("mpe-spread").reached(0.0, None), None);
    }
}
