//! What a team is worth: exactly where the game can be enumerated, by episodes otherwise.

use std::sync::Arc;

use candle_core::Result;

use crate::algo::Algorithm;
use crate::env::Game;
use crate::net::MarginalOutput;
use crate::rollout::Runner;

/// Exact values of one replica's policies in its game.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Values {
    /// J(π_J): the joint policy's expected return, where the method has one.
    pub joint: Option<f64>,
    /// J(∏π_i): the product's, every agent drawing its own action.
    pub product: f64,
    /// The product's when every agent takes its most probable action.
    pub greedy: f64,
}

/// Evaluates R replicas in R games of one shape by summing over every joint observation and
/// joint action. A diagnostic for reports: nothing learns from it.
pub struct Enumeration {
    games: Vec<Arc<Game>>,
    /// Every joint observation of every replica's game, `[R, joint observations, Σ observation]`.
    rows: Vec<f32>,
}

/// Largest table (joint observations × what the policies see or choose there) that is worth
/// summing over fifty times a run.
const LARGEST_TABLE: usize = 1 << 18;

impl Enumeration {
    /// Lays out every joint observation of the games (one a replica, all of one shape); `None`
    /// where they are too many to be laid out beside a run.
    pub fn new(games: Vec<Arc<Game>>) -> Option<Self> {
        let game = games.first()?;
        let spec = game.spec();
        let width = spec.joint_observation() + game.actions().count();
        if game.observations().count().saturating_mul(width) > LARGEST_TABLE {
            return None;
        }
        let mut rows = Vec::new();
        for o in 0..game.observations().count() {
            for (agent, part) in game.observations().split(o).enumerate() {
                let start = rows.len();
                rows.resize(start + spec.agents[agent].observation, 0.0);
                game.encode_observation(agent, part, &mut rows[start..]);
            }
        }
        Some(Self {
            rows: rows.repeat(games.len()),
            games,
        })
    }

    /// What the policies are worth, one entry a replica; they see observations as `runner`
    /// presents them.
    pub fn values(&self, runner: &Runner, algorithm: &dyn Algorithm) -> Result<Vec<Values>> {
        let observations = runner.present(self.rows.clone())?;
        let output = algorithm.marginals().forward(&observations.own)?;
        let policies = self.policies(&output)?;
        let joint: Option<Vec<Vec<Vec<f32>>>> = algorithm
            .joint_probs(&observations.joint)
            .map(|probs| probs.and_then(|probs| probs.to_vec3()))
            .transpose()?;
        Ok(self
            .games
            .iter()
            .enumerate()
            .map(|(replica, game)| Values {
                joint: joint
                    .as_ref()
                    .map(|probs| joint_policy_value(game, &probs[replica])),
                product: game.product_value(&policies[replica]),
                greedy: game.greedy_value(&greedy(game, &policies[replica])),
            })
            .collect())
    }

    /// `[replica][agent]` → probabilities `[|O_i|, A_i]`, row-major.
    fn policies(&self, output: &MarginalOutput) -> Result<Vec<Vec<Vec<f64>>>> {
        let probs: Vec<Vec<Vec<f32>>> = output.log_probs.exp()?.to_vec3()?;
        let table = |game: &Game, rows: &[Vec<f32>], agent: usize| {
            let space = game.observations();
            let width = rows[0].len() / game.agents();
            let mut policy = Vec::new();
            for observation in 0..space.sizes()[agent] {
                let row = (0..space.count()).find(|&o| space.part(o, agent) == observation);
                let row = &rows[row.expect("every part occurs in some joint observation")];
                let own = &row[agent * width..][..game.actions().sizes()[agent]];
                policy.extend(normalised(own));
            }
            policy
        };
        Ok(std::iter::zip(&self.games, &probs)
            .map(|(game, rows)| (0..game.agents()).map(|i| table(game, rows, i)).collect())
            .collect())
    }
}

/// Σ_o P(o) Σ_a π_J(a | o) R(o, a); probs: `[joint observations][joint actions]`.
fn joint_policy_value(game: &Game, probs: &[Vec<f32>]) -> f64 {
    let value = |o: usize, probs: &[f32]| -> f64 {
        std::iter::zip(normalised(probs), game.payoffs(o))
            .map(|(p, &r)| p * r)
            .sum()
    };
    std::iter::zip(game.probability(), probs)
        .enumerate()
        .map(|(o, (&weight, probs))| weight * value(o, probs))
        .sum()
}

/// Probabilities that f32 rounded, made to sum to 1: no policy is worth more than the optimum.
fn normalised(probs: &[f32]) -> impl Iterator<Item = f64> + '_ {
    let sum: f64 = probs.iter().map(|&p| f64::from(p)).sum();
    probs.iter().map(move |&p| f64::from(p) / sum)
}

/// The most probable action of every agent at every observation (lowest index wins ties).
fn greedy(game: &Game, policies: &[Vec<f64>]) -> Vec<Vec<usize>> {
    std::iter::zip(policies, game.actions().sizes())
        .map(|(policy, &actions)| policy.chunks_exact(actions).map(argmax).collect())
        .collect()
}

/// Index of the largest value; the lowest index wins ties.
fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
