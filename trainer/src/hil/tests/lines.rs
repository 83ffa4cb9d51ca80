//! Devices behind a socket and behind a serial port, for which a pseudo-terminal stands in.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::team;
use crate::hil::host::{Flash, device};
use crate::hil::{Bench, HilError, Report};
use crate::team::{Actors, AlignedImage, Team};

/// What a board that starts says before it listens: text, half a frame, and zeros.
const RUBBISH: &[u8] = b"\0\x05boot ok\r\n\xff\xff\0\0\x07\x02\x01\x01";

/// A device's end of a line.
struct Line<S> {
    stream: S,
    /// What goes out before anything else.
    before: &'static [u8],
    /// Answers that are left until the line is unplugged.
    left: usize,
}

impl<S: Read + Write + Send + 'static> Line<S> {
    /// Lets a device answer, until the host hangs up or the line is unplugged.
    fn serve(mut self) {
        device(&mut self, &mut Flash::new());
    }
}

impl<S> embedded_io::ErrorType for Line<S> {
    type Error = Infallible;
}

impl<S: Read> embedded_io::Read for Line<S> {
    fn read(&mut self, place: &mut [u8]) -> Result<usize, Infallible> {
        if self.left == 0 {
            return Ok(0);
        }
        // A terminal whose other side was closed is an error, and the end.
        Ok(self.stream.read(place).unwrap_or(0))
    }
}

impl<S: Write> embedded_io::Write for Line<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let before = std::mem::take(&mut self.before);
        self.left = self.left.saturating_sub(1);
        // Nobody minds what a device says to a host that is gone.
        let _ = self.stream.write_all(&[before, bytes].concat());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A device behind a socket: its specification.
fn socket(left: usize) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().map(|address| address.to_string());
    thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else {
            return;
        };
        let before = RUBBISH;
        Line {
            stream,
            before,
            left,
        }
        .serve();
    });
    format!("tcp:{}", address.unwrap_or_else(|error| panic!("{error}")))
}

/// A device behind a terminal: its specification.
#[cfg(unix)]
fn terminal(left: usize) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let open = || -> rustix::io::Result<_> {
        let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&device)?;
        unlockpt(&device)?;
        let name = ptsname(&device, Vec::new())?;
        Ok((std::fs::File::from(device), name))
    };
    let (stream, name) = open().unwrap_or_else(|error| panic!("{error}"));
    thread::spawn(move || {
        let before = RUBBISH;
        Line {
            stream,
            before,
            left,
        }
        .serve();
    });
    format!("serial:{}@9600", name.to_string_lossy())
}

/// Elsewhere there are no terminals to stand in.
#[cfg(not(unix))]
fn terminal(left: usize) -> String {
    socket(left)
}

const FOR_EVER: usize = usize::MAX;

fn played(boards: [String; 2], faults: &str) -> Report {
    let team = team("dec-tiger-h4");
    let faults = match faults {
        "" => Ok(crate::hil::Faults::default()),
        some => some.parse(),
    };
    let faults = faults.unwrap_or_else(|error| panic!("{error}"));
    let bench = Bench::new(&team).boards(boards);
    let report = bench.and_then(|bench| bench.episodes(5).seed(3).faults(faults).record().run());
    report.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_fleet_on_lines_acts_as_on_the_host_after_rubbish_and_under_the_same_faults() {
    for faults in [
        "",
        "drop=0.05,delay=0.05,corrupt=0.05,duplicate=0.05,nan=0.05,desync=0.1",
        "drop=0.05,delay=0.05,corrupt=0.05,duplicate=0.05,nan=0.05,reset=0.2",
    ] {
        let report = played([terminal(FOR_EVER), socket(FOR_EVER)], faults);
        assert!(report.is_equal(), "{faults}: {report:?}");
        // Four steps an episode.
        assert_eq!((report.episodes, report.steps), (5, 20));
        let host = played(["host".to_owned(), "host".to_owned()], faults);
        // A restart that is asked for is a frame more, which meets a fate of its own.
        if !faults.contains("reset") {
            assert_eq!(report.faults_injected, host.faults_injected);
        }
        assert_eq!(report.faults_recovered, report.faults_injected);
        assert_eq!(host.faults_recovered, host.faults_injected);
        assert_eq!(report.faults_injected > 0, !faults.is_empty());
        assert_eq!(report.return_mean, host.return_mean);
        for own in &report.agents {
            assert_eq!((own.target.as_str(), own.steps), ("host", 20));
            // A restart that was asked for leaves the flash as it is.
            assert_eq!(
                (own.uploads, own.rejoined > 0),
                (1, faults.contains("reset"))
            );
        }
        // Compared as bytes: a failed sensor is not equal to itself.
        let recorded = |report: &Report| {
            let recording = report.recording.as_ref();
            recording.map(|recording| recording.to_bytes())
        };
        assert_eq!(recorded(&report), recorded(&host));
        // And the file, shown to other devices on lines.
        let boards = [terminal(FOR_EVER), socket(FOR_EVER)];
        let boards = boards.map(|board| board.parse().unwrap_or_else(|error| panic!("{error}")));
        let replayed = report
            .recording
            .map(|recording| recording.replay(&boards, None));
        let Some(Ok(replayed)) = replayed else {
            panic!("a replay")
        };
        assert!(replayed.is_equal(), "{replayed:?}");
        assert_eq!(replayed.steps, 20);
    }
}

/// A board that stays powered while hosts come and go: one device, whichever of them is there.
struct Powered {
    listener: TcpListener,
    host: Option<TcpStream>,
    /// Hosts that are still to come.
    left: usize,
}

impl embedded_io::ErrorType for Powered {
    type Error = Infallible;
}

impl embedded_io::Read for Powered {
    fn read(&mut self, place: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            if let Some(host) = &mut self.host {
                match host.read(place) {
                    Ok(len @ 1..) => return Ok(len),
                    _ => self.host = None,
                }
            }
            if self.left == 0 {
                return Ok(0);
            }
            self.left -= 1;
            self.host = self.listener.accept().ok().map(|(host, _)| host);
        }
    }
}

impl embedded_io::Write for Powered {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let _ = self.host.as_mut().map(|host| host.write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Such a board, for so many hosts: its specification.
fn powered(left: usize) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().map(|address| address.to_string());
    thread::spawn(move || {
        let mut board = Powered {
            listener,
            host: None,
            left,
        };
        device(&mut board, &mut Flash::new());
    });
    format!("tcp:{}", address.unwrap_or_else(|error| panic!("{error}")))
}

/// Their process is one and the same, and so would be numbers that go by it.
#[test]
fn a_board_answers_one_run_after_another() {
    let boards = [powered(4), powered(4)];
    for run in 0..4 {
        let report = played(boards.clone(), "");
        assert!(report.is_equal(), "run {run}: {:?}", report.hung);
        for own in &report.agents {
            // Its image is there already.
            assert_eq!((own.steps, own.uploads), (20, u64::from(run == 0)));
        }
    }
}

#[test]
fn an_image_that_is_older_than_the_boards_is_refused_with_what_would_help() {
    let boards = [powered(2), powered(2)];
    let run = |team: &Team| -> Result<Report, HilError> { Bench::new(team).boards(&boards)?.run() };
    let reissued = |image: &AlignedImage| {
        let mut place = vec![0; image.bytes().len() + 128];
        let len = consort_runtime::reissue_signed(image.bytes(), 5, &mut place, |_| [7; 64]);
        place.truncate(len.unwrap_or_else(|error| panic!("{error}")));
        AlignedImage::new(&place).unwrap_or_else(|error| panic!("{error}"))
    };
    let team = team("assurance");
    let mut newer = self::team("assurance");
    newer.actors = Actors::new(team.actors.images().iter().map(reissued).collect());
    assert!(run(&newer).is_ok_and(|report| report.is_equal()));
    let error = run(&team).map(|_| ()).expect_err("an older image");
    assert!(error.is_bad_input());
    let message = error.to_string();
    assert!(
        message.starts_with(&format!(
            "agent 0 on {} (host): the image's revision is below 5",
            boards[0]
        )) && message.contains("`consort sign --revision 5`"),
        "{message}"
    );
}

#[test]
fn a_line_that_is_unplugged_is_a_verdict() {
    // The image takes 26 chunks, and six more answers go before the first step; of the eight that are left one begins an episode.
    for unplugged in [socket as fn(usize) -> String, terminal] {
        for (left, steps) in [(3, 0), (40, 7)] {
            let report = played([socket(FOR_EVER), unplugged(left)], "");
            let hung = report.hung.unwrap_or_default();
            assert!(hung.starts_with("agent 1, episode "), "{hung}");
            // A terminal that is closed may lose what nobody has read yet: the last answer.
            assert!(report.steps <= steps && report.steps + 1 >= steps, "{hung}");
            assert_eq!(report.divergences, 0);
        }
    }
}

#[test]
fn steps_that_come_after_their_deadline_are_counted() {
    let team = team("assurance");
    // Nothing goes to a thread and back in no time, and nothing takes for ever.
    for (deadline, missed) in [(0, 3), (u64::MAX, 0)] {
        let boards = [socket(FOR_EVER), socket(FOR_EVER)];
        let bench = Bench::new(&team).boards(boards);
        let report = bench.and_then(|bench| bench.episodes(3).deadline_us(deadline).run());
        let report = report.unwrap_or_else(|error| panic!("{error}"));
        for own in report.agents {
            assert_eq!((own.steps, own.deadline_misses), (3, missed));
            let (Some(trip), Some(device)) = (own.round_trip_us, own.on_device) else {
                panic!("steps")
            };
            assert!(trip.min <= trip.median && trip.median <= trip.p99 && trip.p99 <= trip.max);
            // The device counts nanoseconds, and all of them are part of the round trip.
            assert!(own.unit == "nanoseconds" && device.max / 1_000 <= trip.max);
        }
    }
}
