//! Learners that are shown what others did: an off-policy method with a fixed behaviour in its
//! replay, and what it makes of that.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use consort_trainer::algo::Algorithm;
use consort_trainer::config::{Config, Method};
use consort_trainer::env::{Game, Task};
use consort_trainer::eval::Enumeration;
use consort_trainer::net::{Choices, MarginalOutput, Normalisation};
use consort_trainer::rng::Stream;
use consort_trainer::rollout::{Actions, Runner, Seen};
use serde::{Deserialize, Serialize};

use super::cells::resolve;

/// What is shown to whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lesson {
    /// A one-shot game.
    pub(crate) task: &'static str,
    pub(crate) method: Method,
    /// `key=value`, over the defaults.
    pub(crate) settings: Vec<String>,
    /// How often every agent plays its action 0 in what is shown; the others share the rest.
    pub(crate) first: f64,
    /// Batches of [`EPISODES`].
    pub(crate) batches: usize,
    /// Learners.
    pub(crate) seeds: usize,
}

/// Episodes of a batch.
pub(crate) const EPISODES: usize = 64;

/// What one learner has made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pupil {
    /// The greedy team's exact return.
    pub(crate) value: f64,
    /// The joint action that the greedy team takes, by joint observation.
    pub(crate) greedy: Vec<usize>,
    /// Each agent's probabilities of its actions where it draws, at the first joint observation.
    pub(crate) policy: Vec<Vec<f64>>,
    /// What it thinks that joint actions are worth, by joint observation and joint action; none of
    /// learners that do not.
    pub(crate) team: Option<Vec<Vec<f64>>>,
    /// What that is taken for by agents apart, likewise: of QTRAN Q' + V.
    pub(crate) apart: Option<Vec<Vec<f64>>>,
}

impl Lesson {
    pub(crate) fn config(&self) -> Result<(Config, Task)> {
        resolve(self.task, self.method, &self.settings, None)
    }

    pub(crate) fn env_steps(&self) -> u64 {
        (self.batches * EPISODES * self.seeds) as u64
    }

    /// How often each joint action is shown, by agents' actions.
    pub(crate) fn weights(&self, actions: [usize; 2]) -> Vec<Vec<f64>> {
        let [rows, columns] = actions.map(|count| self.chances(count));
        let row = |p: &f64| columns.iter().map(|q| p * q).collect();
        rows.iter().map(row).collect()
    }

    fn chances(&self, actions: usize) -> Vec<f64> {
        let rest = (1.0 - self.first) / (actions - 1) as f64;
        (0..actions)
            .map(|action| if action == 0 { self.first } else { rest })
            .collect()
    }
}

/// Shows every learner its lesson.
pub(crate) fn teach(lesson: &Lesson) -> Result<Vec<Pupil>> {
    let (config, task) = lesson.config()?;
    let game = Arc::clone(task.game().context("only games are taught")?);
    let device = config.device.open()?;
    let arm = config.arms().into_iter().next();
    let arm = arm.context("a method has an arm")?;
    let seeds: Vec<u64> = (0..lesson.seeds as u64).collect();
    let spec = task.spec();
    let mut learner = arm.make(&spec, &config.network, &config.update, &seeds, &device)?;
    let streams = |name| seeds.iter().map(move |&seed| Stream::new(seed, name, 0));
    let tasks = vec![task; seeds.len()];
    let mut runner = Runner::new(
        &tasks,
        EPISODES,
        streams("environment").collect(),
        Normalisation::default(),
    );
    let chances: Vec<Vec<f64>> = (game.actions().sizes().iter())
        .map(|&actions| lesson.chances(actions))
        .collect();
    let mut dice: Vec<Stream> = streams("behaviour").collect();
    for done in 0..lesson.batches {
        let batch = runner.collect(1, |seen| Ok(behave(seen, &chances, &mut dice)))?;
        learner.update(&batch, done as f64 / lesson.batches as f64)?;
    }
    examine(learner.as_ref(), &runner, vec![game; seeds.len()])
}

/// Every agent draws from its chances, whatever it sees.
fn behave(seen: &Seen, chances: &[Vec<f64>], dice: &mut [Stream]) -> Actions {
    let samples = seen.rows.samples();
    let mut taken = Vec::with_capacity(seen.valid.len() * chances.len());
    for stream in dice {
        for _ in 0..samples {
            taken.extend(chances.iter().map(|chances| draw(chances, stream)));
        }
    }
    Actions {
        taken: Choices::Discrete(taken),
        drawn: None,
        // Off-policy learners do not ask.
        log_prob: vec![0.0; seen.valid.len()],
    }
}

fn draw(chances: &[f64], stream: &mut Stream) -> u32 {
    let mut left = stream.uniform();
    let last = chances.len() - 1;
    let chosen = chances.iter().take(last).position(|chance| {
        left -= chance;
        left < 0.0
    });
    chosen.unwrap_or(last) as u32
}

fn examine(learner: &dyn Algorithm, runner: &Runner, games: Vec<Arc<Game>>) -> Result<Vec<Pupil>> {
    let game = Arc::clone(&games[0]);
    let enumeration = Enumeration::new(games).context("the game is too large to enumerate")?;
    let values = enumeration.values(runner, learner)?;
    let seen = enumeration.seen(runner, learner);
    let marginals = learner.marginals();
    let own = marginals.pack(&seen.joint, &seen.rows, marginals.device())?;
    let MarginalOutput::Categorical { log_probs, .. } = marginals.forward(&own, &seen.rows)? else {
        return Err(anyhow!("a game's actions are discrete"));
    };
    let probs: Vec<Vec<Vec<f32>>> = log_probs.exp()?.to_vec3()?;
    let learned = learner.joint_values(&seen).transpose()?;
    let table = |rows: Vec<Vec<f32>>| -> Vec<Vec<Vec<f64>>> {
        let wide = |row: &[f32]| row.iter().copied().map(f64::from).collect();
        let of_one = |row: Vec<f32>| row.chunks_exact(game.actions().count()).map(wide).collect();
        rows.into_iter().map(of_one).collect()
    };
    let (team, apart) = match &learned {
        Some(learned) => {
            let (team, apart) = (learned.team.to_vec2()?, learned.apart.to_vec2()?);
            (Some(table(team)), Some(table(apart)))
        }
        None => (None, None),
    };
    let pupil = |(index, values): (usize, &consort_trainer::eval::Values)| {
        let own = |row: &[f32], agent: usize| -> Vec<f64> {
            let width = row.len() / game.agents();
            let own = &row[agent * width..][..game.actions().sizes()[agent]];
            own.iter().copied().map(f64::from).collect()
        };
        let best = |row: &Vec<f32>| {
            let choices = (0..game.agents()).map(|agent| largest(&own(row, agent)));
            game.actions().join(choices)
        };
        Pupil {
            value: values.greedy,
            greedy: probs[index].iter().map(best).collect(),
            policy: (0..game.agents())
                .map(|agent| own(&probs[index][0], agent))
                .collect(),
            team: team.as_ref().map(|team| team[index].clone()),
            apart: apart.as_ref().map(|apart| apart[index].clone()),
        }
    };
    Ok(values.iter().enumerate().map(pupil).collect())
}

/// The first of the largest.
pub(crate) fn largest(values: &[f64]) -> usize {
    let better = |best: usize, (index, value): (usize, &f64)| match *value > values[best] {
        true => index,
        false => best,
    };
    values.iter().enumerate().fold(0, better)
}
