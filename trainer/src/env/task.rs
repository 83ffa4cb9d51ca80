//! Tasks by name: what a command line or a saved run calls for.

use consort_runtime::{Seeding, SharedSeed};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::builtin::{BUILTINS, Builtin, RANDOM_FAMILIES, RandomFamily};
use super::decpomdp::file::{self as model_file, DecPomdpFileError, EXTENSION};
use super::decpomdp::{self, FiniteHorizon};
use super::family::FAMILIES;
use super::game_file::{self, GameFileError};
use super::seeded::{self, Seeded};
use super::solve::solve;
use super::suggest::nearest;
use super::{Adversarial, Environment, Game, GameEnvironment, Simulation, TaskKind, TeamSpec};

/// The solver's budget for an optimum that is only shown beside a result: well under a second.
const OPTIMUM_BUDGET: u64 = 100_000_000;

/// The same for a Dec-POMDP, whose steps are larger.
const PLANNING_BUDGET: u64 = 10_000_000;

/// Something a team can be trained on.
#[derive(Clone, Debug)]
pub struct Task {
    description: String,
    kind: Kind,
    /// Whether no name stands for it: it must travel with what is made of it.
    own: bool,
    /// The shared seed that the team has.
    seeding: Option<Seeding>,
    /// That of its devices, if it is known.
    key: Option<SharedSeed>,
    /// The best decentralised value, once someone has asked.
    optimum: OnceLock<Option<f64>>,
}

/// What there is to train on.
#[derive(Clone, Debug)]
enum Kind {
    Game(Arc<Game>),
    Simulation(Simulation),
}

/// Why no task has the name asked for.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// Neither a built-in task nor a file.
    #[error(
        "unknown task `{name}`{}; expected one of {}, or a path to a game in TOML or a `.dpomdp` model",
        suggestion.map(|known| format!(" (did you mean `{known}`?)")).unwrap_or_default(),
        known_names().join(", ")
    )]
    Unknown {
        /// The name asked for.
        name: String,
        /// The known name it resembles.
        suggestion: Option<&'static str>,
    },
    /// A game of one's own under a name that stands for another.
    #[error(
        "name: found `{name}`, which is a task that ships with `consort`; expected a name of its own"
    )]
    Reserved {
        /// The game's name.
        name: String,
    },
    /// A family of random games without a number.
    #[error(
        "task `{name}`: expected `{family}-` and a whole number in plain digits, as in `{family}-7`"
    )]
    Seed {
        /// The name asked for.
        name: String,
        /// The family it begins with.
        family: &'static str,
    },
    /// A member of a family of simulations that cannot be.
    #[error("task `{name}`: {message}")]
    Member {
        /// The name asked for.
        name: String,
        /// What was found and expected.
        message: String,
    },
    /// A file that is not a game.
    #[error(transparent)]
    File(#[from] GameFileError),
    /// A file that is not a Dec-POMDP, or a horizon that does not fit.
    #[error(transparent)]
    Model(#[from] DecPomdpFileError),
}

impl Task {
    /// The task called `name`: a built-in one, `<family>-<seed>` of a random family, or the path
    /// of a game in TOML (it ends in `.toml`, has a separator, or exists).
    pub fn find(name: &str) -> Result<Self, TaskError> {
        Self::find_with(name, None)
    }

    /// The same, or the path of a Dec-POMDP (it ends in `.dpomdp`), which needs a horizon and is
    /// the only one that takes one.
    pub fn find_with(name: &str, horizon: Option<usize>) -> Result<Self, TaskError> {
        let path = Path::new(name);
        if name.ends_with(EXTENSION) {
            return Self::from_problem(model_file::read(path, horizon)?);
        }
        if let Some(found) = horizon {
            let name = name.to_owned();
            return Err(DecPomdpFileError::NoHorizon { name, found }.into());
        }
        match reserved(name) {
            Some(Reserved::Builtin(builtin)) => Ok(Self::builtin(builtin)),
            Some(Reserved::Random(family, number)) => match seed(number) {
                Some(seed) => Ok(Self::new(family.game(seed), family.description.to_owned())),
                None => Err(TaskError::Seed {
                    name: name.to_owned(),
                    family: family.name,
                }),
            },
            None if let Some(found) = simulation(name) => found,
            None if is_path(name) || path.exists() => Self::from_game(game_file::read(path)?),
            None => Err(TaskError::Unknown {
                name: name.to_owned(),
                suggestion: nearest(
                    name,
                    (BUILTINS.iter().map(|builtin| builtin.name)).chain(
                        FAMILIES
                            .iter()
                            .flat_map(|family| family.members.iter().copied()),
                    ),
                ),
            }),
        }
    }

    /// A task of one's own: `game`.
    ///
    /// # Errors
    ///
    /// [`TaskError::Reserved`] when its name stands for another game.
    pub fn from_game(game: Game) -> Result<Self, TaskError> {
        if reserved(game.name()).is_some() || simulation(game.name()).is_some() {
            return Err(TaskError::Reserved {
                name: game.name().to_owned(),
            });
        }
        let description = format!("a game of one's own for {} agents", game.agents());
        Ok(Self {
            own: true,
            ..Self::new(game, description)
        })
    }

    /// A task of one's own: acting in `problem`.
    ///
    /// # Errors
    ///
    /// [`TaskError::Reserved`] when its name stands for another task.
    pub fn from_problem(problem: Arc<FiniteHorizon>) -> Result<Self, TaskError> {
        if reserved(&problem.name).is_some() || simulation(&problem.name).is_some() {
            return Err(TaskError::Reserved {
                name: problem.name.clone(),
            });
        }
        let agents = problem.model.agents();
        let description = format!("a Dec-POMDP of one's own for {agents} agents");
        Ok(Self {
            own: true,
            ..Self::simulated(problem.simulation(description))
        })
    }

    /// Every built-in task: games first, then the listed members of every family.
    ///
    /// # Panics
    /// When a family does not know a member that it lists.
    pub fn all_builtin() -> Vec<Self> {
        let names = FAMILIES.iter().flat_map(|family| family.members);
        let member = |name: &&str| {
            let found = simulation(name).expect("a family parses its members");
            found.expect("a listed member is well formed")
        };
        BUILTINS
            .iter()
            .map(Self::builtin)
            .chain(names.map(member))
            .collect()
    }

    fn builtin(builtin: &Builtin) -> Self {
        Self::new(builtin.game(), builtin.description.to_owned())
    }

    pub(crate) fn simulated(simulation: Simulation) -> Self {
        Self {
            description: simulation.description.clone(),
            kind: Kind::Simulation(simulation),
            own: false,
            seeding: None,
            key: None,
            optimum: OnceLock::new(),
        }
    }

    fn new(game: Game, description: String) -> Self {
        Self {
            description,
            kind: Kind::Game(Arc::new(game)),
            own: false,
            seeding: None,
            key: None,
            optimum: OnceLock::new(),
        }
    }

    /// The same task for a team with a shared seed: every observation ends with a symbol's one-hot
    /// vector. In training, symbols come from the environment's stream.
    pub fn with_shared_seed(self, seeding: Seeding) -> Self {
        Self {
            seeding: Some(seeding),
            optimum: OnceLock::new(),
            ..self
        }
    }

    /// The same with the key of the team's devices: an environment's n-th episode shows the symbols
    /// that they draw in episode n. Without a shared seed it changes nothing.
    pub fn with_team_key(self, key: SharedSeed) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// The shared seed that the team has, if it does.
    pub fn seeding(&self) -> Option<Seeding> {
        self.seeding
    }

    /// What a team is certain of, where there is an adversary.
    pub fn adversarial(&self) -> Option<&Adversarial> {
        match &self.kind {
            Kind::Game(_) => None,
            Kind::Simulation(simulation) => simulation.adversarial.as_ref(),
        }
    }

    /// What the task is called.
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Game(game) => game.name(),
            Kind::Simulation(simulation) => &simulation.name,
        }
    }

    /// What it asks of a team, in one line.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Agents, spaces and horizon.
    pub fn spec(&self) -> TeamSpec {
        let spec = match &self.kind {
            Kind::Game(game) => game.spec(),
            Kind::Simulation(simulation) => simulation.spec().clone(),
        };
        match self.seeding {
            Some(seeding) => seeded::spec(spec, seeding),
            None => spec,
        }
    }

    /// How its episodes end.
    pub fn kind(&self) -> TaskKind {
        match &self.kind {
            Kind::Game(_) => TaskKind::OneShot,
            Kind::Simulation(simulation) => simulation.kind,
        }
    }

    /// A fresh environment to act in; many can be made.
    pub fn make_environment(&self) -> Box<dyn Environment> {
        let environment: Box<dyn Environment> = match &self.kind {
            Kind::Game(game) => Box::new(GameEnvironment::new(Arc::clone(game))),
            Kind::Simulation(simulation) => simulation.make(),
        };
        match self.seeding {
            Some(seeding) => Box::new(Seeded::new(environment, seeding, self.key)),
            None => environment,
        }
    }

    /// The game, where the task is a one-shot game with a table to enumerate. None where the team has
    /// a shared seed: the table does not know what it sees.
    pub fn game(&self) -> Option<&Arc<Game>> {
        match &self.kind {
            Kind::Game(game) if self.seeding.is_none() => Some(game),
            _ => None,
        }
    }

    /// The game, where [`Task::find`] knows it by no name: it came from a file or a program, and
    /// has to be saved with what is made of it.
    pub fn own_game(&self) -> Option<&Game> {
        match &self.kind {
            Kind::Game(game) => self.own.then_some(game),
            Kind::Simulation(_) => None,
        }
    }

    /// The model and its horizon, where the task is a Dec-POMDP with tables to plan in. None where
    /// the team has a shared seed.
    pub fn problem(&self) -> Option<&Arc<FiniteHorizon>> {
        self.bare_problem().filter(|_| self.seeding.is_none())
    }

    fn bare_problem(&self) -> Option<&Arc<FiniteHorizon>> {
        match &self.kind {
            Kind::Game(_) => None,
            Kind::Simulation(simulation) => simulation.problem.as_ref(),
        }
    }

    /// The same, where [`Task::find`] knows it by no name and it has to be saved with what is
    /// made of it.
    pub fn own_problem(&self) -> Option<&Arc<FiniteHorizon>> {
        self.bare_problem().filter(|_| self.own)
    }

    /// The best value that agents who act apart can reach, where it can be had in a moment. A shared
    /// seed raises it only against an adversary: to one goal a deterministic policy is best. The first call computes it. `None` says that it is unknown.
    pub fn optimum(&self) -> Option<f64> {
        *self.optimum.get_or_init(|| match &self.kind {
            Kind::Game(game) => solve(game, OPTIMUM_BUDGET)
                .ok()
                .map(|solution| solution.value),
            Kind::Simulation(Simulation {
                adversarial: Some(adversarial),
                ..
            }) => {
                let symbols = self.seeding.map_or(1, |seeding| seeding.symbols);
                Some((adversarial.value)(symbols))
            }
            Kind::Simulation(simulation) => simulation.optimum.or_else(|| {
                let solution =
                    decpomdp::solve::solve(simulation.problem.as_ref()?, PLANNING_BUDGET);
                solution.ok().map(|solution| solution.value)
            }),
        })
    }
}

/// What a name stands for before any file is looked for.
enum Reserved<'a> {
    Builtin(&'static Builtin),
    /// A family, and what should be the number of one of its games.
    Random(&'static RandomFamily, &'a str),
}

/// The simulation a name stands for, if it is one's.
fn simulation(name: &str) -> Option<Result<Task, TaskError>> {
    if is_path(name) {
        return None;
    }
    let found = FAMILIES.iter().find_map(|family| (family.parse)(name))?;
    Some(
        found
            .map(Task::simulated)
            .map_err(|message| TaskError::Member {
                name: name.to_owned(),
                message,
            }),
    )
}

fn reserved(name: &str) -> Option<Reserved<'_>> {
    if is_path(name) {
        return None;
    }
    if let Some(builtin) = BUILTINS.iter().find(|builtin| builtin.name == name) {
        return Some(Reserved::Builtin(builtin));
    }
    RANDOM_FAMILIES.iter().find_map(|family| {
        let rest = name.strip_prefix(family.name)?;
        let number = if rest.is_empty() {
            rest
        } else {
            rest.strip_prefix('-')?
        };
        Some(Reserved::Random(family, number))
    })
}

fn is_path(name: &str) -> bool {
    name.contains(std::path::is_separator) || name.ends_with(".toml")
}

/// A whole number in its one spelling, without `+` or leading zeros: a task has one name.
fn seed(number: &str) -> Option<u64> {
    let seed: u64 = number.parse().ok()?;
    (seed.to_string() == number).then_some(seed)
}

/// The names that [`Task::find`] knows, for its error.
fn known_names() -> Vec<String> {
    let builtins = BUILTINS.iter().map(|builtin| builtin.name.to_owned());
    let families = RANDOM_FAMILIES
        .iter()
        .map(|family| format!("{}-<seed>", family.name));
    let patterns = FAMILIES.iter().map(|family| family.pattern.to_owned());
    builtins.chain(families).chain(patterns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::JointAction;
    use crate::rng::Stream;

    /// Every task that can be named, with a random game of each family.
    fn tasks() -> Vec<Task> {
        let random = RANDOM_FAMILIES
            .iter()
            .map(|family| format!("{}-3", family.name));
        let random = random.map(|name| Task::find(&name).unwrap());
        Task::all_builtin().into_iter().chain(random).collect()
    }

    /// What one environment does under random play: observations, actions, transitions.
    fn play(task: &Task, seed: u64, episodes: usize) -> Vec<(Vec<f32>, Vec<u32>, f32)> {
        let spec = task.spec();
        let mut environment = task.make_environment();
        let mut stream = Stream::new(seed, "play", 0);
        let mut record = Vec::new();
        for _ in 0..episodes {
            let mut observations = vec![f32::NAN; spec.joint_observation()];
            environment.reset(&mut stream, &mut observations);
            for step in 1..=spec.horizon {
                let actions: Vec<u32> = spec
                    .agents
                    .iter()
                    .map(|agent| (stream.uniform() * agent.actions.size() as f64) as u32)
                    .collect();
                let before = observations.clone();
                let degrees = vec![stream.uniform() as f32; spec.joint_actions()];
                let action = if spec.is_continuous() {
                    JointAction::Continuous(&degrees)
                } else {
                    JointAction::Discrete(&actions)
                };
                let transition = environment.step(action, &mut stream, &mut observations);
                record.push((before, actions, transition.reward));
                if transition.terminated || transition.truncated {
                    break;
                }
                assert!(
                    step < spec.horizon,
                    "{}: an episode outlasts its horizon",
                    task.name()
                );
            }
        }
        record
    }

    #[test]
    fn every_task_keeps_the_contract_of_an_environment() {
        for task in tasks() {
            let spec = task.spec();
            assert_eq!(task.make_environment().spec(), &spec);
            assert!(!spec.agents.is_empty() && spec.horizon > 0);
            assert!(
                spec.agents
                    .iter()
                    .all(|agent| agent.observation > 0 && agent.actions.size() > 0)
            );
            assert!(!task.description().is_empty() && task.description().len() < 90);
            assert_eq!(Task::find(task.name()).unwrap().name(), task.name());

            let record = play(&task, 1, 50);
            assert_eq!(
                record,
                play(&task, 1, 50),
                "{}: same seed, same play",
                task.name()
            );
            assert_ne!(
                record,
                play(&task, 2, 50),
                "{}: the seed is ignored",
                task.name()
            );
        }
    }

    #[test]
    fn games_show_one_hot_observations_and_pay_their_table() {
        for task in tasks() {
            let Some(game) = task.game() else { continue };
            let (episodes, joint) = (5_000, game.observations().count());
            let mut drawn = vec![0_u32; joint];
            let record = play(&task, 1, episodes);
            assert_eq!(record.len(), episodes, "one step an episode");
            for (observations, actions, reward) in record {
                let mut rest = &observations[..];
                let mut seen = Vec::new();
                for &size in game.observations().sizes() {
                    let (vector, others) = rest.split_at(size);
                    seen.push(vector.iter().position(|&value| value == 1.0).unwrap());
                    assert_eq!(vector.iter().sum::<f32>(), 1.0);
                    assert!(vector.iter().all(|&value| value == 0.0 || value == 1.0));
                    rest = others;
                }
                let o = game.observations().join(seen);
                let a = game
                    .actions()
                    .join(actions.iter().map(|&action| action as usize));
                assert_eq!(reward, game.payoff(o, a) as f32);
                drawn[o] += 1;
            }
            for (&count, &p) in drawn.iter().zip(game.probability()) {
                // Five standard deviations of a binomial count.
                let mean = p * episodes as f64;
                let limit = 5.0 * (mean * (1.0 - p)).sqrt() + 1e-9;
                assert!(
                    (f64::from(count) - mean).abs() <= limit,
                    "{}: {drawn:?}",
                    task.name()
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "a reset before every step")]
    fn a_second_step_needs_a_reset() {
        let mut environment = Task::find("assurance").unwrap().make_environment();
        let (mut stream, mut observations) = (Stream::new(0, "play", 0), [0.0; 2]);
        environment.reset(&mut stream, &mut observations);
        environment.step(
            JointAction::Discrete(&[0, 1]),
            &mut stream,
            &mut observations,
        );
        environment.step(
            JointAction::Discrete(&[0, 1]),
            &mut stream,
            &mut observations,
        );
    }

    #[test]
    fn optima_are_known_where_they_are_cheap() {
        assert_eq!(Task::find("xor-safe").unwrap().optimum(), Some(3.0));
        let joint = vec![1.0 / 4096.0; 4096];
        let mut stream = Stream::new(0, "test", 0);
        let hard = Game::from_fn("hard", &[2; 3], &[16; 3], joint, |_, _| stream.normal());
        assert_eq!(Task::from_game(hard.unwrap()).unwrap().optimum(), None);
    }

    #[test]
    fn names_that_are_none_say_what_would_be() {
        let message = |name| Task::find(name).unwrap_err().to_string();
        let cases = [
            (
                "climbin",
                "unknown task `climbin` (did you mean `climbing`?); expected one of assu",
            ),
            ("tiger", "unknown task `tiger`; expected"),
            ("tiger", "random-heavy-<seed>, random-normal-<seed>"),
            (
                "random-heavy",
                "`random-heavy-` and a whole number in plain digits, as in `random-heavy-7`",
            ),
            (
                "random-normal-x",
                "task `random-normal-x`: expected `random-normal-`",
            ),
            ("random-normal--1", "task `random-normal--1`"),
            ("random-heavy-007", "a whole number in plain digits"),
            ("random-heavy-+7", "a whole number in plain digits"),
            ("random-heavyweight", "unknown task `random-heavyweight`"),
            ("absent.toml", "absent.toml: no such file"),
            ("absent/game", "no such file"),
            (".", "found a directory"),
        ];
        for (name, expected) in cases {
            let message = message(name);
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
    }

    #[test]
    fn a_path_is_read_as_a_game() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        std::fs::write(
            &path,
            "name = 'mine'\nactions = [2, 2]\npayoff = [[0, -5], [-5, 9]]",
        )
        .unwrap();
        let task = Task::find(path.to_str().unwrap()).unwrap();
        assert_eq!((task.name(), task.optimum()), ("mine", Some(9.0)));
        assert_eq!(task.own_game(), task.game().map(AsRef::as_ref));
        assert_eq!(Task::find("random-heavy-7").unwrap().own_game(), None);
    }

    #[test]
    fn no_game_of_ones_own_goes_by_anothers_name() {
        let named = |name| Game::from_fn(name, &[2], &[1], vec![1.0], |_, a| a[0] as f64).unwrap();
        for name in [
            "climbing",
            "random-heavy",
            "random-normal-7",
            "random-normal-x",
        ] {
            let message = Task::from_game(named(name)).unwrap_err().to_string();
            assert!(message.contains("expected a name of its own"), "{message}");
        }
        for name in ["climbing-2", "random-heavyweight", "climbing.toml"] {
            assert_eq!(Task::from_game(named(name)).unwrap().name(), name);
        }
    }
}
