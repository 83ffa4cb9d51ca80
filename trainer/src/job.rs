//! One job: some replicas of one arm, trained side by side, kept and taken up again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use candle_core::Result;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::algo::{Algorithm, ArmKind};
use crate::config::{CURVE_POINTS, Config};
use crate::env::{Game, Task, TeamSpec};
use crate::eval::{Enumeration, Player, Values};
use crate::export::actors_for;
use crate::net::{NetworkWeights, Normaliser};
use crate::rng::Stream;
use crate::rollout::{Runner, RunnerState};
use crate::select::Entrant;
use crate::team::Choice;
use crate::train::{Record, Snapshot, Training};

/// How many records an arm leaves.
const RECORDS: u64 = 100;

/// One replica of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Which run.
    pub run: usize,
    /// Which arm of it.
    pub arm: usize,
}

/// Replicas that are trained together.
pub struct Job<'a> {
    kind: ArmKind,
    lanes: Vec<Lane>,
    tasks: Vec<&'a Task>,
    /// Each lane's own.
    seeds: Vec<u64>,
    name: String,
    /// Where it stopped last.
    stopped: Mutex<Option<Stopped>>,
}

/// A job between two calls to train it.
struct Stopped {
    state: Vec<u8>,
    /// Environment steps, of which `progress` has been told.
    env_steps: u64,
}

/// A job being trained.
struct Learner {
    /// Updates done.
    done: u64,
    algorithm: Box<dyn Algorithm>,
    runner: Runner,
    progress: Vec<Progress>,
}

/// How far one lane has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    env_steps: u64,
    /// As JSON lines would say them, in order.
    records: Vec<Record>,
    /// The networks of the record with the best measured return, as the team acts.
    best: Option<Snapshot>,
    latest: Option<Snapshot>,
}

/// Everything a job needs to go on.
#[derive(Serialize, Deserialize)]
struct Kept {
    updates: u64,
    algorithm: Vec<u8>,
    runner: RunnerState,
    progress: Vec<Progress>,
}

impl Progress {
    /// Environment steps taken.
    pub fn env_steps(&self) -> u64 {
        self.env_steps
    }

    /// The records.
    pub fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// The arm as it is now.
    pub fn latest(&self, arm: usize) -> Entrant {
        Entrant {
            arm,
            snapshot: self.latest.clone().expect("a trained lane has networks"),
        }
    }

    /// What the product of its policies was worth when it was last looked at: −∞ where it never was, and
    /// where a network diverged and can be no image.
    pub fn product(&self) -> f64 {
        let executable = |latest: &&Snapshot| actors_for(&latest.marginals, None).is_ok();
        let latest = self.latest.as_ref().filter(executable);
        let values = latest.and_then(|latest| latest.values);
        values.map_or(f64::NEG_INFINITY, |values| values.product)
    }

    /// What of this arm should stand for selection: as it is now, and as it was when its curve
    /// was highest, where that was earlier; the team acts as `act` says.
    pub fn entrants(&self, arm: usize, act: Choice) -> Vec<Entrant> {
        let latest = self.latest(arm);
        let measured = |snapshot: &Snapshot| snapshot.values.map(|values| values.of(act));
        let earlier = self.best.as_ref().filter(|best| {
            best.env_steps < latest.snapshot.env_steps
                && measured(best) > measured(&latest.snapshot)
        });
        let earlier = earlier.cloned().map(|snapshot| Entrant { arm, snapshot });
        [Some(latest), earlier].into_iter().flatten().collect()
    }
}

impl<'a> Job<'a> {
    /// The lanes `lanes` of arms of one `kind`.
    pub fn new(kind: &ArmKind, lanes: &[Lane], tasks: &'a [Task], run_seeds: &[u64]) -> Self {
        let seed =
            |lane: &Lane| Stream::new(run_seeds[lane.run], "arm", lane.arm as u64).next_u64();
        Self {
            kind: kind.clone(),
            tasks: lanes.iter().map(|lane| &tasks[lane.run]).collect(),
            seeds: lanes.iter().map(seed).collect(),
            name: format!("job-{}-{}", lanes[0].run, lanes[0].arm),
            lanes: lanes.to_vec(),
            stopped: Mutex::default(),
        }
    }

    /// Its lanes.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Trains until `updates` updates are done, from where its state was kept last or from the
    /// start.
    pub fn train(&self, updates: u64, training: &Training<'_>) -> Result<Vec<(Lane, Progress)>> {
        let config = training.config;
        let spec = self.tasks[0].spec();
        let budget = config.budget(&spec);
        let time = config.rollout_length(&spec);
        let races = budget.race == Some(updates);
        // What won a race is kept apart: if the run is killed, the race is judged again as it was.
        let name = match budget.race.is_some() && !races {
            true => format!("{}-winner", self.name),
            false => self.name.clone(),
        };
        let (mut learner, mut state) = self.take_up(&name, training)?;
        let judge = Judge::new(&self.tasks(), &spec, budget.curve_episodes);
        let mut kept_at = Instant::now();
        while learner.done < updates {
            let Learner {
                done,
                algorithm,
                runner,
                progress,
            } = &mut learner;
            let batch = runner.collect(time, |seen| algorithm.act(seen))?;
            let share = (*done as f64 / budget.updates as f64).min(1.0);
            let metrics = algorithm.update(&batch, share)?;
            *done += 1;
            let done = *done;
            let mut taken = 0;
            for (replica, progress) in progress.iter_mut().enumerate() {
                progress.env_steps += batch.env_steps(replica);
                taken += batch.env_steps(replica);
            }
            let last = done == updates;
            let due = |points| is_due(done, budget.updates, points);
            if last || due(RECORDS) {
                let policies = algorithm.as_ref();
                if let Some(replica) = self.diverged(policies, config)? {
                    let env_steps = progress[replica].env_steps;
                    self.show_records(&learner, training)?;
                    return Err(divergence(env_steps));
                }
                let values = match (last && races, judge.plays() && !last && !due(CURVE_POINTS)) {
                    (true, _) => {
                        let trial = Player::new(&self.tasks(), &spec, budget.preliminary);
                        trial.values(runner, policies, &self.seeds, done)?
                    }
                    (_, true) => vec![(None, 0); self.lanes.len()],
                    _ => judge.values(runner, policies, &self.seeds, done)?,
                };
                for (replica, progress) in progress.iter_mut().enumerate() {
                    let (values, steps) = values[replica];
                    progress.env_steps += steps;
                    taken += steps;
                    progress.records.push(Record {
                        arm: self.lanes[replica].arm,
                        env_steps: progress.env_steps,
                        metrics: metrics[replica],
                        values,
                    });
                    let better =
                        judge.plays() && is_better(config.act, values, progress.best.as_ref());
                    if last || better {
                        let normaliser = runner.normalisation().of(replica);
                        let networks = networks(algorithm.as_ref(), replica, &spec, normaliser)?;
                        let snapshot = Snapshot {
                            env_steps: progress.env_steps,
                            marginals: networks,
                            values,
                        };
                        if better {
                            progress.best = Some(snapshot.clone());
                        }
                        progress.latest = last.then_some(snapshot);
                    }
                }
            }
            (training.progress)(taken);
            if last || kept_at.elapsed() >= training.keep_every {
                state = learner.save()?;
                training.store.keep(&name, &state)?;
                self.show_records(&learner, training)?;
                kept_at = Instant::now();
            }
        }
        let env_steps = learner.env_steps();
        *self.stopped() = Some(Stopped { state, env_steps });
        Ok(std::iter::zip(self.lanes.iter().copied(), learner.progress).collect())
    }

    /// The learner as it was kept under `name`, else as it stopped last, else at its start; and
    /// its state, empty at the start.
    fn take_up(&self, name: &str, training: &Training<'_>) -> Result<(Learner, Vec<u8>)> {
        let stopped = self.stopped().take();
        let told = stopped.as_ref().map_or(0, |stopped| stopped.env_steps);
        if let Some(state) = training.store.load(name) {
            let mut learner = self.begin(training)?;
            match learner.restore(&state) {
                Ok(()) => {
                    (training.progress)(learner.env_steps().saturating_sub(told));
                    self.show_records(&learner, training)?;
                    return Ok((learner, state));
                }
                Err(error) => training.store.refused(name, &error.to_string()),
            }
        }
        let mut learner = self.begin(training)?;
        let state = stopped.map(|stopped| stopped.state).unwrap_or_default();
        if !state.is_empty() {
            learner.restore(&state)?;
        }
        Ok((learner, state))
    }

    fn begin(&self, training: &Training<'_>) -> Result<Learner> {
        let config = training.config;
        let spec = self.tasks[0].spec();
        let named = |seed: &u64| Stream::new(*seed, "environment", 0);
        let normalisation = config.normalisation(&spec, self.lanes.len());
        let streams = self.seeds.iter().map(named).collect();
        let algorithm = self.kind.make(
            &spec,
            &config.network,
            &config.update,
            &self.seeds,
            training.device,
        )?;
        let parallel = config.parallel(&spec);
        let mut runner = Runner::new(&self.tasks(), parallel, streams, normalisation);
        if algorithm.asks_common_knowledge() {
            runner = runner.with_common_knowledge();
        }
        Ok(Learner {
            done: 0,
            algorithm,
            runner,
            progress: vec![Progress::default(); self.lanes.len()],
        })
    }

    /// A replica that has nothing left to export: its weights are not finite numbers any more, and no other
    /// arm of its run trains. Among several arms it loses.
    fn diverged(&self, policies: &dyn Algorithm, config: &Config) -> Result<Option<usize>> {
        if config.arm_names().len() > 1 {
            return Ok(None);
        }
        for (replica, task) in self.tasks.iter().enumerate() {
            for agent in 0..task.spec().agents.len() {
                if !policies.marginals().weights(replica, agent)?.is_finite() {
                    return Ok(Some(replica));
                }
            }
        }
        Ok(None)
    }

    fn show_records(&self, learner: &Learner, training: &Training<'_>) -> Result<()> {
        for (lane, progress) in self.lanes.iter().zip(&learner.progress) {
            training.store.recorded(lane.arm, &progress.records)?;
        }
        Ok(())
    }

    fn tasks(&self) -> Vec<Task> {
        self.tasks.iter().map(|&task| task.clone()).collect()
    }

    fn stopped(&self) -> MutexGuard<'_, Option<Stopped>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learner {
    fn env_steps(&self) -> u64 {
        self.progress.iter().map(Progress::env_steps).sum()
    }

    fn save(&self) -> Result<Vec<u8>> {
        let kept = Kept {
            updates: self.done,
            algorithm: self.algorithm.save()?,
            runner: self.runner.save(),
            progress: self.progress.clone(),
        };
        postcard::to_stdvec(&kept).map_err(candle_core::Error::wrap)
    }

    /// Goes on from a saved state. After an error it is in no state to be used.
    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let kept: Kept = postcard::from_bytes(state).map_err(candle_core::Error::wrap)?;
        let (found, expected) = (kept.progress.len(), self.progress.len());
        if found != expected {
            let message = format!("found {found} arms, expected {expected}");
            return Err(candle_core::Error::msg(message));
        }
        self.algorithm.restore(&kept.algorithm)?;
        self.runner.restore(kept.runner)?;
        (self.done, self.progress) = (kept.updates, kept.progress);
        Ok(())
    }
}

/// Why a run ends before its last step.
fn divergence(env_steps: u64) -> candle_core::Error {
    candle_core::Error::msg(format!(
        "it diverged: after {env_steps} environment steps the networks' weights are not finite numbers any \
         more; smaller learning rates may help"
    ))
}

/// Whether update number `done` is one of at most `points` evenly among `updates`, the last
/// always.
fn is_due(done: u64, updates: u64, points: u64) -> bool {
    done * points / updates > (done - 1) * points / updates
}

fn is_better(act: Choice, values: Option<Values>, best: Option<&Snapshot>) -> bool {
    let best = best.and_then(|best| best.values);
    match (values, best) {
        (Some(values), Some(best)) => values.of(act) > best.of(act),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Says what policies are worth: exactly in games, by episodes in anything else.
enum Judge {
    Exact(Enumeration),
    Episodes(Player),
    Nobody,
}

impl Judge {
    fn new(tasks: &[Task], spec: &TeamSpec, episodes: usize) -> Self {
        let games: Option<Vec<Arc<Game>>> = tasks.iter().map(|task| task.game().cloned()).collect();
        match games {
            Some(games) => Enumeration::new(games).map_or(Self::Nobody, Self::Exact),
            None if episodes > 0 => Self::Episodes(Player::new(tasks, spec, episodes)),
            None => Self::Nobody,
        }
    }

    fn plays(&self) -> bool {
        matches!(self, Self::Episodes(_))
    }

    /// Values and the environment steps they cost, one entry a replica.
    fn values(
        &self,
        runner: &Runner,
        algorithm: &dyn Algorithm,
        seeds: &[u64],
        updates: u64,
    ) -> Result<Vec<(Option<Values>, u64)>> {
        match self {
            Self::Exact(enumeration) => {
                let values = enumeration.values(runner, algorithm)?;
                Ok(values.into_iter().map(|values| (Some(values), 0)).collect())
            }
            Self::Episodes(player) => player.values(runner, algorithm, seeds, updates),
            Self::Nobody => Ok(vec![(None, 0); seeds.len()]),
        }
    }
}

/// Every agent's network as it would be flashed: normalisation folded into the first layer.
fn networks(
    algorithm: &dyn Algorithm,
    replica: usize,
    spec: &TeamSpec,
    normaliser: Option<&Normaliser>,
) -> Result<Vec<NetworkWeights>> {
    let mut start = 0;
    let mut networks = Vec::with_capacity(spec.agents.len());
    for (agent, own) in spec.agents.iter().enumerate() {
        let mut network = algorithm.marginals().weights(replica, agent)?;
        if let Some(normaliser) = normaliser {
            network.fold_in(normaliser, start);
        }
        start += own.observation;
        networks.push(network);
    }
    Ok(networks)
}

#[cfg(test)]
mod tests;
