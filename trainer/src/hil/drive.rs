//! The lock-step: the environment shows each agent its own part, all act, the environment goes on.

use consort_runtime::Seeding;

use super::audit::Auditor;
use super::device::{Device, Episode, Hello, Sight};
use super::faults::Luck;
use super::joint::{Joint, Own, own};
use super::record::{Event, Recorder};
use super::reference::{Outcome, Reference};
use super::report::{Divergence, Report, Reporter};
use super::show::{Scene, Seat};
use super::{Bench, HilError, open};
use crate::env::TeamSpec;
use crate::rng::Stream;
use crate::team::Choice;

/// Plays the bench's episodes.
pub(super) fn run(mut bench: Bench<'_>) -> Result<Report, HilError> {
    let team = bench.team;
    let spec = team.task.spec();
    let agents = spec.agents.len();
    let mut links = std::mem::take(&mut bench.links);
    let opened = links.is_empty();
    if opened {
        if bench.boards.len() == 1 {
            bench.boards = vec![bench.boards[0].clone(); agents];
        }
        if bench.boards.len() != agents {
            return Err(HilError::Boards {
                found: bench.boards.len(),
                agents,
            });
        }
        for board in &bench.boards {
            links.push(open(board, bench.firmware.as_deref())?);
        }
    } else if links.len() != agents {
        return Err(HilError::Boards {
            found: links.len(),
            agents,
        });
    }
    if let Some(kill) = bench.faults.kill.iter().find(|kill| kill.agent >= agents) {
        return Err(HilError::Spec(format!(
            "fault `kill={}@{}`: the team has {agents} agents, counted from 0",
            kill.agent, kill.step
        )));
    }
    let images = team.actors.images();
    let key = team.key.map(|key| key.bytes());
    let devices = links.into_iter().zip(images).enumerate();
    let devices = devices.map(|(agent, (link, image))| {
        let luck = Luck::new(&bench.faults, bench.seed, agent);
        let key = key.filter(|_| image.view().seeding().is_some());
        let board = bench.boards.get(agent).filter(|_| opened);
        Device::new(agent, link, image.bytes(), key, luck).called(board)
    });
    let mut fleet = Fleet {
        devices: devices.collect(),
        references: images
            .iter()
            .map(|image| Reference::new(image.view()))
            .collect(),
        seedings: images.iter().map(|image| image.view().seeding()).collect(),
        spec: &spec,
        keyed: key.is_some(),
        auditor: Auditor::new(&spec, images, key),
        reporter: Reporter::new(agents, bench.deadline_us),
        recorder: bench.record.then(|| Recorder::new(team, bench.seed)),
        step: 0,
    };
    let mut hung = None;
    let (mut actual, mut ideal) = (team.task.make_environment(), team.task.make_environment());
    for number in 0..bench.episodes {
        let episode = |agent: usize| Episode {
            number,
            ticks: u32::try_from(spec.horizon).unwrap_or(u32::MAX).max(1),
            dice: (team.manifest.act == Choice::Sampled).then(|| dice(bench.seed, agent, number)),
        };
        let nature = || Stream::new(bench.seed, "hil episodes", number);
        let host = alone(&mut *ideal, &mut fleet, &mut nature(), episode);
        let played = fleet.episode(&mut *actual, &mut nature(), episode, &mut bench.view);
        // However it ended, what went out is looked at.
        let audited = fleet.audit();
        hung = match (played, audited) {
            // The fleet could not start: the input's fault.
            (Err(error), _) if error.is_bad_input() => return Err(error),
            (_, Err(error)) => Some(error),
            (Err(error), Ok(())) => Some(error.to_string()),
            (Ok(None), Ok(())) => None,
            (Ok(Some(sum)), Ok(())) => {
                fleet.reporter.episode(sum, host);
                continue;
            }
        };
        break;
    }
    let Fleet {
        devices,
        reporter,
        recorder,
        ..
    } = fleet;
    Ok(reporter.finish(bench.boards, &devices, recorder, hung))
}

/// An agent's dice of an episode.
fn dice(seed: u64, agent: usize, episode: u64) -> u64 {
    use rand_core::Rng as _;
    Stream::new(seed, "hil dice", agent as u64)
        .fork(episode)
        .next_u64()
}

/// The devices, and the host's idea of them.
struct Fleet<'a> {
    devices: Vec<Device>,
    references: Vec<Reference<'a>>,
    seedings: Vec<Option<Seeding>>,
    spec: &'a TeamSpec,
    /// Whether devices draw a shared seed's symbols themselves.
    keyed: bool,
    auditor: Auditor<'a>,
    reporter: Reporter,
    recorder: Option<Recorder>,
    /// Steps of the whole run.
    step: u64,
}

type World = dyn crate::env::Environment;

/// The return of the episode when the host plays it alone and nothing fails.
fn alone(
    world: &mut World,
    fleet: &mut Fleet<'_>,
    nature: &mut Stream,
    episode: impl Fn(usize) -> Episode,
) -> f64 {
    let spec = fleet.spec;
    let mut observations = vec![0.0; spec.joint_observation()];
    let mut mask = vec![true; spec.joint_actions()];
    world.reset(nature, &mut observations);
    for (agent, reference) in fleet.references.iter_mut().enumerate() {
        reference.reset(episode(agent).dice);
    }
    let mut sum = 0.0;
    loop {
        if spec.masked {
            world.mask(&mut mask);
        }
        let owns = own(spec, &observations, &mask).into_iter();
        let acted: Vec<_> = (fleet.references.iter_mut().zip(owns))
            .map(|(reference, own)| reference.step(own.observation, own.mask).action)
            .collect();
        let transition = world.step(Joint::new(spec, &acted).action(), nature, &mut observations);
        sum += f64::from(transition.reward);
        if transition.terminated || transition.truncated {
            return sum;
        }
    }
}

impl Fleet<'_> {
    /// Plays an episode on the devices: its return, or nothing where a device differed from the host.
    fn episode(
        &mut self,
        world: &mut World,
        nature: &mut Stream,
        episode: impl Fn(usize) -> Episode,
        view: &mut Option<&mut dyn super::View>,
    ) -> Result<Option<f64>, HilError> {
        let spec = self.spec;
        let mut observations = vec![0.0; spec.joint_observation()];
        let mut mask = vec![true; spec.joint_actions()];
        world.reset(nature, &mut observations);
        self.auditor
            .begin((0..self.devices.len()).map(&episode).collect());
        for agent in 0..self.devices.len() {
            let own = episode(agent);
            self.references[agent].reset(own.dice);
            if !self.devices[agent].luck().dead(agent, self.step) {
                self.devices[agent].begin(own)?;
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.push(agent, Event::Begin(own));
            }
        }
        let number = episode(0).number;
        let (mut sum, mut tick) = (0.0, 0);
        loop {
            if spec.masked {
                world.mask(&mut mask);
            }
            self.auditor.step(&observations, &mask);
            let mut acted = Vec::new();
            let mut seats = Vec::new();
            for (agent, own) in own(spec, &observations, &mask).into_iter().enumerate() {
                let mut faulty = own.observation.to_vec();
                if self.devices[agent].luck().dead(agent, self.step) {
                    let safe = self.references[agent].safe(own.mask);
                    self.reporter.dead(agent);
                    seats.push(Seat::dead(&faulty, &safe));
                    acted.push(safe);
                    continue;
                }
                let symbols =
                    self.seedings[agent].map_or(0, |seeding| usize::from(seeding.symbols));
                let values = faulty.len() - symbols;
                if let Some(index) = self.devices[agent].luck().nan(values) {
                    faulty[index] = f32::NAN;
                    self.devices[agent].injected();
                    self.auditor.fails(agent, index);
                }
                let own = Own {
                    observation: &faulty,
                    mask: own.mask,
                };
                let (sight, symbol) = own.sight(self.seedings[agent], self.keyed);
                let expected = self.references[agent].step(own.observation, own.mask);
                let done = self.devices[agent].step(sight.clone())?;
                if let Some(recorder) = &mut self.recorder {
                    let sight = Sight { symbol, ..sight };
                    recorder.push(agent, Event::Step(sight, done.outcome.clone()));
                }
                self.reporter.step(agent, &done, &expected);
                if !done.outcome.same(&expected) || done.symbol != symbol {
                    let states = (
                        self.devices[agent].state()?,
                        self.references[agent].state().to_vec(),
                    );
                    self.reporter.divergence = Some(divergence(
                        (agent, number, tick),
                        (done.outcome, expected),
                        states,
                    ));
                    return Ok(None);
                }
                self.devices[agent].recovered();
                let unit = self.devices[agent].hello().map_or("", Hello::unit);
                seats.push(Seat::new(&faulty, &done, unit));
                acted.push(done.outcome.action);
            }
            let transition =
                world.step(Joint::new(spec, &acted).action(), nature, &mut observations);
            sum += f64::from(transition.reward);
            if let Some(view) = view {
                view.step(&Scene {
                    episode: number,
                    tick,
                    reward: transition.reward,
                    sum,
                    seats: &seats,
                });
            }
            tick += 1;
            self.step += 1;
            self.reporter.steps += 1;
            if transition.terminated || transition.truncated {
                break;
            }
        }
        Ok(Some(sum))
    }

    /// Reads back all that went out since the last time: what is not an agent's own is a verdict.
    fn audit(&mut self) -> Result<(), String> {
        for (agent, device) in self.devices.iter_mut().enumerate() {
            let audited = self.auditor.audit(agent, &std::mem::take(&mut device.log));
            let audited = audited
                .map_err(|what| format!("agent {agent} was sent what is not its own: {what}"))?;
            self.reporter.sent(audited);
        }
        Ok(())
    }
}

fn divergence(
    (agent, episode, step): (usize, u64, usize),
    (device, host): (Outcome, Outcome),
    (device_state, host_state): (Vec<f32>, Vec<f32>),
) -> Divergence {
    Divergence {
        agent,
        episode,
        step,
        device,
        host,
        device_state,
        host_state,
    }
}
