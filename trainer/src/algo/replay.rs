//! Experience replay: the episodes of the recent past, kept whole, so that networks with memory
//! can be taken through them from the beginning (Hausknecht & Stone 2015; Lin 1992 for the idea).
//!
//! A replica has a store of its own with a budget of environment steps: the oldest episodes leave
//! when it is exceeded. Minibatches are episodes drawn without replacement, each as likely as any
//! other, from the replica's stream; shorter ones are padded with rows that have no weight.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::env::TeamSpec;
use crate::net::{Choices, FORBIDDEN, Rows};
use crate::rng::Stream;
use crate::rollout::Batch;

/// How much is kept, and how much is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayConfig {
    /// Environment steps that are kept at most.
    pub steps: usize,
    /// Memory that they may take, in MiB; fewer are kept where they would need more.
    pub megabytes: usize,
    /// Episodes of a minibatch.
    pub episodes: usize,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            steps: 200_000,
            megabytes: 256,
            episodes: 32,
        }
    }
}

/// Lengths of what is kept of a row.
#[derive(Clone, Copy, Debug)]
struct Widths {
    joint: usize,
    state: usize,
    /// N·A where actions are masked, else 0.
    forbidden: usize,
    /// Numbers of a joint action.
    actions: usize,
    continuous: bool,
}

impl Widths {
    fn new(spec: &TeamSpec) -> Self {
        let agents = spec.agents.len();
        Self {
            joint: spec.joint_observation(),
            state: spec.state,
            forbidden: match spec.masked {
                true => agents * spec.widest_actions(),
                false => 0,
            },
            actions: match spec.is_continuous() {
                true => spec.joint_actions(),
                false => agents,
            },
            continuous: spec.is_continuous(),
        }
    }

    /// What a step takes in memory, and in a checkpoint at most (there a word number takes up to
    /// five bytes, most take one).
    fn bytes(&self) -> usize {
        4 * (self.joint + self.state + self.actions + 1) + self.forbidden
    }
}

/// One episode, row after row. An episode that was truncated has a row more than steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Episode {
    joint: Vec<f32>,
    state: Vec<f32>,
    forbidden: Vec<bool>,
    discrete: Vec<u32>,
    continuous: Vec<f32>,
    rewards: Vec<f32>,
    terminated: bool,
}

impl Episode {
    fn steps(&self) -> usize {
        self.rewards.len()
    }
}

/// One replica's episodes.
#[derive(Clone, Serialize, Deserialize)]
struct Store {
    whole: VecDeque<Episode>,
    /// Steps of the whole ones.
    steps: usize,
    /// What the environments are in the middle of, `[B]`.
    open: Vec<Episode>,
    stream: Stream,
}

/// The episodes of R replicas.
pub struct Replay {
    widths: Widths,
    capacity: usize,
    stores: Vec<Store>,
}

/// Episodes side by side, each from its beginning, as the networks' rows (see [`Rows`]); padding
/// is zeros of no weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Minibatch {
    /// T + 1 rows of B episodes: T is the longest one's length.
    pub rows: Rows,
    /// `[R, (T+1)·B, Σ observation]`.
    pub joint: Vec<f32>,
    /// `[R, (T+1)·B, state]`.
    pub state: Vec<f32>,
    /// `[R, (T+1)·B, N·A]`, 0 or [`FORBIDDEN`]; empty where nothing is forbidden.
    pub forbidden: Vec<f32>,
    /// `[R, T·B, …]`.
    pub actions: Choices,
    /// `[R, T·B]`.
    pub rewards: Vec<f32>,
    /// 1 where a step ended its episode for good, else 0, `[R, T·B]`.
    pub ended: Vec<f32>,
    /// 1/(steps of the replica's episodes), 0 for padding, `[R, T·B]`.
    pub weights: Vec<f32>,
}

/// A replay as it is kept in a checkpoint, where it may be large: borrowed when it is written.
#[derive(Serialize, Deserialize)]
pub struct ReplayState<'a>(Cow<'a, [Store]>);

impl Replay {
    /// Empty stores; `streams`: one a replica, from which its minibatches are drawn.
    pub fn new(spec: &TeamSpec, config: &ReplayConfig, streams: Vec<Stream>) -> Self {
        let widths = Widths::new(spec);
        let fitting = (config.megabytes << 20) / widths.bytes();
        let store = |stream| Store {
            whole: VecDeque::new(),
            steps: 0,
            open: Vec::new(),
            stream,
        };
        Self {
            widths,
            capacity: config.steps.min(fitting),
            stores: streams.into_iter().map(store).collect(),
        }
    }

    /// Steps that a replica keeps at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whole episodes of the replica that has fewest.
    pub fn episodes(&self) -> usize {
        let counts = self.stores.iter().map(|store| store.whole.len());
        counts.min().unwrap_or(0)
    }

    /// Takes in what the environments did next. Episodes go on from batch to batch.
    pub fn push(&mut self, batch: &Batch) {
        let (rows, widths) = (&batch.rows, self.widths);
        let (samples, parallel) = (rows.samples(), rows.parallel);
        let acted = samples - parallel;
        for (replica, store) in self.stores.iter_mut().enumerate() {
            store.open.resize_with(parallel, Episode::default);
            for row in 0..acted {
                let (shown, done) = (replica * samples + row, replica * acted + row);
                let open = &mut store.open[row % parallel];
                if rows.first[shown] {
                    *open = Episode::default();
                }
                let of = |width: usize, at: usize| at * width..(at + 1) * width;
                open.joint
                    .extend_from_slice(&batch.joint[of(widths.joint, shown)]);
                open.state
                    .extend_from_slice(&batch.state[of(widths.state, shown)]);
                let forbidden = &batch.forbidden[of(widths.forbidden, shown)];
                open.forbidden.extend(forbidden.iter().map(|&x| x < 0.0));
                let valid = batch.valid[shown];
                if valid {
                    let own = of(widths.actions, done);
                    match &batch.actions {
                        Choices::Discrete(all) => open.discrete.extend_from_slice(&all[own]),
                        Choices::Continuous(all) => open.continuous.extend_from_slice(&all[own]),
                    }
                    open.rewards.push(batch.rewards[done]);
                    open.terminated = batch.terminated[done];
                }
                // The row in which nobody acts shows how a truncated episode ended.
                if open.terminated || !valid {
                    store.close(row % parallel, self.capacity);
                }
            }
        }
    }

    /// Draws `count` episodes a replica; none before every replica has so many.
    pub fn sample(&mut self, count: usize) -> Option<Minibatch> {
        if count == 0 || self.episodes() < count {
            return None;
        }
        let drawn: Vec<Vec<usize>> = (self.stores.iter_mut())
            .map(|store| distinct(&mut store.stream, store.whole.len(), count))
            .collect();
        let chosen: Vec<Vec<&Episode>> = std::iter::zip(&self.stores, &drawn)
            .map(|(store, drawn)| drawn.iter().map(|&index| &store.whole[index]).collect())
            .collect();
        let lengths = chosen.iter().flatten().map(|episode| episode.steps());
        let time = lengths.max().unwrap_or(0);
        Some(self.lay_out(&chosen, time, count))
    }

    /// Episodes `[R][B]` side by side, in T + 1 rows.
    fn lay_out(&self, chosen: &[Vec<&Episode>], time: usize, parallel: usize) -> Minibatch {
        let (widths, replicas) = (self.widths, chosen.len());
        let (samples, acted) = ((time + 1) * parallel, time * parallel);
        let shown = |width: usize| vec![0.0_f32; replicas * samples * width];
        let done = || vec![0.0_f32; replicas * acted];
        let mut discrete = vec![0_u32; replicas * acted * widths.actions];
        let mut continuous = Vec::new();
        if widths.continuous {
            discrete = Vec::new();
            continuous = vec![0.0; replicas * acted * widths.actions];
        }
        let mut first = vec![false; replicas * samples];
        let (mut joint, mut state) = (shown(widths.joint), shown(widths.state));
        let mut forbidden = shown(widths.forbidden);
        let (mut rewards, mut ended, mut weights) = (done(), done(), done());
        for (replica, episodes) in chosen.iter().enumerate() {
            let steps: usize = episodes.iter().map(|episode| episode.steps()).sum();
            first[replica * samples..][..parallel].fill(true);
            for (column, episode) in episodes.iter().enumerate() {
                let row = |all: usize, step: usize| replica * all + step * parallel + column;
                let at = |step| row(samples, step);
                copy(&episode.joint, &mut joint, widths.joint, at);
                copy(&episode.state, &mut state, widths.state, at);
                for (step, own) in episode
                    .forbidden
                    .chunks_exact(widths.forbidden.max(1))
                    .enumerate()
                {
                    let target = &mut forbidden[at(step) * widths.forbidden..];
                    for (target, &own) in target.iter_mut().zip(own) {
                        *target = if own { FORBIDDEN } else { 0.0 };
                    }
                }
                let at = |step| row(acted, step);
                copy(&episode.discrete, &mut discrete, widths.actions, at);
                copy(&episode.continuous, &mut continuous, widths.actions, at);
                copy(&episode.rewards, &mut rewards, 1, at);
                for step in 0..episode.steps() {
                    weights[at(step)] = 1.0 / steps as f32;
                }
                if episode.terminated {
                    ended[at(episode.steps() - 1)] = 1.0;
                }
            }
        }
        Minibatch {
            rows: Rows {
                replicas,
                time: time + 1,
                parallel,
                first,
            },
            joint,
            state,
            forbidden,
            actions: match widths.continuous {
                true => Choices::Continuous(continuous),
                false => Choices::Discrete(discrete),
            },
            rewards,
            ended,
            weights,
        }
    }

    /// Everything needed to go on from here.
    pub fn save(&self) -> ReplayState<'_> {
        ReplayState(Cow::Borrowed(&self.stores))
    }

    /// Goes on from there.
    ///
    /// # Errors
    /// When it was saved of another number of replicas.
    pub fn restore(&mut self, state: ReplayState<'_>) -> candle_core::Result<()> {
        let (found, expected) = (state.0.len(), self.stores.len());
        if found != expected {
            candle_core::bail!("found the episodes of {found} replicas, expected {expected}");
        }
        self.stores = state.0.into_owned();
        Ok(())
    }
}

impl Store {
    /// Puts the open episode of sequence `column` among the whole ones.
    fn close(&mut self, column: usize, capacity: usize) {
        let episode = std::mem::take(&mut self.open[column]);
        self.steps += episode.steps();
        self.whole.push_back(episode);
        while self.steps > capacity && self.whole.len() > 1 {
            let oldest = self.whole.pop_front().expect("more than one");
            self.steps -= oldest.steps();
        }
    }
}

/// Writes rows of `width` values to where they belong.
fn copy<T: Copy>(rows: &[T], target: &mut [T], width: usize, at: impl Fn(usize) -> usize) {
    for (step, row) in rows.chunks_exact(width.max(1)).enumerate() {
        target[at(step) * width..][..width].copy_from_slice(row);
    }
}

/// `count` different indices below `length`, every set of them as likely as any other (Floyd, in
/// Bentley 1987): `count` draws, whatever they give.
fn distinct(stream: &mut Stream, length: usize, count: usize) -> Vec<usize> {
    let mut chosen = Vec::with_capacity(count);
    let mut taken = HashSet::with_capacity(count);
    for last in length - count..length {
        let drawn = (stream.uniform() * (last + 1) as f64) as usize;
        let index = if taken.insert(drawn) { drawn } else { last };
        taken.insert(index);
        chosen.push(index);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::streams;
    use crate::net::Normalisation;
    use crate::rollout::testing::Signs;
    use crate::rollout::{Actions, Runner, Seen};

    /// One of the first two actions of every agent, or the next one that it may take.
    fn choose(seen: &Seen, agents: usize, dice: &mut Stream) -> Actions {
        let rows = seen.valid.len();
        let free = |place: usize, action: usize| match &seen.forbidden {
            Some(table) => table[place * table.len() / (rows * agents) + action] == 0.0,
            None => true,
        };
        let drawn = (0..rows * agents).map(|place| {
            let drawn = (dice.uniform() * 2.0) as usize;
            let action = (drawn..).find(|&action| free(place, action));
            action.expect("one is allowed") as u32
        });
        Actions {
            taken: Choices::Discrete(drawn.collect()),
            drawn: None,
            log_prob: vec![0.0; rows],
        }
    }

    /// A replay of two replicas after `batches` rollouts of `time` steps in three environments.
    fn filled(signs: &Signs, steps: usize, time: usize, batches: usize) -> (Replay, Vec<Batch>) {
        let spec = signs.spec.clone();
        let config = ReplayConfig {
            steps,
            ..ReplayConfig::default()
        };
        let mut replay = Replay::new(&spec, &config, streams(&[1, 2], "replay"));
        let tasks = vec![signs.clone().task(); 2];
        let streams = streams(&[1, 2], "environment");
        let mut runner = Runner::new(&tasks, 3, streams, Normalisation::default());
        let mut dice = Stream::new(3, "dice", 0);
        let batches = (0..batches).map(|_| {
            let batch = runner.collect(time, |seen| Ok(choose(seen, spec.agents.len(), &mut dice)));
            batch.unwrap()
        });
        let batches: Vec<Batch> = batches.collect();
        batches.iter().for_each(|batch| replay.push(batch));
        (replay, batches)
    }

    /// Episodes that are cut by batches come back whole, in order, with the last observation where
    /// they were truncated; nothing is lost but what is still going on.
    #[test]
    fn episodes_are_kept_whole_across_batches() {
        for signs in [
            Signs::mixed(4).masked().with_state(),
            Signs::mixed(4).masked().with_state().ending(0.3),
        ] {
            let (replay, batches) = filled(&signs, 100_000, 3, 9);
            let width = signs.spec.joint_observation();
            for (replica, store) in replay.stores.iter().enumerate() {
                let mut rewards = 0.0;
                for episode in &store.whole {
                    let rows = episode.joint.len() / width;
                    let extra = usize::from(!episode.terminated);
                    assert_eq!(rows, episode.steps() + extra);
                    assert_eq!(episode.state.len(), rows * signs.spec.state);
                    assert_eq!(episode.discrete.len(), episode.steps() * 4);
                    assert!(episode.terminated || episode.steps() == 4);
                    // The state's first number is the step: 0, 1, 2, ….
                    for (step, state) in episode.state.chunks_exact(signs.spec.state).enumerate() {
                        assert_eq!(state[0], step as f32);
                    }
                    rewards += episode.rewards.iter().sum::<f32>();
                }
                let ended: f32 = batches.iter().flat_map(|b| &b.returns[replica]).sum();
                assert!((rewards - ended).abs() < 1e-3, "{rewards} {ended}");
            }
        }
    }

    #[test]
    fn the_oldest_leave_and_the_budget_holds() {
        let signs = Signs::mixed(4);
        let (all, _) = filled(&signs, 100_000, 5, 20);
        let (some, _) = filled(&signs, 30, 5, 20);
        for (all, some) in all.stores.iter().zip(&some.stores) {
            assert!(some.steps <= 30 && some.steps > 26);
            let newest = all.whole.len() - some.whole.len();
            assert!(some.whole.iter().eq(all.whole.range(newest..)));
        }
        // 4·(10 + 0 + 4 + 1) = 60 bytes a step: 2²⁰/60 = 17,476 of them in a MiB.
        let small = ReplayConfig {
            megabytes: 1,
            ..ReplayConfig::default()
        };
        let replay = Replay::new(&signs.spec, &small, Vec::new());
        assert_eq!(replay.capacity(), 17_476);
    }

    #[test]
    fn padding_has_no_weight_and_what_is_drawn_is_what_was_kept() {
        let signs = Signs::mixed(4).masked().ending(0.4);
        let (mut replay, _) = filled(&signs, 100_000, 4, 20);
        let batch = replay.sample(8).unwrap();
        let (samples, acted) = (batch.rows.samples(), batch.rows.samples() - 8);
        assert_eq!(batch.rows.first[..9], [vec![true; 8], vec![false]].concat());
        for replica in 0..2 {
            let own = replica * acted..(replica + 1) * acted;
            let (weights, ended) = (&batch.weights[own.clone()], &batch.ended[own.clone()]);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            for column in 0..8 {
                let rows = (0..batch.rows.time - 1).map(|step| step * 8 + column);
                let length = rows.clone().filter(|&row| weights[row] > 0.0).count();
                let steps: Vec<usize> = rows.filter(|&row| ended[row] > 0.0).collect();
                // The step that ends an episode is its last, if any does.
                assert!(steps.is_empty() || steps == [(length - 1) * 8 + column]);
                let width = signs.spec.joint_observation();
                let kept = replay.stores[replica].whole.iter().any(|episode| {
                    (0..length).all(|step| {
                        let row = replica * samples + step * 8 + column;
                        episode.joint.get(step * width..(step + 1) * width)
                            == Some(&batch.joint[row * width..(row + 1) * width])
                    })
                });
                assert!(kept);
            }
        }
    }

    /// 4,000 draws of 3 of 12: each is drawn with chance 1/4, 1,000 times with a deviation of
    /// √(4000·¼·¾) = 27; within five of them. Pairs: 3·2/(12·11) = 1/22, 182 ± 5·13.2.
    #[test]
    fn sampling_is_uniform_without_replacement_and_repeats() {
        let draw = || {
            let mut stream = Stream::new(5, "replay", 0);
            (0..4000)
                .map(|_| distinct(&mut stream, 12, 3))
                .collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        let mut counts = [0_i64; 12];
        let mut pairs = [[0_i64; 12]; 12];
        for set in &drawn {
            assert!(set[0] != set[1] && set[0] != set[2] && set[1] != set[2]);
            for &a in set {
                counts[a] += 1;
                set.iter().for_each(|&b| pairs[a][b] += 1);
            }
        }
        for a in 0..12 {
            assert!((counts[a] - 1000).abs() < 137, "{counts:?}");
            for b in (0..12).filter(|&b| b != a) {
                assert!((pairs[a][b] - 182).abs() < 66, "{:?}", pairs[a]);
            }
        }
        let all = distinct(&mut Stream::new(5, "replay", 0), 4, 4);
        assert_eq!(HashSet::from_iter(all), HashSet::from([0, 1, 2, 3]));
    }

    #[test]
    fn a_restored_replay_draws_on_as_the_saved_one() {
        let signs = Signs::mixed(3).masked();
        let (mut one, batches) = filled(&signs, 60, 4, 9);
        one.sample(3).unwrap();
        let bytes = postcard::to_stdvec(&one.save()).unwrap();
        let mut other = Replay::new(
            &signs.spec,
            &ReplayConfig {
                steps: 60,
                ..ReplayConfig::default()
            },
            streams(&[7, 8], "other"),
        );
        other
            .restore(postcard::from_bytes(&bytes).unwrap())
            .unwrap();
        for batch in &batches {
            assert_eq!(one.sample(4), other.sample(4));
            one.push(batch);
            other.push(batch);
        }
        assert!(
            Replay::new(&signs.spec, &ReplayConfig::default(), Vec::new())
                .restore(one.save())
                .is_err()
        );
        assert!(one.sample(1000).is_none() && one.sample(0).is_none());
    }
}
