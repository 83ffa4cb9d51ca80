//! What off-policy learners have in common: they act, remember whole episodes, and after every
//! batch take gradient steps on minibatches of what they remember, with target networks behind.
//!
//! A *rule* says what is minimised and how the team explores; there is one in each of
//! [`value`](super::value), [`qtran`](super::qtran) and [`maddpg`](super::maddpg).

use candle_core::{Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::common::{loaded_memory, means, saved_memory};
use super::replay::{Replay, ReplayConfig, ReplayState};
use super::reward_scale::RewardScale;
use super::sample::{Central, Sample};
use super::{Algorithm, JointValues, Metrics, UpdateConfig, set_values, streams, values_of};
use crate::env::TeamSpec;
use crate::env::joint::JointSpace;
use crate::net::fused::{Adam, AdamConfig, AdamState};
use crate::net::{
    Choices, CrewTensors, Lagging, Marginals, Memory, NetworkConfig, Rows, TargetConfig,
};
use crate::returns::ReturnRange;
use crate::rng::Stream;
use crate::rollout::{Actions, Batch, Seen};

/// Settings of every off-policy learner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OffPolicyConfig {
    /// Adam's step size.
    pub learning_rate: f64,
    /// Largest norm of one replica's gradient; 0: no limit.
    pub max_gradient_norm: f64,
    /// Gradient steps for every episode's worth of environment steps.
    pub gradient_steps: f64,
    /// Whether rewards are learned in deviations from the mean of all seen so far.
    pub standardise_rewards: bool,
    /// How target networks follow.
    pub target: TargetConfig,
    /// What is remembered.
    pub replay: ReplayConfig,
}

impl Default for OffPolicyConfig {
    fn default() -> Self {
        Self {
            learning_rate: 5e-4,
            max_gradient_norm: 10.0,
            gradient_steps: 1.0,
            standardise_rewards: true,
            target: TargetConfig::hard(),
            replay: ReplayConfig::default(),
        }
    }
}

/// What a rule minimises on a minibatch.
pub(super) struct Loss {
    /// Means over steps, summed over replicas.
    pub(super) total: Tensor,
    /// Squared error of the team's value and that value of what was done, `[R, T·B]` each, where
    /// it is a value that is learned.
    pub(super) measured: Option<[Tensor; 2]>,
}

/// Share of a minibatch's loss of every error, `[R, T·B]` each: Σ w e.
pub(super) fn weighted(errors: &Tensor, weights: &Tensor) -> Result<Tensor> {
    (errors * weights)?.sum_all()
}

/// Rows without a past, as agents and central networks see them.
pub(super) struct Shown {
    pub(super) rows: Rows,
    pub(super) own: CrewTensors,
    /// `[R, S, …]`: see [`Central`].
    pub(super) central: Tensor,
}

/// What is learned and how.
pub(super) trait Rule: Send {
    /// What its central networks see.
    const CENTRAL: Central;

    /// What each of its losses moves, in the order in which they are minimised.
    fn moved(&self, marginals: &Marginals) -> Vec<Vec<Var>>;

    /// Networks and their lagging copies.
    fn copied(&self, marginals: &Marginals) -> [Vec<Var>; 2];

    /// Loss number `index`. `dice`: one a replica.
    fn loss(
        &self,
        index: usize,
        marginals: &Marginals,
        sample: &Sample,
        dice: &mut [Stream],
    ) -> Result<Loss>;

    /// Draws exploring actions `[R, B, …]` from the features of one row. `forbidden`: `[R, B, N·A]`.
    fn explore(
        &self,
        marginals: &Marginals,
        features: &[Tensor],
        rows: &Rows,
        forbidden: Option<&Tensor>,
        time: f64,
        dice: &mut [Stream],
    ) -> Result<Choices>;

    /// What it thinks that `actions`, `[R, S, N]`, are worth in rows that have no past: `[R, S]` each,
    /// see [`JointValues`]. None where nothing says so.
    fn worth(
        &self,
        marginals: &Marginals,
        shown: &Shown,
        actions: &Tensor,
    ) -> Result<Option<JointValues>>;

    /// Chance that an agent's action has nothing to do with its policy.
    fn epsilon(&self, time: f64) -> f64;
}

/// A learner that follows a rule.
pub(super) struct OffPolicy<R> {
    rule: R,
    config: OffPolicyConfig,
    discount: f64,
    horizon: usize,
    sees_state: bool,
    marginals: Marginals,
    lagging: Lagging,
    optimisers: Vec<Adam>,
    replay: Replay,
    progress: Progress,
    /// Dice for actions and for losses, one a replica.
    actions: Vec<Stream>,
    dice: Vec<Stream>,
    memory: Memory,
    device: Device,
}

/// What changes from batch to batch beside the networks.
#[derive(Clone, Serialize, Deserialize)]
struct Progress {
    /// That of the last update.
    time: f64,
    /// Gradient steps that are due, a fraction of one.
    owed: f64,
    scales: Vec<RewardScale>,
    ranges: Vec<ReturnRange>,
    mean_return: Vec<f64>,
    /// Squared error and value in the last gradient step of each replica.
    measured: [Vec<f64>; 2],
}

/// Most joint actions whose values are told.
const MOST_JOINT_ACTIONS: usize = 1 << 12;

/// Everything an [`OffPolicy`] needs to go on.
#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    moved: Vec<Vec<f32>>,
    copies: Vec<Vec<f32>>,
    steps: u64,
    adam: Vec<AdamState>,
    replay: ReplayState<'a>,
    progress: Progress,
    streams: [Vec<Stream>; 2],
    memory: Vec<(Vec<f32>, Vec<usize>)>,
}

/// What learners are made from.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) spec: &'a TeamSpec,
    pub(super) network: &'a NetworkConfig,
    pub(super) update: &'a UpdateConfig,
    pub(super) seeds: &'a [u64],
    pub(super) device: &'a Device,
}

impl Making<'_> {
    /// Agents' networks of every replica, from the streams `name`.
    pub(super) fn marginals(&self, name: &str) -> Result<Marginals> {
        Marginals::new(
            self.spec,
            self.network,
            &mut streams(self.seeds, name),
            self.device,
        )
    }
}

impl<R: Rule> OffPolicy<R> {
    /// One learner a seed that follows `rule`.
    pub(super) fn new(
        rule: R,
        marginals: Marginals,
        config: &OffPolicyConfig,
        making: &Making<'_>,
    ) -> Result<Self> {
        let replicas = making.seeds.len();
        let adam = AdamConfig {
            learning_rate: config.learning_rate,
            max_norm: (config.max_gradient_norm > 0.0).then_some(config.max_gradient_norm),
            ..AdamConfig::default()
        };
        let moved = rule.moved(&marginals).into_iter();
        let optimisers = moved.map(|variables| Adam::new(variables, replicas, adam));
        let [variables, copies] = rule.copied(&marginals);
        let named = |name| streams(making.seeds, name);
        Ok(Self {
            optimisers: optimisers.collect::<Result<_>>()?,
            lagging: Lagging::new(variables, copies, config.target)?,
            replay: Replay::new(making.spec, &config.replay, named("replay")),
            progress: Progress {
                time: 0.0,
                owed: 0.0,
                scales: vec![RewardScale::default(); replicas],
                ranges: vec![ReturnRange::default(); replicas],
                mean_return: vec![0.0; replicas],
                measured: [vec![0.0; replicas], vec![0.0; replicas]],
            },
            actions: named("actions"),
            dice: named("dice"),
            memory: Memory::new(),
            discount: making.update.discount,
            horizon: making.spec.horizon.max(1),
            sees_state: making.network.critic_sees_state && making.spec.state > 0,
            config: config.clone(),
            device: making.device.clone(),
            marginals,
            rule,
        })
    }

    /// A minibatch on the device; none while there are too few episodes.
    fn sample(&mut self) -> Result<Option<Sample>> {
        let Some(mut batch) = self.replay.sample(self.config.replay.episodes) else {
            return Ok(None);
        };
        if self.config.standardise_rewards {
            let scales = &self.progress.scales;
            let share = batch.rewards.len() / scales.len();
            for (rewards, scale) in batch.rewards.chunks_exact_mut(share).zip(scales) {
                let standardise = |r: &mut f32| *r = scale.standardise(*r);
                rewards.iter_mut().for_each(standardise);
            }
        }
        let central = R::CENTRAL.of(&batch, self.sees_state);
        Sample::new(batch, central, self.discount, &self.marginals, &self.device).map(Some)
    }

    /// One gradient step of every loss; whether there was something to learn from.
    fn learn(&mut self, measure: bool) -> Result<bool> {
        let Some(sample) = self.sample()? else {
            return Ok(false);
        };
        for (index, optimiser) in self.optimisers.iter_mut().enumerate() {
            let loss = (self.rule).loss(index, &self.marginals, &sample, &mut self.dice)?;
            optimiser.step(&loss.total.backward()?)?;
            if let (true, Some([error, value])) = (measure, loss.measured) {
                let measured = means(&[&error, &value], &sample.weights)?;
                self.progress.measured = measured.try_into().expect("two quantities");
            }
        }
        self.lagging.follow()?;
        Ok(true)
    }

    /// What every joint action is worth in every row of what is seen.
    fn joint_values_of(&self, seen: &Seen, space: &JointSpace) -> Result<Option<JointValues>> {
        let (replicas, samples) = (seen.rows.replicas, seen.rows.samples() * space.count());
        let rows = Rows::unrelated(replicas, samples);
        let width = self.marginals.spec().joint_observation();
        let joint: Vec<f32> = (seen.joint.chunks_exact(width))
            .flat_map(|row| row.repeat(space.count()))
            .collect();
        let every = (0..space.count()).flat_map(|joint| space.split(joint));
        let actions: Vec<u32> = every.map(|action| action as u32).collect();
        let actions = Choices::Discrete(actions.repeat(replicas * seen.rows.samples()));
        let shown = Shown {
            own: self.marginals.pack(&joint, &rows, &self.device)?,
            central: Tensor::from_vec(joint, (replicas, samples, width), &self.device)?,
            rows,
        };
        let actions = actions.tensor(replicas, samples, &self.device)?;
        let worth = self.rule.worth(&self.marginals, &shown, &actions)?;
        let in_rewards = |values: Tensor| -> Result<Tensor> {
            if !self.config.standardise_rewards {
                return Ok(values);
            }
            let lines = self.progress.scales.iter().map(RewardScale::line);
            let (means, units): (Vec<f32>, Vec<f32>) =
                lines.map(|[mean, unit]| (mean as f32, unit as f32)).unzip();
            let column = |numbers| Tensor::from_vec(numbers, (replicas, 1), &self.device);
            values
                .broadcast_mul(&column(units)?)?
                .broadcast_add(&column(means)?)
        };
        worth
            .map(|JointValues { team, apart }| {
                Ok(JointValues {
                    team: in_rewards(team)?,
                    apart: in_rewards(apart)?,
                })
            })
            .transpose()
    }

    /// All that losses move, once each.
    fn moved(&self) -> Vec<Var> {
        self.rule.moved(&self.marginals).concat()
    }
}

impl<R: Rule> Algorithm for OffPolicy<R> {
    fn act(&mut self, seen: &Seen) -> Result<Actions> {
        let rows = &seen.rows;
        let (replicas, samples) = (rows.replicas, rows.samples());
        let own = self.marginals.pack(&seen.joint, rows, &self.device)?;
        let features = self.marginals.features(&own, rows, &self.memory)?;
        self.memory = self.marginals.memory(&features, rows)?;
        let shaped = |values: &[f32]| {
            let shape = (replicas, samples, values.len() / (replicas * samples));
            Tensor::from_slice(values, shape, &self.device)
        };
        let forbidden = seen.forbidden.as_deref().map(shaped).transpose()?;
        let taken = self.rule.explore(
            &self.marginals,
            &features,
            rows,
            forbidden.as_ref(),
            self.progress.time,
            &mut self.actions,
        )?;
        Ok(Actions {
            taken,
            drawn: None,
            // Nothing is learned from likelihoods here.
            log_prob: vec![0.0; replicas * samples],
        })
    }

    fn update(&mut self, batch: &Batch, time: f64) -> Result<Vec<Metrics>> {
        let samples = batch.rows.samples();
        let acted = samples - batch.rows.parallel;
        let progress = &mut self.progress;
        progress.time = time;
        for (replica, scale) in progress.scales.iter_mut().enumerate() {
            let valid = &batch.valid[replica * samples..][..acted];
            let rewards = &batch.rewards[replica * acted..][..acted];
            let pairs = rewards.iter().zip(valid).filter(|(_, valid)| **valid);
            pairs.for_each(|(&reward, _)| scale.include(reward));
            let (range, returns) = (&mut progress.ranges[replica], &batch.returns[replica]);
            returns.iter().for_each(|&value| range.include(value));
            if !returns.is_empty() {
                let sum: f64 = returns.iter().map(|&u| f64::from(range.normalise(u))).sum();
                progress.mean_return[replica] = sum / returns.len() as f64;
            }
        }
        progress.owed += self.config.gradient_steps * acted as f64 / self.horizon as f64;
        let steps = progress.owed.floor();
        progress.owed -= steps;
        self.replay.push(batch);
        for step in (0..steps as u64).rev() {
            if !self.learn(step == 0)? {
                break;
            }
        }
        let progress = &self.progress;
        let [errors, values] = &progress.measured;
        let epsilon = self.rule.epsilon(time);
        Ok((progress.mean_return.iter().zip(errors).zip(values))
            .map(|((&batch_return, &value_error), &value)| Metrics {
                beta: 1.0,
                epsilon,
                value_error,
                value,
                batch_return,
                ..Metrics::default()
            })
            .collect())
    }

    fn marginals(&self) -> &Marginals {
        &self.marginals
    }

    fn joint_values(&self, seen: &Seen) -> Option<Result<JointValues>> {
        let spec = self.marginals.spec();
        if self.sees_state || spec.is_continuous() {
            return None;
        }
        let sizes: Vec<usize> = spec.agents.iter().map(|a| a.actions.size()).collect();
        let space = JointSpace::new(&sizes, MOST_JOINT_ACTIONS)?;
        self.joint_values_of(seen, &space).transpose()
    }

    fn save(&self) -> Result<Vec<u8>> {
        let states = self.optimisers.iter().map(Adam::state);
        let saved = Saved {
            moved: values_of(&self.moved())?,
            copies: values_of(&self.lagging.copies())?,
            steps: self.lagging.steps(),
            adam: states.collect::<Result<_>>()?,
            replay: self.replay.save(),
            progress: self.progress.clone(),
            streams: [self.actions.clone(), self.dice.clone()],
            memory: saved_memory(&self.memory)?,
        };
        postcard::to_stdvec(&saved).map_err(candle_core::Error::wrap)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let saved: Saved<'_> = postcard::from_bytes(saved).map_err(candle_core::Error::wrap)?;
        set_values(&self.moved(), &saved.moved)?;
        set_values(&self.lagging.copies(), &saved.copies)?;
        self.lagging.restore(saved.steps);
        for (optimiser, state) in self.optimisers.iter_mut().zip(&saved.adam) {
            optimiser.restore(state)?;
        }
        self.replay.restore(saved.replay)?;
        self.progress = saved.progress;
        [self.actions, self.dice] = saved.streams;
        self.memory = loaded_memory(saved.memory, &self.device)?;
        Ok(())
    }
}
