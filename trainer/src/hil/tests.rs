//! What a fleet does that is not as it should be.

mod lines;

use std::io;
use std::path::Path;

use consort_wire::{Action, Frame, PROTOCOL, Receiver, Reply, decode, encode};

use super::host::HostLink;
use super::link::FRAME;
use super::{Bench, HilError, Link};
use crate::env::{ActionSpace, Factors};
use crate::net::HeadWeights;
use crate::team::{Choice, Team, episodes};

fn team(name: &str) -> Team {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    Team::load(&models.join(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// A link whose device lies: its `wrong`th action is another one, in a frame that is whole.
struct Lying {
    inner: HostLink,
    wrong: usize,
    acted: usize,
    /// Whether only the state is another one.
    state: bool,
}

impl Link for Lying {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.send(bytes)
    }

    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.receive(place)?;
        let mut receiver = Box::new(Receiver::<FRAME>::new());
        let heard = place[..len].to_vec();
        for byte in heard {
            let Some(Ok(body)) = receiver.push(byte) else {
                continue;
            };
            let frame = decode::<Reply<'_>>(body).map_err(io::Error::other)?;
            let Reply::Act(mut act) = frame.message else {
                continue;
            };
            self.acted += 1;
            if self.acted - 1 != self.wrong {
                continue;
            }
            match act.action {
                Action::Discrete(number) if !self.state => {
                    act.action = Action::Discrete(1 - number.min(1));
                }
                _ => act.hash ^= 1,
            }
            let message = Reply::Act(act);
            let header = frame.header;
            return encode(&Frame { header, message }, place).map_err(io::Error::other);
        }
        Ok(len)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.inner.restart()
    }
}

fn lying(name: &str, wrong: usize, state: bool) -> super::Report {
    let team = team(name);
    let liar = Lying {
        inner: HostLink::start(),
        wrong,
        acted: 0,
        state,
    };
    let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(liar)];
    match Bench::new(&team).links(links).episodes(10).run() {
        Ok(report) => report,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_first_wrong_action_ends_the_run_and_is_shown() {
    // Four steps an episode: its tenth action is in the third episode, at step 1.
    let report = lying("dec-tiger-h4", 9, false);
    assert!(!report.is_equal());
    assert_eq!((report.divergences, report.wrong_unnoticed), (1, 1));
    let Some(found) = report.divergence else {
        panic!("a difference")
    };
    assert_eq!((found.agent, found.episode, found.step), (1, 2, 1));
    assert!(!found.device.action.same(&found.host.action));
    // The state was right; it is shown all the same.
    assert!(!found.device_state.is_empty());
    assert_eq!(found.device_state, found.host_state);
}

#[test]
fn a_bit_of_state_is_enough() {
    let report = lying("dec-tiger-h4", 4, true);
    assert_eq!((report.divergences, report.wrong_unnoticed), (1, 0));
}

/// A device that was switched off.
struct Silent;

impl Link for Silent {
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::TimedOut.into())
    }

    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_silent_device_is_a_verdict() {
    let team = team("assurance");
    let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(Silent)];
    let report = Bench::new(&team).links(links).run();
    let Ok(report) = report else {
        panic!("a report")
    };
    assert_eq!(
        report.hung.as_deref(),
        Some("agent 1, episode 0, step 0: no answer to hello in 0 s")
    );
    assert!(!report.is_equal());
    // Nothing is known of what did not happen.
    assert_eq!((report.compared(), report.return_mean), (0, None));
    assert_eq!(report.agents[1].round_trip_us, None);
}

/// A device whose line ends a while after it was greeted.
struct Ending;

impl Link for Ending {
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(super::link::PATIENCE);
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn a_line_that_ends_before_any_answer_says_how_long_it_was_waited_for() {
    let team = team("assurance");
    let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(Ending)];
    let report = Bench::new(&team).links(links).run();
    let hung = report.ok().and_then(|report| report.hung);
    assert_eq!(
        hung.as_deref(),
        Some("agent 1, episode 0, step 0: no answer to hello in 2 s: connection reset")
    );
}

#[test]
fn what_cannot_be_had_is_named() {
    let team = team("assurance");
    let refused = |bench: Result<Bench<'_>, HilError>| {
        let error = bench.and_then(Bench::run).map(|_| ());
        error.expect_err("bad input").to_string()
    };
    let bench = || Bench::new(&team);
    assert_eq!(
        refused(bench().boards(["host", "host", "host"])),
        "found 3 boards, expected one, or 2: one for each agent"
    );
    let nowhere = Path::new("/nonexistent");
    let missing = refused(
        bench()
            .boards(["qemu:m4f"])
            .map(|bench| bench.firmware(nowhere)),
    );
    assert!(
        missing.contains("looked for /nonexistent/boards.json; `cargo xtask firmware` builds")
            && missing.contains("--firmware names"),
        "{missing}"
    );
    // Of a board that no firmware would bring about, that is said first.
    let unknown = refused(
        bench()
            .boards(["qemu:m7"])
            .map(|bench| bench.firmware(nowhere)),
    );
    assert_eq!(
        unknown,
        "board `qemu:m7`: expected qemu:m0, qemu:m3, qemu:m4f, qemu:m33, qemu:riscv32"
    );
    let faults = "kill=2@0".parse().unwrap_or_else(|error| panic!("{error}"));
    let dead = refused(Ok(bench().faults(faults)));
    assert_eq!(
        dead,
        "fault `kill=2@0`: the team has 2 agents, counted from 0"
    );
    let port = refused(bench().boards(["serial:/nonexistent"]));
    assert!(
        port.starts_with("board `serial:/nonexistent@115200`: ")
            && port.contains("; expected a serial port"),
        "{port}"
    );
}

fn played(links: Vec<Box<dyn Link>>, team: &Team, faults: &str) -> Result<super::Report, HilError> {
    let faults = faults.parse().unwrap_or_else(|error| panic!("{error}"));
    Bench::new(team)
        .links(links)
        .episodes(40)
        .faults(faults)
        .run()
}

/// What went wrong counts as got over only when the agent has acted as it should after it.
#[test]
fn what_went_wrong_before_a_wrong_action_was_not_got_over() {
    let team = team("dec-tiger-h4");
    let mut left = 0;
    for wrong in 0..8 {
        let liar = Lying {
            inner: HostLink::start(),
            wrong,
            acted: 0,
            state: false,
        };
        let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(liar)];
        let report = played(links, &team, "desync=0.5");
        let report = report.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.divergences, 1);
        left += report.faults_injected - report.faults_recovered;
        // Audited though the episode did not end.
        let steps: u64 = report.agents.iter().map(|own| own.steps).sum();
        assert!(report.observations >= steps && report.frames > report.observations);
    }
    // Of some of the wrong steps the moment was wrong, too; no other fault is left.
    assert!((1..8).contains(&left), "{left}");
}

#[test]
fn a_death_is_no_fault_that_is_got_over() {
    let team = team("dec-tiger-h4");
    let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(HostLink::start())];
    let report = played(links, &team, "kill=1@6");
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert!(report.is_equal());
    assert_eq!(
        (
            report.deaths,
            report.faults_injected,
            report.faults_recovered
        ),
        (1, 0, 0)
    );
    assert_eq!(report.agents[1].dead_steps, report.steps - 6);
}

/// What the harness loses itself is nothing that a device can be blamed for.
#[test]
fn half_of_all_frames_may_be_lost() {
    let team = team("assurance");
    let faults = "drop=0.5".parse().unwrap_or_else(|error| panic!("{error}"));
    let report = Bench::new(&team).episodes(1500).faults(faults).run();
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert!(report.is_equal(), "{:?}", report.hung);
    assert_eq!(report.faults_recovered, report.faults_injected);
}

#[test]
fn a_device_whose_flash_survives_rejoins_without_its_image() {
    let team = team("dec-tiger-h4");
    let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(HostLink::start())];
    let report = played(links, &team, "reset=0.2");
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert!(report.is_equal(), "{report:?}");
    assert_eq!(report.return_mean, report.return_host);
    for own in &report.agents {
        assert!(own.rejoined > 10 && own.uploads == 1, "{own:?}");
    }
}

/// A device of another protocol: with a word for it, or without, as before there was one.
struct Foreign {
    speaks: u8,
    refuses: bool,
    answers: Vec<Vec<u8>>,
}

impl Link for Foreign {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut receiver = Box::new(Receiver::<FRAME>::new());
        for &byte in bytes {
            let Some(Ok(body)) = receiver.push(byte) else {
                continue;
            };
            let Some(found) = consort_wire::header(body) else {
                continue;
            };
            if self.refuses || found.version == self.speaks {
                let header = consort_wire::Header {
                    version: self.speaks,
                    ..found
                };
                let message = Reply::Refused(consort_wire::Refused::Version);
                let mut place = [0; 64];
                let len = encode(&Frame { header, message }, &mut place);
                let len = len.map_err(io::Error::other)?;
                self.answers.push(place[..len].to_vec());
            }
        }
        Ok(())
    }

    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let answer = self.answers.pop().ok_or(io::ErrorKind::TimedOut)?;
        place[..answer.len()].copy_from_slice(&answer);
        Ok(answer.len())
    }
}

#[test]
fn firmware_of_another_protocol_is_named() {
    let team = team("assurance");
    let newer = PROTOCOL + 1;
    for (speaks, refuses, advice) in [
        (1, false, "rebuild its firmware"),
        (2, false, "rebuild its firmware"),
        (newer, true, "this host is older than its firmware"),
    ] {
        let foreign = Foreign {
            speaks,
            refuses,
            answers: Vec::new(),
        };
        let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(foreign)];
        let error = Bench::new(&team).links(links).run().map(|_| ());
        let error = error.expect_err("another protocol");
        assert!(error.is_bad_input());
        assert_eq!(
            error.to_string(),
            format!("agent 1: the device speaks protocol {speaks}, this host {PROTOCOL}: {advice}")
        );
    }
}

/// A device that is in a session of the number that the host draws first, and takes what comes of it for late.
struct Engaged {
    inner: HostLink,
    session: Option<u16>,
    deaf: bool,
}

impl Link for Engaged {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut receiver = Box::new(Receiver::<FRAME>::new());
        for &byte in bytes {
            if let Some(Ok(body)) = receiver.push(byte) {
                let found = consort_wire::header(body).map(|header| header.session);
                self.session = self.session.or(found);
                self.deaf = self.session == found;
            }
        }
        match self.deaf {
            true => Ok(()),
            false => self.inner.send(bytes),
        }
    }

    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize> {
        match self.deaf {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => self.inner.receive(place),
        }
    }
}

#[test]
fn a_session_that_is_taken_is_left_for_another() {
    let team = team("assurance");
    let engaged = Engaged {
        inner: HostLink::start(),
        session: None,
        deaf: false,
    };
    let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(engaged)];
    let report = Bench::new(&team).links(links).run();
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert!(report.is_equal(), "{:?}", report.hung);
    assert_eq!(report.agents[1].repeated, 2);
}

#[test]
fn a_replay_that_differs_shows_both_states() {
    let team = team("dec-tiger-h4");
    let recording = Bench::new(&team).episodes(3).record().run();
    let recording = recording.ok().and_then(|report| report.recording);
    let recording = recording.unwrap_or_else(|| panic!("a recording"));
    let liar = Lying {
        inner: HostLink::start(),
        wrong: 6,
        acted: 0,
        state: true,
    };
    let links: Vec<Box<dyn Link>> = vec![Box::new(HostLink::start()), Box::new(liar)];
    let report = recording.replay_on(vec![super::BoardSpec::Host; 2], links);
    let found = report.ok().and_then(|report| report.divergence);
    let found = found.unwrap_or_else(|| panic!("a difference"));
    assert_eq!((found.agent, found.episode, found.step), (1, 1, 2));
    assert!(!found.device_state.is_empty());
    assert_eq!(found.device_state, found.host_state);
}

/// Teams of every kind of action, greedy and drawing, under faults that repeat and restart.
#[test]
fn every_kind_of_action_is_taken_on_the_device_as_on_the_host() {
    let product =
        || ActionSpace::Product(Factors::new(&[2, 2]).unwrap_or_else(|| panic!("two factors")));
    let gaussian = || HeadWeights::Gaussian {
        log_std: vec![-1.0, 0.0],
    };
    for (actions, masked) in [
        (ActionSpace::Discrete(2), false),
        (ActionSpace::Discrete(3), true),
        (ActionSpace::Continuous(2), false),
        (product(), false),
    ] {
        for act in [Choice::Greedy, Choice::Sampled] {
            let mut team = team("assurance");
            team.task = episodes::task(actions, masked);
            let (weights, biases) = ([0.0, 1.0, 0.0, 0.5], [0.0, -0.1, -0.004, -0.1]);
            let head = match actions {
                ActionSpace::Discrete(_) => HeadWeights::Categorical,
                ActionSpace::Continuous(_) => gaussian(),
                ActionSpace::Product(_) => HeadWeights::MultiDiscrete { sizes: vec![2, 2] },
            };
            let size = actions.outputs();
            team.actors = episodes::actors(&weights[..size], &biases[..size], head);
            team.manifest.act = act;
            let faults = "drop=0.05,corrupt=0.05,reset=0.1,desync=0.1".parse();
            let faults = faults.unwrap_or_else(|error| panic!("{error}"));
            let report = Bench::new(&team).episodes(20).faults(faults).record().run();
            let Ok(report) = report else {
                panic!("a report")
            };
            assert!(report.is_equal(), "{actions:?} {act}: {report:?}");
            assert!(report.faults_injected > 0 && report.steps == 60);
            assert_eq!(report.return_mean, report.return_host);
            let replayed = report
                .recording
                .map(|run| run.replay(&[super::BoardSpec::Host], None));
            let Some(Ok(replayed)) = replayed else {
                panic!("a replay")
            };
            assert!(replayed.is_equal(), "{replayed:?}");
        }
    }
}
