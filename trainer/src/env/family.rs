//! Tasks that are simulated rather than tabulated, by families of names.

use std::fmt;
use std::sync::Arc;

use super::decpomdp::{FiniteHorizon, problems};
use super::{Environment, TeamSpec};

/// Makes environments of one task.
type Make = Arc<dyn Fn() -> Box<dyn Environment> + Send + Sync>;

/// A task that has no payoff table: its environments are programs.
#[derive(Clone)]
pub struct Simulation {
    /// What it is called: the name that its family parses.
    pub name: String,
    /// What it asks of a team, in one line.
    pub description: String,
    /// The best return that agents who act apart can reach, where it is known.
    pub optimum: Option<f64>,
    /// How its episodes end.
    pub kind: TaskKind,
    /// The model, where it is one that can be planned in.
    pub problem: Option<Arc<FiniteHorizon>>,
    /// What the team is certain of, where there is an adversary.
    pub adversarial: Option<Adversarial>,
    spec: TeamSpec,
    make: Make,
}

impl Simulation {
    /// The task whose environments `make` makes.
    pub fn new<E: Environment + 'static>(
        name: impl Into<String>,
        description: impl Into<String>,
        make: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            optimum: None,
            kind: TaskKind::TimeLimit,
            problem: None,
            adversarial: None,
            spec: make().spec().clone(),
            make: Arc::new(move || Box::new(make())),
        }
    }

    /// The same, with a known optimum.
    pub fn with_optimum(self, optimum: f64) -> Self {
        Self {
            optimum: Some(optimum),
            ..self
        }
    }

    /// The same, as a task whose episodes end for good after its horizon.
    pub fn with_finite_horizon(self) -> Self {
        Self {
            kind: TaskKind::FiniteHorizon,
            ..self
        }
    }

    /// The same, as a one-shot game against an adversary.
    pub fn with_adversary(self, adversarial: Adversarial) -> Self {
        Self {
            kind: TaskKind::OneShot,
            adversarial: Some(adversarial),
            ..self
        }
    }

    /// The same, with its model.
    pub fn with_problem(self, problem: Arc<FiniteHorizon>) -> Self {
        Self {
            problem: Some(problem),
            ..self
        }
    }

    /// Agents, spaces and horizon.
    pub fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    /// A fresh environment.
    pub fn make(&self) -> Box<dyn Environment> {
        (self.make)()
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("name", &self.name)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// What a team can be certain of in a task whose adversary does its worst.
#[derive(Clone, Copy)]
pub struct Adversarial {
    /// The most, with a shared seed of so many symbols (1: with none).
    pub value: fn(u8) -> f64,
    /// What independent agents are certain of that act so: their probabilities by symbol, agent and
    /// action, `[symbols][N][A]`.
    pub guaranteed: fn(&[Vec<Vec<f64>>]) -> f64,
}

/// How a task's episodes end: tasks of a kind share their default settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// After one decision.
    OneShot,
    /// For good after a number of steps that agents can count: what they could earn later does not
    /// exist.
    FiniteHorizon,
    /// When what was to be done is done, or cut off by a time limit.
    TimeLimit,
}

/// Tasks whose names follow one pattern.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The pattern, for people: `lbf-<W>x<H>-<N>p-<M>f`.
    pub pattern: &'static str,
    /// What its tasks are like, in one line.
    pub description: &'static str,
    /// The members that are listed and tested by name.
    pub members: &'static [&'static str],
    /// The task a name stands for: `None` where the name is none of this family's, an error
    /// (what was found, what was expected) where it is meant to be and is wrong.
    pub parse: fn(&str) -> Option<Result<Simulation, String>>,
}

/// Every family.
pub static FAMILIES: &[Family] = &[
    super::mpe::FAMILY,
    super::repeated::FAMILY,
    super::two_step::FAMILY,
    super::coordsum::FAMILY,
    super::evade::FAMILY,
    super::alias::FAMILY,
    super::lbf::FAMILY,
    super::rware::FAMILY,
    problems::DEC_TIGER_FAMILY,
    problems::BROADCAST_FAMILY,
    problems::RECYCLING_FAMILY,
    problems::GRID_SMALL_FAMILY,
];

/// A whole number in its one spelling, without `+` or leading zeros: a task has one name.
pub(super) fn whole(number: &str) -> Option<u64> {
    let value: u64 = number.parse().ok()?;
    (value.to_string() == number).then_some(value)
}
