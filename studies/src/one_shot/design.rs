//! What is compared, and on what: the columns and rows of every table.

use anyhow::{Context, Result};
use consort_trainer::config::{ArmName, Config, Method};
use consort_trainer::env::Task;

/// A game, or a set of random games, in which success is counted.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Fraction of the runs that is to reach the optimum, where one has been set.
    pub(crate) asked: Option<f64>,
    /// How many games: 1, or so many of the random family of this name.
    games: usize,
}

const fn row(name: &'static str, games: usize, asked: Option<f64>) -> Row {
    Row { name, asked, games }
}

/// The row that theory is set beside, and that is timed.
pub(crate) const ASSURANCE: &str = "assurance";

/// Every row, in the tables' order.
pub(crate) static ROWS: [Row; 12] = [
    row(ASSURANCE, 1, Some(0.99)),
    row("climbing", 1, Some(0.99)),
    row("penalty", 1, Some(0.99)),
    row("weak-link-10", 1, Some(0.99)),
    row("weak-link-3x4", 1, Some(0.99)),
    row("xor-safe", 1, Some(0.95)),
    row("climbing-private", 1, Some(0.95)),
    row("climbing-xor", 1, Some(0.95)),
    row("chsh", 1, None),
    row("random-heavy", 40, Some(0.9)),
    row("random-three-agents", 20, Some(0.9)),
    row("random-normal", 20, None),
];

impl Row {
    /// The row called `name`.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.name == name)
    }

    /// How many games.
    pub(crate) fn games(&self) -> usize {
        self.games
    }

    /// Whether it is one game of two agents with at most nine joint actions.
    pub(crate) fn small(&self) -> bool {
        let small = [
            "assurance",
            "climbing",
            "penalty",
            "xor-safe",
            "climbing-private",
        ];
        small.contains(&self.name)
    }

    /// At least `least` runs, as many of each game: its task and its seed. Seeds count from 0
    /// through the whole row.
    pub(crate) fn runs(&self, least: usize) -> Result<(Vec<Task>, Vec<u64>)> {
        let games = self.games.min(least);
        let find = |game: usize| {
            let name = match self.games {
                1 => self.name.to_owned(),
                _ => format!("{}-{game}", self.name),
            };
            let task = Task::find(&name)?;
            // Known from here on to every copy of the task.
            let optimum = task.optimum();
            optimum.with_context(|| format!("`{name}` is too large to solve exactly"))?;
            Ok(task)
        };
        let tasks: Vec<Task> = (0..games).map(find).collect::<Result<_>>()?;
        let runs = games * least.div_ceil(games);
        Ok((0..runs)
            .map(|run| (tasks[run % games].clone(), run as u64))
            .unzip())
    }
}

/// How many runs a column has in a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seeds {
    /// As many as were asked for: what success is promised of, and what theory is set beside.
    Full,
    /// As many on assurance, where theory speaks of it; fewer elsewhere.
    FullOnAssurance,
    /// Fewer: what the method is held against.
    Few,
}

/// A way to learn, given as many environment steps as every other.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// Whether it is factored policy gradient with annealed entropy: what the method must not
    /// fall behind.
    pub(crate) rival: bool,
    pub(crate) seeds: Seeds,
    /// Whether it is an ablation: run only where that is cheap, on rows that are
    /// [`small`](Row::small).
    pub(crate) ablation: bool,
    configure: fn(&mut Config),
}

/// The method as it comes.
pub(crate) static ANNEALED: Column = Column {
    name: "annealed",
    description: "the method as it comes: the default portfolio",
    rival: false,
    seeds: Seeds::Full,
    ablation: false,
    configure: |_| {},
};

/// Plain policy gradient.
pub(crate) static FACTORED: Column = Column {
    name: "factored",
    description: "plain policy gradient on the product: no joint policy, no entropy bonus",
    rival: false,
    seeds: Seeds::FullOnAssurance,
    ablation: false,
    configure: |config| config.method = Method::Factored,
};

/// The mixture without the divergence.
pub(crate) static MIXTURE_ONLY: Column = Column {
    name: "mixture-only",
    description: "the annealed arm without the divergence",
    rival: false,
    seeds: Seeds::Few,
    ablation: true,
    configure: |config| config.method = Method::MixtureOnly,
};

/// The mixture alone, without divergence and entropy bonus: what theory says is no better than
/// plain policy gradient.
pub(crate) static MIXTURE_ALONE: Column = Column {
    name: "mixture-alone",
    description: "the annealed arm without the divergence and without the entropy bonus",
    rival: false,
    seeds: Seeds::Full,
    ablation: false,
    configure: mixture_alone,
};

/// Samples an update where theory, which knows no sampling noise, is to be met.
pub(crate) const LARGE_BATCH: usize = 512;

/// Plain policy gradient in few, large batches.
pub(crate) static FACTORED_LARGE: Column = Column {
    name: "factored-512",
    description: "plain policy gradient in batches of 512",
    rival: false,
    seeds: Seeds::Full,
    ablation: false,
    configure: |config| {
        config.method = Method::Factored;
        config.batch = LARGE_BATCH;
    },
};

/// The mixture alone in few, large batches.
pub(crate) static MIXTURE_ALONE_LARGE: Column = Column {
    name: "mixture-alone-512",
    description: "the mixture alone in batches of 512",
    rival: false,
    seeds: Seeds::Full,
    ablation: false,
    configure: |config| {
        mixture_alone(config);
        config.batch = LARGE_BATCH;
    },
};

/// Every column of the tables, in order.
pub(crate) static COLUMNS: [&Column; 9] = [
    &ANNEALED,
    &Column {
        name: "one-arm",
        description: "one annealed arm with all the steps",
        rival: false,
        seeds: Seeds::Few,
        ablation: true,
        configure: |config| config.portfolio.arms = vec![ArmName::Annealed],
    },
    &Column {
        name: "factored-strong",
        description: "factored, strong entropy bonus annealed to nothing; one arm",
        rival: true,
        seeds: Seeds::Few,
        ablation: false,
        configure: |config| config.portfolio.arms = vec![ArmName::ExploreStrong],
    },
    &Column {
        name: "factored-mild",
        description: "factored, mild entropy bonus annealed to nothing; one arm",
        rival: true,
        seeds: Seeds::Few,
        ablation: false,
        configure: |config| config.portfolio.arms = vec![ArmName::ExploreMild],
    },
    &Column {
        name: "factored-best-of-n",
        description: "the default portfolio, every arm with a joint policy replaced by a factored \
                      one with annealed entropy",
        rival: true,
        seeds: Seeds::Few,
        ablation: false,
        configure: without_joint,
    },
    &FACTORED,
    &Column {
        name: "joint",
        description: "a joint policy that acts throughout, and marginals fitted to it",
        rival: false,
        seeds: Seeds::Few,
        ablation: true,
        configure: |config| config.method = Method::Joint,
    },
    &MIXTURE_ONLY,
    &Column {
        name: "kl-only",
        description: "the annealed arm without the mixture: the joint policy acts throughout",
        rival: false,
        seeds: Seeds::Few,
        ablation: true,
        configure: |config| config.method = Method::KlOnly,
    },
];

fn mixture_alone(config: &mut Config) {
    config.method = Method::MixtureOnly;
    let schedule = &mut config.annealed.schedule;
    schedule.temperature_start = 0.0;
    schedule.temperature_floor = 0.0;
    schedule.temperature_per_gap = 0.0;
}

/// Replaces the portfolio's joint arms: strong and mild entropy in turn.
fn without_joint(config: &mut Config) {
    let mut entropies = [ArmName::ExploreStrong, ArmName::ExploreMild]
        .into_iter()
        .cycle();
    let arms = config.portfolio.arms.iter_mut();
    for arm in arms.filter(|arm| arm.has_joint()) {
        *arm = entropies.next().expect("a cycle does not end");
    }
}

impl Column {
    /// Whether it is run on `row`.
    pub(crate) fn is_run_on(&self, row: &Row) -> bool {
        row.small() || !self.ablation
    }

    /// The configuration of its runs: the defaults but for what the column is about.
    pub(crate) fn config(&self, steps: u64) -> Config {
        let mut config = Config {
            steps,
            ..Config::default()
        };
        (self.configure)(&mut config);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_game_of_a_row_is_played_equally_often() {
        let (tasks, seeds) = Row::named("random-heavy").unwrap().runs(100).unwrap();
        // 40 games: three runs each are the fewest that make 100.
        assert_eq!((tasks.len(), &seeds), (120, &(0..120).collect()));
        let named = |name: &str| tasks.iter().filter(|task| task.name() == name).count();
        assert_eq!((named("random-heavy-0"), named("random-heavy-39")), (3, 3));

        let (tasks, seeds) = Row::named("climbing").unwrap().runs(5).unwrap();
        assert!(tasks.iter().all(|task| task.name() == "climbing"));
        assert_eq!(seeds, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn every_column_spends_the_same_steps() {
        let spec = Task::find("climbing").unwrap().spec();
        for column in COLUMNS {
            let config = column.config(400_000);
            let (arms, budget) = (config.arms().len() as u64, config.budget(&spec));
            let training = arms * budget.updates * config.batch as u64;
            let choosing =
                arms * budget.preliminary as u64 + (budget.finalists * budget.decisive) as u64;
            let spent = training + choosing;
            assert!(
                (396_000..=400_000).contains(&spent),
                "{}: {spent}",
                column.name
            );
        }
    }

    #[test]
    fn the_factored_portfolio_has_as_many_arms_and_no_joint_policy() {
        let best_of_n = COLUMNS
            .iter()
            .find(|column| column.name == "factored-best-of-n")
            .unwrap();
        let arms = best_of_n.config(1).arm_names();
        assert_eq!(arms.len(), ANNEALED.config(1).arm_names().len());
        assert!(!arms.iter().any(|arm| arm.has_joint()));
    }
}
