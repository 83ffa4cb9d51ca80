//! Tasks by name: what a command line or a saved run calls for.

mod names;

use consort_runtime::{Seeding, SharedSeed};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::builtin::{BUILTINS, Builtin};
use super::decpomdp::file::{self as model_file, DecPomdpFileError, EXTENSION};
use super::decpomdp::{self, FiniteHorizon};
use super::family::FAMILIES;
use super::game_file::{self, GameFileError};
use super::seeded::{self, Seeded};
use super::solve::solve;
use super::suggest::nearest;
use super::{Adversarial, Environment, Game, GameEnvironment, Simulation, TaskKind, TeamSpec};
use names::{Reserved, is_path, known_names, reserved, seed, simulation};

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
    /// A file whose game or model cannot be a task.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<TaskError>,
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
            return Self::from_problem(model_file::read(path, horizon)?).map_err(in_file(path));
        }
        if let Some(found) = horizon {
            let of_that_horizon = format!("{}-h{found}", model_file::without_horizon(name));
            let suggestion = reserved(&of_that_horizon).is_some()
                || matches!(simulation(&of_that_horizon), Some(Ok(_)));
            return Err(DecPomdpFileError::NoHorizon {
                name: name.to_owned(),
                found,
                suggestion: suggestion.then_some(of_that_horizon),
            }
            .into());
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
            None if is_path(name) || path.exists() => {
                Self::from_game(game_file::read(path)?).map_err(in_file(path))
            }
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

    /// A task of one's own: acting in an environment that this program has. No name stands for it elsewhere, so the
    /// command `consort` can neither repeat a run of it nor play with its team; the program itself can.
    ///
    /// # Errors
    ///
    /// [`TaskError::Reserved`] when its name stands for another task, [`TaskError::Member`] when it has no agents or no steps.
    pub fn from_simulation(simulation: Simulation) -> Result<Self, TaskError> {
        if reserved(&simulation.name).is_some() || names::simulation(&simulation.name).is_some() {
            return Err(TaskError::Reserved {
                name: simulation.name,
            });
        }
        let (agents, horizon) = (simulation.spec().agents.len(), simulation.spec().horizon);
        if agents == 0 || horizon == 0 {
            return Err(TaskError::Member {
                message: format!(
                    "found a team of {agents} agents and episodes of {horizon} steps, expected at least one of each"
                ),
                name: simulation.name,
            });
        }
        Ok(Self {
            own: true,
            ..Self::simulated(simulation)
        })
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

/// Says which file it was that is no task.
fn in_file(path: &Path) -> impl Fn(TaskError) -> TaskError {
    |source| TaskError::InFile {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests;
