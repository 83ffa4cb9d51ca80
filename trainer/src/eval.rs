//! What a team is worth: exactly where the game can be enumerated, by episodes otherwise.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::algo::{Algorithm, PlayMemory};
use crate::env::common::{self, groups};
use crate::env::{Environment, Game, GameEnvironment, Task, TeamSpec};
use crate::net::{Choices, FORBIDDEN, MarginalOutput, Rows};
use crate::rng::Stream;
use crate::rollout::{Runner, Seen, forbid, play_step};
use crate::team::Choice;

/// Values of one replica's policies: exact in games, means over a few episodes in anything else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// J(π_J): the joint policy's expected return, where the method has one.
    pub joint: Option<f64>,
    /// J(∏π_i): the product's, every agent drawing its own action.
    pub product: f64,
    /// The product's when every agent takes its most probable action.
    pub greedy: f64,
}

impl Values {
    /// What the product is worth that acts like this.
    pub fn of(&self, act: Choice) -> f64 {
        match act {
            Choice::Greedy => self.greedy,
            Choice::Sampled => self.product,
        }
    }
}

/// Evaluates R replicas in R games of one shape by summing over every joint observation and
/// joint action. A diagnostic for reports: nothing learns from it.
pub struct Enumeration {
    games: Vec<Arc<Game>>,
    /// Every joint observation of every replica's game, `[R, joint observations, Σ observation]`.
    rows: Vec<f32>,
    /// What is common knowledge in each, `[R, joint observations, G·K]`.
    common: Vec<f32>,
}

/// Largest table (joint observations × what the policies see or choose there) that is worth
/// summing over a hundred times a run.
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
        let groups = groups(game.agents());
        let mut common = Vec::new();
        for game in &games {
            for o in 0..game.observations().count() {
                let showing = GameEnvironment::showing(Arc::clone(game), o);
                let start = common.len();
                common.resize(start + groups.len() * spec.common, 0.0);
                common::write(&showing, &groups, &mut common[start..]);
            }
        }
        Some(Self {
            rows: rows.repeat(games.len()),
            common,
            games,
        })
    }

    /// Every joint observation of every replica's game, as policies see it.
    pub fn seen(&self, runner: &Runner, algorithm: &dyn Algorithm) -> Seen {
        let rows = Rows::unrelated(self.games.len(), self.games[0].observations().count());
        Seen {
            valid: vec![true; rows.first.len()],
            joint: runner.present(self.rows.clone()),
            forbidden: None,
            common: match algorithm.asks_common_knowledge() {
                true => self.common.clone(),
                false => Vec::new(),
            },
            rows,
        }
    }

    /// What the policies are worth, one entry a replica; they see observations as `runner`
    /// presents them.
    pub fn values(&self, runner: &Runner, algorithm: &dyn Algorithm) -> Result<Vec<Values>> {
        let seen = self.seen(runner, algorithm);
        let device = algorithm.marginals().device();
        let own = (algorithm.marginals()).pack(&seen.joint, &seen.rows, device)?;
        let policies = self.policies(&algorithm.marginals().forward(&own, &seen.rows)?)?;
        let joint: Option<Vec<Vec<Vec<f32>>>> = algorithm
            .joint_probs(&seen)
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
        let MarginalOutput::Categorical { log_probs, .. } = output else {
            return Err(candle_core::Error::msg("a game's actions are discrete"));
        };
        let probs: Vec<Vec<Vec<f32>>> = log_probs.exp()?.to_vec3()?;
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

/// Evaluates policies by episodes of their own, counted like all others.
pub struct Player {
    tasks: Vec<Task>,
    spec: TeamSpec,
    episodes: usize,
}

/// Who acts in an evaluation episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Joint,
    Product { greedy: bool },
}

impl Player {
    /// `episodes` episodes of `tasks[r]` for each policy of replica r.
    pub fn new(tasks: &[Task], spec: &TeamSpec, episodes: usize) -> Self {
        Self {
            tasks: tasks.to_vec(),
            spec: spec.clone(),
            episodes,
        }
    }

    /// What the policies of the first replica are worth, and the environment steps it took to see;
    /// jobs of longer tasks have one replica. All three face the same episodes, other ones for
    /// every `round`.
    pub fn values(
        &self,
        runner: &Runner,
        algorithm: &dyn Algorithm,
        seeds: &[u64],
        round: u64,
    ) -> Result<Vec<(Option<Values>, u64)>> {
        let mut steps = 0;
        let seed = Stream::new(seeds[0], "curve", round).next_u64();
        let mut play = |who| -> Result<Option<f64>> {
            let Some((mean, taken)) = self.play(runner, algorithm, seed, who)? else {
                return Ok(None);
            };
            steps += taken;
            Ok(Some(mean))
        };
        let joint = play(Who::Joint)?;
        let product = play(Who::Product { greedy: false })?;
        let greedy = play(Who::Product { greedy: true })?;
        let values = product.zip(greedy).map(|(product, greedy)| Values {
            joint,
            product,
            greedy,
        });
        Ok(vec![(values, steps)])
    }

    /// The mean return of one policy and the steps taken; none where there is no such policy.
    fn play(
        &self,
        runner: &Runner,
        algorithm: &dyn Algorithm,
        seed: u64,
        who: Who,
    ) -> Result<Option<(f64, u64)>> {
        let (count, spec) = (self.episodes, &self.spec);
        let width = spec.joint_observation();
        let flat = spec.agents.len() * spec.widest_actions();
        let mut environments: Vec<Box<dyn Environment>> = (0..count)
            .map(|_| self.tasks[0].make_environment())
            .collect();
        let mut nature: Vec<Stream> = (0..count as u64)
            .map(|episode| Stream::new(seed, "nature", episode))
            .collect();
        let mut observations = vec![0.0; count * width];
        for ((environment, row), stream) in (environments.iter_mut())
            .zip(observations.chunks_exact_mut(width))
            .zip(&mut nature)
        {
            environment.reset(stream, row);
        }
        let dice = |name| vec![Stream::new(seed, name, 0)];
        let mut own_dice = dice("product");
        let mut memory = PlayMemory::new(dice("joint"));
        let (mut over, mut sum, mut taken) = (vec![false; count], 0.0, 0);
        let mut first = true;
        while over.contains(&false) {
            let forbidden = spec.masked.then(|| {
                let mut table = vec![FORBIDDEN; count * flat];
                let mut allowed = vec![true; spec.joint_actions()];
                for (environment, row) in environments.iter().zip(table.chunks_exact_mut(flat)) {
                    environment.mask(&mut allowed);
                    forbid(spec, &allowed, row);
                }
                table
            });
            let seen = Seen {
                rows: Rows {
                    replicas: 1,
                    time: 1,
                    parallel: count,
                    first: vec![first; count],
                },
                joint: runner.present(observations.clone()),
                forbidden,
                valid: vec![true; count],
                common: self.common(algorithm, &environments),
            };
            first = false;
            let choices = match who {
                Who::Joint => match algorithm.play_joint(&seen, &mut memory, false) {
                    Some(choices) => choices?,
                    None => return Ok(None),
                },
                Who::Product { greedy } => {
                    product(algorithm, &seen, &mut memory, &mut own_dice, greedy)?
                }
            };
            for index in 0..count {
                if over[index] {
                    continue;
                }
                let row = &mut observations[index * width..(index + 1) * width];
                let environment = environments[index].as_mut();
                let transition =
                    play_step(environment, &choices, index, count, &mut nature[index], row);
                sum += f64::from(transition.reward);
                taken += 1;
                over[index] |= transition.terminated || transition.truncated;
            }
            // What an episode shows after its end is seen by no one that still acts.
        }
        Ok(Some((sum / count as f64, taken)))
    }
}

impl Player {
    /// What is common knowledge in each of these environments, where the learner asks for it.
    fn common(&self, algorithm: &dyn Algorithm, environments: &[Box<dyn Environment>]) -> Vec<f32> {
        if !algorithm.asks_common_knowledge() {
            return Vec::new();
        }
        let groups = groups(self.spec.agents.len());
        let width = groups.len() * self.spec.common;
        let mut common = vec![0.0; environments.len() * width];
        let rows = common.chunks_exact_mut(width.max(1));
        for (environment, row) in environments.iter().zip(rows) {
            common::write(environment.as_ref(), &groups, row);
        }
        common
    }
}

/// What the product of marginals does about what is seen.
fn product(
    algorithm: &dyn Algorithm,
    seen: &Seen,
    memory: &mut PlayMemory,
    dice: &mut [Stream],
    greedy: bool,
) -> Result<Choices> {
    let (marginals, rows) = (algorithm.marginals(), &seen.rows);
    let device = marginals.device();
    let own = marginals.pack(&seen.joint, rows, device)?;
    let features = marginals.features(&own, rows, &memory.parts[0])?;
    memory.parts[0] = marginals.memory(&features, rows)?;
    let forbidden = match &seen.forbidden {
        Some(table) => {
            let shape = (1, rows.samples(), table.len() / rows.samples());
            Some(Tensor::from_slice(table, shape, device)?)
        }
        None => None,
    };
    let output = marginals.output(&features, rows, forbidden.as_ref())?;
    output.choose(dice, greedy)
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
