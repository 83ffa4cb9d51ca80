//! Decentralised partially observable Markov decision processes with a finite horizon: models
//! ([`model`]), their files ([`parse`], [`mod@file`]), the ones that ship with the trainer
//! ([`problems`]), episodes in them ([`environment`]), and what policies are worth
//! ([`policy`]) at best ([`solve`]).

pub mod environment;
pub mod file;
pub mod model;
pub mod parse;
pub mod policy;
pub mod problems;
pub mod solve;

use std::sync::Arc;

use super::Simulation;
pub use environment::DecPomdpEnvironment;
pub use model::DecPomdp;

/// The longest horizon: episodes count their steps, and the solver stores a rule for each.
pub const MAX_HORIZON: usize = 10_000;

/// A model with the number of steps that a team has in it. Nothing is discounted.
#[derive(Clone, Debug, PartialEq)]
pub struct FiniteHorizon {
    /// What it is called: that of the model, and `-h<steps>`.
    pub name: String,
    /// The model.
    pub model: DecPomdp,
    /// h: steps of an episode, at least 1.
    pub horizon: usize,
    /// The text that the model was read from, where no name stands for it.
    pub source: Option<String>,
}

impl FiniteHorizon {
    /// The task of acting in it.
    pub fn simulation(self: &Arc<Self>, description: impl Into<String>) -> Simulation {
        let problem = Arc::clone(self);
        let make = move || DecPomdpEnvironment::new(Arc::clone(&problem));
        Simulation::new(self.name.clone(), description, make)
            .with_finite_horizon()
            .with_problem(Arc::clone(self))
    }
}
