//! Emulated boards: started, watched and stopped.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde::Deserialize;

use super::HilError;
use super::link::{Link, SocketLink};
use super::spec::EMULATED;

/// The list of boards beside their firmware, as `cargo xtask firmware` writes it.
const LIST: &str = "boards.json";

/// How long an emulator may take to start.
const START: Duration = Duration::from_secs(20);

/// A board that can be emulated.
#[derive(Clone, Debug, Deserialize)]
struct Emulated {
    #[allow(dead_code, reason = "for whoever reads the list")]
    board: String,
    /// A file beside the list.
    firmware: PathBuf,
    /// The emulator and what makes it this board.
    machine: Vec<String>,
}

/// The list of the firmware there is: in `folder`, or what `CONSORT_FIRMWARE` names, or `target/firmware` here or above.
fn list(folder: Option<&Path>) -> Result<PathBuf, HilError> {
    let places = match (folder, env::var_os("CONSORT_FIRMWARE")) {
        (Some(folder), _) => vec![folder.to_owned()],
        (None, Some(folder)) => vec![folder.into()],
        (None, None) => {
            let here = env::current_dir().unwrap_or_default();
            let places = here.ancestors().map(|above| above.join("target/firmware"));
            places.collect()
        }
    };
    let mut searched: Vec<_> = places.iter().map(|folder| folder.join(LIST)).collect();
    match searched.iter().position(|list| list.is_file()) {
        Some(found) => Ok(searched.swap_remove(found)),
        None => Err(HilError::NoFirmware { searched }),
    }
}

fn unknown<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> HilError {
    HilError::UnknownBoard {
        name: name.to_owned(),
        known: (known.into_iter().map(|name| format!("qemu:{name}")))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// An emulator at work.
pub(super) struct Emulator {
    command: Vec<String>,
    running: Running,
    link: SocketLink,
}

impl Emulator {
    /// Starts the board called `name`, with the firmware in `folder`, or where it is by default.
    pub(super) fn start(name: &str, folder: Option<&Path>) -> Result<Self, HilError> {
        let list = list(folder).map_err(|missing| match EMULATED.contains(&name) {
            true => missing,
            // No firmware would help.
            false => unknown(name, EMULATED),
        })?;
        let wrong = |message: String| HilError::List {
            path: list.clone(),
            message,
        };
        let text = fs::read(&list).map_err(|error| wrong(error.to_string()))?;
        let boards: BTreeMap<String, Emulated> =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let emulated = boards
            .get(name)
            .ok_or_else(|| match EMULATED.contains(&name) {
                true => HilError::NotBuilt {
                    path: list.clone(),
                    name: name.to_owned(),
                    built: boards.keys().map(|board| format!("qemu:{board}")).collect(),
                },
                false => unknown(name, boards.keys().map(String::as_str)),
            })?;
        let firmware = list.with_file_name(&emulated.firmware);
        if !firmware.is_file() {
            return Err(HilError::NoFirmware {
                searched: vec![firmware],
            });
        }
        let mut command = emulated.machine.clone();
        command.extend(["-display".into(), "none".into(), "-kernel".into()]);
        command.push(firmware.to_string_lossy().into_owned());
        let (running, link) = launch(&command).map_err(|source| HilError::Emulator {
            program: command.first().cloned().unwrap_or_default(),
            source,
        })?;
        Ok(Self {
            command,
            running,
            link,
        })
    }
}

impl Link for Emulator {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // QEMU 7.2 holds back the last byte that comes to an idle console until there is another; a zero more is no frame.
        let mut bytes = bytes.to_vec();
        bytes.push(0);
        self.link
            .send(&bytes)
            .map_err(|error| self.running.ended(error))
    }

    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize> {
        (self.link.receive(place)).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => error,
            _ => self.running.ended(error),
        })
    }

    fn restart(&mut self) -> io::Result<()> {
        self.running.stop();
        (self.running, self.link) = launch(&self.command)?;
        Ok(())
    }
}

/// A process that ends with this one, however this one ends.
struct Running {
    child: Child,
    /// Kills the child when this process is gone: a shell that waits for the end of a pipe that nobody else holds.
    watch: Option<Child>,
    /// Reads what the child has to say of itself, to its end.
    said: Option<JoinHandle<String>>,
}

impl Running {
    fn new(mut child: Child) -> Self {
        let watch = watch(child.id());
        let said = (child.stderr.take()).map(|stderr| thread::spawn(|| last_word(stderr)));
        Self { child, watch, said }
    }

    /// An error of the line to the child, or that it ended, where it did: a moment after its line, if at all.
    fn ended(&mut self, error: io::Error) -> io::Error {
        for _ in 0..100 {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                Ok(Some(status)) => return self.epitaph("the emulator ended", status),
                Err(_) => break,
            }
        }
        error
    }

    /// How the child ended, and what it said last.
    fn epitaph(&mut self, what: &str, status: ExitStatus) -> io::Error {
        let said = self.said.take().and_then(|said| said.join().ok());
        let said = said.filter(|said| !said.is_empty());
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        io::Error::other(format!("{what}: {status}{said}"))
    }

    fn stop(&mut self) {
        // The watch first: once the child is gone, its number may be another's.
        for process in self.watch.iter_mut().chain([&mut self.child]) {
            // One that has ended already cannot be killed, which is as well.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The line that says why an emulator ends: its own last one, which a dump of all registers may follow, or else the last.
fn last_word(stderr: impl Read) -> String {
    let (mut last, mut own) = (String::new(), String::new());
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if line.starts_with("qemu") {
            own.clone_from(&line);
        }
        if !line.is_empty() {
            last = line;
        }
    }
    if own.is_empty() { last } else { own }
}

/// Where there is no shell, or no such signal, an emulator outlives a command that is killed.
fn watch(child: u32) -> Option<Child> {
    if !cfg!(unix) {
        return None;
    }
    Command::new("/bin/sh")
        .args(["-c", "read -r _; kill -9 \"$1\"", "watch"])
        .arg(child.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// Starts an emulator whose console is a socket to us.
fn launch(command: &[String]) -> io::Result<(Running, SocketLink)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let (program, arguments) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
    let child = Command::new(program)
        .args(arguments)
        .args([
            "-chardev",
            &format!("socket,id=host,host=127.0.0.1,port={port},nodelay=on"),
            "-semihosting-config",
            "enable=on,target=native,chardev=host",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut running = Running::new(child);
    let link = accept(&listener, &mut running)?;
    Ok((running, link))
}

fn accept(listener: &TcpListener, running: &mut Running) -> io::Result<SocketLink> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return SocketLink::new(stream);
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) => {}
        }
        if let Some(status) = running.child.try_wait()? {
            return Err(running.epitaph("it ended at once", status));
        }
        if start.elapsed() > START {
            return Err(ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sleeping() -> Running {
        let child = Command::new("sleep").arg("600").spawn();
        Running::new(child.unwrap_or_else(|error| panic!("{error}")))
    }

    /// What is left of it after at most five seconds.
    fn ended(child: &mut Child) -> bool {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            !matches!(child.try_wait(), Ok(None))
        })
    }

    #[test]
    fn what_was_started_ends_when_nobody_holds_its_watch() {
        let mut running = sleeping();
        assert!(matches!(running.child.try_wait(), Ok(None)));
        // As when this process is killed: the pipe's end is closed, and nothing else is done.
        let watch = running.watch.as_mut().and_then(|watch| watch.stdin.take());
        drop(watch.unwrap_or_else(|| panic!("a shell")));
        assert!(ended(&mut running.child));
    }

    #[test]
    fn an_emulators_own_last_line_is_kept_and_no_registers() {
        let dump =
            "warning: old\nqemu: fatal: Lockup\n\nR00=00000000 R01=00000000\nFPSCR: 00000000\n";
        assert_eq!(last_word(dump.as_bytes()), "qemu: fatal: Lockup");
        assert_eq!(last_word(&b"sh: not found\n\n"[..]), "sh: not found");
        assert_eq!(last_word(&b""[..]), "");
    }

    #[test]
    fn how_an_emulator_ended_is_said_for_an_error_of_its_line() {
        let child = Command::new("/bin/sh")
            .args(["-c", "echo qemu: fatal: Lockup >&2; exit 3"])
            .stderr(Stdio::piped())
            .spawn();
        let mut running = Running::new(child.unwrap_or_else(|error| panic!("{error}")));
        let error = running.ended(ErrorKind::UnexpectedEof.into());
        assert_eq!(
            error.to_string(),
            "the emulator ended: exit status: 3: qemu: fatal: Lockup"
        );
    }

    #[test]
    fn what_is_stopped_leaves_nothing() {
        let mut running = sleeping();
        running.stop();
        for process in running.watch.iter_mut().chain([&mut running.child]) {
            assert!(matches!(process.try_wait(), Ok(Some(_))));
        }
    }
}
