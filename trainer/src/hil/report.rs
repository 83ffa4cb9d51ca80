//! What came of it.

use std::time::Duration;

use serde::Serialize;

use super::BoardSpec;
use super::audit::Audited;
use super::device::{Device, Done, Hello};
use super::record::{Recorder, Recording};
use super::reference::Outcome;

/// How values are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// The least.
    pub min: u64,
    /// Half are not above it.
    pub median: u64,
    /// 99 of 100 are not above it.
    pub p99: u64,
    /// The most.
    pub max: u64,
}

impl Distribution {
    /// Of values; none where there are none. Percentiles are nearest ranks.
    fn of(mut values: Vec<u32>) -> Option<Self> {
        values.sort_unstable();
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).map(|&value| u64::from(value))
        };
        Some(Self {
            min: rank(0)?,
            median: rank(50)?,
            p99: rank(99)?,
            max: rank(100)?,
        })
    }
}

/// The first step at which a device differed from the host.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// Whose.
    pub agent: usize,
    /// The episode.
    pub episode: u64,
    /// The step of it.
    pub step: usize,
    /// What the device did.
    pub device: Outcome,
    /// What the host did.
    pub host: Outcome,
    /// The device's state after the step.
    pub device_state: Vec<f32>,
    /// The host's.
    pub host_state: Vec<f32>,
}

/// One agent's device.
#[derive(Clone, Debug, Serialize)]
pub struct AgentReport {
    /// The board asked for.
    pub board: String,
    /// What the device calls itself.
    pub target: String,
    /// Steps on the device.
    pub steps: u64,
    /// From a request to its answer, in µs; none where it took no step.
    pub round_trip_us: Option<Distribution>,
    /// What the device's own counter counts: `instructions`, `cycles` or `nanoseconds`.
    pub unit: &'static str,
    /// From observation to action on the device, in that unit; none where it took no step.
    pub on_device: Option<Distribution>,
    /// The most bytes of stack that a step had in use, where they are watched.
    pub stack_bytes: Option<u32>,
    /// Round trips above the deadline.
    pub deadline_misses: u64,
    /// Requests that were sent again.
    pub repeated: u64,
    /// How often the device was brought back into an episode.
    pub rejoined: u64,
    /// How often it was sent its image.
    pub uploads: u64,
    /// Steps at which it was dead, and the safe action was taken for it.
    pub dead_steps: u64,
}

/// What came of a bench.
#[derive(Clone, Debug)]
pub struct Report {
    /// Episodes played to their end.
    pub episodes: u64,
    /// Steps of the environment.
    pub steps: u64,
    /// Steps at which a device's action or state differed from the host's; the first ends the run.
    pub divergences: u64,
    /// Faults that were injected, but for deaths.
    pub faults_injected: u64,
    /// Those after which the agent's next step was the host's.
    pub faults_recovered: u64,
    /// Agents that were killed: the team went on without them.
    pub deaths: u64,
    /// Actions that were taken, were not the host's, and that neither device nor protocol had called a fault.
    pub wrong_unnoticed: u64,
    /// Mean return of the episodes, as they went; none where none was played to its end, nor in a replay, as what an episode paid is
    /// not recorded.
    pub return_mean: Option<f64>,
    /// Mean return of the same episodes if the host plays them alone and nothing fails; none likewise.
    pub return_host: Option<f64>,
    /// Frames that went out, each held against what its agent was to see. In a replay, which has no environment to ask, they are only
    /// counted.
    pub frames: u64,
    /// Those of them that showed an observation: the agent's own.
    pub observations: u64,
    /// By agent.
    pub agents: Vec<AgentReport>,
    /// The first difference.
    pub divergence: Option<Divergence>,
    /// Which device does not go on, and why.
    pub hung: Option<String>,
    /// Everything that devices were shown and did, if it was asked for.
    pub recording: Option<Recording>,
}

impl Report {
    /// Whether every device did what it should, to the end.
    pub fn is_equal(&self) -> bool {
        self.divergences == 0 && self.wrong_unnoticed == 0 && self.hung.is_none()
    }

    /// Steps that were compared, of all agents: none where every one was dead, or its device hung, from the beginning.
    pub fn compared(&self) -> u64 {
        self.agents.iter().map(|own| own.steps).sum()
    }
}

/// A report in the making.
pub(super) struct Reporter {
    pub(super) episodes: u64,
    pub(super) steps: u64,
    wrong: u64,
    /// Of the episodes' returns, where they are known.
    sums: Option<[f64; 2]>,
    frames: u64,
    observations: u64,
    deadline_us: Option<u64>,
    agents: Vec<Figures>,
    pub(super) divergence: Option<Divergence>,
}

#[derive(Clone, Default)]
struct Figures {
    round_trips: Vec<u32>,
    costs: Vec<u32>,
    stack: Option<u32>,
    misses: u64,
    dead: u64,
}

impl Reporter {
    pub(super) fn new(agents: usize, deadline_us: Option<u64>) -> Self {
        Self {
            episodes: 0,
            steps: 0,
            wrong: 0,
            sums: None,
            frames: 0,
            observations: 0,
            deadline_us,
            agents: vec![Figures::default(); agents],
            divergence: None,
        }
    }

    /// A step of a device, and what it should have done.
    pub(super) fn step(&mut self, agent: usize, done: &Done, expected: &Outcome) {
        let own = &mut self.agents[agent];
        let us = short(done.round_trip);
        own.round_trips.push(us);
        own.costs.push(u32::try_from(done.cost).unwrap_or(u32::MAX));
        own.stack = own.stack.max(done.stack);
        own.misses += u64::from(self.deadline_us.is_some_and(|most| u64::from(us) > most));
        let wrong = !done.outcome.action.same(&expected.action) && done.outcome.fault.is_none();
        self.wrong += u64::from(wrong);
    }

    /// A step that the host took for a dead device.
    pub(super) fn dead(&mut self, agent: usize) {
        self.agents[agent].dead += 1;
    }

    /// An episode: its return, and the host's.
    pub(super) fn episode(&mut self, actual: f64, host: f64) {
        self.episodes += 1;
        let [own, alone] = self.sums.get_or_insert_default();
        *own += actual;
        *alone += host;
    }

    /// What went out.
    pub(super) fn sent(&mut self, audited: Audited) {
        self.frames += audited.frames;
        self.observations += audited.observations;
    }

    pub(super) fn finish(
        self,
        boards: Vec<BoardSpec>,
        devices: &[Device],
        recorder: Option<Recorder>,
        hung: Option<String>,
    ) -> Report {
        let mean = |sum: f64| sum / self.episodes as f64;
        let means = self.sums.map(|sums| sums.map(mean));
        let deaths = self.agents.iter().filter(|own| own.dead > 0).count() as u64;
        let sum = |of: fn(&Device) -> u64| devices.iter().map(of).sum::<u64>();
        let agents = self.agents.into_iter().zip(devices).enumerate();
        Report {
            episodes: self.episodes,
            steps: self.steps,
            divergences: u64::from(self.divergence.is_some()),
            faults_injected: sum(|device| device.tally.injected),
            faults_recovered: sum(|device| device.tally.recovered),
            deaths,
            wrong_unnoticed: self.wrong,
            return_mean: means.map(|[own, _]| own),
            return_host: means.map(|[_, alone]| alone),
            frames: self.frames,
            observations: self.observations,
            agents: agents
                .map(|(agent, (own, device))| AgentReport {
                    board: boards
                        .get(agent)
                        .map_or_else(String::new, ToString::to_string),
                    target: device
                        .hello()
                        .map_or_else(String::new, |hello| hello.target.clone()),
                    steps: own.costs.len() as u64,
                    round_trip_us: Distribution::of(own.round_trips),
                    unit: device.hello().map_or("", Hello::unit),
                    on_device: Distribution::of(own.costs),
                    stack_bytes: own.stack,
                    deadline_misses: own.misses,
                    repeated: device.tally.repeated,
                    rejoined: device.tally.rejoined,
                    uploads: device.tally.uploads,
                    dead_steps: own.dead,
                })
                .collect(),
            divergence: self.divergence,
            hung,
            recording: recorder.map(Recorder::finish),
        }
    }
}

fn short(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let spread = |min, median, p99, max| {
            Some(Distribution {
                min,
                median,
                p99,
                max,
            })
        };
        let values = (1..=200).rev().collect();
        assert_eq!(Distribution::of(values), spread(1, 100, 198, 200));
        assert_eq!(Distribution::of(vec![7]), spread(7, 7, 7, 7));
        assert_eq!(Distribution::of(Vec::new()), None);
    }
}
